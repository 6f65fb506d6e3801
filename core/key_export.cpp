#include <array>
#include <stdexcept>
#include <utility>

#include "base64url.hpp"
#include "key_material.hpp"

// Keys as JWKs (RFC 7517 §4), and their thumbprints (RFC 7638).
namespace jwt {

using openssl::Secret;

namespace {

/// Appends `"name":"value"` and the comma before it; the object's brace must be there.
void append_member(std::string& out, std::string_view name, std::string_view value) {
    if (out.back() != '{') {
        out += ',';
    }
    json::append_string(out, name);
    out += ':';
    json::append_string(out, value);
}

[[noreturn]] void throw_unreadable() {
    throw std::runtime_error("a key cannot be read back");
}

/// A number of the key at a fixed width, or at its own where that is 0 (RFC 7518 §2, Base64urlUInt).
std::string number_text(const EVP_PKEY* pkey, const char* parameter, std::size_t width = 0) {
    BIGNUM* read = nullptr;
    const bool found = EVP_PKEY_get_bn_param(pkey, parameter, &read) == 1;
    const openssl::Bignum number(read);
    if (!found) {
        throw_unreadable();
    }
    Secret bytes(width == 0 ? static_cast<std::size_t>(BN_num_bytes(number.get())) : width);
    if (BN_bn2binpad(number.get(), reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size())) <
        0) {
        throw_unreadable();
    }
    return base64url::encode(bytes.view());
}

std::string raw_text(const EVP_PKEY* pkey, int (*read)(const EVP_PKEY*, unsigned char*, std::size_t*),
                     std::size_t size) {
    Secret bytes(size);
    if (read(pkey, reinterpret_cast<unsigned char*>(bytes.data()), &size) != 1) {
        throw_unreadable();
    }
    return base64url::encode(bytes.view());
}

void append_public_members(std::string& out, const Key::Material& material) {
    const EVP_PKEY* const pkey = material.pkey.get();
    switch (material.type) {
        case KeyType::secret:
            break;
        case KeyType::rsa:
            append_member(out, "n", number_text(pkey, OSSL_PKEY_PARAM_RSA_N));
            append_member(out, "e", number_text(pkey, OSSL_PKEY_PARAM_RSA_E));
            break;
        case KeyType::ec:
            append_member(out, "crv", material.curve->name);
            append_member(out, "x", number_text(pkey, OSSL_PKEY_PARAM_EC_PUB_X, material.curve->size));
            append_member(out, "y", number_text(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, material.curve->size));
            break;
        case KeyType::okp:
            append_member(out, "crv", material.curve->name);
            append_member(out, "x", raw_text(pkey, EVP_PKEY_get_raw_public_key, material.curve->size));
            break;
    }
}

void append_private_members(std::string& out, const Key::Material& material) {
    const EVP_PKEY* const pkey = material.pkey.get();
    switch (material.type) {
        case KeyType::secret:
            append_member(out, "k", base64url::encode(material.secret.view()));
            break;
        case KeyType::rsa:
            append_member(out, "d", number_text(pkey, OSSL_PKEY_PARAM_RSA_D));
            append_member(out, "p", number_text(pkey, OSSL_PKEY_PARAM_RSA_FACTOR1));
            append_member(out, "q", number_text(pkey, OSSL_PKEY_PARAM_RSA_FACTOR2));
            append_member(out, "dp", number_text(pkey, OSSL_PKEY_PARAM_RSA_EXPONENT1));
            append_member(out, "dq", number_text(pkey, OSSL_PKEY_PARAM_RSA_EXPONENT2));
            append_member(out, "qi", number_text(pkey, OSSL_PKEY_PARAM_RSA_COEFFICIENT1));
            break;
        case KeyType::ec:
            append_member(out, "d", number_text(pkey, OSSL_PKEY_PARAM_PRIV_KEY, material.curve->size));
            break;
        case KeyType::okp:
            append_member(out, "d", raw_text(pkey, EVP_PKEY_get_raw_private_key, material.curve->size));
            break;
    }
}

std::string_view kty(KeyType type) {
    static constexpr std::array<std::string_view, 4> texts = {"oct", "RSA", "EC", "OKP"};
    return texts[static_cast<std::size_t>(type)];
}

/// The one algorithm of a key, for the member alg.
std::optional<std::string_view> only_algorithm(const Key::Material& material) {
    if (material.alg) {
        return material.alg;
    }
    const AlgorithmSet served = material.verifies | material.signs;
    for (std::size_t i = 0; i < algorithm_count; ++i) {
        if (served == AlgorithmSet{static_cast<Algorithm>(i)}) {
            return name(static_cast<Algorithm>(i));
        }
    }
    return std::nullopt;
}

std::string jwk_text(const Key::Material& material, bool with_private_members) {
    const openssl::ErrorQueueGuard guard;
    std::string out = "{";
    append_member(out, "kty", kty(material.type));
    append_public_members(out, material);
    if (with_private_members) {
        append_private_members(out, material);
    }
    if (material.kid) {
        append_member(out, "kid", *material.kid);
    }
    const bool is_for_signatures = !(material.verifies | material.signs).empty();
    append_member(out, "use", is_for_signatures ? "sig" : "enc");
    if (const auto algorithm = only_algorithm(material)) {
        append_member(out, "alg", *algorithm);
    }
    out += '}';
    return out;
}

}  // namespace

std::optional<std::string> Key::public_jwk() const {
    if (symmetric()) {
        return std::nullopt;
    }
    return jwk_text(*material_, false);
}

std::string Key::private_jwk() const {
    return jwk_text(*material_, material_->is_private);
}

std::string thumbprint(const Key::Material& material) {
    // RFC 7638 §3.2: the required members alone, in the order of their names, without white space.
    const EVP_PKEY* const pkey = material.pkey.get();
    std::string text = "{";
    if (material.type == KeyType::rsa) {
        append_member(text, "e", number_text(pkey, OSSL_PKEY_PARAM_RSA_E));
        append_member(text, "kty", "RSA");
        append_member(text, "n", number_text(pkey, OSSL_PKEY_PARAM_RSA_N));
    } else {
        append_member(text, "crv", material.curve->name);
        append_member(text, "kty", kty(material.type));
        if (material.type == KeyType::ec) {
            append_member(text, "x", number_text(pkey, OSSL_PKEY_PARAM_EC_PUB_X, material.curve->size));
            append_member(text, "y", number_text(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, material.curve->size));
        } else {
            append_member(text, "x", raw_text(pkey, EVP_PKEY_get_raw_public_key, material.curve->size));
        }
    }
    text += '}';

    std::array<char, 32> hash;
    std::size_t size = 0;
    if (EVP_Q_digest(nullptr, "SHA2-256", nullptr, text.data(), text.size(),
                     reinterpret_cast<unsigned char*>(hash.data()), &size) != 1) {
        throw_unreadable();
    }
    return base64url::encode({hash.data(), size});
}

}  // namespace jwt
