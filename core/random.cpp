#include "random.hpp"

#include <openssl/rand.h>

#include <limits>
#include <stdexcept>

#include "openssl.hpp"

namespace jwt {

void fill_with_random(char* out, std::size_t count) {
    const openssl::ErrorQueueGuard guard;
    if (count > static_cast<std::size_t>(std::numeric_limits<int>::max()) ||
        RAND_bytes(reinterpret_cast<unsigned char*>(out), static_cast<int>(count)) != 1) {
        throw std::runtime_error("no random bytes can be had");
    }
}

std::string random_bytes(std::size_t count) {
    std::string bytes(count, '\0');
    fill_with_random(bytes.data(), count);
    return bytes;
}

std::string random_uuid() {
    static constexpr char digits[] = "0123456789abcdef";
    char bytes[16];
    fill_with_random(bytes, sizeof(bytes));

    std::string text;
    text.reserve(36);
    for (std::size_t i = 0; i < sizeof(bytes); ++i) {
        auto byte = static_cast<unsigned char>(bytes[i]);
        if (i == 6) {
            byte = static_cast<unsigned char>((byte & 0x0f) | 0x40);  // version 4
        } else if (i == 8) {
            byte = static_cast<unsigned char>((byte & 0x3f) | 0x80);  // the variant of RFC 9562 §4.1
        }
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            text += '-';
        }
        text += digits[byte >> 4];
        text += digits[byte & 0x0f];
    }
    return text;
}

}  // namespace jwt
