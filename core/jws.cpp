#include "jws.hpp"

#include <algorithm>
#include <utility>

#include "base64url.hpp"
#include "signature.hpp"
#include "token.hpp"

namespace jwt::jws {
namespace {

/// A name out of a token for an answer or a log line: short, printable ASCII.
[[nodiscard]] std::string quoted(std::string_view name) {
    constexpr std::size_t longest = 64;
    std::string text(name.substr(0, longest));
    std::replace_if(
        text.begin(), text.end(), [](char byte) { return byte < ' ' || byte > '~'; }, '?');
    return text;
}

/// Whether all that keeps a segment from being decoded is the unused bits of its last character. So end most signatures
/// that were cut short, and clients are told of a wrong signature then, not of a wrong encoding.
[[nodiscard]] bool has_spare_bits(std::string_view segment) {
    if (segment.empty() || !base64url::decode(std::string("AAA") + segment.back())) {
        return false;
    }
    std::string cleared(segment);
    cleared.back() = 'A';
    return base64url::decode(cleared).has_value();
}

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

[[nodiscard]] std::optional<std::string_view> kid(json::Value header) noexcept {
    const std::optional<json::Value> member = header.member("kid");
    return member ? member->string() : std::nullopt;
}

}  // namespace

std::optional<Segments> segments(std::string_view token) noexcept {
    // Found before anything is decoded, so that a long row of dots costs one scan.
    const std::size_t first = token.find('.');
    if (first == std::string_view::npos) {
        return std::nullopt;
    }
    const std::size_t second = token.find('.', first + 1);
    if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) {
        return std::nullopt;
    }
    return Segments{token.substr(0, first), token.substr(first + 1, second - first - 1), token.substr(second + 1)};
}

std::optional<Refusal> check_header(json::Value header) {
    if (header.member("kid")) {
        const std::optional<std::string_view> text = kid(header);
        if (!text) {
            return refusal(Error::kid_type);
        }
        if (text->size() > max_kid_size) {
            return Refusal{Error::kid_type, "Key ID header parameter is longer than 1024 bytes"};
        }
    }
    return check_critical(header);
}

Refusal undecoded_signature(std::string_view segment) {
    return refusal(has_spare_bits(segment) ? Error::signature : Error::signature_encoding);
}

tl::expected<std::string, Refusal> decoded_signature(std::string_view segment) {
    std::optional<std::string> signature = base64url::decode(segment);
    if (!signature) {
        return tl::unexpected(undecoded_signature(segment));
    }
    return *std::move(signature);
}

tl::expected<SignedBy, Refusal> authenticate(json::Value header, std::string_view signing_input,
                                             std::string_view signature, const KeySet& keys, AlgorithmSet allowed) {
    const std::optional<json::Value> alg = header.member("alg");
    if (!alg) {
        return tl::unexpected(refusal(Error::algorithm_missing));
    }
    const std::optional<std::string_view> name = alg->string();
    const std::optional<Algorithm> algorithm = name ? algorithm_named(*name) : std::nullopt;
    // RFC 8725 §3.1: a token selects among what its keys serve, and buys no work with another name.
    if (!algorithm || !(allowed & keys.verifies()).has(*algorithm)) {
        return tl::unexpected(refusal(Error::algorithm_not_allowed));
    }
    for (const Key* key : keys.candidates(*algorithm, kid(header))) {
        if (signature_matches(*key, *algorithm, signing_input, signature)) {
            return SignedBy{*algorithm, key};
        }
    }
    return tl::unexpected(refusal(Error::signature));
}

tl::expected<std::string, Refusal> authentic_payload(std::string_view token, const KeySet& keys, AlgorithmSet allowed,
                                                     json::Parser& parser) {
    if (token.size() > max_token_size) {
        return tl::unexpected(refusal(Error::too_long));
    }
    const std::optional<Segments> parts = segments(token);
    if (!parts) {
        return tl::unexpected(refusal(Error::segments));
    }
    const std::optional<std::string> header_text = base64url::decode(parts->header);
    if (!header_text) {
        return tl::unexpected(refusal(Error::header_encoding));
    }
    json::Document document;
    const auto header = parser.parse_object(*header_text, document);
    if (!header) {
        return tl::unexpected(refusal(Error::header_json, json::text(header.error())));
    }
    std::optional<std::string> payload = base64url::decode(parts->payload);
    if (!payload) {
        return tl::unexpected(refusal(Error::payload_encoding));
    }
    const auto signature = decoded_signature(parts->signature);
    if (!signature) {
        return tl::unexpected(signature.error());
    }
    if (auto refused = check_header(*header)) {
        return tl::unexpected(*std::move(refused));
    }
    const std::string_view signing_input = token.substr(0, parts->header.size() + 1 + parts->payload.size());
    if (auto signed_by = authenticate(*header, signing_input, *signature, keys, allowed); !signed_by) {
        return tl::unexpected(std::move(signed_by).error());
    }
    return *std::move(payload);
}

}  // namespace jwt::jws
