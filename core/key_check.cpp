#include <array>
#include <utility>

#include "key_material.hpp"

// The rules that every public-key pair must pass, however it was written.
namespace jwt {

using openssl::Bignum;
using openssl::BignumContext;

namespace {

Bignum integer_of(const EVP_PKEY* pkey, const char* name) {
    BIGNUM* number = nullptr;
    return Bignum(EVP_PKEY_get_bn_param(pkey, name, &number) == 1 ? number : nullptr);
}

// ROCA (CVE-2017-15361; Nemec et al., ACM CCS 2017, §2.2): the primes of Infineon's generator are k·M + (65537^a mod M)
// with M a product of small primes, so that modulo each of them the modulus is a power of 65537. Two thirds of the
// primes up to 167 tell nothing, as 65537 generates everything; the others leave one chance in 2^27 for a sound key.
bool has_roca_fingerprint(const BIGNUM* modulus) {
    static constexpr std::array<unsigned, 17> telling_primes = {11, 13, 17,  19,  37,  53,  61,  71, 73,
                                                                79, 97, 103, 107, 109, 127, 151, 157};
    for (const unsigned prime : telling_primes) {
        const auto residue = static_cast<unsigned>(BN_mod_word(modulus, prime));
        unsigned power = 1;
        bool found = false;
        do {
            found = power == residue;
            power = power * 65537 % prime;
        } while (!found && power != 1);
        if (!found) {
            return false;
        }
    }
    return true;
}

// A private key shows that it belongs to its public half by a signature.
bool rsa_halves_match(EVP_PKEY* pkey) {
    static constexpr std::array<unsigned char, 32> message = {};
    const openssl::PkeyContext signer(EVP_PKEY_CTX_new_from_pkey(nullptr, pkey, nullptr));
    const openssl::PkeyContext verifier(EVP_PKEY_CTX_new_from_pkey(nullptr, pkey, nullptr));
    std::array<unsigned char, max_rsa_bits / 8> signature;
    std::size_t size = signature.size();
    return signer != nullptr && verifier != nullptr && EVP_PKEY_sign_init(signer.get()) == 1 &&
           EVP_PKEY_sign(signer.get(), signature.data(), &size, message.data(), message.size()) == 1 &&
           EVP_PKEY_verify_init(verifier.get()) == 1 &&
           EVP_PKEY_verify(verifier.get(), signature.data(), size, message.data(), message.size()) == 1;
}

std::optional<KeyError> rsa_fault(EVP_PKEY* pkey, bool is_private) {
    const Bignum modulus = integer_of(pkey, OSSL_PKEY_PARAM_RSA_N);
    const Bignum exponent = integer_of(pkey, OSSL_PKEY_PARAM_RSA_E);
    if (modulus == nullptr || exponent == nullptr) {
        return KeyError{"is an RSA key without modulus or exponent"};
    }
    const auto bits = static_cast<std::size_t>(BN_num_bits(modulus.get()));
    if (bits < min_rsa_bits || bits > max_rsa_bits) {
        return KeyError{"has an RSA modulus of " + std::to_string(bits) + " bits: use one of " +
                        std::to_string(min_rsa_bits) + " to " + std::to_string(max_rsa_bits) + " bits (RFC 7518 §3.3)"};
    }
    if (BN_is_odd(modulus.get()) != 1) {
        return KeyError{"has an even RSA modulus: it was damaged, or is no key"};
    }
    // Large exponents make a verification as dear as a signature, which is a way to stop a server.
    if (BN_is_odd(exponent.get()) != 1 || BN_is_one(exponent.get()) == 1 || BN_num_bits(exponent.get()) > 33) {
        return KeyError{"has an RSA exponent that is even, below 3 or longer than 33 bits: use 65537"};
    }
    if (has_roca_fingerprint(modulus.get())) {
        return KeyError{
            "has the fingerprint of CVE-2017-15361 (ROCA), its private key can be computed: make a new one"};
    }
    if (is_private && !rsa_halves_match(pkey)) {
        return not_taken("RSA", "has a private half that does not match its public half");
    }
    return std::nullopt;
}

std::optional<KeyError> ec_fault(EVP_PKEY* pkey, bool is_private) {
    // CVE-2020-0601: explicit parameters may name a generator of the key author's choice.
    int is_explicit = 0;
    if (EVP_PKEY_get_int_param(pkey, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &is_explicit) == 1 &&
        is_explicit != 0) {
        return KeyError{"spells out its curve: use a named curve"};
    }
    const openssl::PkeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, pkey, nullptr));
    if (context == nullptr || EVP_PKEY_public_check(context.get()) != 1) {
        return not_taken("EC", "has a point that is not on its curve");
    }
    if (is_private && EVP_PKEY_pairwise_check(context.get()) != 1) {
        return KeyError{"has a private half that does not match its public half"};
    }
    return std::nullopt;
}

/// Every private key of X25519 and X448 is a multiple of the cofactor (RFC 7748 §5), so that one agreement tells:
/// points of small order give zero (§6.1), which OpenSSL refuses.
bool agrees_on_something(EVP_PKEY* pkey, const Curve& curve) {
    static constexpr std::array<unsigned char, 56> scalar = {1};
    const openssl::Pkey own(EVP_PKEY_new_raw_private_key(curve.id, nullptr, scalar.data(), curve.size));
    const openssl::PkeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, own.get(), nullptr));
    std::array<unsigned char, 56> secret;
    std::size_t size = secret.size();
    return context != nullptr && EVP_PKEY_derive_init(context.get()) == 1 &&
           EVP_PKEY_derive_set_peer(context.get(), pkey) == 1 &&
           EVP_PKEY_derive(context.get(), secret.data(), &size) == 1;
}

std::optional<KeyError> okp_fault(EVP_PKEY* pkey, const Curve& curve) {
    if (!curve.managements.empty()) {
        return agrees_on_something(pkey, curve) ? std::nullopt
                                                : std::optional(KeyError{"has a point of small order, with which "
                                                                         "everybody agrees on the same secret"});
    }
    std::array<char, 57> encoded;
    std::size_t size = encoded.size();
    if (EVP_PKEY_get_raw_public_key(pkey, reinterpret_cast<unsigned char*>(encoded.data()), &size) != 1) {
        return KeyError{"has no public half"};
    }
    if (const auto fault = edwards_fault(curve, {encoded.data(), size})) {
        return KeyError{std::string(*fault)};
    }
    return std::nullopt;
}

const Curve* curve_of(const EVP_PKEY* pkey) {
    if (EVP_PKEY_is_a(pkey, "EC") != 1) {
        return curve_of_id(EVP_PKEY_get_id(pkey));
    }
    std::array<char, 80> group;
    std::size_t size = 0;
    if (EVP_PKEY_get_group_name(pkey, group.data(), group.size(), &size) != 1) {
        return nullptr;
    }
    const int id = OBJ_txt2nid(group.data());
    return curve_of_id(id == NID_undef ? EC_curve_nist2nid(group.data()) : id);
}

std::string unsupported(const EVP_PKEY* pkey) {
    if (EVP_PKEY_is_a(pkey, "RSA-PSS") == 1) {
        return "is of type RSA-PSS, whose parameters restrict it: use a plain RSA key, which serves PS256 too";
    }
    if (EVP_PKEY_is_a(pkey, "EC") == 1) {
        return "is on a curve that no algorithm uses: use P-256, P-384, P-521 or secp256k1";
    }
    const char* const type = EVP_PKEY_get0_type_name(pkey);
    return "is of type " + std::string(type == nullptr ? "unknown" : type) +
           ", which no algorithm of JWTs uses: use RSA, EC, Ed25519, Ed448, X25519 or X448";
}

}  // namespace

KeyError not_taken(const char* type, std::string fault_of_key) {
    const openssl::PkeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
    if (context == nullptr) {
        return {
            "cannot be used: OpenSSL offers no keys of its type here; see providers and default_properties in "
            "openssl.cnf"};
    }
    return {std::move(fault_of_key)};
}

MaterialResult examine(openssl::Pkey pkey, bool is_private) {
    auto material = std::make_unique<Key::Material>();
    material->is_private = is_private;
    std::optional<KeyError> fault;
    if (EVP_PKEY_is_a(pkey.get(), "RSA") == 1) {
        material->type = KeyType::rsa;
        material->verifies = rsa_algorithms;
        material->encrypts = rsa_managements;
        fault = rsa_fault(pkey.get(), is_private);
    } else if (const Curve* const curve = curve_of(pkey.get())) {
        material->type = curve->type;
        material->curve = curve;
        material->verifies = curve->algorithms;
        material->encrypts = curve->managements;
        fault = curve->type == KeyType::ec ? ec_fault(pkey.get(), is_private) : okp_fault(pkey.get(), *curve);
    } else {
        return refuse(unsupported(pkey.get()));
    }
    if (fault) {
        return tl::unexpected(std::move(*fault));
    }
    if (is_private) {
        material->signs = material->verifies;
        material->decrypts = material->encrypts;
    }
    material->pkey = std::move(pkey);
    return material;
}

namespace {

// -x² + y² = 1 + d·x²·y² with d = -121665/121666 (RFC 8032 §5.1), x² + y² = 1 + d·x²·y² with d = -39081 (§5.2).
struct EdwardsCurve {
    int bits;  // p = 2^bits - …
    const char* prime;
    int sign;              // of x²
    BN_ULONG d_numerator;  // of -d
    BN_ULONG d_denominator;
};

EdwardsCurve edwards_curve(const Curve& curve) {
    if (curve.id == EVP_PKEY_ED25519) {
        return {255, "7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFED", -1, 121665, 121666};
    }
    return {448,
            "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFE"
            "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
            1, 39081, 1};
}

}  // namespace

std::optional<std::string_view> edwards_fault(const Curve& curve, std::string_view encoded) {
    static constexpr std::string_view off_curve = "has a point that is not on its curve, or not in its one encoding";
    static constexpr std::string_view small_order = "has a point of small order, for which anybody can make signatures";
    const EdwardsCurve edwards = edwards_curve(curve);

    std::string y_bytes(encoded);
    const bool x_is_odd = (y_bytes.back() & '\x80') != 0;
    y_bytes.back() = static_cast<char>(y_bytes.back() & '\x7f');

    BIGNUM* read_prime = nullptr;
    const bool read = BN_hex2bn(&read_prime, edwards.prime) != 0;
    const Bignum p(read_prime);
    const Bignum y(BN_lebin2bn(openssl::bytes(y_bytes), static_cast<int>(y_bytes.size()), nullptr));
    const Bignum y2(BN_new());
    const Bignum numerator(BN_new());
    const Bignum x2(BN_new());
    const BignumContext context(BN_CTX_new());
    if (!read || y == nullptr || y2 == nullptr || numerator == nullptr || x2 == nullptr || context == nullptr) {
        return off_curve;
    }
    if (BN_cmp(y.get(), p.get()) >= 0) {
        return off_curve;
    }
    // x² = (y² - 1) / (d·y² - sign), both sides of the fraction times d's denominator.
    const bool computed = BN_mod_sqr(y2.get(), y.get(), p.get(), context.get()) == 1 &&
                          BN_copy(numerator.get(), y2.get()) != nullptr && BN_sub_word(numerator.get(), 1) == 1 &&
                          BN_mul_word(numerator.get(), edwards.d_denominator) == 1 &&
                          BN_copy(x2.get(), y2.get()) != nullptr && BN_mul_word(x2.get(), edwards.d_numerator) == 1 &&
                          (edwards.sign > 0 ? BN_add_word(x2.get(), edwards.d_denominator)
                                            : BN_sub_word(x2.get(), edwards.d_denominator)) == 1;
    if (!computed) {
        return off_curve;
    }
    BN_set_negative(x2.get(), BN_is_negative(x2.get()) == 1 ? 0 : 1);
    if (BN_mod_inverse(x2.get(), x2.get(), p.get(), context.get()) == nullptr ||
        BN_mod_mul(x2.get(), x2.get(), numerator.get(), p.get(), context.get()) != 1) {
        return off_curve;
    }
    if (BN_is_zero(x2.get()) == 1) {
        return x_is_odd ? off_curve : small_order;
    }
    if (BN_kronecker(x2.get(), p.get(), context.get()) != 1) {
        return off_curve;
    }
    // Order 4 has y = 0, and order 8 doubles to that: x² + y² = 0 (Ed25519 alone has cofactor 8).
    if (BN_is_zero(y.get()) == 1 ||
        (BN_mod_add(y2.get(), y2.get(), x2.get(), p.get(), context.get()) == 1 && BN_is_zero(y2.get()) == 1)) {
        return small_order;
    }
    return std::nullopt;
}

}  // namespace jwt
