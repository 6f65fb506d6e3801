#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace jwt {

/// Signature algorithms (RFC 7518 §3.1, RFC 8812 §3.2, RFC 8037 §3.1, RFC 9864 §2). `none` is not one of them.
enum class Algorithm : std::uint8_t {
    hs256,
    hs384,
    hs512,
    rs256,
    rs384,
    rs512,
    ps256,
    ps384,
    ps512,
    es256,
    es384,
    es512,
    es256k,
    eddsa,  // Ed25519 or Ed448, as the key says
    ed25519,
    ed448,
};

inline constexpr std::size_t algorithm_count = 16;

/// The registered name, exact bytes ("HS256", "Ed25519").
[[nodiscard]] std::string_view name(Algorithm algorithm) noexcept;

/// The algorithm of that exact name (RFC 7515 §4.1.1: case-sensitive), or nothing.
[[nodiscard]] std::optional<Algorithm> algorithm_named(std::string_view text) noexcept;

[[nodiscard]] constexpr bool is_hmac(Algorithm algorithm) noexcept {
    return algorithm <= Algorithm::hs512;
}

/// A set of algorithms, passed by value.
class AlgorithmSet {
public:
    constexpr AlgorithmSet() noexcept = default;
    constexpr AlgorithmSet(std::initializer_list<Algorithm> algorithms) noexcept {
        for (const Algorithm algorithm : algorithms) {
            add(algorithm);
        }
    }

    constexpr void add(Algorithm algorithm) noexcept { bits_ |= bit(algorithm); }
    [[nodiscard]] constexpr bool has(Algorithm algorithm) const noexcept { return (bits_ & bit(algorithm)) != 0; }
    [[nodiscard]] constexpr bool empty() const noexcept { return bits_ == 0; }

    friend constexpr AlgorithmSet operator&(AlgorithmSet a, AlgorithmSet b) noexcept {
        return AlgorithmSet(a.bits_ & b.bits_);
    }
    friend constexpr AlgorithmSet operator|(AlgorithmSet a, AlgorithmSet b) noexcept {
        return AlgorithmSet(a.bits_ | b.bits_);
    }
    friend constexpr bool operator==(AlgorithmSet, AlgorithmSet) noexcept = default;

private:
    constexpr explicit AlgorithmSet(std::uint32_t bits) noexcept : bits_(bits) {}
    static constexpr std::uint32_t bit(Algorithm algorithm) noexcept {
        return std::uint32_t{1} << static_cast<unsigned>(algorithm);
    }

    std::uint32_t bits_ = 0;
};

/// Those of a shared secret.
inline constexpr AlgorithmSet hmac_algorithms{Algorithm::hs256, Algorithm::hs384, Algorithm::hs512};

/// The names in registration order, for people: "RS256 RS384 PS256".
[[nodiscard]] std::string names(AlgorithmSet algorithms);

}  // namespace jwt
