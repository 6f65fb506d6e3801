#pragma once

#include <string_view>

#include <tl/expected.hpp>

#include "key.hpp"
#include "policy.hpp"
#include "token.hpp"

namespace jwt {

/// The way of a token from text to proof. Each step takes what the one before made:
///
///     text -> parse -> UnverifiedToken -> authenticate -> AuthenticToken -> verify -> VerifiedToken
///
/// Keeps parse buffers between calls: one a thread.
class Verifier {
public:
    /// Takes a compact JWS apart (RFC 7515 §5.2 steps 1 to 6, RFC 7519 §7.2). Costs parsing, no cryptography.
    [[nodiscard]] tl::expected<UnverifiedToken, Refusal> parse(std::string_view text);

    /// Checks the signature with the keys that serve the token's algorithm, which must be in `allowed`. Nothing reaches
    /// cryptography unless some key serves that algorithm. A token that is refused stays as it was: other keys may be
    /// tried.
    [[nodiscard]] static tl::expected<AuthenticToken, Refusal> authenticate(UnverifiedToken&& token, const KeySet& keys,
                                                                            AlgorithmSet allowed);

    /// Checks claims, type and freshness. A refused token is handed back with its refusal.
    [[nodiscard]] static tl::expected<VerifiedToken, RefusedToken> verify(AuthenticToken&& token, const Policy& policy,
                                                                          const Demand& demand, Time now);

private:
    json::Parser parser_;
};

}  // namespace jwt
