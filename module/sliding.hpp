#pragma once

#include "ngx.hpp"

#include <memory>
#include <string>

#include "request_state.hpp"
#include "signing.hpp"

// jwt_cookie_refresh: a request gets a new access token in place of the one in its cookie.

namespace ngx {

/// A new token that a thread signs while its request waits: an answer that has begun could not.
struct Renewal {
    std::unique_ptr<Signing> signing;
    std::string csrf;
};

/// For a request that is let in: makes the token ahead of the answer where its signature takes long, whatever the
/// answer will be. NGX_AGAIN while a thread signs.
[[nodiscard]] ngx_int_t prepare_renewal(ngx_http_request_t* r, RequestState& state);

/// For a request that is answered now: sets the cookies where the session slides. NGX_ERROR where there is no memory
/// for them.
ngx_int_t renew_session(ngx_http_request_t* r) noexcept;

}  // namespace ngx
