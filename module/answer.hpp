#pragma once

#include "ngx.hpp"

#include <string>
#include <string_view>

#include "lua_host.hpp"
#include "request_state.hpp"
#include "text.hpp"

namespace ngx {

/// One sentence as JSON, by the location's jwt_error_message_key.
[[nodiscard]] std::string sentence_body(const ngx_http_request_t* r, std::string_view sentence);

/// Sends the whole content, once the header is sent. `text` must stay until the request ends.
[[nodiscard]] ngx_int_t send_text(ngx_http_request_t* r, const ngx_str_t& text);

/// The module's own answer to a denial (DESIGN, default answers): JSON with one sentence.
[[nodiscard]] Answer default_answer(const ngx_http_request_t* r, const Denial& denial);

/// Adds the challenge of RFC 6750 §3 that every 401, and the 403 of a condition that failed, carries; the error code
/// only where a token was sent.
void add_challenge(ngx_http_request_t* r, const Denial& denial);

/// Takes back what add_challenge added.
void forget_challenge(ngx_http_request_t* r) noexcept;

/// Whether error_page speaks for this status in the request's location.
[[nodiscard]] bool has_error_page(ngx_http_request_t* r, ngx_uint_t status) noexcept;

/// Sends an answer in place of the location's content, the request's body thrown away. The result is for
/// ngx_http_finalize_request.
[[nodiscard]] ngx_int_t send_answer(ngx_http_request_t* r, const Answer& answer);

/// Calls visit(ngx_table_elt_t& line) for each response header line of that name, also for those that were taken back.
template <class Visit>
void each_answer_line(ngx_http_request_t* r, std::string_view name, Visit&& visit) {
    for (ngx_list_part_t* part = &r->headers_out.headers.part; part != nullptr; part = part->next) {
        auto* lines = static_cast<ngx_table_elt_t*>(part->elts);
        for (ngx_uint_t i = 0; i < part->nelts; ++i) {
            if (same_name(view(lines[i].key), name)) {
                visit(lines[i]);
            }
        }
    }
}

/// Adds a response header line. Throws std::bad_alloc.
ngx_table_elt_t& add_header(ngx_http_request_t* r, std::string_view name, std::string_view value);

}  // namespace ngx
