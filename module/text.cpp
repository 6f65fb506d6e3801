#include "text.hpp"

#include <algorithm>

namespace ngx {

namespace {

constexpr std::string_view token_punctuation = "!#$%&'*+-.^_`|~";
constexpr std::string_view white_space = " \t\n\r\v\f";

constexpr char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

constexpr int hex_digit(char c) noexcept {
    return c >= '0' && c <= '9' ? c - '0' : lower(c) >= 'a' && lower(c) <= 'f' ? lower(c) - 'a' + 10 : -1;
}

}  // namespace

bool is_token(std::string_view text) noexcept {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
               token_punctuation.find(c) != std::string_view::npos;
    });
}

bool same_name(std::string_view a, std::string_view b) noexcept {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trimmed(std::string_view text) noexcept {
    const std::size_t first = text.find_first_not_of(white_space);
    if (first == std::string_view::npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(white_space) - first + 1);
}

std::string_view take_word(std::string_view& text) noexcept {
    text = trimmed(text);
    const std::size_t end = std::min(text.find_first_of(white_space), text.size());
    const std::string_view word = text.substr(0, end);
    text = trimmed(text.substr(end));
    return word;
}

bool is_of_connection(std::string_view name) noexcept {
    constexpr std::string_view names[] = {
        "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Upgrade", "Expect", "TE", "Trailer"};
    return std::any_of(std::begin(names), std::end(names), [&](std::string_view one) { return same_name(name, one); });
}

bool has_control_character(std::string_view text) noexcept {
    return std::any_of(text.begin(), text.end(),
                       [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::string unescaped(std::string_view text) {
    std::string bytes;
    bytes.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool escape =
            text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0;
        if (escape) {
            bytes.push_back(static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])));
            i += 2;
        } else {
            bytes.push_back(text[i] == '+' ? ' ' : text[i]);
        }
    }
    return bytes;
}

std::optional<std::string_view> form_value(std::string_view form, std::string_view name) {
    while (!form.empty()) {
        const std::size_t end = std::min(form.find('&'), form.size());
        const std::string_view pair = form.substr(0, end);
        const std::size_t equals = std::min(pair.find('='), pair.size());
        if (unescaped(pair.substr(0, equals)) == name) {
            return pair.substr(std::min(equals + 1, pair.size()));
        }
        form.remove_prefix(std::min(end + 1, form.size()));
    }
    return std::nullopt;
}

}  // namespace ngx
