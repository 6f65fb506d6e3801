#include "time.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace jwt::command {
namespace {

using std::chrono::seconds;

constexpr std::int64_t longest = 1'000'000'000'000;

struct Unit {
    char letter;
    std::int64_t length;
};

// ngx_parse_time: a month has 30 days and a year 365.
constexpr std::array<Unit, 7> units = {
    {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}, {'M', 2592000}, {'y', 31536000}}};

/// Takes a number off the front; nothing where there is none or it is too large.
[[nodiscard]] std::optional<std::int64_t> take_number(std::string_view& text) noexcept {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || number < -longest || number > longest) {
        return std::nullopt;
    }
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return number;
}

[[nodiscard]] std::optional<std::int64_t> unit_length(char letter) noexcept {
    for (const Unit& unit : units) {
        if (unit.letter == letter) {
            return unit.length;
        }
    }
    return std::nullopt;
}

/// Takes the punctuation and then exactly `digits` digits off the front; nothing where they are not there.
[[nodiscard]] std::optional<unsigned> take_field(std::string_view& text, std::string_view punctuation,
                                                 std::size_t digits) noexcept {
    const std::size_t size = punctuation.size() + digits;
    const std::string_view field = text.substr(0, size);
    unsigned number = 0;
    const auto [end, error] =
        std::from_chars(field.data() + std::min(punctuation.size(), field.size()), field.data() + field.size(), number);
    if (field.size() != size || !field.starts_with(punctuation) || error != std::errc() ||
        end != field.data() + field.size()) {
        return std::nullopt;
    }
    text.remove_prefix(size);
    return number;
}

/// RFC 3339 in UTC, to the second or to the day.
[[nodiscard]] std::optional<std::chrono::sys_seconds> iso_time(std::string_view text) noexcept {
    const auto year = take_field(text, "", 4);
    const auto month = take_field(text, "-", 2);
    const auto day = take_field(text, "-", 2);
    if (!year || !month || !day) {
        return std::nullopt;
    }
    const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(*year)), std::chrono::month(*month),
                                           std::chrono::day(*day)};
    if (!date.ok()) {
        return std::nullopt;
    }
    if (text.empty()) {
        return std::chrono::sys_days(date);
    }
    const auto hour = take_field(text, "T", 2);
    const auto minute = take_field(text, ":", 2);
    const auto second = take_field(text, ":", 2);
    if (!hour || !minute || !second || text != "Z" || *hour > 23 || *minute > 59 || *second > 59) {
        return std::nullopt;
    }
    return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) + seconds(*second);
}

}  // namespace

Result<Time> now(const Arguments& arguments) {
    const auto at = arguments.value("--at");
    if (!at) {
        return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
    }
    std::string_view rest = *at;
    if (const auto number = take_number(rest); number && rest.empty()) {
        return Time(seconds(*number));
    }
    if (const auto time = iso_time(*at)) {
        return Time(*time);
    }
    return failure("--at " + quoted(*at) +
                   " is no time: write seconds since 1970 (1700000000) or a date in UTC (2024-02-29T12:00:00Z)");
}

Result<seconds> duration(std::string_view text) {
    const auto unreadable = [text] {
        return failure(quoted(text) + " is no time span: write a number with s, m, h, d, w, M or y, as in 15m or 365d");
    };
    if (text.empty()) {
        return unreadable();
    }
    std::int64_t total = 0;
    for (std::string_view rest = text; !rest.empty();) {
        const std::int64_t number = rest.front() == '-' ? -1 : take_number(rest).value_or(-1);
        const std::int64_t length = rest.empty() ? 1 : unit_length(rest.front()).value_or(0);
        if (number < 0 || length == 0 || number > (longest - total) / length) {
            return unreadable();
        }
        total += number * length;
        rest.remove_prefix(rest.empty() ? 0 : 1);
        rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    }
    return seconds(total);
}

std::string date_text(double seconds_since_epoch) {
    constexpr double first = -62135596800;  // 0001-01-01T00:00:00Z
    constexpr double last = 253402300799;   // 9999-12-31T23:59:59Z
    if (!(seconds_since_epoch >= first && seconds_since_epoch <= last)) {
        return "outside the years 1 to 9999";
    }
    const std::chrono::sys_seconds time{seconds(static_cast<std::int64_t>(std::floor(seconds_since_epoch)))};
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(time - day);
    std::array<char, 40> text;
    const int size = std::snprintf(
        text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
        static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
        static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()));
    return {text.data(), static_cast<std::size_t>(size)};
}

std::string relative_text(double seconds_since_epoch, Time now) {
    struct Step {
        double from;
        double length;
        std::string_view name;
    };
    constexpr std::array<Step, 6> steps = {{{730.0 * 86400, 365.25 * 86400, "year"},
                                            {60.0 * 86400, 30.4375 * 86400, "month"},
                                            {2.0 * 86400, 86400, "day"},
                                            {3600, 3600, "hour"},
                                            {60, 60, "minute"},
                                            {1, 1, "second"}}};
    const double distance = seconds_since_epoch - static_cast<double>(now.time_since_epoch().count()) / 1000.0;
    for (const Step& step : steps) {
        if (std::abs(distance) < step.from) {
            continue;
        }
        const double count = std::floor(std::abs(distance) / step.length);
        if (count > 1e6) {
            return distance < 0 ? "ages ago" : "ages ahead";
        }
        std::string text = std::to_string(static_cast<std::int64_t>(count)) + " " + std::string(step.name);
        text += count == 1 ? "" : "s";
        return distance < 0 ? text + " ago" : "in " + text;
    }
    return "now";
}

}  // namespace jwt::command
