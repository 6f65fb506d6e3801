#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "json.hpp"

namespace jwt {

/// Where a member stands in a JSON object: names from the outermost on with dots between them, as in
/// realm_access.roles. A dot that belongs to a name is written `\.`, a backslash `\\`. A name of digits alone is an
/// index, from 0 on, where it meets an array.
class Path {
public:
    /// The error completes the sentence `path "…" …`.
    [[nodiscard]] static tl::expected<Path, std::string> parse(std::string_view text);

    /// Goes on with `further` from where this path ends.
    void append(const Path& further);

    [[nodiscard]] std::optional<json::Value> find(json::Value root) const noexcept;

    /// Whether it is that one name.
    [[nodiscard]] bool is(std::string_view name) const noexcept { return names_.size() == 1 && names_.front() == name; }

    /// As it was written.
    [[nodiscard]] const std::string& text() const noexcept { return text_; }

private:
    std::vector<std::string> names_;
    std::string text_;
};

/// What is asked of a member. The negated ones ask for a member too: where it is absent, null, or of a type that
/// cannot be compared, none of these holds but `absent`.
enum class Operator : std::uint8_t {
    present,
    absent,
    equal,
    not_equal,
    in,
    not_in,
    contains,      // all of the values: elements of an array, words of a string (RFC 6749 §3.3)
    contains_any,  // at least one of them
    not_contains,
    matches,
    not_matches,
    less,
    at_most,
    greater,
    at_least,
};

/// A regular expression of whoever uses the core.
class Pattern {
public:
    Pattern() = default;
    Pattern(const Pattern&) = delete;
    Pattern& operator=(const Pattern&) = delete;
    virtual ~Pattern() = default;
    /// Nothing where it could not be found out.
    [[nodiscard]] virtual std::optional<bool> matches(std::string_view subject) const = 0;
};

/// Strings longer than this match no pattern, negated or not: what matching costs is bounded by it.
inline constexpr std::size_t max_subject_size = 4096;

/// How many values a condition names at most.
inline constexpr std::size_t max_condition_values = 64;

struct Condition {
    Path path;
    Operator op = Operator::present;
    bool ignore_case = false;  // of a pattern
    bool media_type = false;   // strings are equal as media types: see same_media_type
};

/// Reads `NAME [OP [VALUE…]]`. The values are only counted: they may change from request to request. The error is a
/// sentence that says what to write.
[[nodiscard]] tl::expected<Condition, std::string> parse_condition(std::span<const std::string_view> words);

/// Why a value that stays as it is makes no sense behind an operator, as a sentence; nothing where it does.
[[nodiscard]] std::optional<std::string> problem_of_value(Operator op, std::string_view value);

/// Whether the operator takes a pattern in place of a value.
[[nodiscard]] bool takes_pattern(Operator op) noexcept;

/// Whether a condition holds for an object. `pattern` is that of an operator that takes one.
///
/// Texts are compared with strings byte by byte, with numbers by value, with true and false by these words; never with
/// null, arrays or objects. An empty value equals nothing, and nothing is known to differ from it: a variable without a
/// value opens no door.
[[nodiscard]] bool holds(const Condition& condition, json::Value object, std::span<const std::string_view> values,
                         const Pattern* pattern = nullptr);

/// Media types as header parameters write them (RFC 7515 §4.1.9): in any case, `application/` may be left out.
[[nodiscard]] bool same_media_type(std::string_view a, std::string_view b) noexcept;

}  // namespace jwt
