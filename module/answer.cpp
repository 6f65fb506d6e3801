#include "answer.hpp"

#include "config.hpp"
#include "guard.hpp"
#include "text.hpp"

namespace ngx {

namespace {

ngx_uint_t status_of(jwt::Reason reason) noexcept {
    switch (reason) {
        case jwt::Reason::missing:
        case jwt::Reason::expired:
        case jwt::Reason::not_fresh:
        case jwt::Reason::revoked:
        case jwt::Reason::user_lookup_failed:
            return NGX_HTTP_UNAUTHORIZED;
        case jwt::Reason::invalid:
            return 422;
        case jwt::Reason::condition_failed:
            return NGX_HTTP_FORBIDDEN;
        case jwt::Reason::verification_failed:
            return NGX_HTTP_BAD_REQUEST;
        case jwt::Reason::unavailable:
            return NGX_HTTP_SERVICE_UNAVAILABLE;
        case jwt::Reason::error:
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}

/// RFC 6750 §3: error_description holds %x20-21 / %x23-5B / %x5D-7E.
std::string description_text(std::string_view message) {
    std::string text;
    for (const char c : message) {
        const auto byte = static_cast<unsigned char>(c);
        text.push_back(c == '"' ? '\'' : byte < 0x20 || byte >= 0x7f || c == '\\' ? '?' : c);
    }
    return text;
}

constexpr std::string_view challenge_start = "Bearer realm=\"";

/// Drops what an earlier handler may have said of the content that is not sent.
void forget_content_headers(ngx_http_request_t* r) noexcept {
    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);
    ngx_http_clear_last_modified(r);
    ngx_http_clear_etag(r);
}

ngx_int_t send_body(ngx_http_request_t* r, std::string_view body) {
    if (body.empty()) {
        return ngx_http_send_special(r, NGX_HTTP_LAST);
    }
    return send_text(r, copy_to_pool(r->pool, body));
}

}  // namespace

std::string sentence_body(const ngx_http_request_t* r, std::string_view sentence) {
    const std::string_view key = view(location_config(r).error_message_key);
    std::string body;
    body.reserve(key.size() + sentence.size() + std::string_view("{\"\":\"\"}\n").size());
    body += '{';
    jwt::json::append_string(body, key);
    body += ':';
    jwt::json::append_string(body, sentence);
    body += '}';
    return body;
}

ngx_int_t send_text(ngx_http_request_t* r, const ngx_str_t& text) {
    auto* buffer = static_cast<ngx_buf_t*>(ngx_calloc_buf(r->pool));
    if (buffer == nullptr) {
        throw std::bad_alloc();
    }
    buffer->pos = text.data;
    buffer->last = text.data + text.len;
    buffer->memory = 1;
    buffer->last_buf = r == r->main ? 1U : 0U;
    buffer->last_in_chain = 1;
    ngx_chain_t out{buffer, nullptr};
    return ngx_http_output_filter(r, &out);
}

Answer default_answer(const ngx_http_request_t* r, const Denial& denial) {
    Answer answer;
    answer.status = denial.status != 0 ? denial.status : status_of(denial.reason);
    answer.content_type = "application/json";
    if (denial.reason == jwt::Reason::unavailable) {
        answer.headers.emplace_back("Retry-After", std::to_string(denial.retry_after));
    }
    answer.body =
        sentence_body(r, jwt::json::valid_utf8(denial.message) ? denial.message : description_text(denial.message));
    answer.body += '\n';
    return answer;
}

void forget_challenge(ngx_http_request_t* r) noexcept {
    each_answer_line(r, "WWW-Authenticate", [](ngx_table_elt_t& line) {
        if (view(line.value).starts_with(challenge_start)) {
            line.hash = 0;  // nginx leaves such a line out
        }
    });
}

void add_challenge(ngx_http_request_t* r, const Denial& denial) {
    std::string challenge = joined({challenge_start, view(location_config(r).realm), "\""});
    if (denial.reason != jwt::Reason::missing) {  // RFC 6750 §3.1: no error code where no token was sent
        challenge +=
            denial.status == NGX_HTTP_FORBIDDEN ? ", error=\"insufficient_scope\"" : ", error=\"invalid_token\"";
        challenge += ", error_description=\"" + description_text(denial.message) + "\"";
    }
    if (!denial.scope.empty()) {
        challenge += ", scope=\"" + denial.scope + "\"";
    }
    // Where a request is refused again, by the location of its error page, the last refusal counts.
    forget_challenge(r);
    ngx_table_elt_t& line = add_header(r, "WWW-Authenticate", challenge);
    if (r->headers_out.www_authenticate == nullptr || r->headers_out.www_authenticate->hash == 0) {
        r->headers_out.www_authenticate = &line;
    }
}

bool has_error_page(ngx_http_request_t* r, ngx_uint_t status) noexcept {
    const auto* core = static_cast<ngx_http_core_loc_conf_t*>(ngx_http_get_module_loc_conf(r, ngx_http_core_module));
    // As ngx_http_special_response_handler: not within an error page, unless they may follow each other.
    if (core->error_pages == nullptr || r->uri_changes == 0 || r->error_page != 0) {
        return false;
    }
    const auto* pages = static_cast<const ngx_http_err_page_t*>(core->error_pages->elts);
    for (ngx_uint_t i = 0; i < core->error_pages->nelts; ++i) {
        if (pages[i].status == static_cast<ngx_int_t>(status)) {
            return true;
        }
    }
    return false;
}

ngx_table_elt_t& add_header(ngx_http_request_t* r, std::string_view name, std::string_view value) {
    auto* line = static_cast<ngx_table_elt_t*>(ngx_list_push(&r->headers_out.headers));
    if (line == nullptr) {
        throw std::bad_alloc();
    }
    *line = ngx_table_elt_t{};  // also the links that later versions of nginx have
    line->key = copy_to_pool(r->pool, name);
    line->value = copy_to_pool(r->pool, value);
    line->hash = 1;
    return *line;
}

ngx_int_t send_answer(ngx_http_request_t* r, const Answer& answer) {
    r->expect_tested = 1;         // a client that waits for 100 Continue is answered instead
    r->disable_not_modified = 1;  // a condition (If-Match) was for who made the answer: what it did is done
    if (const ngx_int_t rc = ngx_http_discard_request_body(r); rc != NGX_OK) {
        return rc;
    }
    forget_content_headers(r);
    r->headers_out.status = answer.status;
    // nginx has no words for 422; of other statuses, it finds its own.
    r->headers_out.status_line = answer.status == 422 ? str("422 Unprocessable Content") : ngx_str_t{};
    r->headers_out.content_length_n = static_cast<off_t>(answer.body.size());
    r->headers_out.content_type = copy_to_pool(r->pool, answer.content_type);
    r->headers_out.content_type_len = answer.content_type.size();
    r->headers_out.content_type_lowcase = nullptr;
    for (const auto& [name, value] : answer.headers) {
        add_header(r, name, value);
    }
    const ngx_int_t rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }
    return send_body(r, answer.body);
}

}  // namespace ngx
