#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "../issuer.hpp"
#include "../jwe.hpp"
#include "command.hpp"
#include "input.hpp"
#include "output.hpp"
#include "time.hpp"

namespace jwt::command {
namespace {

constexpr std::string_view help = R"(jwt sign --key FILE|--secret-file FILE|--secret-env NAME [OPTION...]

Prints a signed token, made as the nginx module makes them.

  --key FILE           private key: PEM, JWK, or a JWK Set of them
  --secret-file FILE   HMAC secret: the bytes of the file without the line end at its end
  --secret-env NAME    HMAC secret in an environment variable
  --algorithm A        (the first that the key serves; HS256 for a secret)
  --kid K              the key of that kid; for a key that has none, the kid to write
  --type TYPE          access or refresh (access)
  --identity ID        whom the token is for, a text
  --identity-claim C   the claim that holds it (sub)
  --claim NAME=JSON    a claim, several options for several: --claim 'role="admin"' --claim level=3
  --header NAME=JSON   a header parameter, likewise
  --expires SPAN       15m, 365d or never (15m; 30d for a refresh token)
  --fresh              mark it as fresh
  --issuer I           the claim iss
  --audience A         the claim aud, several options for several
  --encrypt-to FILE    encrypt it once it is signed: the recipient's public key or secret
  --encrypt-alg ALG    how its key is encrypted (the first that the recipient's key serves)
  --encrypt-enc ENC    how its content is encrypted (the first that fits; A256GCM)
  --at TIME            issue it as of that time: seconds since 1970, or 2024-02-29T12:00:00Z (now)

Exit status: 0 the token is printed, 2 there is none.
)";

constexpr std::array options = {Option{"--key", "FILE"},
                                Option{"--secret-file", "FILE"},
                                Option{"--secret-env", "NAME"},
                                Option{"--algorithm", "ALGORITHM"},
                                Option{"--kid", "KID"},
                                Option{"--type", "access|refresh"},
                                Option{"--identity", "ID"},
                                Option{"--identity-claim", "CLAIM"},
                                Option{"--claim", "NAME=JSON", true},
                                Option{"--header", "NAME=JSON", true},
                                Option{"--expires", "SPAN"},
                                Option{"--fresh", ""},
                                Option{"--issuer", "ISSUER"},
                                Option{"--audience", "AUDIENCE", true},
                                Option{"--encrypt-to", "FILE"},
                                Option{"--encrypt-alg", "ALG"},
                                Option{"--encrypt-enc", "ENC"},
                                Option{"--at", "TIME"}};

[[nodiscard]] Result<std::string> json_string(std::string_view option, std::string_view text) {
    if (!json::valid_utf8(text)) {
        return failure(std::string(option) + " " + quoted(text) + " is no UTF-8 text: write it in UTF-8");
    }
    std::string out;
    json::append_string(out, text);
    return out;
}

[[nodiscard]] Result<Members> members_of(const Arguments& arguments, std::string_view option) {
    Members members;
    json::Parser parser;
    json::Document document;
    for (const std::string_view word : arguments.values(option)) {
        const std::size_t equals = word.find('=');
        const std::string name(word.substr(0, equals));
        if (equals == std::string_view::npos || name.empty() || !json::valid_utf8(name)) {
            return failure(std::string(option) + " " + quoted(word) + " is no NAME=JSON: write " + std::string(option) +
                           " 'role=\"admin\"'");
        }
        const std::string_view value = word.substr(equals + 1);
        if (const auto parsed = parser.parse(value, document); !parsed) {
            return failure(std::string(option) + " " + quoted(word) +
                           " has no JSON value: " + std::string(json::text(parsed.error())) +
                           "; a text needs its quotes, as in " + std::string(option) + " 'role=\"admin\"'");
        }
        members.emplace_back(name, value);
    }
    return members;
}

[[nodiscard]] Result<std::string> identity_of(const Arguments& arguments, const TokenRequest& request) {
    if (const auto identity = arguments.value("--identity")) {
        return json_string("--identity", *identity);
    }
    const auto claim = std::ranges::find(request.claims, request.identity_claim, &Members::value_type::first);
    if (claim == request.claims.end()) {
        return failure("nobody is named whom the token is for, and without its claim " +
                       quoted(request.identity_claim) + " it would be refused: write --identity ID");
    }
    return claim->second;
}

[[nodiscard]] Result<std::optional<std::chrono::seconds>> expiry_of(const Arguments& arguments, std::string_view type) {
    const std::string_view text = arguments.value("--expires").value_or(type == "refresh" ? "30d" : "15m");
    if (text == "never") {
        return std::nullopt;
    }
    const auto span = duration(text);
    if (!span) {
        return failure("--expires " + span.error() + ", or never");
    }
    return *span;
}

[[nodiscard]] Result<TokenRequest> request_of(const Arguments& arguments) {
    TokenRequest request;
    request.type = arguments.value("--type").value_or("access");
    if (request.type != "access" && request.type != "refresh") {
        return failure("--type " + quoted(request.type) + " is none of the types: write access or refresh");
    }
    request.identity_claim = arguments.value("--identity-claim").value_or("sub");
    request.fresh = arguments.has("--fresh");
    for (const std::string_view audience : arguments.values("--audience")) {
        request.audience.emplace_back(audience);
    }
    if (const auto issuer = arguments.value("--issuer")) {
        request.issuer = *issuer;
    }
    auto claims = members_of(arguments, "--claim");
    auto headers = members_of(arguments, "--header");
    const auto expires_in = expiry_of(arguments, request.type);
    if (!claims || !headers || !expires_in) {
        return failure(!claims ? claims.error() : !headers ? headers.error() : expires_in.error());
    }
    request.claims = *std::move(claims);
    request.headers = *std::move(headers);
    request.expires_in = *expires_in;
    auto identity = identity_of(arguments, request);
    if (!identity) {
        return tl::unexpected(identity.error());
    }
    request.identity = *std::move(identity);
    return request;
}

struct Signer {
    std::shared_ptr<const Key> key;
    Algorithm algorithm;
};

[[nodiscard]] std::optional<Algorithm> first_of(AlgorithmSet algorithms) noexcept {
    for (std::size_t i = 0; i < algorithm_count; ++i) {
        if (algorithms.has(static_cast<Algorithm>(i))) {
            return static_cast<Algorithm>(i);
        }
    }
    return std::nullopt;
}

[[nodiscard]] Result<Signer> signer_of(const KeySet& keys, AlgorithmSet wanted, std::optional<std::string_view> kid) {
    AlgorithmSet served;
    bool kid_found = !kid;
    for (const auto& key : keys.keys()) {
        if (kid && key->kid() && key->kid() != kid) {
            continue;
        }
        kid_found = true;
        served = served | key->signs();
        if (const auto algorithm = first_of(wanted.empty() ? key->signs() : wanted & key->signs())) {
            return Signer{key, *algorithm};
        }
    }
    if (!kid_found) {
        return failure("no key has kid " + quoted(*kid) + ": write a kid of the file");
    }
    if (served.empty()) {
        return failure("the key does not sign, as it is a public one: name the private key or a secret");
    }
    return failure("the key does not sign " + names(wanted) + ": write one of " + names(served) +
                   ", or name another key");
}

[[nodiscard]] Result<Signer> signer_of(const Arguments& arguments, Inputs& inputs) {
    const auto wanted = algorithms_of(arguments);
    if (!wanted) {
        return tl::unexpected(wanted.error());
    }
    if (arguments.has("--key") + arguments.has("--secret-file") + arguments.has("--secret-env") > 1) {
        return failure("several keys are named, and one signs: write one of --key, --secret-file, --secret-env");
    }
    return keys_of(arguments, inputs, *wanted).and_then([&](const KeySet& keys) {
        return signer_of(keys, *wanted, arguments.value("--kid"));
    });
}

struct Encrypter {
    std::shared_ptr<const Key> key;
    KeyManagement management;
    ContentEncryption encryption;
};

/// The first way to encrypt that the recipient's keys and the options leave.
[[nodiscard]] Result<Encrypter> first_encrypter(const KeySet& keys, std::optional<KeyManagement> alg,
                                                std::optional<ContentEncryption> enc) {
    // Of content encryptions the strongest that is fast; dir has the one that its secret fits.
    constexpr std::array preferred = {ContentEncryption::a256gcm,       ContentEncryption::a128gcm,
                                      ContentEncryption::a192gcm,       ContentEncryption::a256cbc_hs512,
                                      ContentEncryption::a192cbc_hs384, ContentEncryption::a128cbc_hs256};
    for (std::size_t i = 0; i < key_management_count; ++i) {
        const auto management = static_cast<KeyManagement>(i);
        for (const ContentEncryption encryption : preferred) {
            const bool asked = (!alg || *alg == management) && (!enc || *enc == encryption);
            if (auto key = asked ? keys.encrypter(management, encryption) : nullptr) {
                return Encrypter{std::move(key), management, encryption};
            }
        }
    }
    KeyManagementSet served;
    for (const auto& key : keys.keys()) {
        served = served | key->encrypts();
    }
    return failure(served.empty() ? "the recipient's key does not encrypt: name one for encryption"
                                  : "the recipient's key does not encrypt that way: it serves " + names(served));
}

[[nodiscard]] Result<std::optional<Encrypter>> encrypter_of(const Arguments& arguments, Inputs& inputs) {
    const auto alg_name = arguments.value("--encrypt-alg");
    const auto enc_name = arguments.value("--encrypt-enc");
    const auto file = arguments.value("--encrypt-to");
    if (!file) {
        return alg_name || enc_name ? Result<std::optional<Encrypter>>(failure(
                                          "nobody is named whom the token is encrypted for: write --encrypt-to FILE"))
                                    : std::nullopt;
    }
    const auto alg = alg_name ? key_management_named(*alg_name) : std::nullopt;
    const auto enc = enc_name ? content_encryption_named(*enc_name) : std::nullopt;
    if (alg_name && !alg) {
        return failure("there is no algorithm " + quoted(*alg_name) +
                       " to encrypt with: write one as in RSA-OAEP-256 or "
                       "ECDH-ES+A256KW");
    }
    if (enc_name && !enc) {
        return failure("there is no content encryption " + quoted(*enc_name) + ": write one as in A256GCM");
    }
    const auto keys = key_file(*file, inputs);
    if (!keys) {
        return tl::unexpected(keys.error());
    }
    return first_encrypter(*keys, alg, enc).map([](Encrypter&& found) { return std::optional(std::move(found)); });
}

[[nodiscard]] Result<Exit> run(const Arguments& arguments) {
    if (!arguments.operands().empty()) {
        return failure("the word " + quoted(arguments.operands().front()) +
                       " belongs to no option: write --identity ID or --claim NAME=JSON");
    }
    auto request = request_of(arguments);
    if (!request) {
        return tl::unexpected(request.error());
    }
    const auto time = now(arguments);
    if (!time) {
        return tl::unexpected(time.error());
    }
    Inputs inputs;
    const auto signer = signer_of(arguments, inputs);
    if (!signer) {
        return tl::unexpected(signer.error());
    }
    const auto encrypter = encrypter_of(arguments, inputs);
    if (!encrypter) {
        return tl::unexpected(encrypter.error());
    }
    const auto kid = arguments.value("--kid");
    if (kid && !signer->key->kid()) {
        auto text = json_string("--kid", *kid);
        if (!text) {
            return tl::unexpected(text.error());
        }
        request->headers.emplace_back("kid", *std::move(text));
    }
    return issue(*request, *signer->key, signer->algorithm, *time)
        .map([&encrypter](const std::string& token) {
            const auto& to = *encrypter;
            print((to ? jwe::encrypt(token, *to->key, to->management, to->encryption, R"(,"typ":"JWT","cty":"JWT")")
                      : token) +
                  "\n");
            return Exit::done;
        })
        .map_error([](const IssueError& error) { return error.message; });
}

}  // namespace

constexpr Subcommand sign{"sign", help, options, run};

}  // namespace jwt::command
