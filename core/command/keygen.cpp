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

constexpr std::string_view help = R"(jwt keygen ALGORITHM [--bits N] [--jwk|--pem|--text]

Prints a new private key, or a new secret for HS256, HS384 and HS512. Keep it in a file that
only its users can read: (umask 077; jwt keygen ES256 > key.jwk). "jwt jwks FILE" prints the
public half.

  --bits N  size of an RSA key, 2048 to 8192 (2048)
  --jwk     as a JSON Web Key; its kid is its thumbprint, RFC 7638 (the default)
  --pem     as PEM (PKCS #8); not for secrets
  --text    a secret as base64url text, for jwt_secret_key file:PATH

Exit status: 0 the key is printed, 2 there is none.
)";

constexpr std::array options = {Option{"--bits", "N"}, Option{"--jwk", ""}, Option{"--pem", ""}, Option{"--text", ""}};

constexpr std::size_t default_bits = 2048;

[[nodiscard]] bool is_rsa(Algorithm algorithm) noexcept {
    return algorithm >= Algorithm::rs256 && algorithm <= Algorithm::ps512;
}

[[nodiscard]] Result<std::size_t> bits_of(const Arguments& arguments, Algorithm algorithm) {
    const auto text = arguments.value("--bits");
    if (!text) {
        return default_bits;
    }
    if (!is_rsa(algorithm)) {
        return failure("--bits is for RSA keys, and the size of this one follows from " + std::string(name(algorithm)) +
                       ": leave it out");
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

[[nodiscard]] std::optional<std::string> form_fault(const Arguments& arguments, Algorithm algorithm) {
    if (arguments.has("--jwk") + arguments.has("--pem") + arguments.has("--text") > 1) {
        return "a key is printed in one form: write one of --jwk, --pem, --text";
    }
    if (arguments.has("--pem") && is_hmac(algorithm)) {
        return "a secret has no PEM form: write --text or --jwk";
    }
    if (arguments.has("--text") && !is_hmac(algorithm)) {
        return "--text is for secrets (HS256, HS384, HS512): write --jwk or --pem";
    }
    return std::nullopt;
}

[[nodiscard]] Result<Exit> run(const Arguments& arguments) {
    if (arguments.operands().size() != 1) {
        return failure("the algorithm is missing, or more than one is given: write one, as in jwt keygen ES256");
    }
    const auto algorithm = algorithm_of(arguments.operands().front());
    if (!algorithm) {
        return tl::unexpected(algorithm.error());
    }
    const auto bits = bits_of(arguments, *algorithm);
    if (!bits) {
        return tl::unexpected(bits.error());
    }
    if (auto fault = form_fault(arguments, *algorithm)) {
        return failure(*std::move(fault));
    }
    const auto key = generate_key(*algorithm, *bits);
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
