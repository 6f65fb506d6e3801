#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "../policy.hpp"
#include "arguments.hpp"

namespace jwt::command {

/// --at where it is given, else the clock.
[[nodiscard]] Result<Time> now(const Arguments& arguments);

/// A time span as nginx writes them: "15m", "1h 30m", "365d"; a number alone is seconds.
[[nodiscard]] Result<std::chrono::seconds> duration(std::string_view text);

/// A NumericDate as an ISO 8601 date and time in UTC.
[[nodiscard]] std::string date_text(double seconds);

/// How far `seconds` is from `now`: "3 days ago", "in 15 minutes", "now".
[[nodiscard]] std::string relative_text(double seconds, Time now);

}  // namespace jwt::command
