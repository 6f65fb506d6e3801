#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "encryption.hpp"
#include "openssl.hpp"

namespace jwt {

/// OpenSSL's algorithms for JWE, fetched once. Immutable: threads may share one.
struct EncryptionTools {
    std::array<openssl::Cipher, content_encryption_count> content;  // AES-CBC or AES-GCM, by ContentEncryption
    std::array<openssl::Cipher, 3> wrap;                            // RFC 3394, with keys of 16, 24, 32 bytes
    std::array<openssl::Cipher, 3> gcm;                             // likewise
    openssl::Mac hmac;
    openssl::Digest sha256;

    /// Null where this OpenSSL lacks one of them.
    [[nodiscard]] static std::shared_ptr<const EncryptionTools> fetch();
};

/// What of a JWE is encrypted and authenticated (RFC 7516 §5.1 steps 14 and 15).
struct Sealed {
    std::string_view iv;
    std::string_view additional_data;  // authenticated, not encrypted
    std::string_view ciphertext;
    std::string_view tag;
};

/// The plaintext; nothing where key, initialization vector or tag have not exactly the size of `encryption`, or the tag
/// is wrong (RFC 7518 §5.2.2.2, §5.3). Of AES-CBC the tag is compared, in constant time, before anything is decrypted.
[[nodiscard]] std::optional<std::string> decrypt_content(const EncryptionTools& tools, ContentEncryption encryption,
                                                         std::string_view key, const Sealed& sealed);

/// Ciphertext and tag.
struct Encrypted {
    std::string ciphertext;
    std::string tag;
};

/// Encrypts under a key and an initialization vector of the sizes of `encryption`; throws std::runtime_error where
/// OpenSSL fails.
[[nodiscard]] Encrypted encrypt_content(const EncryptionTools& tools, ContentEncryption encryption,
                                        std::string_view key, std::string_view iv, std::string_view additional_data,
                                        std::string_view plaintext);

/// AES-GCM with an IV of 12 and a tag of 16 bytes, for content and for keys (RFC 7518 §4.7). False where the tag is
/// wrong; `out` has room for the input.
[[nodiscard]] bool gcm_decrypt(const EVP_CIPHER* cipher, std::string_view key, const Sealed& sealed, char* out);
[[nodiscard]] bool gcm_encrypt(const EVP_CIPHER* cipher, std::string_view key, std::string_view iv,
                               std::string_view additional_data, std::string_view plaintext, char* out, char* tag);

}  // namespace jwt
