#include "sliding.hpp"

#include "config.hpp"
#include "cookies.hpp"
#include "decryption.hpp"
#include "guard.hpp"
#include "issuers.hpp"
#include "issuing.hpp"
#include "request_state.hpp"
#include "revocation.hpp"
#include "worker.hpp"

namespace ngx {

namespace {

bool succeeds(const ngx_http_request_t* r) noexcept {
    return r->headers_out.status >= NGX_HTTP_OK && r->headers_out.status < NGX_HTTP_SPECIAL_RESPONSE;
}

bool ends_soon(const jwt::Claims& claims, time_t within) noexcept {
    const auto exp = claims[jwt::Claim::exp];
    const auto end = exp ? exp->number() : std::nullopt;
    const double time = std::chrono::duration<double>(now().time_since_epoch()).count();
    return end && *end - time <= static_cast<double>(within);
}

/// The rules under which the token of this request is to be renewed if its answer lets it; null where it is not.
const LocationConfig* sliding_config(const RequestState& state) {
    const LocationConfig* config = state.let_in_by();
    // A token that was not asked about would lose its revocation along with its jti.
    if (config == nullptr || config->cookie_refresh == 0 || !config->required->check_revocation) {
        return nullptr;
    }
    const jwt::Claims& claims = state.accepted()->claims();
    const bool slides = state.found_in() == TokenLocation::cookies && jwt::token_type(claims) == "access" &&
                        ends_soon(claims, config->cookie_refresh) && is_own(*config, state.accepted()->authentic());
    return slides ? config : nullptr;
}

/// Asked again: while the answer was made, its handler or another request may have revoked the token, and no rule that
/// names a time reaches one that is made later.
bool still_lives(const LocationConfig& config, const jwt::VerifiedToken& token) {
    return !is_checked(config, token.claims()) || revocation_of(config, token) == jwt::revocation::Verdict::live;
}

/// Who logs out, or in, in this very answer has the last word.
bool lets_slide(ngx_http_request_t* r, const LocationConfig& config, const jwt::VerifiedToken& token) {
    return succeeds(r) && !sets_cookie(r, view(config.access_cookie.name)) && still_lives(config, token);
}

void complain(ngx_http_request_t* r, std::string_view why) noexcept {
    log(r->connection->log, NGX_LOG_ERR, "jwt: a session is not renewed: ", why);
}

void set_cookies(ngx_http_request_t* r, const LocationConfig& config, SignedTokens&& tokens, std::string_view csrf) {
    const auto text =
        std::move(tokens).and_then([&config](auto&& texts) { return nested_token(config, std::move(texts.front())); });
    if (!text) {
        return complain(r, text.error());
    }
    set_token_cookies(r, config, false, *text, csrf, std::nullopt, std::nullopt);
}

void renew(ngx_http_request_t* r, RequestState& state, const LocationConfig& config) {
    if (state.renewal != nullptr && state.renewal->signing->ended()) {
        const std::unique_ptr<Renewal> renewal = std::move(state.renewal);
        return set_cookies(r, config, renewal->signing->take(), renewal->csrf);
    }
    auto renewed = renewed_token(config, state.accepted()->payload());
    if (!renewed) {
        return complain(r, renewed.error());
    }
    std::vector<UnsignedToken> tokens;
    tokens.push_back(std::move(renewed->token));
    set_cookies(r, config, sign_here(std::move(tokens)), renewed->csrf);
}

}  // namespace

ngx_int_t prepare_renewal(ngx_http_request_t* r, RequestState& state) {
    if (state.renewal != nullptr) {
        return state.renewal->signing->ended() ? NGX_OK : NGX_AGAIN;
    }
    const LocationConfig* config = r == r->main ? sliding_config(state) : nullptr;
    if (config == nullptr || !signs_slowly(static_cast<jwt::Algorithm>(config->algorithm))) {
        return NGX_OK;
    }
    auto renewed = renewed_token(*config, state.accepted()->payload());
    auto signing = renewed ? Signing::start(r, {renewed->token}) : nullptr;
    if (signing == nullptr) {
        return NGX_OK;  // renew_session signs, or says why there is nothing to be signed
    }
    state.renewal = std::make_unique<Renewal>(Renewal{std::move(signing), std::move(renewed->csrf)});
    return NGX_AGAIN;
}

ngx_int_t renew_session(ngx_http_request_t* r) noexcept {
    return guarded(r->connection->log, ngx_int_t{NGX_ERROR}, [r] {
        RequestState* state = r == r->main ? RequestState::find(r) : nullptr;
        const LocationConfig* config = state == nullptr ? nullptr : sliding_config(*state);
        if (config != nullptr && lets_slide(r, *config, *state->accepted())) {
            renew(r, *state, *config);
        }
        return ngx_int_t{NGX_OK};
    });
}

}  // namespace ngx
