#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace jwt::json {

enum class Type : std::uint8_t { null, boolean, number, string, array, object };

/// What is wrong with a JSON text.
enum class ParseError : std::uint8_t { syntax, utf8, number, duplicate_member, too_deep, too_large, no_object };

/// Completes the sentence "Invalid header string: …".
[[nodiscard]] std::string_view text(ParseError error) noexcept;

/// Nesting deeper than this is refused: recursion over a document is bounded by it.
inline constexpr std::size_t max_depth = 64;

/// A value inside a Document: cheap to copy, valid until its document is destroyed or parsed into again.
class Value {
public:
    [[nodiscard]] Type type() const noexcept;
    [[nodiscard]] std::optional<bool> boolean() const noexcept;
    /// Any JSON number; integers beyond 2^53 are rounded.
    [[nodiscard]] std::optional<double> number() const noexcept;
    /// The same, or `other` for what is no number.
    [[nodiscard]] double number_or(double other) const noexcept;
    /// A number written as an integer that fits.
    [[nodiscard]] std::optional<std::int64_t> integer() const noexcept;
    /// Unescaped; may hold NUL and control characters.
    [[nodiscard]] std::optional<std::string_view> string() const noexcept;
    /// The member of that exact name; nothing where there is none or this is no object.
    [[nodiscard]] std::optional<Value> member(std::string_view name) const noexcept;
    /// Where it stands in its document: a number that the same value of a copy has too, and none has twice. Not 0.
    [[nodiscard]] std::uint32_t place() const noexcept { return static_cast<std::uint32_t>(place_); }
    /// The value that stands at a place of this one's document, as place() told it.
    [[nodiscard]] Value at(std::uint32_t place) const noexcept {
        Value value(*this);
        value.place_ = place;
        return value;
    }
    /// Members of an object, elements of an array, 0 else.
    [[nodiscard]] std::size_t size() const noexcept;

    /// Appends this value as compact JSON text.
    void append_to(std::string& out) const;
    [[nodiscard]] std::string text() const;

    /// Calls visit(std::string_view name, Value value) for each member of an object, in order; for nothing else.
    template <class Visitor>
    void each_member(Visitor&& visit) const;

    /// Calls visit(Value element) for each element of an array, in order; for nothing else.
    template <class Visitor>
    void each_element(Visitor&& visit) const;

private:
    friend struct ValueAccess;

    // A simdjson::dom::document, which json.cpp alone may name. None: this is the null of no document.
    const void* document_ = nullptr;
    std::size_t place_ = 0;
};

/// The members of an object or the elements of an array, one after the other; there are none of anything else. Trivial:
/// whoever walks may be left by an exception or a jump.
class Items {
public:
    explicit Items(Value container) noexcept;
    /// Goes to the next, which is the first at the first call; false where there is none.
    [[nodiscard]] bool next() noexcept;
    [[nodiscard]] bool of_object() const noexcept { return of_object_; }
    /// Of a member.
    [[nodiscard]] std::string_view name() const noexcept { return name_; }
    [[nodiscard]] Value value() const noexcept { return container_.at(place_); }
    /// Of the value in its document.
    [[nodiscard]] std::uint32_t place() const noexcept { return place_; }

private:
    Value container_;
    std::string_view name_;
    std::uint32_t place_ = 0;
    std::uint32_t next_ = 0;
    std::uint32_t end_ = 0;
    bool of_object_ = false;
};

template <class Visitor>
void Value::each_member(Visitor&& visit) const {
    for (Items items(*this); items.of_object() && items.next();) {
        visit(items.name(), items.value());
    }
}

template <class Visitor>
void Value::each_element(Visitor&& visit) const {
    for (Items items(*this); !items.of_object() && items.next();) {
        visit(items.value());
    }
}

/// A parsed JSON text; owns what its values point at. Movable: values stay valid across a move.
class Document {
public:
    Document() noexcept;
    ~Document();
    Document(Document&&) noexcept;
    Document& operator=(Document&&) noexcept;
    Document(const Document&) = delete;
    Document& operator=(const Document&) = delete;

    /// What was parsed last; null before that.
    [[nodiscard]] Value root() const noexcept;

    /// Bytes of a copy that has room for what was parsed and no more; a multiple of alignof(void*).
    [[nodiscard]] std::size_t packed_size() const noexcept;
    /// Makes that copy at `memory`, which is aligned as a pointer is. Its values are valid as long as the memory is;
    /// there is nothing to destroy.
    [[nodiscard]] Value pack_into(std::byte* memory) const noexcept;

private:
    friend class Parser;
    struct Storage;
    std::unique_ptr<Storage> storage_;
};

/// The root of a document that Document::pack_into made somewhere in the memory at `from`, which was copied to `to`:
/// that of the copy.
[[nodiscard]] Value moved(Value root, const std::byte* from, std::byte* to) noexcept;

/// Parses whole JSON texts (RFC 8259) strictly: UTF-8 checked, no duplicate member name at any depth (compared after
/// unescaping: RFC 7515 §4, RFC 7519 §4), nesting at most max_depth, nothing behind the value, numbers within what
/// int64, uint64 or a finite double hold. Its buffers are reused from one call to the next: keep one a thread.
class Parser {
public:
    Parser();
    ~Parser();
    Parser(Parser&&) noexcept;
    Parser& operator=(Parser&&) noexcept;

    /// Parses `text` into `document`, whose earlier contents and values end. `text` may be freed afterwards.
    [[nodiscard]] tl::expected<Value, ParseError> parse(std::string_view text, Document& document);

    /// As parse, and refuses with no_object what is no JSON object.
    [[nodiscard]] tl::expected<Value, ParseError> parse_object(std::string_view text, Document& document);

private:
    struct Storage;
    std::unique_ptr<Storage> storage_;
};

/// Appends a JSON string with its quotes. `text` must be UTF-8: see valid_utf8.
void append_string(std::string& out, std::string_view text);

/// Appends a number: integers up to 2^53 without a fraction, others the shortest text that reads back the same.
/// `number` must be finite.
void append_number(std::string& out, double number);

[[nodiscard]] bool valid_utf8(std::string_view text) noexcept;

}  // namespace jwt::json
