#include "verifier.hpp"

#include <array>
#include <string>
#include <utility>

#include "base64url.hpp"
#include "jws.hpp"

namespace jwt {

tl::expected<UnverifiedToken, Refusal> Verifier::parse(std::string_view text) {
    if (text.size() > max_token_size) {
        return tl::unexpected(refusal(Error::too_long));
    }
    const std::optional<jws::Segments> parts = jws::segments(text);
    if (!parts) {
        return tl::unexpected(refusal(Error::segments));
    }
    UnverifiedToken token;
    std::array<char, base64url::decoded_size(max_token_size)> bytes;
    const auto decoded = [&bytes](std::string_view segment) -> std::optional<std::string_view> {
        if (!base64url::decode(segment, bytes.data())) {
            return std::nullopt;
        }
        return std::string_view(bytes.data(), base64url::decoded_size(segment.size()));
    };

    const auto header_text = decoded(parts->header);
    if (!header_text) {
        return tl::unexpected(refusal(Error::header_encoding));
    }
    const auto header = parser_.parse_object(*header_text, token.header_);
    if (!header) {
        return tl::unexpected(refusal(Error::header_json, json::text(header.error())));
    }
    const auto payload_text = decoded(parts->payload);
    if (!payload_text) {
        return tl::unexpected(refusal(Error::payload_encoding));
    }
    auto signature = jws::decoded_signature(parts->signature);
    if (!signature) {
        return tl::unexpected(std::move(signature).error());
    }
    if (auto refused = jws::check_header(*header)) {
        return tl::unexpected(*std::move(refused));
    }
    if (const auto payload = parser_.parse_object(*payload_text, token.payload_); !payload) {
        return tl::unexpected(refusal(Error::payload_json, json::text(payload.error())));
    }
    token.text_ = text;
    token.signing_input_size_ = parts->header.size() + 1 + parts->payload.size();
    token.signature_ = *std::move(signature);
    return token;
}

tl::expected<AuthenticToken, Refusal> Verifier::authenticate(UnverifiedToken&& token, const KeySet& keys,
                                                             AlgorithmSet allowed) {
    auto signed_by = jws::authenticate(token.header(), token.signing_input(), token.signature(), keys, allowed);
    if (!signed_by) {
        return tl::unexpected(std::move(signed_by).error());
    }
    // The key ends with its set, the token may live longer.
    std::string kid;
    if (!token.header().member("kid")) {
        kid = signed_by->key->kid().value_or(std::string_view());
    }
    return AuthenticToken(std::move(token), signed_by->algorithm, std::move(kid));
}

tl::expected<VerifiedToken, RefusedToken> Verifier::verify(AuthenticToken&& token, const Policy& policy,
                                                           const Demand& demand, Time now) {
    std::optional<Refusal> refused = check_claims(token.payload(), policy, demand.csrf, now);
    if (!refused) {
        refused = check_demand(token.payload(), demand, now);
    }
    if (refused) {
        return tl::unexpected(RefusedToken{*std::move(refused), std::move(token)});
    }
    return VerifiedToken(std::move(token));
}

}  // namespace jwt
