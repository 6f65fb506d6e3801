#pragma once

#include "ngx.hpp"

namespace ngx {

/// Whether a request that is answered now gets a new access token in place of the one in its cookie:
/// jwt_cookie_refresh. Then sets the cookies. NGX_ERROR where there is no memory for them.
ngx_int_t renew_session(ngx_http_request_t* r) noexcept;

}  // namespace ngx
