#pragma once

#include "ngx.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace ngx {

/// Whether the client sends a body at all: a request without one never waits.
[[nodiscard]] bool has_body(const ngx_http_request_t* r) noexcept;

/// The body that nginx has read, also where it wrote it to a file; empty where there is none. Nothing where it is
/// longer than `limit` or its file cannot be read.
[[nodiscard]] std::optional<std::string> body_text(ngx_http_request_t* r, std::size_t limit);

/// Whether the media type is application/json or one of its +json kin.
[[nodiscard]] bool is_json(const ngx_http_request_t* r) noexcept;
/// Whether it is application/x-www-form-urlencoded.
[[nodiscard]] bool is_form(const ngx_http_request_t* r) noexcept;

}  // namespace ngx
