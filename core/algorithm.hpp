#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "enum_set.hpp"

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

using AlgorithmSet = EnumSet<Algorithm>;

/// Those of a shared secret.
inline constexpr AlgorithmSet hmac_algorithms{Algorithm::hs256, Algorithm::hs384, Algorithm::hs512};

/// Those of RSA: a signature takes a millisecond or more to make.
inline constexpr AlgorithmSet rsa_algorithms{Algorithm::rs256, Algorithm::rs384, Algorithm::rs512,
                                             Algorithm::ps256, Algorithm::ps384, Algorithm::ps512};

/// The names in registration order, for people: "RS256 RS384 PS256".
[[nodiscard]] std::string names(AlgorithmSet algorithms);

}  // namespace jwt
