#pragma once

#include <string>

#include "../key.hpp"

namespace jwt::command {

/// A private RSA, EC or OKP key as PEM: PKCS #8, unencrypted. Throws std::runtime_error where OpenSSL fails.
[[nodiscard]] std::string private_pem(const Key& key);

}  // namespace jwt::command
