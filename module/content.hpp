#pragma once

#include "config.hpp"

#include <string_view>

// What the content handlers of the module share.

namespace ngx {

/// Makes `handler` the content of the location that is being read, which may have one of ours only.
char* set_content(ngx_conf_t* cf, const ngx_command_t* cmd, LocationConfig& config, ngx_http_handler_pt handler);

/// 405 with what is allowed: the status that the handler returns.
[[nodiscard]] ngx_int_t not_allowed(ngx_http_request_t* r, std::string_view methods);

}  // namespace ngx
