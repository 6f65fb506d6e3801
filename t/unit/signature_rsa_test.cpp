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

// RSA beside OpenSSL's own verification, which must say the same of every signature.
namespace jwt {
namespace {

struct Scheme {
    Algorithm algorithm;
    const EVP_MD* digest;
    bool pss;
};
const std::array<Scheme, 6> schemes = {{{Algorithm::rs256, EVP_sha256(), false},
                                        {Algorithm::rs384, EVP_sha384(), false},
                                        {Algorithm::rs512, EVP_sha512(), false},
                                        {Algorithm::ps256, EVP_sha256(), true},
                                        {Algorithm::ps384, EVP_sha384(), true},
                                        {Algorithm::ps512, EVP_sha512(), true}}};
const Scheme& rs256 = schemes[0];
const Scheme& ps256 = schemes[3];

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

bool set_padding(EVP_PKEY_CTX* context, bool pss) {
    return !pss || (EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
                    EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1);
}

std::string signature_by_openssl(const Pair& pair, const Scheme& scheme, std::string_view input) {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    EVP_PKEY_CTX* padding = nullptr;
    std::string signature(pair.size, '\0');
    std::size_t size = signature.size();
    const bool made = EVP_DigestSignInit(context.get(), &padding, scheme.digest, nullptr, pair.pkey.get()) == 1 &&
                      set_padding(padding, scheme.pss) &&
                      EVP_DigestSign(context.get(), bytes_of(signature), &size, bytes_of(input), input.size()) == 1;
    return made && size == pair.size ? signature : std::string();
}

bool openssl_accepts(const Pair& pair, const Scheme& scheme, std::string_view input, std::string_view signature) {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    EVP_PKEY_CTX* padding = nullptr;
    const bool accepts =
        EVP_DigestVerifyInit(context.get(), &padding, scheme.digest, nullptr, pair.pkey.get()) == 1 &&
        set_padding(padding, scheme.pss) &&
        EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(input), input.size()) == 1;
    ERR_clear_error();
    return accepts;
}

/// What both say, of all but the length: OpenSSL takes a PSS signature without its leading zeros (RFC 8017 §8.1.2 step
/// 1 does not).
bool judged(const Pair& pair, const Scheme& scheme, std::string_view input, std::string_view signature) {
    const bool matches = signature_matches(*pair.key, scheme.algorithm, input, signature);
    EXPECT_EQ(matches, signature.size() == pair.size && openssl_accepts(pair, scheme, input, signature));
    return matches;
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
        for (const Scheme& scheme : schemes) {
            SCOPED_TRACE(std::string(name(scheme.algorithm)));
            for (int round = 0; round < 3; ++round) {
                const std::string input = random_bytes(static_cast<std::size_t>(round) * 211);
                const std::string good = signature_by_openssl(pair, scheme, input);
                EXPECT_TRUE(judged(pair, scheme, input, good));
                for (std::size_t i = static_cast<std::size_t>(round); i < good.size(); i += 5) {
                    std::string changed = good;
                    changed[i] = static_cast<char>(changed[i] ^ (1 << (i % 8)));
                    EXPECT_FALSE(judged(pair, scheme, input, changed)) << "byte " << i;
                }
                EXPECT_FALSE(judged(pair, scheme, input, random_bytes(pair.size)));
                EXPECT_FALSE(judged(pair, scheme, input, std::string(pair.size - 100, '\0') + random_bytes(100)));
                EXPECT_FALSE(judged(pair, scheme, input + 'x', good));
                EXPECT_TRUE(judged(pair, scheme, input, good));
            }
        }
    }
}

TEST(SignatureRsa, IsANumberBelowTheModulusInAllOfItsBytes) {
    int of_equal_size = 0;
    for (const Pair& pair : pairs()) {
        SCOPED_TRACE(pair.key->description());
        for (const Scheme& scheme : {rs256, ps256}) {
            const std::string good = signature_by_openssl(pair, scheme, "x");
            const auto matches = [&](std::string_view signature) { return judged(pair, scheme, "x", signature); };
            ASSERT_TRUE(matches(good));
            EXPECT_FALSE(matches(good.substr(1)));
            EXPECT_FALSE(matches(good.substr(0, good.size() - 1)));
            EXPECT_FALSE(matches(""));
            EXPECT_FALSE(matches('\0' + good));
            EXPECT_FALSE(matches(good + '\0'));
            EXPECT_FALSE(matches(good + good));

            // s + n is the same residue; 0, 1, n - 1, n and n + 1 are their own powers.
            const Number s(BN_bin2bn(bytes_of(good), static_cast<int>(good.size()), nullptr), BN_free);
            BN_add(s.get(), s.get(), pair.modulus.get());
            const std::string more = number_bytes(s.get(), pair.size);
            of_equal_size += more.empty() ? 0 : 1;
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
    }
    EXPECT_GE(of_equal_size, 4);  // always, where the modulus has a bit or seven in its first byte
}

TEST(SignatureRsa, KeepsItsLeadingZeros) {
    const Pair& pair = pairs()[2];  // with one bit in the first byte of its modulus, that is in every other signature
    for (const Scheme& scheme : {rs256, ps256}) {
        bool found = false;
        for (int i = 0; i < 100 && !found; ++i) {
            const std::string input = std::to_string(i);
            const std::string signature = signature_by_openssl(pair, scheme, input);
            found = signature.front() == '\0';
            EXPECT_TRUE(judged(pair, scheme, input, signature));
            EXPECT_FALSE(judged(pair, scheme, input, signature.substr(1)));
        }
        EXPECT_TRUE(found);
    }
}

TEST(SignatureRsa, IsOfItsOwnScheme) {
    const Pair& pair = pairs().front();
    for (const Scheme& own : schemes) {
        const std::string signature = signature_by_openssl(pair, own, "x");
        for (const Scheme& other : schemes) {
            EXPECT_EQ(judged(pair, other, "x", signature), own.algorithm == other.algorithm);
        }
    }
    for (const EVP_MD* const digest : {EVP_sha1(), EVP_sha512_256(), EVP_sha3_256()}) {
        for (const Scheme& scheme : {rs256, ps256}) {
            const Scheme foreign = {scheme.algorithm, digest, scheme.pss};
            const std::string signature = signature_by_openssl(pair, foreign, "x");
            EXPECT_TRUE(openssl_accepts(pair, foreign, "x", signature));
            EXPECT_FALSE(judged(pair, scheme, "x", signature));
        }
    }
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
            return judged(pair, rs256, "x", signature);
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

/// A block of PSS to the letter (RFC 8017 §9.1.1), but for what is changed.
struct PssBlock {
    std::string hash;  // of the input
    std::string salt = random_bytes(32);
    std::string padding;
    char separator = '\x01';
    std::string zeros = std::string(8, '\0');
    const EVP_MD* mask_digest = EVP_sha256();
    char trailer = '\xbc';

    PssBlock(std::string_view input, std::size_t bits)
        : hash(hash_of_input(EVP_sha256(), input)), padding((bits + 7) / 8 - 2 - 32 - 32, '\0') {}

    [[nodiscard]] std::string text(std::size_t bits, std::size_t changed_hash_byte = 32) const {
        std::string h = hash_of_input(EVP_sha256(), zeros + hash + salt);
        std::string block = padding + separator + salt;
        std::string mask;
        for (char counter = 0; mask.size() < block.size(); ++counter) {
            mask += hash_of_input(mask_digest, h + std::string("\0\0\0", 3) + counter);
        }
        for (std::size_t i = 0; i < block.size(); ++i) {
            block[i] = static_cast<char>(block[i] ^ mask[i]);
        }
        block[0] = static_cast<char>(block[0] & (0xff >> (8 - bits % 8) % 8));
        if (changed_hash_byte < h.size()) {
            h[changed_hash_byte] = static_cast<char>(h[changed_hash_byte] ^ 1);
        }
        return block + h + trailer;
    }
};

TEST(SignatureRsa, OfPssHasABlockOfItsForm) {
    for (const Pair& pair : pairs()) {
        SCOPED_TRACE(pair.key->description());
        const auto bits = static_cast<std::size_t>(BN_num_bits(pair.modulus.get())) - 1;
        const PssBlock right("x", bits);
        const auto matches = [&pair](const std::string& block) {
            // Where the modulus has a bit more than its block, it has a byte more.
            const std::string signature = signed_block(pair, std::string(pair.size - block.size(), '\0') + block);
            EXPECT_EQ(signature.size(), pair.size);
            return judged(pair, ps256, "x", signature);
        };
        const auto matches_with = [&](auto change) {
            PssBlock block = right;
            change(block);
            return matches(block.text(bits));
        };
        ASSERT_TRUE(matches(right.text(bits)));
        EXPECT_TRUE(matches_with([](PssBlock& block) { block.salt = std::string(32, '\0'); }));
        EXPECT_TRUE(matches_with([](PssBlock& block) { block.salt = std::string(32, '\1'); }));
        for (const char byte : {'\0', '\2', '\x81', '\xff'}) {
            EXPECT_FALSE(matches_with([byte](PssBlock& block) { block.separator = byte; }));
        }
        for (const char byte : {'\0', '\x3c', '\xbd', '\xcc'}) {
            EXPECT_FALSE(matches_with([byte](PssBlock& block) { block.trailer = byte; }));
        }
        for (std::size_t at = 1; at < right.padding.size(); at += 6) {
            EXPECT_FALSE(matches_with([at](PssBlock& block) { block.padding[at] = '\x10'; })) << at;
        }
        EXPECT_FALSE(matches_with([](PssBlock& block) { block.padding.back() = '\1'; }));
        EXPECT_FALSE(matches_with([](PssBlock& block) { block.padding.front() = '\1'; }));
        for (const std::size_t salt_size : {0U, 1U, 31U, 33U, 64U}) {
            EXPECT_FALSE(matches_with([salt_size](PssBlock& block) {
                block.padding.resize(block.padding.size() + 32 - salt_size);
                block.salt = random_bytes(salt_size);
            })) << salt_size;
        }
        for (const EVP_MD* const mask : {EVP_sha1(), EVP_sha384(), EVP_sha512()}) {
            EXPECT_FALSE(matches_with([mask](PssBlock& block) { block.mask_digest = mask; }));
        }
        EXPECT_FALSE(matches_with([](PssBlock& block) { block.zeros.clear(); }));
        EXPECT_FALSE(matches_with([](PssBlock& block) { block.zeros.back() = '\1'; }));
        EXPECT_FALSE(matches_with([](PssBlock& block) { block.hash = hash_of_input(EVP_sha256(), "y"); }));
        for (std::size_t at = 0; at < 32; ++at) {
            EXPECT_FALSE(matches(right.text(bits, at))) << at;
        }
        EXPECT_FALSE(matches(std::string(right.text(bits).size(), '\0')));

        // The bit above the block's (RFC 8017 §9.1.2 step 6): where all else is right, one block in eight or more is
        // still below the modulus.
        bool found = false;
        for (int round = 0; round < 300 && !found; ++round) {
            PssBlock block = right;
            block.salt = random_bytes(32);
            std::string high = block.text(bits);
            high.insert(0, pair.size - high.size(), '\0');
            char& byte = high[pair.size - 1 - bits / 8];
            byte = static_cast<char>(byte | (1 << (bits % 8)));
            const Number number(BN_bin2bn(bytes_of(high), static_cast<int>(high.size()), nullptr), BN_free);
            found = BN_cmp(number.get(), pair.modulus.get()) < 0;
            EXPECT_FALSE(found && matches(high));
        }
        EXPECT_TRUE(found);
    }
}

TEST(SignatureRsa, IsRaisedToTheExponent) {
    const std::unique_ptr<BN_CTX, decltype(&BN_CTX_free)> context(BN_CTX_new(), BN_CTX_free);
    for (const Pair& pair : pairs()) {
        SCOPED_TRACE(pair.key->description());
        const auto verifier = RsaVerifier::of(pair.pkey.get());
        ASSERT_NE(verifier, nullptr);
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
