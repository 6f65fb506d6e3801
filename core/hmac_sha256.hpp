#pragma once

#include <openssl/sha.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "openssl.hpp"

namespace jwt {

/// HMAC-SHA-256 (RFC 2104) with one secret, by OpenSSL's SHA-256 itself: the two blocks that the secret makes are
/// hashed once, and each message begins with a copy of what came out. EVP_MAC does the same by way of a provider, with
/// contexts that it allocates and frees for each message, which is a third of what a token's HMAC costs there.
/// Immutable: threads may share one.
class HmacSha256 {
public:
    static constexpr std::size_t size = 32;

    /// Nothing where SHA-256 comes from another provider than OpenSSL's default one or from none, or OpenSSL was built
    /// without what 3.0 deprecates.
    [[nodiscard]] static std::optional<HmacSha256> of(std::string_view secret);

    HmacSha256(const HmacSha256&) = default;
    HmacSha256& operator=(const HmacSha256&) = default;
    ~HmacSha256();

    /// False where OpenSSL fails.
    [[nodiscard]] bool operator()(std::string_view input, std::span<unsigned char, size> tag) const noexcept;

private:
#ifdef OPENSSL_NO_DEPRECATED_3_0
    struct State {};
#else
    using State = SHA256_CTX;
#endif
    HmacSha256() = default;

    // After the block of the secret; both are as good as the secret itself.
    State inner_{};
    State outer_{};
};

}  // namespace jwt
