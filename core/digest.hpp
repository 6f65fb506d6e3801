#pragma once

#include <array>
#include <initializer_list>
#include <string_view>

#include "openssl.hpp"

namespace jwt {

/// SHA-256, again and again with one context. Throws std::runtime_error where OpenSSL has none.
class Sha256 {
public:
    using Hash = std::array<unsigned char, 32>;

    Sha256();
    /// Of the parts as if they were one text.
    [[nodiscard]] Hash operator()(std::initializer_list<std::string_view> parts);

private:
    openssl::DigestContext context_;
};

}  // namespace jwt
