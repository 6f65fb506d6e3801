#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace jwt::base64url {

// What the files base64url*.cpp share; nothing of it but `decoders` is for others.

/// Characters in the order of their values (RFC 4648 §5).
inline constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

[[nodiscard]] constexpr std::uint32_t byte_at(const char* in, std::size_t index) noexcept {
    return static_cast<unsigned char>(in[index]);
}

/// A way to do what decode() does, to the bit: with the instructions that a processor has.
struct Decoder {
    std::string_view name;
    bool (*decode)(std::string_view text, char* out) noexcept;
};

/// Those that this processor can, the fastest first. The last one is for every processor.
[[nodiscard]] std::span<const Decoder> decoders() noexcept;

}  // namespace jwt::base64url
