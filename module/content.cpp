#include "content.hpp"

#include "access.hpp"
#include "answer.hpp"
#include "cookies.hpp"
#include "directives.hpp"
#include "guard.hpp"
#include "request_state.hpp"

namespace ngx {

namespace {

std::string second_content(Content content) {
    return "a location has one content, and beside " + std::string(name(content)) +
           " another directive (as proxy_pass) makes this one's: remove one of them";
}

ngx_int_t go_on(ngx_http_request_t* r) noexcept {
    const ngx_int_t rc = guarded(r->connection->log, ngx_int_t{NGX_HTTP_INTERNAL_SERVER_ERROR}, [r] {
        return is_being_denied(r) ? deny_further(r) : RequestState::of(r).content_call->go_on(r);
    });
    if (rc == NGX_HTTP_INTERNAL_SERVER_ERROR) {
        forget_cookies(r);
    }
    return rc;
}

/// Once the body is read, and each time that nginx runs the request while the call waits. The reference that reading
/// took holds the request until it is finalized.
void run_call(ngx_http_request_t* r) noexcept {
    r->write_event_handler = ngx_http_request_empty_handler;
    const ngx_int_t rc = go_on(r);
    if (rc == NGX_AGAIN) {
        r->write_event_handler = run_call;
    } else if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}

}  // namespace

char* set_content(ngx_conf_t* cf, LocationConfig& config, Content content, ngx_http_handler_pt handler) {
    if (config.content == content) {
        return is_duplicate();
    }
    if (config.content != Content::none) {
        return config_error(cf, "a location has one content, and " + std::string(name(config.content)) +
                                    " makes this one's: write " + std::string(name(content)) +
                                    " into another location");
    }
    ngx_http_core_loc_conf_t& core = core_config(cf);
    if (core.handler != nullptr) {
        return config_error(cf, second_content(content));
    }
    config.content = content;
    config.content_handler = handler;
    config.content_origin = make_in_pool<Origin>(cf->pool, Origin::here(cf));
    core.handler = handler;
    return NGX_CONF_OK;
}

bool takes_over_content(ngx_conf_t* cf, LocationConfig& conf, const LocationConfig& prev) noexcept {
    ngx_http_core_loc_conf_t& core = core_config(cf);
    const bool is_block_of_location = core.noname != 0;
    if (!is_block_of_location || core.handler != nullptr || prev.content == Content::none) {
        return false;
    }
    core.handler = prev.content_handler;
    conf.content = prev.content;
    conf.content_handler = prev.content_handler;
    conf.content_origin = prev.content_origin;
    conf.handler = prev.handler;
    conf.handler_origin = prev.handler_origin;
    conf.refresh_rotates = prev.refresh_rotates;
    conf.status_format = prev.status_format;
    conf.publication = prev.publication;
    return true;
}

char* check_one_content(ngx_conf_t* cf, const LocationConfig& conf) {
    return conf.content == Content::none || core_config(cf).handler == conf.content_handler
               ? NGX_CONF_OK
               : config_error(cf, *conf.content_origin, second_content(conf.content));
}

std::string_view name(Content content) noexcept {
    switch (content) {
        case Content::none:
            break;
        case Content::handler:
            return "jwt_handler";
        case Content::status:
            return "jwt_status";
        case Content::logout:
            return "jwt_logout";
        case Content::refresh:
            return "jwt_refresh";
        case Content::revoke:
            return "jwt_revoke";
        case Content::introspect:
            return "jwt_introspect";
        case Content::revocations:
            return "jwt_revocations";
        case Content::jwks:
            return "jwt_jwks";
        case Content::discovery:
            return "jwt_discovery";
    }
    return {};
}

ngx_int_t not_allowed(ngx_http_request_t* r, std::string_view methods) {
    add_header(r, "Allow", methods);
    return NGX_HTTP_NOT_ALLOWED;
}

ngx_int_t run_content(ngx_http_request_t* r, const ContentRules& rules,
                      std::unique_ptr<ContentCall> (*make)()) noexcept {
    const ngx_int_t rc = guarded(r->connection->log, ngx_int_t{NGX_HTTP_INTERNAL_SERVER_ERROR}, [&]() -> ngx_int_t {
        if ((r->method & rules.methods) == 0) {
            return not_allowed(r, rules.allowed);
        }
        if (r->headers_in.content_length_n > static_cast<off_t>(rules.body_limit)) {
            return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
        }
        RequestState::of(r).content_call = make();
        return NGX_OK;
    });
    if (rc != NGX_OK) {
        return rc;
    }
    const ngx_int_t read = ngx_http_read_client_request_body(r, run_call);
    return read >= NGX_HTTP_SPECIAL_RESPONSE ? read : ngx_int_t{NGX_DONE};
}

Answer json_answer(ngx_uint_t status, std::string body) {
    Answer answer;
    answer.status = status;
    answer.content_type = "application/json";
    answer.body = std::move(body);
    answer.body += "\n";
    answer.headers = {{"Cache-Control", "no-store"}};
    return answer;
}

Answer sentence_answer(const ngx_http_request_t* r, ngx_uint_t status, std::string_view sentence) {
    return json_answer(status, sentence_body(r, sentence));
}

}  // namespace ngx
