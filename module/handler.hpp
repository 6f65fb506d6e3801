#pragma once

#include "ngx.hpp"

namespace ngx {

/// `jwt_handler`: the content of a location made by a function of its hooks file, after the request's body was read.
ngx_int_t handle_content(ngx_http_request_t* r) noexcept;

}  // namespace ngx
