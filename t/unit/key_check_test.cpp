#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "key.hpp"
#include "key_tools.hpp"
#include "known_keys.hpp"

// What numbers and points a key may have, by type.
namespace jwt {
namespace {

std::string rsa_jwk(const std::string& n, const std::string& e) {
    return R"({"kty":"RSA","n":)" + json_base64url(n) + R"(,"e":)" + json_base64url(e) + "}";
}

TEST(KeyRsa, HasAModulusOf2048To8192Bits) {
    const auto modulus = [](std::size_t bits) {
        std::string n(bits / 8, '\x5b');
        n.front() = '\x80';
        return n;
    };
    const std::string e("\x01\x00\x01", 3);
    for (const std::size_t bits : {2048U, 3072U, 4096U, 8192U}) {
        EXPECT_TRUE(key_of_jwk(rsa_jwk(modulus(bits), e))) << bits;
    }
    for (const std::size_t bits : {8U, 512U, 1024U, 2040U, 8200U, 16384U}) {
        EXPECT_FALSE(key_of_jwk(rsa_jwk(modulus(bits), e))) << bits;
    }
    EXPECT_TRUE(mentions(key_of_jwk(rsa_jwk(modulus(1024), e)), "1024 bits"));
    std::string just_below = modulus(2048);
    just_below.front() = '\x7f';
    EXPECT_TRUE(mentions(key_of_jwk(rsa_jwk(just_below, e)), "2047 bits"));
    std::string even = modulus(2048);
    even.back() = '\x5a';
    EXPECT_TRUE(mentions(key_of_jwk(rsa_jwk(even, e)), "even"));
    EXPECT_FALSE(key_of_jwk(rsa_jwk("", e)));
}

TEST(KeyRsa, HasAnOddExponentOf3To33Bits) {
    const std::string n = member_bytes(rfc7515_a2_key, "n");
    for (const char* const hex : {"03", "11", "010001", "01ffffffff"}) {
        EXPECT_TRUE(key_of_jwk(rsa_jwk(n, bytes_of_hex(hex)))) << hex;
    }
    for (const char* const hex : {"", "00", "01", "02", "04", "010000", "0200000001", "0100000000000001"}) {
        EXPECT_FALSE(key_of_jwk(rsa_jwk(n, bytes_of_hex(hex)))) << hex;
    }
}

TEST(KeyRsa, WithTheRocaFingerprintIsRefused) {
    // A number that is a power of 65537 modulo every prime up to 167, as those of CVE-2017-15361 are.
    const std::unique_ptr<BN_CTX, decltype(&BN_CTX_free)> context(BN_CTX_new(), BN_CTX_free);
    const Number primorial(BN_new(), BN_free);
    BN_one(primorial.get());
    for (BN_ULONG candidate = 2; candidate <= 167; ++candidate) {
        bool is_prime = true;
        for (BN_ULONG divisor = 2; divisor * divisor <= candidate; ++divisor) {
            is_prime = is_prime && candidate % divisor != 0;
        }
        if (is_prime) {
            BN_mul_word(primorial.get(), candidate);
        }
    }
    const Number n(BN_new(), BN_free);
    BN_one(n.get());
    BN_lshift(n.get(), n.get(), 2047);
    const Number quotient(BN_new(), BN_free);
    BN_div(quotient.get(), nullptr, n.get(), primorial.get(), context.get());
    BN_add_word(quotient.get(), 1);
    BN_mul(n.get(), quotient.get(), primorial.get(), context.get());
    const Number power(BN_new(), BN_free);
    BN_set_word(power.get(), 65537);
    BN_mod_sqr(power.get(), power.get(), primorial.get(), context.get());
    BN_add(n.get(), n.get(), power.get());

    const auto bytes = [&] {
        std::string out(256, '\0');
        BN_bn2binpad(n.get(), reinterpret_cast<unsigned char*>(out.data()), 256);
        return out;
    };
    const std::string e("\x01\x00\x01", 3);
    EXPECT_TRUE(mentions(key_of_jwk(rsa_jwk(bytes(), e)), "ROCA"));
    BN_add_word(n.get(), 2);
    EXPECT_TRUE(key_of_jwk(rsa_jwk(bytes(), e)));
}

TEST(KeyRsa, PrivateMembersMustBeThereAndBelongTogether) {
    ASSERT_TRUE(key_of_jwk(rfc7515_a2_key));
    for (const char* const member : {"p", "q", "dp", "dq", "qi"}) {
        EXPECT_TRUE(mentions(key_of_jwk(with_member(rfc7515_a2_key, member, "")), "beside d")) << member;
        EXPECT_FALSE(key_of_jwk(with_member(rfc7515_a2_key, member, "1"))) << member;
    }
    const auto other = generate_key(Algorithm::rs256).value()->private_jwk();
    EXPECT_TRUE(mentions(key_of_jwk(with_member(rfc7515_a2_key, "n", json_base64url(member_bytes(other, "n")))),
                         "does not match"));
    EXPECT_FALSE(key_of_jwk(with_member(rfc7515_a2_key, "oth", "[]")));
    // Without d it is a public key, whatever else is in it.
    EXPECT_TRUE(key_of_jwk(with_member(rfc7515_a2_key, "d", "")).value()->signs().empty());
}

TEST(KeyEc, HasAPointOnItsCurve) {
    for (const std::string_view good : {rfc7515_a3_public_key, rfc7515_a4_key, rfc7520_4_3_key}) {
        ASSERT_TRUE(key_of_jwk(good));
        for (const char* const member : {"x", "y"}) {
            std::string bytes = member_bytes(good, member);
            bytes.back() = static_cast<char>(bytes.back() ^ 1);
            EXPECT_TRUE(mentions(key_of_jwk(with_member(good, member, json_base64url(bytes))), "not on its curve"));
            // RFC 7518 §6.2.1.2: the full length, no more and no less.
            for (const std::string& size : {bytes + '\0', '\0' + bytes, bytes.substr(1), std::string()}) {
                EXPECT_FALSE(key_of_jwk(with_member(good, member, json_base64url(size))));
            }
            EXPECT_FALSE(key_of_jwk(with_member(good, member, "")));
            EXPECT_FALSE(key_of_jwk(with_member(good, member, "null")));
        }
        const std::string zero = json_base64url(std::string(member_bytes(good, "x").size(), '\0'));
        EXPECT_FALSE(key_of_jwk(with_member(with_member(good, "x", zero), "y", zero)));
    }
}

TEST(KeyEc, StaysOnTheCurveThatItNames) {
    const std::string k1 = generate_key(Algorithm::es256k).value()->public_jwk().value();
    ASSERT_TRUE(key_of_jwk(with_member(k1, "alg", "")));
    EXPECT_FALSE(key_of_jwk(with_member(with_member(k1, "alg", ""), "crv", R"("P-256")")));
    EXPECT_FALSE(key_of_jwk(with_member(rfc7515_a3_public_key, "crv", R"("secp256k1")")));
    for (const char* const crv : {R"("p-256")", R"("P-256K")", R"("prime256v1")", R"("Ed25519")", R"("")", "1", ""}) {
        EXPECT_FALSE(key_of_jwk(with_member(rfc7515_a3_public_key, "crv", crv))) << crv;
    }
}

TEST(KeyEc, PrivateHalfMustMatch) {
    EXPECT_TRUE(key_of_jwk(rfc7515_a3_key));
    std::string d = member_bytes(rfc7515_a3_key, "d");
    EXPECT_FALSE(key_of_jwk(with_member(rfc7515_a3_key, "d", json_base64url(d.substr(1)))));
    EXPECT_FALSE(key_of_jwk(with_member(rfc7515_a3_key, "d", json_base64url(std::string(32, '\0')))));
    EXPECT_FALSE(key_of_jwk(with_member(rfc7515_a3_key, "d", json_base64url(std::string(32, '\xff')))));
    d.back() = static_cast<char>(d.back() ^ 1);
    EXPECT_TRUE(mentions(key_of_jwk(with_member(rfc7515_a3_key, "d", json_base64url(d))), "does not match"));
}

TEST(KeyOkp, OfSmallOrderIsRefusedInEveryEncoding) {
    struct Case {
        const char* crv;
        std::string_view good;
        std::vector<const char*> y;  // 0, 1, p-1, the unreduced p and p+1, and those of order 8
    };
    const Case cases[] = {
        {"Ed25519",
         rfc8037_a2_key,
         {"0000000000000000000000000000000000000000000000000000000000000000",
          "0100000000000000000000000000000000000000000000000000000000000000",
          "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
          "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
          "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
          "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
          "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"}},
        {"Ed448",
         ed448_key,
         {"000000000000000000000000000000000000000000000000000000000000"
          "000000000000000000000000000000000000000000000000000000",
          "010000000000000000000000000000000000000000000000000000000000"
          "000000000000000000000000000000000000000000000000000000",
          "fefffffffffffffffffffffffffffffffffffffffffffffffffffffffeff"
          "ffffffffffffffffffffffffffffffffffffffffffffffffffff00",
          "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffeff"
          "ffffffffffffffffffffffffffffffffffffffffffffffffffff00",
          "00000000000000000000000000000000000000000000000000000000ffff"
          "ffffffffffffffffffffffffffffffffffffffffffffffffffff00"}},
    };
    for (const auto& [crv, good, encodings] : cases) {
        EXPECT_TRUE(key_of_jwk(okp_jwk(crv, member_bytes(good, "x"))));
        for (const char* const hex : encodings) {
            std::string x = bytes_of_hex(hex);
            EXPECT_FALSE(key_of_jwk(okp_jwk(crv, x))) << hex;
            x.back() = static_cast<char>(x.back() | '\x80');
            EXPECT_FALSE(key_of_jwk(okp_jwk(crv, x))) << hex << " with the sign of x";
        }
    }
    EXPECT_TRUE(mentions(key_of_jwk(okp_jwk("Ed25519", std::string(32, '\0'))), "small order"));
    EXPECT_TRUE(mentions(key_of_jwk(okp_jwk("Ed25519", '\x01' + std::string(31, '\0'))), "small order"));
    EXPECT_TRUE(mentions(key_of_jwk(okp_jwk("Ed448", std::string(57, '\0'))), "small order"));
}

TEST(KeyOkp, HasAPointOnItsCurve) {
    // Of the small y some are on the curve and some are not.
    const auto jwk_of_y = [](const char* crv, std::size_t size, int y) {
        std::string x(size, '\0');
        x.front() = static_cast<char>(y);
        return okp_jwk(crv, x);
    };
    for (const int y : {3, 4, 5, 6, 9, 10}) {
        EXPECT_TRUE(key_of_jwk(jwk_of_y("Ed25519", 32, y))) << y;
    }
    for (const int y : {2, 7, 8, 11}) {
        EXPECT_TRUE(mentions(key_of_jwk(jwk_of_y("Ed25519", 32, y)), "not on its curve")) << y;
    }
    for (const int y : {3, 4, 5, 7, 8, 9}) {
        EXPECT_TRUE(key_of_jwk(jwk_of_y("Ed448", 57, y))) << y;
    }
    for (const int y : {2, 6, 10, 11}) {
        EXPECT_TRUE(mentions(key_of_jwk(jwk_of_y("Ed448", 57, y)), "not on its curve")) << y;
    }
    // RFC 8032 §5.2.3: the last byte of Ed448 holds nothing but the sign.
    std::string x = member_bytes(ed448_key, "x");
    ASSERT_TRUE(key_of_jwk(okp_jwk("Ed448", x)));
    x.back() = static_cast<char>(x.back() | 1);
    EXPECT_FALSE(key_of_jwk(okp_jwk("Ed448", x)));
}

TEST(KeyOkp, GeneratedKeysAreOnTheirCurve) {
    for (int i = 0; i < 50; ++i) {
        EXPECT_TRUE(generate_key(Algorithm::ed25519));
        EXPECT_TRUE(generate_key(Algorithm::ed448));
    }
}

TEST(KeyOkp, HasTheSizeOfItsCurve) {
    const std::string x = member_bytes(rfc8037_a2_key, "x");
    for (const std::string& size : {x + '\0', '\0' + x, x.substr(1), std::string()}) {
        EXPECT_FALSE(key_of_jwk(okp_jwk("Ed25519", size)));
    }
    EXPECT_FALSE(key_of_jwk(okp_jwk("Ed448", x)));
}

TEST(KeyOkp, PrivateHalfMustMatch) {
    EXPECT_TRUE(key_of_jwk(rfc8037_a1_key));
    std::string d = member_bytes(rfc8037_a1_key, "d");
    EXPECT_FALSE(key_of_jwk(with_member(rfc8037_a1_key, "d", json_base64url(d.substr(1)))));
    d.back() = static_cast<char>(d.back() ^ 1);
    EXPECT_TRUE(mentions(key_of_jwk(with_member(rfc8037_a1_key, "d", json_base64url(d))), "does not match"));
}

TEST(KeyOkp, ForAgreementVerifiesNothing) {
    for (const std::string_view jwk : {rfc8037_a6_key, rfc8037_a7_key}) {
        const auto key = key_of_jwk(jwk).value();
        EXPECT_TRUE(key->verifies().empty());
        EXPECT_EQ(key->encrypts(), ecdh_managements);
        EXPECT_TRUE(key->decrypts().empty());
        EXPECT_TRUE(mentions(key_of_jwk(with_member(jwk, "use", R"("sig")")), "for encryption alone"));
        EXPECT_FALSE(key_of_jwk(with_member(jwk, "alg", R"("EdDSA")")));
    }
}

// RFC 7748 §6.1: the secret with them is zero, whoever makes it.
TEST(KeyOkp, ForAgreementIsOfLargeOrder) {
    const std::string low_order_8 = bytes_of_hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800");
    for (const std::string& x : {std::string(32, '\0'), '\1' + std::string(31, '\0'), low_order_8}) {
        EXPECT_TRUE(mentions(key_of_jwk(okp_jwk("X25519", x)), "small order"));
    }
    for (const std::string& x : {std::string(56, '\0'), '\1' + std::string(55, '\0')}) {
        EXPECT_TRUE(mentions(key_of_jwk(okp_jwk("X448", x)), "small order"));
    }
}

}  // namespace
}  // namespace jwt
