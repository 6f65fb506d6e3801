#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "algorithm.hpp"
#include "error.hpp"
#include "json.hpp"
#include "key.hpp"

/// The parts of a compact JWS (RFC 7515 §7.1), below what makes it a JWT.
namespace jwt::jws {

/// Still encoded; views into the token.
struct Segments {
    std::string_view header;
    std::string_view payload;
    std::string_view signature;
};

/// The token at its two dots; nothing where it has fewer or more.
[[nodiscard]] std::optional<Segments> segments(std::string_view token) noexcept;

/// Checks the parameters that matter whatever the key: kid, crit (RFC 7515 §4.1.11; nothing is understood) and b64.
/// Nothing where all is well.
[[nodiscard]] std::optional<Refusal> check_header(json::Value header);

/// The bytes of a signature segment.
[[nodiscard]] tl::expected<std::string, Refusal> decoded_signature(std::string_view segment);

/// Why a signature segment that is no base64url is refused. One whose last character has spare bits set, as most do
/// that were cut short, counts as a wrong signature, not as a wrong encoding.
[[nodiscard]] Refusal undecoded_signature(std::string_view segment);

/// What a signature was made with. The key lives as long as its set.
struct SignedBy {
    Algorithm algorithm;
    const Key* key;
};

/// Checks a signature with the keys that serve the header's algorithm, which must be in `allowed`. Nothing reaches
/// cryptography unless some key serves that algorithm.
[[nodiscard]] tl::expected<SignedBy, Refusal> authenticate(json::Value header, std::string_view signing_input,
                                                           std::string_view signature, const KeySet& keys,
                                                           AlgorithmSet allowed);

/// The payload of a token whose signature one of `keys` made, whatever bytes it is (RFC 7515 §5.2): nothing is said
/// about claims. For JWTs there is Verifier.
[[nodiscard]] tl::expected<std::string, Refusal> authentic_payload(std::string_view token, const KeySet& keys,
                                                                   AlgorithmSet allowed, json::Parser& parser);

}  // namespace jwt::jws
