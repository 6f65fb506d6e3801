#include <openssl/rand.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <utility>

#include "key_material.hpp"

namespace jwt {

using openssl::Pkey;

namespace {

MaterialResult new_secret(std::size_t size, AlgorithmSet wanted) {
    openssl::Secret secret(size);
    if (RAND_priv_bytes(reinterpret_cast<unsigned char*>(secret.data()), static_cast<int>(size)) != 1) {
        return refuse("cannot be made: no random bytes can be had");
    }
    return examine_secret(std::move(secret), wanted);
}

Pkey new_rsa(std::size_t bits) {
    return Pkey(EVP_RSA_gen(static_cast<unsigned>(bits)));
}

Pkey new_pkey(Algorithm algorithm, std::size_t bits) {
    if (rsa_algorithms.has(algorithm)) {
        return new_rsa(bits);
    }
    // EdDSA names two curves: Ed25519, which comes first, is the one that everybody has.
    const auto* const curve =
        std::ranges::find_if(curves, [&](const Curve& candidate) { return candidate.algorithms.has(algorithm); });
    return new_pkey(*curve);
}

MaterialResult examined(Pkey pkey, std::string_view algorithm) {
    if (pkey == nullptr) {
        return refuse("cannot be made: this OpenSSL has no " + std::string(algorithm));
    }
    return examine(std::move(pkey), true);
}

std::optional<KeyError> size_fault(std::size_t bits) {
    if (bits >= min_rsa_bits && bits <= max_rsa_bits) {
        return std::nullopt;
    }
    return KeyError{"cannot have " + std::to_string(bits) + " bits: RSA keys have " + std::to_string(min_rsa_bits) +
                    " to " + std::to_string(max_rsa_bits)};
}

MaterialResult new_recipient(KeyManagement management, ContentEncryption encryption, std::string_view curve_name,
                             std::size_t bits) {
    if (rsa_managements.has(management)) {
        return examined(new_rsa(bits), name(management));
    }
    if (ecdh_managements.has(management)) {
        const Curve* const curve = curve_named(curve_name);
        if (curve == nullptr || curve->managements.empty()) {
            return refuse("cannot be on curve " + quoted(curve_name) + ": use P-256, P-384, P-521, X25519 or X448");
        }
        return examined(new_pkey(*curve), curve->name);
    }
    const bool direct = management == KeyManagement::dir;
    auto material = new_secret(direct ? sizes(encryption).key : wrapping_key_size(management), {});
    if (material) {
        add_encryptions(**material);
        (*material)->direct = direct ? ContentEncryptionSet{encryption} : ContentEncryptionSet{};
    }
    return material;
}

}  // namespace

Pkey new_pkey(const Curve& curve) {
    const char* const curve_text = OBJ_nid2sn(curve.id);
    return Pkey(curve.type == KeyType::ec ? EVP_EC_gen(curve_text) : EVP_PKEY_Q_keygen(nullptr, nullptr, curve_text));
}

KeyResult generate_key(Algorithm algorithm, std::size_t bits) {
    const openssl::ErrorQueueGuard guard;
    if (rsa_algorithms.has(algorithm)) {
        if (auto fault = size_fault(bits)) {
            return tl::unexpected(*std::move(fault));
        }
    }
    auto material = is_hmac(algorithm) ? new_secret(hash_of(algorithm).size, {algorithm})
                                       : examined(new_pkey(algorithm, bits), name(algorithm));
    if (!material) {
        return tl::unexpected(std::move(material.error()));
    }
    Key::Material& made = **material;
    made.alg = name(algorithm);
    if (algorithm != Algorithm::eddsa) {
        made.verifies = made.signs = {algorithm};
    }
    made.encrypts = made.decrypts = {};
    if (made.type != KeyType::secret) {
        made.kid = std::make_shared<const std::string>(thumbprint(made));
    }
    return KeyBuilder::finish(std::move(*material));
}

KeyResult generate_encryption_key(KeyManagement management, ContentEncryption encryption, std::string_view curve,
                                  std::size_t bits) {
    const openssl::ErrorQueueGuard guard;
    if (rsa_managements.has(management)) {
        if (auto fault = size_fault(bits)) {
            return tl::unexpected(*std::move(fault));
        }
    }
    auto material = new_recipient(management, encryption, curve, bits);
    if (!material) {
        return tl::unexpected(std::move(material.error()));
    }
    Key::Material& made = **material;
    made.alg = management == KeyManagement::dir ? name(encryption) : name(management);
    made.verifies = made.signs = {};
    made.encrypts = made.decrypts = {management};
    if (made.type != KeyType::secret) {
        made.kid = std::make_shared<const std::string>(thumbprint(made));
    }
    return KeyBuilder::finish(std::move(*material));
}

}  // namespace jwt
