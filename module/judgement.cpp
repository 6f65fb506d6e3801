#include "judgement.hpp"

#include <algorithm>

#include "authentication.hpp"
#include "conditions.hpp"
#include "guard.hpp"
#include "issuers.hpp"
#include "revocation.hpp"
#include "worker.hpp"

namespace ngx {

namespace {

Denied denied(jwt::Refusal&& refusal) {
    return {{reason(refusal.error), std::move(refusal.message), std::nullopt, std::nullopt}, std::monostate{}};
}

template <class Token>
Denied denied(jwt::Reason reason, std::string message, Token&& token) {
    Denied result{{reason, std::move(message), std::nullopt, std::nullopt}, std::forward<Token>(token)};
    std::visit(
        [&](const auto& kept) {
            if constexpr (!std::is_same_v<std::decay_t<decltype(kept)>, std::monostate>) {
                result.denial.header = kept.header();
                result.denial.payload = kept.payload();
            }
        },
        result.token);
    return result;
}

std::string identity_text(jwt::json::Value payload, const jwt::Policy& policy) {
    const auto identity = payload.member(policy.identity_claim);
    const auto text = identity ? identity->string() : std::nullopt;
    return text ? std::string(*text) : identity ? identity->text() : std::string();
}

/// Whether a token's algorithm is one of these.
bool may_use(const jwt::UnverifiedToken& token, jwt::AlgorithmSet allowed) {
    const auto alg = token.header().member("alg");
    const auto name = alg ? alg->string() : std::nullopt;
    const auto algorithm = name ? jwt::algorithm_named(*name) : std::nullopt;
    return algorithm && allowed.has(*algorithm);
}

Judgement without_result(NoResult why) {
    return why == NoResult::waiting ? Judgement(Waiting{}) : Judgement(Failed{status_of(why)});
}

/// Asks the revocation store. Nothing where the token was not revoked.
std::optional<Judgement> ask_store(const Requirement& requirement, Judging& judging, Accepted& candidate) {
    if (judging.step != Judging::Step::revocation_store) {
        return std::nullopt;  // a hook waits, which may have revoked the token itself
    }
    judging.step = Judging::Step::token_in_blocklist;
    const bool to_be_checked = worker().revocations != nullptr && requirement.check_revocation &&
                               is_checked(*judging.config, candidate.token.claims());
    if (!to_be_checked) {
        return std::nullopt;
    }
    if (auto objection = objection_to(revocation_of(*judging.config, candidate.token))) {
        return denied(objection->reason, std::move(objection->message), std::move(candidate.token));
    }
    return std::nullopt;
}

/// The hooks that decide, in the seeds' order, of a location that has a file of hooks. Nothing where all of them agree.
std::optional<Judgement> ask_hooks(ngx_http_request_t* r, const Requirement& requirement, Judging& judging,
                                   Accepted& candidate) {
    using Step = Judging::Step;
    const LocationConfig& config = *judging.config;
    const LuaFile& file = config.lua->file;
    LuaHost& lua = *worker().lua;
    const jwt::json::Value header = candidate.token.header();
    const jwt::json::Value payload = candidate.token.payload();
    if (judging.step == Step::token_in_blocklist && requirement.check_revocation &&
        is_checked(config, candidate.token.claims()) && file.has(Hook::token_in_blocklist)) {
        const auto revoked = lua.decide(judging.run, r, file, Hook::token_in_blocklist, header, payload);
        if (!revoked) {
            return without_result(revoked.error());
        }
        if (*revoked) {
            return denied(jwt::Reason::revoked, "Token has been revoked", std::move(candidate.token));
        }
    }
    judging.step = std::max(judging.step, Step::token_verification);
    if (judging.step == Step::token_verification && file.has(Hook::token_verification)) {
        const auto agreed = lua.decide(judging.run, r, file, Hook::token_verification, header, payload);
        if (!agreed) {
            return without_result(agreed.error());
        }
        if (!*agreed) {
            return denied(jwt::Reason::verification_failed, "User claims verification failed",
                          std::move(candidate.token));
        }
    }
    judging.step = Step::user_lookup;
    if (file.has(Hook::user_lookup)) {
        auto user = lua.user(judging.run, r, file, header, payload);
        if (!user) {
            return without_result(user.error());
        }
        if (!*user) {
            return denied(jwt::Reason::user_lookup_failed,
                          "Error loading the user " + identity_text(payload, *config.policy),
                          std::move(candidate.token));
        }
        candidate.user = std::move(*user);
    }
    return std::nullopt;
}

/// The keys for a token: the location's, or those that the hook decode_key names; null where the hook knows none for
/// it.
tl::expected<std::shared_ptr<const jwt::KeySet>, NoResult> keys_for(ngx_http_request_t* r, Judging& judging,
                                                                    const Keys* own,
                                                                    const jwt::UnverifiedToken& token) {
    const LocationConfig& config = *judging.config;
    if (config.lua == nullptr || !config.lua->file.has(Hook::decode_key)) {
        return worker().live_keys.current(*own);
    }
    auto text = worker().lua->decode_key(judging.run, r, config.lua->file, token.header(), token.payload());
    if (!text) {
        return tl::make_unexpected(text.error());
    }
    if (!*text) {  // the hook knows no key for this token: no signature can be right
        return std::shared_ptr<const jwt::KeySet>();
    }
    auto keys = worker().hook_keys.find(**text, *config.decode_algorithms);
    ngx_explicit_memzero((*text)->data(), (*text)->size());
    if (!keys) {
        log(r->connection->log, NGX_LOG_ERR, "jwt: the key that hook decode_key of " + config.lua->path + " returned ",
            keys.error());
        return tl::make_unexpected(NoResult::failed);
    }
    return std::move(*keys);
}

jwt::Demand demand_of(const Requirement& requirement, const FoundToken& found) {
    return {requirement.use, requirement.fresh, found.csrf};
}

/// Of a token that the keys at hand do not verify: whether its key may be one that a provider has yet to tell us.
std::optional<Judgement> ask_providers(ngx_http_request_t* r, Judging& judging, const Rules& rules,
                                       const jwt::UnverifiedToken& token) {
    const LocationConfig& config = *judging.config;
    const bool hook_decides = config.lua != nullptr && config.lua->file.has(Hook::decode_key);
    if (hook_decides || rules.keys->requests.empty() || !may_use(token, *rules.algorithms)) {
        return std::nullopt;
    }
    LiveKeys& live = worker().live_keys;
    if (!judging.key_wait) {
        judging.key_wait.emplace();
    }
    switch (live.ask(r, *rules.keys, token, *judging.key_wait)) {
        case KeyStanding::settled:
            return std::nullopt;
        case KeyStanding::waiting:
            return Waiting{};
        case KeyStanding::unavailable:
            break;
    }
    Denied denied{{jwt::Reason::unavailable, "Keys are not available", std::nullopt, std::nullopt}, std::monostate{}};
    denied.denial.retry_after = live.retry_after(*rules.keys);
    return denied;
}

/// A token whose signature is good; how judging ends, or waits, where it is not.
tl::expected<jwt::AuthenticToken, Judgement> authenticate(ngx_http_request_t* r, Judging& judging,
                                                          jwt::UnverifiedToken& parsed) {
    const LocationConfig& config = *judging.config;
    const auto rules = rules_for(config, parsed.payload());
    if (!rules) {
        return tl::make_unexpected(denied(jwt::Refusal(rules.error())));
    }
    const auto keys = keys_for(r, judging, rules->keys, parsed);
    if (!keys) {
        return tl::make_unexpected(without_result(keys.error()));
    }
    if (*keys == nullptr) {
        return tl::make_unexpected(denied(jwt::refusal(jwt::Error::signature)));
    }
    judging.policy = rules->policy;
    auto authentic = authenticate_token(std::move(parsed), **keys, *rules->algorithms);
    if (!authentic) {
        // NOLINTNEXTLINE(bugprone-use-after-move): one that is refused is left as it was
        if (auto undecided = ask_providers(r, judging, *rules, parsed)) {
            return tl::make_unexpected(std::move(*undecided));
        }
        return tl::make_unexpected(denied(std::move(authentic.error())));
    }
    return std::move(*authentic);
}

/// The same for a token as it was found.
tl::expected<jwt::AuthenticToken, Judgement> authentic_token(ngx_http_request_t* r, Judging& judging) {
    if (auto* parsed = std::get_if<jwt::UnverifiedToken>(&judging.token)) {
        return authenticate(r, judging, *parsed);  // its key was waited for
    }
    const LocationConfig& config = *judging.config;
    auto opened = open_token(r, config, config.accept->forms, judging.found.text, judging.decryption);
    if (!opened) {
        return tl::make_unexpected(Waiting{});
    }
    if (!*opened) {
        return tl::make_unexpected(denied(std::move(opened->error())));
    }
    if (auto* parsed = std::get_if<jwt::UnverifiedToken>(&**opened)) {
        return authenticate(r, judging, judging.token.emplace<jwt::UnverifiedToken>(std::move(*parsed)));
    }
    auto& authentic = std::get<jwt::AuthenticToken>(**opened);
    const auto policy = policy_for(config, authentic);
    if (!policy) {
        return tl::make_unexpected(denied(jwt::Refusal(policy.error())));
    }
    judging.policy = *policy;
    return std::move(authentic);
}

/// From an authentic token to a candidate in `judging`. Nothing where it is one.
std::optional<Judgement> verify(ngx_http_request_t* r, const Requirement& requirement, Judging& judging,
                                jwt::AuthenticToken&& authentic) {
    const LocationConfig& config = *judging.config;
    judging.verified_at = now();
    auto verified = jwt::Verifier::verify(std::move(authentic), *judging.policy, demand_of(requirement, judging.found),
                                          judging.verified_at);
    if (!verified) {
        jwt::RefusedToken& refused = verified.error();
        return denied(reason(refused.refusal.error), std::move(refused.refusal.message), std::move(refused.token));
    }
    if (config.conditions != nullptr) {
        if (auto unmet = unmet_condition(r, *config.conditions, verified->header(), verified->payload())) {
            Denied result = denied(jwt::Reason::condition_failed, std::move(unmet->message), std::move(*verified));
            result.denial.status = unmet->status;
            result.denial.scope = std::move(unmet->scope);
            return Judgement(std::move(result));
        }
    }
    judging.token.emplace<Accepted>(std::move(*verified));
    return std::nullopt;
}

/// What is wrong with a token once its hooks have waited: it may have lived for less.
std::optional<jwt::Refusal> outlived(const Requirement& requirement, const Judging& judging,
                                     const jwt::VerifiedToken& token) {
    if (now() == judging.verified_at) {
        return std::nullopt;
    }
    return jwt::Verifier::check_again(token, *judging.policy, demand_of(requirement, judging.found), now());
}

}  // namespace

Judgement judge(ngx_http_request_t* r, const Requirement& requirement, Judging& judging) {
    if (!std::holds_alternative<Accepted>(judging.token)) {
        auto authentic = authentic_token(r, judging);
        if (!authentic) {
            return std::move(authentic.error());
        }
        if (auto ended = verify(r, requirement, judging, std::move(*authentic))) {
            return std::move(*ended);
        }
    }
    Accepted& candidate = std::get<Accepted>(judging.token);
    if (auto ended = ask_store(requirement, judging, candidate)) {
        return std::move(*ended);
    }
    if (judging.config->lua != nullptr) {
        if (auto ended = ask_hooks(r, requirement, judging, candidate)) {
            return std::move(*ended);
        }
    }
    if (auto refusal = outlived(requirement, judging, candidate.token)) {
        return denied(reason(refusal->error), std::move(refusal->message), std::move(candidate.token));
    }
    return Passed{};
}

}  // namespace ngx
