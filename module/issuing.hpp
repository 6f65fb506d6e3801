#pragma once

#include "ngx.hpp"

#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace ngx {

/// Makes a token by the directives of the request's location and a JSON object as lua_services.hpp describes it. The
/// error is a sentence for the author of the Lua code.
[[nodiscard]] tl::expected<std::string, std::string> make_token(ngx_http_request_t* r, std::string_view request);

}  // namespace ngx
