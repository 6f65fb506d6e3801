#include "jwe.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base64url.hpp"
#include "content_encryption.hpp"
#include "key_agreement.hpp"
#include "key_tools.hpp"
#include "known_keys.hpp"
#include "token.hpp"

namespace jwt {
namespace {

using Opened = tl::expected<std::string, std::string>;

/// The plaintext, or the word of the refusal.
Opened opened(std::string_view token, const KeySet& keys, jwe::Zip zip = jwe::Zip::refused) {
    json::Parser parser;
    auto parsed = jwe::parse(token, parser, zip);
    if (!parsed) {
        return tl::unexpected(std::string(word(parsed.error().error)));
    }
    const auto decrypted = jwe::decrypt(*std::move(parsed), keys);
    EXPECT_EQ(ERR_peek_error(), 0U);
    if (!decrypted) {
        return tl::unexpected(std::string(word(decrypted.error().error)));
    }
    return std::string(decrypted->plaintext());
}

KeySet set_of(std::shared_ptr<const Key> key) {
    KeySet set;
    set.add(std::move(key));
    return set;
}

std::string verdict(std::string_view token, const KeySet& keys) {
    const Opened result = opened(token, keys);
    return result ? "opened" : result.error();
}

/// The token's five segments.
std::vector<std::string> split(std::string_view token) {
    std::vector<std::string> parts;
    for (;;) {
        const std::size_t dot = token.find('.');
        parts.emplace_back(token.substr(0, dot));
        if (dot == std::string_view::npos) {
            return parts;
        }
        token.remove_prefix(dot + 1);
    }
}

std::string joined(const std::vector<std::string>& parts) {
    std::string token;
    for (const std::string& part : parts) {
        token += (token.empty() && &part == parts.data() ? "" : ".") + part;
    }
    return token;
}

std::string with_segment(std::string_view token, std::size_t index, const std::string& bytes) {
    auto parts = split(token);
    parts[index] = base64url::encode(bytes);
    return joined(parts);
}

std::string segment(std::string_view token, std::size_t index) {
    return base64url::decode(split(token)[index]).value();
}

std::string with_header(std::string_view token, std::string_view header) {
    return with_segment(token, 0, std::string(header));
}

constexpr ContentEncryption encryption_at(std::size_t i) {
    return static_cast<ContentEncryption>(i);
}

/// A key for each management, made once.
std::shared_ptr<const Key> key_for(KeyManagement management,
                                   ContentEncryption encryption = ContentEncryption::a256gcm) {
    static const auto rsa = owned(EVP_RSA_gen(2048));
    if (rsa_managements.has(management)) {
        return Key::from_pem(private_pem(rsa)).value();
    }
    return generate_encryption_key(management, encryption).value();
}

TEST(Jwe, EveryManagementWithEveryEncryptionComesBack) {
    for (std::size_t m = 0; m < key_management_count; ++m) {
        for (std::size_t e = 0; e < content_encryption_count; ++e) {
            const auto management = static_cast<KeyManagement>(m);
            const auto key = key_for(management, encryption_at(e));
            SCOPED_TRACE(std::string(name(management)) + " " + std::string(name(encryption_at(e))));
            for (const std::string& text :
                 {std::string(), std::string("Live long and prosper."), std::string(300, 'x')}) {
                const std::string token = jwe::encrypt(text, *key, management, encryption_at(e), "");
                EXPECT_EQ(opened(token, set_of(key)).value_or("refused"), text);
            }
        }
    }
}

TEST(Jwe, EveryCurveComesBack) {
    for (const char* const curve : {"P-256", "P-384", "P-521", "X25519", "X448"}) {
        for (std::size_t e = 0; e < content_encryption_count; ++e) {
            const auto key = generate_encryption_key(KeyManagement::ecdh_es, encryption_at(e), curve).value();
            const std::string token =
                jwe::encrypt("text", *key->public_half(key), KeyManagement::ecdh_es, encryption_at(e), "");
            EXPECT_EQ(opened(token, set_of(key)).value_or("refused"), "text") << curve;
            EXPECT_EQ(verdict(token, set_of(key->public_half(key))), "algorithm_not_allowed");
        }
    }
    EXPECT_FALSE(generate_encryption_key(KeyManagement::ecdh_es, ContentEncryption::a128gcm, "secp256k1"));
    EXPECT_FALSE(generate_encryption_key(KeyManagement::ecdh_es, ContentEncryption::a128gcm, "Ed25519"));
}

// RFC 7516 §5.2 step 17, §11.5: whatever was changed, the answer is one.
TEST(Jwe, EveryChangedByteIsOneRefusal) {
    for (std::size_t m = 0; m < key_management_count; ++m) {
        const auto management = static_cast<KeyManagement>(m);
        const bool costly = rsa_managements.has(management);
        for (const ContentEncryption encryption : {ContentEncryption::a128cbc_hs256, ContentEncryption::a256gcm}) {
            const auto key = key_for(management, encryption);
            const KeySet keys = set_of(key);
            const std::string token = jwe::encrypt("Live long and prosper.", *key, management, encryption, "");
            SCOPED_TRACE(token);
            ASSERT_EQ(verdict(token, keys), "opened");
            for (std::size_t i = 1; i < 5; ++i) {
                const std::string bytes = segment(token, i);
                for (std::size_t at = 0; at < bytes.size(); at += costly && i == 1 ? 50 : 1) {
                    std::string changed = bytes;
                    changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 8)));
                    EXPECT_EQ(verdict(with_segment(token, i, changed), keys), "decryption");
                }
                for (std::size_t size = 0; size < bytes.size(); size += costly && i == 1 ? 50 : 1) {
                    EXPECT_EQ(verdict(with_segment(token, i, bytes.substr(0, size)), keys), "decryption");
                }
                for (const std::size_t more : {1U, 2U, 8U, 16U}) {
                    EXPECT_EQ(verdict(with_segment(token, i, bytes + std::string(more, '\0')), keys), "decryption");
                }
                auto parts = split(token);
                parts[i] += parts[i].size() % 4 == 1 ? "=" : "!";
                EXPECT_EQ(verdict(joined(parts), keys), "decryption");
            }
            const std::string header = segment(token, 0);
            EXPECT_EQ(verdict(with_header(token, header.substr(0, header.size() - 1) + ",\"x\":1}"), keys),
                      "decryption");
            EXPECT_EQ(verdict(with_header(token, header + " "), keys), "decryption");
        }
    }
}

TEST(Jwe, AnotherKeyIsARefusal) {
    for (const KeyManagement management :
         {KeyManagement::dir, KeyManagement::a128kw, KeyManagement::a256gcmkw, KeyManagement::rsa_oaep_256,
          KeyManagement::ecdh_es, KeyManagement::ecdh_es_a192kw}) {
        const auto key = generate_encryption_key(management).value();
        const auto other = generate_encryption_key(management).value();
        const std::string token = jwe::encrypt("x", *key, management, ContentEncryption::a256gcm, "");
        EXPECT_EQ(verdict(token, set_of(other)), "decryption");
        KeySet both = set_of(other);
        both.add(key);
        EXPECT_EQ(verdict(token, both), "opened");
    }
}

TEST(Jwe, HeaderDecidesNothingThatTheKeyDoesNot) {
    const auto key = generate_encryption_key(KeyManagement::a256kw).value();
    const KeySet keys = set_of(key);
    const std::string token = jwe::encrypt("x", *key, KeyManagement::a256kw, ContentEncryption::a256gcm, "");
    const auto with = [&](std::string_view header) { return verdict(with_header(token, header), keys); };
    EXPECT_EQ(with(R"({"enc":"A256GCM"})"), "algorithm_missing");
    for (const char* const alg :
         {R"("RSA1_5")", R"("PBES2-HS256+A128KW")", R"("none")", R"("a256kw")", R"("A256KW ")", R"("A256KW\u0000")",
          R"(["A256KW"])", "null", "1", R"("HS256")", R"("A256GCM")", R"("")"}) {
        EXPECT_EQ(with(std::string(R"({"enc":"A256GCM","alg":)") + alg + "}"), "algorithm_not_allowed") << alg;
    }
    for (const char* const alg : {"dir", "A128KW", "A192KW", "A256GCMKW", "RSA-OAEP", "ECDH-ES", "ECDH-ES+A256KW"}) {
        EXPECT_EQ(with(std::string(R"({"enc":"A256GCM","alg":")") + alg + "\"}"), "algorithm_not_allowed") << alg;
    }
    for (const char* const enc :
         {R"("a256gcm")", R"("A256GCM ")", R"(["A256GCM"])", "null", R"("none")", R"("A256CBC")", R"("A256KW")"}) {
        EXPECT_EQ(with(std::string(R"({"alg":"A256KW","enc":)") + enc + "}"), "encryption_not_allowed") << enc;
    }
    EXPECT_EQ(with(R"({"alg":"A256KW"})"), "encryption_not_allowed");
    EXPECT_EQ(with(R"({"alg":"A256KW","enc":"A256GCM","crit":["exp"],"exp":1})"), "critical");
    EXPECT_EQ(with(R"({"alg":"A256KW","enc":"A256GCM","crit":[]})"), "critical");
    EXPECT_EQ(with(R"({"alg":"A256KW","enc":"A256GCM","kid":1})"), "kid_type");
    EXPECT_EQ(with(R"({"alg":"A256KW","alg":"A256KW","enc":"A256GCM"})"), "header_json");
    EXPECT_EQ(with(R"({"alg":"A256KW","\u0061lg":"dir","enc":"A256GCM"})"), "header_json");
    EXPECT_EQ(with(R"(["A256KW"])"), "header_json");
    for (const char* const zip : {R"("DEF")", R"("def")", "null", R"("GZ")", R"(["DEF"])"}) {
        EXPECT_EQ(with(std::string(R"({"alg":"A256KW","enc":"A256GCM","zip":)") + zip + "}"), "compressed") << zip;
    }
}

TEST(Jwe, HasFiveSegments) {
    const auto key = generate_encryption_key(KeyManagement::a256kw).value();
    const std::string token = jwe::encrypt("x", *key, KeyManagement::a256kw, ContentEncryption::a256gcm, "");
    for (const std::string& text : {std::string(), std::string("."), std::string("..."), token + ".", "." + token,
                                    token.substr(0, token.rfind('.')), token + ".x", std::string(8000, '.')}) {
        EXPECT_EQ(verdict(text, set_of(key)), "segments") << text.size();
    }
    EXPECT_EQ(verdict(token + std::string(max_token_size, 'A'), set_of(key)), "too_long");
    EXPECT_EQ(verdict("....", set_of(key)), "header_json");
}

// Row 55 of the attack catalogue.
TEST(Jwe, EncryptedKeyAndContentKeyHaveOneLength) {
    const auto direct = generate_encryption_key(KeyManagement::dir, ContentEncryption::a128gcm).value();
    const std::string token = jwe::encrypt("x", *direct, KeyManagement::dir, ContentEncryption::a128gcm, "");
    EXPECT_EQ(verdict(token, set_of(direct)), "opened");
    for (const std::size_t size : {1U, 8U, 16U, 24U}) {
        EXPECT_EQ(verdict(with_segment(token, 1, std::string(size, 'k')), set_of(direct)), "decryption");
    }
    // A key of 16 bytes under an encryption that has keys of 32.
    const auto kw = generate_encryption_key(KeyManagement::a256kw).value();
    const std::string wrapped = jwe::encrypt("x", *kw, KeyManagement::a256kw, ContentEncryption::a128gcm, "");
    EXPECT_EQ(verdict(with_header(wrapped, R"({"alg":"A256KW","enc":"A256GCM"})"), set_of(kw)), "decryption");
    for (const std::size_t size : {0U, 7U, 8U, 16U, 17U, 23U, 25U, 32U, 40U}) {
        EXPECT_EQ(verdict(with_segment(wrapped, 1, std::string(size, 'k')), set_of(kw)), "decryption") << size;
    }
    // A128CBC-HS256 and A256GCM have keys of one size, and dir serves the one that its alg names.
    const auto gcm = generate_encryption_key(KeyManagement::dir, ContentEncryption::a256gcm).value();
    const std::string sealed = jwe::encrypt("x", *gcm, KeyManagement::dir, ContentEncryption::a256gcm, "");
    EXPECT_EQ(verdict(with_header(sealed, R"({"alg":"dir","enc":"A128CBC-HS256"})"), set_of(gcm)), "decryption");
}

// Row 56: points off the curve, of another curve, of small order; private members; encodings.
TEST(Jwe, EphemeralKeyIsAPublicKeyOfTheCurve) {
    const auto refused = [](const std::shared_ptr<const Key>& key, std::string_view alg, const std::string& epk,
                            std::string_view more = "") {
        const std::string header = R"({"alg":")" + std::string(alg) + R"(","enc":"A128GCM")" + std::string(more) +
                                   (epk.empty() ? "" : ",\"epk\":" + epk) + "}";
        const std::string token = base64url::encode(header) + "..AAAAAAAAAAAAAAAA.AA.AAAAAAAAAAAAAAAAAAAAAA";
        EXPECT_EQ(verdict(token, set_of(key)), "decryption") << header;
    };
    const auto ec = generate_encryption_key(KeyManagement::ecdh_es).value();
    const std::string good = with_member(rfc7515_a3_public_key, "kid", "");
    for (const std::string& epk :
         {std::string(), std::string("null"), std::string("[]"), std::string("{}"), std::string(rfc7515_a3_key),
          with_member(good, "crv", R"("P-384")"), with_member(good, "crv", R"("p-256")"),
          with_member(good, "kty", R"("OKP")"), with_member(good, "y", ""), with_member(good, "x", R"("")"),
          with_member(good, "x", json_base64url(std::string(32, '\0'))),
          with_member(good, "y", json_base64url(member_bytes(good, "x"))),
          with_member(good, "x", json_base64url('\0' + member_bytes(good, "x"))),
          with_member(with_member(good, "x", json_base64url("")), "y", json_base64url("")),
          with_member(good, "x", json_base64url(std::string(32, '\xff'))), std::string(rfc8037_a6_key)}) {
        refused(ec, "ECDH-ES", epk);
    }
    for (const char* const info : {"apu", "apv"}) {
        for (const char* const value : {"1", "null", R"("a")", R"("AA==")", R"("A+AA")"}) {
            refused(ec, "ECDH-ES", good, ",\"" + std::string(info) + "\":" + value);
        }
    }
    const auto x25519 = generate_encryption_key(KeyManagement::ecdh_es, ContentEncryption::a128gcm, "X25519").value();
    const std::string low_order_8 = bytes_of_hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800");
    for (const std::string& x : {std::string(32, '\0'), '\1' + std::string(31, '\0'), low_order_8, std::string(31, 'x'),
                                 std::string(33, 'x')}) {
        refused(x25519, "ECDH-ES", okp_jwk("X25519", x));
    }
    refused(x25519, "ECDH-ES", okp_jwk("X448", std::string(56, 'x')));
    refused(x25519, "ECDH-ES", okp_jwk("Ed25519", std::string(32, 'x')));
}

// RFC 7518, appendix C.
TEST(Jwe, AgreesAsTheRfcDoes) {
    const auto bob = key_of_jwk(R"({"kty":"EC","crv":"P-256",
        "x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ","y":"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck",
        "d":"VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw"})")
                         .value();
    json::Parser parser;
    json::Document document;
    const auto header = parser
                            .parse(R"({"alg":"ECDH-ES","enc":"A128GCM","apu":"QWxpY2U","apv":"Qm9i",
        "epk":{"kty":"EC","crv":"P-256","x":"gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0",
               "y":"SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps"}})",
                                   document)
                            .value();
    const auto key = agreed_key(*EncryptionTools::fetch(), *bob, header, {"A128GCM", 16});
    ASSERT_TRUE(key);
    EXPECT_EQ(base64url::encode(key->view()), "VqqN6vgjbSBcIijNcacQGg");
}

// RFC 7516, appendix A.3.
TEST(Jwe, OpensTheTokenOfTheRfc) {
    const KeySet keys = set_of(key_of_jwk(R"({"kty":"oct","k":"GawgguFyGrWKav7AX4VKUg"})").value());
    EXPECT_EQ(opened("eyJhbGciOiJBMTI4S1ciLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0."
                     "6KB707dM9YTIgHtLvtgWQ8mKwboJW3of9locizkDTHzBC2IlrT1oOQ.AxY8DCtDaGlsbGljb3RoZQ."
                     "KDlTtXchhZTGufMYmOYGS4HffxPSUrfmqCHXaI9wOGY.U0m_YmjN04DJvceFICbCVQ",
                     keys)
                  .value_or("refused"),
              "Live long and prosper.");
}

TEST(Jwe, KidChoosesTheKey) {
    const auto named = [](std::string_view kid) {
        return key_of_jwk(with_member(generate_encryption_key(KeyManagement::a256kw).value()->private_jwk(), "kid",
                                      json_text(kid)))
            .value();
    };
    const auto a = named("a");
    const auto b = named("b");
    KeySet keys = set_of(b);
    keys.add(a);
    const std::string token = jwe::encrypt("x", *a, KeyManagement::a256kw, ContentEncryption::a128gcm, "");
    EXPECT_NE(segment(token, 0).find(R"("kid":"a")"), std::string::npos);
    EXPECT_EQ(verdict(token, keys), "opened");
    EXPECT_EQ(verdict(token, set_of(b)), "decryption");
    constexpr Recipient wanted{KeyManagement::a256kw, ContentEncryption::a128gcm};
    EXPECT_EQ(keys.candidates(wanted, "a").count, 1U);
    EXPECT_EQ(keys.candidates(wanted, std::nullopt).count, 2U);
    EXPECT_EQ(keys.candidates({KeyManagement::a128kw, ContentEncryption::a128gcm}, std::nullopt).count, 0U);
}

TEST(Jwe, TriesKeysOfTheRightShapeAlone) {
    KeySet keys;
    std::string token;
    for (const char* const curve : {"P-256", "P-384", "P-521", "X25519", "X448"}) {
        const auto key = generate_encryption_key(KeyManagement::ecdh_es, ContentEncryption::a128gcm, curve).value();
        token = jwe::encrypt("x", *key_of_jwk(with_member(key->private_jwk(), "kid", "")).value(),
                             KeyManagement::ecdh_es, ContentEncryption::a128gcm, "");
        keys.add(key);
    }
    EXPECT_EQ(verdict(token, keys), "opened");
    EXPECT_EQ(keys.candidates({KeyManagement::ecdh_es, ContentEncryption::a128gcm, "X448"}, std::nullopt).count, 1U);
    for (std::size_t e = 0; e < content_encryption_count; ++e) {
        const auto key = generate_encryption_key(KeyManagement::dir, encryption_at(e)).value();
        token = jwe::encrypt("x", *key, KeyManagement::dir, encryption_at(e), "");
        keys.add(key);
    }
    EXPECT_EQ(verdict(token, keys), "opened");
    EXPECT_EQ(keys.candidates({KeyManagement::dir, ContentEncryption::a256gcm}, std::nullopt).count, 1U);
}

TEST(Jwe, SaysWhoCanHaveMadeIt) {
    const auto made = [](KeyManagement management, std::string_view members) {
        const auto key = key_for(management);
        json::Parser parser;
        const std::string token = jwe::encrypt("x", *key, management, ContentEncryption::a256gcm, members);
        return jwe::decrypt(jwe::parse(token, parser).value(), set_of(key)).value();
    };
    for (std::size_t m = 0; m < key_management_count; ++m) {
        const auto management = static_cast<KeyManagement>(m);
        EXPECT_EQ(made(management, "").by_shared_secret(), management < KeyManagement::rsa_oaep) << name(management);
    }
    for (const char* const cty :
         {R"("JWT")", R"("jwt")", R"("application/jwt")", R"("at+jwt")", R"("application/AT+JWT")"}) {
        EXPECT_TRUE(made(KeyManagement::dir, std::string(",\"cty\":") + cty).is_nested()) << cty;
    }
    for (const char* const cty : {R"("")", R"("JW")", R"("JWTs")", R"("text/jwt")", R"("+jwt")", R"("text/at+jwt")",
                                  R"("at+jwts")", "1", R"(["JWT"])"}) {
        EXPECT_FALSE(made(KeyManagement::dir, std::string(",\"cty\":") + cty).is_nested()) << cty;
    }
    EXPECT_FALSE(made(KeyManagement::dir, ",\"typ\":\"JWT\"").is_nested());
}

// Row 59 of the attack catalogue, at a size that a test has time for.
TEST(Jwe, NothingIsUsedTwice) {
    std::set<std::string> ivs;
    std::set<std::string> keys;
    std::set<std::string> headers;
    constexpr std::size_t count = 2000;
    const auto wrapping = generate_encryption_key(KeyManagement::a256gcmkw).value();
    for (std::size_t i = 0; i < count; ++i) {
        const std::string token =
            jwe::encrypt("x", *wrapping, KeyManagement::a256gcmkw, ContentEncryption::a256gcm, "");
        ivs.insert(segment(token, 2));
        keys.insert(segment(token, 1));
        headers.insert(segment(token, 0));  // the iv of the key
    }
    EXPECT_EQ(ivs.size(), count);
    EXPECT_EQ(keys.size(), count);
    EXPECT_EQ(headers.size(), count);
}

TEST(Jwe, ThreadsMayShareKeys) {
    const std::vector<KeyManagement> all = {KeyManagement::dir, KeyManagement::a128kw, KeyManagement::a256gcmkw,
                                            KeyManagement::rsa_oaep_256, KeyManagement::ecdh_es};
    for (const KeyManagement management : all) {
        const auto key = key_for(management);
        const KeySet keys = set_of(key);
        const std::string token = jwe::encrypt("text", *key, management, ContentEncryption::a256gcm, "");
        std::vector<std::thread> threads;
        std::array<int, 4> good{};
        for (int& count : good) {
            threads.emplace_back([&] {
                for (int i = 0; i < 20; ++i) {
                    count += opened(token, keys).value_or("") == "text" ? 1 : 0;
                }
            });
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
        EXPECT_EQ(good, (std::array<int, 4>{20, 20, 20, 20})) << name(management);
    }
}

TEST(KeyEncryption, UseAlgAndOperationsDecide) {
    struct Case {
        std::string_view jwk;
        const char* member;
        const char* value;
        const char* verifies;
        const char* decrypts;
        const char* encrypts;
    };
    const std::string secret = R"({"kty":"oct","k":)" + json_base64url(std::string(32, 's')) + "}";
    const char* const ecdh = "ECDH-ES ECDH-ES+A128KW ECDH-ES+A192KW ECDH-ES+A256KW";
    const char* const oaep = "RSA-OAEP RSA-OAEP-256 RSA-OAEP-384 RSA-OAEP-512";
    const char* const kw = "dir A256KW A256GCMKW";
    const Case cases[] = {
        {rfc7515_a3_key, "x-none", "1", "ES256", ecdh, ecdh},
        {rfc7515_a3_key, "use", R"("enc")", "", ecdh, ecdh},
        {rfc7515_a3_key, "use", R"("sig")", "ES256", "", ""},
        {rfc7515_a3_key, "alg", R"("ES256")", "ES256", "", ""},
        {rfc7515_a3_key, "alg", R"("ECDH-ES+A192KW")", "", "ECDH-ES+A192KW", "ECDH-ES+A192KW"},
        {rfc7515_a3_key, "alg", R"("RSA-OAEP")", "refused", "", ""},
        {rfc7515_a3_key, "alg", R"("dir")", "refused", "", ""},
        {rfc7515_a3_key, "alg", R"("A256GCM")", "refused", "", ""},
        {rfc7515_a3_key, "key_ops", R"(["deriveKey"])", "", ecdh, ecdh},
        {rfc7515_a3_key, "key_ops", R"(["deriveBits","sign"])", "", ecdh, ecdh},
        {rfc7515_a3_key, "key_ops", R"(["decrypt"])", "refused", "", ""},
        {rfc7515_a3_key, "key_ops", "[]", "refused", "", ""},
        {rfc7515_a3_public_key, "key_ops", "[]", "", "", ecdh},
        {rfc7515_a3_public_key, "use", R"("enc")", "", "", ecdh},
        {rfc7515_a2_key, "use", R"("enc")", "", oaep, oaep},
        {rfc7515_a2_key, "key_ops", R"(["decrypt"])", "", oaep, ""},
        {rfc7515_a2_key, "key_ops", R"(["unwrapKey"])", "", oaep, ""},
        {rfc7515_a2_key, "key_ops", R"(["wrapKey","verify"])", "RS256 RS384 RS512 PS256 PS384 PS512", "", oaep},
        {rfc7515_a2_key, "alg", R"("RSA1_5")", "refused", "", ""},
        {rfc7515_a2_key, "alg", R"("RSA-OAEP-256")", "", "RSA-OAEP-256", "RSA-OAEP-256"},
        {rfc7515_a2_public_key, "use", R"("enc")", "", "", oaep},
        {secret, "x-none", "1", "HS256", kw, kw},
        {secret, "use", R"("enc")", "", kw, kw},
        {secret, "use", R"("sig")", "HS256", "", ""},
        {secret, "alg", R"("HS256")", "HS256", "", ""},
        {secret, "alg", R"("A256KW")", "", "A256KW", "A256KW"},
        {secret, "alg", R"("dir")", "", "dir", "dir"},
        {secret, "alg", R"("A128CBC-HS256")", "", "dir", "dir"},
        {secret, "alg", R"("A128KW")", "refused", "", ""},
        {secret, "alg", R"("A128GCM")", "refused", "", ""},
        {secret, "alg", R"("PBES2-HS256+A128KW")", "refused", "", ""},
        {secret, "key_ops", R"(["decrypt"])", "", kw, ""},
        {secret, "key_ops", R"(["unwrapKey"])", "", "A256KW A256GCMKW", ""},
        {rfc8037_a1_key, "use", R"("enc")", "refused", "", ""},
    };
    for (const auto& [jwk, member, value, verifies, decrypts, encrypts] : cases) {
        SCOPED_TRACE(std::string(jwk.substr(0, 40)) + " " + member + " " + value);
        const auto key = key_of_jwk(with_member(jwk, member, value));
        EXPECT_EQ(key ? names((*key)->verifies()) : "refused", verifies);
        EXPECT_EQ(key ? names((*key)->decrypts()) : "", decrypts);
        EXPECT_EQ(key ? names((*key)->encrypts()) : "", encrypts);
    }
    EXPECT_FALSE(key_of_jwk(with_member(with_member(secret, "use", R"("sig")"), "alg", R"("A256KW")")));
    EXPECT_FALSE(key_of_jwk(with_member(with_member(secret, "use", R"("enc")"), "alg", R"("HS256")")));
    EXPECT_EQ(names(key_of_jwk(with_member(secret, "alg", R"("A128CBC-HS256")")).value()->direct_encryptions()),
              "A128CBC-HS256");
    EXPECT_EQ(names(key_of_jwk(secret).value()->direct_encryptions()), "A128CBC-HS256 A256GCM");
}

TEST(KeyEncryption, SecretsHaveTheSizeOfAnEncryption) {
    for (const std::size_t size : {0U, 1U, 15U, 16U, 17U, 23U, 24U, 31U, 32U, 33U, 48U, 63U, 64U, 65U, 128U}) {
        const auto key = key_of_jwk(R"({"kty":"oct","use":"enc","k":)" + json_base64url(std::string(size, 's')) + "}");
        EXPECT_EQ(key.has_value(), size == 16 || size == 24 || size == 32 || size == 48 || size == 64) << size;
    }
    // What looks like a public key is no secret, whatever it is for.
    const std::string pem = "-----BEGIN PUBLIC KEY-----abcdefghijklmnopqrstuvwxyz0123456789ab";
    ASSERT_EQ(pem.size(), 64U);
    EXPECT_TRUE(mentions(key_of_jwk(R"({"kty":"oct","use":"enc","k":)" + json_base64url(pem) + "}"), "PEM text"));
}

TEST(KeyEncryption, GeneratedKeysAreReadBack) {
    for (std::size_t m = 0; m < key_management_count; ++m) {
        const auto management = static_cast<KeyManagement>(m);
        if (management > KeyManagement::rsa_oaep && rsa_managements.has(management)) {
            continue;  // RSA keys take long to make
        }
        const auto made = generate_encryption_key(management).value();
        const auto again = key_of_jwk(made->private_jwk());
        ASSERT_TRUE(again) << again.error().message;
        EXPECT_EQ((*again)->private_jwk(), made->private_jwk());
        EXPECT_NE(made->private_jwk().find(R"("use":"enc")"), std::string::npos);
        EXPECT_EQ((*again)->decrypts(), KeyManagementSet{management});
        EXPECT_TRUE((*again)->verifies().empty());
        EXPECT_EQ(made->public_jwk().has_value(), management >= KeyManagement::rsa_oaep);
        if (const auto half = made->public_half(made)) {
            EXPECT_EQ(half->encrypts(), KeyManagementSet{management});
            EXPECT_TRUE(half->decrypts().empty());
            EXPECT_EQ(half->public_jwk(), made->public_jwk());
        }
    }
}

}  // namespace
}  // namespace jwt
