#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace jwt::command {

/// The text that raw DEFLATE (RFC 1951) stands for; nothing where it is damaged or grows past 256 KiB or ten times its
/// size: no token's text is that repetitive, and bombs are.
[[nodiscard]] std::optional<std::string> inflated(std::string_view compressed);

}  // namespace jwt::command
