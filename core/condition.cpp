#include "condition.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace jwt {
namespace {

/// Nothing where two things cannot be compared: then neither a question nor its opposite is answered with yes.
using Finding = std::optional<bool>;

[[nodiscard]] bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}

// ---- paths

/// RFC 6901 §4: no leading zeros.
[[nodiscard]] std::optional<std::size_t> array_index(std::string_view name) noexcept {
    std::size_t index = 0;
    const char* const end = name.data() + name.size();
    const auto [stopped, error] = std::from_chars(name.data(), end, index);
    const bool exact = error == std::errc() && stopped == end && (name.front() != '0' || name.size() == 1);
    return exact ? std::optional(index) : std::nullopt;
}

[[nodiscard]] std::optional<json::Value> element_at(json::Value array, std::string_view name) noexcept {
    const std::optional<std::size_t> wanted = array_index(name);
    std::optional<json::Value> found;
    std::size_t index = 0;
    array.each_element([&](json::Value element) {
        if (wanted == index++) {
            found = element;
        }
    });
    return found;
}

/// Claims of some providers are named by URLs, and the dots of a host are never meant to be steps.
[[nodiscard]] bool is_cut_url(std::string_view text) noexcept {
    const std::size_t scheme_end = text.find("://");
    if (scheme_end == std::string_view::npos) {
        return false;
    }
    const std::string_view rest = text.substr(scheme_end + 3);
    const std::string_view host = rest.substr(0, rest.find('/'));
    for (std::size_t i = 0; i < host.size(); ++i) {
        if (host[i] == '.' && (i == 0 || host[i - 1] != '\\')) {
            return true;
        }
    }
    return false;
}

// ---- operators

struct OperatorWord {
    std::string_view word;
    Operator op;
    bool ignore_case;
    std::size_t min_values;
    std::size_t max_values;
};

constexpr std::array operator_words = {
    OperatorWord{"absent", Operator::absent, false, 0, 0},
    OperatorWord{"=", Operator::equal, false, 1, 1},
    OperatorWord{"!=", Operator::not_equal, false, 1, 1},
    OperatorWord{"in", Operator::in, false, 1, max_condition_values},
    OperatorWord{"!in", Operator::not_in, false, 1, max_condition_values},
    OperatorWord{"contains", Operator::contains, false, 1, max_condition_values},
    OperatorWord{"contains_any", Operator::contains_any, false, 1, max_condition_values},
    // Of one value alone: that of several would be read as "not all of them" by some, as "none of them" by others.
    OperatorWord{"!contains", Operator::not_contains, false, 1, 1},
    OperatorWord{"~", Operator::matches, false, 1, 1},
    OperatorWord{"~*", Operator::matches, true, 1, 1},
    OperatorWord{"!~", Operator::not_matches, false, 1, 1},
    OperatorWord{"!~*", Operator::not_matches, true, 1, 1},
    OperatorWord{"<", Operator::less, false, 1, 1},
    OperatorWord{"<=", Operator::at_most, false, 1, 1},
    OperatorWord{">", Operator::greater, false, 1, 1},
    OperatorWord{">=", Operator::at_least, false, 1, 1},
};

[[nodiscard]] std::string quoted(std::string_view text) {
    return '"' + std::string(text) + '"';
}

[[nodiscard]] std::string all_operators() {
    std::string text;
    for (const OperatorWord& known : operator_words) {
        text.append(text.empty() ? "" : " ").append(known.word);
    }
    return text;
}

[[nodiscard]] std::string wrong_count(const OperatorWord& known) {
    const std::string called = "operator " + quoted(known.word);
    if (known.max_values == 0) {
        return called + " takes no value: remove what follows it";
    }
    if (known.max_values == max_condition_values) {
        return called + " takes 1 to " + std::to_string(max_condition_values) + " values";
    }
    const bool has_list = known.op == Operator::equal || known.op == Operator::not_equal;
    return called + " takes one value: " +
           (has_list ? "write \"in\" or \"!in\" for a list" : "write a directive for each further one");
}

[[nodiscard]] bool compares_numbers(Operator op) noexcept {
    return op == Operator::less || op == Operator::at_most || op == Operator::greater || op == Operator::at_least;
}

// ---- values

// Wide enough for every integer of 64 bits beside every double where a compiler's long double is wider than a double.
using Number = long double;

template <class T>
[[nodiscard]] std::optional<Number> number_as(std::string_view text) noexcept {
    T number;
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, number);
    return error == std::errc() && stopped == end ? std::optional<Number>(number) : std::nullopt;
}

[[nodiscard]] std::optional<Number> number_of(std::string_view text) noexcept {
    const std::string_view digits = text.substr(text.starts_with('-') ? 1 : 0);
    if (digits.empty() || !is_digit(digits.front())) {  // also "inf" and "nan"
        return std::nullopt;
    }
    if (const auto integer = number_as<std::int64_t>(text)) {
        return integer;
    }
    if (const auto large = number_as<std::uint64_t>(text)) {
        return large;
    }
    const auto number = number_as<double>(text);
    return number && std::isfinite(*number) ? number : std::nullopt;
}

[[nodiscard]] std::optional<Number> number_of(json::Value value) {
    if (value.type() != json::Type::number) {
        return std::nullopt;
    }
    if (const auto integer = value.integer()) {
        return *integer;
    }
    return number_of(value.text());
}

[[nodiscard]] Finding equals(json::Value value, std::string_view text, bool media_type) {
    if (text.empty()) {
        return std::nullopt;
    }
    if (const auto string = value.string()) {
        return media_type ? same_media_type(*string, text) : *string == text;
    }
    if (const auto boolean = value.boolean()) {
        return text == (*boolean ? "true" : "false");
    }
    if (const auto number = number_of(value)) {
        return number == number_of(text);
    }
    return std::nullopt;
}

/// Yes where one of them is; no where it is known of each that it is not.
class AnyOf {
public:
    void add(Finding finding) noexcept {
        found_ = found_ || finding.value_or(false);
        unknown_ = unknown_ || !finding;
    }
    [[nodiscard]] Finding result() const noexcept {
        return found_ ? Finding(true) : unknown_ ? std::nullopt : Finding(false);
    }

private:
    bool found_ = false;
    bool unknown_ = false;
};

[[nodiscard]] Finding equals_any(json::Value value, std::span<const std::string_view> texts, bool media_type) {
    AnyOf any;
    for (const std::string_view text : texts) {
        any.add(equals(value, text, media_type));
    }
    return any.result();
}

/// RFC 6749 §3.3: words apart by spaces, and by nothing else.
[[nodiscard]] bool has_word(std::string_view list, std::string_view word) noexcept {
    while (true) {
        const std::size_t end = std::min(list.find(' '), list.size());
        if (list.substr(0, end) == word) {
            return true;
        }
        if (end == list.size()) {
            return false;
        }
        list.remove_prefix(end + 1);
    }
}

[[nodiscard]] Finding contains(json::Value value, std::string_view text) {
    if (text.empty()) {
        return std::nullopt;
    }
    if (const auto list = value.string()) {
        return has_word(*list, text);
    }
    if (value.type() != json::Type::array) {
        return std::nullopt;
    }
    AnyOf any;
    value.each_element([&](json::Value element) { any.add(equals(element, text, false)); });
    return any.result();
}

[[nodiscard]] bool contains_all(json::Value value, std::span<const std::string_view> texts) {
    return std::all_of(texts.begin(), texts.end(),
                       [value](std::string_view text) { return contains(value, text).value_or(false); });
}

[[nodiscard]] bool contains_any(json::Value value, std::span<const std::string_view> texts) {
    return std::any_of(texts.begin(), texts.end(),
                       [value](std::string_view text) { return contains(value, text).value_or(false); });
}

/// Patterns see plain texts alone: to `$` of PCRE, "admin\n" ends behind its n.
[[nodiscard]] Finding matches(json::Value value, const Pattern* pattern) {
    const std::optional<std::string_view> subject = value.string();
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    if (!subject || pattern == nullptr || subject->size() > max_subject_size ||
        std::any_of(subject->begin(), subject->end(), is_control)) {
        return std::nullopt;
    }
    return pattern->matches(*subject);
}

[[nodiscard]] bool compares(Operator op, json::Value value, std::string_view text) {
    const std::optional<Number> left = number_of(value);
    const std::optional<Number> right = number_of(text);
    if (!left || !right) {
        return false;
    }
    switch (op) {
        case Operator::less:
            return *left < *right;
        case Operator::at_most:
            return *left <= *right;
        case Operator::greater:
            return *left > *right;
        default:
            return *left >= *right;
    }
}

[[nodiscard]] bool same_letters(std::string_view a, std::string_view b) noexcept {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

[[nodiscard]] std::string_view without_application(std::string_view type) noexcept {
    constexpr std::string_view prefix = "application/";
    return same_letters(type.substr(0, prefix.size()), prefix) ? type.substr(prefix.size()) : type;
}

}  // namespace

tl::expected<Path, std::string> Path::parse(std::string_view text) {
    Path path;
    path.text_ = text;
    std::string name;
    const auto end_name = [&] {
        path.names_.push_back(std::move(name));
        name.clear();
        return !path.names_.back().empty();
    };
    constexpr std::string_view empty_name = "has an empty name: write names with one dot between them, as in a.b";
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool escapes = text[i] == '\\';
        if (escapes && (++i == text.size() || (text[i] != '.' && text[i] != '\\'))) {
            return tl::unexpected<std::string>(
                "has a backslash before neither a dot nor a backslash: write \"\\.\" for a dot in a name, \"\\\\\" for "
                "a backslash");
        }
        if (escapes || text[i] != '.') {
            name.push_back(text[i]);
        } else if (!end_name()) {
            return tl::unexpected(std::string(empty_name));
        }
    }
    if (!end_name()) {
        return tl::unexpected(std::string(empty_name));
    }
    if (path.names_.size() > json::max_depth) {
        return tl::unexpected("goes deeper than the " + std::to_string(json::max_depth) + " levels of a token");
    }
    if (is_cut_url(text)) {
        return tl::unexpected<std::string>(
            "is a URL cut at its dots: write \"\\.\" for each dot of the name, as in https://example\\.com/roles");
    }
    return path;
}

void Path::append(const Path& further) {
    names_.insert(names_.end(), further.names_.begin(), further.names_.end());
    text_ += '.' + further.text_;
}

std::optional<json::Value> Path::find(json::Value root) const noexcept {
    std::optional<json::Value> at = root;
    for (const std::string& name : names_) {
        at = at->type() == json::Type::array ? element_at(*at, name) : at->member(name);
        if (!at) {
            break;
        }
    }
    return at;
}

tl::expected<Condition, std::string> parse_condition(std::span<const std::string_view> words) {
    const std::string_view name = words.empty() ? std::string_view() : words.front();
    auto path = Path::parse(name);
    if (!path) {
        return tl::unexpected("path " + quoted(name) + " " + path.error());
    }
    Condition condition{.path = *std::move(path)};
    if (words.size() < 2) {
        return condition;
    }
    const auto* const known = std::find_if(operator_words.begin(), operator_words.end(),
                                           [&](const OperatorWord& candidate) { return candidate.word == words[1]; });
    if (known == operator_words.end()) {
        return tl::unexpected("unknown operator " + quoted(words[1]) + ": write one of " + all_operators());
    }
    const std::size_t count = words.size() - 2;
    if (count < known->min_values || count > known->max_values) {
        return tl::unexpected(wrong_count(*known));
    }
    condition.op = known->op;
    condition.ignore_case = known->ignore_case;
    return condition;
}

std::optional<std::string> problem_of_value(Operator op, std::string_view value) {
    if (value.empty()) {
        return "an empty value equals nothing: write the value";
    }
    if (compares_numbers(op) && !number_of(value)) {
        return quoted(value) + " is no number: \"<\", \"<=\", \">\" and \">=\" compare numbers";
    }
    return std::nullopt;
}

bool takes_pattern(Operator op) noexcept {
    return op == Operator::matches || op == Operator::not_matches;
}

bool holds(const Condition& condition, json::Value object, std::span<const std::string_view> values,
           const Pattern* pattern) {
    const std::optional<json::Value> value = condition.path.find(object);
    const bool is_there = value && value->type() != json::Type::null;
    if (!is_there || condition.op == Operator::present || condition.op == Operator::absent) {
        return is_there ? condition.op == Operator::present : condition.op == Operator::absent;
    }
    const auto is = [](Finding finding, bool answer) { return finding == answer; };
    switch (condition.op) {
        case Operator::present:
        case Operator::absent:
            return false;
        case Operator::equal:
        case Operator::in:
            return is(equals_any(*value, values, condition.media_type), true);
        case Operator::not_equal:
        case Operator::not_in:
            return is(equals_any(*value, values, condition.media_type), false);
        case Operator::contains:
            return contains_all(*value, values);
        case Operator::contains_any:
            return contains_any(*value, values);
        case Operator::not_contains:
            return is(contains(*value, values.front()), false);
        case Operator::matches:
            return is(matches(*value, pattern), true);
        case Operator::not_matches:
            return is(matches(*value, pattern), false);
        case Operator::less:
        case Operator::at_most:
        case Operator::greater:
        case Operator::at_least:
            return compares(condition.op, *value, values.front());
    }
    return false;
}

bool same_media_type(std::string_view a, std::string_view b) noexcept {
    return same_letters(without_application(a), without_application(b));
}

}  // namespace jwt
