#pragma once

#include "ngx.hpp"

namespace ngx {

/// Whether a subrequest is one that `jwt.fetch` made: the author chose where it goes, so it is not judged.
[[nodiscard]] bool is_fetch(const ngx_http_request_t* r) noexcept;

/// Has what follows the header of such a subrequest kept for `jwt.fetch`; does nothing with any other request.
void take_in_memory(ngx_http_request_t* r) noexcept;

}  // namespace ngx
