#include "digest.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace jwt {

Hasher::Hasher(openssl::Digest algorithm, openssl::DigestContext context) noexcept
    : algorithm_(std::move(algorithm)),
      context_(std::move(context)),
      size_(static_cast<std::size_t>(EVP_MD_get_size(algorithm_.get()))) {}

std::optional<Hasher> Hasher::of(const char* name) {
    openssl::Digest algorithm(EVP_MD_fetch(nullptr, name, nullptr));
    openssl::DigestContext context(EVP_MD_CTX_new());
    if (algorithm == nullptr || context == nullptr ||
        EVP_DigestInit_ex2(context.get(), algorithm.get(), nullptr) != 1) {
        return std::nullopt;
    }
    return Hasher(std::move(algorithm), std::move(context));
}

bool Hasher::operator()(std::initializer_list<std::string_view> parts, Hash& hash) const noexcept {
    unsigned size = 0;
    bool good = EVP_DigestInit_ex2(context_.get(), nullptr, nullptr) == 1;
    for (const std::string_view part : parts) {
        good = good && EVP_DigestUpdate(context_.get(), part.data(), part.size()) == 1;
    }
    return good && EVP_DigestFinal_ex(context_.get(), hash.data(), &size) == 1 && size == size_;
}

namespace {

Hasher sha256_hasher() {
    const openssl::ErrorQueueGuard guard;
    auto hasher = Hasher::of("SHA256");
    if (!hasher) {
        throw std::runtime_error("OpenSSL has no SHA-256");
    }
    return *std::move(hasher);
}

}  // namespace

Sha256::Sha256() : hasher_(sha256_hasher()) {}

Sha256::Hash Sha256::operator()(std::initializer_list<std::string_view> parts) {
    const openssl::ErrorQueueGuard guard;
    Hasher::Hash made;
    if (!hasher_(parts, made)) {
        throw std::runtime_error("SHA-256 failed");
    }
    Hash hash;
    std::copy_n(made.begin(), hash.size(), hash.begin());
    return hash;
}

}  // namespace jwt
