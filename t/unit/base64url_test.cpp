#include "base64url.hpp"

#include <gtest/gtest.h>

#include <string>

namespace jwt {
namespace {

struct Pair {
    std::string_view bytes;
    std::string_view text;
};

// RFC 4648 §10 without its padding, RFC 7515 appendix C, and the two characters that differ from base64.
constexpr Pair pairs[] = {
    {"", ""},
    {"f", "Zg"},
    {"fo", "Zm8"},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg"},
    {"fooba", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy"},
    {"\x03\xec\xff\xe0\xc1", "A-z_4ME"},
    {"\xff\xff\xff\xfb\xef\xbe", "____----"},
};

TEST(Base64url, EncodesAndDecodes) {
    for (const auto& [bytes, text] : pairs) {
        EXPECT_EQ(base64url::encode(bytes), text);
        EXPECT_EQ(base64url::decode(text), bytes) << text;
        EXPECT_EQ(base64url::decoded_size(text.size()), bytes.size());
    }
}

TEST(Base64url, RefusesWhatIsNotExact) {
    ASSERT_TRUE(base64url::decode("Zm9vYg"));
    for (const std::string_view text : {
             "Zm9vYg==", "Zm9vYg=", "Zm9v=",   "=",          "====",            // padding
             "Zm9vY",    "Z",                                                   // a length of 4n+1
             "Zm9v Yg",  " Zm9vYg", "Zm9vYg ", "Zm9v\r\nYg", "Zm9vYg\n",        // white space
             "Zm9v.Yg",  "Zm9v+g",  "Zm9v/g",  "Zm9v+___",   "Zm9v\xc3\xa9__",  // foreign bytes
             "Zm9vYh",   "Zm9vYn",  "Zm9vYmF", "Zm9vYmH",                       // spare bits set
         }) {
        EXPECT_FALSE(base64url::decode(text)) << text;
    }
    EXPECT_FALSE(base64url::decode(std::string_view("Zm9v\0Yg", 7)));
    EXPECT_FALSE(base64url::decode(std::string_view("Zm9vYg\0", 7)));
}

TEST(Base64url, GivesEveryByteStringOneSpelling) {
    std::size_t accepted = 0;
    for (unsigned pair = 0; pair < 65536; ++pair) {
        const std::string end{static_cast<char>(pair >> 8U), static_cast<char>(pair & 255U)};
        for (const std::string& text : {end, "A" + end, "AA" + end, "AAAA" + end}) {
            if (const auto bytes = base64url::decode(text)) {
                ASSERT_EQ(base64url::encode(*bytes), text);
                ++accepted;
            }
        }
    }
    // Of the last two characters: 64 spell a byte, 64 * 16 two bytes' end, 64 * 64 three bytes' end.
    EXPECT_EQ(accepted, 256U + 64 * 16 + 64 * 64 + 256);
}

TEST(Base64url, FindsAForeignByteAnywhere) {
    const std::string text(24, 'A');
    ASSERT_TRUE(base64url::decode(text));
    for (std::size_t i = 0; i < text.size(); ++i) {
        for (const char foreign : {'=', '.', '+', '/', ' ', '\0', '\x80', '\xff'}) {
            std::string damaged = text;
            damaged[i] = foreign;
            EXPECT_FALSE(base64url::decode(damaged)) << i;
        }
    }
}

}  // namespace
}  // namespace jwt
