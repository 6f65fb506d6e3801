#pragma once

#include "ngx.hpp"

#include <optional>
#include <string_view>

#include "config.hpp"

namespace ngx {

/// Whether tokens in cookies come with a second cookie that holds their claim `csrf`.
[[nodiscard]] bool has_csrf_cookie(const LocationConfig& config) noexcept;

/// Sets the cookies of a token on the answer: the token (HttpOnly), and the claim `csrf` in a cookie that scripts can
/// read where CSRF protection wants one. `max_age` in seconds, `domain`: in place of what the directives say.
void set_token_cookies(ngx_http_request_t* r, const LocationConfig& config, bool refresh, std::string_view token,
                       std::string_view csrf, std::optional<double> max_age, std::optional<std::string_view> domain);

/// Makes the browser forget them.
void unset_token_cookies(ngx_http_request_t* r, const LocationConfig& config, bool refresh,
                         std::optional<std::string_view> domain);

/// Whether the answer sets or unsets a cookie of that name.
[[nodiscard]] bool sets_cookie(ngx_http_request_t* r, std::string_view name) noexcept;

/// Takes back what a call into Lua set before it failed: nobody is logged in by an error.
void forget_cookies(ngx_http_request_t* r) noexcept;

}  // namespace ngx
