#include "digest.hpp"

#include <stdexcept>

namespace jwt {

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
    const openssl::ErrorQueueGuard guard;
    if (context_ == nullptr || EVP_DigestInit_ex2(context_.get(), EVP_sha256(), nullptr) != 1) {
        throw std::runtime_error("OpenSSL has no SHA-256");
    }
}

Sha256::Hash Sha256::operator()(std::initializer_list<std::string_view> parts) {
    const openssl::ErrorQueueGuard guard;
    Hash hash{};
    unsigned size = 0;
    bool good = EVP_DigestInit_ex2(context_.get(), nullptr, nullptr) == 1;
    for (const std::string_view part : parts) {
        good = good && EVP_DigestUpdate(context_.get(), part.data(), part.size()) == 1;
    }
    good = good && EVP_DigestFinal_ex(context_.get(), hash.data(), &size) == 1 && size == hash.size();
    if (!good) {
        throw std::runtime_error("SHA-256 failed");
    }
    return hash;
}

}  // namespace jwt
