#include "judgement.hpp"

#include "guard.hpp"
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

/// The hooks that decide, in the seeds' order. Nothing where all of them agree.
std::optional<Judgement> ask_hooks(ngx_http_request_t* r, const LocationConfig& config, const Requirement& requirement,
                                   Accepted& candidate) {
    if (config.lua == nullptr) {
        return std::nullopt;
    }
    const LuaFile& file = config.lua->file;
    LuaHost& lua = *worker().lua;
    const jwt::json::Value header = candidate.token.header();
    const jwt::json::Value payload = candidate.token.payload();
    if (requirement.check_revocation && file.has(Hook::token_in_blocklist)) {
        const auto revoked = lua.decide(r, file, Hook::token_in_blocklist, header, payload);
        if (!revoked) {
            return Failed{};
        }
        if (*revoked) {
            return denied(jwt::Reason::revoked, "Token has been revoked", std::move(candidate.token));
        }
    }
    if (file.has(Hook::token_verification)) {
        const auto agreed = lua.decide(r, file, Hook::token_verification, header, payload);
        if (!agreed) {
            return Failed{};
        }
        if (!*agreed) {
            return denied(jwt::Reason::verification_failed, "User claims verification failed",
                          std::move(candidate.token));
        }
    }
    if (file.has(Hook::user_lookup)) {
        auto user = lua.user(r, file, header, payload);
        if (!user) {
            return Failed{};
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

}  // namespace

tl::expected<std::shared_ptr<const jwt::KeySet>, HookFailure> keys_for(ngx_http_request_t* r,
                                                                       const LocationConfig& config,
                                                                       const jwt::UnverifiedToken& token) {
    if (config.lua == nullptr || !config.lua->file.has(Hook::decode_key)) {
        // The configuration outlives the request: nothing to share.
        return std::shared_ptr<const jwt::KeySet>(std::shared_ptr<void>(), &config.keys->verifying);
    }
    auto text = worker().lua->decode_key(r, config.lua->file, token.header(), token.payload());
    if (!text) {
        return tl::make_unexpected(HookFailure{});
    }
    if (!*text) {  // the hook knows no key for this token: no signature can be right
        return std::shared_ptr<const jwt::KeySet>();
    }
    auto keys = worker().hook_keys.find(**text, *config.decode_algorithms);
    ngx_explicit_memzero((*text)->data(), (*text)->size());
    if (!keys) {
        log(r->connection->log, NGX_LOG_ERR, "jwt: the key that hook decode_key of " + config.lua->path + " returned ",
            keys.error());
        return tl::make_unexpected(HookFailure{});
    }
    return std::move(*keys);
}

Judgement judge(ngx_http_request_t* r, const LocationConfig& config, const Requirement& requirement,
                const FoundToken& found) {
    auto parsed = worker().verifier.parse(found.text);
    if (!parsed) {
        return denied(std::move(parsed.error()));
    }
    const auto keys = keys_for(r, config, *parsed);
    if (!keys) {
        return Failed{};
    }
    if (*keys == nullptr) {
        return denied(jwt::refusal(jwt::Error::signature));
    }
    auto authentic = jwt::Verifier::authenticate(std::move(*parsed), **keys, *config.decode_algorithms);
    if (!authentic) {
        return denied(std::move(authentic.error()));
    }
    const jwt::Demand demand{requirement.use, requirement.fresh,
                             found.csrf ? std::optional<std::string_view>(*found.csrf) : std::nullopt};
    auto verified = jwt::Verifier::verify(std::move(*authentic), *config.policy, demand, now());
    if (!verified) {
        jwt::RefusedToken& refused = verified.error();
        return denied(reason(refused.refusal.error), std::move(refused.refusal.message), std::move(refused.token));
    }
    Accepted candidate{std::move(*verified), std::nullopt};
    if (auto ended = ask_hooks(r, config, requirement, candidate)) {
        return std::move(*ended);
    }
    return candidate;
}

}  // namespace ngx
