#include "ecdsa_verification.hpp"

#include <array>

#include "almost_inverse.hpp"

namespace jwt {

using openssl::Bignum;

namespace {

/// The key's point, or null.
openssl::EcPoint point_of(const EVP_PKEY* ec, const EC_GROUP* group, BN_CTX* context) {
    BIGNUM* x = nullptr;
    BIGNUM* y = nullptr;
    const bool read = EVP_PKEY_get_bn_param(ec, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
                      EVP_PKEY_get_bn_param(ec, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1;
    const Bignum owned_x(x);
    const Bignum owned_y(y);
    openssl::EcPoint point(EC_POINT_new(group));
    if (!read || point == nullptr || EC_POINT_set_affine_coordinates(group, point.get(), x, y, context) != 1) {
        return nullptr;
    }
    return point;
}

/// R³ / 4^bits modulo `order`, or null.
Bignum scale_of(const BIGNUM* order, BN_MONT_CTX* montgomery, BN_CTX* context) {
    const Bignum power(BN_new());
    if (power == nullptr || BN_set_bit(power.get(), 2 * BN_num_bits(order)) != 1) {
        return nullptr;
    }
    Bignum scale(BN_mod_inverse(nullptr, power.get(), order, context));
    for (int i = 0; i < 3 && scale != nullptr; ++i) {
        if (BN_to_montgomery(scale.get(), scale.get(), montgomery, context) != 1) {
            return nullptr;
        }
    }
    return scale;
}

}  // namespace

std::optional<EcdsaVerifier> EcdsaVerifier::of(const EVP_PKEY* ec, int curve) {
    if (!openssl::is_default(EVP_PKEY_get0_provider(ec))) {
        return std::nullopt;
    }
    EcdsaVerifier verifier;
    verifier.group_.reset(EC_GROUP_new_by_curve_name(curve));
    verifier.context_.reset(BN_CTX_new());
    verifier.montgomery_.reset(BN_MONT_CTX_new());
    if (verifier.group_ == nullptr || verifier.context_ == nullptr || verifier.montgomery_ == nullptr ||
        BN_MONT_CTX_set(verifier.montgomery_.get(), verifier.order(), verifier.context_.get()) != 1 ||
        !openssl::make_numbers(
            {&verifier.r_, &verifier.s_, &verifier.e_, &verifier.w_, &verifier.u1_, &verifier.u2_, &verifier.x_})) {
        return std::nullopt;
    }
    verifier.point_.reset(EC_POINT_new(verifier.group_.get()));
    verifier.key_ = point_of(ec, verifier.group_.get(), verifier.context_.get());
    verifier.scale_ = scale_of(verifier.order(), verifier.montgomery_.get(), verifier.context_.get());
    if (verifier.point_ == nullptr || verifier.key_ == nullptr || verifier.scale_ == nullptr) {
        return std::nullopt;
    }
    return verifier;
}

bool EcdsaVerifier::reduce(BIGNUM* number) const noexcept {
    return BN_cmp(number, order()) < 0 || BN_sub(number, number, order()) == 1;
}

bool EcdsaVerifier::multiply(BIGNUM* product, const BIGNUM* a, const BIGNUM* b) const noexcept {
    return BN_mod_mul_montgomery(product, a, b, montgomery_.get(), context_.get()) == 1;
}

namespace {

template <std::size_t size>
using Octets = std::array<unsigned char, 8 * size>;  // the lowest first

template <std::size_t size>
Digits<size> digits_of(const Octets<size>& octets) noexcept {
    Digits<size> number{};
    for (std::size_t i = octets.size(); i-- > 0;) {
        number[i / 8] = number[i / 8] << 8 | octets[i];
    }
    return number;
}

template <std::size_t size>
Octets<size> octets_of(const Digits<size>& number) noexcept {
    Octets<size> octets;
    for (std::size_t i = 0; i < octets.size(); ++i) {
        octets[i] = static_cast<unsigned char>(number[i / 8] >> (i % 8 * 8));
    }
    return octets;
}

template <std::size_t size>
[[nodiscard]] bool read(const BIGNUM* number, Digits<size>& digits) noexcept {
    Octets<size> octets;
    if (BN_bn2lebinpad(number, octets.data(), static_cast<int>(octets.size())) != static_cast<int>(octets.size())) {
        return false;
    }
    digits = digits_of<size>(octets);
    return true;
}

}  // namespace

// An inverse that were wrong would refuse good signatures, and could let no forged one pass: what passes with any
// number in its place is, with the inverse of that number for s, a good signature of the same hash.
template <std::size_t size>
bool EcdsaVerifier::invert_digits() const noexcept {
    Digits<size> modulus;
    Digits<size> value;
    if (!read<size>(order(), modulus) || !read<size>(s_.get(), value)) {
        return false;
    }
    const AlmostInverse<size> inverse = almost_inverse(modulus, value);
    const auto octets = octets_of<size>(inverse.number);
    const int bits = BN_num_bits(order());
    // A factor that makes it 4^bits / s, whatever the power: below the order where it has fewer bits.
    const int missing = 2 * bits - static_cast<int>(inverse.power);
    BIGNUM* const filling = x_.get();
    BIGNUM* const w = w_.get();
    BN_zero(filling);
    return BN_lebin2bn(octets.data(), static_cast<int>(octets.size()), w) != nullptr &&
           BN_set_bit(filling, missing) == 1 &&
           (missing < bits || BN_nnmod(filling, filling, order(), context_.get()) == 1) && multiply(w, w, filling) &&
           multiply(w, w, scale_.get());
}

bool EcdsaVerifier::invert() const noexcept {
    switch ((BN_num_bits(order()) + 63) / 64) {
        case 4:
            return invert_digits<4>();
        case 6:
            return invert_digits<6>();
        case 9:
            return invert_digits<9>();
        default:
            return false;
    }
}

bool EcdsaVerifier::matches(std::span<const unsigned char> hash, std::string_view r_and_s) const noexcept {
    const int half = BN_num_bytes(order());
    const unsigned char* const octets = openssl::bytes(r_and_s);
    const auto is_in_group = [this](const BIGNUM* number) {
        return BN_is_zero(number) == 0 && BN_cmp(number, order()) < 0;
    };
    return r_and_s.size() == 2 * static_cast<std::size_t>(half) && BN_bin2bn(octets, half, r_.get()) != nullptr &&
           BN_bin2bn(octets + half, half, s_.get()) != nullptr && is_in_group(r_.get()) && is_in_group(s_.get()) &&
           BN_bin2bn(hash.data(), static_cast<int>(hash.size()), e_.get()) != nullptr && reduce(e_.get()) && invert() &&
           multiply(u1_.get(), e_.get(), w_.get()) && multiply(u2_.get(), r_.get(), w_.get()) &&
           EC_POINT_mul(group_.get(), point_.get(), u1_.get(), key_.get(), u2_.get(), context_.get()) == 1 &&
           // The point at infinity has no coordinates.
           EC_POINT_get_affine_coordinates(group_.get(), point_.get(), x_.get(), nullptr, context_.get()) == 1 &&
           reduce(x_.get()) && BN_cmp(x_.get(), r_.get()) == 0;
}

}  // namespace jwt
