#pragma once

#include "ngx.hpp"

#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "config.hpp"
#include "signing.hpp"

// What tokens say that are made here. All of them are to be signed (signing.hpp), and then nested where the location
// says so (decryption.hpp).

namespace ngx {

/// A token by the directives of a location and a JSON object as lua_services.hpp describes it. The error is a sentence
/// for the author of the Lua code.
[[nodiscard]] tl::expected<UnsignedToken, std::string> requested_token(const LocationConfig& config,
                                                                       std::string_view request);

struct RenewedToken {
    UnsignedToken token;
    std::string csrf;  // its claim; empty where it has none
};

/// A new access token with the claims of `payload`, by the rules of `config`, which must have a signing key: made now,
/// for jwt_access_token_expires, with a jti and a csrf of its own. It is fresh only until a time that `payload` names.
[[nodiscard]] tl::expected<RenewedToken, std::string> renewed_token(const LocationConfig& config,
                                                                    jwt::json::Value payload);

/// What a refresh token is turned into.
struct Succession {
    jwt::TokenUse use;           // access or refresh
    jwt::json::Value payload;    // of the refresh token: its identity and its claims live on
    std::string_view family;     // becomes the claim `sid`
    jwt::json::Value additions;  // of LuaHost::additions; their claims win over the payload's
};

/// A token by the rules of `config`, which has a signing key unless the additions bring one. Of the times, `jti`,
/// `csrf`, `fresh` and `type` none are taken over; `aud` and `iss` only where the directives name none.
[[nodiscard]] tl::expected<UnsignedToken, std::string> successor_token(const LocationConfig& config,
                                                                       const Succession& succession);

}  // namespace ngx
