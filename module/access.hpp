#pragma once

#include "ngx.hpp"

#include "request_state.hpp"

namespace ngx {

/// The access phase: judges the token of a request. NGX_OK lets it through, NGX_DECLINED leaves it to others.
ngx_int_t judge_request(ngx_http_request_t* r) noexcept;

/// The last handler of the access phase: under `satisfy any`, answers for a refused token once nobody else let the
/// request in.
ngx_int_t answer_refused(ngx_http_request_t* r) noexcept;

/// The precontent phase, which a request reaches that is let in: notes that, and takes back the challenge of a token
/// that was refused where another access handler let it in all the same.
ngx_int_t settle_request(ngx_http_request_t* r) noexcept;

/// The preaccess phase, for subrequests alone: nginx runs no access handlers in them, so that a protected location
/// would stand open as the target of auth_request, of an SSI include or of a mirror.
ngx_int_t judge_subrequest(ngx_http_request_t* r) noexcept;

/// Denies a request that was let in, for a content handler: with the answer of the hook or the module's own. As
/// ContentCall::go_on; where the hook waits, deny_further follows.
[[nodiscard]] ngx_int_t deny(ngx_http_request_t* r, Denied&& denied);
[[nodiscard]] bool is_being_denied(ngx_http_request_t* r) noexcept;
[[nodiscard]] ngx_int_t deny_further(ngx_http_request_t* r);

}  // namespace ngx
