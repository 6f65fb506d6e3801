#pragma once

#include "ngx.hpp"

#include <string_view>

#include <tl/expected.hpp>

#include "../core/key.hpp"
#include "../core/token.hpp"

// The first two steps of a token's way, by the worker's cache where `jwt_cache` is on. What it remembers is that keys
// made a signature; all else is judged for every request.

namespace ngx {

/// Verifier::parse.
[[nodiscard]] tl::expected<jwt::UnverifiedToken, jwt::Refusal> parse_token(std::string_view text);

/// Verifier::authenticate.
[[nodiscard]] tl::expected<jwt::AuthenticToken, jwt::Refusal> authenticate_token(jwt::UnverifiedToken&& token,
                                                                                 const jwt::KeySet& keys,
                                                                                 jwt::AlgorithmSet allowed);

}  // namespace ngx
