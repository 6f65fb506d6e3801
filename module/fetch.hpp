#pragma once

#include "ngx.hpp"

namespace ngx {

/// Whether a subrequest is one that `jwt.fetch` made: the author chose where it goes, so it is not judged.
[[nodiscard]] bool is_fetch(const ngx_http_request_t* r) noexcept;

}  // namespace ngx
