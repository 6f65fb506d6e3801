#include "revocation_format.hpp"

#include <array>
#include <charconv>
#include <map>

namespace jwt::revocation {

namespace {

using redis::Reply;

constexpr std::int64_t max_number = (std::int64_t{1} << 53) - 1;  // scripts count in doubles
constexpr std::size_t max_name = 4096;
/// An application knows a token's `exp`, and not by how much a location's leeway prolongs its life.
constexpr std::chrono::hours margin{1};
/// As long as a node keeps its own.
constexpr std::chrono::hours tombstone_life{24 * 30};

std::optional<std::int64_t> number(std::string_view text) noexcept {
    std::int64_t value = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = !text.empty() && problem == std::errc() && end == text.data() + text.size();
    return whole && text.front() != '-' && value <= max_number ? std::optional(value) : std::nullopt;
}

/// `=` and the text, so that none of it is mistaken for `-` or `*`; white space and what is not ASCII as %XX.
std::string escaped(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string result = "=";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte > 0x20 && byte < 0x7f && c != '%') {
            result += c;
        } else {
            result += {'%', digits[byte >> 4], digits[byte & 15]};
        }
    }
    return result;
}

std::optional<std::string> unescaped(std::string_view text) {
    if (!text.starts_with('=')) {
        return std::nullopt;
    }
    std::string result;
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] != '%') {
            result += text[i];
            continue;
        }
        unsigned byte = 0;
        if (i + 2 >= text.size() || std::from_chars(&text[i + 1], &text[i + 3], byte, 16).ptr != &text[i + 3]) {
            return std::nullopt;
        }
        result += static_cast<char>(static_cast<unsigned char>(byte));
        i += 2;
    }
    return result;
}

std::string time_text(const std::optional<Time>& time) {
    return time ? std::to_string(std::max<std::int64_t>(time->time_since_epoch().count(), 0)) : "-";
}

bool read_time(std::string_view text, std::optional<Time>& into) {
    if (text == "-") {
        into.reset();
        return true;
    }
    const auto value = number(text);
    if (value) {
        into = Time(std::chrono::milliseconds(*value));
    }
    return value.has_value();
}

std::string node_text(std::uint64_t node) {
    std::array<char, 16> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), node, 16).ptr;
    const auto size = static_cast<std::size_t>(end - digits.data());
    return std::string(digits.size() - size, '0') + std::string(digits.data(), size);
}

bool read_issuer(std::string_view text, Issuer& into) {
    if (text == "*" || text == "-") {
        into = {text == "*" ? Issuer::Scope::any : Issuer::Scope::none, {}};
        return true;
    }
    auto name = unescaped(text);
    if (name) {
        into = Issuer::named(std::move(*name));
    }
    return name.has_value();
}

std::string issuer_text(const Issuer& issuer) {
    switch (issuer.scope) {
        case Issuer::Scope::any:
            return "*";
        case Issuer::Scope::none:
            return "-";
        case Issuer::Scope::named:
            break;
    }
    return escaped(issuer.name);
}

std::string label(std::string_view text) {
    return std::string(text.substr(0, max_label));
}

/// The field that names what a kind is about, as the claim or header parameter does.
std::string_view name_field(Kind kind) noexcept {
    switch (kind) {
        case Kind::token:
            return "jti";
        case Kind::digest:
            return "digest";
        case Kind::family:
            return "sid";
        case Kind::subject:
            return "sub";
        case Kind::key:
            return "kid";
        case Kind::all:
            break;
    }
    return {};
}

using Fields = std::map<std::string_view, std::string_view>;

/// Takes a field out, so that what is left in the end is what nobody knows.
std::optional<std::string_view> take(Fields& fields, std::string_view name) {
    const auto found = fields.find(name);
    if (found == fields.end()) {
        return std::nullopt;
    }
    const std::string_view value = found->second;
    fields.erase(found);
    return value;
}

/// Milliseconds of a field in seconds, as JWTs have them.
tl::expected<std::optional<Time>, std::string> take_seconds(Fields& fields, std::string_view name) {
    const auto text = take(fields, name);
    if (!text) {
        return std::nullopt;
    }
    const auto seconds = number(*text);
    if (!seconds || *seconds > max_number / 1000) {
        return tl::make_unexpected("its " + std::string(name) + " is no number of seconds");
    }
    return Time(std::chrono::seconds(*seconds));
}

/// An entry that an application wrote: kind, what it names, and a few options. A field that nobody knows may be a
/// typing error in one that would have narrowed it: nothing is guessed.
tl::expected<Record, std::string> record_of_application(Fields fields, std::int64_t milliseconds) {
    Record record;
    const auto kind = kind_named(take(fields, "kind").value_or(""));
    if (!kind) {
        return tl::make_unexpected(std::string("its kind is missing or unknown"));
    }
    record.kind = *kind;
    const std::string_view field = name_field(*kind);
    const std::string_view name = field.empty() ? "" : take(fields, field).value_or("");
    if (name.empty() != field.empty() || name.size() > max_name) {
        return tl::make_unexpected("its " + std::string(field) + " is missing, empty or too long");
    }
    if (const auto issuer = take(fields, "iss")) {
        record.issuer = issuer->empty() ? Issuer{Issuer::Scope::none, {}} : Issuer::named(std::string(*issuer));
    }
    const std::string_view action = take(fields, "action").value_or("revoke");
    if (action != "revoke" && action != "unrevoke") {
        return tl::make_unexpected(std::string("its action is neither revoke nor unrevoke"));
    }
    record.removed = action == "unrevoke";
    const auto expires = take_seconds(fields, "exp");
    const auto before = take_seconds(fields, "before");
    if (!expires || !before) {
        return tl::make_unexpected(!expires ? expires.error() : before.error());
    }
    if (!fields.empty()) {
        return tl::make_unexpected("nobody knows its field " + label(fields.begin()->first));
    }
    const Time written{std::chrono::milliseconds(milliseconds)};
    if (*expires) {
        record.expires = **expires + margin;
    } else if (record.removed) {
        record.expires = written + tombstone_life;
    }
    record.before = *before;
    if (!record.before && !record.removed && (*kind == Kind::subject || *kind == Kind::all)) {
        record.before = written;  // tokens of the next login are good
    }
    record.id = id(Target{*kind, std::string(name), record.issuer});
    record.name = label(name);
    record.issuer.name = label(record.issuer.name);
    record.version.time = milliseconds;
    return record;
}

/// "SESSION:SEQUENCE".
bool read_from(std::string_view text, Entry& into) {
    const std::size_t colon = text.find(':');
    const auto sequence = colon == std::string_view::npos ? std::nullopt : number(text.substr(colon + 1));
    if (sequence) {
        into.from = std::string(text.substr(0, colon));
        into.sequence = static_cast<std::uint64_t>(*sequence);
    }
    return sequence.has_value();
}

tl::expected<void, std::string> read_fields(Fields fields, std::int64_t milliseconds, Entry& into) {
    if (const auto text = take(fields, "record")) {
        const auto id = id_from_text(take(fields, "id").value_or(""));
        into.record = id ? record_from_text(*id, *text) : std::nullopt;
        const auto from = take(fields, "from");
        if (!into.record || (from && !read_from(*from, into))) {
            return tl::make_unexpected(std::string("it is not as a node writes it"));
        }
        return {};
    }
    if (fields.size() == 1 && *fields.begin() == Fields::value_type("kind", "start")) {
        return {};
    }
    auto record = record_of_application(std::move(fields), milliseconds);
    if (!record) {
        return tl::make_unexpected(std::move(record.error()));
    }
    into.record = std::move(*record);
    into.from_application = true;
    return {};
}

}  // namespace

std::string record_text(const Record& record) {
    std::string text = record.removed ? "unrevoke " : "revoke ";
    text.append(std::to_string(record.version.time)).append(" ").append(node_text(record.version.node));
    text.append(" ").append(time_text(record.expires)).append(" ").append(time_text(record.before));
    text.append(" ").append(word(record.kind)).append(" ").append(issuer_text(record.issuer));
    return text.append(" ").append(escaped(record.name));
}

std::optional<Record> record_from_text(const Id& id, std::string_view text) {
    std::array<std::string_view, 8> words;
    std::string_view rest = text;
    for (std::string_view& word : words) {
        const std::size_t end = std::min(rest.find(' '), rest.size());
        word = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    Record record;
    record.id = id;
    record.removed = words[0] == "unrevoke";
    const auto time = number(words[1]);
    const auto node_end = std::from_chars(words[2].data(), words[2].data() + words[2].size(), record.version.node, 16);
    const auto kind = kind_named(words[5]);
    auto name = unescaped(words[7]);
    if (!time || node_end.ec != std::errc() || !read_time(words[3], record.expires) ||
        !read_time(words[4], record.before) || !kind || !read_issuer(words[6], record.issuer) || !name) {
        return std::nullopt;
    }
    record.version.time = *time;
    record.kind = *kind;
    record.name = std::move(*name);
    if (record.name.size() > max_label || record.issuer.name.size() > max_label || record_text(record) != text) {
        return std::nullopt;
    }
    return record;
}

tl::expected<Entry, std::string> entry_from_fields(std::string_view id, std::span<const Reply> words) {
    Entry entry;
    const auto milliseconds = number(id.substr(0, id.find('-')));
    if (!milliseconds) {
        return tl::make_unexpected(std::string("its id is none"));
    }
    if (words.empty() || words.size() % 2 != 0 || words.size() > 40) {
        return tl::make_unexpected(std::string("it is too long"));
    }
    Fields fields;
    for (std::size_t i = 0; i < words.size(); i += 2) {
        if (!words[i].is(Reply::Type::string) || !words[i + 1].is(Reply::Type::string)) {
            return tl::make_unexpected(std::string("its fields are no strings"));
        }
        if (!fields.emplace(words[i].text, words[i + 1].text).second) {
            return tl::make_unexpected("it has the field " + label(words[i].text) + " twice");
        }
    }
    if (auto read = read_fields(std::move(fields), *milliseconds, entry); !read) {
        return tl::make_unexpected(std::move(read.error()));
    }
    return entry;
}

}  // namespace jwt::revocation
