#pragma once

#include "ngx.hpp"

#include <cstddef>
#include <string>

#include <tl/expected.hpp>

namespace ngx {

/// The bytes of a regular file of at most `limit` bytes. The error completes the sentence `"FILE" …`. Never waits, as
/// opening a pipe would, and never reads without an end, as from a device.
[[nodiscard]] tl::expected<std::string, std::string> file_contents(const std::string& path, std::size_t limit);

}  // namespace ngx
