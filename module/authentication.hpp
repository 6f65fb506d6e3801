#pragma once

#include "ngx.hpp"

#include <optional>
#include <string_view>

#include <tl/expected.hpp>

#include "../core/key.hpp"
#include "../core/token.hpp"
#include "config.hpp"

// The first two steps of a token's way, by the worker's cache where `jwt_cache` is on. What it remembers is that keys
// made a signature; all else is judged for every request.

namespace ngx {

/// Verifier::parse.
[[nodiscard]] tl::expected<jwt::UnverifiedToken, jwt::Refusal> parse_token(std::string_view text);

/// The token in an encrypted one, where it was seen before and the location's keys decrypted it.
[[nodiscard]] std::optional<jwt::UnverifiedToken> known_nested_token(const LocationConfig& config,
                                                                     std::string_view text);

/// Verifier::authenticate, of a token that came as it is or nested.
[[nodiscard]] tl::expected<jwt::AuthenticToken, jwt::Refusal> authenticate_token(jwt::UnverifiedToken&& token,
                                                                                 const jwt::KeySet& keys,
                                                                                 jwt::AlgorithmSet allowed);

}  // namespace ngx
