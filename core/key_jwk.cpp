#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base64url.hpp"
#include "key_material.hpp"

// JSON Web Keys: RFC 7517 §4, RFC 7518 §6, RFC 8037 §2.
namespace jwt {

using openssl::Bignum;
using openssl::Pkey;
using openssl::Secret;

namespace {

// Larger than any member of a key that is taken: what is longer is not worth decoding.
constexpr std::size_t max_member_bytes = max_rsa_bits / 8 + 1;
constexpr std::size_t max_secret_bytes = 64 * 1024;

using SecretResult = tl::expected<Secret, KeyError>;

/// The bytes of a base64url member that must be there.
SecretResult bytes_of(json::Value jwk, std::string_view name, std::size_t max_bytes = max_member_bytes) {
    const auto member = jwk.member(name);
    const auto text = member ? member->string() : std::nullopt;
    if (!text) {
        return refuse("has no string member \"" + std::string(name) + "\"");
    }
    Secret bytes(std::min(base64url::decoded_size(text->size()), max_bytes + 1));
    if (bytes.size() > max_bytes) {
        return refuse("has a member \"" + std::string(name) + "\" that is too long");
    }
    if (!base64url::decode(*text, bytes.data())) {
        return refuse("has a member \"" + std::string(name) + "\" that is not base64url without padding");
    }
    return bytes;
}

/// Likewise, of exactly the size that RFC 7518 §6.2.1.2 and RFC 8037 §2 ask for.
SecretResult sized_bytes_of(json::Value jwk, std::string_view name, std::size_t size) {
    return bytes_of(jwk, name).and_then([&](Secret bytes) -> SecretResult {
        if (bytes.size() != size) {
            return refuse("has a member \"" + std::string(name) + "\" of " + std::to_string(bytes.size()) +
                          " bytes, where its curve has " + std::to_string(size));
        }
        return bytes;
    });
}

/// Collects parameters and makes a key of them.
class PkeyBuilder {
public:
    PkeyBuilder() : builder_(OSSL_PARAM_BLD_new()) {}

    /// A number; in OpenSSL's secure form, which cleanses every copy.
    void add_number(const char* name, std::string_view big_endian) {
        Bignum number(BN_secure_new());
        good_ = good_ && number != nullptr &&
                BN_bin2bn(openssl::bytes(big_endian), static_cast<int>(big_endian.size()), number.get()) != nullptr &&
                OSSL_PARAM_BLD_push_BN(builder_.get(), name, number.get()) == 1;
        numbers_.push_back(std::move(number));
    }
    /// `text` and `bytes` must outlive the builder.
    void add_text(const char* name, const char* text) {
        good_ = good_ && OSSL_PARAM_BLD_push_utf8_string(builder_.get(), name, text, 0) == 1;
    }
    void add_bytes(const char* name, std::string_view bytes) {
        good_ = good_ && OSSL_PARAM_BLD_push_octet_string(builder_.get(), name, bytes.data(), bytes.size()) == 1;
    }

    [[nodiscard]] Pkey pkey(const char* type, bool is_private) {
        const openssl::Params params(good_ ? OSSL_PARAM_BLD_to_param(builder_.get()) : nullptr);
        const openssl::PkeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
        EVP_PKEY* made = nullptr;
        if (params == nullptr || context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
            EVP_PKEY_fromdata(context.get(), &made, is_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY,
                              params.get()) != 1) {
            return nullptr;
        }
        return Pkey(made);
    }

private:
    openssl::ParamBuilder builder_;
    std::vector<Bignum> numbers_;  // the builder only points at them
    bool good_ = true;
};

struct RsaMember {
    std::string_view name;
    const char* parameter;
};

MaterialResult rsa_material(json::Value jwk) {
    static constexpr std::array<RsaMember, 8> members = {{
        {"n", OSSL_PKEY_PARAM_RSA_N},
        {"e", OSSL_PKEY_PARAM_RSA_E},
        {"d", OSSL_PKEY_PARAM_RSA_D},
        {"p", OSSL_PKEY_PARAM_RSA_FACTOR1},
        {"q", OSSL_PKEY_PARAM_RSA_FACTOR2},
        {"dp", OSSL_PKEY_PARAM_RSA_EXPONENT1},
        {"dq", OSSL_PKEY_PARAM_RSA_EXPONENT2},
        {"qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1},
    }};
    const bool is_private = jwk.member("d").has_value();
    if (jwk.member("oth")) {
        return refuse("has more than two primes (member \"oth\"): use an RSA key of two");
    }
    PkeyBuilder builder;
    for (std::size_t i = 0; i < (is_private ? members.size() : 2); ++i) {
        const auto number = bytes_of(jwk, members[i].name);
        if (!number) {
            return i < 3 ? tl::unexpected(number.error())
                         : refuse(number.error().message +
                                  ": a private RSA key needs p, q, dp, dq and qi beside d (RFC 7518 §6.3.2)");
        }
        builder.add_number(members[i].parameter, number->view());
    }
    Pkey pkey = builder.pkey("RSA", is_private);
    if (pkey == nullptr) {
        return refuse("is no RSA key: its members do not make one");
    }
    return examine(std::move(pkey), is_private);
}

MaterialResult ec_material(json::Value jwk, const Curve& curve) {
    const bool is_private = jwk.member("d").has_value();
    const auto x = sized_bytes_of(jwk, "x", curve.size);
    const auto y = sized_bytes_of(jwk, "y", curve.size);
    if (!x || !y) {
        return tl::unexpected((x ? y : x).error());
    }
    std::string point = "\x04";  // uncompressed (SEC 1 §2.3.3)
    point.append(x->view()).append(y->view());

    PkeyBuilder builder;
    builder.add_text(OSSL_PKEY_PARAM_GROUP_NAME, OBJ_nid2sn(curve.id));
    builder.add_bytes(OSSL_PKEY_PARAM_PUB_KEY, point);
    if (is_private) {
        const auto d = sized_bytes_of(jwk, "d", curve.size);
        if (!d) {
            return tl::unexpected(d.error());
        }
        builder.add_number(OSSL_PKEY_PARAM_PRIV_KEY, d->view());
    }
    Pkey pkey = builder.pkey("EC", is_private);
    if (pkey == nullptr) {
        return refuse("has a point that is not on its curve");
    }
    return examine(std::move(pkey), is_private);
}

MaterialResult okp_material(json::Value jwk, const Curve& curve) {
    const auto x = sized_bytes_of(jwk, "x", curve.size);
    if (!x) {
        return tl::unexpected(x.error());
    }
    Pkey pkey(EVP_PKEY_new_raw_public_key(curve.id, nullptr, openssl::bytes(x->view()), x->size()));
    const bool is_private = jwk.member("d").has_value();
    if (pkey != nullptr && is_private) {
        const auto d = sized_bytes_of(jwk, "d", curve.size);
        if (!d) {
            return tl::unexpected(d.error());
        }
        // OpenSSL computes the public half; it must be the one that the JWK says.
        Pkey pair(EVP_PKEY_new_raw_private_key(curve.id, nullptr, openssl::bytes(d->view()), d->size()));
        if (pair == nullptr || EVP_PKEY_eq(pair.get(), pkey.get()) != 1) {
            return refuse("has a private half that does not match its public half");
        }
        pkey = std::move(pair);
    }
    if (pkey == nullptr) {
        return refuse("cannot be used: this OpenSSL has no " + std::string(curve.name));
    }
    return examine(std::move(pkey), is_private);
}

MaterialResult secret_material(json::Value jwk, std::optional<Algorithm> alg) {
    auto secret = bytes_of(jwk, "k", max_secret_bytes);
    if (!secret) {
        return tl::unexpected(secret.error());
    }
    AlgorithmSet wanted;
    for (const Algorithm algorithm : {Algorithm::hs256, Algorithm::hs384, Algorithm::hs512}) {
        // One that is too short for all of them is measured against the shortest.
        if (alg ? algorithm == *alg : algorithm == Algorithm::hs256 || secret->size() >= hash_of(algorithm).size) {
            wanted.add(algorithm);
        }
    }
    return examine_secret(std::move(*secret), wanted);
}

/// A member that must be a string where it is there.
tl::expected<std::optional<std::string_view>, KeyError> optional_text(json::Value jwk, std::string_view name) {
    const auto member = jwk.member(name);
    if (!member) {
        return std::nullopt;
    }
    const auto text = member->string();
    if (!text) {
        return refuse("has a member \"" + std::string(name) + "\" that is no string");
    }
    return text;
}

struct Operations {
    bool verify = true;
    bool sign = true;
};

/// RFC 7517 §4.3: an array of strings without duplicates.
tl::expected<Operations, KeyError> operations_of(json::Value jwk) {
    const auto member = jwk.member("key_ops");
    if (!member) {
        return Operations{};
    }
    bool well_formed = member->type() == json::Type::array;
    std::vector<std::string_view> seen;
    member->each_element([&](json::Value element) {
        const auto operation = element.string();
        well_formed = well_formed && operation && std::ranges::find(seen, *operation) == seen.end();
        seen.push_back(operation.value_or(""));
    });
    if (!well_formed) {
        return refuse("has a member \"key_ops\" that is no array of different strings");
    }
    return Operations{std::ranges::find(seen, "verify") != seen.end(), std::ranges::find(seen, "sign") != seen.end()};
}

MaterialResult material_of_type(json::Value jwk, std::optional<Algorithm> alg) {
    const auto kty = optional_text(jwk, "kty");
    if (!kty || !*kty) {
        return refuse("has no string member \"kty\"");
    }
    if (**kty == "RSA") {
        return rsa_material(jwk);
    }
    if (**kty == "oct") {
        if (alg && !is_hmac(*alg)) {
            return refuse("is a secret, but its alg is " + std::string(name(*alg)));
        }
        return secret_material(jwk, alg);
    }
    if (**kty != "EC" && **kty != "OKP") {
        return refuse("is of kty " + quoted(**kty) + ": use RSA, EC, OKP or oct");
    }
    const auto crv = optional_text(jwk, "crv");
    if (!crv || !*crv) {
        return refuse("has no string member \"crv\"");
    }
    const Curve* const curve = curve_named(**crv);
    if (curve == nullptr || (curve->type == KeyType::ec) != (**kty == "EC")) {
        return refuse("is of kty " + quoted(**kty) + " on crv " + quoted(**crv) +
                      ": EC has P-256, P-384, P-521 and secp256k1, OKP has Ed25519 and Ed448");
    }
    return curve->type == KeyType::ec ? ec_material(jwk, *curve) : okp_material(jwk, *curve);
}

/// What alg and key_ops leave of the algorithms that fit the key.
std::optional<KeyError> restrict(Key::Material& material, std::optional<Algorithm> alg, Operations operations) {
    if (alg && !(material.verifies | material.signs).has(*alg)) {
        return KeyError{"has alg " + std::string(name(*alg)) + ", which does not fit it: it serves " +
                        names(material.verifies | material.signs)};
    }
    if (alg) {
        // RFC 9864 §2.2: an exact name means itself; EdDSA on a key means whatever its curve has.
        const AlgorithmSet only = *alg == Algorithm::eddsa ? material.curve->algorithms : AlgorithmSet{*alg};
        material.verifies = material.verifies & only;
        material.signs = material.signs & only;
        material.alg = alg;
    }
    if (!operations.verify) {
        material.verifies = {};
    }
    if (!operations.sign) {
        material.signs = {};
    }
    if (material.verifies.empty() && material.signs.empty()) {
        return KeyError{material.is_private ? "has key_ops with neither verify nor sign"
                                            : "is a public key whose key_ops lack verify"};
    }
    return std::nullopt;
}

MaterialResult material_of_jwk(json::Value jwk) {
    const auto kid = optional_text(jwk, "kid");
    const auto use = optional_text(jwk, "use");
    const auto alg_name = optional_text(jwk, "alg");
    for (const auto* const member : {&kid, &use, &alg_name}) {
        if (!*member) {
            return tl::unexpected(member->error());
        }
    }
    if (*use && **use != "sig") {
        return refuse("has use " + quoted(**use) + ": keys for signatures have \"sig\" or no use");
    }
    const auto alg = *alg_name ? algorithm_named(**alg_name) : std::nullopt;
    if (*alg_name && !alg) {
        return refuse("has alg " + quoted(**alg_name) + ", which is no signature algorithm");
    }
    const auto operations = operations_of(jwk);
    if (!operations) {
        return tl::unexpected(operations.error());
    }
    auto material = material_of_type(jwk, alg);
    if (!material) {
        return material;
    }
    if (auto fault = restrict(**material, alg, *operations)) {
        return tl::unexpected(std::move(*fault));
    }
    if (*kid) {
        (*material)->kid = **kid;
    }
    return material;
}

}  // namespace

KeyResult Key::from_jwk(json::Value jwk) {
    const openssl::ErrorQueueGuard guard;
    if (jwk.type() != json::Type::object) {
        return refuse("is no JSON object");
    }
    return material_of_jwk(jwk).and_then(KeyBuilder::finish);
}

}  // namespace jwt
