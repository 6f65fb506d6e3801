#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

namespace jwt::command {

/// A value, or a sentence for the operator: what is wrong, and what to write instead.
template <class T>
using Result = tl::expected<T, std::string>;

[[nodiscard]] inline tl::unexpected<std::string> failure(std::string message) {
    return tl::unexpected(std::move(message));
}

/// What the system says about the last call that failed: "No such file or directory".
[[nodiscard]] std::string system_error();

/// Text for a message: in quotes, shortened, without control characters.
[[nodiscard]] std::string quoted(std::string_view text);

struct Option {
    std::string_view name;   // "--key"
    std::string_view value;  // what it takes, in capitals; empty: nothing
    bool repeatable = false;
};

/// The words behind a subcommand.
class Arguments {
public:
    /// `options` must outlive the arguments; words are views into `words`. A lone "-" is an operand, and so is all that
    /// is behind "--".
    [[nodiscard]] static Result<Arguments> parse(std::span<char* const> words, std::span<const Option> options);

    [[nodiscard]] bool has(std::string_view name) const noexcept;
    /// Of the first option of that name.
    [[nodiscard]] std::optional<std::string_view> value(std::string_view name) const noexcept;
    [[nodiscard]] std::vector<std::string_view> values(std::string_view name) const;
    [[nodiscard]] const std::vector<std::pair<std::string_view, std::string_view>>& options() const noexcept {
        return given_;
    }
    [[nodiscard]] const std::vector<std::string_view>& operands() const noexcept { return operands_; }

private:
    [[nodiscard]] std::optional<std::string> take_option(std::span<char* const>& rest, std::span<const Option> options);

    std::vector<std::pair<std::string_view, std::string_view>> given_;
    std::vector<std::string_view> operands_;
};

}  // namespace jwt::command
