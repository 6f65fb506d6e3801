#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <tl/expected.hpp>

#include "key.hpp"
#include "policy.hpp"

namespace jwt {

/// Members of a JSON object in order: a name, and its value as JSON text.
using Members = std::vector<std::pair<std::string, std::string>>;

/// One token to be made.
struct TokenRequest {
    std::string type = "access";
    std::string identity_claim = "sub";
    std::string identity;                                    // JSON text
    std::variant<bool, std::chrono::seconds> fresh = false;  // yes, no, or for how long
    std::optional<std::chrono::seconds> expires_in;          // nothing: never
    bool not_before = true;                                  // claim nbf
    bool csrf = false;                                       // claim csrf, a random UUID
    std::vector<std::string> audience;                       // one: a string; several: an array
    std::optional<std::string> issuer;
    Members claims;   // these win over those above
    Members headers;  // alg, crit and b64 are refused
};

/// Why a token was not made, for the author of a hook or handler.
struct [[nodiscard]] IssueError {
    std::string message;
};

/// Makes a signed token: header alg, typ and, where the key has one, kid; claims fresh, iat, jti (a random UUID), type,
/// identity, nbf, csrf, aud, iss, exp (RFC 7519 §4.1). `key` must sign with `algorithm`. A `fresh` duration becomes the
/// second at which it ends, rounded up, so that the token is fresh for at least that long.
[[nodiscard]] tl::expected<std::string, IssueError> issue(const TokenRequest& request, const Key& key,
                                                          Algorithm algorithm, Time now);

/// The first half of it: all of the token but its signature. `signed_token` is the other one, which may be made by
/// another thread where `sign` may; it throws as that does.
[[nodiscard]] tl::expected<std::string, IssueError> signing_input(const TokenRequest& request, const Key& key,
                                                                  Algorithm algorithm, Time now);
[[nodiscard]] tl::expected<std::string, IssueError> signed_token(std::string&& input, const Key& key,
                                                                 Algorithm algorithm);

}  // namespace jwt
