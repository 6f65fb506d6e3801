#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "openssl.hpp"

// ECDSA signatures verified by OpenSSL's arithmetic, on numbers that are made ready once. EVP_PKEY_verify wants DER,
// takes it apart, and inverts modulo the group's order in a time that tells nothing of the number: that is for signers,
// and costs more than all else beside the multiplication of points.
namespace jwt {

/// Verification (SEC 1 §4.1.4, FIPS 186-5 §6.4.2) with one key. All its numbers are public, so nothing takes constant
/// time. For one thread, since it computes in numbers of its own.
class EcdsaVerifier {
public:
    /// Nothing where the key is not of OpenSSL's default provider, and where memory or OpenSSL fails. `ec` is a key
    /// that passed the checks of an import, on a curve of RFC 7518 §3.4 or RFC 8812 §3.2, of which `curve` is the NID.
    [[nodiscard]] static std::optional<EcdsaVerifier> of(const EVP_PKEY* ec, int curve);

    /// Whether r‖s, each as long as the order (RFC 7518 §3.4), is a signature of what has this hash, which has no more
    /// bits than the order. False where OpenSSL fails; may leave errors in its queue.
    [[nodiscard]] bool matches(std::span<const unsigned char> hash, std::string_view r_and_s) const noexcept;

private:
    EcdsaVerifier() = default;

    [[nodiscard]] const BIGNUM* order() const noexcept { return EC_GROUP_get0_order(group_.get()); }
    /// Below the order, where it was below twice the order.
    [[nodiscard]] bool reduce(BIGNUM* number) const noexcept;
    /// a · b / R, with the R of Montgomery's form.
    [[nodiscard]] bool multiply(BIGNUM* product, const BIGNUM* a, const BIGNUM* b) const noexcept;
    /// Makes w_ the inverse of s_, in Montgomery's form.
    [[nodiscard]] bool invert() const noexcept;
    template <std::size_t size>
    [[nodiscard]] bool invert_digits() const noexcept;

    openssl::EcGroup group_;
    openssl::EcPoint key_;
    openssl::BignumContext context_;
    openssl::Montgomery montgomery_;
    openssl::Bignum scale_;  // R³ / 4^bits, for numbers of 4^bits / R

    // The names of SEC 1 and FIPS 186.
    openssl::Bignum r_;
    openssl::Bignum s_;
    openssl::Bignum e_;
    openssl::Bignum w_;
    openssl::Bignum u1_;
    openssl::Bignum u2_;
    openssl::Bignum x_;
    openssl::EcPoint point_;
};

}  // namespace jwt
