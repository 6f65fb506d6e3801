#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace jwt::base64url {

/// base64url without padding (RFC 7515 §2).
[[nodiscard]] std::string encode(std::string_view bytes);

/// Bytes that `decode` writes for an input of that many characters, where the input is well-formed.
[[nodiscard]] constexpr std::size_t decoded_size(std::size_t characters) noexcept {
    return characters / 4 * 3 + (characters % 4) * 3 / 4;
}

/// Decodes strictly: the alphabet of RFC 4648 §5 only, no padding, no white space, no length of 4n+1, unused bits
/// zero (RFC 4648 §3.5), so that every byte string has one spelling. Writes decoded_size(text.size()) bytes at `out`
/// and says true, or says false and leaves what is at `out` unspecified.
[[nodiscard]] bool decode(std::string_view text, char* out) noexcept;

[[nodiscard]] std::optional<std::string> decode(std::string_view text);

}  // namespace jwt::base64url
