#include "base64url.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base64url_decoders.hpp"

namespace jwt {
namespace {

using base64url::decoded_size;
using base64url::Decoder;

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

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Memory between two pages that nobody may touch.
class FencedMemory {
public:
    FencedMemory() : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))) {
        void* const all = mmap(nullptr, 3 * page_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        first_ = static_cast<char*>(all) + page_;
        if (all == MAP_FAILED || mprotect(first_, page_, PROT_READ | PROT_WRITE) != 0) {
            throw std::bad_alloc();
        }
    }
    ~FencedMemory() { munmap(first_ - page_, 3 * page_); }
    FencedMemory(const FencedMemory&) = delete;
    FencedMemory& operator=(const FencedMemory&) = delete;

    [[nodiscard]] char* first() const { return first_; }
    [[nodiscard]] char* last(std::size_t size) const { return first_ + page_ - size; }

private:
    std::size_t page_;
    char* first_;
};

/// Each of the ways in which this processor can decode, and decode() itself.
class Base64url : public testing::TestWithParam<Decoder> {
protected:
    /// With text and bytes in memory of exactly their size, which AddressSanitizer looks after.
    [[nodiscard]] static std::optional<std::string> decode(std::string_view text) {
        const std::unique_ptr<char[]> in(new char[text.size()]);
        text.copy(in.get(), text.size());
        const std::size_t size = decoded_size(text.size());
        const std::unique_ptr<char[]> out(new char[size]);
        return GetParam().decode({in.get(), text.size()}, out.get()) ? std::optional(std::string(out.get(), size))
                                                                     : std::nullopt;
    }
};

/// By the words of RFC 4648, a character at a time.
std::optional<std::string> plainly_decoded(std::string_view text) {
    std::string bytes;
    unsigned bits = 0;
    unsigned count = 0;
    for (const char character : text) {
        const std::size_t value = alphabet.find(character);
        if (value == std::string_view::npos) {
            return std::nullopt;
        }
        bits = (bits << 6U | static_cast<unsigned>(value)) & 0xffffU;
        count += 6;
        if (count >= 8) {
            count -= 8;
            bytes += static_cast<char>(bits >> count & 0xffU);
        }
    }
    const bool exact = count < 6 && (bits & ((1U << count) - 1)) == 0;
    return exact ? std::optional(bytes) : std::nullopt;
}

TEST_P(Base64url, EncodesAndDecodes) {
    for (const auto& [bytes, text] : pairs) {
        EXPECT_EQ(base64url::encode(bytes), text);
        EXPECT_EQ(decode(text), bytes) << text;
        EXPECT_EQ(decoded_size(text.size()), bytes.size());
    }
}

TEST_P(Base64url, RefusesWhatIsNotExact) {
    ASSERT_TRUE(decode("Zm9vYg"));
    for (const std::string_view text : {
             "Zm9vYg==", "Zm9vYg=", "Zm9v=",   "=",          "====",            // padding
             "Zm9vY",    "Z",                                                   // a length of 4n+1
             "Zm9v Yg",  " Zm9vYg", "Zm9vYg ", "Zm9v\r\nYg", "Zm9vYg\n",        // white space
             "Zm9v.Yg",  "Zm9v+g",  "Zm9v/g",  "Zm9v+___",   "Zm9v\xc3\xa9__",  // foreign bytes
             "Zm9vYh",   "Zm9vYn",  "Zm9vYmF", "Zm9vYmH",                       // spare bits set
         }) {
        EXPECT_FALSE(decode(text)) << text;
        EXPECT_FALSE(decode(std::string(128, 'A').append(text))) << text;
    }
    EXPECT_FALSE(decode(std::string_view("Zm9v\0Yg", 7)));
    EXPECT_FALSE(decode(std::string_view("Zm9vYg\0", 7)));
}

TEST_P(Base64url, GivesEveryByteStringOneSpelling) {
    std::size_t accepted = 0;
    for (unsigned pair = 0; pair < 65536; ++pair) {
        const std::string end{static_cast<char>(pair >> 8U), static_cast<char>(pair & 255U)};
        for (const std::string& text : {end, "A" + end, "AA" + end, "AAAA" + end}) {
            if (const auto bytes = decode(text)) {
                ASSERT_EQ(base64url::encode(*bytes), text);
                ++accepted;
            }
        }
    }
    // Of the last two characters: 64 spell a byte, 64 * 16 two bytes' end, 64 * 64 three bytes' end.
    EXPECT_EQ(accepted, 256U + 64 * 16 + 64 * 64 + 256);
}

TEST_P(Base64url, KnowsEveryCharacterAtEveryPlace) {
    for (std::size_t size = 98; size <= 100; ++size) {
        std::string text(size, 'A');
        for (std::size_t place = 0; place < size; ++place) {
            for (unsigned byte = 0; byte < 256; ++byte) {
                text[place] = static_cast<char>(byte);
                ASSERT_EQ(decode(text), plainly_decoded(text)) << size << ", " << place << ": " << byte;
            }
            text[place] = 'A';
        }
    }
}

TEST_P(Base64url, ReadsAndWritesNothingElse) {
    std::mt19937 random(7515);  // NOLINT(cert-msc51-cpp): the same texts in every run
    const FencedMemory in;
    const FencedMemory out;
    for (std::size_t size = 0; size <= 400; ++size) {
        std::string text;
        std::generate_n(std::back_inserter(text), size, [&] { return alphabet[random() % alphabet.size()]; });
        if (size % 4 == 2 || size % 4 == 3) {
            text.back() = 'A';
        }
        const auto expected = plainly_decoded(text);
        ASSERT_EQ(expected.has_value(), size % 4 != 1);
        const std::size_t written = decoded_size(size);
        for (char* const from : {in.first(), in.last(size)}) {
            for (char* const to : {out.first(), out.last(written)}) {
                const std::string before(64, '#');
                char* const outside = to == out.first() ? to + written : to - before.size();
                before.copy(outside, before.size());
                text.copy(from, size);
                ASSERT_EQ(GetParam().decode({from, size}, to), expected.has_value()) << size;
                ASSERT_EQ(std::string_view(outside, before.size()), before) << size;
                if (expected) {
                    ASSERT_EQ(std::string_view(to, written), *expected) << size;
                }
            }
        }
    }
}

TEST_P(Base64url, DecodesWhatWasEncoded) {
    std::mt19937 random(4648);  // NOLINT(cert-msc51-cpp): the same bytes in every run
    for (int i = 0; i < 2000; ++i) {
        std::string bytes(random() % 700, '\0');
        std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<char>(random()); });
        std::string text = base64url::encode(bytes);
        ASSERT_EQ(decode(text), bytes) << text;
        if (!text.empty()) {
            text[random() % text.size()] = static_cast<char>(random());
            ASSERT_EQ(decode(text), plainly_decoded(text)) << text;
        }
    }
}

std::vector<Decoder> all_decoders() {
    const auto known = base64url::decoders();
    std::vector<Decoder> all(known.begin(), known.end());
    all.push_back({"decode", base64url::decode});
    return all;
}

INSTANTIATE_TEST_SUITE_P(Ways, Base64url, testing::ValuesIn(all_decoders()),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace jwt
