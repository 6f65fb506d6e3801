#pragma once

#include "ngx.hpp"

#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "../core/policy.hpp"
#include "../core/token.hpp"
#include "config.hpp"
#include "decryption.hpp"
#include "denial.hpp"
#include "key_source.hpp"
#include "lua_host.hpp"
#include "token_source.hpp"

namespace ngx {

/// A token that core and hooks let through.
struct Accepted {
    explicit Accepted(jwt::VerifiedToken&& verified) noexcept : token(std::move(verified)) {}

    jwt::VerifiedToken token;
    std::optional<std::string> user{};  // JSON text of what user_lookup returned
};

/// It passed everything: what `judging.token` holds is accepted.
struct Passed {};

/// A hook failed: the request is answered with this.
struct Failed {
    ngx_int_t status = NGX_HTTP_INTERNAL_SERVER_ERROR;
};

/// A hook waits: to be judged on when nginx runs the request again.
struct Waiting {};

using Judgement = std::variant<Passed, Denied, Failed, Waiting>;

/// A token on its way, kept while a hook waits.
struct Judging {
    enum class Step : std::uint8_t { revocation_store, token_in_blocklist, token_verification, user_lookup };

    explicit Judging(const LocationConfig& of) noexcept : config(&of) {}

    const LocationConfig* config;            // whose rules these are
    FoundToken found;                        // empty where none was found
    std::unique_ptr<Decryption> decryption;  // that a thread makes
    std::variant<std::monostate, jwt::UnverifiedToken, Accepted> token;
    const jwt::Policy* policy = nullptr;  // that it is verified by
    jwt::Time verified_at{};
    Step step = Step::revocation_store;  // of those that are asked about an accepted token: each once
    std::optional<Denied> denied;        // what its answer hook is told
    LuaRun run;
    std::optional<KeyWait> key_wait;
};

/// Takes a token the whole way: parse, decrypt, key, signature, claims, type, freshness, revocation,
/// token_verification, user_lookup, and times once more where a hook waited. Each step may end it, and a step that asks
/// a hook may wait.
[[nodiscard]] Judgement judge(ngx_http_request_t* r, const Requirement& requirement, Judging& judging);

}  // namespace ngx
