#include "text.hpp"

#include <algorithm>
#include <array>

namespace ngx {

namespace {

constexpr std::string_view token_punctuation = "!#$%&'*+-.^_`|~";

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

bool same_letters(std::string_view a, std::string_view b) noexcept {
    return a == b ||
           std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string joined(std::initializer_list<std::string_view> texts) {
    std::size_t size = 0;
    for (const std::string_view text : texts) {
        size += text.size();
    }
    std::string all;
    all.reserve(size);
    for (const std::string_view text : texts) {
        all += text;
    }
    return all;
}

std::string_view take_word(std::string_view& text) noexcept {
    text = trimmed(text);
    const auto* const end = std::find_if(text.begin(), text.end(), is_white_space);
    const std::string_view word = text.substr(0, static_cast<std::size_t>(end - text.begin()));
    text = trimmed(text.substr(word.size()));
    return word;
}

bool is_above_comma(std::string_view text) noexcept {
    // Compilers look at all bytes of a block at once, as there is no way out of the loop.
    std::array<unsigned char, 16> least_at;
    least_at.fill(0xff);
    for (; text.size() >= least_at.size(); text.remove_prefix(least_at.size())) {
        for (std::size_t i = 0; i < least_at.size(); ++i) {
            least_at[i] = std::min(least_at[i], static_cast<unsigned char>(text[i]));
        }
    }
    unsigned char least = 0xff;
    for (const unsigned char byte : least_at) {
        least = std::min(least, byte);
    }
    for (const char byte : text) {
        least = std::min(least, static_cast<unsigned char>(byte));
    }
    return least > ',';
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
