#pragma once

#include "ngx.hpp"

#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "../core/token.hpp"
#include "config.hpp"
#include "request_state.hpp"
#include "token_source.hpp"

namespace ngx {

/// A token that core and hooks let through.
struct Accepted {
    jwt::VerifiedToken token;
    std::optional<std::string> user;  // JSON text of what user_lookup returned
};

/// A hook failed: the request is answered with 500.
struct Failed {};

using Judgement = std::variant<Accepted, Denied, Failed>;

/// Takes a token the whole way: parse, key, signature, claims, type, freshness, revocation, token_verification,
/// user_lookup. Each step may end it.
[[nodiscard]] Judgement judge(ngx_http_request_t* r, const LocationConfig& config, const Requirement& requirement,
                              const FoundToken& found);

/// The keys for a token: the location's, or those that the hook decode_key names; null where the hook knows none for
/// it.
[[nodiscard]] tl::expected<std::shared_ptr<const jwt::KeySet>, HookFailure> keys_for(ngx_http_request_t* r,
                                                                                     const LocationConfig& config,
                                                                                     const jwt::UnverifiedToken& token);

}  // namespace ngx
