#include "handler.hpp"

#include <optional>

#include "answer.hpp"
#include "config.hpp"
#include "cookies.hpp"
#include "guard.hpp"
#include "request_state.hpp"
#include "worker.hpp"

namespace ngx {

namespace {

/// What to finalize the request with; nothing while the handler waits.
std::optional<ngx_int_t> answer_by_handler(ngx_http_request_t* r) {
    const LocationConfig& config = location_config(r);
    LuaRun& run = RequestState::of(r).handler_run;
    const auto answer = worker().lua->handle(run, r, config.lua->file, view(config.handler));
    if (!answer && answer.error() == NoResult::waiting) {
        return std::nullopt;
    }
    if (!answer) {
        forget_cookies(r);
        return status_of(answer.error());
    }
    return send_answer(r, *answer);
}

/// Once the body is read, and each time that nginx runs the request while the handler waits. The reference that reading
/// took holds the request until it is finalized.
void run_handler(ngx_http_request_t* r) noexcept {
    r->write_event_handler = ngx_http_request_empty_handler;
    const auto rc = guarded(r->connection->log, std::optional(ngx_int_t{NGX_HTTP_INTERNAL_SERVER_ERROR}),
                            [r] { return answer_by_handler(r); });
    if (!rc) {
        r->write_event_handler = run_handler;
        return;
    }
    ngx_http_finalize_request(r, *rc);
}

}  // namespace

ngx_int_t handle_content(ngx_http_request_t* r) noexcept {
    const ngx_int_t rc = ngx_http_read_client_request_body(r, run_handler);
    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : ngx_int_t{NGX_DONE};
}

}  // namespace ngx
