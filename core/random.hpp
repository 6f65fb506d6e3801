#pragma once

#include <cstddef>
#include <string>

namespace jwt {

/// That many random bytes from OpenSSL's generator. Throws std::runtime_error where it has none to give: a token
/// made without randomness must not exist.
[[nodiscard]] std::string random_bytes(std::size_t count);

/// The same, written to `out`, which has room for them.
void fill_with_random(char* out, std::size_t count);

/// A random UUID in lower-case text (RFC 9562 §5.4, version 4).
[[nodiscard]] std::string random_uuid();

}  // namespace jwt
