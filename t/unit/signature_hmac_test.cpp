#include <gtest/gtest.h>
#include <openssl/hmac.h>

#include <array>
#include <string>

#include "fips.hpp"
#include "hmac_sha256.hpp"
#include "random.hpp"

namespace jwt {
namespace {

std::string by_openssl(const std::string& secret, const std::string& input) {
    std::string tag(HmacSha256::size, '\0');
    unsigned size = 0;
    EXPECT_NE(HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), openssl::bytes(input), input.size(),
                   reinterpret_cast<unsigned char*>(tag.data()), &size),
              nullptr);
    EXPECT_EQ(size, tag.size());
    return tag;
}

std::string ours(const HmacSha256& hmac, std::string_view input) {
    std::array<unsigned char, HmacSha256::size> tag;
    EXPECT_TRUE(hmac(input, tag));
    return {tag.begin(), tag.end()};
}

TEST(HmacSha256Test, SaysWhatOpensslSays) {
    // RFC 2104 §2: a secret longer than a block of 64 bytes is hashed.
    for (const std::size_t secret_size : {0U, 1U, 31U, 32U, 55U, 56U, 63U, 64U, 65U, 100U, 127U, 128U, 129U, 300U}) {
        const std::string secret = random_bytes(secret_size);
        const auto hmac = HmacSha256::of(secret);
        ASSERT_TRUE(hmac);
        for (std::size_t size = 0; size < 200; ++size) {
            const std::string input = random_bytes(size);
            EXPECT_EQ(ours(*hmac, input), by_openssl(secret, input)) << secret_size << ", " << size;
        }
        EXPECT_EQ(ours(*hmac, {}), by_openssl(secret, "")) << "no text at all";
    }
}

TEST(HmacSha256Test, DependsOnTheSecretAndOnAllOfTheText) {
    const std::string input = random_bytes(150);
    const auto hmac = HmacSha256::of("secret");
    const std::string tag = ours(*hmac, input);
    EXPECT_EQ(ours(*HmacSha256::of("secret"), input), tag);
    EXPECT_EQ(ours(HmacSha256(*hmac), input), tag);
    EXPECT_NE(ours(*HmacSha256::of("Secret"), input), tag);
    for (std::size_t i = 0; i < input.size(); ++i) {
        std::string changed = input;
        changed[i] = static_cast<char>(changed[i] ^ (1 << (i % 8)));
        EXPECT_NE(ours(*hmac, changed), tag) << i;
    }
}

TEST(HmacSha256Test, IsLeftToProvidersWhereFipsIsWanted) {
    ASSERT_TRUE(HmacSha256::of("secret"));
    {
        const FipsWanted wanted;
        EXPECT_FALSE(HmacSha256::of("secret"));
    }
    EXPECT_TRUE(HmacSha256::of("secret"));
}

}  // namespace
}  // namespace jwt
