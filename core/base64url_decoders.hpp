#pragma once

#include <span>
#include <string_view>

namespace jwt::base64url {

/// A way to do what decode() does, to the bit: with the instructions that a processor has.
struct Decoder {
    std::string_view name;
    bool (*decode)(std::string_view text, char* out) noexcept;
};

/// Those that this processor can, the fastest first. The last one is for every processor.
[[nodiscard]] std::span<const Decoder> decoders() noexcept;

}  // namespace jwt::base64url
