#include "rsa_verification.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <span>
#include <string>
#include <utility>

#include "key_material.hpp"

namespace jwt {

using openssl::bytes;

std::unique_ptr<const RsaVerifier> RsaVerifier::of(const EVP_PKEY* rsa) {
    if (!openssl::is_default(EVP_PKEY_get0_provider(rsa))) {
        return nullptr;
    }
    std::unique_ptr<RsaVerifier> verifier(new RsaVerifier);
    BIGNUM* modulus = nullptr;
    BIGNUM* exponent = nullptr;
    const bool read = EVP_PKEY_get_bn_param(rsa, OSSL_PKEY_PARAM_RSA_N, &modulus) == 1 &&
                      EVP_PKEY_get_bn_param(rsa, OSSL_PKEY_PARAM_RSA_E, &exponent) == 1;
    verifier->modulus_.reset(modulus);
    verifier->exponent_.reset(exponent);
    verifier->montgomery_.reset(BN_MONT_CTX_new());
    verifier->context_.reset(BN_CTX_new());
    if (!read || !openssl::make_numbers({&verifier->signature_, &verifier->factor_, &verifier->power_}) ||
        verifier->montgomery_ == nullptr || verifier->context_ == nullptr ||
        BN_MONT_CTX_set(verifier->montgomery_.get(), modulus, verifier->context_.get()) != 1) {
        return nullptr;
    }
    verifier->size_ = static_cast<std::size_t>(BN_num_bytes(modulus));
    return verifier;
}

const BIGNUM* RsaVerifier::message_of(std::string_view signature) const noexcept {
    BIGNUM* const plain = signature_.get();
    if (signature.size() != size_ || BN_bin2bn(bytes(signature), static_cast<int>(size_), plain) == nullptr ||
        BN_cmp(plain, modulus_.get()) >= 0 ||
        BN_to_montgomery(factor_.get(), plain, montgomery_.get(), context_.get()) != 1) {
        return nullptr;
    }
    const auto multiply = [this](const BIGNUM* a, const BIGNUM* b) {
        return BN_mod_mul_montgomery(power_.get(), a, b, montgomery_.get(), context_.get()) == 1;
    };
    // From the exponent's second bit down, squares and products. Exponents are odd, and the last factor is the plain
    // signature, which takes the result out of Montgomery's form.
    const BIGNUM* product = factor_.get();
    for (int bit = BN_num_bits(exponent_.get()) - 2; bit >= 0; --bit) {
        if (!multiply(product, product) ||
            (BN_is_bit_set(exponent_.get(), bit) == 1 && !multiply(power_.get(), bit == 0 ? plain : factor_.get()))) {
            return nullptr;
        }
        product = power_.get();
    }
    return power_.get();
}

namespace {

/// RFC 8017 §9.2 note 1: the DER of DigestInfo up to its hash. The parameters are NULL, and not absent.
std::string_view digest_info(std::size_t hash_size) noexcept {
    using namespace std::string_view_literals;
    switch (hash_size) {
        case 32:
            return "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"sv;
        case 48:
            return "\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30"sv;
        case 64:
            return "\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40"sv;
        default:
            return {};
    }
}

}  // namespace

std::optional<Pkcs1Encoding> Pkcs1Encoding::of(std::size_t modulus_size, std::size_t hash_size) {
    const std::string_view info = digest_info(hash_size);
    const std::size_t used = 3 + info.size() + hash_size;
    if (info.empty() || modulus_size < used + 8) {
        return std::nullopt;
    }
    std::string encoded("\x00\x01", 2);
    encoded.append(modulus_size - used, '\xff').append(1, '\0').append(info).append(hash_size, '\0');

    Pkcs1Encoding encoding;
    encoding.frame_.reset(BN_bin2bn(bytes(encoded), static_cast<int>(encoded.size()), nullptr));
    encoding.expected_.reset(BN_new());
    if (encoding.frame_ == nullptr || encoding.expected_ == nullptr) {
        return std::nullopt;
    }
    return encoding;
}

bool Pkcs1Encoding::matches(const BIGNUM* message, std::string_view input, const Hasher& hasher) const noexcept {
    Hasher::Hash hash;
    // Numbers of one size are equal where all their bytes are (RFC 8017 §4.1), and cost less to make.
    return hasher({input}, hash) &&
           BN_bin2bn(hash.data(), static_cast<int>(hasher.size()), expected_.get()) != nullptr &&
           BN_add(expected_.get(), expected_.get(), frame_.get()) == 1 && BN_cmp(message, expected_.get()) == 0;
}

namespace {

std::string_view text(std::span<const unsigned char> octets) noexcept {
    return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}

/// Takes MGF1's mask (RFC 8017 §B.2.1) off `masked`.
bool unmask(std::span<unsigned char> masked, std::string_view seed, const Hasher& hasher) noexcept {
    Hasher::Hash mask;
    std::array<unsigned char, 4> counter = {};
    for (; !masked.empty(); ++counter[3]) {  // to 32 at most, as max_rsa_bits are 32 of the shortest hash
        if (!hasher({seed, text(counter)}, mask)) {
            return false;
        }
        const std::size_t size = std::min(masked.size(), hasher.size());
        std::transform(masked.begin(), masked.begin() + static_cast<std::ptrdiff_t>(size), mask.begin(), masked.begin(),
                       std::bit_xor());
        masked = masked.subspan(size);
    }
    return true;
}

}  // namespace

// The steps are those of RFC 8017 §9.1.2.
bool PssEncoding::matches(const BIGNUM* message, std::string_view input, const Hasher& hasher) const noexcept {
    std::array<unsigned char, max_rsa_bits / 8> octets;
    const std::size_t size = (bits_ + 7) / 8;
    const std::size_t unused_bits = 8 * size - bits_;
    const std::size_t hash_size = hasher.size();
    // §8.1.2 step 2c, and step 6: every bit above emBits is zero.
    if (static_cast<std::size_t>(BN_num_bits(message)) > bits_ ||
        BN_bn2binpad(message, octets.data(), static_cast<int>(size)) != static_cast<int>(size)) {
        return false;
    }
    const std::span<unsigned char> encoded(octets.data(), size);
    const auto block = encoded.first(size - hash_size - 1);  // DB
    const auto salted_hash = encoded.subspan(block.size(), hash_size);
    if (encoded.back() != 0xbc || !unmask(block, text(salted_hash), hasher)) {  // steps 4, 7 and 8
        return false;
    }
    block[0] = static_cast<unsigned char>(block[0] & (0xff >> unused_bits));  // step 9
    const auto salt = block.last(hash_size);
    const auto padding = block.first(block.size() - hash_size - 1);
    if (std::any_of(padding.begin(), padding.end(), [](auto octet) { return octet != 0; }) ||
        block[padding.size()] != 1) {  // step 10
        return false;
    }
    static constexpr std::array<unsigned char, 8> zeros = {};
    Hasher::Hash hash;
    Hasher::Hash expected;
    return hasher({input}, hash) && hasher({text(zeros), text({hash.data(), hash_size}), text(salt)}, expected) &&
           std::equal(salted_hash.begin(), salted_hash.end(), expected.begin());  // step 14
}

}  // namespace jwt
