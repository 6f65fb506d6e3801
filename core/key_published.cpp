#include <algorithm>
#include <array>

#include "key_material.hpp"

// Sets that come over a network. Their provider is trusted to name keys, and to name them well.

namespace jwt {

namespace {

/// What RFC 7518 §6 and RFC 8037 §2 call private, and RFC 7517 §9.3 wants kept.
constexpr std::array<std::string_view, 8> private_members = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};

bool tells_a_secret(json::Value jwk) {
    const auto kty = jwk.member("kty");
    return (kty && kty->string() == std::optional<std::string_view>("oct")) ||
           std::ranges::any_of(private_members, [&](std::string_view name) { return jwk.member(name).has_value(); });
}

}  // namespace

tl::expected<KeySet, KeyError> KeySet::from_published(std::string_view text, std::vector<std::string>* complaints) {
    const openssl::ErrorQueueGuard guard;
    json::Parser parser;
    json::Document document;
    const auto root = parser.parse_object(text, document);
    if (!root) {
        return refuse("is no JWK Set: " + std::string(json::text(root.error())));
    }
    const auto keys = root->member("keys");
    if (!keys || keys->type() != json::Type::array) {
        return refuse("is no JWK Set: it has no array \"keys\"");
    }
    if (keys->size() > max_published_keys) {
        return refuse("holds more than " + std::to_string(max_published_keys) + " keys");
    }
    bool secret = false;
    keys->each_element([&](json::Value jwk) { secret = secret || tells_a_secret(jwk); });
    if (secret) {
        return refuse("publishes a secret or private key");
    }
    tl::expected<KeySet, KeyError> set = from_json(*root, complaints);
    if (set && set->verifies().empty()) {
        return refuse("holds no key for signatures");
    }
    return set;
}

}  // namespace jwt
