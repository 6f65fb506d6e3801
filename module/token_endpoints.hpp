#pragma once

#include "ngx.hpp"

namespace ngx {

/// `jwt_revoke`: RFC 7009.
ngx_int_t handle_revoke(ngx_http_request_t* r) noexcept;
/// `jwt_introspect`: RFC 7662.
ngx_int_t handle_introspect(ngx_http_request_t* r) noexcept;
/// `jwt_revocations`: lists, adds and removes what is revoked.
ngx_int_t handle_revocations(ngx_http_request_t* r) noexcept;

}  // namespace ngx
