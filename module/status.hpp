#pragma once

#include "ngx.hpp"

namespace ngx {

enum class StatusFormat : std::uint8_t { by_accept, prometheus, json, html };

/// `jwt_status`: what the node counts, as the content of a location.
ngx_int_t show_status(ngx_http_request_t* r) noexcept;

/// Reads the directive.
char* set_status(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);

}  // namespace ngx
