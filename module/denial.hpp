#pragma once

#include "ngx.hpp"

#include <optional>
#include <string>
#include <variant>

#include "../core/error.hpp"
#include "../core/token.hpp"

namespace ngx {

/// Why a request is not let through.
struct Denial {
    jwt::Reason reason;
    std::string message;
    // Of a token with a good signature, for the hooks; values of the token that the state keeps.
    std::optional<jwt::json::Value> header;
    std::optional<jwt::json::Value> payload;
    ngx_uint_t status = 0;     // of the default answer, where it is not that of the reason
    std::string scope{};       // that the token lacks
    unsigned retry_after = 1;  // seconds; of Reason::unavailable
};

/// A denial together with the token that it speaks of.
struct Denied {
    Denial denial;
    std::variant<std::monostate, jwt::AuthenticToken, jwt::VerifiedToken> token;
};

}  // namespace ngx
