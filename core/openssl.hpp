#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <string_view>

namespace jwt::openssl {

/// Frees a handle with the function that OpenSSL has for it.
template <auto free_function>
struct Deleter {
    template <class T>
    void operator()(T* handle) const noexcept {
        free_function(handle);
    }
};

using Pkey = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using PkeyContext = std::unique_ptr<EVP_PKEY_CTX, Deleter<EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>>;
using Mac = std::unique_ptr<EVP_MAC, Deleter<EVP_MAC_free>>;
using MacContext = std::unique_ptr<EVP_MAC_CTX, Deleter<EVP_MAC_CTX_free>>;
using Cipher = std::unique_ptr<EVP_CIPHER, Deleter<EVP_CIPHER_free>>;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, Deleter<EVP_CIPHER_CTX_free>>;
using Digest = std::unique_ptr<EVP_MD, Deleter<EVP_MD_free>>;
using Bignum = std::unique_ptr<BIGNUM, Deleter<BN_clear_free>>;
using Montgomery = std::unique_ptr<BN_MONT_CTX, Deleter<BN_MONT_CTX_free>>;
using BignumContext = std::unique_ptr<BN_CTX, Deleter<BN_CTX_free>>;
using Bio = std::unique_ptr<BIO, Deleter<BIO_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using PrivateKeyInfo = std::unique_ptr<PKCS8_PRIV_KEY_INFO, Deleter<PKCS8_PRIV_KEY_INFO_free>>;
using EcGroup = std::unique_ptr<EC_GROUP, Deleter<EC_GROUP_free>>;
using EcPoint = std::unique_ptr<EC_POINT, Deleter<EC_POINT_free>>;
using EcdsaSignature = std::unique_ptr<ECDSA_SIG, Deleter<ECDSA_SIG_free>>;
using ParamBuilder = std::unique_ptr<OSSL_PARAM_BLD, Deleter<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Deleter<OSSL_PARAM_free>>;

/// Leaves OpenSSL's error queue empty: nginx logs what it finds there at its next TLS operation as an alert of somebody
/// else's connection.
class ErrorQueueGuard {
public:
    ErrorQueueGuard() noexcept = default;
    ~ErrorQueueGuard() {
        // A look is an eighth of the price of clearing, and most calls leave nothing.
        if (ERR_peek_error() != 0) {
            ERR_clear_error();
        }
    }
    ErrorQueueGuard(const ErrorQueueGuard&) = delete;
    ErrorQueueGuard& operator=(const ErrorQueueGuard&) = delete;
};

/// Secret bytes of a fixed size, cleansed when they end. Neither copied nor grown, so no other trace of them is left.
class Secret {
public:
    Secret() noexcept : bytes_(nullptr, Cleanser{0}) {}
    explicit Secret(std::size_t size) : bytes_(new char[size], Cleanser{size}) {}
    explicit Secret(std::string_view bytes) : Secret(bytes.size()) { bytes.copy(bytes_.get(), bytes.size()); }

    [[nodiscard]] char* data() noexcept { return bytes_.get(); }
    [[nodiscard]] std::size_t size() const noexcept { return bytes_ == nullptr ? 0 : bytes_.get_deleter().size; }
    [[nodiscard]] std::string_view view() const noexcept { return {bytes_.get(), size()}; }

private:
    struct Cleanser {
        std::size_t size;
        void operator()(char* bytes) const noexcept {
            OPENSSL_cleanse(bytes, size);
            delete[] bytes;
        }
    };

    std::unique_ptr<char[], Cleanser> bytes_;
};

/// Makes numbers to compute in. False where memory runs out.
[[nodiscard]] inline bool make_numbers(std::initializer_list<Bignum*> numbers) noexcept {
    for (Bignum* const number : numbers) {
        number->reset(BN_new());
        if (*number == nullptr) {
            return false;
        }
    }
    return true;
}

/// Whether it is OpenSSL's default provider, whose arithmetic may be used beside it: another one was chosen for a
/// reason, as one that is validated.
[[nodiscard]] inline bool is_default(const OSSL_PROVIDER* provider) noexcept {
    return provider != nullptr && std::string_view(OSSL_PROVIDER_get0_name(provider)) == "default";
}

[[nodiscard]] inline const unsigned char* bytes(std::string_view text) noexcept {
    return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace jwt::openssl
