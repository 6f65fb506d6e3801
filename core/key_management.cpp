#include "key_management.hpp"

#include <openssl/rsa.h>

#include <array>
#include <stdexcept>
#include <utility>

#include "base64url.hpp"
#include "key_agreement.hpp"
#include "key_material.hpp"
#include "random.hpp"

namespace jwt {

using openssl::bytes;
using openssl::PkeyContext;
using openssl::Secret;

namespace {

constexpr std::size_t wrap_overhead = 8;  // RFC 3394 §2.2.3: the integrity check
constexpr std::size_t gcm_iv_size = 12;
constexpr std::size_t gcm_tag_size = 16;

unsigned char* out_bytes(Secret& secret) noexcept {
    return reinterpret_cast<unsigned char*>(secret.data());
}

std::size_t cipher_index(std::size_t key_size) noexcept {
    return key_size / 8 - 2;
}

bool aes_unwrap(const EncryptionTools& tools, std::string_view key, std::string_view encrypted_key, Secret& out) {
    // OpenSSL takes an empty text, and says that it unwrapped it.
    if (encrypted_key.size() != out.size() + wrap_overhead) {
        return false;
    }
    const openssl::CipherContext context(EVP_CIPHER_CTX_new());
    Secret unwrapped(encrypted_key.size());
    int size = 0;
    if (context == nullptr ||
        EVP_DecryptInit_ex2(context.get(), tools.wrap[cipher_index(key.size())].get(), bytes(key), nullptr, nullptr) !=
            1 ||
        EVP_DecryptUpdate(context.get(), out_bytes(unwrapped), &size, bytes(encrypted_key),
                          static_cast<int>(encrypted_key.size())) != 1 ||
        static_cast<std::size_t>(size) != out.size()) {
        return false;
    }
    out = Secret(unwrapped.view().substr(0, out.size()));
    return true;
}

std::string aes_wrapped(const EncryptionTools& tools, std::string_view key, std::string_view content_key) {
    const openssl::CipherContext context(EVP_CIPHER_CTX_new());
    std::string wrapped(content_key.size() + wrap_overhead, '\0');
    int size = 0;
    if (context == nullptr ||
        EVP_EncryptInit_ex2(context.get(), tools.wrap[cipher_index(key.size())].get(), bytes(key), nullptr, nullptr) !=
            1 ||
        EVP_EncryptUpdate(context.get(), reinterpret_cast<unsigned char*>(wrapped.data()), &size, bytes(content_key),
                          static_cast<int>(content_key.size())) != 1 ||
        static_cast<std::size_t>(size) != wrapped.size()) {
        throw std::runtime_error("a key cannot be wrapped");
    }
    return wrapped;
}

std::optional<std::string> header_bytes(json::Value header, std::string_view name) {
    const auto member = header.member(name);
    const auto text = member ? member->string() : std::nullopt;
    return text ? base64url::decode(*text) : std::nullopt;
}

/// RFC 7518 §4.7: initialization vector and tag are header parameters.
bool gcm_unwrap(const EncryptionTools& tools, std::string_view key, json::Value header, std::string_view encrypted_key,
                Secret& out) {
    const auto iv = header_bytes(header, "iv");
    const auto tag = header_bytes(header, "tag");
    if (!iv || !tag || encrypted_key.size() != out.size()) {
        return false;
    }
    Secret unwrapped(encrypted_key.size());
    if (!gcm_decrypt(tools.gcm[cipher_index(key.size())].get(), key, {*iv, {}, encrypted_key, *tag},
                     unwrapped.data())) {
        return false;
    }
    out = std::move(unwrapped);
    return true;
}

/// RFC 7518 §4.3: MGF1 with the same hash, an empty label.
bool set_oaep(EVP_PKEY_CTX* context, KeyManagement management) {
    const char* const hash = management == KeyManagement::rsa_oaep       ? "SHA1"
                             : management == KeyManagement::rsa_oaep_256 ? "SHA2-256"
                             : management == KeyManagement::rsa_oaep_384 ? "SHA2-384"
                                                                         : "SHA2-512";
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_oaep_md_name(context, hash, nullptr) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md_name(context, hash, nullptr) == 1;
}

/// A context of its own for each call, since several threads may decrypt with one key: beside RSA it costs nothing.
bool rsa_unwrap(EVP_PKEY* pkey, KeyManagement management, std::string_view encrypted_key, Secret& out) {
    const auto modulus_size = static_cast<std::size_t>(EVP_PKEY_get_size(pkey));
    const PkeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, pkey, nullptr));
    Secret unwrapped(modulus_size);
    std::size_t size = unwrapped.size();
    if (encrypted_key.size() != modulus_size || context == nullptr || EVP_PKEY_decrypt_init(context.get()) != 1 ||
        !set_oaep(context.get(), management) ||
        EVP_PKEY_decrypt(context.get(), out_bytes(unwrapped), &size, bytes(encrypted_key), encrypted_key.size()) != 1 ||
        size != out.size()) {
        return false;
    }
    out = Secret(unwrapped.view().substr(0, size));
    return true;
}

std::string rsa_wrapped(EVP_PKEY* pkey, KeyManagement management, std::string_view content_key) {
    const PkeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, pkey, nullptr));
    std::string wrapped(static_cast<std::size_t>(EVP_PKEY_get_size(pkey)), '\0');
    std::size_t size = wrapped.size();
    if (context == nullptr || EVP_PKEY_encrypt_init(context.get()) != 1 || !set_oaep(context.get(), management) ||
        EVP_PKEY_encrypt(context.get(), reinterpret_cast<unsigned char*>(wrapped.data()), &size, bytes(content_key),
                         content_key.size()) != 1 ||
        size != wrapped.size()) {
        throw std::runtime_error("a key cannot be encrypted");
    }
    return wrapped;
}

/// What the agreed key of ECDH-ES is for: the content itself, or wrapping.
AgreedUse agreed_use(KeyManagement management, ContentEncryption encryption) noexcept {
    return management == KeyManagement::ecdh_es ? AgreedUse{name(encryption), sizes(encryption).key}
                                                : AgreedUse{name(management), wrapping_key_size(management)};
}

Secret random_secret(std::size_t size) {
    Secret secret(size);
    fill_with_random(secret.data(), size);
    return secret;
}

std::string member(std::string_view name, std::string_view value) {
    return ",\"" + std::string(name) + "\":\"" + base64url::encode(value) + "\"";
}

WrappedKey gcm_wrapped(const EncryptionTools& tools, std::string_view key, Secret content_key) {
    const std::string iv = random_bytes(gcm_iv_size);
    std::string encrypted_key(content_key.size(), '\0');
    std::string tag(gcm_tag_size, '\0');
    if (!gcm_encrypt(tools.gcm[cipher_index(key.size())].get(), key, iv, {}, content_key.view(), encrypted_key.data(),
                     tag.data())) {
        throw std::runtime_error("a key cannot be wrapped");
    }
    return {std::move(content_key), std::move(encrypted_key), member("iv", iv) + member("tag", tag)};
}

WrappedKey agreed(const EncryptionTools& tools, const Key& key, KeyManagement management,
                  ContentEncryption encryption) {
    Agreement agreement = agree_with(tools, key, agreed_use(management, encryption));
    std::string members = ",\"epk\":" + agreement.epk;
    if (management == KeyManagement::ecdh_es) {
        return {std::move(agreement.key), {}, std::move(members)};
    }
    Secret content_key = random_secret(sizes(encryption).key);
    std::string wrapped = aes_wrapped(tools, agreement.key.view(), content_key.view());
    return {std::move(content_key), std::move(wrapped), std::move(members)};
}

}  // namespace

bool unwrap_key(const Key& key, KeyManagement management, ContentEncryption encryption, json::Value header,
                std::string_view encrypted_key, Secret& content_key) {
    const Key::Material& material = key.material();
    if (!material.decrypts.has(management) || material.tools == nullptr) {
        return false;
    }
    const EncryptionTools& tools = *material.tools;
    if (management == KeyManagement::dir) {
        // RFC 7516 §5.2 step 10: nothing may travel where the key is known already.
        if (!encrypted_key.empty() || !material.direct.has(encryption)) {
            return false;
        }
        content_key = Secret(material.secret.view());
        return true;
    }
    if (aes_kw_managements.has(management)) {
        return aes_unwrap(tools, material.secret.view(), encrypted_key, content_key);
    }
    if (aes_gcmkw_managements.has(management)) {
        return gcm_unwrap(tools, material.secret.view(), header, encrypted_key, content_key);
    }
    if (rsa_managements.has(management)) {
        return rsa_unwrap(material.pkey.get(), management, encrypted_key, content_key);
    }
    auto agreed = agreed_key(tools, key, header, agreed_use(management, encryption));
    if (!agreed) {
        return false;
    }
    if (management != KeyManagement::ecdh_es) {
        return aes_unwrap(tools, agreed->view(), encrypted_key, content_key);
    }
    if (!encrypted_key.empty()) {
        return false;
    }
    content_key = *std::move(agreed);
    return true;
}

WrappedKey wrap_new_key(const Key& key, KeyManagement management, ContentEncryption encryption) {
    const Key::Material& material = key.material();
    const bool serves = material.encrypts.has(management) && material.tools != nullptr &&
                        (management != KeyManagement::dir || material.direct.has(encryption));
    if (!serves) {
        throw std::runtime_error("a key does not encrypt this way");
    }
    const EncryptionTools& tools = *material.tools;
    if (management == KeyManagement::dir) {
        return {Secret(material.secret.view()), {}, {}};
    }
    if (ecdh_managements.has(management)) {
        return agreed(tools, key, management, encryption);
    }
    Secret content_key = random_secret(sizes(encryption).key);
    if (aes_gcmkw_managements.has(management)) {
        return gcm_wrapped(tools, material.secret.view(), std::move(content_key));
    }
    std::string wrapped = aes_kw_managements.has(management)
                              ? aes_wrapped(tools, material.secret.view(), content_key.view())
                              : rsa_wrapped(material.pkey.get(), management, content_key.view());
    return {std::move(content_key), std::move(wrapped), {}};
}

}  // namespace jwt
