#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "digest.hpp"
#include "openssl.hpp"

// RSA signatures verified by OpenSSL's arithmetic, on numbers that are made ready once: EVP_PKEY_verify makes its
// buffers and contexts for each signature, a fifth of its time.
namespace jwt {

/// RSAVP1 (RFC 8017 §5.2.2) with one key. All its numbers are public, so nothing takes constant time. For one thread,
/// since it computes in numbers of its own.
class RsaVerifier {
public:
    /// Null where the key is not of OpenSSL's default provider, and where memory or OpenSSL fails. `rsa` is a key that
    /// passed the checks of an import.
    [[nodiscard]] static std::unique_ptr<const RsaVerifier> of(const EVP_PKEY* rsa);

    /// The message representative that the signature stands for: not of more than the modulus has bytes. Null for a
    /// signature of another length than the modulus, for one that is not below it, and where OpenSSL fails. Ends with
    /// the next call.
    [[nodiscard]] const BIGNUM* message_of(std::string_view signature) const noexcept;

    [[nodiscard]] std::size_t bits() const noexcept { return static_cast<std::size_t>(BN_num_bits(modulus_.get())); }

private:
    RsaVerifier() = default;

    std::size_t size_ = 0;  // bytes of the modulus, and so of every signature (RFC 8017 §8.2.2 step 1)
    openssl::Bignum modulus_;
    openssl::Bignum exponent_;
    openssl::Montgomery montgomery_;
    openssl::BignumContext context_;
    openssl::Bignum signature_;
    openssl::Bignum factor_;  // the signature in Montgomery's form
    openssl::Bignum power_;
};

/// EMSA-PKCS1-v1_5 (RFC 8017 §9.2) for keys of one size and one hash. What a signature stands for is compared, as a
/// number, with what the input's hash makes. Nothing that a signer wrote is parsed, so that nothing of it can be taken
/// for something else (CVE-2006-4339 and its heirs). For one thread.
class Pkcs1Encoding {
public:
    /// Nothing where the hash is none of SHA-2's or memory runs out.
    [[nodiscard]] static std::optional<Pkcs1Encoding> of(std::size_t modulus_size, std::size_t hash_size);

    /// Whether `message` is the encoding of `input`. `hasher` is of the hash that this was made for.
    [[nodiscard]] bool matches(const BIGNUM* message, std::string_view input, const Hasher& hasher) const noexcept;

private:
    Pkcs1Encoding() = default;

    openssl::Bignum frame_;  // the encoding of a hash of zeros
    openssl::Bignum expected_;
};

/// EMSA-PSS (RFC 8017 §9.1) as RFC 7518 §3.5 has it: MGF1 with the same hash, salt as long as the hash. That fixes the
/// place of every byte.
class PssEncoding {
public:
    /// min_rsa_bits to max_rsa_bits.
    explicit PssEncoding(std::size_t modulus_bits) noexcept : bits_(modulus_bits - 1) {}

    /// Whether `message` is an encoding of `input`.
    [[nodiscard]] bool matches(const BIGNUM* message, std::string_view input, const Hasher& hasher) const noexcept;

private:
    std::size_t bits_;  // emBits
};

}  // namespace jwt
