#include "base64url.hpp"

#include <array>
#include <cstdint>

namespace jwt::base64url {
namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// Above any 24 bits that four characters make, so that one comparison finds a foreign byte among them.
constexpr std::uint32_t foreign = 1U << 24U;

using Table = std::array<std::uint32_t, 256>;

/// Each character's value where it stands `shift` bits up in its group of four.
constexpr Table table(unsigned shift) noexcept {
    Table values{};
    values.fill(foreign);
    for (std::uint32_t value = 0; value < alphabet.size(); ++value) {
        values[static_cast<unsigned char>(alphabet[value])] = value << shift;
    }
    return values;
}

constexpr Table first = table(18);
constexpr Table second = table(12);
constexpr Table third = table(6);
constexpr Table fourth = table(0);

constexpr std::uint32_t byte_at(const char* in, std::size_t index) noexcept {
    return static_cast<unsigned char>(in[index]);
}

constexpr char byte_of(std::uint32_t bits, unsigned shift) noexcept {
    return static_cast<char>(static_cast<unsigned char>(bits >> shift));
}

}  // namespace

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
    const char* in = text.data();
    std::size_t left = text.size();
    for (; left >= 4; left -= 4, in += 4, out += 3) {
        const std::uint32_t bits =
            first[byte_at(in, 0)] | second[byte_at(in, 1)] | third[byte_at(in, 2)] | fourth[byte_at(in, 3)];
        if (bits >= foreign) {
            return false;
        }
        out[0] = byte_of(bits, 16);
        out[1] = byte_of(bits, 8);
        out[2] = byte_of(bits, 0);
    }
    if (left == 0) {
        return true;
    }
    if (left == 1) {
        return false;
    }
    std::uint32_t bits = first[byte_at(in, 0)] | second[byte_at(in, 1)];
    std::uint32_t unused = 0xffff;
    if (left == 3) {
        bits |= third[byte_at(in, 2)];
        unused = 0xff;
    }
    // RFC 4648 §3.5: spare bits that are set would give one signature several spellings.
    if (bits >= foreign || (bits & unused) != 0) {
        return false;
    }
    out[0] = byte_of(bits, 16);
    if (left == 3) {
        out[1] = byte_of(bits, 8);
    }
    return true;
}

std::optional<std::string> decode(std::string_view text) {
    std::string bytes(decoded_size(text.size()), '\0');
    if (!decode(text, bytes.data())) {
        return std::nullopt;
    }
    return bytes;
}

}  // namespace jwt::base64url
