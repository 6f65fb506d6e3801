#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace jwt {

/// An ECDSA signature as ASN.1 DER (RFC 3279 §2.2.3), in place.
struct DerSignature {
    // P-521: two integers of 66 bytes, each with a sign byte and two bytes of head, in a sequence with three.
    static constexpr std::size_t max_size = 3 + 2 * (2 + 1 + 66);

    std::array<unsigned char, max_size> bytes;
    std::size_t size = 0;
};

/// The DER form of r‖s (RFC 7518 §3.4), whose halves are of equal size, at most 66 bytes each.
[[nodiscard]] DerSignature ecdsa_der(std::string_view r_and_s) noexcept;

}  // namespace jwt
