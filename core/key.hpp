#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "algorithm.hpp"
#include "encryption.hpp"
#include "json.hpp"

namespace jwt {

/// Why a key was refused; completes the sentence `key "FILE" …` and says what to use instead where there is a choice.
struct [[nodiscard]] KeyError {
    std::string message;
};

/// A key for signatures, for encryption, or for both where its source does not say; imported and checked once,
/// immutable afterwards. The key decides which algorithms it serves (RFC 8725 §3.1); a token only selects among those.
///
/// Refused, whatever the source: HMAC secrets that are a PEM, JWK or SSH text or shorter than the hash of every
/// algorithm they are for (RFC 7518 §3.2); RSA moduli under 2048 or over 8192 bits, exponents that are even, under 3
/// or over 33 bits (RFC 7518 §3.3); moduli with the ROCA fingerprint; points that are off their curve or infinity;
/// Ed25519 and Ed448 points of small order or in a second encoding (RFC 8032 §5.1.3); curves that no algorithm uses;
/// private halves that do not match their public halves.
///
/// Signatures are not for two threads at once, since prepared contexts are reused, but for those that RSA makes;
/// encryption and decryption are.
class Key {
public:
    /// An HMAC secret. Serves the HS algorithms of `wanted`; refused where it is too short for one of them, or `wanted`
    /// has none.
    [[nodiscard]] static tl::expected<std::shared_ptr<const Key>, KeyError> from_secret(std::string_view secret,
                                                                                        AlgorithmSet wanted);

    /// The first PEM block: a public key (SubjectPublicKeyInfo or PKCS#1), a private key (unencrypted), or an X.509
    /// certificate, whose validity period is not looked at.
    [[nodiscard]] static tl::expected<std::shared_ptr<const Key>, KeyError> from_pem(std::string_view pem);

    /// A JWK (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2): kty RSA, EC, OKP or oct; public or private. `use`, `key_ops` and
    /// `alg` each take away what they do not name; where they leave nothing, the key is refused. `alg` leaves that
    /// algorithm alone, where "EdDSA" includes the exact name of the curve (RFC 9864 §2.2), and the name of a content
    /// encryption on a secret means `dir` with it. Without them a key serves all that fits it: a secret the HS
    /// algorithms that it is long enough for, and the encryptions that have keys of its size.
    [[nodiscard]] static tl::expected<std::shared_ptr<const Key>, KeyError> from_jwk(json::Value jwk);

    ~Key();
    Key(const Key&) = delete;
    Key& operator=(const Key&) = delete;

    [[nodiscard]] std::optional<std::string_view> kid() const noexcept;
    /// The same for who may outlive the key; null where it has none.
    [[nodiscard]] const std::shared_ptr<const std::string>& shared_kid() const noexcept;
    [[nodiscard]] AlgorithmSet verifies() const noexcept;
    /// Empty for a public key.
    [[nodiscard]] AlgorithmSet signs() const noexcept;
    /// How JWEs may be encrypted that this key decrypts. Empty for a public key.
    [[nodiscard]] KeyManagementSet decrypts() const noexcept;
    /// How it encrypts JWEs.
    [[nodiscard]] KeyManagementSet encrypts() const noexcept;
    /// The content encryptions that it is itself the key of, under `dir`.
    [[nodiscard]] ContentEncryptionSet direct_encryptions() const noexcept;
    /// For people: "RSA 2048-bit public key", "HMAC secret of 32 bytes".
    [[nodiscard]] std::string description() const;
    [[nodiscard]] bool symmetric() const noexcept;

    /// The public half as a JWK with kid, alg where there is just one, and use=sig, or use=enc where it is for
    /// encryption alone; never a private member. Nothing for a secret, which has no public half.
    [[nodiscard]] std::optional<std::string> public_jwk() const;
    /// The whole key as a JWK, private members and all: for `jwt keygen`.
    [[nodiscard]] std::string private_jwk() const;
    /// The public half alone as a key of its own; the key itself where it is one already; nothing for a secret.
    [[nodiscard]] std::shared_ptr<const Key> public_half(std::shared_ptr<const Key> self) const;

    struct Material;  // what signature.cpp and key_management.cpp work with
    [[nodiscard]] const Material& material() const noexcept { return *material_; }

private:
    explicit Key(std::unique_ptr<Material> material) noexcept;
    friend struct KeyBuilder;
    std::unique_ptr<Material> material_;
};

/// A new key for an algorithm: RSA of 2048 bits or `bits`, the algorithm's curve, an HMAC secret as long as its hash.
/// Its kid is the RFC 7638 thumbprint (none for a secret).
[[nodiscard]] tl::expected<std::shared_ptr<const Key>, KeyError> generate_key(Algorithm algorithm,
                                                                              std::size_t bits = 2048);

/// A new key for JWEs: RSA of 2048 bits or `bits`; for ECDH-ES on `curve` ("P-256", "P-384", "P-521", "X25519",
/// "X448"); a secret of the size that `management` asks for, or, for `dir`, `encryption`.
[[nodiscard]] tl::expected<std::shared_ptr<const Key>, KeyError> generate_encryption_key(
    KeyManagement management, ContentEncryption encryption = ContentEncryption::a256gcm,
    std::string_view curve = "P-256", std::size_t bits = 2048);

/// What a JWE asks of a key.
struct Recipient {
    KeyManagement management;
    ContentEncryption encryption;
    std::string_view curve{};  // of the ephemeral key, for ECDH-ES
};

/// Keys of one source, in their order.
class KeySet {
public:
    /// How many keys are tried for one token at most.
    static constexpr std::size_t max_candidates = 4;

    struct Candidates {
        const Key* keys[max_candidates];
        std::size_t count = 0;
        [[nodiscard]] const Key* const* begin() const noexcept { return keys; }
        [[nodiscard]] const Key* const* end() const noexcept { return keys + count; }
    };

    /// What a file or a provider gave: PEM (one or more blocks), a JWK, or a JWK Set. In a set, keys that cannot be
    /// used are left out and say why in `complaints` (RFC 7517 §5); secrets beside public keys are left out too (a
    /// published set must not hold one). Of several certificates in a PEM only the first is a key: the others of a
    /// chain belong to its issuers. Refused: no usable key at all, and two keys of one kid for signatures, or for
    /// encryption.
    [[nodiscard]] static tl::expected<KeySet, KeyError> from_text(std::string_view text,
                                                                  std::vector<std::string>* complaints = nullptr);
    [[nodiscard]] static tl::expected<KeySet, KeyError> from_json(json::Value jwk_or_set,
                                                                  std::vector<std::string>* complaints = nullptr);

    /// What a provider publishes: a JWK Set and nothing else (RFC 7517 §5), of at most max_published_keys. Keys that
    /// cannot be used are left out as by from_text. A set with a secret or a private member anywhere is refused as a
    /// whole: who publishes those has lost them.
    [[nodiscard]] static tl::expected<KeySet, KeyError> from_published(std::string_view text,
                                                                       std::vector<std::string>* complaints = nullptr);
    static constexpr std::size_t max_published_keys = 100;

    /// Tells this set from every other one, also from those that were or will be: a copy is the same set until a key is
    /// added to either. Drawn at random, so that nothing is counted where sets are only read; zeros for no keys.
    using Identity = std::array<char, 16>;
    [[nodiscard]] const Identity& identity() const noexcept { return identity_; }

    void add(std::shared_ptr<const Key> key);
    [[nodiscard]] const std::vector<std::shared_ptr<const Key>>& keys() const noexcept { return keys_; }
    [[nodiscard]] bool empty() const noexcept { return keys_.empty(); }

    /// Everything that some key verifies.
    [[nodiscard]] AlgorithmSet verifies() const noexcept;

    /// The keys to try for a token: those that verify `algorithm` and whose kid is `kid` (first) or that have none; all
    /// that verify it where the token names no kid. At most max_candidates.
    [[nodiscard]] Candidates candidates(Algorithm algorithm, std::optional<std::string_view> kid) const noexcept;

    /// Whether some key that verifies has this kid.
    [[nodiscard]] bool names(std::string_view kid) const noexcept;

    /// Everything that some key decrypts.
    [[nodiscard]] KeyManagementSet decrypts() const noexcept;

    /// Likewise, the keys to try for a JWE: of its curve, for ECDH-ES, and of the size that `dir` asks for.
    [[nodiscard]] Candidates candidates(const Recipient& wanted, std::optional<std::string_view> kid) const noexcept;

    /// The first key that encrypts that way, or null.
    [[nodiscard]] std::shared_ptr<const Key> encrypter(KeyManagement management,
                                                       ContentEncryption encryption) const noexcept;

    /// The first key that signs with `algorithm`, or null.
    [[nodiscard]] std::shared_ptr<const Key> signer(Algorithm algorithm) const noexcept;

private:
    template <class Serves>
    [[nodiscard]] Candidates serving(Serves serves, std::optional<std::string_view> kid) const noexcept;

    std::vector<std::shared_ptr<const Key>> keys_;
    Identity identity_{};
};

}  // namespace jwt
