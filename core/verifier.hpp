#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "base64url.hpp"
#include "jwe.hpp"
#include "key.hpp"
#include "policy.hpp"
#include "token.hpp"

namespace jwt {

/// The way of a token from text to proof. Each step takes what the one before made:
///
///     text -> parse -> UnverifiedToken -> authenticate -> AuthenticToken -> verify -> VerifiedToken
///
/// An encrypted token (jwe.hpp) joins it where it was decrypted: a nested one with parse_nested, one of bare claims,
/// whose encryption is its only proof, with authenticate_encrypted.
///
/// Keeps parse buffers between calls: one a thread.
class Verifier {
public:
    /// Takes a compact JWS apart (RFC 7515 §5.2 steps 1 to 6, RFC 7519 §7.2). Costs parsing, no cryptography.
    [[nodiscard]] tl::expected<UnverifiedToken, Refusal> parse(std::string_view text) { return parse(text, text); }

    /// The same for a compact JWS that was found in another token, which is what was `presented`, by the keys that
    /// decrypted that.
    [[nodiscard]] tl::expected<UnverifiedToken, Refusal> parse(std::string_view text, std::string_view presented,
                                                               const KeySet::Identity& decrypted_by = {});

    /// Takes the signed token inside an encrypted one apart. It holds exactly one, and says so (cty, RFC 7519 §5.2);
    /// what its header repeats of the claims is the same (§5.3).
    [[nodiscard]] tl::expected<UnverifiedToken, Refusal> parse_nested(const jwe::DecryptedToken& token);

    /// Claims that nobody signed: authentic only where a shared secret encrypted them, as anybody has a public key. One
    /// that says to be nested is refused.
    [[nodiscard]] tl::expected<AuthenticToken, Refusal> authenticate_encrypted(const jwe::DecryptedToken& token);

    /// Checks the signature with the keys that serve the token's algorithm, which must be in `allowed`. Nothing reaches
    /// cryptography unless some key serves that algorithm. A token that is refused stays as it was: other keys may be
    /// tried.
    [[nodiscard]] static tl::expected<AuthenticToken, Refusal> authenticate(UnverifiedToken&& token, const KeySet& keys,
                                                                            AlgorithmSet allowed);

    /// Checks profile, claims, type and freshness. A refused token is handed back with its refusal.
    [[nodiscard]] static tl::expected<VerifiedToken, RefusedToken> verify(AuthenticToken token, const Policy& policy,
                                                                          const Demand& demand, Time now);

    /// What has become wrong with a verified token since: times pass. Nothing where all is well.
    [[nodiscard]] static std::optional<Refusal> check_again(const VerifiedToken& token, const Policy& policy,
                                                            const Demand& demand, Time now);

private:
    /// In the memory of the token before, once nobody has that any more: most are done with before the next one comes.
    [[nodiscard]] TokenParts keep(const TokenParts::Source& source);

    json::Parser parser_;
    std::optional<std::string> header_text_;  // of what is in header_, in base64url, where that passed
    json::Document header_;
    json::Document payload_;
    std::array<char, base64url::decoded_size(max_token_size)> bytes_;
    std::optional<TokenParts> last_;
};

}  // namespace jwt
