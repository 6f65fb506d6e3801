#pragma once

#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "../json.hpp"
#include "arguments.hpp"
#include "command.hpp"

namespace jwt::command {

/// The payload or plaintext of one line's token, or the word for what is wrong.
using Verdict = tl::expected<std::string, std::string_view>;

// Two words that are no Error, as no token was looked at.
inline constexpr std::string_view input_word = "input";
inline constexpr std::string_view key_word = "key";

[[nodiscard]] inline tl::unexpected<std::string_view> invalid(std::string_view error) {
    return tl::unexpected(error);
}

/// Judges one line's object; the parser is for the token's header.
using Judge = Verdict (*)(json::Value object, json::Parser& parser);

/// --batch: reads a file or standard input, one JSON object a line, and prints a verdict for each. `member` is what a
/// verdict calls the bytes that it found.
[[nodiscard]] Result<Exit> judge_lines(const Arguments& arguments, Judge judge, std::string_view member);

}  // namespace jwt::command
