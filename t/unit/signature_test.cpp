#include "signature.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "base64url.hpp"
#include "ecdsa.hpp"
#include "key_tools.hpp"
#include "known_keys.hpp"
#include "random.hpp"

namespace jwt {
namespace {

struct Example {
    const char* source;
    std::string_view jwk;
    Algorithm algorithm;
    std::string_view token;

    [[nodiscard]] std::string_view input() const { return token.substr(0, token.rfind('.')); }
    [[nodiscard]] std::string signature() const {
        return base64url::decode(token.substr(token.rfind('.') + 1)).value();
    }
};

const Example examples[] = {
    {"RFC 7515 A.1", rfc7515_a1_key, Algorithm::hs256, rfc7515_a1_token},
    {"RFC 7515 A.2", rfc7515_a2_public_key, Algorithm::rs256, rfc7515_a2_token},
    {"RFC 7515 A.3", rfc7515_a3_public_key, Algorithm::es256, rfc7515_a3_token},
    {"RFC 7515 A.4", rfc7515_a4_key, Algorithm::es512, rfc7515_a4_token},
    {"RFC 7520 4.1", rfc7520_4_1_key, Algorithm::rs256, rfc7520_4_1_token},
    {"RFC 7520 4.2", rfc7520_4_2_key, Algorithm::ps384, rfc7520_4_2_token},
    {"RFC 7520 4.3", rfc7520_4_3_key, Algorithm::es512, rfc7520_4_3_token},
    {"RFC 7520 4.4", rfc7520_4_4_key, Algorithm::hs256, rfc7520_4_4_token},
    {"RFC 8037 A.4", rfc8037_a2_key, Algorithm::eddsa, rfc8037_a4_token},
    {"Ed448", ed448_key, Algorithm::ed448, ed448_token},
};

/// Every changed byte, every other length.
void expect_only_this_one(const Key& key, Algorithm algorithm, std::string_view input, const std::string& signature) {
    ASSERT_TRUE(signature_matches(key, algorithm, input, signature));
    for (std::size_t i = 0; i < signature.size(); ++i) {
        std::string changed = signature;
        changed[i] = static_cast<char>(changed[i] ^ (1 << (i % 8)));
        EXPECT_FALSE(signature_matches(key, algorithm, input, changed)) << "byte " << i;
        EXPECT_FALSE(signature_matches(key, algorithm, input, signature.substr(0, i))) << "length " << i;
    }
    EXPECT_FALSE(signature_matches(key, algorithm, input, signature + '\0'));
    EXPECT_FALSE(signature_matches(key, algorithm, input, '\0' + signature));
    EXPECT_FALSE(signature_matches(key, algorithm, input, std::string(2048, 'x')));
    EXPECT_FALSE(signature_matches(key, algorithm, std::string(input) + ' ', signature));
    EXPECT_FALSE(signature_matches(key, algorithm, "", signature));
    EXPECT_TRUE(signature_matches(key, algorithm, input, signature));
}

TEST(Signature, OfTheRfcsMatch) {
    for (const Example& example : examples) {
        SCOPED_TRACE(example.source);
        const auto key = key_of_jwk(example.jwk);
        ASSERT_TRUE(key) << key.error().message;
        expect_only_this_one(**key, example.algorithm, example.input(), example.signature());
    }
}

TEST(Signature, IsMadeAsTheRfcsHaveIt) {
    // Those that are deterministic: HMAC, PKCS#1 v1.5, EdDSA.
    const Example deterministic[] = {
        {"RFC 7515 A.1", rfc7515_a1_key, Algorithm::hs256, rfc7515_a1_token},
        {"RFC 7515 A.2", rfc7515_a2_key, Algorithm::rs256, rfc7515_a2_token},
        {"RFC 7520 4.4", rfc7520_4_4_key, Algorithm::hs256, rfc7520_4_4_token},
        {"RFC 8037 A.4", rfc8037_a1_key, Algorithm::eddsa, rfc8037_a4_token},
        {"Ed448", ed448_key, Algorithm::ed448, ed448_token},
    };
    for (const Example& example : deterministic) {
        SCOPED_TRACE(example.source);
        const auto key = key_of_jwk(example.jwk);
        ASSERT_TRUE(key) << key.error().message;
        EXPECT_EQ(sign(**key, example.algorithm, example.input()), example.signature());
        EXPECT_EQ(sign(**key, example.algorithm, example.input()), example.signature());
    }
}

TEST(Signature, RoundTripsUnderEveryAlgorithm) {
    for (std::size_t i = 0; i < algorithm_count; ++i) {
        const auto algorithm = static_cast<Algorithm>(i);
        SCOPED_TRACE(std::string(name(algorithm)));
        const bool is_rsa = algorithm >= Algorithm::rs256 && algorithm <= Algorithm::ps512;
        const auto key = is_rsa ? key_of_jwk(rfc7515_a2_key) : generate_key(algorithm);
        ASSERT_TRUE(key) << key.error().message;
        const std::string signature = sign(**key, algorithm, "input");
        expect_only_this_one(**key, algorithm, "input", signature);
        const auto half = (*key)->public_half(*key);
        EXPECT_EQ(half != nullptr, !is_hmac(algorithm));
        if (half != nullptr) {
            EXPECT_TRUE(signature_matches(*half, algorithm, "input", signature));
            EXPECT_THROW((void)sign(*half, algorithm, "input"), std::runtime_error);
        }
    }
}

TEST(Signature, IsMadeByThreadsUnderOneRsaKey) {
    const auto key = key_of_jwk(rfc7515_a2_key);
    ASSERT_TRUE(key) << key.error().message;
    constexpr int signers = 3;
    constexpr int signatures = 20;
    for (const Algorithm algorithm : {Algorithm::rs256, Algorithm::ps512}) {
        std::vector<std::string> made(signers * signatures);
        std::vector<std::thread> threads;
        for (int i = 0; i < signers; ++i) {
            threads.emplace_back([&, i] {
                for (int n = 0; n < signatures; ++n) {
                    const auto which = static_cast<std::size_t>(i * signatures + n);
                    made[which] = sign(**key, algorithm, std::to_string(which));
                }
            });
        }
        const std::string own = sign(**key, algorithm, "own");
        for (int n = 0; n < signatures; ++n) {  // as the event loop does meanwhile
            EXPECT_TRUE(signature_matches(**key, algorithm, "own", own));
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
        for (std::size_t i = 0; i < made.size(); ++i) {
            EXPECT_TRUE(signature_matches(**key, algorithm, std::to_string(i), made[i]));
        }
    }
}

TEST(Signature, NeedsAnAlgorithmThatItsKeyServes) {
    // Every key with every algorithm (RFC 8725 §3.1): only the marked ones work.
    struct Served {
        std::shared_ptr<const Key> key;
        std::vector<Algorithm> algorithms;
    };
    const Served keys[] = {
        {key_of_jwk(rfc7515_a1_key).value(), {Algorithm::hs256, Algorithm::hs384, Algorithm::hs512}},
        {key_of_jwk(rfc7515_a2_key).value(),
         {Algorithm::rs256, Algorithm::rs384, Algorithm::rs512, Algorithm::ps256, Algorithm::ps384, Algorithm::ps512}},
        {key_of_jwk(with_member(rfc7515_a2_key, "alg", "\"PS384\"")).value(), {Algorithm::ps384}},
        {key_of_jwk(rfc7515_a3_key).value(), {Algorithm::es256}},
        {generate_key(Algorithm::es384).value(), {Algorithm::es384}},
        {key_of_jwk(rfc7515_a4_key).value(), {Algorithm::es512}},
        {generate_key(Algorithm::es256k).value(), {Algorithm::es256k}},
        {key_of_jwk(rfc8037_a1_key).value(), {Algorithm::eddsa, Algorithm::ed25519}},
        {key_of_jwk(with_member(rfc8037_a1_key, "alg", "\"EdDSA\"")).value(), {Algorithm::eddsa, Algorithm::ed25519}},
        {key_of_jwk(with_member(rfc8037_a1_key, "alg", "\"Ed25519\"")).value(), {Algorithm::ed25519}},
        {key_of_jwk(ed448_key).value(), {Algorithm::eddsa, Algorithm::ed448}},
        {key_of_jwk(with_member(ed448_key, "alg", "\"Ed448\"")).value(), {Algorithm::ed448}},
    };
    for (const auto& [key, served] : keys) {
        const std::string own = sign(*key, served.front(), "x");
        for (std::size_t i = 0; i < algorithm_count; ++i) {
            const auto algorithm = static_cast<Algorithm>(i);
            SCOPED_TRACE(key->description() + " under " + std::string(name(algorithm)));
            const bool is_served = std::find(served.begin(), served.end(), algorithm) != served.end();
            EXPECT_EQ(key->verifies().has(algorithm), is_served);
            EXPECT_EQ(key->signs().has(algorithm), is_served);
            if (is_served) {
                EXPECT_TRUE(signature_matches(*key, algorithm, "x", sign(*key, algorithm, "x")));
            } else {
                EXPECT_THROW((void)sign(*key, algorithm, "x"), std::runtime_error);
                EXPECT_FALSE(signature_matches(*key, algorithm, "x", own));
            }
        }
    }
}

/// A PSS signature that OpenSSL makes with a salt and a mask hash of our choice.
std::string pss_signature(const TestPkey& pkey, int salt_size, const EVP_MD* mask_hash) {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    EVP_PKEY_CTX* padding = nullptr;
    EVP_DigestSignInit(context.get(), &padding, EVP_sha256(), nullptr, pkey.get());
    EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING);
    EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, salt_size);
    EVP_PKEY_CTX_set_rsa_mgf1_md(padding, mask_hash);
    std::string signature(256, '\0');
    std::size_t size = signature.size();
    const unsigned char input = 'x';
    EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, &input, 1);
    return signature;
}

TEST(Signature, OfPssHasASaltAsLongAsItsHashAndOneHash) {
    const TestPkey pkey = owned(EVP_RSA_gen(2048));
    const auto key = Key::from_pem(public_pem(pkey)).value();
    EXPECT_TRUE(signature_matches(*key, Algorithm::ps256, "x", pss_signature(pkey, 32, EVP_sha256())));
    for (const int salt_size : {0, 20, 31, 33, 64}) {
        EXPECT_FALSE(signature_matches(*key, Algorithm::ps256, "x", pss_signature(pkey, salt_size, EVP_sha256())))
            << salt_size;
    }
    EXPECT_FALSE(signature_matches(*key, Algorithm::ps256, "x", pss_signature(pkey, 32, EVP_sha1())));
    EXPECT_FALSE(signature_matches(*key, Algorithm::ps256, "x", pss_signature(pkey, 32, EVP_sha512())));
}

TEST(Signature, OfEcdsaHasHalvesWithinTheGroup) {
    // CVE-2022-21449: 0, the order and multiples of it are no halves.
    struct Group {
        Algorithm algorithm;
        int id;
    };
    const Group groups[] = {{Algorithm::es256, NID_X9_62_prime256v1},
                            {Algorithm::es384, NID_secp384r1},
                            {Algorithm::es512, NID_secp521r1},
                            {Algorithm::es256k, NID_secp256k1}};
    for (const auto& [algorithm, id] : groups) {
        SCOPED_TRACE(std::string(name(algorithm)));
        const auto key = generate_key(algorithm).value();
        const std::string good = sign(*key, algorithm, "x");
        ASSERT_TRUE(signature_matches(*key, algorithm, "x", good));
        const std::size_t half = good.size() / 2;
        const std::unique_ptr<EC_GROUP, decltype(&EC_GROUP_free)> group(EC_GROUP_new_by_curve_name(id), EC_GROUP_free);
        std::vector<std::string> values = {std::string(half, '\0'), std::string(half, '\xff'), good.substr(0, half)};
        for (const BN_ULONG more : {0UL, 1UL}) {
            const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(BN_dup(EC_GROUP_get0_order(group.get())), BN_free);
            BN_add_word(number.get(), more);
            values.emplace_back(half, '\0');
            BN_bn2binpad(number.get(), reinterpret_cast<unsigned char*>(values.back().data()), static_cast<int>(half));
        }
        values.push_back(std::string(half - 1, '\0') + '\x01');
        for (const std::string& r : values) {
            for (const std::string& s : values) {
                EXPECT_FALSE(signature_matches(*key, algorithm, "x", r + s));
            }
        }
    }
}

TEST(Signature, OfEcdsaInDerIsRefused) {
    const auto key = key_of_jwk(rfc7515_a3_key).value();
    const std::string good = sign(*key, Algorithm::es256, "x");
    EXPECT_TRUE(signature_matches(*key, Algorithm::es256, "x", good));
    const DerSignature der = ecdsa_der(good);
    EXPECT_FALSE(
        signature_matches(*key, Algorithm::es256, "x", {reinterpret_cast<const char*>(der.bytes.data()), der.size}));
}

TEST(Signature, OfEcdsaKeepsLeadingZeros) {
    const auto key = key_of_jwk(rfc7515_a3_key).value();
    int with_zero = 0;
    for (int i = 0; i < 3000; ++i) {
        const std::string input = std::to_string(i);
        const std::string signature = sign(*key, Algorithm::es256, input);
        ASSERT_EQ(signature.size(), 64U);
        if (signature[0] == '\0' || signature[32] == '\0') {
            ++with_zero;
            EXPECT_TRUE(signature_matches(*key, Algorithm::es256, input, signature));
        }
    }
    EXPECT_GT(with_zero, 0);  // one in 128 has one
}

TEST(Signature, InDerIsAsOpensslWritesIt) {
    for (const std::size_t half : {32U, 48U, 66U}) {
        for (int round = 0; round < 10000; ++round) {
            std::string r_and_s = random_bytes(2 * half);
            // Leading zeros, from none to the whole half, before any byte.
            const auto zeros = static_cast<unsigned char>(random_bytes(1)[0]);
            if (round % 3 == 1) {
                r_and_s.replace(0, zeros % (half + 1), zeros % (half + 1), '\0');
            } else if (round % 3 == 2) {
                r_and_s.replace(half, zeros % (half + 1), zeros % (half + 1), '\0');
            }
            const auto* const bytes = reinterpret_cast<const unsigned char*>(r_and_s.data());
            const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> reference(ECDSA_SIG_new(), ECDSA_SIG_free);
            ECDSA_SIG_set0(reference.get(), BN_bin2bn(bytes, static_cast<int>(half), nullptr),
                           BN_bin2bn(bytes + half, static_cast<int>(half), nullptr));
            unsigned char* expected = nullptr;
            const int size = i2d_ECDSA_SIG(reference.get(), &expected);
            const DerSignature der = ecdsa_der(r_and_s);
            ASSERT_EQ(std::string(reinterpret_cast<const char*>(der.bytes.data()), der.size),
                      std::string(reinterpret_cast<const char*>(expected), static_cast<std::size_t>(size)));
            OPENSSL_free(expected);
        }
    }
}

TEST(Signature, LeavesNoErrorBehind) {
    for (const Example& example : examples) {
        SCOPED_TRACE(example.source);
        const auto key = key_of_jwk(example.jwk).value();
        std::string signature = example.signature();
        signature[5] = static_cast<char>(signature[5] ^ 1);
        ERR_raise(ERR_LIB_USER, ERR_R_INTERNAL_ERROR);
        EXPECT_NE(ERR_peek_error(), 0U);
        EXPECT_FALSE(signature_matches(*key, example.algorithm, example.input(), signature));
        EXPECT_EQ(ERR_peek_error(), 0U);
        EXPECT_TRUE(signature_matches(*key, example.algorithm, example.input(), example.signature()));
        EXPECT_EQ(ERR_peek_error(), 0U);
        EXPECT_FALSE(signature_matches(*key, example.algorithm, example.input(), signature));
        EXPECT_EQ(ERR_peek_error(), 0U);
    }
    const auto key = key_of_jwk(rfc7515_a3_key).value();
    (void)sign(*key, Algorithm::es256, "x");
    EXPECT_THROW((void)sign(*key, Algorithm::es384, "x"), std::runtime_error);
    EXPECT_EQ(ERR_peek_error(), 0U);
}

TEST(Signature, ComparesInConstantTime) {
    EXPECT_TRUE(equal_in_constant_time("", ""));
    EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
    EXPECT_FALSE(equal_in_constant_time("abc", "abd"));
    EXPECT_FALSE(equal_in_constant_time("abc", "ab"));
    EXPECT_FALSE(equal_in_constant_time("", "a"));
    EXPECT_TRUE(equal_in_constant_time(std::string_view("a\0b", 3), std::string_view("a\0b", 3)));
    EXPECT_FALSE(equal_in_constant_time(std::string_view("a\0b", 3), std::string_view("a\0c", 3)));
}

}  // namespace
}  // namespace jwt
