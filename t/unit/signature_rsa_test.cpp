#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "key_material.hpp"
#include "key_tools.hpp"
#include "random.hpp"
#include "rsa_verification.hpp"
#include "signature.hpp"

// PKCS#1 v1.5 beside EVP's verification, which must say the same of every signature.
namespace jwt {
namespace {

struct RsaCase {
    Algorithm algorithm;
    const EVP_MD* digest;
};
const std::array<RsaCase, 3> cases = {
    {{Algorithm::rs256, EVP_sha256()}, {Algorithm::rs384, EVP_sha384()}, {Algorithm::rs512, EVP_sha512()}}};

TestPkey new_rsa(int bits, std::uint64_t exponent) {
    const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
        EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr), EVP_PKEY_CTX_free);
    const Number e(BN_new(), BN_free);
    BN_set_word(e.get(), exponent);
    EVP_PKEY* pkey = nullptr;
    EVP_PKEY_keygen_init(context.get());
    EVP_PKEY_CTX_set_rsa_keygen_bits(context.get(), bits);
    EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context.get(), e.get());
    EVP_PKEY_generate(context.get(), &pkey);
    return owned(pkey);
}

/// Both halves in one: OpenSSL's handle as oracle and signer, and the public key as imported.
struct Pair {
    TestPkey pkey;
    std::shared_ptr<const Key> key;
    Number modulus{nullptr, BN_free};
    std::size_t size = 0;

    explicit Pair(TestPkey made) : pkey(std::move(made)), key(Key::from_pem(public_pem(pkey)).value()) {
        BIGNUM* n = nullptr;
        EVP_PKEY_get_bn_param(pkey.get(), OSSL_PKEY_PARAM_RSA_N, &n);
        modulus.reset(n);
        size = static_cast<std::size_t>(EVP_PKEY_get_size(pkey.get()));
    }
};

/// Every exponent that an import admits at its ends and the usual one; moduli of whole bytes and of a bit more.
const std::vector<Pair>& pairs() {
    static const std::vector<Pair> made = [] {
        std::vector<Pair> all;
        all.emplace_back(new_rsa(2048, 65537));
        all.emplace_back(new_rsa(2048, 3));
        all.emplace_back(new_rsa(2049, 17));
        all.emplace_back(new_rsa(2055, 0x1ffffffff));
        return all;
    }();
    return made;
}

std::string number_bytes(const BIGNUM* number, std::size_t size) {
    std::string out(size, '\0');
    return BN_bn2binpad(number, bytes_of(out), static_cast<int>(size)) < 0 ? "" : out;
}

std::string signature_by_openssl(const Pair& pair, const EVP_MD* digest, std::string_view input) {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    std::string signature(pair.size, '\0');
    std::size_t size = signature.size();
    EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, pair.pkey.get());
    EVP_DigestSign(context.get(), bytes_of(signature), &size, bytes_of(input), input.size());
    signature.resize(size);
    return signature;
}

bool openssl_accepts(const Pair& pair, const EVP_MD* digest, std::string_view input, std::string_view signature) {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    const bool accepts =
        EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, pair.pkey.get()) == 1 &&
        EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(input), input.size()) == 1;
    ERR_clear_error();
    return accepts;
}

/// The private operation alone: what a signer's own encoding becomes.
std::string signed_block(const Pair& pair, std::string_view block) {
    const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
        EVP_PKEY_CTX_new(pair.pkey.get(), nullptr), EVP_PKEY_CTX_free);
    std::string signature(pair.size, '\0');
    std::size_t size = signature.size();
    const bool made = EVP_PKEY_sign_init(context.get()) == 1 &&
                      EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_NO_PADDING) == 1 &&
                      EVP_PKEY_sign(context.get(), bytes_of(signature), &size, bytes_of(block), block.size()) == 1;
    return made && size == signature.size() ? signature : std::string();
}

std::string hash_of_input(const EVP_MD* digest, std::string_view input) {
    std::string hash(static_cast<std::size_t>(EVP_MD_get_size(digest)), '\0');
    EVP_Digest(input.data(), input.size(), bytes_of(hash), nullptr, digest, nullptr);
    return hash;
}

TEST(SignatureRsa, IsJudgedAsByOpenssl) {
    for (const Pair& pair : pairs()) {
        SCOPED_TRACE(pair.key->description());
        for (const auto& [algorithm, digest] : cases) {
            SCOPED_TRACE(std::string(name(algorithm)));
            const auto judged = [&pair, algorithm, digest](std::string_view input, std::string_view signature) {
                const bool matches = signature_matches(*pair.key, algorithm, input, signature);
                EXPECT_EQ(matches, openssl_accepts(pair, digest, input, signature));
                return matches;
            };
            for (int round = 0; round < 4; ++round) {
                const std::string input = random_bytes(static_cast<std::size_t>(round) * 211);
                const std::string good = signature_by_openssl(pair, digest, input);
                ASSERT_EQ(good.size(), pair.size);
                EXPECT_TRUE(judged(input, good));
                for (std::size_t i = static_cast<std::size_t>(round); i < good.size(); i += 4) {
                    std::string changed = good;
                    changed[i] = static_cast<char>(changed[i] ^ (1 << (i % 8)));
                    EXPECT_FALSE(judged(input, changed)) << "byte " << i;
                }
                EXPECT_FALSE(judged(input, random_bytes(pair.size)));
                EXPECT_FALSE(judged(input, std::string(pair.size - 100, '\0') + random_bytes(100)));
                EXPECT_FALSE(judged(input + 'x', good));
                EXPECT_TRUE(judged(input, good));
            }
        }
    }
}

TEST(SignatureRsa, IsANumberBelowTheModulusInAllOfItsBytes) {
    for (const Pair& pair : pairs()) {
        SCOPED_TRACE(pair.key->description());
        const std::string good = signature_by_openssl(pair, EVP_sha256(), "x");
        const auto matches = [&pair](std::string_view signature) {
            const bool ours = signature_matches(*pair.key, Algorithm::rs256, "x", signature);
            EXPECT_EQ(ours, openssl_accepts(pair, EVP_sha256(), "x", signature));
            return ours;
        };
        ASSERT_TRUE(matches(good));
        for (const std::string_view cut : {good.substr(1), good.substr(0, good.size() - 1), std::string()}) {
            EXPECT_FALSE(matches(cut));
        }
        EXPECT_FALSE(matches('\0' + good));
        EXPECT_FALSE(matches(good + '\0'));
        EXPECT_FALSE(matches(good + good));

        // s + n is the same residue; 0, 1, n - 1, n and n + 1 are their own powers.
        const Number s(BN_bin2bn(bytes_of(good), static_cast<int>(good.size()), nullptr), BN_free);
        BN_add(s.get(), s.get(), pair.modulus.get());
        const std::string more = number_bytes(s.get(), pair.size);
        EXPECT_FALSE(matches(more.empty() ? number_bytes(s.get(), pair.size + 1) : more));
        for (const int offset : {-1, 0, 1}) {
            const Number near(BN_dup(pair.modulus.get()), BN_free);
            offset < 0 ? BN_sub_word(near.get(), 1) : BN_add_word(near.get(), static_cast<BN_ULONG>(offset));
            EXPECT_FALSE(matches(number_bytes(near.get(), pair.size))) << offset;
        }
        EXPECT_FALSE(matches(std::string(pair.size, '\0')));
        EXPECT_FALSE(matches(std::string(pair.size - 1, '\0') + '\x01'));
        EXPECT_FALSE(matches(std::string(pair.size, '\xff')));
        EXPECT_TRUE(matches(good));
    }
    // Of a modulus that is not of whole bytes, s + n has as many bytes as s: the case above was one of both.
    EXPECT_TRUE(std::any_of(pairs().begin(), pairs().end(),
                            [](const Pair& pair) { return BN_num_bits(pair.modulus.get()) % 8 == 1; }));
}

TEST(SignatureRsa, KeepsItsLeadingZeros) {
    const Pair& pair = pairs().front();
    for (int i = 0; i < 5000; ++i) {
        const std::string input = std::to_string(i);
        const std::string signature = signature_by_openssl(pair, EVP_sha256(), input);
        if (signature.front() == '\0') {  // one in some 200
            EXPECT_TRUE(signature_matches(*pair.key, Algorithm::rs256, input, signature));
            EXPECT_FALSE(signature_matches(*pair.key, Algorithm::rs256, input, signature.substr(1)));
            return;
        }
    }
    FAIL() << "no signature began with a zero";
}

TEST(SignatureRsa, IsOfItsOwnHash) {
    const Pair& pair = pairs().front();
    for (const auto& [signed_with, digest] : cases) {
        const std::string signature = signature_by_openssl(pair, digest, "x");
        for (const auto& [algorithm, other] : cases) {
            EXPECT_EQ(signature_matches(*pair.key, algorithm, "x", signature), algorithm == signed_with);
        }
    }
    EXPECT_FALSE(signature_matches(*pair.key, Algorithm::rs256, "x", signature_by_openssl(pair, EVP_sha1(), "x")));
    EXPECT_FALSE(
        signature_matches(*pair.key, Algorithm::rs256, "x", signature_by_openssl(pair, EVP_sha512_256(), "x")));
}

// CVE-2006-4339, CVE-2016-1494 and their heirs: what a lax reader of a block takes for the one that it should be.
TEST(SignatureRsa, HasTheOneBlockThatItsHashMakes) {
    const std::string info = bytes_of_hex("3031300d060960864801650304020105000420");
    const std::string hash = hash_of_input(EVP_sha256(), "x");
    for (const Pair& pair : pairs()) {
        SCOPED_TRACE(pair.key->description());
        const auto padded = [&pair](const std::string& content, const std::string& type = std::string("\0\1", 2)) {
            return type + std::string(pair.size - type.size() - 1 - content.size(), '\xff') + '\0' + content;
        };
        const auto filled_up = [&pair](const std::string& start) {
            return start + std::string(pair.size - start.size(), '\0');
        };
        const auto changed = [&](std::size_t at, char byte) {
            std::string block = padded(info + hash);
            block[at] = byte;
            return block;
        };
        const auto matches = [&pair](const std::string& block) {
            const std::string signature = signed_block(pair, block);
            EXPECT_EQ(signature.size(), pair.size);
            const bool ours = signature_matches(*pair.key, Algorithm::rs256, "x", signature);
            EXPECT_EQ(ours, openssl_accepts(pair, EVP_sha256(), "x", signature));
            return ours;
        };
        EXPECT_TRUE(matches(padded(info + hash)));
        const std::string short_padding = std::string("\0\1", 2) + std::string(8, '\xff') + '\0';
        const std::vector<std::string> blocks = {
            filled_up(short_padding + info + hash),
            filled_up(std::string("\0\1", 2) + '\0' + info + hash),
            filled_up(padded(info + hash).substr(1)),
            '\0' + padded(info + hash).substr(0, pair.size - 1),
            padded(info + hash + '\0'),
            padded(info + hash + std::string("\x05\0", 2)),
            padded(info + hash.substr(1)),
            padded(info + hash.substr(0, 31)),
            padded(info + std::string(32, '\0')),
            padded(info + hash_of_input(EVP_sha256(), "y")),
            padded(hash),
            padded(""),
            padded(info),
            padded(hash + info),
            padded(bytes_of_hex("302f300b0609608648016503040201") + bytes_of_hex("0420") + hash),  // no parameters
            padded(bytes_of_hex("3032300e06096086480165030402010500000420") + hash),               // and more of them
            padded(bytes_of_hex("3031300d0609608648016503040201040004") + bytes_of_hex("20") + hash),
            padded(bytes_of_hex("308131300d060960864801650304020105000420") + hash),  // lengths in more bytes
            padded(bytes_of_hex("303230810d060960864801650304020105000420") + hash),
            padded(bytes_of_hex("3032300d06096086480165030402010500048120") + hash),
            padded(bytes_of_hex("3080300d060960864801650304020105000420") + hash + bytes_of_hex("0000")),
            padded(bytes_of_hex("3031300d060960864801650304020105000320") + hash),  // BIT STRING
            padded(bytes_of_hex("3041300d060960864801650304020205000430") + hash_of_input(EVP_sha384(), "x")),
            padded(bytes_of_hex("3031300d060960864801650304020205000420") + hash),
            padded(bytes_of_hex("3021300906052b0e03021a05000414") + hash_of_input(EVP_sha1(), "x")),
            padded(info + hash, std::string("\0\2", 2)),
            padded(info + hash, std::string("\0\0", 2)),
            padded(info + hash, std::string("\1", 1)),
            padded(info + hash, std::string("\0", 1)),
            changed(2, '\xfe'),
            changed(2, '\0'),
            changed(20, '\0'),
            changed(20, '\x7f'),
            changed(pair.size - 52, '\xff'),  // the zero before the structure
            changed(pair.size - 52, '\1'),
            changed(pair.size - 53, '\0'),
        };
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            const Number number(BN_bin2bn(bytes_of(blocks[i]), static_cast<int>(pair.size), nullptr), BN_free);
            if (BN_cmp(number.get(), pair.modulus.get()) < 0) {
                EXPECT_FALSE(matches(blocks[i])) << "block " << i;
            } else {
                EXPECT_EQ(BN_num_bits(pair.modulus.get()) % 8, 1) << "block " << i;  // 1 in its first byte
            }
        }
        // Every byte but the first, which would carry the number beyond the modulus, must be what it is.
        for (std::size_t at = 1; at < pair.size; at += 3) {
            EXPECT_FALSE(matches(changed(at, static_cast<char>(padded(info + hash)[at] ^ 1)))) << "byte " << at;
        }
    }
}

TEST(SignatureRsa, IsRaisedToTheExponent) {
    const std::unique_ptr<BN_CTX, decltype(&BN_CTX_free)> context(BN_CTX_new(), BN_CTX_free);
    for (const Pair& pair : pairs()) {
        SCOPED_TRACE(pair.key->description());
        const auto verifier = RsaVerifier::of(pair.pkey.get());
        ASSERT_NE(verifier, nullptr);
        EXPECT_EQ(verifier->size(), pair.size);
        BIGNUM* read = nullptr;
        EVP_PKEY_get_bn_param(pair.pkey.get(), OSSL_PKEY_PARAM_RSA_E, &read);
        const Number exponent(read, BN_free);
        const Number expected(BN_new(), BN_free);
        std::vector<std::string> bases = {std::string(pair.size, '\0'), number_bytes(BN_value_one(), pair.size)};
        for (std::size_t zeros = 1; zeros < pair.size; zeros += 5) {
            bases.push_back(std::string(zeros, '\0') + random_bytes(pair.size - zeros));
        }
        for (const std::string& base : bases) {
            const Number plain(BN_bin2bn(bytes_of(base), static_cast<int>(base.size()), nullptr), BN_free);
            ASSERT_EQ(BN_mod_exp(expected.get(), plain.get(), exponent.get(), pair.modulus.get(), context.get()), 1);
            const BIGNUM* const message = verifier->message_of(base);
            ASSERT_NE(message, nullptr);
            EXPECT_EQ(BN_cmp(message, expected.get()), 0);
        }
        EXPECT_EQ(verifier->message_of(number_bytes(pair.modulus.get(), pair.size)), nullptr);
    }
}

TEST(SignatureRsa, IsOfShaTwoInAModulusThatHoldsIt) {
    EXPECT_TRUE(Pkcs1Encoding::of(256, 32));
    EXPECT_FALSE(Pkcs1Encoding::of(256, 20));
    EXPECT_FALSE(Pkcs1Encoding::of(256, 0));
    EXPECT_TRUE(Pkcs1Encoding::of(19 + 64 + 11, 64));  // RFC 8017 §9.2 step 3
    EXPECT_FALSE(Pkcs1Encoding::of(19 + 64 + 10, 64));
}

}  // namespace
}  // namespace jwt
