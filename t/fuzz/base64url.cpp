#include "base64url.hpp"

#include <optional>
#include <string>

#include "check.hpp"

using namespace jwt;

namespace {

/// RFC 4648 §5 bit by bit, as slow and plain as can be.
std::optional<std::string> reference(std::string_view text) {
    unsigned bits = 0;
    unsigned count = 0;
    std::string bytes;
    for (const char character : text) {
        unsigned value = 0;
        if (character >= 'A' && character <= 'Z') {
            value = static_cast<unsigned>(character - 'A');
        } else if (character >= 'a' && character <= 'z') {
            value = static_cast<unsigned>(character - 'a') + 26;
        } else if (character >= '0' && character <= '9') {
            value = static_cast<unsigned>(character - '0') + 52;
        } else if (character == '-' || character == '_') {
            value = character == '-' ? 62 : 63;
        } else {
            return std::nullopt;
        }
        bits = bits * 64 + value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            bytes.push_back(static_cast<char>(static_cast<unsigned char>(bits >> count)));
            bits %= 1U << count;
        }
    }
    // Left over: 0, 2 or 4 bits, all zero; 6 would be a character too many.
    return count == 6 || bits != 0 ? std::nullopt : std::optional(bytes);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = text_of(data, size);
    const std::optional<std::string> decoded = base64url::decode(text);
    check(decoded == reference(text));
    if (decoded) {
        check(base64url::encode(*decoded) == text);
    }
    const std::string encoded = base64url::encode(text);
    check(base64url::decode(encoded) == text);
    check(base64url::decoded_size(encoded.size()) == size);
    return 0;
}
