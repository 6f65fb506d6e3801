#include "sliding.hpp"

#include "config.hpp"
#include "cookies.hpp"
#include "guard.hpp"
#include "issuing.hpp"
#include "request_state.hpp"
#include "worker.hpp"

namespace ngx {

namespace {

bool succeeds(const ngx_http_request_t* r) noexcept {
    return r->headers_out.status >= NGX_HTTP_OK && r->headers_out.status < NGX_HTTP_SPECIAL_RESPONSE;
}

bool ends_soon(jwt::json::Value payload, time_t within) noexcept {
    const auto exp = payload.member("exp");
    const auto end = exp ? exp->number() : std::nullopt;
    const double time = std::chrono::duration<double>(now().time_since_epoch()).count();
    return end && *end - time <= static_cast<double>(within);
}

/// The rules under which the token of this request is to be renewed; null where it is not.
const LocationConfig* renewing_config(ngx_http_request_t* r, const RequestState& state) noexcept {
    const LocationConfig* config = state.let_in_by();
    // A token that was not asked about would lose its revocation along with its jti.
    if (config == nullptr || config->cookie_refresh == 0 || !config->required->check_revocation || !succeeds(r)) {
        return nullptr;
    }
    const jwt::json::Value payload = state.accepted()->payload();
    const bool slides = state.found_in() == TokenLocation::cookies && jwt::token_type(payload) == "access" &&
                        ends_soon(payload, config->cookie_refresh);
    // Who logs out, or in, in this very answer has the last word.
    return slides && !sets_cookie(r, view(config->access_cookie.name)) ? config : nullptr;
}

void renew(ngx_http_request_t* r, const RequestState& state, const LocationConfig& config) {
    const auto token = renewed_token(config, state.accepted()->payload());
    if (!token) {
        log(r->connection->log, NGX_LOG_ERR, "jwt: a session is not renewed: ", token.error());
        return;
    }
    set_token_cookies(r, config, false, token->text, token->csrf, std::nullopt, std::nullopt);
}

}  // namespace

ngx_int_t renew_session(ngx_http_request_t* r) noexcept {
    return guarded(r->connection->log, ngx_int_t{NGX_ERROR}, [r] {
        const RequestState* state = r == r->main ? RequestState::find(r) : nullptr;
        if (const LocationConfig* config = state == nullptr ? nullptr : renewing_config(r, *state)) {
            renew(r, *state, *config);
        }
        return ngx_int_t{NGX_OK};
    });
}

}  // namespace ngx
