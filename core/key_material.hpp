#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include <tl/expected.hpp>

#include "content_encryption.hpp"
#include "digest.hpp"
#include "ecdsa_verification.hpp"
#include "ed25519.hpp"
#include "hmac_sha256.hpp"
#include "key.hpp"
#include "openssl.hpp"
#include "rsa_verification.hpp"

// What the key_*.cpp files, signature.cpp and key agreement share; nothing of it is for users of the core.
namespace jwt {

enum class KeyType : std::uint8_t { secret, rsa, ec, okp };

/// A curve that signatures or ECDH-ES use.
struct Curve {
    std::string_view name;  // RFC 7518 §6.2.1.1, RFC 8812 §3.1, RFC 8037 §2
    KeyType type;
    int id;            // OpenSSL's NID of the group or key type
    std::size_t size;  // bytes of a coordinate, and of a private key
    AlgorithmSet algorithms;
    KeyManagementSet managements;
};

/// All of them (RFC 7518 §6.2.1.1, RFC 8037 §3.2: secp256k1 is for signatures alone).
inline constexpr std::array<Curve, 8> curves = {{
    {"P-256", KeyType::ec, NID_X9_62_prime256v1, 32, {Algorithm::es256}, ecdh_managements},
    {"P-384", KeyType::ec, NID_secp384r1, 48, {Algorithm::es384}, ecdh_managements},
    {"P-521", KeyType::ec, NID_secp521r1, 66, {Algorithm::es512}, ecdh_managements},
    {"secp256k1", KeyType::ec, NID_secp256k1, 32, {Algorithm::es256k}, {}},
    {"Ed25519", KeyType::okp, EVP_PKEY_ED25519, 32, {Algorithm::eddsa, Algorithm::ed25519}, {}},
    {"Ed448", KeyType::okp, EVP_PKEY_ED448, 57, {Algorithm::eddsa, Algorithm::ed448}, {}},
    {"X25519", KeyType::okp, EVP_PKEY_X25519, 32, {}, ecdh_managements},
    {"X448", KeyType::okp, EVP_PKEY_X448, 56, {}, ecdh_managements},
}};

[[nodiscard]] const Curve* curve_named(std::string_view name) noexcept;
[[nodiscard]] const Curve* curve_of_id(int id) noexcept;

inline constexpr AlgorithmSet pss_algorithms = {Algorithm::ps256, Algorithm::ps384, Algorithm::ps512};

inline constexpr std::size_t min_rsa_bits = 2048;
inline constexpr std::size_t max_rsa_bits = 8192;

/// The hash of an algorithm. EdDSA brings its own: no name, size 0.
struct Hash {
    const char* name = nullptr;
    std::size_t size = 0;
};
[[nodiscard]] Hash hash_of(Algorithm algorithm) noexcept;

/// Contexts that were made ready when the key was imported, so that a signature costs no look-up.
struct PreparedHmac {
    openssl::MacContext context;
    std::size_t size;
};
/// Verifies by the key's provider, from the text on: who validates modules asks for that (FIPS 140-3 IG 2.4.B).
struct ProviderVerifier {
    openssl::DigestContext prepared;  // only copied from: newer OpenSSL lets a context end with its one signature
    openssl::DigestContext scratch;
};
struct PreparedEcdsa {
    Hasher hasher;
    std::variant<EcdsaVerifier, ProviderVerifier> verify;
    openssl::PkeyContext sign;  // null for a public key
    std::size_t signature_size;
};
struct PreparedRsa {
    Hasher hasher;
    std::variant<Pkcs1Encoding, PssEncoding, ProviderVerifier> verify;  // encodings: of Key::Material::rsa
    openssl::PkeyContext sign;  // null for a public key; only copied from, as threads share it
    std::size_t signature_size;
};
struct EdDsaSigner {
    openssl::DigestContext prepared;  // null for a public key
    openssl::DigestContext scratch;
    std::size_t signature_size;
};
struct PreparedEd25519 {
    Ed25519Verifier verifier;
    EdDsaSigner signer;
};
struct PreparedEdDsa {
    ProviderVerifier verify;
    EdDsaSigner signer;
};
using Prepared =
    std::variant<std::monostate, HmacSha256, PreparedHmac, PreparedEcdsa, PreparedRsa, PreparedEd25519, PreparedEdDsa>;

struct Key::Material {
    KeyType type = KeyType::secret;
    const Curve* curve = nullptr;  // of ec and okp
    bool is_private = false;
    std::shared_ptr<const std::string> kid;  // null where it has none
    std::optional<std::string_view> alg;     // the JWK's member: a registered name
    AlgorithmSet verifies;
    AlgorithmSet signs;
    KeyManagementSet decrypts;
    KeyManagementSet encrypts;
    ContentEncryptionSet direct;  // what a secret is itself the key of
    openssl::Secret secret;
    openssl::Pkey pkey;
    std::unique_ptr<const RsaVerifier> rsa;  // null where a provider verifies, and for other keys
    std::array<Prepared, algorithm_count> prepared;
    std::shared_ptr<const EncryptionTools> tools;  // of a key for encryption
};

using MaterialResult = tl::expected<std::unique_ptr<Key::Material>, KeyError>;
using KeyResult = tl::expected<std::shared_ptr<const Key>, KeyError>;

[[nodiscard]] inline tl::unexpected<KeyError> refuse(std::string message) {
    return tl::unexpected(KeyError{std::move(message)});
}

/// Text of a key's author for a message: quoted, shortened, printable ASCII only.
[[nodiscard]] std::string quoted(std::string_view text);

/// What is wrong with a key that OpenSSL did not take: with the key, or with OpenSSL where it offers no keys of that
/// type at all, as with fips=yes and no FIPS provider.
[[nodiscard]] KeyError not_taken(const char* type, std::string fault_of_key);

/// What every RSA, EC and OKP key must pass, wherever it comes from. The result serves all algorithms that fit.
[[nodiscard]] MaterialResult examine(openssl::Pkey pkey, bool is_private);

/// What every secret must pass; it serves all of `wanted`, and no encryption.
[[nodiscard]] MaterialResult examine_secret(openssl::Secret secret, AlgorithmSet wanted);

/// Lets a secret serve the encryptions that have keys of its size.
void add_encryptions(Key::Material& secret) noexcept;

/// A new private key on a curve, or null.
[[nodiscard]] openssl::Pkey new_pkey(const Curve& curve);

/// Whether an Ed25519 or Ed448 public key is a point of its curve in its one encoding (RFC 8032 §5.1.3, §5.2.3) and not
/// of small order. What is wrong with it, or nothing.
[[nodiscard]] std::optional<std::string_view> edwards_fault(const Curve& curve, std::string_view encoded);

/// The public key that is DER (SubjectPublicKeyInfo, certificate or PKCS#1), or null.
[[nodiscard]] openssl::Pkey public_key_of_der(std::string_view der);

/// RFC 7638: the SHA-256 thumbprint of the public half, base64url.
[[nodiscard]] std::string thumbprint(const Key::Material& material);

/// The last step of every import: prepares the contexts.
struct KeyBuilder {
    [[nodiscard]] static KeyResult finish(std::unique_ptr<Key::Material> material);
};

}  // namespace jwt
