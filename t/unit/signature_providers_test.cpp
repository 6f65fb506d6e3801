#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "fips.hpp"
#include "key_material.hpp"
#include "key_tools.hpp"
#include "signature.hpp"

// Who verifies: our own code and libsodium, or a provider of OpenSSL's alone.
namespace jwt {
namespace {

struct IsLeftToProvider {
    bool operator()(std::monostate /*none*/) const { return false; }
    bool operator()(const HmacSha256& /*hmac*/) const { return false; }
    bool operator()(const PreparedHmac& /*hmac*/) const { return true; }
    bool operator()(const PreparedEcdsa& ecdsa) const { return std::holds_alternative<ProviderVerifier>(ecdsa.verify); }
    bool operator()(const PreparedRsa& rsa) const { return std::holds_alternative<ProviderVerifier>(rsa.verify); }
    bool operator()(const PreparedEd25519& /*ed25519*/) const { return false; }
    bool operator()(const PreparedEdDsa& /*eddsa*/) const { return true; }
};

bool is_left_to_provider(const Key& key, Algorithm algorithm) {
    return std::visit(IsLeftToProvider(), key.material().prepared[static_cast<std::size_t>(algorithm)]);
}

/// The provider that the key would be verified by.
std::string provider_of(const Key& key, Algorithm algorithm) {
    const auto& prepared = key.material().prepared[static_cast<std::size_t>(algorithm)];
    if (const auto* const hmac = std::get_if<PreparedHmac>(&prepared)) {
        return OSSL_PROVIDER_get0_name(EVP_MAC_get0_provider(EVP_MAC_CTX_get0_mac(hmac->context.get())));
    }
    return OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key.material().pkey.get()));
}

/// A new key that serves one algorithm, with its signature of "x", and another key's.
struct Subject {
    Algorithm algorithm;
    std::shared_ptr<const Key> key;
    std::string jwk;
    std::string signature;
    std::string other_signature;

    explicit Subject(Algorithm of)
        : algorithm(of),
          key(generate_key(of).value()),
          jwk(key->private_jwk()),
          signature(sign(*key, of, "x")),
          other_signature(sign(*generate_key(of).value(), of, "x")) {}
};

/// One for each algorithm.
const std::vector<Subject>& subjects() {
    static const std::vector<Subject> all = [] {
        std::vector<Subject> made;
        for (std::size_t i = 0; i < algorithm_count; ++i) {
            made.emplace_back(static_cast<Algorithm>(i));
        }
        return made;
    }();
    return all;
}

const Subject& subject_of(Algorithm algorithm) {
    return subjects()[static_cast<std::size_t>(algorithm)];
}

TEST(SignatureByProvider, IsThatOfFewAlgorithms) {
    for (const Subject& subject : subjects()) {
        SCOPED_TRACE(std::string(name(subject.algorithm)));
        const bool expected = subject.algorithm == Algorithm::hs384 || subject.algorithm == Algorithm::hs512 ||
                              subject.algorithm == Algorithm::ed448;
        EXPECT_EQ(is_left_to_provider(*subject.key, subject.algorithm), expected);
    }
}

/// Every algorithm, with keys that are imported now, by the provider that is asked for now.
void expect_all_left_to_provider() {
    for (const auto& [algorithm, outside, jwk, signature, other_signature] : subjects()) {
        SCOPED_TRACE(std::string(name(algorithm)));
        const auto key = key_of_jwk(jwk);
        ASSERT_TRUE(key) << key.error().message;
        EXPECT_TRUE(is_left_to_provider(**key, algorithm));
        EXPECT_EQ(provider_of(**key, algorithm), FipsProvider::name);
        const auto matches = [&key = *key, algorithm = algorithm](const std::string& input,
                                                                  const std::string& candidate) {
            const bool taken = signature_matches(*key, algorithm, input, candidate);
            EXPECT_EQ(ERR_peek_error(), 0U);
            return taken;
        };
        EXPECT_TRUE(matches("x", signature));
        EXPECT_TRUE(signature_matches(*outside, algorithm, "x", sign(**key, algorithm, "x")));
        EXPECT_FALSE(matches("y", signature));
        EXPECT_FALSE(matches("x", other_signature));
        for (std::size_t i = 0; i < signature.size(); i += 1 + signature.size() / 40) {
            std::string changed = signature;
            changed[i] = static_cast<char>(changed[i] ^ 4);
            EXPECT_FALSE(matches("x", changed)) << i;
        }
        EXPECT_FALSE(matches("x", {}));
        EXPECT_FALSE(matches("x", std::string(signature.size(), '\0')));
        EXPECT_FALSE(matches("x", signature + '\0'));
        EXPECT_FALSE(matches("x", '\0' + signature));
        EXPECT_FALSE(matches("x", signature.substr(0, signature.size() - 1)));
        EXPECT_TRUE(matches("x", signature));
    }
}

TEST(SignatureByProvider, IsThatOfAllWhereFipsIsWanted) {
    (void)subjects();
    const FipsProvider provider;
    const FipsWanted wanted;
    expect_all_left_to_provider();
}

TEST(SignatureByProvider, IsThatOfAllWhereAnotherIsPreferred) {
    (void)subjects();
    const FipsProvider provider;
    for (const std::string& properties :
         {std::string("?fips=yes,?provider=") + FipsProvider::name, std::string("?provider=") + FipsProvider::name,
          std::string("provider=") + FipsProvider::name}) {
        SCOPED_TRACE(properties);
        ASSERT_EQ(EVP_set_default_properties(nullptr, properties.c_str()), 1);
        expect_all_left_to_provider();
    }
    ASSERT_EQ(EVP_set_default_properties(nullptr, ""), 1);
    const auto key = key_of_jwk(subject_of(Algorithm::es256).jwk).value();
    EXPECT_FALSE(is_left_to_provider(*key, Algorithm::es256));
}

// RFC 7518 §3.5: a salt as long as the hash and MGF1 with the same hash, and no other.
TEST(SignatureByProvider, OfPssHasItsSaltAndMask) {
    const Subject& subject = subject_of(Algorithm::ps256);
    const FipsProvider provider;
    const FipsWanted wanted;
    const auto key = key_of_jwk(subject.jwk).value();
    ASSERT_TRUE(is_left_to_provider(*key, Algorithm::ps256));
    const auto matches = [&](int salt_size, const EVP_MD* mask) {
        const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
        EVP_PKEY_CTX* parameters = nullptr;
        EXPECT_EQ(EVP_DigestSignInit(context.get(), &parameters, EVP_sha256(), nullptr, key->material().pkey.get()), 1);
        EXPECT_EQ(EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING), 1);
        EXPECT_EQ(EVP_PKEY_CTX_set_rsa_mgf1_md(parameters, mask), 1);
        EXPECT_EQ(EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, salt_size), 1);
        std::string signature(subject.signature.size(), '\0');
        std::size_t size = signature.size();
        EXPECT_EQ(EVP_DigestSign(context.get(), bytes_of(signature), &size, bytes_of("x"), 1), 1);
        return signature_matches(*key, Algorithm::ps256, "x", signature);
    };
    EXPECT_TRUE(matches(32, EVP_sha256()));
    for (const int salt_size : {0, 20, 31, 33, 64}) {
        EXPECT_FALSE(matches(salt_size, EVP_sha256())) << salt_size;
    }
    EXPECT_FALSE(matches(32, EVP_sha1()));
    EXPECT_FALSE(matches(32, EVP_sha512()));
}

TEST(SignatureByProvider, NeedsOneThatHasTheAlgorithm) {
    (void)subjects();
    const FipsWanted wanted;
    const bool has_one = OSSL_PROVIDER_available(nullptr, "fips") == 1;
    for (const Subject& subject : subjects()) {
        EXPECT_EQ(key_of_jwk(subject.jwk).has_value(), has_one) << name(subject.algorithm);
    }
}

}  // namespace
}  // namespace jwt
