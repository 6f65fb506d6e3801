#include "rsa_verification.hpp"

#include <string>
#include <utility>

namespace jwt {

using openssl::Bignum;
using openssl::bytes;

std::unique_ptr<const RsaVerifier> RsaVerifier::of(const EVP_PKEY* rsa) {
    std::unique_ptr<RsaVerifier> verifier(new RsaVerifier);
    BIGNUM* modulus = nullptr;
    BIGNUM* exponent = nullptr;
    const bool read = EVP_PKEY_get_bn_param(rsa, OSSL_PKEY_PARAM_RSA_N, &modulus) == 1 &&
                      EVP_PKEY_get_bn_param(rsa, OSSL_PKEY_PARAM_RSA_E, &exponent) == 1;
    verifier->modulus_.reset(modulus);
    verifier->exponent_.reset(exponent);
    verifier->montgomery_.reset(BN_MONT_CTX_new());
    verifier->context_.reset(BN_CTX_new());
    for (Bignum* const number : {&verifier->signature_, &verifier->factor_, &verifier->power_}) {
        number->reset(BN_new());
        if (*number == nullptr) {
            return nullptr;
        }
    }
    if (!read || verifier->montgomery_ == nullptr || verifier->context_ == nullptr ||
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

bool Pkcs1Encoding::matches(const BIGNUM* message, std::string_view hash) const noexcept {
    // Numbers of equal size are equal where all their bytes are (RFC 8017 §4.1), and cost less to make.
    return BN_bin2bn(bytes(hash), static_cast<int>(hash.size()), expected_.get()) != nullptr &&
           BN_add(expected_.get(), expected_.get(), frame_.get()) == 1 && BN_cmp(message, expected_.get()) == 0;
}

}  // namespace jwt
