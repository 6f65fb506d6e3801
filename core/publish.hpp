#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

#include "algorithm.hpp"
#include "key.hpp"

// What an issuer shows to those who verify its tokens.

namespace jwt {

/// The public halves of keys as a JWK Set (RFC 7517 §5): never a private member, and secrets are left out. A key that
/// comes twice, as private and as public key, is one. Refused: no public half at all, and two keys of one kid.
[[nodiscard]] tl::expected<std::string, KeyError> public_key_set(const KeySet& keys);

using DiscoveryMember = std::pair<std::string, std::string>;

/// An OpenID Connect discovery document (OpenID Connect Discovery 1.0 §3, RFC 8414 §2) of an issuer that signs with
/// `algorithm`. A member named …_supported is a list, written with commas, unless it is true or false; one named …_uri
/// or …_endpoint is a URL. jwks_uri must be among them. response_types_supported is "id_token" and
/// subject_types_supported "public" unless said otherwise, which is what verifiers expect of an issuer that has no
/// authorization endpoint. The error is a sentence that says what to write.
[[nodiscard]] tl::expected<std::string, std::string> discovery_document(std::string_view issuer, Algorithm algorithm,
                                                                        std::span<const DiscoveryMember> members);

}  // namespace jwt
