#include "output.hpp"

#include <cstdio>

namespace jwt::command {
namespace {

constexpr std::size_t step = 2;

/// The code point of a terminal's control or of a bidirectional mark at the beginning of UTF-8 text, and its size; 0
/// where there is none.
struct Danger {
    unsigned code = 0;
    std::size_t size = 0;
};

[[nodiscard]] Danger danger_at(std::string_view text) noexcept {
    const auto byte = [text](std::size_t i) -> unsigned {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
    };
    if (byte(0) == 0x7f) {
        return {0x7f, 1};
    }
    if (byte(0) == 0xc2 && byte(1) >= 0x80 && byte(1) <= 0x9f) {
        return {byte(1), 2};
    }
    if (byte(0) != 0xe2 || (byte(1) != 0x80 && byte(1) != 0x81)) {
        return {};
    }
    const unsigned code = 0x2000U | (byte(1) & 1U) << 6U | (byte(2) & 0x3fU);
    const bool turns =
        code == 0x200e || code == 0x200f || (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
    return turns ? Danger{code, 3} : Danger{};
}

void append_pretty(std::string& out, json::Value value, std::size_t indent) {
    const bool is_object = value.type() == json::Type::object;
    if ((!is_object && value.type() != json::Type::array) || value.size() == 0) {
        value.append_to(out);
        return;
    }
    bool first = true;
    const auto begin_line = [&] {
        out.append(first ? "\n" : ",\n").append(indent + step, ' ');
        first = false;
    };
    out += is_object ? '{' : '[';
    const auto append_member = [&](std::string_view name, json::Value member) {
        begin_line();
        json::append_string(out, name);
        out += ": ";
        append_pretty(out, member, indent + step);
    };
    const auto append_element = [&](json::Value element) {
        begin_line();
        append_pretty(out, element, indent + step);
    };
    value.each_member(append_member);
    value.each_element(append_element);
    out.append("\n").append(indent, ' ') += is_object ? '}' : ']';
}

}  // namespace

void print(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
}

void print_error(std::string_view sentence) {
    const std::string line = "jwt: " + std::string(sentence) + "\n";
    std::fwrite(line.data(), 1, line.size(), stderr);
}

std::string terminal_safe(std::string_view json_text) {
    constexpr std::string_view hex = "0123456789abcdef";
    std::string out;
    out.reserve(json_text.size());
    while (!json_text.empty()) {
        const Danger danger = danger_at(json_text);
        if (danger.size == 0) {
            out += json_text.front();
            json_text.remove_prefix(1);
            continue;
        }
        out += "\\u";
        for (const unsigned shift : {12U, 8U, 4U, 0U}) {
            out += hex[danger.code >> shift & 15U];
        }
        json_text.remove_prefix(danger.size);
    }
    return out;
}

std::string pretty(json::Value value, std::size_t indent) {
    std::string out(indent, ' ');
    append_pretty(out, value, indent);
    return terminal_safe(out);
}

}  // namespace jwt::command
