#include "pem.hpp"

#include <openssl/bio.h>
#include <openssl/pem.h>

#include <memory>
#include <stdexcept>

#include "../key_material.hpp"

namespace jwt::command {

std::string private_pem(const Key& key) {
    const openssl::ErrorQueueGuard guard;
    const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_secmem()), BIO_free);
    if (out == nullptr || PEM_write_bio_PKCS8PrivateKey(out.get(), key.material().pkey.get(), nullptr, nullptr, 0,
                                                        nullptr, nullptr) != 1) {
        throw std::runtime_error("OpenSSL cannot write the key as PEM");
    }
    char* text = nullptr;
    const long size = BIO_get_mem_data(out.get(), &text);
    return {text, static_cast<std::size_t>(size)};
}

}  // namespace jwt::command
