#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "claims.hpp"
#include "error.hpp"
#include "json.hpp"

namespace jwt {

/// Wall time, as exp, nbf and iat are (RFC 7519 §2, NumericDate). Always handed in: the core reads no clock.
using Time = std::chrono::sys_time<std::chrono::milliseconds>;

/// A kind of token whose header and claims a standard describes.
enum class Profile : std::uint8_t {
    none,
    rfc9068,  // access tokens: typ at+jwt, and iss, exp, aud, sub, client_id, iat, jti there (RFC 9068 §2, §4)
};

/// What is asked of the claims of every token of a location.
struct Policy {
    std::vector<std::string> audiences{};  // any of these; empty: `aud` is not looked at but must be well-formed
    std::vector<std::string> issuers{};    // one of these; likewise
    std::chrono::seconds leeway{0};
    std::string identity_claim = "sub";
    bool verify_sub = true;                         // `sub`, where present, is a string (RFC 7519 §4.1.2)
    std::optional<std::chrono::seconds> max_age{};  // since `iat`, which must be there then
    Profile profile = Profile::none;
};

enum class TokenUse : std::uint8_t { access, refresh, any };

/// What this request asks of its token beyond the policy.
struct Demand {
    TokenUse use = TokenUse::access;
    bool fresh = false;
    std::optional<std::string_view> csrf{};  // must equal the claim `csrf`
};

/// Checks the claims in this order: iat, nbf, the form of exp, iss, aud, sub, jti, type, the identity claim, csrf, and
/// then whether the token is expired or too old (so that it is only called so where nothing else is wrong with it).
/// Nothing where all is well. RFC 7519 §4.1.
[[nodiscard]] std::optional<Refusal> check_claims(const Claims& claims, const Policy& policy,
                                                  std::optional<std::string_view> csrf, Time now);

/// Checks what the policy's profile asks beyond that: the header's typ, and which claims must be there.
[[nodiscard]] std::optional<Refusal> check_profile(json::Value header, const Claims& claims, Profile profile);

/// Checks type, then freshness: claim `fresh` is true, or a number of seconds that has not passed.
[[nodiscard]] std::optional<Refusal> check_demand(const Claims& claims, const Demand& demand, Time now);

}  // namespace jwt
