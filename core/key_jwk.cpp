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
        return tl::unexpected(not_taken("RSA", "is no RSA key: its members do not make one"));
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
        return tl::unexpected(not_taken("EC", "has a point that is not on its curve"));
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

/// What `alg` names: one of these, or nothing where the key has no such member.
struct Purpose {
    std::optional<Algorithm> algorithm;
    std::optional<KeyManagement> management;
    std::optional<ContentEncryption> content;  // of a secret that is itself the key: `dir`

    [[nodiscard]] bool is_given() const noexcept { return algorithm || management || content; }
    [[nodiscard]] std::string_view called() const noexcept {
        return algorithm ? name(*algorithm) : management ? name(*management) : name(*content);
    }
};

/// What `use` and `alg` say that a key is for; both where they say nothing.
struct Uses {
    bool signatures = true;
    bool encryption = true;
    Purpose purpose;
};

MaterialResult secret_material(json::Value jwk, const Uses& uses) {
    auto secret = bytes_of(jwk, "k", max_secret_bytes);
    if (!secret) {
        return tl::unexpected(secret.error());
    }
    const auto& alg = uses.purpose.algorithm;
    const bool encrypts = uses.encryption && (!encryptions_of_size(secret->size()).empty());
    AlgorithmSet wanted;
    for (const Algorithm algorithm : {Algorithm::hs256, Algorithm::hs384, Algorithm::hs512}) {
        // One that is too short for all of them, and no key of an encryption, is measured against the shortest.
        const bool shortest = algorithm == Algorithm::hs256 && !encrypts;
        if (uses.signatures && (alg ? algorithm == *alg : shortest || secret->size() >= hash_of(algorithm).size)) {
            wanted.add(algorithm);
        }
    }
    if (!uses.signatures && !encrypts) {
        return refuse("is a secret of " + std::to_string(secret->size()) +
                      " bytes, and no encryption has keys of that size: use 16, 24, 32, 48 or 64 bytes");
    }
    auto material = examine_secret(std::move(*secret), wanted);
    if (material && encrypts) {
        add_encryptions(**material);
    }
    return material;
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
    // RFC 7517 §4.3. Ways to encrypt a key go by what they do to it, or to what it is in: either word will do.
    bool encrypt = true;
    bool decrypt = true;
    bool wrap = true;
    bool unwrap = true;
    bool agree = true;
    bool none = false;
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
    const auto has = [&seen](std::string_view operation) { return std::ranges::find(seen, operation) != seen.end(); };
    return Operations{has("verify"),
                      has("sign"),
                      has("encrypt"),
                      has("decrypt"),
                      has("wrapKey") || has("encrypt"),
                      has("unwrapKey") || has("decrypt"),
                      has("deriveKey") || has("deriveBits"),
                      seen.empty()};
}

MaterialResult material_of_type(json::Value jwk, const Uses& uses) {
    const auto kty = optional_text(jwk, "kty");
    if (!kty || !*kty) {
        return refuse("has no string member \"kty\"");
    }
    if (**kty == "RSA") {
        return rsa_material(jwk);
    }
    if (**kty == "oct") {
        if (uses.purpose.algorithm && !is_hmac(*uses.purpose.algorithm)) {
            return refuse("is a secret, but its alg is " + std::string(uses.purpose.called()));
        }
        return secret_material(jwk, uses);
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
                      ": EC has P-256, P-384, P-521 and secp256k1, OKP has Ed25519, Ed448, X25519 and X448");
    }
    return curve->type == KeyType::ec ? ec_material(jwk, *curve) : okp_material(jwk, *curve);
}

/// What key_ops leave of the ways to encrypt. A public key that agrees does nothing itself: Web Cryptography gives it
/// empty key_ops.
void restrict_encryption(Key::Material& material, const Operations& operations) {
    const bool agrees = operations.agree || (operations.none && !material.is_private);
    KeyManagementSet encrypting;
    KeyManagementSet decrypting;
    for (std::size_t i = 0; i < key_management_count; ++i) {
        const auto management = static_cast<KeyManagement>(i);
        const bool direct = management == KeyManagement::dir;
        const bool ecdh = ecdh_managements.has(management);
        if (ecdh ? agrees : direct ? operations.encrypt : operations.wrap) {
            encrypting.add(management);
        }
        if (ecdh ? operations.agree : direct ? operations.decrypt : operations.unwrap) {
            decrypting.add(management);
        }
    }
    material.encrypts = material.encrypts & encrypting;
    material.decrypts = material.decrypts & decrypting;
}

[[nodiscard]] bool serves_nothing(const Key::Material& material) noexcept {
    return material.verifies.empty() && material.signs.empty() && material.encrypts.empty() &&
           material.decrypts.empty();
}

/// What use and alg leave of the algorithms that fit the key.
std::optional<KeyError> restrict_uses(Key::Material& material, const Uses& uses) {
    const Purpose& purpose = uses.purpose;
    const std::string all =
        names(material.verifies) + (material.verifies.empty() ? "" : " ") + names(material.encrypts);
    if (!uses.signatures) {
        material.verifies = material.signs = {};
    }
    if (!uses.encryption) {
        material.encrypts = material.decrypts = {};
    }
    if (purpose.algorithm) {
        // RFC 9864 §2.2: an exact name means itself; EdDSA on a key means whatever its curve has.
        const bool by_curve = *purpose.algorithm == Algorithm::eddsa && material.verifies.has(Algorithm::eddsa);
        const AlgorithmSet only = by_curve ? material.verifies : AlgorithmSet{*purpose.algorithm};
        material.verifies = material.verifies & only;
        material.signs = material.signs & only;
    }
    if (purpose.management || purpose.content) {
        const KeyManagementSet only = {purpose.management.value_or(KeyManagement::dir)};
        material.encrypts = material.encrypts & only;
        material.decrypts = material.decrypts & only;
    }
    if (purpose.content) {
        material.direct = material.direct & ContentEncryptionSet{*purpose.content};
    }
    const bool lost = purpose.content && material.direct.empty();
    if (purpose.is_given() && (lost || serves_nothing(material))) {
        return KeyError{"has alg " + std::string(purpose.called()) + ", which does not fit it: it serves " + all};
    }
    if (serves_nothing(material)) {
        return KeyError{uses.signatures ? "is for encryption alone, and has use \"sig\""
                                        : "is for signatures alone, and has use \"enc\""};
    }
    if (purpose.is_given()) {
        material.alg = purpose.called();
    }
    return std::nullopt;
}

/// What alg, use and key_ops leave of the algorithms that fit the key.
std::optional<KeyError> restrict(Key::Material& material, const Uses& uses, const Operations& operations) {
    if (auto fault = restrict_uses(material, uses)) {
        return fault;
    }
    if (!operations.verify) {
        material.verifies = {};
    }
    if (!operations.sign) {
        material.signs = {};
    }
    restrict_encryption(material, operations);
    if (serves_nothing(material)) {
        return KeyError{material.is_private ? "has key_ops that let it do nothing: it needs verify or sign for "
                                              "signatures, decrypt, unwrapKey or deriveKey for encrypted tokens"
                                            : "is a public key whose key_ops lack verify, and encrypt, wrapKey or "
                                              "deriveKey as well"};
    }
    return std::nullopt;
}

tl::expected<Uses, KeyError> uses_of(std::optional<std::string_view> use, std::optional<std::string_view> alg) {
    if (use && *use != "sig" && *use != "enc") {
        return refuse("has use " + quoted(*use) + ": keys have \"sig\", \"enc\" or no use");
    }
    Uses uses;
    uses.signatures = use != "enc";
    uses.encryption = use != "sig";
    if (!alg) {
        return uses;
    }
    uses.purpose = {algorithm_named(*alg), key_management_named(*alg), content_encryption_named(*alg)};
    if (!uses.purpose.is_given()) {
        return refuse("has alg " + quoted(*alg) + ", which is no algorithm of signed or encrypted tokens here");
    }
    const bool signs = uses.purpose.algorithm.has_value();
    if (signs ? !uses.signatures : !uses.encryption) {
        return refuse("has use " + quoted(*use) + ", for which its alg " + std::string(*alg) + " is none");
    }
    uses.signatures = signs;
    uses.encryption = !signs;
    return uses;
}

MaterialResult material_of_jwk(json::Value jwk) {
    const auto kid = optional_text(jwk, "kid");
    const auto use = optional_text(jwk, "use");
    const auto alg = optional_text(jwk, "alg");
    for (const auto* const member : {&kid, &use, &alg}) {
        if (!*member) {
            return tl::unexpected(member->error());
        }
    }
    const auto uses = uses_of(*use, *alg);
    if (!uses) {
        return tl::unexpected(uses.error());
    }
    const auto operations = operations_of(jwk);
    if (!operations) {
        return tl::unexpected(operations.error());
    }
    auto material = material_of_type(jwk, *uses);
    if (!material) {
        return material;
    }
    if (auto fault = restrict(**material, *uses, *operations)) {
        return tl::unexpected(std::move(*fault));
    }
    if (*kid) {
        (*material)->kid = std::make_shared<const std::string>(**kid);
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
