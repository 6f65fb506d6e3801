#include "verifier.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base64url.hpp"
#include "signature.hpp"

namespace jwt {
namespace {

struct Segments {
    std::string_view header;
    std::string_view payload;
    std::string_view signature;
};

/// RFC 7515 §7.1: two dots and no third, found before anything is decoded, so that a long row of dots costs one scan.
[[nodiscard]] std::optional<Segments> segments(std::string_view text) noexcept {
    const std::size_t first = text.find('.');
    if (first == std::string_view::npos) {
        return std::nullopt;
    }
    const std::size_t second = text.find('.', first + 1);
    if (second == std::string_view::npos || text.find('.', second + 1) != std::string_view::npos) {
        return std::nullopt;
    }
    return Segments{text.substr(0, first), text.substr(first + 1, second - first - 1), text.substr(second + 1)};
}

/// A name out of a token for an answer or a log line: short, printable ASCII.
[[nodiscard]] std::string quoted(std::string_view name) {
    constexpr std::size_t longest = 64;
    std::string text(name.substr(0, longest));
    std::replace_if(
        text.begin(), text.end(), [](char byte) { return byte < ' ' || byte > '~'; }, '?');
    return text;
}

/// RFC 7515 §4.1.11. No extension is understood here, so whatever `crit` names is refused.
[[nodiscard]] std::optional<Refusal> check_critical(json::Value header) {
    if (const std::optional<json::Value> crit = header.member("crit")) {
        if (crit->type() != json::Type::array || crit->size() == 0) {
            return refusal(Error::critical, "Invalid 'crit' header: must be a non-empty list");
        }
        std::optional<std::string_view> name;
        bool strings = true;
        crit->each_element([&](json::Value element) {
            strings = strings && element.type() == json::Type::string;
            name = name ? name : element.string();
        });
        if (!strings) {
            return refusal(Error::critical, "Invalid 'crit' header: values must be strings");
        }
        return refusal(Error::critical, "Unsupported critical extension: " + quoted(*name));
    }
    // RFC 7797 §7: JWTs never have it; taken as unencoded elsewhere, the same bytes would mean another payload.
    if (header.member("b64")) {
        return refusal(Error::critical, "Unsupported critical extension: b64");
    }
    return std::nullopt;
}

[[nodiscard]] std::optional<Refusal> check_header(json::Value header) {
    if (const std::optional<json::Value> kid = header.member("kid")) {
        const std::optional<std::string_view> text = kid->string();
        if (!text) {
            return refusal(Error::kid_type);
        }
        if (text->size() > max_kid_size) {
            return Refusal{Error::kid_type, "Key ID header parameter is longer than 1024 bytes"};
        }
    }
    return check_critical(header);
}

}  // namespace

tl::expected<UnverifiedToken, Refusal> Verifier::parse(std::string_view text) {
    if (text.size() > max_token_size) {
        return tl::unexpected(refusal(Error::too_long));
    }
    const std::optional<Segments> parts = segments(text);
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
    std::optional<std::string> signature = base64url::decode(parts->signature);
    if (!signature) {
        return tl::unexpected(refusal(Error::signature_encoding));
    }
    if (auto refused = check_header(*header)) {
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
    const std::optional<json::Value> alg = token.header().member("alg");
    if (!alg) {
        return tl::unexpected(refusal(Error::algorithm_missing));
    }
    const std::optional<std::string_view> name = alg->string();
    const std::optional<Algorithm> algorithm = name ? algorithm_named(*name) : std::nullopt;
    // RFC 8725 §3.1: a token selects among what its keys serve, and buys no work with another name.
    if (!algorithm || !(allowed & keys.verifies()).has(*algorithm)) {
        return tl::unexpected(refusal(Error::algorithm_not_allowed));
    }
    for (const Key* key : keys.candidates(*algorithm, token.kid())) {
        if (signature_matches(*key, *algorithm, token.signing_input(), token.signature())) {
            return AuthenticToken(std::move(token), *algorithm);
        }
    }
    return tl::unexpected(refusal(Error::signature));
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
