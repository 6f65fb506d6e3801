#pragma once

#include "ngx.hpp"

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

// Words of HTTP, as header fields spell them.

namespace ngx {

/// A token of RFC 9110 §5.6.2, as header and cookie names are.
[[nodiscard]] bool is_token(std::string_view text) noexcept;

/// same_name of texts of one length.
[[nodiscard]] bool same_letters(std::string_view a, std::string_view b) noexcept;

/// Equality without regard to ASCII case.
[[nodiscard]] inline bool same_name(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() && same_letters(a, b);
}

/// What names of nginx's variables are made of.
inline constexpr std::string_view variable_letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

/// Whether a dollar before this begins the name of one, which nobody begins with a digit.
[[nodiscard]] constexpr bool begins_variable(char c) noexcept {
    return c == '{' || (variable_letters.find(c) != std::string_view::npos && (c < '0' || c > '9'));
}

/// These texts, one behind the other.
[[nodiscard]] std::string joined(std::initializer_list<std::string_view> texts);

/// White space as Python's str.strip knows it, which the recorded answers were made with.
[[nodiscard]] constexpr bool is_white_space(char c) noexcept {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/// Without white space at both ends.
[[nodiscard]] inline std::string_view trimmed(std::string_view text) noexcept {
    while (!text.empty() && is_white_space(text.front())) {
        text.remove_prefix(1);
    }
    while (!text.empty() && is_white_space(text.back())) {
        text.remove_suffix(1);
    }
    return text;
}

/// The part of `text` before its first white space; `text` keeps what follows, trimmed.
[[nodiscard]] std::string_view take_word(std::string_view& text) noexcept;

/// Whether all bytes are greater than a comma, as those of base64url and the dot are: a text with neither white space
/// nor a comma in it, for certain.
[[nodiscard]] bool is_above_comma(std::string_view text) noexcept;

/// Header fields by which nginx says where a message ends and how its connection goes on: a second word on that splits
/// what peers understand (RFC 9112 §6, RFC 9110 §7.6.1).
[[nodiscard]] bool is_of_connection(std::string_view name) noexcept;

/// C0 controls and DEL, which no header line may hold.
[[nodiscard]] bool has_control_character(std::string_view text) noexcept;

/// Decodes %XX, and + as space: a value of a query string or a form. A stray % stays as it is.
[[nodiscard]] std::string unescaped(std::string_view text);

/// The first value of that name in a query string or form ("a=1&b=2"), still escaped.
[[nodiscard]] std::optional<std::string_view> form_value(std::string_view form, std::string_view name);

}  // namespace ngx
