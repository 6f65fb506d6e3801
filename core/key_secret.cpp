#include <algorithm>
#include <array>
#include <utility>

#include "key_material.hpp"

// HMAC secrets. The confusion of a public key with a secret (CVE-2015-9235 and its many heirs) ends here: everybody
// knows a public key, so what looks like one is no secret.
namespace jwt {

namespace {

std::string_view without_leading_space(std::string_view text) {
    static constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
    for (;;) {
        text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n\v\f"), text.size()));
        if (!text.starts_with(byte_order_mark)) {
            return text;
        }
        text.remove_prefix(byte_order_mark.size());
    }
}

bool is_jwk_text(std::string_view text) {
    if (!text.starts_with('{')) {
        return false;
    }
    json::Parser parser;
    json::Document document;
    const auto object = parser.parse_object(text, document);
    return object && (object->member("kty") || object->member("keys"));
}

// The bare base64 of a public key, as some providers show it.
bool is_base64_key(std::string_view text) {
    if (!text.starts_with('M')) {  // 0x30, SEQUENCE
        return false;
    }
    openssl::Secret characters(text.size());
    const char* const end = std::ranges::copy_if(text, characters.data(), [](char c) { return c > ' '; }).out;
    const std::string_view base64(characters.data(), static_cast<std::size_t>(end - characters.data()));
    if (base64.size() % 4 != 0) {
        return false;
    }
    const std::size_t padding = base64.ends_with("==") ? 2 : base64.ends_with('=') ? 1 : 0;
    openssl::Secret der(base64.size() / 4 * 3);
    return EVP_DecodeBlock(reinterpret_cast<unsigned char*>(der.data()), openssl::bytes(base64),
                           static_cast<int>(base64.size())) == static_cast<int>(der.size()) &&
           public_key_of_der(der.view().substr(0, der.size() - padding)) != nullptr;
}

/// What a secret looks like where it is none.
std::optional<std::string_view> public_form(std::string_view secret) {
    const std::string_view text = without_leading_space(secret);
    if (text.starts_with("-----BEGIN") || text.starts_with("---- BEGIN")) {
        return "a PEM text";
    }
    static constexpr std::array<std::string_view, 4> ssh_prefixes = {"ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"};
    if (std::ranges::any_of(ssh_prefixes, [text](std::string_view prefix) { return text.starts_with(prefix); })) {
        return "an SSH key";
    }
    if (is_jwk_text(text)) {
        return "a JWK text";
    }
    if (public_key_of_der(secret) != nullptr || public_key_of_der(text) != nullptr) {
        return "a DER key";
    }
    if (is_base64_key(text)) {
        return "the base64 text of a key";
    }
    return std::nullopt;
}

}  // namespace

MaterialResult examine_secret(openssl::Secret secret, AlgorithmSet wanted) {
    if (const auto form = public_form(secret.view())) {
        return refuse("is " + std::string(*form) +
                      " and no HMAC secret: name its file with jwt_public_key (or jwt_private_key) instead");
    }
    for (const Algorithm algorithm : {Algorithm::hs256, Algorithm::hs384, Algorithm::hs512}) {
        const std::size_t needed = hash_of(algorithm).size;
        if (wanted.has(algorithm) && secret.size() < needed) {
            return refuse("has " + std::to_string(secret.size()) + (secret.size() == 1 ? " byte, " : " bytes, ") +
                          std::string(name(algorithm)) + " needs at least " + std::to_string(needed) +
                          ": make one with \"openssl rand -base64 48\" (its 64 characters are 64 bytes)");
        }
    }
    auto material = std::make_unique<Key::Material>();
    material->type = KeyType::secret;
    material->is_private = true;
    material->secret = std::move(secret);
    material->verifies = material->signs = wanted;
    return material;
}

void add_encryptions(Key::Material& secret) noexcept {
    const std::size_t size = secret.secret.size();
    for (const KeyManagement management :
         {KeyManagement::a128kw, KeyManagement::a192kw, KeyManagement::a256kw, KeyManagement::a128gcmkw,
          KeyManagement::a192gcmkw, KeyManagement::a256gcmkw}) {
        if (wrapping_key_size(management) == size) {
            secret.encrypts.add(management);
        }
    }
    secret.direct = encryptions_of_size(size);
    if (!secret.direct.empty()) {
        secret.encrypts.add(KeyManagement::dir);
    }
    secret.decrypts = secret.encrypts;
}

KeyResult Key::from_secret(std::string_view secret, AlgorithmSet wanted) {
    const openssl::ErrorQueueGuard guard;
    const AlgorithmSet served = wanted & hmac_algorithms;
    if (served.empty()) {
        return refuse("is a secret, which no allowed algorithm uses: allow HS256, HS384 or HS512");
    }
    return examine_secret(openssl::Secret(secret), served).and_then(KeyBuilder::finish);
}

}  // namespace jwt
