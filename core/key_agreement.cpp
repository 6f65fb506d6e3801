#include "key_agreement.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <stdexcept>
#include <utility>

#include "base64url.hpp"
#include "key_material.hpp"

namespace jwt {

using openssl::Pkey;
using openssl::PkeyContext;
using openssl::Secret;

namespace {

constexpr std::size_t hash_size = 32;

std::array<unsigned char, 4> big_endian(std::size_t number) noexcept {
    return {static_cast<unsigned char>(number >> 24), static_cast<unsigned char>(number >> 16),
            static_cast<unsigned char>(number >> 8), static_cast<unsigned char>(number)};
}

/// What is hashed behind the secret (NIST SP 800-56A §5.8.1.2.1, as RFC 7518 §4.6.2 fills it in).
std::string other_info(AgreedUse use, std::string_view apu, std::string_view apv) {
    std::string info;
    const auto append_number = [&info](std::size_t number) {
        for (const unsigned char byte : big_endian(number)) {
            info.push_back(static_cast<char>(byte));
        }
    };
    for (const std::string_view field : {use.algorithm, apu, apv}) {
        append_number(field.size());
        info.append(field);
    }
    append_number(use.size * 8);
    return info;
}

/// Concat KDF with SHA-256.
std::optional<Secret> derived_key(const EncryptionTools& tools, std::string_view secret, std::string_view info,
                                  std::size_t size) {
    const openssl::DigestContext context(EVP_MD_CTX_new());
    Secret rounds((size + hash_size - 1) / hash_size * hash_size);
    for (std::size_t round = 0; round * hash_size < size; ++round) {
        const auto counter = big_endian(round + 1);
        auto* const out = reinterpret_cast<unsigned char*>(rounds.data()) + round * hash_size;
        if (context == nullptr || EVP_DigestInit_ex2(context.get(), tools.sha256.get(), nullptr) != 1 ||
            EVP_DigestUpdate(context.get(), counter.data(), counter.size()) != 1 ||
            EVP_DigestUpdate(context.get(), secret.data(), secret.size()) != 1 ||
            EVP_DigestUpdate(context.get(), info.data(), info.size()) != 1 ||
            EVP_DigestFinal_ex(context.get(), out, nullptr) != 1) {
            return std::nullopt;
        }
    }
    return Secret(rounds.view().substr(0, size));
}

/// The shared secret at the full width of the curve, leading zeros and all (RFC 7518 §4.6.2 by SP 800-56A).
std::optional<Secret> shared_secret(EVP_PKEY* own, EVP_PKEY* peer, const Curve& curve) {
    const PkeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, own, nullptr));
    Secret secret(curve.size);
    std::size_t size = secret.size();
    if (context == nullptr || EVP_PKEY_derive_init(context.get()) != 1 ||
        EVP_PKEY_derive_set_peer(context.get(), peer) != 1 ||
        EVP_PKEY_derive(context.get(), reinterpret_cast<unsigned char*>(secret.data()), &size) != 1 ||
        size != secret.size()) {
        return std::nullopt;
    }
    // OpenSSL refuses a secret of zeros itself; that it goes on doing so is not for it alone to see to.
    unsigned char any = 0;
    for (const char byte : secret.view()) {
        any = static_cast<unsigned char>(any | static_cast<unsigned char>(byte));
    }
    if (any == 0) {
        return std::nullopt;
    }
    return secret;
}

std::optional<std::string_view> text_member(json::Value object, std::string_view name) noexcept {
    const auto member = object.member(name);
    return member ? member->string() : std::nullopt;
}

/// A coordinate, of exactly `size` bytes.
std::optional<std::string> coordinate(json::Value epk, std::string_view name, std::size_t size) {
    const auto text = text_member(epk, name);
    auto bytes = text ? base64url::decode(*text) : std::nullopt;
    return bytes && bytes->size() == size ? bytes : std::nullopt;
}

/// The ephemeral key of a header, which must be on the recipient's curve; null where it is no such key.
Pkey ephemeral_key(json::Value epk, EVP_PKEY* own, const Curve& curve) {
    const bool is_ec = curve.type == KeyType::ec;
    // RFC 7518 §4.6.1.1: public members only. A private one shows that the sender knows not what it does.
    if (text_member(epk, "kty") != (is_ec ? "EC" : "OKP") || text_member(epk, "crv") != curve.name || epk.member("d")) {
        return nullptr;
    }
    const auto x = coordinate(epk, "x", curve.size);
    if (!x) {
        return nullptr;
    }
    if (!is_ec) {
        return Pkey(EVP_PKEY_new_raw_public_key(curve.id, nullptr, openssl::bytes(*x), x->size()));
    }
    const auto y = coordinate(epk, "y", curve.size);
    Pkey peer(EVP_PKEY_new());
    if (!y || peer == nullptr || EVP_PKEY_copy_parameters(peer.get(), own) != 1) {
        return nullptr;
    }
    const std::string point = '\x04' + *x + *y;
    // Reading the point checks that it is on the curve, and derive_set_peer does again.
    if (EVP_PKEY_set1_encoded_public_key(peer.get(), openssl::bytes(point), point.size()) != 1) {
        return nullptr;
    }
    return peer;
}

/// A PartyInfo: absent means empty.
std::optional<std::string> party_info(json::Value header, std::string_view name) {
    if (!header.member(name)) {
        return std::string();
    }
    const auto text = text_member(header, name);
    return text ? base64url::decode(*text) : std::nullopt;
}

[[noreturn]] void throw_disagreed() {
    throw std::runtime_error("an ephemeral key cannot be made or used");
}

/// The public half of an ephemeral key as the JWK that a header shows.
std::string epk_text(const EVP_PKEY* pkey, const Curve& curve) {
    std::array<unsigned char, 1 + 2 * 66> encoded;
    std::size_t size = encoded.size();
    const bool is_ec = curve.type == KeyType::ec;
    const bool read = is_ec ? EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, encoded.data(),
                                                              encoded.size(), &size) == 1
                            : EVP_PKEY_get_raw_public_key(pkey, encoded.data(), &size) == 1;
    if (!read || size != (is_ec ? 1 + 2 * curve.size : curve.size)) {
        throw_disagreed();
    }
    const std::string_view bytes(reinterpret_cast<const char*>(encoded.data()), size);
    std::string text = std::string(R"({"kty":")") + (is_ec ? "EC" : "OKP") + R"(","crv":")" + std::string(curve.name) +
                       R"(","x":")" + base64url::encode(bytes.substr(is_ec ? 1 : 0, curve.size));
    if (is_ec) {
        text += R"(","y":")" + base64url::encode(bytes.substr(1 + curve.size));
    }
    return text + "\"}";
}

}  // namespace

std::optional<Secret> agreed_key(const EncryptionTools& tools, const Key& own, json::Value header, AgreedUse use) {
    const Key::Material& material = own.material();
    const auto epk = header.member("epk");
    const auto apu = party_info(header, "apu");
    const auto apv = party_info(header, "apv");
    if (!epk || !apu || !apv || material.curve == nullptr) {
        return std::nullopt;
    }
    const Pkey peer = ephemeral_key(*epk, material.pkey.get(), *material.curve);
    if (peer == nullptr) {
        return std::nullopt;
    }
    const auto secret = shared_secret(material.pkey.get(), peer.get(), *material.curve);
    return secret ? derived_key(tools, secret->view(), other_info(use, *apu, *apv), use.size) : std::nullopt;
}

Agreement agree_with(const EncryptionTools& tools, const Key& recipient, AgreedUse use) {
    const Key::Material& material = recipient.material();
    const Curve& curve = *material.curve;
    const Pkey ephemeral = new_pkey(curve);
    if (ephemeral == nullptr) {
        throw_disagreed();
    }
    const auto secret = shared_secret(ephemeral.get(), material.pkey.get(), curve);
    auto key = secret ? derived_key(tools, secret->view(), other_info(use, {}, {}), use.size) : std::nullopt;
    if (!key) {
        throw_disagreed();
    }
    return {*std::move(key), epk_text(ephemeral.get(), curve)};
}

}  // namespace jwt
