#pragma once

// The one place that includes nginx: its headers know no C++ and no std header may come before them.
extern "C" {
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
}

#include <cstddef>
#include <string_view>

extern "C" {
extern ngx_module_t ngx_http_jwt_module;
extern ngx_module_t ngx_http_jwt_filter_module;
}

namespace ngx {

[[nodiscard]] inline std::string_view view(const ngx_str_t& text) noexcept {
    return {reinterpret_cast<const char*>(text.data), text.len};
}

/// A view as nginx's string. nginx takes `u_char*` where it only reads: the bytes must not be written through it.
[[nodiscard]] inline ngx_str_t str(std::string_view text) noexcept {
    return {text.size(), const_cast<u_char*>(reinterpret_cast<const u_char*>(text.data()))};
}

}  // namespace ngx
