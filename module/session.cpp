#include "session.hpp"

#include <algorithm>
#include <cmath>

#include "access.hpp"
#include "answer.hpp"
#include "cookies.hpp"
#include "decryption.hpp"
#include "guard.hpp"
#include "issuers.hpp"
#include "issuing.hpp"
#include "signing.hpp"
#include "worker.hpp"

namespace ngx {

namespace {

using jwt::revocation::Change;
using jwt::revocation::Issuer;
using jwt::revocation::Kind;
using jwt::revocation::Outcome;
using jwt::revocation::StoreFailure;
using jwt::revocation::Target;
using jwt::revocation::Verdict;

Target itself(const jwt::AuthenticToken& token) {
    return Target::of(token.payload(), token.signing_input());
}

std::optional<jwt::Time> expiry(jwt::json::Value payload) {
    const auto exp = payload.member("exp");
    const auto end = exp ? exp->number() : std::nullopt;
    constexpr double latest = 1e11;  // some 3,000 years: within what jwt::Time holds
    return end ? std::optional(jwt::Time(std::chrono::milliseconds(
                     static_cast<std::int64_t>(std::ceil(std::clamp(*end, -latest, latest) * 1000)))))
               : std::nullopt;
}

/// A family lives as long as the last token that may have come of it, in whatever location.
std::optional<jwt::Time> family_kept_until(const jwt::AuthenticToken& token) {
    const auto end = expiry(token.payload());
    const auto& lifetime = worker().revocations->lifetime();
    return end && lifetime ? std::optional(worker().revocations->kept_until(std::max(*end, now() + *lifetime)))
                           : std::nullopt;
}

bool is_revoked(const Target& target) {
    return worker().revocations->check(jwt::revocation::fingerprint(target)) == Verdict::revoked;
}

/// What revokes a token; kept for as long as it would be taken.
Change revocation_of_token(const jwt::AuthenticToken& token) {
    const auto end = expiry(token.payload());
    return {itself(token), end ? std::optional(worker().revocations->kept_until(*end)) : std::nullopt};
}

Change end_of_named(const jwt::AuthenticToken& token, Target target) {
    return {std::move(target), family_kept_until(token)};
}

Target family_of(const jwt::AuthenticToken& token) {
    return {Kind::family, family_name(token), Issuer::of(token.payload())};
}

/// Not waited for: who used a token twice is refused anyway.
void end_family(ngx_http_request_t* r, const LocationConfig& config, const jwt::AuthenticToken& token) {
    log(r->connection->log, NGX_LOG_WARN, "jwt: a refresh token was used twice: its family is revoked");
    static_cast<void>(worker().revocations->apply(end_of_family(config, token), nullptr));
}

/// Of a token that was refused for being revoked: a hook may have done so, or all of its family has ended already.
bool was_reused(const jwt::AuthenticToken& token) {
    return is_revoked(itself(token)) && !is_revoked(family_of(token));
}

/// The accepted token of a request that all access handlers let in; null where there is none.
const jwt::VerifiedToken* presented_token(ngx_http_request_t* r) noexcept {
    const RequestState* state = RequestState::find(r);
    return state != nullptr && state->let_in_by() == &location_config(r) ? state->accepted() : nullptr;
}

/// A method that is exempt, a condition that does not hold: nobody asked for a token.
ngx_int_t deny_missing(ngx_http_request_t* r) {
    return deny(r, Denied{{jwt::Reason::missing, "Missing token", std::nullopt, std::nullopt}, std::monostate{}});
}

/// Of the accepted token.
ngx_int_t deny_presented(ngx_http_request_t* r, jwt::Reason reason, std::string message) {
    Denied denied{{reason, std::move(message), std::nullopt, std::nullopt}, std::monostate{}};
    const auto& token = denied.token.emplace<jwt::VerifiedToken>(RequestState::of(r).withdraw(r));
    denied.denial.header = token.header();
    denied.denial.payload = token.payload();
    return deny(r, std::move(denied));
}

/// Why a token that was accepted is so no longer: its client decides how long the body takes, and hooks may wait. What
/// is made of it would be younger than the rule that revoked it.
std::optional<Objection> ended_since(const LocationConfig& config, const jwt::VerifiedToken& token) {
    const jwt::Demand demand{config.required->use, config.required->fresh, std::nullopt};
    if (auto refusal = jwt::Verifier::check_again(token, *config.policy, demand, now())) {
        return Objection{reason(refusal->error), std::move(refusal->message)};
    }
    return objection_to(revocation_of(config, token));
}

bool came_in_cookie(ngx_http_request_t* r) noexcept {
    return RequestState::find(r)->found_in() == TokenLocation::cookies;
}

class Logout final : public WritingCall {
public:
    ngx_int_t go_on(ngx_http_request_t* r) override {
        if (writing()) {
            return NGX_AGAIN;
        }
        if (!result()) {
            const jwt::VerifiedToken* token = presented_token(r);
            return token == nullptr ? deny_missing(r) : write(r, end_of_family(location_config(r), token->authentic()));
        }
        if (!*result()) {
            return send_answer(r, store_failure_answer(r, result()->error()));
        }
        if (came_in_cookie(r)) {
            unset_token_cookies(r, location_config(r), false, std::nullopt);
            unset_token_cookies(r, location_config(r), true, std::nullopt);
        }
        return send_answer(r, json_answer(NGX_HTTP_OK, R"({"logout":true})"));
    }

private:
};

class Refresh final : public WritingCall {
public:
    ngx_int_t go_on(ngx_http_request_t* r) override {
        if (writing()) {
            return NGX_AGAIN;
        }
        const LocationConfig& config = location_config(r);
        if (result()) {
            return answer_written(r, config);
        }
        const jwt::VerifiedToken* token = presented_token(r);
        if (token == nullptr) {
            return deny_missing(r);
        }
        if (!is_own(config, token->authentic())) {
            return deny_presented(r, jwt::Reason::invalid, jwt::refusal(jwt::Error::iss_mismatch).message);
        }
        // What may fail comes before the old token ends.
        if (const ngx_int_t rc = make_tokens(r, config, *token); rc != NGX_OK) {
            return rc;
        }
        const jwt::AuthenticToken& used = token->authentic();
        if (auto ended = ended_since(config, *token)) {
            if (config.refresh_rotates && was_reused(used)) {
                end_family(r, config, used);
            }
            return deny_presented(r, ended->reason, std::move(ended->message));
        }
        if (!config.refresh_rotates) {
            return answer(r, config);
        }
        Change reuse = end_of_named(used, family_of(used));
        reuse.if_previous_known = true;
        return write(r, {revocation_of_token(used), std::move(reuse)});
    }

private:
    struct Token {
        std::string text;
        std::string csrf;
        std::optional<jwt::Time> expires;
    };

    ngx_int_t make_tokens(ngx_http_request_t* r, const LocationConfig& config, const jwt::VerifiedToken& token) {
        if (signing_ != nullptr) {
            return signing_->ended() ? take(r, config, signing_->take()) : ngx_int_t{NGX_AGAIN};
        }
        std::string additions = "{}";
        if (config.lua != nullptr &&
            (config.lua->file.has(Hook::additional_claims) || config.lua->file.has(Hook::additional_headers) ||
             config.lua->file.has(Hook::encode_key))) {
            const auto identity = token.payload().member(config.policy->identity_claim);
            if (!identity) {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }
            auto made = worker().lua->additions(run_, r, config.lua->file, *identity);
            if (!made) {
                return made.error() == NoResult::waiting ? ngx_int_t{NGX_AGAIN} : status_of(made.error());
            }
            additions = std::move(*made);
        }
        auto tokens = successors(config, token, additions);
        if (!tokens) {
            return none(r, tokens.error());
        }
        signing_ = Signing::start(r, *tokens);
        return signing_ == nullptr ? take(r, config, sign_here(std::move(*tokens))) : ngx_int_t{NGX_AGAIN};
    }

    static tl::expected<std::vector<UnsignedToken>, std::string> successors(const LocationConfig& config,
                                                                            const jwt::VerifiedToken& token,
                                                                            const std::string& additions) {
        jwt::json::Document document;
        const auto added = worker().parser.parse_object(additions, document);
        if (!added) {
            return tl::make_unexpected(std::string("the hooks' additions are no JSON object"));
        }
        const std::string family = family_name(token.authentic());
        std::vector<UnsignedToken> tokens;
        for (const jwt::TokenUse use : {jwt::TokenUse::access, jwt::TokenUse::refresh}) {
            if (use == jwt::TokenUse::refresh && !config.refresh_rotates) {
                break;
            }
            auto successor = successor_token(config, {use, token.payload(), family, *added});
            if (!successor) {
                return tl::make_unexpected(std::move(successor.error()));
            }
            tokens.push_back(std::move(*successor));
        }
        return tokens;
    }

    ngx_int_t take(ngx_http_request_t* r, const LocationConfig& config, SignedTokens&& tokens) {
        if (!tokens) {
            return none(r, tokens.error());
        }
        const auto access = finish(config, std::move(tokens->front()), access_);
        const auto refresh =
            access && config.refresh_rotates ? finish(config, std::move(tokens->back()), refresh_) : access;
        return refresh ? ngx_int_t{NGX_OK} : none(r, refresh.error());
    }

    static tl::expected<void, std::string> finish(const LocationConfig& config, std::string&& text, Token& made) {
        const auto parsed = worker().verifier.parse(text);
        if (!parsed) {
            return tl::make_unexpected(parsed.error().message);
        }
        const auto csrf = parsed->payload().member("csrf");
        made.csrf = csrf ? csrf->string().value_or("") : "";
        made.expires = expiry(parsed->payload());
        return nested_token(config, std::move(text)).map([&made](std::string&& nested) {
            made.text = std::move(nested);
        });
    }

    static ngx_int_t none(ngx_http_request_t* r, std::string_view why) {
        log(r->connection->log, NGX_LOG_ERR, "jwt: jwt_refresh makes no token: ", why);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_int_t answer_written(ngx_http_request_t* r, const LocationConfig& config) {
        if (!*result()) {
            return send_answer(r, store_failure_answer(r, result()->error()));
        }
        if ((**result())[0] == Outcome::added) {
            return answer(r, config);
        }
        // Another request was faster: of two users of one token one is a thief, and both tokens have ended.
        end_family(r, config, presented_token(r)->authentic());
        return deny_presented(r, jwt::Reason::revoked, "Token has been revoked");
    }

    ngx_int_t answer(ngx_http_request_t* r, const LocationConfig& config) {
        std::string body = "{";
        if (came_in_cookie(r)) {
            set_token_cookies(r, config, false, access_.text, access_.csrf, std::nullopt, std::nullopt);
            if (config.refresh_rotates) {
                set_token_cookies(r, config, true, refresh_.text, refresh_.csrf, std::nullopt, std::nullopt);
            }
            body += R"("refresh":true)";
        } else {  // RFC 6749 §5.1
            body += R"("access_token":")" + access_.text + R"(","token_type":"Bearer")";
            body += config.refresh_rotates ? R"(,"refresh_token":")" + refresh_.text + "\"" : "";
        }
        if (access_.expires) {
            const auto left = std::chrono::floor<std::chrono::seconds>(*access_.expires - now());
            body += ",\"expires_in\":" + std::to_string(std::max<std::int64_t>(left.count(), 0));
        }
        return send_answer(r, json_answer(NGX_HTTP_OK, body + "}"));
    }

    LuaRun run_;
    std::unique_ptr<Signing> signing_;
    Token access_;
    Token refresh_;
};

constexpr ContentRules post_alone{NGX_HTTP_POST, "POST", std::size_t{1024} * 1024};

}  // namespace

ngx_int_t handle_logout(ngx_http_request_t* r) noexcept {
    return run_content(r, post_alone, make_call<Logout>);
}

ngx_int_t handle_refresh(ngx_http_request_t* r) noexcept {
    return run_content(r, post_alone, make_call<Refresh>);
}

std::string family_name(const jwt::AuthenticToken& token) {
    const auto sid = token.payload().member("sid");
    const auto text = sid ? sid->string() : std::nullopt;
    if (text && !text->empty()) {
        return std::string(*text);
    }
    return jwt::token_type(token.claims()) == "refresh" ? itself(token).name : std::string();
}

bool has_ended(const jwt::AuthenticToken& token) {
    const auto end = expiry(token.payload());
    return end && worker().revocations->kept_until(*end) <= now();
}

Revocations::Changes end_of_token(const jwt::AuthenticToken& token) {
    return {revocation_of_token(token)};
}

Revocations::Changes end_of_family(const LocationConfig& config, const jwt::AuthenticToken& token) {
    Revocations::Changes changes = end_of_token(token);
    const Target family = family_of(token);
    if (family.name.empty()) {
        return changes;
    }
    changes.push_back(end_of_named(token, family));
    // The first refresh token has no `sid`: its `jti` is the family's name.
    changes.push_back(end_of_named(token, {Kind::token, family.name, family.issuer}));
    if (config.encode_issuer.len != 0) {  // of which its successors are
        const Issuer issuer = Issuer::named(std::string(view(config.encode_issuer)));
        changes.push_back(end_of_named(token, {Kind::family, family.name, issuer}));
    }
    return changes;
}

void note_reuse(ngx_http_request_t* r, const LocationConfig& config, const Denied& denied) {
    const auto* token = std::get_if<jwt::VerifiedToken>(&denied.token);
    if (!config.refresh_rotates || denied.denial.reason != jwt::Reason::revoked || token == nullptr) {
        return;
    }
    if (const jwt::AuthenticToken& used = token->authentic(); was_reused(used)) {
        end_family(r, config, used);
    }
}

ngx_int_t WritingCall::write(ngx_http_request_t* r, Revocations::Changes changes) {
    write_ = worker().revocations->apply(std::move(changes), [this, r](const Revocations::Result& result) {
        result_ = result;
        wake(r);  // may end this call
    });
    return NGX_AGAIN;
}

Answer store_failure_answer(ngx_http_request_t* r, const StoreFailure& failure) {
    Answer answer =
        sentence_answer(r, static_cast<ngx_uint_t>(status_of(failure.error)), "Token cannot be revoked now");
    answer.headers.emplace_back("Retry-After", "5");
    return answer;
}

}  // namespace ngx
