#pragma once

#include <string>
#include <string_view>

#include "../json.hpp"

namespace jwt::command {

/// Writes to standard output; main finds out whether all of it arrived.
void print(std::string_view text);

/// A line on standard error: "jwt: …".
void print_error(std::string_view sentence);

/// JSON text that no terminal takes for commands: DEL, C1 controls and the marks that turn the direction of writing are
/// escaped, as JSON escapes the other control characters anyway.
[[nodiscard]] std::string terminal_safe(std::string_view json_text);

/// A value with its members a line each, indented by `indent` spaces, terminal-safe.
[[nodiscard]] std::string pretty(json::Value value, std::size_t indent);

}  // namespace jwt::command
