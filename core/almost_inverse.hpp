#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace jwt {

/// An unsigned number of 64-bit digits, the lowest first.
template <std::size_t size>
using Digits = std::array<std::uint64_t, size>;

/// `number`, divided by two to the `power`, is a value's inverse.
template <std::size_t size>
struct AlmostInverse {
    Digits<size> number;
    std::size_t power = 0;
};

namespace digits {

template <std::size_t size>
[[nodiscard]] constexpr bool is_less(const Digits<size>& a, const Digits<size>& b) noexcept {
    for (std::size_t i = size; i-- > 0;) {
        if (a[i] != b[i]) {
            return a[i] < b[i];
        }
    }
    return false;
}

/// To a sum that its digits hold.
template <std::size_t size>
constexpr void add(Digits<size>& a, const Digits<size>& b) noexcept {
    bool carry = false;
    for (std::size_t i = 0; i < size; ++i) {
        std::uint64_t sum = 0;
        const bool first = __builtin_add_overflow(a[i], b[i], &sum);
        const bool second = __builtin_add_overflow(sum, std::uint64_t{carry}, &a[i]);
        carry = first || second;
    }
}

/// Of a number that is not less.
template <std::size_t size>
constexpr void subtract(Digits<size>& a, const Digits<size>& b) noexcept {
    bool borrow = false;
    for (std::size_t i = 0; i < size; ++i) {
        std::uint64_t difference = 0;
        const bool first = __builtin_sub_overflow(a[i], b[i], &difference);
        const bool second = __builtin_sub_overflow(difference, std::uint64_t{borrow}, &a[i]);
        borrow = first || second;
    }
}

inline constexpr int longest_shift = std::numeric_limits<std::uint64_t>::digits - 1;

/// By 0 to longest_shift bits.
template <std::size_t size>
constexpr void shift_right(Digits<size>& a, int bits) noexcept {
    for (std::size_t i = 0; i + 1 < size; ++i) {
        a[i] = a[i] >> bits | a[i + 1] << 1 << (longest_shift - bits);
    }
    a.back() >>= bits;
}

/// By 0 to longest_shift bits, which its digits hold.
template <std::size_t size>
constexpr void shift_left(Digits<size>& a, int bits) noexcept {
    for (std::size_t i = size; i-- > 1;) {
        a[i] = a[i] << bits | a[i - 1] >> 1 >> (longest_shift - bits);
    }
    a.front() <<= bits;
}

/// Halves `value`, which is not zero, until it is odd, and doubles `factor` as often. How often.
template <std::size_t size>
constexpr std::size_t make_odd(Digits<size>& value, Digits<size>& factor) noexcept {
    std::size_t halvings = 0;
    while ((value.front() & 1) == 0) {
        const int bits = value.front() == 0 ? longest_shift : std::countr_zero(value.front());
        shift_right(value, bits);
        shift_left(factor, bits);
        halvings += static_cast<std::size_t>(bits);
    }
    return halvings;
}

}  // namespace digits

/// The first phase of the Montgomery inverse (Kaliski, IEEE Transactions on Computers 44(8), 1995): value · number ≡
/// 2^power modulo `modulus`, with number below the modulus, and a power of at most twice its bits. `modulus` is an odd
/// prime, and 0 < value < modulus. It takes a time that tells the value: not for secrets.
template <std::size_t size>
[[nodiscard]] constexpr AlmostInverse<size> almost_inverse(const Digits<size>& modulus, Digits<size> value) noexcept {
    // All along, with p for the power, which counts the halvings of u and value together,
    //   modulus = u · inverse + value · r      so that neither inverse nor r outgrows the modulus,
    //   argument · inverse ≡ value · 2^p       and
    //   argument · r ≡ -u · 2^p.
    Digits<size> u = modulus;
    Digits<size> r{};
    Digits<size> inverse{1};
    std::size_t power = digits::make_odd(value, r);
    for (;;) {
        if (digits::is_less(value, u)) {
            digits::subtract(u, value);
            digits::add(r, inverse);
            power += digits::make_odd(u, inverse);
        } else if (digits::is_less(u, value)) {
            digits::subtract(value, u);
            digits::add(inverse, r);
            power += digits::make_odd(value, r);
        } else {
            return {inverse, power};  // both are 1
        }
    }
}

}  // namespace jwt
