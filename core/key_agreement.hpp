#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "content_encryption.hpp"
#include "json.hpp"
#include "key.hpp"

// ECDH-ES: RFC 7518 §4.6, with X25519 and X448 by RFC 8037 §3.2.
namespace jwt {

/// What the agreed key is for: the KDF's AlgorithmID, and how many bytes.
struct AgreedUse {
    std::string_view algorithm;  // `enc` where the key encrypts the content itself, else `alg`
    std::size_t size;
};

/// The key that `own`, a private key, and the header's `epk`, `apu` and `apv` agree on. Nothing where `epk` is no
/// public key of `own`'s curve (RFC 7518 §4.6.1.1), is off the curve or of small order (RFC 8037 §3.2: the secret would
/// be zero), or the other two are not base64url.
[[nodiscard]] std::optional<openssl::Secret> agreed_key(const EncryptionTools& tools, const Key& own,
                                                        json::Value header, AgreedUse use);

/// A key agreed on with a public key, and the `epk` that lets its owner find it too.
struct Agreement {
    openssl::Secret key;
    std::string epk;  // JSON text
};

/// Makes an ephemeral key for this one agreement. Throws std::runtime_error where OpenSSL fails.
[[nodiscard]] Agreement agree_with(const EncryptionTools& tools, const Key& recipient, AgreedUse use);

}  // namespace jwt
