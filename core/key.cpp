#include "key.hpp"

#include <algorithm>
#include <utility>

#include "key_material.hpp"

namespace jwt {

using openssl::DigestContext;
using openssl::MacContext;
using openssl::PkeyContext;

const Curve* curve_named(std::string_view name) noexcept {
    const auto* const found = std::ranges::find(curves, name, &Curve::name);
    return found == curves.end() ? nullptr : found;
}

const Curve* curve_of_id(int id) noexcept {
    const auto* const found = std::ranges::find(curves, id, &Curve::id);
    return found == curves.end() ? nullptr : found;
}

Hash hash_of(Algorithm algorithm) noexcept {
    switch (algorithm) {
        case Algorithm::hs256:
        case Algorithm::rs256:
        case Algorithm::ps256:
        case Algorithm::es256:
        case Algorithm::es256k:
            return {"SHA2-256", 32};
        case Algorithm::hs384:
        case Algorithm::rs384:
        case Algorithm::ps384:
        case Algorithm::es384:
            return {"SHA2-384", 48};
        case Algorithm::hs512:
        case Algorithm::rs512:
        case Algorithm::ps512:
        case Algorithm::es512:
            return {"SHA2-512", 64};
        case Algorithm::eddsa:
        case Algorithm::ed25519:
        case Algorithm::ed448:
            break;
    }
    return {};
}

std::string quoted(std::string_view text) {
    static constexpr std::size_t longest = 64;
    std::string out = "\"";
    for (const char c : text.substr(0, longest)) {
        out += c < ' ' || c > '~' || c == '"' || c == '\\' ? '?' : c;
    }
    out += text.size() > longest ? "…\"" : "\"";
    return out;
}

namespace {

std::optional<PreparedHmac> prepared_hmac(const Key::Material& material, Hash hash) {
    const openssl::Mac hmac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
    MacContext context(hmac == nullptr ? nullptr : EVP_MAC_CTX_new(hmac.get()));
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>(hash.name), 0),
        OSSL_PARAM_construct_end(),
    };
    const std::string_view secret = material.secret.view();
    if (context == nullptr || EVP_MAC_init(context.get(), openssl::bytes(secret), secret.size(), params) != 1) {
        return std::nullopt;
    }
    return PreparedHmac{std::move(context), hash.size};
}

bool set_rsa_padding(EVP_PKEY_CTX* context, Algorithm algorithm, const EVP_MD* digest) {
    if (!pss_algorithms.has(algorithm)) {
        return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
    }
    // RFC 7518 §3.5: MGF1 with the same hash, salt as long as the hash. OpenSSL's default would take any salt.
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(context, digest) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

/// Null for a public key too.
PkeyContext prepared_signer(const Key::Material& material, Algorithm algorithm, const EVP_MD* digest) {
    PkeyContext context(material.is_private ? EVP_PKEY_CTX_new_from_pkey(nullptr, material.pkey.get(), nullptr)
                                            : nullptr);
    if (context == nullptr || EVP_PKEY_sign_init(context.get()) != 1 ||
        EVP_PKEY_CTX_set_signature_md(context.get(), digest) != 1 ||
        (material.type == KeyType::rsa && !set_rsa_padding(context.get(), algorithm, digest))) {
        return nullptr;
    }
    return context;
}

/// `digest`: null for EdDSA.
std::optional<ProviderVerifier> provider_verifier(const Key::Material& material, Algorithm algorithm,
                                                  const EVP_MD* digest) {
    ProviderVerifier verifier{DigestContext(EVP_MD_CTX_new()), DigestContext(EVP_MD_CTX_new())};
    EVP_PKEY_CTX* parameters = nullptr;  // the prepared context's
    if (verifier.prepared == nullptr || verifier.scratch == nullptr ||
        EVP_DigestVerifyInit_ex(verifier.prepared.get(), &parameters, hash_of(algorithm).name, nullptr, nullptr,
                                material.pkey.get(), nullptr) != 1 ||
        (material.type == KeyType::rsa && !set_rsa_padding(parameters, algorithm, digest)) ||
        // A provider need not know how to copy.
        EVP_MD_CTX_copy_ex(verifier.scratch.get(), verifier.prepared.get()) != 1) {
        return std::nullopt;
    }
    return verifier;
}

std::optional<PreparedEcdsa> prepared_ecdsa(const Key::Material& material, Algorithm algorithm) {
    auto hasher = Hasher::of(hash_of(algorithm).name);
    if (!hasher) {
        return std::nullopt;
    }
    PkeyContext sign = prepared_signer(material, algorithm, hasher->algorithm());
    if (material.is_private && sign == nullptr) {
        return std::nullopt;
    }
    const auto with = [&](auto verify) {
        return PreparedEcdsa{*std::move(hasher), std::move(verify), std::move(sign), 2 * material.curve->size};
    };
    if (auto verifier = EcdsaVerifier::of(material.pkey.get(), material.curve->id)) {
        return with(*std::move(verifier));
    }
    auto verifier = provider_verifier(material, algorithm, hasher->algorithm());
    return verifier ? std::optional(with(*std::move(verifier))) : std::nullopt;
}

std::optional<PreparedRsa> prepared_rsa(Key::Material& material, Algorithm algorithm) {
    if (material.rsa == nullptr) {
        material.rsa = RsaVerifier::of(material.pkey.get());
    }
    auto hasher = Hasher::of(hash_of(algorithm).name);
    if (!hasher) {
        return std::nullopt;
    }
    PkeyContext sign = prepared_signer(material, algorithm, hasher->algorithm());
    if (material.is_private && sign == nullptr) {
        return std::nullopt;
    }
    const auto size = static_cast<std::size_t>(EVP_PKEY_get_size(material.pkey.get()));
    const auto with = [&](auto verify) {
        return PreparedRsa{*std::move(hasher), std::move(verify), std::move(sign), size};
    };
    if (material.rsa == nullptr) {
        auto verifier = provider_verifier(material, algorithm, hasher->algorithm());
        return verifier ? std::optional(with(*std::move(verifier))) : std::nullopt;
    }
    if (pss_algorithms.has(algorithm)) {
        return with(PssEncoding(material.rsa->bits()));
    }
    auto pkcs1 = Pkcs1Encoding::of(size, hasher->size());
    return pkcs1 ? std::optional(with(*std::move(pkcs1))) : std::nullopt;
}

std::optional<EdDsaSigner> prepared_eddsa_signer(const Key::Material& material) {
    EdDsaSigner signer{nullptr, DigestContext(EVP_MD_CTX_new()), 2 * material.curve->size};
    if (material.is_private) {
        signer.prepared.reset(EVP_MD_CTX_new());
        if (signer.prepared == nullptr || EVP_DigestSignInit_ex(signer.prepared.get(), nullptr, nullptr, nullptr,
                                                                nullptr, material.pkey.get(), nullptr) != 1) {
            return std::nullopt;
        }
    }
    return signer.scratch == nullptr ? std::nullopt : std::optional(std::move(signer));
}

std::optional<PreparedEd25519> prepared_ed25519(const Key::Material& material) {
    std::array<unsigned char, Ed25519Verifier::key_size> encoded;
    std::size_t size = encoded.size();
    if (!openssl::is_default(EVP_PKEY_get0_provider(material.pkey.get())) ||
        EVP_PKEY_get_raw_public_key(material.pkey.get(), encoded.data(), &size) != 1 || size != encoded.size()) {
        return std::nullopt;
    }
    const auto verifier = Ed25519Verifier::of(encoded);
    auto signer = verifier ? prepared_eddsa_signer(material) : std::nullopt;
    return signer ? std::optional(PreparedEd25519{*verifier, *std::move(signer)}) : std::nullopt;
}

std::optional<PreparedEdDsa> prepared_eddsa(const Key::Material& material, Algorithm algorithm) {
    auto verifier = provider_verifier(material, algorithm, nullptr);
    auto signer = prepared_eddsa_signer(material);
    return verifier && signer ? std::optional(PreparedEdDsa{*std::move(verifier), *std::move(signer)}) : std::nullopt;
}

template <class T>
bool store(Prepared& place, std::optional<T>&& prepared) {
    if (!prepared) {
        return false;
    }
    place = std::move(*prepared);
    return true;
}

bool prepare(Key::Material& material, Algorithm algorithm) {
    Prepared& place = material.prepared[static_cast<std::size_t>(algorithm)];
    switch (material.type) {
        case KeyType::secret:
            return (algorithm == Algorithm::hs256 && store(place, HmacSha256::of(material.secret.view()))) ||
                   store(place, prepared_hmac(material, hash_of(algorithm)));
        case KeyType::rsa:
            return store(place, prepared_rsa(material, algorithm));
        case KeyType::ec:
            return store(place, prepared_ecdsa(material, algorithm));
        case KeyType::okp:
            return (material.curve->id == EVP_PKEY_ED25519 && store(place, prepared_ed25519(material))) ||
                   store(place, prepared_eddsa(material, algorithm));
    }
    return false;
}

openssl::Pkey public_copy(const EVP_PKEY* pkey) {
    OSSL_PARAM* exported = nullptr;
    if (EVP_PKEY_todata(pkey, EVP_PKEY_PUBLIC_KEY, &exported) != 1) {
        return nullptr;
    }
    const openssl::Params params(exported);
    const PkeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, EVP_PKEY_get0_type_name(pkey), nullptr));
    EVP_PKEY* copy = nullptr;
    if (context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &copy, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
        return nullptr;
    }
    return openssl::Pkey(copy);
}

}  // namespace

KeyResult KeyBuilder::finish(std::unique_ptr<Key::Material> material) {
    if (!(material->encrypts | material->decrypts).empty()) {
        material->tools = EncryptionTools::fetch();
        if (material->tools == nullptr) {
            return refuse("cannot be used: this OpenSSL lacks AES, HMAC or SHA-256");
        }
    }
    const AlgorithmSet served = material->verifies | material->signs;
    for (std::size_t i = 0; i < algorithm_count; ++i) {
        const auto algorithm = static_cast<Algorithm>(i);
        if (served.has(algorithm) && !prepare(*material, algorithm)) {
            return refuse("cannot be used: OpenSSL has no " + std::string(name(algorithm)) + " here");
        }
    }
    return std::shared_ptr<const Key>(new Key(std::move(material)));
}

Key::Key(std::unique_ptr<Material> material) noexcept : material_(std::move(material)) {}

Key::~Key() = default;

std::optional<std::string_view> Key::kid() const noexcept {
    if (!material_->kid) {
        return std::nullopt;
    }
    return *material_->kid;
}

const std::shared_ptr<const std::string>& Key::shared_kid() const noexcept {
    return material_->kid;
}

AlgorithmSet Key::verifies() const noexcept {
    return material_->verifies;
}

AlgorithmSet Key::signs() const noexcept {
    return material_->signs;
}

KeyManagementSet Key::decrypts() const noexcept {
    return material_->decrypts;
}

KeyManagementSet Key::encrypts() const noexcept {
    return material_->encrypts;
}

ContentEncryptionSet Key::direct_encryptions() const noexcept {
    return material_->direct;
}

bool Key::symmetric() const noexcept {
    return material_->type == KeyType::secret;
}

std::string Key::description() const {
    const std::string_view half = material_->is_private ? " private key" : " public key";
    switch (material_->type) {
        case KeyType::secret:
            return (material_->signs.empty() && material_->verifies.empty() ? "encryption secret of "
                                                                            : "HMAC secret of ") +
                   std::to_string(material_->secret.size()) + " bytes";
        case KeyType::rsa:
            return "RSA " + std::to_string(EVP_PKEY_get_bits(material_->pkey.get())) + "-bit" + std::string(half);
        case KeyType::ec:
            return "EC " + std::string(material_->curve->name) + std::string(half);
        case KeyType::okp:
            return std::string(material_->curve->name) + std::string(half);
    }
    return {};
}

std::shared_ptr<const Key> Key::public_half(std::shared_ptr<const Key> self) const {
    if (symmetric()) {
        return nullptr;
    }
    if (!material_->is_private) {
        return self;
    }
    const openssl::ErrorQueueGuard guard;
    auto half = std::make_unique<Material>();
    half->type = material_->type;
    half->curve = material_->curve;
    half->kid = material_->kid;
    half->alg = material_->alg;
    // A private key whose key_ops say sign alone is verified with its public half.
    half->verifies = material_->verifies | material_->signs;
    half->encrypts = material_->encrypts | material_->decrypts;
    half->pkey = public_copy(material_->pkey.get());
    if (half->pkey == nullptr) {
        return nullptr;
    }
    return KeyBuilder::finish(std::move(half)).value_or(nullptr);
}

}  // namespace jwt
