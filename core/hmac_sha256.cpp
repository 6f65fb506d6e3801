#define OPENSSL_SUPPRESS_DEPRECATED  // SHA256_Init and its like, which EVP replaces only at a price

#include "hmac_sha256.hpp"

#include <algorithm>
#include <array>

namespace jwt {

HmacSha256::~HmacSha256() {
    OPENSSL_cleanse(&inner_, sizeof inner_);
    OPENSSL_cleanse(&outer_, sizeof outer_);
}

#ifdef OPENSSL_NO_DEPRECATED_3_0

std::optional<HmacSha256> HmacSha256::of(std::string_view /*secret*/) {
    return std::nullopt;
}

bool HmacSha256::operator()(std::string_view /*input*/, std::span<unsigned char, size> /*tag*/) const noexcept {
    return false;
}

#else

namespace {

constexpr std::size_t block_size = SHA256_CBLOCK;
static_assert(HmacSha256::size == SHA256_DIGEST_LENGTH);

/// SHA-256 of the secret's block, each byte combined with `pad` (RFC 2104 §2).
[[nodiscard]] bool begin(SHA256_CTX& state, std::array<unsigned char, block_size> block, unsigned char pad) noexcept {
    for (unsigned char& byte : block) {
        byte ^= pad;
    }
    const bool good = SHA256_Init(&state) == 1 && SHA256_Update(&state, block.data(), block.size()) == 1;
    OPENSSL_cleanse(block.data(), block.size());
    return good;
}

}  // namespace

std::optional<HmacSha256> HmacSha256::of(std::string_view secret) {
    const openssl::Digest offered(EVP_MD_fetch(nullptr, "SHA256", nullptr));
    if (offered == nullptr || !openssl::is_default(EVP_MD_get0_provider(offered.get()))) {
        return std::nullopt;
    }
    std::array<unsigned char, block_size> block{};
    bool good = true;
    if (secret.size() <= block.size()) {
        std::copy_n(openssl::bytes(secret), secret.size(), block.begin());
    } else {
        SHA256_CTX whole;
        good = SHA256_Init(&whole) == 1 && SHA256_Update(&whole, secret.data(), secret.size()) == 1 &&
               SHA256_Final(block.data(), &whole) == 1;
        OPENSSL_cleanse(&whole, sizeof whole);  // its end is the key
    }
    HmacSha256 hmac;
    good = good && begin(hmac.inner_, block, 0x36) && begin(hmac.outer_, block, 0x5c);
    OPENSSL_cleanse(block.data(), block.size());
    return good ? std::optional(hmac) : std::nullopt;
}

bool HmacSha256::operator()(std::string_view input, std::span<unsigned char, size> tag) const noexcept {
    State state = inner_;
    const bool good = SHA256_Update(&state, input.data(), input.size()) == 1 && SHA256_Final(tag.data(), &state) == 1;
    state = outer_;
    return good && SHA256_Update(&state, tag.data(), tag.size()) == 1 && SHA256_Final(tag.data(), &state) == 1;
}

#endif

}  // namespace jwt
