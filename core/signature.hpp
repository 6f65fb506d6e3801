#pragma once

#include <string>
#include <string_view>

#include "algorithm.hpp"
#include "key.hpp"

namespace jwt {

/// Whether `signature` is that of `input` under `key` and `algorithm` (RFC 7518 §3, RFC 8037 §3.1, RFC 8812 §3.2):
/// exact signature lengths, PSS salt as long as the hash, full-length MACs compared in constant time. False where the
/// key does not serve the algorithm, and where a library fails. OpenSSL's error queue is empty afterwards, whatever the
/// answer.
[[nodiscard]] bool signature_matches(const Key& key, Algorithm algorithm, std::string_view input,
                                     std::string_view signature);

/// The signature of `input` in JWS form (ECDSA: r‖s at fixed width). Throws std::runtime_error where the key does not
/// sign with `algorithm` or OpenSSL fails: callers choose the key by Key::signs(). Under rsa_algorithms, several
/// threads may sign with one key, also while another verifies with it.
[[nodiscard]] std::string sign(const Key& key, Algorithm algorithm, std::string_view input);

/// Equality in constant time for equal lengths.
[[nodiscard]] bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept;

}  // namespace jwt
