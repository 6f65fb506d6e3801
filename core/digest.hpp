#pragma once

#include <array>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "openssl.hpp"

namespace jwt {

/// A hash of OpenSSL's, fetched once and used with one context: for one thread.
class Hasher {
public:
    using Hash = std::array<unsigned char, EVP_MAX_MD_SIZE>;

    /// Nothing where OpenSSL has none of this name.
    [[nodiscard]] static std::optional<Hasher> of(const char* name);

    /// The first size() bytes are the hash of the parts as if they were one text. False where OpenSSL fails.
    [[nodiscard]] bool operator()(std::initializer_list<std::string_view> parts, Hash& hash) const noexcept;

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    /// For all threads.
    [[nodiscard]] const EVP_MD* algorithm() const noexcept { return algorithm_.get(); }

private:
    Hasher(openssl::Digest algorithm, openssl::DigestContext context) noexcept;

    openssl::Digest algorithm_;
    openssl::DigestContext context_;
    std::size_t size_;
};

/// SHA-256, again and again with one context. Throws std::runtime_error where OpenSSL has none.
class Sha256 {
public:
    using Hash = std::array<unsigned char, 32>;

    Sha256();
    /// Of the parts as if they were one text.
    [[nodiscard]] Hash operator()(std::initializer_list<std::string_view> parts);

private:
    Hasher hasher_;
};

}  // namespace jwt
