#include "handler.hpp"

#include "answer.hpp"
#include "config.hpp"
#include "cookies.hpp"
#include "guard.hpp"
#include "worker.hpp"

namespace ngx {

namespace {

ngx_int_t answer_by_handler(ngx_http_request_t* r) {
    const LocationConfig& config = location_config(r);
    const auto answer = worker().lua->handle(r, config.lua->file, std::string(view(config.handler)));
    if (!answer) {
        forget_cookies(r);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    return send_answer(r, *answer);
}

void body_is_read(ngx_http_request_t* r) noexcept {
    ngx_http_finalize_request(r, guarded(r->connection->log, ngx_int_t{NGX_HTTP_INTERNAL_SERVER_ERROR},
                                         [r] { return answer_by_handler(r); }));
}

}  // namespace

ngx_int_t handle_content(ngx_http_request_t* r) noexcept {
    const ngx_int_t rc = ngx_http_read_client_request_body(r, body_is_read);
    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : ngx_int_t{NGX_DONE};
}

}  // namespace ngx
