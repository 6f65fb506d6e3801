#include "ed25519.hpp"

#include <sodium.h>

#include "openssl.hpp"

namespace jwt {

static_assert(Ed25519Verifier::key_size == crypto_sign_ed25519_PUBLICKEYBYTES &&
              Ed25519Verifier::signature_size == crypto_sign_ed25519_BYTES);

std::optional<Ed25519Verifier> Ed25519Verifier::of(const std::array<unsigned char, key_size>& encoded) noexcept {
    // Before any other call of libsodium, as often as one likes and from any thread: it chooses the code for this
    // processor, and says 1 where it did before.
    if (sodium_init() < 0) {
        return std::nullopt;
    }
    return Ed25519Verifier(encoded);
}

bool Ed25519Verifier::matches(std::string_view input, std::string_view signature) const noexcept {
    const std::string_view message = input.empty() ? "" : input;  // never null, for libsodium's declaration
    return signature.size() == signature_size &&
           crypto_sign_ed25519_verify_detached(openssl::bytes(signature), openssl::bytes(message), message.size(),
                                               encoded_.data()) == 0;
}

}  // namespace jwt
