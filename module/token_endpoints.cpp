#include "token_endpoints.hpp"

#include "answer.hpp"
#include "body.hpp"
#include "content.hpp"
#include "judgement.hpp"
#include "session.hpp"
#include "worker.hpp"

// The endpoints of OAuth that are told a token. Who may ask is nginx's to say: allow, auth_basic, client certificates.

namespace ngx {

namespace {

/// RFC 6749 §5.2.
Answer invalid_request(std::string_view description) {
    std::string body = R"({"error":"invalid_request","error_description":)";
    jwt::json::append_string(body, description);
    return json_answer(NGX_HTTP_BAD_REQUEST, body + "}");
}

/// The token of a form, or what is wrong with it.
tl::expected<std::string, Answer> form_token(ngx_http_request_t* r, std::size_t limit) {
    if (!is_form(r)) {
        return tl::make_unexpected(invalid_request("Send the token as application/x-www-form-urlencoded"));
    }
    const auto body = body_text(r, limit);
    if (!body) {
        return tl::make_unexpected(json_answer(NGX_HTTP_REQUEST_ENTITY_TOO_LARGE, R"({"error":"invalid_request"})"));
    }
    std::optional<std::string> token;
    for (std::string_view rest = *body; !rest.empty();) {
        const std::string_view pair = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
        if (pair.substr(0, pair.find('=')) != "token") {
            continue;  // token_type_hint too: what a token is, it says itself
        }
        if (token) {  // RFC 6749 §3.2: no parameter twice
            return tl::make_unexpected(invalid_request("The parameter token is given twice"));
        }
        token = unescaped(pair.substr(std::min(pair.find('=') + 1, pair.size())));
    }
    if (!token || token->empty()) {
        return tl::make_unexpected(invalid_request("The parameter token is missing"));
    }
    return std::move(*token);
}

constexpr ContentRules form_post{NGX_HTTP_POST, "POST"};

/// Judges the token of a form by the rules of the location.
class JudgingCall : public WritingCall {
public:
    explicit JudgingCall(bool check_revocation) {
        requirement_.use = jwt::TokenUse::any;
        requirement_.check_revocation = check_revocation;
    }

    ngx_int_t go_on(ngx_http_request_t* r) final {
        if (writing()) {
            return NGX_AGAIN;
        }
        if (result()) {
            return written(r, *result());
        }
        if (!judging_) {
            auto token = form_token(r, form_post.body_limit);
            if (!token) {
                return send_answer(r, token.error());
            }
            token_ = std::move(*token);
            judging_.emplace(location_config(r)).found.text = token_;
        }
        Judgement judgement = judge(r, requirement_, *judging_);
        if (std::holds_alternative<Waiting>(judgement)) {
            return NGX_AGAIN;
        }
        if (const auto* failed = std::get_if<Failed>(&judgement)) {
            return failed->status;
        }
        if (const auto* denied = std::get_if<Denied>(&judgement)) {
            const jwt::Reason reason = denied->denial.reason;
            if (reason == jwt::Reason::unavailable || reason == jwt::Reason::error) {
                Answer answer = json_answer(NGX_HTTP_SERVICE_UNAVAILABLE, R"({"error":"temporarily_unavailable"})");
                answer.headers.emplace_back("Retry-After", "5");
                return send_answer(r, answer);
            }
        }
        return std::holds_alternative<Passed>(judgement)
                   ? accepted(r, std::get<Accepted>(judging_->token).token.authentic())
                   : refused(r, std::get<Denied>(judgement));
    }

protected:
    [[nodiscard]] virtual ngx_int_t accepted(ngx_http_request_t* r, const jwt::AuthenticToken& token) = 0;
    /// Not for lack of a key or the store.
    [[nodiscard]] virtual ngx_int_t refused(ngx_http_request_t* r, const Denied& denied) = 0;
    [[nodiscard]] virtual ngx_int_t written(ngx_http_request_t* r, const Revocations::Result& result) = 0;

private:
    Requirement requirement_;
    std::string token_;
    std::optional<Judging> judging_;
};

class Revoke final : public JudgingCall {
public:
    Revoke() : JudgingCall(false) {}

private:
    ngx_int_t accepted(ngx_http_request_t* r, const jwt::AuthenticToken& token) override {
        if (has_ended(token)) {
            return done(r);
        }
        // RFC 7009 §2.1: with a refresh token the access tokens of the same grant.
        return write(r, jwt::token_type(token.claims()) == "refresh" ? end_of_family(location_config(r), token)
                                                                     : end_of_token(token));
    }

    ngx_int_t refused(ngx_http_request_t* r, const Denied& denied) override {
        // A token that is refused here may be good elsewhere, an expired one too: where leeway is longer, or none is
        // too old.
        if (const auto* authentic = std::get_if<jwt::AuthenticToken>(&denied.token)) {
            return accepted(r, *authentic);
        }
        const auto* verified = std::get_if<jwt::VerifiedToken>(&denied.token);
        return verified == nullptr ? done(r) : accepted(r, verified->authentic());
    }

    ngx_int_t written(ngx_http_request_t* r, const Revocations::Result& result) override {
        return result ? done(r) : send_answer(r, store_failure_answer(r, result.error()));
    }

    /// RFC 7009 §2.2: the same for tokens that are none.
    static ngx_int_t done(ngx_http_request_t* r) {
        Answer answer;
        answer.headers = {{"Cache-Control", "no-store"}};
        return send_answer(r, answer);
    }
};

class Introspect final : public JudgingCall {
public:
    Introspect() : JudgingCall(true) {}

private:
    ngx_int_t accepted(ngx_http_request_t* r, const jwt::AuthenticToken& token) override {
        return send_answer(r, json_answer(NGX_HTTP_OK, members(token.payload())));
    }

    // RFC 7662 §2.2: nothing else of a token that is not active.
    ngx_int_t refused(ngx_http_request_t* r, const Denied&) override {
        return send_answer(r, json_answer(NGX_HTTP_OK, R"({"active":false})"));
    }

    ngx_int_t written(ngx_http_request_t*, const Revocations::Result&) override {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    static std::string members(jwt::json::Value payload) {
        std::string body = R"({"active":true,"token_type":"Bearer")";
        payload.each_member([&](std::string_view name, jwt::json::Value value) {
            // What the answer says is ours to say; `csrf` proves that a request is its user's own.
            if (name == "active" || name == "token_type" || name == "csrf") {
                return;
            }
            body += ",";
            jwt::json::append_string(body, name);
            body += ":";
            value.append_to(body);
        });
        return body + "}";
    }
};

}  // namespace

ngx_int_t handle_revoke(ngx_http_request_t* r) noexcept {
    return run_content(r, form_post, make_call<Revoke>);
}

ngx_int_t handle_introspect(ngx_http_request_t* r) noexcept {
    return run_content(r, form_post, make_call<Introspect>);
}

}  // namespace ngx
