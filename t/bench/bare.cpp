#include "bare.hpp"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "core/base64url.hpp"
#include "core/ecdsa.hpp"
#include "core/signature.hpp"

namespace bench {

using jwt::Algorithm;

namespace {

constexpr std::size_t token_size = 500;

using jwt::openssl::Digest;
using jwt::openssl::DigestContext;
using jwt::openssl::Mac;
using jwt::openssl::MacContext;
using jwt::openssl::Pkey;
using jwt::openssl::PkeyContext;

const unsigned char* bytes(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

const char* digest_name(Algorithm algorithm) {
    const std::string_view name = jwt::name(algorithm);
    return name.ends_with("384") ? "SHA384" : name.ends_with("512") ? "SHA512" : "SHA256";
}

Pkey new_pkey(Algorithm algorithm) {
    switch (algorithm) {
        case Algorithm::es256:
            return Pkey(EVP_EC_gen("P-256"));
        case Algorithm::es384:
            return Pkey(EVP_EC_gen("P-384"));
        case Algorithm::es512:
            return Pkey(EVP_EC_gen("P-521"));
        case Algorithm::es256k:
            return Pkey(EVP_EC_gen("secp256k1"));
        case Algorithm::eddsa:
        case Algorithm::ed25519:
            return Pkey(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
        case Algorithm::ed448:
            return Pkey(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED448"));
        default:
            return Pkey(EVP_RSA_gen(2048));
    }
}

std::string private_pem(EVP_PKEY* pkey) {
    const jwt::openssl::Bio memory(BIO_new(BIO_s_mem()));
    require(PEM_write_bio_PrivateKey(memory.get(), pkey, nullptr, nullptr, 0, nullptr, nullptr) == 1, "PEM");
    char* data = nullptr;
    const long size = BIO_get_mem_data(memory.get(), &data);
    return {data, static_cast<std::size_t>(size)};
}

// std::function wants what it holds to be copied: contexts are shared.

std::function<bool(const Signed&)> bare_hmac(const Subject& subject) {
    const Mac mac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
    const std::shared_ptr<EVP_MAC_CTX> context = MacContext(EVP_MAC_CTX_new(mac.get()));
    std::string digest = digest_name(subject.algorithm);
    const std::array parameters{OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0),
                                OSSL_PARAM_construct_end()};
    require(EVP_MAC_init(context.get(), bytes(subject.secret), subject.secret.size(), parameters.data()) == 1, "HMAC");
    return [context](const Signed& text) {
        std::array<unsigned char, EVP_MAX_MD_SIZE> out;
        std::size_t size = 0;
        return EVP_MAC_init(context.get(), nullptr, 0, nullptr) == 1 &&
               EVP_MAC_update(context.get(), bytes(text.input), text.input.size()) == 1 &&
               EVP_MAC_final(context.get(), out.data(), &size, out.size()) == 1 && size == text.signature.size() &&
               std::equal(out.begin(), out.begin() + size, bytes(text.signature));
    };
}

std::function<bool(const Signed&)> bare_eddsa(const Subject& subject) {
    const std::shared_ptr<EVP_MD_CTX> context = DigestContext(EVP_MD_CTX_new());
    return [context, &subject](const Signed& text) {
        return EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, subject.pkey.get()) == 1 &&
               EVP_DigestVerify(context.get(), bytes(text.signature), text.signature.size(), bytes(text.input),
                                text.input.size()) == 1;
    };
}

/// RSA and ECDSA: a hash and a verification on kept contexts.
std::function<bool(const Signed&)> bare_hashed(const Subject& subject) {
    const bool is_pss = jwt::name(subject.algorithm).starts_with("PS");
    const Digest digest(EVP_MD_fetch(nullptr, digest_name(subject.algorithm), nullptr));
    const std::shared_ptr<EVP_MD_CTX> hash = DigestContext(EVP_MD_CTX_new());
    require(EVP_DigestInit_ex2(hash.get(), digest.get(), nullptr) == 1, "digest");
    const std::shared_ptr<EVP_PKEY_CTX> context = PkeyContext(EVP_PKEY_CTX_new(subject.pkey.get(), nullptr));
    require(EVP_PKEY_verify_init(context.get()) == 1, "verify_init");
    require(EVP_PKEY_CTX_set_signature_md(context.get(), digest.get()) == 1, "signature_md");
    if (is_pss) {
        require(EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PSS_PADDING) == 1 &&
                    EVP_PKEY_CTX_set_rsa_pss_saltlen(context.get(), RSA_PSS_SALTLEN_DIGEST) == 1,
                "PSS");
    }
    return [context, hash](const Signed& text) {
        std::array<unsigned char, EVP_MAX_MD_SIZE> out;
        unsigned size = 0;
        return EVP_DigestInit_ex2(hash.get(), nullptr, nullptr) == 1 &&
               EVP_DigestUpdate(hash.get(), text.input.data(), text.input.size()) == 1 &&
               EVP_DigestFinal_ex(hash.get(), out.data(), &size) == 1 &&
               EVP_PKEY_verify(context.get(), bytes(text.signature), text.signature.size(), out.data(), size) == 1;
    };
}

}  // namespace

void require(bool good, const char* what) {
    if (!good) {
        std::fprintf(stderr, "benchmark: %s failed\n", what);
        std::exit(1);
    }
}

Subject make_subject(Algorithm algorithm) {
    Subject subject{algorithm, {}, nullptr, nullptr, {}, {}, {}};
    if (jwt::is_hmac(algorithm)) {
        subject.secret.assign(64, 's');
        subject.key = jwt::Key::from_secret(subject.secret, {algorithm}).value();
    } else {
        subject.pkey = new_pkey(algorithm);
        subject.key = jwt::Key::from_pem(private_pem(subject.pkey.get())).value();
    }
    const std::string header = R"({"alg":")" + std::string(jwt::name(algorithm)) + R"(","typ":"JWT"})";
    std::string payload =
        R"({"fresh":false,"iat":1700000000,"jti":"9b0c7a52-9e3b-4f0a-9a3f-0d6c1c6e2f11","type":"access",)"
        R"("sub":"alice","nbf":1700000000,"exp":4000000000,"role":"reader","fill":")";
    const std::string bare = jwt::base64url::encode(header) + '.' + jwt::base64url::encode(payload);
    const std::size_t signature_size = jwt::sign(*subject.key, algorithm, bare).size() * 4 / 3;
    const std::size_t used = bare.size() + signature_size + 4;
    payload += std::string(used < token_size ? (token_size - used) * 3 / 4 : 0, 'x') + "\"}";
    subject.input = jwt::base64url::encode(header) + '.' + jwt::base64url::encode(payload);
    subject.signature = jwt::sign(*subject.key, algorithm, subject.input);
    subject.token = subject.input + '.' + jwt::base64url::encode(subject.signature);
    return subject;
}

std::vector<Signed> make_signed(const Subject& subject, std::size_t count) {
    std::vector<Signed> made;
    std::string input = subject.input;
    for (std::size_t i = 0; i < count; ++i) {
        const std::string number = std::to_string(i);
        input.replace(input.size() - number.size(), number.size(), number);
        std::string signature = jwt::sign(*subject.key, subject.algorithm, input);
        if (jwt::name(subject.algorithm).starts_with("ES")) {
            const jwt::DerSignature der = jwt::ecdsa_der(signature);
            signature.assign(der.bytes.begin(), der.bytes.begin() + der.size);
        }
        made.push_back({input, std::move(signature)});
    }
    return made;
}

std::function<bool(const Signed&)> bare_verification(const Subject& subject) {
    if (jwt::is_hmac(subject.algorithm)) {
        return bare_hmac(subject);
    }
    return jwt::name(subject.algorithm).starts_with("Ed") ? bare_eddsa(subject) : bare_hashed(subject);
}

}  // namespace bench
