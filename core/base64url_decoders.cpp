#include "base64url_decoders.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "base64url.hpp"

namespace jwt::base64url {
namespace {

// Above any 24 bits that four characters make, so that one comparison finds a foreign byte among them.
constexpr std::uint32_t foreign = 1U << 24U;

using Table = std::array<std::uint32_t, 256>;

/// Each character's value where it stands `shift` bits up in its group of four.
constexpr Table table(unsigned shift) noexcept {
    Table values{};
    values.fill(foreign);
    for (std::uint32_t value = 0; value < alphabet.size(); ++value) {
        values[static_cast<unsigned char>(alphabet[value])] = value << shift;
    }
    return values;
}

constexpr Table first = table(18);
constexpr Table second = table(12);
constexpr Table third = table(6);
constexpr Table fourth = table(0);

constexpr char byte_of(std::uint32_t bits, unsigned shift) noexcept {
    return static_cast<char>(static_cast<unsigned char>(bits >> shift));
}

bool decode_by_table(std::string_view text, char* out) noexcept {
    const char* in = text.data();
    std::size_t left = text.size();
    for (; left >= 4; left -= 4, in += 4, out += 3) {
        const std::uint32_t bits =
            first[byte_at(in, 0)] | second[byte_at(in, 1)] | third[byte_at(in, 2)] | fourth[byte_at(in, 3)];
        if (bits >= foreign) {
            return false;
        }
        out[0] = byte_of(bits, 16);
        out[1] = byte_of(bits, 8);
        out[2] = byte_of(bits, 0);
    }
    if (left == 0) {
        return true;
    }
    if (left == 1) {
        return false;
    }
    std::uint32_t bits = first[byte_at(in, 0)] | second[byte_at(in, 1)];
    std::uint32_t unused = 0xffff;
    if (left == 3) {
        bits |= third[byte_at(in, 2)];
        unused = 0xff;
    }
    // RFC 4648 §3.5: spare bits that are set would give one signature several spellings.
    if (bits >= foreign || (bits & unused) != 0) {
        return false;
    }
    out[0] = byte_of(bits, 16);
    if (left == 3) {
        out[1] = byte_of(bits, 8);
    }
    return true;
}

#ifdef __x86_64__

using HalfTable = std::array<std::uint8_t, 16>;

// A character is of the alphabet where its halves, four bits each, have a class in common. "-" is of the first one,
// digits of the second, then letters: of a column that begins with a letter, "P" to "Z" with "_", "p" to "z".
alignas(16) constexpr HalfTable class_of_upper{0, 0, 1, 2, 4, 8, 4, 16};
alignas(16) constexpr HalfTable classes_of_lower = [] {
    HalfTable classes{};
    for (std::size_t value = 0; value < alphabet.size(); ++value) {
        const std::uint32_t character = byte_at(alphabet.data(), value);
        classes[character & 15U] |= class_of_upper[character >> 4U];
    }
    return classes;
}();

// From a character to its value; "_", the last one, stands among letters and has another way to go.
alignas(16) constexpr HalfTable step_of_upper = [] {
    HalfTable steps{};
    for (std::size_t value = 0; value < alphabet.size() - 1; ++value) {
        const std::uint32_t character = byte_at(alphabet.data(), value);
        steps[character >> 4U] = static_cast<std::uint8_t>(value - character);
    }
    return steps;
}();
constexpr char underscore_step = 63 - '_' + 'A';  // on top of a letter's

// Where in four groups of 32 bits their bytes are.
alignas(16) constexpr HalfTable byte_order{2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, 128, 128, 128, 128};

// Factors that join neighbours: six bits and six to twelve, twelve and twelve to the 24 of a group.
constexpr std::int16_t two_of_six = 0x0140;
constexpr std::int32_t two_of_twelve = 0x0001'1000;

[[gnu::target("avx2")]] inline __m256i twice(const HalfTable& table) noexcept {
    return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table.data())));
}

/// 32 characters to 24 bytes. Where some are foreign, `doubt` is not zero after it.
[[gnu::target("avx2")]] inline void decode_32(const char* in, char* out, __m256i& doubt) noexcept {
    const __m256i characters = _mm256_loadu_si256(reinterpret_cast<const __m256i_u*>(in));
    const __m256i upper = _mm256_and_si256(_mm256_srli_epi32(characters, 4), _mm256_set1_epi8(15));
    // A shuffle makes zeros of bytes above 127: they are of no class.
    const __m256i classes = _mm256_and_si256(_mm256_shuffle_epi8(twice(class_of_upper), upper),
                                             _mm256_shuffle_epi8(twice(classes_of_lower), characters));
    doubt = _mm256_or_si256(doubt, _mm256_cmpeq_epi8(classes, _mm256_setzero_si256()));
    const __m256i underscores = _mm256_cmpeq_epi8(characters, _mm256_set1_epi8('_'));
    const __m256i steps = _mm256_add_epi8(_mm256_shuffle_epi8(twice(step_of_upper), upper),
                                          _mm256_and_si256(underscores, _mm256_set1_epi8(underscore_step)));
    const __m256i values = _mm256_add_epi8(characters, steps);
    const __m256i pairs = _mm256_maddubs_epi16(values, _mm256_set1_epi16(two_of_six));
    const __m256i groups = _mm256_madd_epi16(pairs, _mm256_set1_epi32(two_of_twelve));
    const __m256i halves = _mm256_shuffle_epi8(groups, twice(byte_order));
    const __m256i bytes = _mm256_permutevar8x32_epi32(halves, _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7));
    _mm_storeu_si128(reinterpret_cast<__m128i_u*>(out), _mm256_castsi256_si128(bytes));
    _mm_storel_epi64(reinterpret_cast<__m128i_u*>(out + 16), _mm256_extracti128_si256(bytes, 1));
}

[[gnu::target("avx2")]] bool decode_by_avx2(std::string_view text, char* out) noexcept {
    constexpr std::size_t step = 32;
    if (text.size() < step) {
        return decode_by_table(text, out);
    }
    const char* const in = text.data();
    const std::size_t groups = text.size() / 4 * 4;
    // Not last: g++ 12 makes such a call with the upper halves of registers in use, and all after it is slow.
    if (!decode_by_table({in + groups, text.size() - groups}, out + groups / 4 * 3)) {
        return false;
    }
    __m256i doubt = _mm256_setzero_si256();
    std::size_t done = 0;
    for (; done + step <= groups; done += step) {
        decode_32(in + done, out + done / 4 * 3, doubt);
    }
    // The last step ends where the groups do, and does some of them again.
    if (done < groups) {
        decode_32(in + groups - step, out + (groups - step) / 4 * 3, doubt);
    }
    return _mm256_testz_si256(doubt, doubt) != 0;
}

#endif

}  // namespace

std::span<const Decoder> decoders() noexcept {
    static constexpr std::array all{
#ifdef __x86_64__
        Decoder{"avx2", decode_by_avx2},
#endif
        Decoder{"table", decode_by_table},
    };
    std::span<const Decoder> known = all;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2") == 0) {
        known = known.subspan(1);
    }
#endif
    return known;
}

}  // namespace jwt::base64url
