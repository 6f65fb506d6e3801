#include "arguments.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace jwt::command {

std::string system_error() {
    return std::generic_category().message(errno);
}

std::string quoted(std::string_view text) {
    constexpr std::size_t longest = 80;
    std::string out = "\"";
    for (const char byte : text.substr(0, longest)) {
        const auto code = static_cast<unsigned char>(byte);
        out += code < ' ' || code == 0x7f ? '?' : byte;
    }
    out += text.size() > longest ? "…\"" : "\"";
    return out;
}

Result<Arguments> Arguments::parse(std::span<char* const> words, std::span<const Option> options) {
    Arguments arguments;
    while (!words.empty()) {
        const std::string_view word = words.front();
        if (word == "--") {
            arguments.operands_.insert(arguments.operands_.end(), words.begin() + 1, words.end());
            break;
        }
        if (word.size() < 2 || word.front() != '-') {
            arguments.operands_.push_back(word);
            words = words.subspan(1);
            continue;
        }
        if (auto fault = arguments.take_option(words, options)) {
            return failure(*std::move(fault));
        }
    }
    return arguments;
}

std::optional<std::string> Arguments::take_option(std::span<char* const>& rest, std::span<const Option> options) {
    const std::string_view word = rest.front();
    rest = rest.subspan(1);
    const std::size_t equals = std::min(word.find('='), word.size());
    const std::string_view name = word.substr(0, equals);
    if (name == "--secret") {
        return "secrets are not taken from the command line, where everybody on this machine can read them: write it "
               "to "
               "a file and name that with --secret-file FILE, or name an environment variable with --secret-env NAME";
    }
    const auto option = std::ranges::find(options, name, &Option::name);
    if (option == options.end()) {
        return "there is no option " + quoted(name) + ": --help lists those there are";
    }
    if (!option->repeatable && has(name)) {
        return "option " + std::string(name) + " is given twice: give it once";
    }
    if (option->value.empty()) {
        if (equals != word.size()) {
            return "option " + std::string(name) + " takes no value: write it alone";
        }
        given_.emplace_back(name, std::string_view());
        return std::nullopt;
    }
    if (equals != word.size()) {
        given_.emplace_back(name, word.substr(equals + 1));
        return std::nullopt;
    }
    if (rest.empty()) {
        return "option " + std::string(name) + " lacks its value: write " + std::string(name) + " " +
               std::string(option->value);
    }
    given_.emplace_back(name, rest.front());
    rest = rest.subspan(1);
    return std::nullopt;
}

bool Arguments::has(std::string_view name) const noexcept {
    return value(name).has_value();
}

std::optional<std::string_view> Arguments::value(std::string_view name) const noexcept {
    for (const auto& [given, text] : given_) {
        if (given == name) {
            return text;
        }
    }
    return std::nullopt;
}

std::vector<std::string_view> Arguments::values(std::string_view name) const {
    std::vector<std::string_view> found;
    for (const auto& [given, text] : given_) {
        if (given == name) {
            found.push_back(text);
        }
    }
    return found;
}

}  // namespace jwt::command
