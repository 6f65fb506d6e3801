#include <array>
#include <charconv>
#include <memory>
#include <string>
#include <string_view>

#include "../base64url.hpp"
#include "../key.hpp"
#include "command.hpp"
#include "input.hpp"
#include "output.hpp"
#include "pem.hpp"

namespace jwt::command {
namespace {

constexpr std::string_view help = R"(jwt keygen ALGORITHM [--bits N] [--curve C] [--jwk|--pem|--text]

Prints a new private key, or a new secret for HS256, HS384 and HS512. Keep it in a file that
only its users can read: (umask 077; jwt keygen ES256 > key.jwk). "jwt jwks FILE" prints the
public half. ALGORITHM may also be one for encrypted tokens: RSA-OAEP-256, ECDH-ES+A256KW, A256KW and
so on, or, for a secret that encrypts contents itself ("dir"), A256GCM, A128CBC-HS256 and so on.

  --curve C of ECDH-ES: P-256, P-384, P-521, X25519 or X448 (P-256)
  --bits N  size of an RSA key, 2048 to 8192 (2048)
  --jwk     as a JSON Web Key; its kid is its thumbprint, RFC 7638 (the default)
  --pem     as PEM (PKCS #8); not for secrets
  --text    a secret as base64url text, for jwt_secret_key file:PATH

Exit status: 0 the key is printed, 2 there is none.
)";

constexpr std::array options = {Option{"--bits", "N"}, Option{"--curve", "CURVE"}, Option{"--jwk", ""},
                                Option{"--pem", ""}, Option{"--text", ""}};

constexpr std::size_t default_bits = 2048;

/// What a key is to be for: a signature algorithm, or a way to encrypt.
struct Purpose {
    std::optional<Algorithm> algorithm;
    KeyManagement management = KeyManagement::dir;
    ContentEncryption encryption = ContentEncryption::a256gcm;

    [[nodiscard]] bool is_rsa() const noexcept {
        return algorithm ? *algorithm >= Algorithm::rs256 && *algorithm <= Algorithm::ps512
                         : rsa_managements.has(management);
    }
    [[nodiscard]] bool is_secret() const noexcept {
        return algorithm ? is_hmac(*algorithm) : symmetric_managements.has(management);
    }
    [[nodiscard]] bool has_curves() const noexcept { return !algorithm && ecdh_managements.has(management); }
};

[[nodiscard]] Result<Purpose> purpose_of(std::string_view name) {
    if (const auto encryption = content_encryption_named(name)) {
        return Purpose{std::nullopt, KeyManagement::dir, *encryption};
    }
    if (name == "dir") {
        return failure("\"dir\" has keys of several sizes: write the encryption of the contents, as in A256GCM");
    }
    if (const auto management = key_management_named(name)) {
        return Purpose{std::nullopt, *management};
    }
    return algorithm_of(name).map([](Algorithm algorithm) { return Purpose{algorithm}; });
}

[[nodiscard]] Result<std::size_t> bits_of(const Arguments& arguments, const Purpose& purpose) {
    const auto text = arguments.value("--bits");
    if (!text) {
        return default_bits;
    }
    if (!purpose.is_rsa()) {
        return failure("--bits is for RSA keys, and the size of this one follows from " +
                       std::string(arguments.operands().front()) + ": leave it out");
    }
    std::size_t bits = 0;
    const char* const end = text->data() + text->size();
    const auto [stop, error] = std::from_chars(text->data(), end, bits);
    if (error != std::errc() || stop != end || bits < default_bits || bits > 8192) {
        return failure("--bits " + quoted(*text) + " is no size for an RSA key: write 2048 to 8192");
    }
    return bits;
}

/// The secret of a JWK of kty oct, as text.
[[nodiscard]] std::string secret_text(const Key& key) {
    json::Parser parser;
    json::Document document;
    const auto jwk = parser.parse_object(key.private_jwk(), document);
    return std::string(jwk.value().member("k").value().string().value());
}

[[nodiscard]] std::optional<std::string> form_fault(const Arguments& arguments, const Purpose& purpose) {
    if (arguments.has("--jwk") + arguments.has("--pem") + arguments.has("--text") > 1) {
        return "a key is printed in one form: write one of --jwk, --pem, --text";
    }
    if (arguments.has("--curve") && !purpose.has_curves()) {
        return "--curve is for ECDH-ES: leave it out";
    }
    if (arguments.has("--pem") && purpose.is_secret()) {
        return "a secret has no PEM form: write --text or --jwk";
    }
    if (arguments.has("--text") && !(purpose.algorithm && is_hmac(*purpose.algorithm))) {
        return "--text is for secrets (HS256, HS384, HS512): write --jwk or --pem";
    }
    return std::nullopt;
}

[[nodiscard]] Result<Exit> run(const Arguments& arguments) {
    if (arguments.operands().size() != 1) {
        return failure("the algorithm is missing, or more than one is given: write one, as in jwt keygen ES256");
    }
    const auto purpose = purpose_of(arguments.operands().front());
    if (!purpose) {
        return tl::unexpected(purpose.error());
    }
    const auto bits = bits_of(arguments, *purpose);
    if (!bits) {
        return tl::unexpected(bits.error());
    }
    if (auto fault = form_fault(arguments, *purpose)) {
        return failure(*std::move(fault));
    }
    const auto key = purpose->algorithm ? generate_key(*purpose->algorithm, *bits)
                                        : generate_encryption_key(purpose->management, purpose->encryption,
                                                                  arguments.value("--curve").value_or("P-256"), *bits);
    if (!key) {
        return failure("the new key " + key.error().message);
    }
    if (arguments.has("--pem")) {
        print(private_pem(**key));
    } else if (arguments.has("--text")) {
        print(secret_text(**key) + "\n");
    } else {
        print((*key)->private_jwk() + "\n");
    }
    return Exit::done;
}

}  // namespace

constexpr Subcommand keygen{"keygen", help, options, run};

}  // namespace jwt::command
