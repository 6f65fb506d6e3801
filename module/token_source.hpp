#pragma once

#include "ngx.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "config.hpp"

namespace ngx {

/// A token in a request; nothing about it is known to be true.
struct FoundToken {
    std::string_view text;  // in the request's memory, as csrf is
    TokenLocation location = TokenLocation::headers;
    std::optional<std::string_view> csrf;  // what the client sent beside a cookie, where that is asked for
};

/// No token in any place that was searched. The sentence tells the client where one is expected.
struct NoToken {
    std::string message;
};

/// A place held something that is no token, which ends the search: the client meant to send one.
struct BadToken {
    jwt::Reason reason;  // invalid; missing for a cookie without its CSRF token
    std::string message;
};

/// The request's body decides, and it has not been read.
struct NeedsBody {};

using Search = std::variant<FoundToken, NoToken, BadToken, NeedsBody>;

/// Searches the places of `locations` in order. Without side effects: to be repeated once the body is there.
[[nodiscard]] Search find_token(ngx_http_request_t* r, const LocationConfig& config, const TokenLocations& locations,
                                bool refresh, bool body_is_read);

/// The lines of a request header, joined by ", " as one field (RFC 9110 §5.3); nothing where there is none. In the
/// request's memory.
[[nodiscard]] std::optional<std::string_view> header_field(const ngx_http_request_t* r, std::string_view name);

}  // namespace ngx
