#include "json.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <new>
#include <vector>

#include <simdjson.h>

namespace jwt::json {

namespace dom = simdjson::dom;

using Place = simdjson::internal::tape_ref;  // in a document

/// What Value's members mean.
struct ValueAccess {
    static_assert(sizeof(dom::element) == sizeof(Place) && std::is_trivially_copyable_v<dom::element>);

    [[nodiscard]] static Value value_at(const Place& place) noexcept {
        Value value;
        value.document_ = place.doc;
        value.place_ = place.json_index;
        return value;
    }

    /// No document for the null of none.
    [[nodiscard]] static Place place(const Value& value) noexcept {
        return {static_cast<const dom::document*>(value.document_), value.place_};
    }

    /// simdjson lets nobody else make an element, which is a place and no more.
    [[nodiscard]] static std::optional<dom::element> element(const Value& value) noexcept {
        if (value.document_ == nullptr) {
            return std::nullopt;
        }
        const Place at = place(value);
        dom::element element;
        std::memcpy(static_cast<void*>(&element), &at, sizeof element);
        return element;
    }

    [[nodiscard]] static Value root(const dom::document& document) noexcept {
        return value_at(Place(&document, 1));  // behind the word that says where the document ends
    }
};

namespace {

// Keeps buffers within reason, and element counts below 2^24, where simdjson stops counting.
constexpr std::size_t max_text_size = std::size_t{16} * 1024 * 1024;

constexpr std::size_t first_capacity = 4096;

template <class T>
[[nodiscard]] std::optional<T> get(const Value& value) noexcept {
    const std::optional<dom::element> element = ValueAccess::element(value);
    T result;
    if (!element || element->get(result) != simdjson::SUCCESS) {
        return std::nullopt;
    }
    return result;
}

[[nodiscard]] bool is_object(const Place& place) noexcept {
    return place.doc != nullptr && place.tape_ref_type() == simdjson::internal::tape_type::START_OBJECT;
}

[[nodiscard]] ParseError parse_error(simdjson::error_code code) {
    switch (code) {
        case simdjson::MEMALLOC:
            throw std::bad_alloc();
        case simdjson::CAPACITY:
            return ParseError::too_large;
        case simdjson::DEPTH_ERROR:
            return ParseError::too_deep;
        case simdjson::UTF8_ERROR:
            return ParseError::utf8;
        case simdjson::NUMBER_ERROR:
            return ParseError::number;
        default:
            return ParseError::syntax;
    }
}

/// What simdjson leaves to its users: each name once in its object, and an exact depth (it does not count an empty
/// array or object as a level).
class Inspection {
public:
    Inspection(const dom::document& document, std::vector<std::string_view>& names) noexcept
        : document_(document), names_(names) {}

    /// The value at that index of the tape, `depth` levels down.
    [[nodiscard]] std::optional<ParseError> inspect(std::size_t index, std::size_t depth) {
        switch (at(index).tape_ref_type()) {
            case simdjson::internal::tape_type::START_ARRAY:
                return depth == max_depth ? ParseError::too_deep : inspect_array(index, depth + 1);
            case simdjson::internal::tape_type::START_OBJECT:
                return depth == max_depth ? ParseError::too_deep : inspect_object(index, depth + 1);
            case simdjson::internal::tape_type::STRING:
                note_string(at(index).get_string_view());
                return std::nullopt;
            default:
                return std::nullopt;
        }
    }

    /// Where the last string of the document ends, its NUL included; null where it has none.
    [[nodiscard]] const char* end_of_strings() const noexcept { return end_of_strings_; }

private:
    static constexpr std::size_t few = 16;

    [[nodiscard]] Place at(std::size_t index) const noexcept { return {&document_, index}; }

    [[nodiscard]] std::optional<ParseError> inspect_array(std::size_t index, std::size_t depth) {
        const std::size_t end = at(index).matching_brace_index() - 1;
        for (++index; index < end; index = at(index).after_element()) {
            if (const auto error = inspect(index, depth)) {
                return error;
            }
        }
        return std::nullopt;
    }

    // RFC 8725 §2.4, RFC 7515 §4, RFC 7519 §4: parsers differ in which of two equal names they take.
    [[nodiscard]] std::optional<ParseError> inspect_object(std::size_t index, std::size_t depth) {
        const std::size_t end = at(index).matching_brace_index() - 1;
        const bool has_few = at(index).scope_count() <= few;
        ++index;
        if (!has_few && repeats_among_many(index, end)) {
            return ParseError::duplicate_member;
        }
        std::array<std::size_t, few> names;
        std::size_t count = 0;
        std::uint64_t seen = 0;  // one bit for all names that begin alike and are of one length
        for (; index < end; index = at(index).after_element()) {
            const std::string_view name = at(index).get_string_view();
            if (has_few) {
                const std::uint64_t bit = bit_of(name);
                const auto is_same = [&](std::size_t other) { return at(other).get_string_view() == name; };
                if ((seen & bit) != 0 && std::any_of(names.begin(), names.begin() + count, is_same)) {
                    return ParseError::duplicate_member;
                }
                seen |= bit;
                names[count++] = index;
            }
            note_string(name);
            if (const auto error = inspect(++index, depth)) {
                return error;
            }
        }
        return std::nullopt;
    }

    [[nodiscard]] static std::uint64_t bit_of(std::string_view name) noexcept {
        const auto first = name.empty() ? 0U : static_cast<unsigned char>(name.front());
        return std::uint64_t{1} << ((first * 27 + name.size()) % 64);
    }

    /// Of the members from an index to the end of their object.
    [[nodiscard]] bool repeats_among_many(std::size_t index, std::size_t end) {
        names_.clear();
        for (; index < end; index = at(index).after_element()) {
            names_.push_back(at(index).get_string_view());
            ++index;
        }
        std::sort(names_.begin(), names_.end());
        return std::adjacent_find(names_.begin(), names_.end()) != names_.end();
    }

    /// Strings are inspected in the order in which simdjson stored them.
    void note_string(std::string_view text) noexcept { end_of_strings_ = text.data() + text.size() + 1; }

    const dom::document& document_;
    std::vector<std::string_view>& names_;
    const char* end_of_strings_ = nullptr;
};

template <class Integer>
void append_integer(std::string& out, Integer integer) {
    std::array<char, 24> digits;
    out.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), integer).ptr);
}

// Bounded by max_depth: no Document holds a deeper value.
void append_element(std::string& out, const dom::element& element) {
    switch (element.type()) {
        case dom::element_type::ARRAY: {
            char separator = '[';
            for (const dom::element child : dom::array(element.get_array().value_unsafe())) {
                out.push_back(separator);
                append_element(out, child);
                separator = ',';
            }
            out.append(separator == '[' ? "[]" : "]");
            return;
        }
        case dom::element_type::OBJECT: {
            char separator = '{';
            for (const dom::key_value_pair member : dom::object(element.get_object().value_unsafe())) {
                out.push_back(separator);
                append_string(out, member.key);
                out.push_back(':');
                append_element(out, member.value);
                separator = ',';
            }
            out.append(separator == '{' ? "{}" : "}");
            return;
        }
        case dom::element_type::INT64:
            return append_integer(out, element.get_int64().value_unsafe());
        case dom::element_type::UINT64:
            return append_integer(out, element.get_uint64().value_unsafe());
        case dom::element_type::DOUBLE:
            return append_number(out, element.get_double().value_unsafe());
        case dom::element_type::STRING:
            return append_string(out, element.get_string().value_unsafe());
        case dom::element_type::BOOL:
            out.append(element.get_bool().value_unsafe() ? "true" : "false");
            return;
        case dom::element_type::NULL_VALUE:
            break;
    }
    out.append("null");
}

}  // namespace

std::string_view text(ParseError error) noexcept {
    switch (error) {
        case ParseError::syntax:
            return "not valid JSON";
        case ParseError::utf8:
            return "not valid UTF-8";
        case ParseError::number:
            return "a number is malformed or out of range";
        case ParseError::duplicate_member:
            return "an object has two members of one name";
        case ParseError::too_deep:
            return "nested deeper than 64 levels";
        case ParseError::too_large:
            return "longer than 16 MiB";
        case ParseError::no_object:
            return "must be a json object";
    }
    return {};
}

Type Value::type() const noexcept {
    const std::optional<dom::element> element = ValueAccess::element(*this);
    if (!element) {
        return Type::null;
    }
    switch (element->type()) {
        case dom::element_type::ARRAY:
            return Type::array;
        case dom::element_type::OBJECT:
            return Type::object;
        case dom::element_type::INT64:
        case dom::element_type::UINT64:
        case dom::element_type::DOUBLE:
            return Type::number;
        case dom::element_type::STRING:
            return Type::string;
        case dom::element_type::BOOL:
            return Type::boolean;
        case dom::element_type::NULL_VALUE:
            break;
    }
    return Type::null;
}

std::optional<bool> Value::boolean() const noexcept {
    return get<bool>(*this);
}

std::optional<double> Value::number() const noexcept {
    return get<double>(*this);
}

double Value::number_or(double other) const noexcept {
    return get<double>(*this).value_or(other);
}

std::optional<std::int64_t> Value::integer() const noexcept {
    return get<std::int64_t>(*this);
}

std::optional<std::string_view> Value::string() const noexcept {
    return get<std::string_view>(*this);
}

std::optional<Value> Value::member(std::string_view name) const noexcept {
    Place place = ValueAccess::place(*this);
    if (!is_object(place)) {
        return std::nullopt;
    }
    // Claims are looked up a dozen times a request, and simdjson's own look-up costs four times as much.
    const std::size_t end = place.matching_brace_index() - 1;
    for (++place.json_index; place.json_index < end; place.json_index = place.after_element()) {
        const std::string_view key = place.get_string_view();
        ++place.json_index;
        if (key.size() == name.size() && (name.empty() || key.front() == name.front()) && key == name) {
            return ValueAccess::value_at(place);
        }
    }
    return std::nullopt;
}

std::size_t Value::size() const noexcept {
    if (const std::optional<dom::object> object = get<dom::object>(*this)) {
        return object->size();
    }
    const std::optional<dom::array> array = get<dom::array>(*this);
    return array ? array->size() : 0;
}

void Value::append_to(std::string& out) const {
    if (const std::optional<dom::element> element = ValueAccess::element(*this)) {
        append_element(out, *element);
    } else {
        out.append("null");
    }
}

std::string Value::text() const {
    std::string out;
    append_to(out);
    return out;
}

Items::Items(Value container) noexcept : container_(container) {
    using simdjson::internal::tape_type;
    const Place place = ValueAccess::place(container);
    of_object_ = is_object(place);
    if (of_object_ || (place.doc != nullptr && place.tape_ref_type() == tape_type::START_ARRAY)) {
        end_ = place.matching_brace_index() - 1;
        next_ = container.place() + 1;
    }
}

bool Items::next() noexcept {
    if (next_ >= end_) {
        return false;
    }
    Place place = ValueAccess::place(container_);
    place.json_index = next_;
    if (of_object_) {
        name_ = place.get_string_view();
        ++place.json_index;
    }
    place_ = static_cast<std::uint32_t>(place.json_index);
    next_ = static_cast<std::uint32_t>(place.after_element());
    return true;
}

struct Document::Storage {
    dom::document document;
    bool parsed = false;
    std::size_t strings_size = 0;

    // The first word of a tape says where its last one is.
    [[nodiscard]] std::size_t tape_size() const noexcept {
        return (static_cast<std::size_t>(document.tape[0] & simdjson::internal::JSON_VALUE_MASK) + 1) *
               sizeof(std::uint64_t);
    }
};

Document::Document() noexcept = default;
Document::~Document() = default;
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(Document&&) noexcept = default;

Value Document::root() const noexcept {
    return storage_ && storage_->parsed ? ValueAccess::root(storage_->document) : Value();
}

std::size_t Document::packed_size() const noexcept {
    if (!storage_ || !storage_->parsed) {
        return 0;
    }
    const std::size_t size = sizeof(dom::document) + storage_->tape_size() + storage_->strings_size;
    return (size + alignof(void*) - 1) / alignof(void*) * alignof(void*);
}

Value Document::pack_into(std::byte* memory) const noexcept {
    if (!storage_ || !storage_->parsed) {
        return {};
    }
    // Never destroyed: its two owning pointers lead into `memory`, whose owner frees them with it.
    auto* const packed = new (memory) dom::document();
    std::byte* const tape = memory + sizeof(dom::document);
    std::byte* const strings = tape + storage_->tape_size();
    std::memcpy(tape, storage_->document.tape.get(), storage_->tape_size());
    std::memcpy(strings, storage_->document.string_buf.get(), storage_->strings_size);
    packed->tape.reset(reinterpret_cast<std::uint64_t*>(tape));
    packed->string_buf.reset(reinterpret_cast<std::uint8_t*>(strings));
    return ValueAccess::root(*packed);
}

Value moved(Value root, const std::byte* from, std::byte* to) noexcept {
    Place place = ValueAccess::place(root);
    if (place.doc == nullptr) {
        return root;
    }
    const auto there = [from, to](const auto* here) { return to + (reinterpret_cast<const std::byte*>(here) - from); };
    auto* const copy = new (there(place.doc)) dom::document();
    copy->tape.reset(reinterpret_cast<std::uint64_t*>(there(place.doc->tape.get())));
    copy->string_buf.reset(reinterpret_cast<std::uint8_t*>(there(place.doc->string_buf.get())));
    place.doc = copy;
    return ValueAccess::value_at(place);
}

struct Parser::Storage {
    dom::parser parser{max_text_size};
    std::vector<char> text;
    std::vector<std::string_view> names;
};

Parser::Parser() : storage_(std::make_unique<Storage>()) {
    // One more than max_depth: simdjson refuses at the number itself.
    if (storage_->parser.allocate(first_capacity, max_depth + 1) != simdjson::SUCCESS) {
        throw std::bad_alloc();
    }
}

Parser::~Parser() = default;
Parser::Parser(Parser&&) noexcept = default;
Parser& Parser::operator=(Parser&&) noexcept = default;

tl::expected<Value, ParseError> Parser::parse(std::string_view text, Document& document) {
    if (!document.storage_) {
        document.storage_ = std::make_unique<Document::Storage>();
    }
    document.storage_->parsed = false;
    if (text.size() > max_text_size) {
        return tl::unexpected(ParseError::too_large);
    }
    std::vector<char>& buffer = storage_->text;
    if (buffer.size() < text.size() + simdjson::SIMDJSON_PADDING) {
        buffer.resize(text.size() + simdjson::SIMDJSON_PADDING);
    }
    // simdjson reads into the padding; zeroes there keep an earlier text from having a say.
    std::copy(text.begin(), text.end(), buffer.begin());
    std::fill_n(buffer.data() + text.size(), simdjson::SIMDJSON_PADDING, '\0');

    dom::element root;
    const simdjson::error_code code =
        storage_->parser.parse_into_document(document.storage_->document, buffer.data(), text.size(), false).get(root);
    if (code != simdjson::SUCCESS) {
        return tl::unexpected(parse_error(code));
    }
    const Value value = ValueAccess::root(document.storage_->document);
    Inspection inspection(document.storage_->document, storage_->names);
    if (const auto error = inspection.inspect(value.place(), 0)) {
        return tl::unexpected(*error);
    }
    const auto* const strings = reinterpret_cast<const char*>(document.storage_->document.string_buf.get());
    document.storage_->strings_size =
        inspection.end_of_strings() == nullptr ? 0 : static_cast<std::size_t>(inspection.end_of_strings() - strings);
    document.storage_->parsed = true;
    return value;
}

tl::expected<Value, ParseError> Parser::parse_object(std::string_view text, Document& document) {
    tl::expected<Value, ParseError> root = parse(text, document);
    if (root && root->type() != Type::object) {
        document.storage_->parsed = false;
        return tl::unexpected(ParseError::no_object);
    }
    return root;
}

void append_string(std::string& out, std::string_view text) {
    constexpr std::string_view hex = "0123456789abcdef";
    out.push_back('"');
    std::size_t plain = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        if (byte >= 0x20 && byte != '"' && byte != '\\') {
            continue;
        }
        out.append(text.substr(plain, i - plain));
        plain = i + 1;
        switch (byte) {
            case '"':
                out.append("\\\"");
                break;
            case '\\':
                out.append("\\\\");
                break;
            case '\b':
                out.append("\\b");
                break;
            case '\f':
                out.append("\\f");
                break;
            case '\n':
                out.append("\\n");
                break;
            case '\r':
                out.append("\\r");
                break;
            case '\t':
                out.append("\\t");
                break;
            default:
                out.append("\\u00").append({hex[byte >> 4U], hex[byte & 15U]});
        }
    }
    out.append(text.substr(plain)).push_back('"');
}

void append_number(std::string& out, double number) {
    constexpr double exact = 9007199254740992;  // 2^53
    if (number == 0 && std::signbit(number)) {
        out.append("-0.0");
        return;
    }
    std::array<char, 32> text;
    char* const end = text.data() + text.size();
    // Above 2^53 in exponent form: written out, it would be read as an integer, and refused from 2^64 on.
    const auto written =
        std::abs(number) > exact       ? std::to_chars(text.data(), end, number, std::chars_format::scientific)
        : number == std::trunc(number) ? std::to_chars(text.data(), end, static_cast<std::int64_t>(number))
                                       : std::to_chars(text.data(), end, number);
    out.append(text.data(), written.ptr);
}

bool valid_utf8(std::string_view text) noexcept {
    return simdjson::validate_utf8(text.data(), text.size());
}

}  // namespace jwt::json
