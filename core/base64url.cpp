#include "base64url.hpp"

#include <cstdint>

#include "base64url_decoders.hpp"

namespace jwt::base64url {

std::string encode(std::string_view bytes) {
    std::string text;
    text.reserve((bytes.size() * 4 + 2) / 3);
    const auto append = [&text](std::uint32_t bits, unsigned characters) {
        for (unsigned shift = 18; characters > 0; --characters, shift -= 6) {
            text.push_back(alphabet[(bits >> shift) & 63U]);
        }
    };
    const char* in = bytes.data();
    std::size_t left = bytes.size();
    for (; left >= 3; left -= 3, in += 3) {
        append(byte_at(in, 0) << 16U | byte_at(in, 1) << 8U | byte_at(in, 2), 4);
    }
    if (left == 2) {
        append(byte_at(in, 0) << 16U | byte_at(in, 1) << 8U, 3);
    } else if (left == 1) {
        append(byte_at(in, 0) << 16U, 2);
    }
    return text;
}

bool decode(std::string_view text, char* out) noexcept {
    static const auto fastest = decoders().front().decode;
    return fastest(text, out);
}

std::optional<std::string> decode(std::string_view text) {
    std::string bytes(decoded_size(text.size()), '\0');
    if (!decode(text, bytes.data())) {
        return std::nullopt;
    }
    return bytes;
}

}  // namespace jwt::base64url
