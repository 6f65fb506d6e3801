#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "json.hpp"

namespace jwt {

/// The claims that a token is judged by: of RFC 7519 §4.1, and those that this project's own tokens have.
enum class Claim : std::uint8_t { iss, sub, aud, exp, nbf, iat, jti, type, csrf, fresh };
inline constexpr std::size_t claim_count = 10;

/// A payload with the places of those claims in it: every request asks for most of them, so one walk finds them all,
/// once for a token. Valid as long as the payload is.
class Claims {
public:
    explicit Claims(json::Value payload) noexcept;
    /// Goes on in a copy of the payload.
    void move_to(json::Value copy) noexcept { payload_ = copy; }

    [[nodiscard]] json::Value payload() const noexcept { return payload_; }

    [[nodiscard]] std::optional<json::Value> operator[](Claim claim) const noexcept {
        const std::uint32_t place = places_[static_cast<std::size_t>(claim)];
        if (place == absent) {
            return std::nullopt;
        }
        return payload_.at(place);
    }

    /// A claim of any name.
    [[nodiscard]] std::optional<json::Value> named(std::string_view name) const noexcept;

private:
    static constexpr std::uint32_t absent = 0;  // where a document begins, which no member does

    json::Value payload_;
    std::array<std::uint32_t, claim_count> places_{};
};

/// The claim `type`: "access" where the token has none, empty where it is no string.
[[nodiscard]] std::string_view token_type(const Claims& claims) noexcept;

}  // namespace jwt
