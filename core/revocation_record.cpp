#include "revocation_record.hpp"

#include <algorithm>
#include <cstring>

namespace jwt::revocation {

namespace {

constexpr std::int64_t never = INT64_MAX;

// removed, has_before, then two bits for the scope of the issuer
constexpr unsigned removed_flag = 1;
constexpr unsigned before_flag = 2;
constexpr unsigned scope_shift = 2;
constexpr unsigned scope_mask = 3;

constexpr std::size_t flags_at = 0;
constexpr std::size_t issuer_size_at = 1;
constexpr std::size_t checksum_at = 2;
constexpr std::size_t time_at = 6;
constexpr std::size_t node_at = 14;
constexpr std::size_t expires_at = 22;
constexpr std::size_t before_at = 30;
constexpr std::size_t fixed_size = 30;

/// The least significant byte first, on every machine.
template <class Number>
void append(std::string& out, Number number) {
    for (std::size_t i = 0; i < sizeof(number); ++i) {
        out += static_cast<char>(static_cast<std::uint64_t>(number) >> (8 * i));
    }
}

template <class Number>
Number number_at(std::string_view bytes, std::size_t at) noexcept {
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < sizeof(Number); ++i) {
        number |= std::uint64_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
    }
    return static_cast<Number>(number);
}

unsigned flags_of(std::string_view value) noexcept {
    return static_cast<unsigned char>(value[flags_at]);
}

/// FNV-1a, with the checksum itself left out.
std::uint64_t hash(const Id& id, std::string_view value) noexcept {
    constexpr std::uint64_t prime = 0x100000001b3;
    std::uint64_t result = 0xcbf29ce484222325;
    const auto take = [&result](unsigned char byte) { result = (result ^ byte) * prime; };
    std::for_each(id.begin(), id.end(), take);
    for (std::size_t i = 0; i < value.size(); ++i) {
        if (i < checksum_at || i >= time_at) {
            take(static_cast<unsigned char>(value[i]));
        }
    }
    return result;
}

std::uint32_t checksum(const Id& id, std::string_view value) noexcept {
    const std::uint64_t sum = hash(id, value);
    return static_cast<std::uint32_t>(sum ^ (sum >> 32U));
}

std::size_t labels_at(std::string_view value) noexcept {
    return fixed_size + ((flags_of(value) & before_flag) != 0 ? sizeof(std::int64_t) : 0);
}

bool intact(const Id& id, std::string_view value) noexcept {
    return value.size() >= fixed_size &&
           value.size() >= labels_at(value) + static_cast<unsigned char>(value[issuer_size_at]) &&
           number_at<std::uint32_t>(value, checksum_at) == checksum(id, value);
}

std::int64_t to_number(const std::optional<Time>& time) noexcept {
    return time ? time->time_since_epoch().count() : never;
}

std::optional<Time> to_time(std::int64_t milliseconds) noexcept {
    return milliseconds == never ? std::nullopt : std::optional(Time(std::chrono::milliseconds(milliseconds)));
}

}  // namespace

std::string encoded(const Record& record) {
    const std::string_view issuer = std::string_view(record.issuer.name).substr(0, max_label);
    std::string value;
    value += static_cast<char>((record.removed ? removed_flag : 0) | (record.before ? before_flag : 0) |
                               (static_cast<unsigned>(record.issuer.scope) << scope_shift));
    value += static_cast<char>(issuer.size());
    append(value, std::uint32_t{0});
    append(value, record.version.time);
    append(value, record.version.node);
    append(value, to_number(record.expires));
    if (record.before) {
        append(value, to_number(record.before));
    }
    value += issuer;
    value += std::string_view(record.name).substr(0, max_label);
    std::string sum;
    append(sum, checksum(record.id, value));
    value.replace(checksum_at, sum.size(), sum);
    return value;
}

std::optional<Record> decoded(const Id& id, std::string_view value) {
    if (!intact(id, value) || word(static_cast<Kind>(id[0])).empty()) {
        return std::nullopt;
    }
    const unsigned flags = flags_of(value);
    const unsigned scope = (flags >> scope_shift) & scope_mask;
    const std::size_t labels = labels_at(value);
    const std::size_t issuer_size = static_cast<unsigned char>(value[issuer_size_at]);
    if (scope > static_cast<unsigned>(Issuer::Scope::named)) {
        return std::nullopt;
    }
    Record record;
    record.id = id;
    record.kind = static_cast<Kind>(id[0]);
    record.issuer = {static_cast<Issuer::Scope>(scope), std::string(value.substr(labels, issuer_size))};
    record.name = value.substr(labels + issuer_size);
    record.expires = to_time(number_at<std::int64_t>(value, expires_at));
    if ((flags & before_flag) != 0) {
        record.before = to_time(number_at<std::int64_t>(value, before_at));
    }
    record.removed = (flags & removed_flag) != 0;
    record.version = {number_at<std::int64_t>(value, time_at), number_at<std::uint64_t>(value, node_at)};
    return record;
}

Verdict verdict(const Id& id, std::string_view value, std::int64_t issued_at) noexcept {
    if (!intact(id, value)) {
        return Verdict::unavailable;
    }
    const unsigned flags = flags_of(value);
    if ((flags & removed_flag) != 0) {
        return Verdict::live;
    }
    const bool all_times = (flags & before_flag) == 0;
    return all_times || issued_at < number_at<std::int64_t>(value, before_at) ? Verdict::revoked : Verdict::live;
}

std::int64_t expiry(std::string_view value) noexcept {
    return value.size() < fixed_size ? never : number_at<std::int64_t>(value, expires_at);
}

std::uint64_t content_hash(const Id& id, std::string_view value) noexcept {
    return hash(id, value);
}

}  // namespace jwt::revocation
