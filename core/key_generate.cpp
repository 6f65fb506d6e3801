#include <openssl/rand.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <utility>

#include "key_material.hpp"

namespace jwt {

using openssl::Pkey;

namespace {

MaterialResult new_secret(Algorithm algorithm) {
    openssl::Secret secret(hash_of(algorithm).size);
    if (RAND_priv_bytes(reinterpret_cast<unsigned char*>(secret.data()), static_cast<int>(secret.size())) != 1) {
        return refuse("cannot be made: no random bytes can be had");
    }
    return examine_secret(std::move(secret), {algorithm});
}

Pkey new_pkey(Algorithm algorithm, std::size_t bits) {
    if (rsa_algorithms.has(algorithm)) {
        return Pkey(EVP_RSA_gen(static_cast<unsigned>(bits)));
    }
    // EdDSA names two curves: Ed25519, which comes first, is the one that everybody has.
    const auto* const curve =
        std::ranges::find_if(curves, [&](const Curve& candidate) { return candidate.algorithms.has(algorithm); });
    return Pkey(curve->type == KeyType::ec ? EVP_EC_gen(OBJ_nid2sn(curve->id))
                                           : EVP_PKEY_Q_keygen(nullptr, nullptr, OBJ_nid2sn(curve->id)));
}

}  // namespace

KeyResult generate_key(Algorithm algorithm, std::size_t bits) {
    const openssl::ErrorQueueGuard guard;
    if (rsa_algorithms.has(algorithm) && (bits < min_rsa_bits || bits > max_rsa_bits)) {
        return refuse("cannot have " + std::to_string(bits) + " bits: RSA keys have " + std::to_string(min_rsa_bits) +
                      " to " + std::to_string(max_rsa_bits));
    }
    MaterialResult material;
    if (is_hmac(algorithm)) {
        material = new_secret(algorithm);
    } else if (Pkey pkey = new_pkey(algorithm, bits)) {
        material = examine(std::move(pkey), true);
    } else {
        return refuse("cannot be made: this OpenSSL has no " + std::string(name(algorithm)));
    }
    if (!material) {
        return tl::unexpected(std::move(material.error()));
    }
    Key::Material& made = **material;
    made.alg = algorithm;
    if (algorithm != Algorithm::eddsa) {
        made.verifies = made.signs = {algorithm};
    }
    if (made.type != KeyType::secret) {
        made.kid = thumbprint(made);
    }
    return KeyBuilder::finish(std::move(*material));
}

}  // namespace jwt
