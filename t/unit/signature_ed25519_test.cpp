#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "ed25519.hpp"
#include "key_tools.hpp"
#include "random.hpp"
#include "signature.hpp"

// libsodium's verification beside OpenSSL's: the same of every signature, but for an R of small order.
namespace jwt {
namespace {

Number number_of(std::string_view little_endian) {
    return {BN_lebin2bn(bytes_of(little_endian), static_cast<int>(little_endian.size()), nullptr), BN_free};
}

std::string little_endian(const BIGNUM* number) {
    std::string out(32, '\0');
    return BN_bn2lebinpad(number, bytes_of(out), 32) == 32 ? out : std::string();
}

// RFC 8032 §5.1: L and p.
Number group_order() {
    return number_of(bytes_of_hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010"));
}

Number prime() {
    return number_of(bytes_of_hex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"));
}

/// A key pair whose secret scalar is known (RFC 8032 §5.1.5).
struct Pair {
    TestPkey pkey = owned(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
    std::string encoded = std::string(32, '\0');
    Number scalar{nullptr, BN_free};

    Pair() {
        std::size_t size = 32;
        EVP_PKEY_get_raw_public_key(pkey.get(), bytes_of(encoded), &size);
        std::string seed(32, '\0');
        EVP_PKEY_get_raw_private_key(pkey.get(), bytes_of(seed), &size);
        std::string hash(64, '\0');
        EVP_Digest(seed.data(), seed.size(), bytes_of(hash), nullptr, EVP_sha512(), nullptr);
        hash[0] = static_cast<char>(hash[0] & '\xf8');
        hash[31] = static_cast<char>((hash[31] & '\x7f') | '\x40');
        scalar = number_of(std::string_view(hash).substr(0, 32));
    }

    [[nodiscard]] std::string sign(std::string_view input) const {
        const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
        std::string signature(64, '\0');
        std::size_t size = signature.size();
        EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, pkey.get());
        EVP_DigestSign(context.get(), bytes_of(signature), &size, bytes_of(input), input.size());
        return signature;
    }
};

/// A public key on both sides.
struct Verifiers {
    std::shared_ptr<const Key> key;
    TestPkey pkey;

    explicit Verifiers(const std::string& encoded)
        : key(key_of_jwk(okp_jwk("Ed25519", encoded)).value()),
          pkey(owned(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(encoded), encoded.size()))) {}

    [[nodiscard]] bool ours(std::string_view input, std::string_view signature) const {
        const bool matches = signature_matches(*key, Algorithm::ed25519, input, signature);
        EXPECT_EQ(signature_matches(*key, Algorithm::eddsa, input, signature), matches);
        return matches;
    }
    [[nodiscard]] bool openssl(std::string_view input, std::string_view signature) const {
        const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
        const bool accepts =
            EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, pkey.get()) == 1 &&
            EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(input), input.size()) == 1;
        ERR_clear_error();
        return accepts;
    }
    /// What both say.
    [[nodiscard]] bool judged(std::string_view input, std::string_view signature) const {
        const bool matches = ours(input, signature);
        EXPECT_EQ(matches, openssl(input, signature));
        return matches;
    }
};

/// h of RFC 8032 §5.1.7 step 2.
Number challenge(const std::string& r, const std::string& key, const std::string& input) {
    const std::string all = r + key + input;
    std::string hash(64, '\0');
    EVP_Digest(all.data(), all.size(), bytes_of(hash), nullptr, EVP_sha512(), nullptr);
    Number h = number_of(hash);
    const std::unique_ptr<BN_CTX, decltype(&BN_CTX_free)> context(BN_CTX_new(), BN_CTX_free);
    BN_nnmod(h.get(), h.get(), group_order().get(), context.get());
    return h;
}

/// h·a: the S for which S·B - h·A is the identity, of a key a·B, and of one beside it a point of small order.
std::string scalar_without_r(const BIGNUM* h, const Pair& pair) {
    const std::unique_ptr<BN_CTX, decltype(&BN_CTX_free)> context(BN_CTX_new(), BN_CTX_free);
    const Number s(BN_new(), BN_free);
    BN_mod_mul(s.get(), h, pair.scalar.get(), group_order().get(), context.get());
    return little_endian(s.get());
}

const std::string identity = '\x01' + std::string(31, '\0');
const std::string of_order_2 = bytes_of_hex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");

TEST(SignatureEd25519, IsJudgedAsByOpenssl) {
    for (int round = 0; round < 12; ++round) {
        const Pair pair;
        const Verifiers verifiers(pair.encoded);
        // Around the blocks of SHA-512, which R and the key begin, and longer.
        for (const std::size_t size : {0U, 1U, 47U, 48U, 63U, 64U, 65U, 175U, 176U, 500U, 16384U}) {
            const std::string input = random_bytes(size);
            EXPECT_TRUE(verifiers.judged(input, pair.sign(input))) << size;
            EXPECT_FALSE(verifiers.judged(input, random_bytes(64))) << size;
        }
        const std::string input = random_bytes(300);
        const std::string good = pair.sign(input);
        for (std::size_t i = 0; i < good.size(); ++i) {
            std::string changed = good;
            changed[i] = static_cast<char>(changed[i] ^ (1 << ((i + static_cast<std::size_t>(round)) % 8)));
            EXPECT_FALSE(verifiers.judged(input, changed)) << "byte " << i;
            EXPECT_FALSE(verifiers.judged(input, good.substr(0, i))) << "length " << i;
        }
        EXPECT_FALSE(verifiers.judged(input, good + '\0'));
        EXPECT_FALSE(verifiers.judged(input + ' ', good));
        EXPECT_FALSE(Verifiers(Pair().encoded).judged(input, good));
        EXPECT_TRUE(verifiers.judged(input, good));
    }
    EXPECT_FALSE(Verifiers(Pair().encoded).ours({}, std::string(64, 'x')));
}

TEST(SignatureEd25519, HasAScalarBelowTheGroupsOrder) {
    const Number order = group_order();
    for (int round = 0; round < 8; ++round) {
        const Pair pair;
        const Verifiers verifiers(pair.encoded);
        const std::string good = pair.sign("x");
        ASSERT_TRUE(verifiers.judged("x", good));
        const std::string r = good.substr(0, 32);
        // S + L, S + 2·L …, while they fit: the same residue, and so a second text of one signature.
        const Number s = number_of(good.substr(32));
        for (int times = 0;; ++times) {
            BN_add(s.get(), s.get(), order.get());
            const std::string more = little_endian(s.get());
            if (more.empty()) {
                EXPECT_GE(times, 14);
                break;
            }
            EXPECT_FALSE(verifiers.judged("x", r + more)) << times;
        }
        EXPECT_FALSE(verifiers.judged("x", r + little_endian(order.get())));
        EXPECT_FALSE(verifiers.judged("x", r + std::string(32, '\0')));
        EXPECT_FALSE(verifiers.judged("x", r + std::string(32, '\xff')));
        for (const char bit : {'\x80', '\x40', '\x20', '\x10'}) {
            std::string high = good;
            high.back() = static_cast<char>(high.back() ^ bit);
            EXPECT_FALSE(verifiers.judged("x", high));
        }
    }
}

TEST(SignatureEd25519, HasAnRInItsOneEncoding) {
    const Number p = prime();
    const Number beyond(BN_dup(p.get()), BN_free);
    BN_add_word(beyond.get(), 1);
    std::string with_sign = identity;
    with_sign.back() = '\x80';
    const std::string unreduced = little_endian(beyond.get());
    std::string unreduced_with_sign = unreduced;
    unreduced_with_sign.back() = '\xff';
    for (int round = 0; round < 8; ++round) {
        const Pair pair;
        const Verifiers verifiers(pair.encoded);
        const std::string input = random_bytes(40);
        // The equation holds for each of them: only their text is wrong.
        for (const std::string& r : {with_sign, unreduced, unreduced_with_sign}) {
            EXPECT_FALSE(verifiers.judged(input, r + scalar_without_r(challenge(r, pair.encoded, input).get(), pair)));
        }
        const std::string good = pair.sign(input);
        std::string other_sign = good;
        other_sign[31] = static_cast<char>(other_sign[31] ^ '\x80');
        EXPECT_FALSE(verifiers.judged(input, other_sign));
        EXPECT_TRUE(verifiers.judged(input, good));
    }
}

// The one difference: who signs draws r by a hash, and 0 is one of 2^252 values. OpenSSL takes it.
TEST(SignatureEd25519, HasNoRThatIsTheIdentity) {
    for (int round = 0; round < 8; ++round) {
        const Pair pair;
        const Verifiers verifiers(pair.encoded);
        const std::string input = random_bytes(40);
        const std::string signature = identity + scalar_without_r(challenge(identity, pair.encoded, input).get(), pair);
        EXPECT_TRUE(verifiers.openssl(input, signature));
        EXPECT_FALSE(verifiers.ours(input, signature));
        EXPECT_TRUE(verifiers.judged(input, pair.sign(input)));
    }
}

TEST(SignatureEd25519, OfSmallOrderInREverywhereIsRefused) {
    const Pair pair;
    const Verifiers verifiers(pair.encoded);
    ASSERT_TRUE(verifiers.judged("x", pair.sign("x")));
    for (const char* const hex : {"0000000000000000000000000000000000000000000000000000000000000000",
                                  "0100000000000000000000000000000000000000000000000000000000000000",
                                  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
                                  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"}) {
        for (const char sign : {'\0', '\x80'}) {
            std::string r = bytes_of_hex(hex);
            r.back() = static_cast<char>(r.back() | sign);
            EXPECT_FALSE(verifiers.ours("x", r + scalar_without_r(challenge(r, pair.encoded, "x").get(), pair)));
            EXPECT_FALSE(verifiers.judged("x", r + pair.sign("x").substr(32)));
            EXPECT_FALSE(verifiers.judged("x", r + std::string(32, '\0')));
        }
    }
}

// RFC 8032 §5.1.7 leaves a factor of 8 in the equation to the verifier. A key with a part of small order tells who has
// it: there, of an honest signer's signatures those hold without the factor whose h is even. Two verifiers that differ
// would not agree on who a token is from.
TEST(SignatureEd25519, FulfilsTheEquationWithoutTheCofactor) {
    const Number p = prime();
    for (int round = 0; round < 4; ++round) {
        const Pair pair;
        // (x, y) + (0, -1) = (-x, -y)
        std::string y_text = pair.encoded;
        const bool odd = (y_text.back() & '\x80') != 0;
        y_text.back() = static_cast<char>(y_text.back() & '\x7f');
        const Number y = number_of(y_text);
        BN_sub(y.get(), p.get(), y.get());
        std::string mixed = little_endian(y.get());
        mixed.back() = static_cast<char>(mixed.back() | (odd ? '\0' : '\x80'));
        const Verifiers verifiers(mixed);

        const std::unique_ptr<BN_CTX, decltype(&BN_CTX_free)> context(BN_CTX_new(), BN_CTX_free);
        std::array<int, 2> seen{};
        for (int i = 0; i < 24; ++i) {
            // R = r·B is that of some signature, its r = S - h·a for that signature's h.
            const std::string input = std::to_string(i);
            const std::string own = pair.sign(input);
            const std::string r_text = own.substr(0, 32);
            const Number r = number_of(own.substr(32));
            const Number product(BN_new(), BN_free);
            const Number own_h = challenge(r_text, pair.encoded, input);
            BN_mod_mul(product.get(), own_h.get(), pair.scalar.get(), group_order().get(), context.get());
            BN_mod_sub(r.get(), r.get(), product.get(), group_order().get(), context.get());
            const Number h = challenge(r_text, mixed, input);
            BN_mod_mul(product.get(), h.get(), pair.scalar.get(), group_order().get(), context.get());
            BN_mod_add(r.get(), r.get(), product.get(), group_order().get(), context.get());
            const bool holds = BN_is_odd(h.get()) == 0;
            EXPECT_EQ(verifiers.judged(input, r_text + little_endian(r.get())), holds);
            ++seen[holds ? 1 : 0];
            // With such a key the points of small order fulfil it as R, too: OpenSSL takes them, we take none.
            const Number h_of_2 = challenge(of_order_2, mixed, input);
            const std::string of_small_order = of_order_2 + scalar_without_r(h_of_2.get(), pair);
            EXPECT_EQ(verifiers.openssl(input, of_small_order), BN_is_odd(h_of_2.get()) == 1);
            EXPECT_FALSE(verifiers.ours(input, of_small_order));
        }
        EXPECT_GT(seen[0], 0);
        EXPECT_GT(seen[1], 0);
    }
}

}  // namespace
}  // namespace jwt
