#include "verifier.hpp"

#include <utility>

#include "base64url.hpp"
#include "jws.hpp"

namespace jwt {

namespace {

std::optional<Refusal> check(const AuthenticToken& token, const Policy& policy, const Demand& demand, Time now) {
    std::optional<Refusal> refused = check_profile(token.header(), token.claims(), policy.profile);
    if (!refused) {
        refused = check_claims(token.claims(), policy, demand.csrf, now);
    }
    return refused ? std::move(refused) : check_demand(token.claims(), demand, now);
}

/// RFC 7519 §5.3: claims that the header of an encrypted token repeats, for those who cannot decrypt it.
std::optional<Refusal> check_replicated(json::Value header, json::Value payload) {
    for (const std::string_view name : {"iss", "sub", "aud"}) {
        const auto repeated = header.member(name);
        const auto claim = payload.member(name);
        if (repeated && (!claim || claim->text() != repeated->text())) {
            return refusal(Error::replicated_claim, name);
        }
    }
    return std::nullopt;
}

}  // namespace

tl::expected<UnverifiedToken, Refusal> Verifier::parse(std::string_view text, std::string_view presented,
                                                       const KeySet::Identity& decrypted_by) {
    if (text.size() > max_token_size) {
        return tl::unexpected(refusal(Error::too_long));
    }
    const std::optional<jws::Segments> parts = jws::segments(text);
    if (!parts) {
        return tl::unexpected(refusal(Error::segments));
    }
    char* free = bytes_.data();
    const auto decoded = [&free](std::string_view segment) -> std::optional<std::string_view> {
        const std::string_view bytes(free, base64url::decoded_size(segment.size()));
        free += bytes.size();
        return base64url::decode(segment, free - bytes.size()) ? std::optional(bytes) : std::nullopt;
    };

    // Tokens of one issuer begin alike.
    const bool is_new_header = parts->header != header_text_;
    if (is_new_header) {
        header_text_.reset();
        const auto header_text = decoded(parts->header);
        if (!header_text) {
            return tl::unexpected(refusal(Error::header_encoding));
        }
        if (const auto header = parser_.parse_object(*header_text, header_); !header) {
            return tl::unexpected(refusal(Error::header_json, json::text(header.error())));
        }
    }
    const auto payload_text = decoded(parts->payload);
    if (!payload_text) {
        return tl::unexpected(refusal(Error::payload_encoding));
    }
    const auto signature = decoded(parts->signature);
    if (!signature) {
        return tl::unexpected(jws::undecoded_signature(parts->signature));
    }
    if (is_new_header) {
        if (auto refused = jws::check_header(header_.root())) {
            return tl::unexpected(*std::move(refused));
        }
        header_text_.emplace(parts->header);
    }
    if (const auto payload = parser_.parse_object(*payload_text, payload_); !payload) {
        return tl::unexpected(refusal(Error::payload_json, json::text(payload.error())));
    }
    return UnverifiedToken(keep({text, presented, parts->header.size() + 1 + parts->payload.size(), *signature, header_,
                                 payload_, decrypted_by}));
}

TokenParts Verifier::keep(const TokenParts::Source& source) {
    TokenParts parts(source, last_ ? &*last_ : nullptr);
    last_ = parts;
    return parts;
}

tl::expected<UnverifiedToken, Refusal> Verifier::parse_nested(const jwe::DecryptedToken& token) {
    if (!token.is_nested() || !jws::segments(token.plaintext())) {
        return tl::unexpected(refusal(Error::not_nested));
    }
    return parse(token.plaintext(), token.text(), token.decrypted_by())
        .and_then([&token](UnverifiedToken&& inner) -> tl::expected<UnverifiedToken, Refusal> {
            if (auto refused = check_replicated(token.header(), inner.payload())) {
                return tl::unexpected(*std::move(refused));
            }
            return std::move(inner);
        });
}

tl::expected<AuthenticToken, Refusal> Verifier::authenticate_encrypted(const jwe::DecryptedToken& token) {
    if (!token.by_shared_secret() || token.is_nested()) {
        return tl::unexpected(refusal(Error::not_nested));
    }
    const auto segments = jwe::segments(token.text());
    header_text_.reset();
    if (!base64url::decode(segments->header, bytes_.data()) ||
        !parser_.parse_object({bytes_.data(), base64url::decoded_size(segments->header.size())}, header_)) {
        return tl::unexpected(refusal(Error::header_json));
    }
    if (const auto payload = parser_.parse_object(token.plaintext(), payload_); !payload) {
        return tl::unexpected(refusal(Error::payload_json, json::text(payload.error())));
    }
    if (auto refused = check_replicated(token.header(), payload_.root())) {
        return tl::unexpected(*std::move(refused));
    }
    // The tag vouches for all before it, as a signature does.
    const std::size_t input_size = token.text().rfind('.');
    return AuthenticToken(UnverifiedToken(keep({token.text(), token.text(), input_size, {}, header_, payload_})),
                          std::nullopt, token.shared_kid());
}

tl::expected<AuthenticToken, Refusal> Verifier::authenticate(UnverifiedToken&& token, const KeySet& keys,
                                                             AlgorithmSet allowed) {
    auto signed_by = jws::authenticate(token.header(), token.signing_input(), token.signature(), keys, allowed);
    if (!signed_by) {
        return tl::unexpected(std::move(signed_by).error());
    }
    const bool is_named = token.header().member("kid").has_value();
    return AuthenticToken(std::move(token), signed_by->algorithm, is_named ? nullptr : signed_by->key->shared_kid());
}

tl::expected<VerifiedToken, RefusedToken> Verifier::verify(AuthenticToken token, const Policy& policy,
                                                           const Demand& demand, Time now) {
    if (std::optional<Refusal> refused = check(token, policy, demand, now)) {
        return tl::unexpected(RefusedToken{*std::move(refused), std::move(token)});
    }
    return VerifiedToken(std::move(token));
}

std::optional<Refusal> Verifier::check_again(const VerifiedToken& token, const Policy& policy, const Demand& demand,
                                             Time now) {
    return check(token.authentic(), policy, demand, now);
}

}  // namespace jwt
