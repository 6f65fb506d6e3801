#pragma once

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base64url.hpp"
#include "json.hpp"
#include "key.hpp"

// Keys in every form that the tests of keys and signatures need.
namespace jwt {

using KeyResult = tl::expected<std::shared_ptr<const Key>, KeyError>;

inline KeyResult key_of_jwk(std::string_view text) {
    json::Parser parser;
    json::Document document;
    return Key::from_jwk(parser.parse(text, document).value());
}

/// The JWK with one member replaced (or added at its end) by JSON text; left out where that is empty.
inline std::string with_member(std::string_view jwk, std::string_view name, std::string_view value) {
    json::Parser parser;
    json::Document document;
    std::string out = "{";
    const auto append = [&out](std::string_view member, std::string_view text) {
        out += (out.size() > 1 ? ",\"" : "\"") + std::string(member) + "\":" + std::string(text);
    };
    bool found = false;
    parser.parse(jwk, document).value().each_member([&](std::string_view member, json::Value old) {
        found = found || member == name;
        if (member != name) {
            append(member, old.text());
        } else if (!value.empty()) {
            append(member, value);
        }
    });
    if (!found && !value.empty()) {
        append(name, value);
    }
    return out + "}";
}

inline std::string json_text(std::string_view text) {
    std::string out;
    json::append_string(out, text);
    return out;
}

inline std::string json_base64url(std::string_view bytes) {
    return json_text(base64url::encode(bytes));
}

inline std::string bytes_of_hex(std::string_view hex) {
    std::string bytes;
    for (std::size_t i = 0; i < hex.size(); i += 2) {
        bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
    }
    return bytes;
}

inline std::string member_bytes(std::string_view jwk, std::string_view name) {
    json::Parser parser;
    json::Document document;
    return base64url::decode(*parser.parse(jwk, document)->member(name)->string()).value();
}

inline std::string okp_jwk(std::string_view crv, const std::string& x) {
    return R"({"kty":"OKP","crv":")" + std::string(crv) + R"(","x":)" + json_base64url(x) + "}";
}

inline bool mentions(const KeyResult& result, std::string_view words) {
    return !result && result.error().message.find(words) != std::string::npos;
}

using Number = std::unique_ptr<BIGNUM, decltype(&BN_free)>;

inline const unsigned char* bytes_of(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

inline unsigned char* bytes_of(std::string& text) {
    return reinterpret_cast<unsigned char*>(text.data());
}

using TestPkey = std::shared_ptr<EVP_PKEY>;

inline TestPkey owned(EVP_PKEY* pkey) {
    return {pkey, EVP_PKEY_free};
}

/// What a writer of OpenSSL puts into a BIO.
inline std::string written(const std::function<int(BIO*)>& write) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
    if (write(bio.get()) != 1) {
        return {};
    }
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    return {data, static_cast<std::size_t>(size)};
}

inline std::string public_pem(const TestPkey& pkey) {
    return written([&](BIO* bio) { return PEM_write_bio_PUBKEY(bio, pkey.get()); });
}

inline std::string public_der(const TestPkey& pkey) {
    return written([&](BIO* bio) { return i2d_PUBKEY_bio(bio, pkey.get()); });
}

inline std::string private_pem(const TestPkey& pkey) {
    return written(
        [&](BIO* bio) { return PEM_write_bio_PrivateKey(bio, pkey.get(), nullptr, nullptr, 0, nullptr, nullptr); });
}

/// "RSA PRIVATE KEY", "EC PRIVATE KEY".
inline std::string traditional_private_pem(const TestPkey& pkey) {
    return written([&](BIO* bio) {
        return PEM_write_bio_PrivateKey_traditional(bio, pkey.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
}

inline std::string traditional_public_pem(const TestPkey& rsa) {
    unsigned char* der = nullptr;
    const int size = i2d_PublicKey(rsa.get(), &der);
    const std::string pem =
        written([&](BIO* bio) { return PEM_write_bio(bio, "RSA PUBLIC KEY", "", der, size) > 0 ? 1 : 0; });
    OPENSSL_free(der);
    return pem;
}

/// A certificate for `pkey`, signed with `issuer`.
inline std::string certificate_pem(const TestPkey& pkey, const TestPkey& issuer) {
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -7200);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), -3600);  // expired: of no matter
    X509_set_pubkey(certificate.get(), pkey.get());
    X509_sign(certificate.get(), issuer.get(), EVP_sha256());
    return written([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); });
}

}  // namespace jwt
