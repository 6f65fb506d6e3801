#include <openssl/pem.h>

#include <array>
#include <utility>

#include "key_material.hpp"
#include "key_pem.hpp"

namespace jwt {

using openssl::Pkey;

namespace {

struct OpensslFree {
    void operator()(void* memory) const noexcept { OPENSSL_free(memory); }
};
using OpensslText = std::unique_ptr<char, OpensslFree>;

struct OpensslClearFree {
    std::size_t size;
    void operator()(unsigned char* memory) const noexcept { OPENSSL_clear_free(memory, size); }
};

}  // namespace

PemReader::PemReader(std::string_view text)
    : bio_(text.size() > max_text_size ? nullptr : BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))) {}

std::optional<PemBlock> PemReader::next() {
    char* label = nullptr;
    char* header = nullptr;
    unsigned char* data = nullptr;
    long read_size = 0;
    // Takes text apart only: it never decrypts, so it never asks anybody for a password.
    if (bio_ == nullptr || PEM_read_bio(bio_.get(), &label, &header, &data, &read_size) != 1) {
        damaged_ = bio_ == nullptr || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE;
        return std::nullopt;
    }
    const OpensslText owned_label(label);
    const OpensslText owned_header(header);
    const auto size = static_cast<std::size_t>(read_size);
    const std::unique_ptr<unsigned char, OpensslClearFree> owned_data(data, OpensslClearFree{size});
    return PemBlock{label, header, openssl::Secret(std::string_view(reinterpret_cast<char*>(data), size))};
}

namespace {

/// Calls a d2i function, which must use up all bytes.
template <class Handle, class Decode>
Handle whole(std::string_view der, Decode decode) {
    const unsigned char* position = openssl::bytes(der);
    const unsigned char* const end = position + der.size();
    Handle handle(decode(&position, static_cast<long>(der.size())));
    if (position != end) {
        handle.reset();
    }
    return handle;
}

Pkey subject_public_key(std::string_view der) {
    return whole<Pkey>(der, [](const unsigned char** in, long size) { return d2i_PUBKEY(nullptr, in, size); });
}

Pkey certified_key(std::string_view der) {
    const auto certificate = whole<openssl::Certificate>(
        der, [](const unsigned char** in, long size) { return d2i_X509(nullptr, in, size); });
    return Pkey(certificate == nullptr ? nullptr : X509_get_pubkey(certificate.get()));
}

Pkey pkcs1_public_key(std::string_view der) {
    return whole<Pkey>(
        der, [](const unsigned char** in, long size) { return d2i_PublicKey(EVP_PKEY_RSA, nullptr, in, size); });
}

Pkey typed_private_key(int type, std::string_view der) {
    return whole<Pkey>(der,
                       [type](const unsigned char** in, long size) { return d2i_PrivateKey(type, nullptr, in, size); });
}

Pkey pkcs8_private_key(std::string_view der) {
    const auto info = whole<openssl::PrivateKeyInfo>(
        der, [](const unsigned char** in, long size) { return d2i_PKCS8_PRIV_KEY_INFO(nullptr, in, size); });
    return Pkey(info == nullptr ? nullptr : EVP_PKCS82PKEY(info.get()));
}

struct Label {
    std::string_view text;
    bool is_private;
    Pkey (*decode)(std::string_view der);
};

constexpr std::array<Label, 6> labels = {{
    {"PUBLIC KEY", false, subject_public_key},
    {"RSA PUBLIC KEY", false, pkcs1_public_key},
    {"CERTIFICATE", false, certified_key},
    {"PRIVATE KEY", true, pkcs8_private_key},
    {"RSA PRIVATE KEY", true, [](std::string_view der) { return typed_private_key(EVP_PKEY_RSA, der); }},
    {"EC PRIVATE KEY", true, [](std::string_view der) { return typed_private_key(EVP_PKEY_EC, der); }},
}};

std::string foreign_label(std::string_view label) {
    if (label == "OPENSSH PRIVATE KEY") {
        return "is in OpenSSH's format: convert a copy with \"ssh-keygen -p -m PEM -f FILE\"";
    }
    return "is a PEM block " + quoted(label) +
           ", which is none of PUBLIC KEY, RSA PUBLIC KEY, CERTIFICATE, PRIVATE KEY, RSA PRIVATE KEY, EC PRIVATE KEY";
}

}  // namespace

Pkey public_key_of_der(std::string_view der) {
    if (!der.starts_with('\x30')) {
        return nullptr;
    }
    for (const auto decode : {subject_public_key, certified_key, pkcs1_public_key}) {
        if (Pkey pkey = decode(der)) {
            return pkey;
        }
    }
    return nullptr;
}

MaterialResult material_of_pem(const PemBlock& block) {
    if (block.label == "ENCRYPTED PRIVATE KEY" || block.header.find("ENCRYPTED") != std::string::npos) {
        return refuse("is encrypted: write it unencrypted with \"openssl pkey -in FILE -out NEW\", mode 0600");
    }
    for (const Label& label : labels) {
        if (block.label == label.text) {
            Pkey pkey = label.decode(block.der.view());
            if (pkey == nullptr) {
                // Its type is in what cannot be decoded. Providers with any of these types have EC.
                return tl::unexpected(
                    not_taken("EC", "is damaged: its " + std::string(label.text) + " block cannot be decoded"));
            }
            return examine(std::move(pkey), label.is_private);
        }
    }
    return refuse(foreign_label(block.label));
}

KeyResult Key::from_pem(std::string_view pem) {
    const openssl::ErrorQueueGuard guard;
    PemReader reader(pem);
    auto block = reader.next();
    while (block && block->label == ec_parameters_label) {
        block = reader.next();
    }
    if (!block) {
        return refuse(reader.damaged() ? "is damaged: its PEM block cannot be read" : "holds no PEM block");
    }
    return material_of_pem(*block).and_then(KeyBuilder::finish);
}

}  // namespace jwt
