#include "signature.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <stdexcept>

#include "ecdsa.hpp"
#include "key_material.hpp"

namespace jwt {

using openssl::bytes;

namespace {

/// Appends an INTEGER: no leading zero bytes but the one that keeps it positive (X.690 §8.3.2).
unsigned char* append_integer(unsigned char* out, std::string_view number) noexcept {
    number.remove_prefix(std::min(number.find_first_not_of('\0'), number.size() - 1));
    const bool needs_sign_byte = (number.front() & '\x80') != 0;
    *out++ = 0x02;
    *out++ = static_cast<unsigned char>(number.size() + (needs_sign_byte ? 1 : 0));
    if (needs_sign_byte) {
        *out++ = 0;
    }
    return std::copy_n(bytes(number), number.size(), out);
}

}  // namespace

DerSignature ecdsa_der(std::string_view r_and_s) noexcept {
    DerSignature der;
    const std::size_t half = r_and_s.size() / 2;
    std::array<unsigned char, DerSignature::max_size - 3> integers;
    unsigned char* const end =
        append_integer(append_integer(integers.data(), r_and_s.substr(0, half)), r_and_s.substr(half));
    const auto size = static_cast<std::size_t>(end - integers.data());

    unsigned char* out = der.bytes.data();
    *out++ = 0x30;
    if (size > 0x7f) {
        *out++ = 0x81;  // one byte of length follows
    }
    *out++ = static_cast<unsigned char>(size);
    out = std::copy_n(integers.data(), size, out);
    der.size = static_cast<std::size_t>(out - der.bytes.data());
    return der;
}

namespace {

using Tag = Hasher::Hash;

bool compute_mac(const PreparedHmac& hmac, std::string_view input, Tag& tag) {
    std::size_t size = 0;
    // Without key and parameters the context starts again with those it has.
    return EVP_MAC_init(hmac.context.get(), nullptr, 0, nullptr) == 1 &&
           EVP_MAC_update(hmac.context.get(), bytes(input), input.size()) == 1 &&
           EVP_MAC_final(hmac.context.get(), tag.data(), &size, tag.size()) == 1 && size == hmac.size;
}

bool compute_mac(const HmacSha256& hmac, std::string_view input, Tag& tag) noexcept {
    return hmac(input, std::span(tag).first<HmacSha256::size>());
}

struct Matches {
    const Key::Material& material;
    std::string_view input;
    std::string_view signature;

    template <class Hmac>
    bool by_hmac(const Hmac& hmac) const {
        Tag tag;
        return signature.size() == hmac.size && compute_mac(hmac, input, tag) &&
               CRYPTO_memcmp(tag.data(), signature.data(), hmac.size) == 0;
    }

    bool operator()(const std::monostate&) const noexcept { return false; }

    bool operator()(const HmacSha256& hmac) const { return by_hmac(hmac); }

    bool operator()(const PreparedHmac& hmac) const { return by_hmac(hmac); }

    /// `encoded`: the signature, as OpenSSL wants it.
    bool by_provider(const ProviderVerifier& verifier, std::string_view encoded) const {
        // Anything but 1 is a refusal: malformed signatures give negative numbers.
        return EVP_MD_CTX_copy_ex(verifier.scratch.get(), verifier.prepared.get()) == 1 &&
               EVP_DigestVerify(verifier.scratch.get(), bytes(encoded), encoded.size(), bytes(input), input.size()) ==
                   1;
    }

    bool by_ecdsa(const EcdsaVerifier& verifier, const Hasher& hasher) const {
        Tag hash;
        return hasher({input}, hash) && verifier.matches(std::span(hash).first(hasher.size()), signature);
    }

    bool by_ecdsa(const ProviderVerifier& verifier, const Hasher& /*its own*/) const {
        const DerSignature der = ecdsa_der(signature);
        return by_provider(verifier, {reinterpret_cast<const char*>(der.bytes.data()), der.size});
    }

    bool operator()(const PreparedEcdsa& ecdsa) const {
        return signature.size() == ecdsa.signature_size &&
               std::visit([&](const auto& verify) { return by_ecdsa(verify, ecdsa.hasher); }, ecdsa.verify);
    }

    template <class Encoding>
    bool by_rsa(const Encoding& encoding, const Hasher& hasher) const {
        const BIGNUM* const message = material.rsa->message_of(signature);
        return message != nullptr && encoding.matches(message, input, hasher);
    }

    bool by_rsa(const ProviderVerifier& verifier, const Hasher& /*its own*/) const {
        return by_provider(verifier, signature);
    }

    bool operator()(const PreparedRsa& rsa) const {
        return signature.size() == rsa.signature_size &&
               std::visit([&](const auto& verify) { return by_rsa(verify, rsa.hasher); }, rsa.verify);
    }

    bool operator()(const PreparedEd25519& ed25519) const noexcept {
        return ed25519.verifier.matches(input, signature);
    }

    bool operator()(const PreparedEdDsa& eddsa) const {
        return signature.size() == eddsa.signer.signature_size && by_provider(eddsa.verify, signature);
    }
};

[[noreturn]] void throw_unsigned() {
    throw std::runtime_error("a signature cannot be made");
}

/// r‖s of a DER signature, each half at the width of the curve (RFC 7518 §3.4): leading zeros stay.
std::string r_and_s(std::string_view der, std::size_t size) {
    const unsigned char* position = bytes(der);
    const openssl::EcdsaSignature parsed(d2i_ECDSA_SIG(nullptr, &position, static_cast<long>(der.size())));
    std::string signature(size, '\0');
    auto* const out = reinterpret_cast<unsigned char*>(signature.data());
    const auto half = static_cast<int>(size / 2);
    if (parsed == nullptr || BN_bn2binpad(ECDSA_SIG_get0_r(parsed.get()), out, half) != half ||
        BN_bn2binpad(ECDSA_SIG_get0_s(parsed.get()), out + half, half) != half) {
        throw_unsigned();
    }
    return signature;
}

struct Sign {
    std::string_view input;

    std::string by_eddsa(const EdDsaSigner& signer) const {
        std::string signature(signer.signature_size, '\0');
        std::size_t size = signature.size();
        if (signer.prepared == nullptr || EVP_MD_CTX_copy_ex(signer.scratch.get(), signer.prepared.get()) != 1 ||
            EVP_DigestSign(signer.scratch.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                           bytes(input), input.size()) != 1 ||
            size != signature.size()) {
            throw_unsigned();
        }
        return signature;
    }

    template <class Hmac>
    std::string by_hmac(const Hmac& hmac) const {
        Tag tag;
        if (!compute_mac(hmac, input, tag)) {
            throw_unsigned();
        }
        return {reinterpret_cast<const char*>(tag.data()), hmac.size};
    }

    std::string operator()(const std::monostate&) const { throw_unsigned(); }

    std::string operator()(const HmacSha256& hmac) const { return by_hmac(hmac); }

    std::string operator()(const PreparedHmac& hmac) const { return by_hmac(hmac); }

    std::string operator()(const PreparedEcdsa& ecdsa) const {
        Tag hash;
        std::string der(DerSignature::max_size, '\0');
        std::size_t size = der.size();
        if (ecdsa.sign == nullptr || !ecdsa.hasher({input}, hash) ||
            EVP_PKEY_sign(ecdsa.sign.get(), reinterpret_cast<unsigned char*>(der.data()), &size, hash.data(),
                          ecdsa.hasher.size()) != 1) {
            throw_unsigned();
        }
        der.resize(size);
        return r_and_s(der, ecdsa.signature_size);
    }

    /// Touches nothing that another thread may write: to a signature of RSA, contexts of its own cost nothing.
    std::string operator()(const PreparedRsa& rsa) const {
        Tag hash;
        const openssl::PkeyContext context(rsa.sign == nullptr ? nullptr : EVP_PKEY_CTX_dup(rsa.sign.get()));
        std::string signature(rsa.signature_size, '\0');
        std::size_t size = signature.size();
        if (context == nullptr ||
            EVP_Digest(input.data(), input.size(), hash.data(), nullptr, rsa.hasher.algorithm(), nullptr) != 1 ||
            EVP_PKEY_sign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, hash.data(),
                          rsa.hasher.size()) != 1 ||
            size != signature.size()) {
            throw_unsigned();
        }
        return signature;
    }

    std::string operator()(const PreparedEd25519& ed25519) const { return by_eddsa(ed25519.signer); }

    std::string operator()(const PreparedEdDsa& eddsa) const { return by_eddsa(eddsa.signer); }
};

}  // namespace

bool signature_matches(const Key& key, Algorithm algorithm, std::string_view input, std::string_view signature) {
    const openssl::ErrorQueueGuard guard;
    const Key::Material& material = key.material();
    return material.verifies.has(algorithm) &&
           std::visit(Matches{material, input, signature}, material.prepared[static_cast<std::size_t>(algorithm)]);
}

std::string sign(const Key& key, Algorithm algorithm, std::string_view input) {
    const openssl::ErrorQueueGuard guard;
    const Key::Material& material = key.material();
    if (!material.signs.has(algorithm)) {
        throw_unsigned();
    }
    return std::visit(Sign{input}, material.prepared[static_cast<std::size_t>(algorithm)]);
}

bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace jwt
