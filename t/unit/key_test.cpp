#include "key.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base64url.hpp"
#include "key_material.hpp"
#include "key_tools.hpp"
#include "known_keys.hpp"
#include "signature.hpp"

namespace jwt {
namespace {

constexpr AlgorithmSet all_hmac = {Algorithm::hs256, Algorithm::hs384, Algorithm::hs512};

TEST(KeySecret, MustBeAsLongAsTheHash) {
    struct Case {
        Algorithm algorithm;
        std::size_t needed;
    };
    for (const auto& [algorithm, needed] :
         {Case{Algorithm::hs256, 32}, Case{Algorithm::hs384, 48}, Case{Algorithm::hs512, 64}}) {
        const auto good = Key::from_secret(std::string(needed, 's'), {algorithm});
        ASSERT_TRUE(good);
        EXPECT_EQ((*good)->verifies(), AlgorithmSet{algorithm});
        EXPECT_EQ((*good)->signs(), AlgorithmSet{algorithm});
        for (const std::size_t size : {std::size_t{0}, std::size_t{1}, needed - 1}) {
            const auto refused = Key::from_secret(std::string(size, 's'), {algorithm});
            EXPECT_TRUE(mentions(refused, "has " + std::to_string(size) + " byte"));
            EXPECT_TRUE(mentions(refused, std::string(name(algorithm)) + " needs at least " + std::to_string(needed)));
            EXPECT_TRUE(mentions(refused, "openssl rand -base64 48"));
        }
    }
}

TEST(KeySecret, MustBeLongEnoughForAllThatIsWanted) {
    EXPECT_TRUE(Key::from_secret(std::string(64, 's'), all_hmac));
    EXPECT_TRUE(mentions(Key::from_secret(std::string(63, 's'), all_hmac), "HS512"));
    EXPECT_FALSE(Key::from_secret(std::string(64, 's'), {Algorithm::rs256}));
    EXPECT_EQ(Key::from_secret(std::string(64, 's'), {Algorithm::rs256, Algorithm::hs256}).value()->verifies(),
              AlgorithmSet{Algorithm::hs256});
}

TEST(KeySecret, IsNoPublicKeyInAnyForm) {
    const TestPkey rsa = owned(EVP_RSA_gen(2048));
    const TestPkey ec = owned(EVP_EC_gen("P-256"));
    const TestPkey okp = owned(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
    std::vector<std::string> texts = {
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7 user@host with a comment",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBaaaaaaaaa",
        std::string(rfc7515_a2_public_key),
        std::string(rfc8037_a2_key),
        R"({ "keys" : [ ] , "x" : "................................................................" })",
        traditional_public_pem(rsa),
        certificate_pem(rsa, rsa),
        private_pem(rsa),
    };
    for (const TestPkey& pkey : {rsa, ec, okp}) {
        const std::string pem = public_pem(pkey);
        texts.push_back(pem);
        texts.push_back(pem.substr(0, pem.size() - 1));
        std::string with_crlf;
        for (const char c : pem) {
            with_crlf += c == '\n' ? "\r\n" : std::string(1, c);
        }
        texts.push_back(with_crlf);
        texts.push_back(public_der(pkey));
        // The base64 lines without the PEM around them, as some providers show them.
        const std::size_t begin = pem.find('\n') + 1;
        std::string base64 = pem.substr(begin, pem.rfind("\n-----END") - begin);
        texts.push_back(base64);
        std::erase(base64, '\n');
        texts.push_back(base64);
    }
    for (const std::string& text : texts) {
        for (const std::string prefix : {"", " ", "\n\t\r ", "\xef\xbb\xbf", " \xef\xbb\xbf\n"}) {
            const auto refused = Key::from_secret(prefix + text, {Algorithm::hs256});
            EXPECT_TRUE(mentions(refused, "jwt_public_key")) << prefix << text;
        }
        const std::string k = R"({"kty":"oct","k":)" + json_base64url(text) + "}";
        EXPECT_TRUE(mentions(key_of_jwk(k), "jwt_public_key")) << text;
    }
}

TEST(KeySecret, MayLookABitLikeAKey) {
    const std::string filler(64, 'x');
    for (const std::string start :
         {"{", "{\"a\":1}", "0", "\x30\x82", "\x30\x59", "MIIB", "M", "-----", "ssh", "----BEGIN", " "}) {
        EXPECT_TRUE(Key::from_secret(start + filler, {Algorithm::hs256})) << start;
    }
    EXPECT_TRUE(Key::from_secret(R"({"some":"json","that":"is no key, but a quite long secret"})", {Algorithm::hs256}));
}

TEST(KeyPem, IsReadInEveryForm) {
    const TestPkey rsa = owned(EVP_RSA_gen(2048));
    const TestPkey ec = owned(EVP_EC_gen("P-384"));
    const TestPkey okp = owned(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED448"));
    struct Case {
        std::string pem;
        std::string description;
        bool is_private;
    };
    const Case cases[] = {
        {public_pem(rsa), "RSA 2048-bit public key", false},
        {traditional_public_pem(rsa), "RSA 2048-bit public key", false},
        {certificate_pem(rsa, ec), "RSA 2048-bit public key", false},
        {private_pem(rsa), "RSA 2048-bit private key", true},
        {traditional_private_pem(rsa), "RSA 2048-bit private key", true},
        {public_pem(ec), "EC P-384 public key", false},
        {certificate_pem(ec, rsa), "EC P-384 public key", false},
        {private_pem(ec), "EC P-384 private key", true},
        {"-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n" + traditional_private_pem(ec),
         "EC P-384 private key", true},
        {"Bag Attributes\n    friendlyName: x\n" + public_pem(okp), "Ed448 public key", false},
        {private_pem(okp), "Ed448 private key", true},
    };
    for (const Case& c : cases) {
        const auto key = Key::from_pem(c.pem);
        ASSERT_TRUE(key) << c.pem << key.error().message;
        EXPECT_EQ((*key)->description(), c.description);
        EXPECT_EQ((*key)->signs().empty(), !c.is_private);
        EXPECT_FALSE((*key)->verifies().empty());
        EXPECT_FALSE((*key)->kid());
        EXPECT_FALSE((*key)->symmetric());
        EXPECT_EQ(ERR_peek_error(), 0U);
    }
}

TEST(KeyPem, ServesWhatFitsItsType) {
    EXPECT_EQ(names(Key::from_pem(public_pem(owned(EVP_RSA_gen(2048)))).value()->verifies()),
              "RS256 RS384 RS512 PS256 PS384 PS512");
    EXPECT_EQ(names(Key::from_pem(public_pem(owned(EVP_EC_gen("secp256k1")))).value()->verifies()), "ES256K");
    const TestPkey okp = owned(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
    EXPECT_EQ(names(Key::from_pem(public_pem(okp)).value()->verifies()), "EdDSA Ed25519");
}

TEST(KeyPem, OfAnEncryptedKeyIsRefusedWithoutAskingForAPassword) {
    const TestPkey ec = owned(EVP_EC_gen("P-256"));
    char password[] = "secret";
    const std::string pkcs8 = written([&](BIO* bio) {
        return PEM_write_bio_PKCS8PrivateKey(bio, ec.get(), EVP_aes_128_cbc(), password, 6, nullptr, nullptr);
    });
    const std::string traditional = written([&](BIO* bio) {
        return PEM_write_bio_PrivateKey_traditional(bio, ec.get(), EVP_aes_128_cbc(),
                                                    reinterpret_cast<unsigned char*>(password), 6, nullptr, nullptr);
    });
    EXPECT_NE(pkcs8.find("ENCRYPTED"), std::string::npos);
    EXPECT_NE(traditional.find("ENCRYPTED"), std::string::npos);
    EXPECT_TRUE(mentions(Key::from_pem(pkcs8), "is encrypted"));
    EXPECT_TRUE(mentions(Key::from_pem(traditional), "is encrypted"));
    EXPECT_TRUE(Key::from_pem(private_pem(ec)));
    EXPECT_EQ(ERR_peek_error(), 0U);
}

TEST(KeyPem, OfAnAgreementIsForEncryption) {
    for (const char* const type : {"X25519", "X448"}) {
        const TestPkey pkey = owned(EVP_PKEY_Q_keygen(nullptr, nullptr, type));
        const auto key = Key::from_pem(public_pem(pkey)).value();
        EXPECT_EQ(key->description(), std::string(type) + " public key");
        EXPECT_TRUE(key->verifies().empty());
        EXPECT_EQ(Key::from_pem(private_pem(pkey)).value()->decrypts(), ecdh_managements);
    }
}

TEST(KeyPem, OfAnotherKindIsRefused) {
    EXPECT_TRUE(mentions(Key::from_pem(public_pem(owned(EVP_EC_gen("brainpoolP256r1")))), "curve"));
    EXPECT_TRUE(mentions(Key::from_pem(public_pem(owned(EVP_EC_gen("secp224r1")))), "curve"));

    const auto generated = [](const char* type, const std::function<int(EVP_PKEY_CTX*)>& configure) {
        const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
            EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr), EVP_PKEY_CTX_free);
        EVP_PKEY* pkey = nullptr;
        EVP_PKEY_keygen_init(context.get());
        EXPECT_EQ(configure(context.get()), 1);
        EVP_PKEY_generate(context.get(), &pkey);
        return owned(pkey);
    };
    const TestPkey pss =
        generated("RSA-PSS", [](EVP_PKEY_CTX* context) { return EVP_PKEY_CTX_set_rsa_keygen_bits(context, 2048); });
    EXPECT_TRUE(mentions(Key::from_pem(public_pem(pss)), "RSA-PSS"));
    EXPECT_TRUE(mentions(Key::from_pem(private_pem(pss)), "RSA-PSS"));
    const TestPkey dh =
        generated("DH", [](EVP_PKEY_CTX* context) { return EVP_PKEY_CTX_set_dh_nid(context, NID_ffdhe2048); });
    EXPECT_TRUE(mentions(Key::from_pem(public_pem(dh)), "DH"));
    const TestPkey explicit_curve = generated("EC", [](EVP_PKEY_CTX* context) {
        return EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1) == 1
                   ? EVP_PKEY_CTX_set_ec_param_enc(context, OPENSSL_EC_EXPLICIT_CURVE)
                   : 0;
    });
    EXPECT_TRUE(mentions(Key::from_pem(public_pem(explicit_curve)), "spells out its curve"));
    EXPECT_TRUE(Key::from_pem(public_pem(owned(EVP_EC_gen("P-256")))));
}

TEST(KeyPem, ThatIsDamagedIsRefused) {
    const std::string good = public_pem(owned(EVP_EC_gen("P-256")));
    ASSERT_TRUE(Key::from_pem(good));
    const std::string der = "\x30\x03\x02\x01\x05";
    std::string with_tail = public_der(owned(EVP_EC_gen("P-256"))) + "x";
    const auto armored = [](const char* label, const std::string& bytes) {
        return written([&](BIO* bio) {
            return PEM_write_bio(bio, label, "", reinterpret_cast<const unsigned char*>(bytes.data()),
                                 static_cast<long>(bytes.size())) > 0
                       ? 1
                       : 0;
        });
    };
    with_tail = armored("PUBLIC KEY", with_tail);
    for (const std::string& bad :
         {std::string(), std::string("no PEM"), good.substr(0, good.size() / 2), good.substr(0, good.rfind("-----END")),
          armored("PUBLIC KEY", der), armored("PRIVATE KEY", der), armored("RSA PRIVATE KEY", der),
          armored("CERTIFICATE", der), with_tail, armored("OPENSSH PRIVATE KEY", der), armored("X509 CRL", der)}) {
        EXPECT_FALSE(Key::from_pem(bad)) << bad;
        EXPECT_EQ(ERR_peek_error(), 0U);
    }
}

TEST(KeyPem, OfThePointAtInfinityIsRefused) {
    // SubjectPublicKeyInfo on P-256 whose point is the one byte 00.
    const std::string infinity = bytes_of_hex("3019301306072a8648ce3d020106082a8648ce3d03010703020000");
    const unsigned char* position = reinterpret_cast<const unsigned char*>(infinity.data());
    const TestPkey pkey = owned(d2i_PUBKEY(nullptr, &position, static_cast<long>(infinity.size())));
    ERR_clear_error();
    const std::string pem = written([&](BIO* bio) {
        return PEM_write_bio(bio, "PUBLIC KEY", "", reinterpret_cast<const unsigned char*>(infinity.data()),
                             static_cast<long>(infinity.size())) > 0
                   ? 1
                   : 0;
    });
    EXPECT_TRUE(mentions(Key::from_pem(pem), pkey == nullptr ? "cannot be decoded" : "not on its curve"));
}

TEST(KeyJwk, AlgRestrictsToItself) {
    struct Case {
        std::string_view jwk;
        const char* alg;
        const char* served;  // empty: refused
    };
    const Case cases[] = {
        {rfc7515_a1_key, R"("HS256")", "HS256"},
        {rfc7515_a1_key, R"("HS512")", "HS512"},
        {rfc7515_a1_key, R"("RS256")", ""},
        {rfc7515_a2_public_key, R"("RS256")", "RS256"},
        {rfc7515_a2_public_key, R"("PS512")", "PS512"},
        {rfc7515_a2_public_key, R"("HS256")", ""},
        {rfc7515_a2_public_key, R"("ES256")", ""},
        {rfc7515_a2_public_key, R"("RSA-OAEP")", ""},
        {rfc7515_a2_public_key, R"("rs256")", ""},
        {rfc7515_a2_public_key, R"("none")", ""},
        {rfc7515_a2_public_key, R"("")", ""},
        {rfc7515_a2_public_key, R"(["RS256"])", ""},
        {rfc7515_a2_public_key, "null", ""},
        {rfc7515_a3_public_key, R"("ES256")", "ES256"},
        {rfc7515_a3_public_key, R"("ES256K")", ""},
        {rfc7515_a3_public_key, R"("ES384")", ""},
        {rfc7515_a3_public_key, R"("EdDSA")", ""},
        {rfc7515_a2_public_key, R"("EdDSA")", ""},
        {rfc7515_a4_key, R"("ES512")", "ES512"},
        {rfc7515_a4_key, R"("ES521")", ""},
        {rfc8037_a2_key, R"("EdDSA")", "EdDSA Ed25519"},
        {rfc8037_a2_key, R"("Ed25519")", "Ed25519"},
        {rfc8037_a2_key, R"("Ed448")", ""},
        {ed448_key, R"("EdDSA")", "EdDSA Ed448"},
        {ed448_key, R"("Ed448")", "Ed448"},
        {ed448_key, R"("Ed25519")", ""},
    };
    for (const auto& [jwk, alg, served] : cases) {
        const auto key = key_of_jwk(with_member(jwk, "alg", alg));
        EXPECT_EQ(key ? names((*key)->verifies()) : "", served) << alg;
    }
}

TEST(KeyJwk, UseAndKeyOpsMustAllowSignatures) {
    struct Case {
        std::string_view jwk;
        const char* member;
        const char* value;
        bool verifies;
        bool signs;
    };
    const Case cases[] = {
        {rfc7515_a3_key, "use", R"("sig")", true, true},
        {rfc7515_a3_key, "use", R"("enc")", false, false},
        {rfc7515_a3_key, "use", R"("SIG")", false, false},
        {rfc7515_a3_key, "use", R"(["sig"])", false, false},
        {rfc7515_a3_key, "use", "null", false, false},
        {rfc7515_a3_key, "key_ops", R"(["sign","verify"])", true, true},
        {rfc7515_a3_key, "key_ops", R"(["sign"])", false, true},
        {rfc7515_a3_key, "key_ops", R"(["verify"])", true, false},
        {rfc7515_a3_key, "key_ops", R"(["verify","x"])", true, false},
        {rfc7515_a3_key, "key_ops", R"(["verify","verify"])", false, false},
        {rfc7515_a3_key, "key_ops", R"(["encrypt"])", false, false},
        {rfc7515_a3_key, "key_ops", R"([])", false, false},
        {rfc7515_a3_key, "key_ops", R"("verify")", false, false},
        {rfc7515_a3_key, "key_ops", R"(["verify",1])", false, false},
        {rfc7515_a3_key, "key_ops", R"({"verify":true})", false, false},
        {rfc7515_a3_public_key, "key_ops", R"(["verify"])", true, false},
        {rfc7515_a3_public_key, "key_ops", R"(["sign"])", false, false},
        {rfc7515_a1_key, "key_ops", R"(["sign"])", false, true},
        {rfc7515_a1_key, "use", R"("enc")", false, false},
    };
    for (const auto& [jwk, member, value, verifies, signs] : cases) {
        SCOPED_TRACE(std::string(member) + " " + value);
        const auto key = key_of_jwk(with_member(jwk, member, value));
        EXPECT_TRUE(!key || verifies || signs || !(*key)->encrypts().empty() || !(*key)->decrypts().empty());
        EXPECT_EQ(key && !(*key)->verifies().empty(), verifies);
        EXPECT_EQ(key && !(*key)->signs().empty(), signs);
    }
}

TEST(KeyJwk, KidIsAString) {
    EXPECT_FALSE(key_of_jwk(rfc7515_a3_key).value()->kid());
    for (const std::string kid : {"", "a", "../../dev/null", "' OR 1=1--"}) {
        EXPECT_EQ(key_of_jwk(with_member(rfc7515_a3_key, "kid", json_text(kid))).value()->kid(), kid);
    }
    for (const char* const kid : {"1", "null", "[]", "{}", "true"}) {
        EXPECT_FALSE(key_of_jwk(with_member(rfc7515_a3_key, "kid", kid))) << kid;
    }
}

TEST(KeyJwk, KtyIsExact) {
    for (const char* const kty :
         {R"("ec")", R"("EC ")", R"("OKP")", R"("RSA")", R"("oct")", R"("")", "1", "null", ""}) {
        EXPECT_FALSE(key_of_jwk(with_member(rfc7515_a3_public_key, "kty", kty))) << kty;
    }
    EXPECT_TRUE(key_of_jwk(with_member(rfc7515_a3_public_key, "kty", R"("EC")")));
    for (const char* const other : {"[]", "1", "\"x\"", "null", "{}"}) {
        EXPECT_FALSE(key_of_jwk(other)) << other;
    }
}

TEST(KeyJwk, MembersAreStrictBase64url) {
    struct Case {
        std::string_view jwk;
        const char* member;
    };
    const Case cases[] = {
        {rfc7515_a1_key, "k"}, {rfc7515_a2_key, "n"},        {rfc7515_a2_key, "e"},
        {rfc7515_a2_key, "d"}, {rfc7515_a3_public_key, "x"}, {rfc8037_a2_key, "x"},
    };
    for (const auto& [jwk, member] : cases) {
        const std::string text = base64url::encode(member_bytes(jwk, member));
        ASSERT_TRUE(key_of_jwk(with_member(jwk, member, json_text(text))));
        std::string changed = text;
        changed[changed.size() / 2] = '+';
        for (const std::string& bad : {text + "=", text + " ", "\n" + text, changed}) {
            EXPECT_FALSE(key_of_jwk(with_member(jwk, member, json_text(bad)))) << member;
        }
        EXPECT_FALSE(key_of_jwk(with_member(jwk, member, "1"))) << member;
    }
}

TEST(KeyJwk, UnknownMembersAreIgnored) {
    EXPECT_TRUE(key_of_jwk(with_member(with_member(rfc7515_a3_key, "x5c", "1"), "else", "{}")));
}

TEST(KeyJwk, SecretServesWhatItIsLongEnoughFor) {
    const auto served = [](std::size_t size) {
        const auto key = key_of_jwk(R"({"kty":"oct","k":)" + json_base64url(std::string(size, 's')) + "}");
        return key ? names((*key)->verifies()) : key.error().message.substr(0, key.error().message.find(','));
    };
    EXPECT_EQ(served(31), "has 31 bytes");
    EXPECT_EQ(served(32), "HS256");
    EXPECT_EQ(served(48), "HS256 HS384");
    EXPECT_EQ(served(64), "HS256 HS384 HS512");
    EXPECT_EQ(served(0), "has 0 bytes");
}

TEST(KeyJwk, MessagesHoldNoControlCharacters) {
    const auto refused = key_of_jwk(R"({"kty":"\r\n\u001b[2J\u202e)" + std::string(300, 'x') + "\"}");
    ASSERT_FALSE(refused);
    EXPECT_LT(refused.error().message.size(), 200U);
    for (const char c : refused.error().message) {
        EXPECT_FALSE(c >= 0 && c < ' ');
    }
}

TEST(KeyExport, IsReadBackAsTheSameKey) {
    for (std::size_t i = 0; i < algorithm_count; ++i) {
        const auto algorithm = static_cast<Algorithm>(i);
        if (algorithm > Algorithm::rs256 && algorithm < Algorithm::ps512) {
            continue;  // RSA keys take long to make
        }
        SCOPED_TRACE(std::string(name(algorithm)));
        const auto made = generate_key(algorithm).value();
        EXPECT_TRUE(made->verifies().has(algorithm));
        EXPECT_TRUE(made->signs().has(algorithm));
        const std::string signature = sign(*made, algorithm, "x");

        const auto again = key_of_jwk(made->private_jwk());
        ASSERT_TRUE(again) << again.error().message;
        EXPECT_EQ((*again)->private_jwk(), made->private_jwk());
        EXPECT_EQ((*again)->verifies(), made->verifies());
        EXPECT_EQ((*again)->kid(), made->kid());
        EXPECT_TRUE(signature_matches(**again, algorithm, "x", signature));
        EXPECT_TRUE(signature_matches(*made, algorithm, "x", sign(**again, algorithm, "x")));

        const auto published = made->public_jwk();
        EXPECT_EQ(published.has_value(), !is_hmac(algorithm));
        EXPECT_EQ(made->kid().has_value(), !is_hmac(algorithm));
        if (published) {
            const auto half = key_of_jwk(*published);
            ASSERT_TRUE(half) << half.error().message;
            EXPECT_EQ((*half)->public_jwk(), published);
            EXPECT_EQ((*half)->private_jwk(), *published);
            EXPECT_TRUE((*half)->signs().empty());
            EXPECT_TRUE(signature_matches(**half, algorithm, "x", signature));
            EXPECT_EQ(made->public_half(made)->public_jwk(), published);
        }
        EXPECT_EQ(ERR_peek_error(), 0U);
    }
}

TEST(KeyExport, PublishesNoPrivateMember) {
    for (const Algorithm algorithm : {Algorithm::rs256, Algorithm::es256, Algorithm::ed25519}) {
        const auto key = generate_key(algorithm).value();
        json::Parser parser;
        json::Document document;
        std::vector<std::string> members;
        parser.parse(*key->public_jwk(), document)->each_member([&](std::string_view member, json::Value) {
            members.emplace_back(member);
        });
        for (const char* const secret : {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}) {
            EXPECT_EQ(std::find(members.begin(), members.end(), secret), members.end()) << secret;
        }
        EXPECT_EQ(members.front(), "kty");
        EXPECT_EQ((std::vector(members.end() - 3, members.end())), (std::vector<std::string>{"kid", "use", "alg"}));
    }
}

TEST(KeyExport, NamesTheAlgorithmWhereThereIsOne) {
    const auto has_alg = [](const std::shared_ptr<const Key>& key) {
        return key->public_jwk()->find("\"alg\"") != std::string::npos;
    };
    EXPECT_FALSE(has_alg(key_of_jwk(rfc7515_a2_key).value()));
    EXPECT_TRUE(has_alg(key_of_jwk(with_member(rfc7515_a2_key, "alg", R"("RS256")")).value()));
    EXPECT_TRUE(has_alg(key_of_jwk(rfc7515_a3_key).value()));
    EXPECT_FALSE(has_alg(key_of_jwk(rfc8037_a1_key).value()));
}

TEST(KeyExport, PublicHalfVerifiesWhatAKeyForSigningAloneSigns) {
    const auto key = key_of_jwk(with_member(rfc7515_a3_key, "key_ops", R"(["sign"])")).value();
    const std::string signature = sign(*key, Algorithm::es256, "x");
    EXPECT_FALSE(signature_matches(*key, Algorithm::es256, "x", signature));
    const auto half = key->public_half(key);
    EXPECT_TRUE(signature_matches(*half, Algorithm::es256, "x", signature));
    EXPECT_EQ(half->public_half(half), half);
    const auto secret = key_of_jwk(rfc7515_a1_key).value();
    EXPECT_EQ(secret->public_half(secret), nullptr);
}

TEST(KeyExport, ThumbprintsAreThoseOfTheRfcs) {
    EXPECT_EQ(thumbprint(key_of_jwk(rfc7638_key).value()->material()),
              "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");  // RFC 7638 §3.1
    EXPECT_EQ(thumbprint(key_of_jwk(rfc8037_a1_key).value()->material()),
              "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");  // RFC 8037 A.3
}

TEST(KeyGenerate, MakesRsaKeysOfTheSizeAskedFor) {
    EXPECT_EQ(generate_key(Algorithm::ps256, 2560).value()->description(), "RSA 2560-bit private key");
    EXPECT_FALSE(generate_key(Algorithm::ps256, 1024));
    EXPECT_FALSE(generate_key(Algorithm::ps256, 16384));
    EXPECT_EQ(generate_key(Algorithm::hs384).value()->description(), "HMAC secret of 48 bytes");
    EXPECT_EQ(generate_key(Algorithm::eddsa).value()->description(), "Ed25519 private key");
}

TEST(Key, LeavesNoErrorBehind) {
    for (const std::string& jwk : {with_member(rfc7515_a3_public_key, "y", json_base64url(std::string(32, 'x'))),
                                   with_member(rfc7515_a2_key, "n", json_base64url(std::string(256, '\xff'))),
                                   okp_jwk("Ed25519", std::string(32, '\0'))}) {
        ERR_raise(ERR_LIB_USER, ERR_R_INTERNAL_ERROR);
        EXPECT_FALSE(key_of_jwk(jwk));
        EXPECT_EQ(ERR_peek_error(), 0U);
    }
    EXPECT_FALSE(Key::from_secret("0123", {Algorithm::hs256}));
    EXPECT_EQ(ERR_peek_error(), 0U);
}

}  // namespace
}  // namespace jwt
