#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "key.hpp"
#include "key_tools.hpp"
#include "known_keys.hpp"
#include "signature.hpp"

namespace jwt {
namespace {

std::string set_text(const std::vector<std::string>& keys) {
    std::string text = R"({"keys":[)";
    for (std::size_t i = 0; i < keys.size(); ++i) {
        text += (i == 0 ? "" : ",") + keys[i];
    }
    return text + "]}";
}

std::string with_kid(std::string_view jwk, const std::string& kid) {
    return with_member(jwk, "kid", '"' + kid + '"');
}

std::vector<std::string> descriptions(const KeySet& set) {
    std::vector<std::string> texts;
    for (const auto& key : set.keys()) {
        texts.push_back(key->description());
    }
    return texts;
}

using Texts = std::vector<std::string>;

TEST(KeySet, IsReadFromEveryForm) {
    const std::string pem = public_pem(owned(EVP_EC_gen("P-256")));
    EXPECT_EQ(descriptions(KeySet::from_text(pem).value()), Texts{"EC P-256 public key"});
    EXPECT_EQ(descriptions(KeySet::from_text("\n\n" + pem).value()), Texts{"EC P-256 public key"});
    EXPECT_EQ(descriptions(KeySet::from_text(rfc7515_a3_public_key).value()), Texts{"EC P-256 public key"});
    EXPECT_EQ(descriptions(KeySet::from_text(" \r\n\t" + std::string(rfc8037_a2_key)).value()),
              Texts{"Ed25519 public key"});
    EXPECT_EQ(
        descriptions(
            KeySet::from_text(set_text({with_kid(rfc7515_a3_public_key, "1"), with_kid(rfc8037_a2_key, "2")})).value()),
        (Texts{"EC P-256 public key", "Ed25519 public key"}));
}

TEST(KeySet, IsRefusedWhereThereIsNoKey) {
    for (const std::string text :
         {"", " ", "secret", "{", "{}", R"({"keys":[]})", R"({"keys":{}})", R"({"keys":null})", R"({"keys":[1]})",
          R"({"keys":[{}]})", "[]", "ssh-ed25519 AAAA", "-----BEGIN PUBLIC KEY-----",
          "-----BEGIN NOTHING-----\nAAAA\n-----END NOTHING-----\n"}) {
        const auto set = KeySet::from_text(text);
        EXPECT_FALSE(set) << text;
        EXPECT_EQ(ERR_peek_error(), 0U);
    }
    const std::string good(rfc7515_a3_public_key);
    EXPECT_TRUE(KeySet::from_text(good));
    EXPECT_FALSE(KeySet::from_text(good + good));
    EXPECT_FALSE(KeySet::from_text(with_member(good, "keys", "[]")));
    EXPECT_FALSE(KeySet::from_text(R"({"keys":[)" + good + R"(],"keys":[]})"));
}

TEST(KeySet, OfElevenBrokenKeysAndAGoodOneIsTheGoodOne) {
    std::vector<std::string> complaints;
    const auto set = KeySet::from_text(set_text({
                                           R"({"kty":"RSA"})",
                                           R"({"kty":"EC","crv":"P-256"})",
                                           R"({"kty":"unknown","kid":"u"})",
                                           "1",
                                           "null",
                                           with_member(rfc7515_a3_public_key, "use", R"("both")"),
                                           with_member(rfc7515_a3_public_key, "kid", "7"),
                                           with_member(rfc7515_a2_public_key, "e", R"("AQ")"),
                                           with_kid(rfc8037_a2_key, "good"),
                                           with_member(rfc8037_a6_key, "use", R"("sig")"),
                                           with_member(rfc7515_a3_public_key, "crv", R"("P-384")"),
                                           with_member(rfc7515_a1_key, "k", R"("AAAA")"),
                                       }),
                                       &complaints);
    ASSERT_TRUE(set) << set.error().message;
    EXPECT_EQ(descriptions(*set), Texts{"Ed25519 public key"});
    EXPECT_EQ(complaints.size(), 11U);
    EXPECT_EQ(complaints[2].substr(0, 15), "key 3 (kid \"u\")");
    EXPECT_EQ(set->verifies(), AlgorithmSet({Algorithm::eddsa, Algorithm::ed25519}));
}

TEST(KeySet, LeavesSecretsOutBesidePublicKeys) {
    const std::string secret = with_kid(rfc7515_a1_key, "s");
    const std::string other_secret = with_kid(rfc7520_4_4_key, "t");
    std::vector<std::string> complaints;
    const auto mixed = KeySet::from_text(set_text({secret, with_kid(rfc8037_a2_key, "p")}), &complaints);
    EXPECT_EQ(descriptions(mixed.value()), Texts{"Ed25519 public key"});
    ASSERT_EQ(complaints.size(), 1U);
    EXPECT_NE(complaints[0].find("secret beside public keys"), std::string::npos);
    // Even where the public key is of no use: the set was made to be published.
    EXPECT_FALSE(KeySet::from_text(set_text({secret, with_member(rfc8037_a6_key, "use", R"("sig")")})));
    // Or for encryption alone.
    EXPECT_EQ(descriptions(KeySet::from_text(set_text({secret, std::string(rfc8037_a6_key)})).value()),
              Texts{"X25519 public key"});

    complaints.clear();
    EXPECT_EQ(KeySet::from_text(set_text({secret, other_secret}), &complaints).value().keys().size(), 2U);
    EXPECT_TRUE(complaints.empty());
}

TEST(KeySet, WithOneKidTwiceIsRefused) {
    const std::string a = with_kid(rfc8037_a2_key, "a");
    EXPECT_TRUE(KeySet::from_text(set_text({a, with_kid(rfc7515_a3_public_key, "b")})));
    EXPECT_TRUE(KeySet::from_text(set_text({a, with_kid(rfc7515_a3_public_key, "A")})));
    EXPECT_FALSE(KeySet::from_text(set_text({a, with_kid(rfc7515_a3_public_key, "a")})));
    EXPECT_FALSE(KeySet::from_text(set_text({a, a})));
    EXPECT_FALSE(KeySet::from_text(set_text({a, with_kid(with_member(rfc7515_a3_public_key, "x", "1"), "a")})));
    EXPECT_TRUE(KeySet::from_text(set_text({a, with_kid(with_member(rfc7515_a3_public_key, "use", R"("enc")"), "a")})));
    const std::string for_encryption = with_kid(with_member(rfc7515_a3_public_key, "use", R"("enc")"), "a");
    EXPECT_FALSE(KeySet::from_text(set_text({for_encryption, for_encryption})));
    EXPECT_FALSE(KeySet::from_text(
        set_text({for_encryption, with_kid(with_member(rfc8037_a6_key, "alg", R"("ECDH-ES")"), "a")})));
    // Keys without one do not share it.
    EXPECT_TRUE(KeySet::from_text(set_text({std::string(rfc8037_a2_key), std::string(rfc7515_a3_public_key)})));
}

TEST(KeySet, OfPemHoldsEveryBlock) {
    const TestPkey first = owned(EVP_EC_gen("P-256"));
    const TestPkey second = owned(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
    EXPECT_EQ(descriptions(KeySet::from_text(public_pem(first) + "comment\n" + private_pem(second)).value()),
              (Texts{"EC P-256 public key", "Ed25519 private key"}));
    std::vector<std::string> complaints;
    const std::string foreign = "-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n";
    EXPECT_EQ(descriptions(KeySet::from_text(foreign + public_pem(second), &complaints).value()),
              Texts{"Ed25519 public key"});
    EXPECT_EQ(complaints.size(), 1U);
    EXPECT_FALSE(KeySet::from_text(public_pem(first) + public_pem(second).substr(0, 60)));
}

TEST(KeySet, OfAKeyAndItsCertificateIsOneKey) {
    const TestPkey pkey = owned(EVP_EC_gen("P-256"));
    for (const std::string& text : {private_pem(pkey) + certificate_pem(pkey, pkey),
                                    certificate_pem(pkey, pkey) + private_pem(pkey) + public_pem(pkey)}) {
        EXPECT_EQ(descriptions(KeySet::from_text(text).value()), Texts{"EC P-256 private key"});
    }
}

TEST(KeySet, OfACertificateChainIsItsLeaf) {
    const TestPkey leaf = owned(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED448"));
    const TestPkey authority = owned(EVP_EC_gen("P-256"));
    std::vector<std::string> complaints;
    const std::string chain = certificate_pem(leaf, authority) + certificate_pem(authority, authority);
    EXPECT_EQ(descriptions(KeySet::from_text(chain, &complaints).value()), Texts{"Ed448 public key"});
    EXPECT_EQ(complaints.size(), 1U);
    EXPECT_EQ(descriptions(KeySet::from_text(certificate_pem(authority, authority)).value()),
              Texts{"EC P-256 public key"});

    // A leaf that cannot be used does not make way for its issuer.
    const TestPkey weak = owned(EVP_RSA_gen(1024));
    EXPECT_FALSE(KeySet::from_text(certificate_pem(weak, authority) + certificate_pem(authority, authority)));
}

std::vector<std::string> candidate_kids(const KeySet& set, Algorithm algorithm, std::optional<std::string_view> kid) {
    std::vector<std::string> kids;
    for (const Key* const key : set.candidates(algorithm, kid)) {
        kids.emplace_back(key->kid().value_or("-"));
    }
    return kids;
}

TEST(KeySet, ChoosesCandidatesByKidAndThenByFit) {
    const auto set = KeySet::from_text(set_text({
                                           std::string(rfc7515_a3_public_key),
                                           with_kid(rfc7515_a3_public_key, "a"),
                                           with_kid(rfc7515_a3_public_key, "b"),
                                           with_kid(rfc8037_a2_key, "ed"),
                                       }))
                         .value();
    EXPECT_EQ(candidate_kids(set, Algorithm::es256, std::nullopt), (Texts{"-", "a", "b"}));
    EXPECT_EQ(candidate_kids(set, Algorithm::es256, "b"), (Texts{"b", "-"}));
    EXPECT_EQ(candidate_kids(set, Algorithm::es256, "other"), Texts{"-"});
    EXPECT_EQ(candidate_kids(set, Algorithm::es256, "B"), Texts{"-"});
    EXPECT_EQ(candidate_kids(set, Algorithm::es256, "ed"), Texts{"-"});
    EXPECT_EQ(candidate_kids(set, Algorithm::eddsa, "ed"), Texts{"ed"});
    EXPECT_EQ(candidate_kids(set, Algorithm::eddsa, "a"), Texts{});
    EXPECT_EQ(candidate_kids(set, Algorithm::rs256, std::nullopt), Texts{});
}

TEST(KeySet, OffersAtMostFourCandidates) {
    std::vector<std::string> keys;
    for (int i = 0; i < 1000; ++i) {
        keys.push_back(with_kid(rfc8037_a2_key, std::to_string(i)));
    }
    const auto set = KeySet::from_text(set_text(keys)).value();
    EXPECT_EQ(set.keys().size(), 1000U);
    EXPECT_EQ(candidate_kids(set, Algorithm::eddsa, std::nullopt), (Texts{"0", "1", "2", "3"}));
    EXPECT_EQ(candidate_kids(set, Algorithm::eddsa, "999"), Texts{"999"});
    EXPECT_EQ(candidate_kids(set, Algorithm::eddsa, "1000"), Texts{});
}

TEST(KeySet, SignsWithTheFirstKeyThatCan) {
    const auto set = KeySet::from_text(set_text({
                                           with_kid(rfc7515_a3_public_key, "public"),
                                           with_kid(rfc7515_a3_key, "private"),
                                           with_kid(rfc7515_a3_key, "later"),
                                       }))
                         .value();
    EXPECT_EQ(set.signer(Algorithm::es256)->kid(), "private");
    EXPECT_EQ(set.signer(Algorithm::es384), nullptr);
}

TEST(KeySet, StartsEmpty) {
    KeySet set;
    EXPECT_TRUE(set.empty());
    EXPECT_TRUE(set.verifies().empty());
    set.add(key_of_jwk(rfc7515_a3_public_key).value());
    EXPECT_FALSE(set.empty());
    EXPECT_EQ(set.verifies(), AlgorithmSet{Algorithm::es256});
}

}  // namespace
}  // namespace jwt
