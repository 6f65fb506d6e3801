#include "content_encryption.hpp"

#include <cstdint>
#include <stdexcept>

namespace jwt {

using openssl::bytes;
using openssl::CipherContext;

namespace {

constexpr std::size_t gcm_iv_size = 12;
constexpr std::size_t gcm_tag_size = 16;
constexpr std::size_t largest_tag = 64;

unsigned char* out_bytes(char* out) noexcept {
    return reinterpret_cast<unsigned char*>(out);
}

/// OpenSSL counts in int; a token of 16 KiB never comes near.
int length(std::string_view text) noexcept {
    return static_cast<int>(text.size());
}

bool is_gcm(ContentEncryption encryption) noexcept {
    return encryption >= ContentEncryption::a128gcm;
}

/// The hash of the HMAC that goes with AES-CBC (RFC 7518 §5.2.3 to §5.2.5).
const char* hash_name(ContentEncryption encryption) noexcept {
    return encryption == ContentEncryption::a128cbc_hs256   ? "SHA2-256"
           : encryption == ContentEncryption::a192cbc_hs384 ? "SHA2-384"
                                                            : "SHA2-512";
}

const EVP_CIPHER* cipher_of(const EncryptionTools& tools, ContentEncryption encryption) noexcept {
    return tools.content[static_cast<std::size_t>(encryption)].get();
}

/// RFC 7518 §5.2.2.1 steps 4 and 5: the HMAC of additional data, IV, ciphertext and AL, before it is cut in half.
bool compute_tag(const EncryptionTools& tools, ContentEncryption encryption, std::string_view mac_key,
                 std::string_view iv, std::string_view additional_data, std::string_view ciphertext,
                 std::array<unsigned char, largest_tag>& tag) {
    // In 64 bits whatever the platform: in 32, two inputs would share an AL (CVE-2016-9123).
    const std::uint64_t bits = static_cast<std::uint64_t>(additional_data.size()) * 8;
    std::array<unsigned char, 8> al;
    for (std::size_t i = 0; i < al.size(); ++i) {
        al[i] = static_cast<unsigned char>(bits >> (8 * (7 - i)));
    }
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>(hash_name(encryption)), 0),
        OSSL_PARAM_construct_end(),
    };
    const openssl::MacContext context(EVP_MAC_CTX_new(tools.hmac.get()));
    std::size_t size = 0;
    return context != nullptr && EVP_MAC_init(context.get(), bytes(mac_key), mac_key.size(), params) == 1 &&
           EVP_MAC_update(context.get(), bytes(additional_data), additional_data.size()) == 1 &&
           EVP_MAC_update(context.get(), bytes(iv), iv.size()) == 1 &&
           EVP_MAC_update(context.get(), bytes(ciphertext), ciphertext.size()) == 1 &&
           EVP_MAC_update(context.get(), al.data(), al.size()) == 1 &&
           EVP_MAC_final(context.get(), tag.data(), &size, tag.size()) == 1 && size == 2 * sizes(encryption).tag;
}

std::optional<std::string> cbc_decrypt(const EncryptionTools& tools, ContentEncryption encryption, std::string_view key,
                                       const Sealed& sealed) {
    const std::string_view mac_key = key.substr(0, key.size() / 2);
    const std::string_view cipher_key = key.substr(key.size() / 2);
    std::array<unsigned char, largest_tag> tag;
    // First: what comes out of a forged text, or how its padding looks, is nobody's to learn (RFC 7518 §5.2.2.2).
    if (!compute_tag(tools, encryption, mac_key, sealed.iv, sealed.additional_data, sealed.ciphertext, tag) ||
        CRYPTO_memcmp(tag.data(), sealed.tag.data(), sealed.tag.size()) != 0) {
        return std::nullopt;
    }
    const CipherContext context(EVP_CIPHER_CTX_new());
    std::string plaintext(sealed.ciphertext.size() + EVP_MAX_BLOCK_LENGTH, '\0');
    int size = 0;
    int rest = 0;
    if (context == nullptr ||
        EVP_DecryptInit_ex2(context.get(), cipher_of(tools, encryption), bytes(cipher_key), bytes(sealed.iv),
                            nullptr) != 1 ||
        EVP_DecryptUpdate(context.get(), out_bytes(plaintext.data()), &size, bytes(sealed.ciphertext),
                          length(sealed.ciphertext)) != 1 ||
        EVP_DecryptFinal_ex(context.get(), out_bytes(plaintext.data()) + size, &rest) != 1) {
        return std::nullopt;
    }
    plaintext.resize(static_cast<std::size_t>(size) + static_cast<std::size_t>(rest));
    return plaintext;
}

std::optional<Encrypted> cbc_encrypt(const EncryptionTools& tools, ContentEncryption encryption, std::string_view key,
                                     std::string_view iv, std::string_view additional_data,
                                     std::string_view plaintext) {
    const CipherContext context(EVP_CIPHER_CTX_new());
    Encrypted encrypted{std::string(plaintext.size() + EVP_MAX_BLOCK_LENGTH, '\0'), {}};
    int size = 0;
    int rest = 0;
    std::array<unsigned char, largest_tag> tag;
    if (context == nullptr ||
        EVP_EncryptInit_ex2(context.get(), cipher_of(tools, encryption), bytes(key.substr(key.size() / 2)), bytes(iv),
                            nullptr) != 1 ||
        EVP_EncryptUpdate(context.get(), out_bytes(encrypted.ciphertext.data()), &size, bytes(plaintext),
                          length(plaintext)) != 1 ||
        EVP_EncryptFinal_ex(context.get(), out_bytes(encrypted.ciphertext.data()) + size, &rest) != 1) {
        return std::nullopt;
    }
    encrypted.ciphertext.resize(static_cast<std::size_t>(size) + static_cast<std::size_t>(rest));
    if (!compute_tag(tools, encryption, key.substr(0, key.size() / 2), iv, additional_data, encrypted.ciphertext,
                     tag)) {
        return std::nullopt;
    }
    encrypted.tag.assign(reinterpret_cast<const char*>(tag.data()), sizes(encryption).tag);
    return encrypted;
}

}  // namespace

std::shared_ptr<const EncryptionTools> EncryptionTools::fetch() {
    const auto cipher = [](const char* name) { return openssl::Cipher(EVP_CIPHER_fetch(nullptr, name, nullptr)); };
    auto tools = std::make_shared<EncryptionTools>(EncryptionTools{
        {cipher("AES-128-CBC"), cipher("AES-192-CBC"), cipher("AES-256-CBC"), cipher("AES-128-GCM"),
         cipher("AES-192-GCM"), cipher("AES-256-GCM")},
        {cipher("AES-128-WRAP"), cipher("AES-192-WRAP"), cipher("AES-256-WRAP")},
        {cipher("AES-128-GCM"), cipher("AES-192-GCM"), cipher("AES-256-GCM")},
        openssl::Mac(EVP_MAC_fetch(nullptr, "HMAC", nullptr)),
        openssl::Digest(EVP_MD_fetch(nullptr, "SHA2-256", nullptr)),
    });
    bool complete = tools->hmac != nullptr && tools->sha256 != nullptr;
    for (const auto& fetched : tools->content) {
        complete = complete && fetched != nullptr;
    }
    for (std::size_t i = 0; i < tools->wrap.size(); ++i) {
        complete = complete && tools->wrap[i] != nullptr && tools->gcm[i] != nullptr;
    }
    return complete ? tools : nullptr;
}

bool gcm_decrypt(const EVP_CIPHER* cipher, std::string_view key, const Sealed& sealed, char* out) {
    // OpenSSL compares as many bytes of the tag as it is given: a tag of one byte would pass once in 256 times.
    if (sealed.iv.size() != gcm_iv_size || sealed.tag.size() != gcm_tag_size) {
        return false;
    }
    std::array<char, gcm_tag_size> tag;
    sealed.tag.copy(tag.data(), tag.size());
    const CipherContext context(EVP_CIPHER_CTX_new());
    int size = 0;
    return context != nullptr &&
           EVP_DecryptInit_ex2(context.get(), cipher, bytes(key), bytes(sealed.iv), nullptr) == 1 &&
           EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, gcm_tag_size, tag.data()) == 1 &&
           EVP_DecryptUpdate(context.get(), nullptr, &size, bytes(sealed.additional_data),
                             length(sealed.additional_data)) == 1 &&
           EVP_DecryptUpdate(context.get(), out_bytes(out), &size, bytes(sealed.ciphertext),
                             length(sealed.ciphertext)) == 1 &&
           EVP_DecryptFinal_ex(context.get(), out_bytes(out) + size, &size) == 1;
}

bool gcm_encrypt(const EVP_CIPHER* cipher, std::string_view key, std::string_view iv, std::string_view additional_data,
                 std::string_view plaintext, char* out, char* tag) {
    const CipherContext context(EVP_CIPHER_CTX_new());
    int size = 0;
    return context != nullptr && EVP_EncryptInit_ex2(context.get(), cipher, bytes(key), bytes(iv), nullptr) == 1 &&
           EVP_EncryptUpdate(context.get(), nullptr, &size, bytes(additional_data), length(additional_data)) == 1 &&
           EVP_EncryptUpdate(context.get(), out_bytes(out), &size, bytes(plaintext), length(plaintext)) == 1 &&
           EVP_EncryptFinal_ex(context.get(), out_bytes(out) + size, &size) == 1 &&
           EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, gcm_tag_size, tag) == 1;
}

std::optional<std::string> decrypt_content(const EncryptionTools& tools, ContentEncryption encryption,
                                           std::string_view key, const Sealed& sealed) {
    const ContentSizes wanted = sizes(encryption);
    if (key.size() != wanted.key || sealed.iv.size() != wanted.iv || sealed.tag.size() != wanted.tag) {
        return std::nullopt;
    }
    if (!is_gcm(encryption)) {
        return cbc_decrypt(tools, encryption, key, sealed);
    }
    std::string plaintext(sealed.ciphertext.size(), '\0');
    if (!gcm_decrypt(cipher_of(tools, encryption), key, sealed, plaintext.data())) {
        return std::nullopt;
    }
    return plaintext;
}

Encrypted encrypt_content(const EncryptionTools& tools, ContentEncryption encryption, std::string_view key,
                          std::string_view iv, std::string_view additional_data, std::string_view plaintext) {
    const ContentSizes wanted = sizes(encryption);
    std::optional<Encrypted> encrypted;
    if (key.size() == wanted.key && iv.size() == wanted.iv) {
        if (is_gcm(encryption)) {
            encrypted.emplace(Encrypted{std::string(plaintext.size(), '\0'), std::string(wanted.tag, '\0')});
            if (!gcm_encrypt(cipher_of(tools, encryption), key, iv, additional_data, plaintext,
                             encrypted->ciphertext.data(), encrypted->tag.data())) {
                encrypted.reset();
            }
        } else {
            encrypted = cbc_encrypt(tools, encryption, key, iv, additional_data, plaintext);
        }
    }
    if (!encrypted) {
        throw std::runtime_error("a content cannot be encrypted");
    }
    return *std::move(encrypted);
}

}  // namespace jwt
