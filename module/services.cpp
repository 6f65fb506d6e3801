#include <functional>

#include "answer.hpp"
#include "body.hpp"
#include "config.hpp"
#include "cookies.hpp"
#include "decryption.hpp"
#include "guard.hpp"
#include "issuers.hpp"
#include "issuing.hpp"
#include "judgement.hpp"
#include "lua_services.hpp"
#include "signing.hpp"
#include "text.hpp"
#include "token_source.hpp"
#include "worker.hpp"

// What stands behind the Lua API.

namespace ngx {

namespace {

using Opened = tl::expected<OpenedToken, jwt::Refusal>;

ServiceResult good(ngx_http_request_t* r, std::string_view text) {
    return {true, copy_to_pool(r->pool, text)};
}
ServiceResult bad(ngx_http_request_t* r, std::string_view sentence) {
    return {false, copy_to_pool(r->pool, sentence)};
}

template <class Body>
ServiceResult serve(ngx_http_request_t* r, Body&& body) noexcept {
    return guarded(r->connection->log, ServiceResult{false, ngx_string("out of memory")}, std::forward<Body>(body));
}

std::string header_and_payload(jwt::json::Value header, jwt::json::Value payload) {
    std::string text = "{\"header\":";
    header.append_to(text);
    text += ",\"payload\":";
    payload.append_to(text);
    text += "}";
    return text;
}

/// The same, with what a revocation goes by: the key that verified it, and the token inside where it was nested.
std::string description(const jwt::AuthenticToken& token) {
    std::string text = header_and_payload(token.header(), token.payload());
    const auto append = [&text](std::string_view name, std::string_view value) {
        text.back() = ',';
        text.append(name);
        jwt::json::append_string(text, value);
        text += '}';
    };
    if (const auto kid = token.kid()) {
        append("\"kid\":", *kid);
    }
    if (token.text() != token.presented()) {
        append("\"text\":", token.text());
    }
    return text;
}

ServiceResult json_or_null(ngx_http_request_t* r, const std::optional<jwt::json::Value>& value) {
    return good(r, value ? value->text() : "null");
}

template <class Get>
ServiceResult of_current_token(ngx_http_request_t* r, Get&& get) noexcept {
    return serve(r, [&]() -> ServiceResult {
        const RequestState* state = RequestState::find(r);
        return state == nullptr || state->accepted() == nullptr ? good(r, "null") : get(*state);
    });
}

ServiceResult checked(ngx_http_request_t* r, const LocationConfig& config, jwt::AuthenticToken&& authentic,
                      std::optional<std::string_view> csrf, bool allow_expired) {
    const auto policy = policy_for(config, authentic);
    if (!policy) {
        return bad(r, policy.error().message);
    }
    auto verified = jwt::Verifier::verify(std::move(authentic), **policy, {jwt::TokenUse::any, false, csrf}, now());
    if (verified) {
        return good(r, description(verified->authentic()));
    }
    // Expiry is checked last: an expired token is right in all else.
    const jwt::RefusedToken& refused = verified.error();
    if (allow_expired && refused.refusal.error == jwt::Error::expired) {
        return good(r, description(refused.token));
    }
    return bad(r, refused.refusal.message);
}

/// A Decoding that owns what it names.
struct KeptDecoding {
    std::optional<tl::expected<std::shared_ptr<const jwt::KeySet>, std::string>> keys;
    std::optional<std::string> csrf;
    bool allow_expired;
};

ServiceResult decoded(ngx_http_request_t* r, OpenedToken&& opened, const KeptDecoding& how) {
    const LocationConfig& config = location_config(r);
    auto* parsed = std::get_if<jwt::UnverifiedToken>(&opened);
    if (parsed == nullptr) {
        return checked(r, config, std::move(std::get<jwt::AuthenticToken>(opened)), how.csrf, how.allow_expired);
    }
    std::shared_ptr<const jwt::KeySet> chosen;
    if (how.keys) {
        if (!*how.keys) {
            return bad(r, "the key that decode_key returned " + how.keys->error());
        }
        chosen = **how.keys;
    } else if (config.keys == nullptr) {
        return bad(
            r, "no key verifies tokens here: write jwt_secret_key or jwt_public_key into the location or around it");
    }
    Rules rules{config.keys, config.decode_algorithms, config.policy};
    if (!chosen) {
        const auto found = rules_for(config, parsed->payload());
        if (!found) {
            return bad(r, found.error().message);
        }
        rules = *found;
        chosen = worker().live_keys.current(*rules.keys);
    }
    auto authentic = jwt::Verifier::authenticate(std::move(*parsed), *chosen, *rules.algorithms);
    if (!authentic) {
        if (!how.keys) {
            worker().live_keys.prompt(*rules.keys);  // this call does not wait, the next one may find them
        }
        return bad(r, authentic.error().message);
    }
    return checked(r, config, std::move(*authentic), how.csrf, how.allow_expired);
}

/// What fits between the semicolons of a Set-Cookie line.
bool is_cookie_domain(std::string_view domain) noexcept {
    return !has_control_character(domain) && domain.find_first_of(";, \"") == std::string_view::npos;
}

std::optional<std::string> csrf_of(jwt::json::Value payload) {
    const auto claim = payload.member("csrf");
    const auto text = claim ? claim->string() : std::nullopt;
    // It becomes a cookie's value (RFC 6265 §4.1.1).
    const bool good = text && !has_control_character(*text) && text->find_first_of(" \",;\\") == std::string_view::npos;
    return good ? std::optional<std::string>(*text) : std::nullopt;
}

ServiceResult cookies_set(ngx_http_request_t* r, CookieKind kind, std::string_view token, const Opened& opened,
                          std::optional<double> max_age, const std::optional<std::string>& domain) {
    const LocationConfig& config = location_config(r);
    if (!opened) {  // what else it is could add attributes, or lines
        return bad(r, "only a token goes into cookies: " + opened.error().message);
    }
    const auto csrf = std::visit([](const auto& any) { return csrf_of(any.payload()); }, *opened);
    if (has_csrf_cookie(config) && !csrf) {
        return bad(r,
                   "only a token with a claim \"csrf\" goes into cookies: make it with create_access_token or "
                   "create_refresh_token");
    }
    if (domain && !is_cookie_domain(*domain)) {
        return bad(r, "domain takes a host name, as in \".example.com\"");
    }
    set_token_cookies(r, config, kind == CookieKind::refresh, token, csrf.value_or(std::string()), max_age, domain);
    return good(r, {});
}

std::optional<std::string> owned(std::optional<std::string_view> text) {
    return text ? std::optional<std::string>(*text) : std::nullopt;
}

}  // namespace

class LateResult {
public:
    LateResult() = default;
    virtual ~LateResult() = default;
    LateResult(const LateResult&) = delete;
    LateResult& operator=(const LateResult&) = delete;
    [[nodiscard]] virtual bool is_there() const noexcept = 0;
    [[nodiscard]] virtual ServiceResult take(ngx_http_request_t* r) = 0;
};

namespace {

ServiceResult issued(ngx_http_request_t* r, SignedTokens&& tokens) {
    auto text = std::move(tokens).and_then(
        [r](auto&& texts) { return nested_token(location_config(r), std::move(texts.front())); });
    return text ? good(r, *text) : bad(r, text.error());
}

class LateToken final : public LateResult {
public:
    explicit LateToken(std::unique_ptr<Signing> signing) noexcept : signing_(std::move(signing)) {}
    [[nodiscard]] bool is_there() const noexcept override { return signing_->ended(); }
    [[nodiscard]] ServiceResult take(ngx_http_request_t* r) override { return issued(r, signing_->take()); }

private:
    std::unique_ptr<Signing> signing_;
};

/// What a service makes of a token once it is opened.
using Use = std::function<ServiceResult(ngx_http_request_t*, Opened&&)>;

class LateOpening final : public LateResult {
public:
    LateOpening(std::string_view text, TokenForms forms, std::unique_ptr<Decryption> decryption, Use use)
        : text_(text), forms_(forms), decryption_(std::move(decryption)), use_(std::move(use)) {}
    [[nodiscard]] bool is_there() const noexcept override { return decryption_->result.has_value(); }
    [[nodiscard]] ServiceResult take(ngx_http_request_t* r) override {
        return use_(r, open_token(r, location_config(r), forms_, text_, decryption_).value());
    }

private:
    std::string text_;
    TokenForms forms_;
    std::unique_ptr<Decryption> decryption_;
    Use use_;
};

/// Opens a token, and makes of it what `make_use()` says, at once or late.
template <class MakeUse>
ServiceStart with_opened(ngx_http_request_t* r, TokenForms forms, std::string_view text, bool may_be_late,
                         MakeUse&& make_use) noexcept {
    ServiceStart start{nullptr, {}};
    start.result = serve(r, [&]() -> ServiceResult {
        const LocationConfig& config = location_config(r);
        Use use = make_use();
        if (!may_be_late) {
            return use(r, open_token(config, forms, text));
        }
        std::unique_ptr<Decryption> decryption;
        if (auto opened = open_token(r, config, forms, text, decryption)) {
            return use(r, std::move(*opened));
        }
        start.late = std::make_unique<LateOpening>(text, forms, std::move(decryption), std::move(use)).release();
        return {};
    });
    return start;
}

}  // namespace

void LateResultEnd::operator()(LateResult* late) const noexcept {
    delete late;
}

bool result_is_there(const LateResult& late) noexcept {
    return late.is_there();
}

ServiceResult take_result(ngx_http_request_t* r, LateResult& late) noexcept {
    return serve(r, [&] { return late.take(r); });
}

ServiceStart issue_token(ngx_http_request_t* r, std::string_view request, bool may_be_late) noexcept {
    ServiceStart start{nullptr, {}};
    start.result = serve(r, [&]() -> ServiceResult {
        auto token = requested_token(location_config(r), request);
        if (!token) {
            return bad(r, token.error());
        }
        std::vector<UnsignedToken> tokens;
        tokens.push_back(std::move(*token));
        if (auto signing = may_be_late ? Signing::start(r, tokens) : nullptr) {
            start.late = std::make_unique<LateToken>(std::move(signing)).release();
            return {};
        }
        return issued(r, sign_here(std::move(tokens)));
    });
    return start;
}

ServiceStart decode_token(ngx_http_request_t* r, std::string_view token, const Decoding& how,
                          bool may_be_late) noexcept {
    const LocationConfig& config = location_config(r);
    return with_opened(r, config.accept->forms, token, may_be_late, [&] {
        KeptDecoding decoding{std::nullopt, owned(how.csrf), how.allow_expired};
        if (how.key) {
            decoding.keys = worker().hook_keys.find(*how.key, *config.decode_algorithms);
        }
        return [kept = std::move(decoding)](ngx_http_request_t* of, Opened&& opened) {
            return opened ? decoded(of, std::move(*opened), kept) : bad(of, opened.error().message);
        };
    });
}

ServiceResult read_unverified_token(ngx_http_request_t* r, std::string_view token) noexcept {
    return serve(r, [&]() -> ServiceResult {
        const auto parsed = worker().verifier.parse(token);
        return parsed ? good(r, header_and_payload(parsed->header(), parsed->payload()))
                      : bad(r, parsed.error().message);
    });
}

ServiceResult current_header(ngx_http_request_t* r) noexcept {
    return of_current_token(r, [&](const RequestState& state) { return good(r, state.accepted()->header().text()); });
}

ServiceResult current_payload(ngx_http_request_t* r) noexcept {
    return of_current_token(r, [&](const RequestState& state) { return good(r, state.accepted()->payload().text()); });
}

ServiceResult current_identity(ngx_http_request_t* r) noexcept {
    return of_current_token(r, [&](const RequestState& state) { return json_or_null(r, state.identity()); });
}

ServiceResult current_user(ngx_http_request_t* r) noexcept {
    return of_current_token(r,
                            [&](const RequestState& state) { return good(r, state.user() ? *state.user() : "null"); });
}

ServiceResult current_location(ngx_http_request_t* r) noexcept {
    return of_current_token(
        r, [&](const RequestState& state) { return good(r, "\"" + std::string(name(state.found_in())) + "\""); });
}

ServiceStart set_cookies(ngx_http_request_t* r, CookieKind kind, std::string_view token, const CookieOptions& options,
                         bool may_be_late) noexcept {
    return with_opened(r, all_forms, token, may_be_late, [&] {
        return [kind, text = std::string(token), max_age = options.max_age, domain = owned(options.domain)](
                   ngx_http_request_t* of, const Opened& opened) {
            return cookies_set(of, kind, text, opened, max_age, domain);
        };
    });
}

ServiceResult unset_cookies(ngx_http_request_t* r, CookieKind kind, std::optional<std::string_view> domain) noexcept {
    return serve(r, [&]() -> ServiceResult {
        if (domain && !is_cookie_domain(*domain)) {
            return bad(r, "domain takes a host name, as in \".example.com\"");
        }
        unset_token_cookies(r, location_config(r), kind == CookieKind::refresh, domain);
        return good(r, {});
    });
}

std::optional<ngx_str_t> request_header(ngx_http_request_t* r, std::string_view name) noexcept {
    return guarded(r->connection->log, std::optional<ngx_str_t>(), [&]() -> std::optional<ngx_str_t> {
        const auto field = header_field(r, name);
        return field ? std::optional(copy_to_pool(r->pool, *field)) : std::nullopt;
    });
}

std::optional<ngx_str_t> request_variable(ngx_http_request_t* r, std::string_view name) noexcept {
    return guarded(r->connection->log, std::optional<ngx_str_t>(), [&]() -> std::optional<ngx_str_t> {
        ngx_str_t lower = copy_to_pool(r->pool, name);
        const ngx_uint_t hash = ngx_hash_strlow(lower.data, lower.data, lower.len);
        const ngx_http_variable_value_t* value = ngx_http_get_variable(r, &lower, hash);
        if (value == nullptr || value->not_found || !value->valid) {
            return std::nullopt;
        }
        return ngx_str_t{value->len, value->data};
    });
}

bool request_is_json(ngx_http_request_t* r) noexcept {
    return is_json(r);
}

ServiceResult request_body(ngx_http_request_t* r) noexcept {
    return serve(r, [&]() -> ServiceResult {
        const MainConfig& config = main_config(r);
        const auto body = body_text(r, config.lua_limits == nullptr ? LuaLimits{}.memory : config.lua_limits->memory);
        return body ? good(r, *body) : bad(r, "the request's body is larger than jwt_lua_limit memory");
    });
}

}  // namespace ngx
