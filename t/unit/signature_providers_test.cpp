#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "fips.hpp"
#include "key_material.hpp"
#include "key_tools.hpp"
#include "known_keys.hpp"
#include "signature.hpp"

// Who verifies: our own code and libsodium, or OpenSSL's providers alone.
namespace jwt {
namespace {

struct IsLeftToProviders {
    bool operator()(std::monostate /*none*/) const { return false; }
    bool operator()(const HmacSha256& /*hmac*/) const { return false; }
    bool operator()(const PreparedHmac& /*hmac*/) const { return true; }
    bool operator()(const PreparedEcdsa& ecdsa) const {
        return std::holds_alternative<openssl::PkeyContext>(ecdsa.verify);
    }
    bool operator()(const PreparedRsa& rsa) const { return std::holds_alternative<openssl::PkeyContext>(rsa.verify); }
    bool operator()(const PreparedEd25519& /*ed25519*/) const { return false; }
    bool operator()(const PreparedEdDsa& /*eddsa*/) const { return true; }
};

bool is_left_to_providers(const Key& key, Algorithm algorithm) {
    return std::visit(IsLeftToProviders(), key.material().prepared[static_cast<std::size_t>(algorithm)]);
}

std::vector<Algorithm> all_algorithms() {
    std::vector<Algorithm> all;
    for (std::size_t i = 0; i < algorithm_count; ++i) {
        all.push_back(static_cast<Algorithm>(i));
    }
    return all;
}

/// A new key that serves one algorithm.
struct Subject {
    Algorithm algorithm;
    std::shared_ptr<const Key> key;
    std::string jwk;
    std::string signature;

    explicit Subject(Algorithm of)
        : algorithm(of), key(generate_key(of).value()), jwk(key->private_jwk()), signature(sign(*key, of, "x")) {}
};

TEST(SignatureByProviders, IsForHs384Hs512AndEd448) {
    for (const Algorithm algorithm : all_algorithms()) {
        SCOPED_TRACE(std::string(name(algorithm)));
        const Subject subject(algorithm);
        const bool expected =
            algorithm == Algorithm::hs384 || algorithm == Algorithm::hs512 || algorithm == Algorithm::ed448;
        EXPECT_EQ(is_left_to_providers(*subject.key, algorithm), expected);
    }
}

TEST(SignatureByProviders, IsForAllWhereFipsIsWanted) {
    std::vector<Subject> subjects;
    for (const Algorithm algorithm : all_algorithms()) {
        subjects.emplace_back(algorithm);
    }
    const FipsProvider provider;
    const FipsWanted wanted;
    for (const auto& [algorithm, outside, jwk, signature] : subjects) {
        SCOPED_TRACE(std::string(name(algorithm)));
        const auto key = key_of_jwk(jwk);
        ASSERT_TRUE(key) << key.error().message;
        EXPECT_TRUE(is_left_to_providers(**key, algorithm));
        const auto matches = [&, algorithm = algorithm](const std::string& input, const std::string& candidate) {
            const bool taken = signature_matches(**key, algorithm, input, candidate);
            EXPECT_EQ(ERR_peek_error(), 0U);
            return taken;
        };
        EXPECT_TRUE(matches("x", signature));
        EXPECT_TRUE(signature_matches(*outside, algorithm, "x", sign(**key, algorithm, "x")));
        EXPECT_FALSE(matches("y", signature));
        EXPECT_FALSE(matches("x", sign(*generate_key(algorithm).value(), algorithm, "x")));
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

// RFC 7518 §3.5: a salt as long as the hash, and no other.
TEST(SignatureByProviders, OfPssHasItsSalt) {
    const Subject subject(Algorithm::ps256);
    const FipsProvider provider;
    const FipsWanted wanted;
    const auto key = key_of_jwk(subject.jwk).value();
    ASSERT_TRUE(is_left_to_providers(*key, Algorithm::ps256));
    for (const int salt_size : {32, 0, 20, 31, 33, 64}) {
        const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
        EVP_PKEY_CTX* parameters = nullptr;
        ASSERT_EQ(EVP_DigestSignInit(context.get(), &parameters, EVP_sha256(), nullptr, key->material().pkey.get()), 1);
        ASSERT_EQ(EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING), 1);
        ASSERT_EQ(EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, salt_size), 1);
        std::string signature(subject.signature.size(), '\0');
        std::size_t size = signature.size();
        ASSERT_EQ(EVP_DigestSign(context.get(), bytes_of(signature), &size, bytes_of("x"), 1), 1);
        EXPECT_EQ(signature_matches(*key, Algorithm::ps256, "x", signature), salt_size == 32) << salt_size;
    }
}

TEST(SignatureByProviders, NeedsOneThatHasTheAlgorithm) {
    ASSERT_TRUE(key_of_jwk(rfc7515_a1_key));
    const FipsWanted wanted;
    EXPECT_EQ(key_of_jwk(rfc7515_a1_key).has_value(), OSSL_PROVIDER_available(nullptr, "fips") == 1);
}

// Also where the configuration names other providers, and says nothing of FIPS.
TEST(SignatureByProviders, IsForAllWhereTheDefaultProviderIsNotServing) {
    const auto new_library = [] {
        return std::unique_ptr<OSSL_LIB_CTX, decltype(&OSSL_LIB_CTX_free)>(OSSL_LIB_CTX_new(), OSSL_LIB_CTX_free);
    };
    EXPECT_TRUE(openssl::default_provider_serves());
    const auto untold = new_library();
    EXPECT_TRUE(openssl::default_provider_serves(untold.get()));
    ASSERT_EQ(EVP_default_properties_enable_fips(untold.get(), 1), 1);
    EXPECT_FALSE(openssl::default_provider_serves(untold.get()));

    const auto told = new_library();
    OSSL_PROVIDER* const other = OSSL_PROVIDER_load(told.get(), "null");
    ASSERT_NE(other, nullptr);
    EXPECT_FALSE(openssl::default_provider_serves(told.get()));
    OSSL_PROVIDER* const named = OSSL_PROVIDER_load(told.get(), "default");
    ASSERT_NE(named, nullptr);
    EXPECT_TRUE(openssl::default_provider_serves(told.get()));
    EXPECT_EQ(OSSL_PROVIDER_unload(named), 1);
    EXPECT_EQ(OSSL_PROVIDER_unload(other), 1);
}

}  // namespace
}  // namespace jwt
