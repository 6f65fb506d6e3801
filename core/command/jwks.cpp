#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "command.hpp"
#include "input.hpp"
#include "output.hpp"

namespace jwt::command {
namespace {

constexpr std::string_view help = R"(jwt jwks FILE...

Prints the public JWK Set (RFC 7517) of keys: PEM, JWK or JWK Set, public or private. No private
member is ever printed, and a secret is refused.

Exit status: 0 the set is printed, 2 there is none.
)";

[[nodiscard]] Result<std::vector<std::string>> public_jwks(const Arguments& arguments) {
    Inputs inputs;
    std::vector<std::string> kids;
    std::vector<std::string> jwks;
    for (const std::string_view path : arguments.operands()) {
        const auto keys = key_file(path, inputs);
        if (!keys) {
            return tl::unexpected(keys.error());
        }
        for (const auto& key : keys->keys()) {
            auto jwk = key->public_jwk();
            if (!jwk) {
                return failure("key file " + quoted(path) +
                               " holds a secret, which has no public half: whoever knew it " +
                               "could sign; name keys for RS256, ES256 or EdDSA instead");
            }
            const std::string kid(key->kid().value_or(""));
            if (key->kid() && std::ranges::find(kids, kid) != kids.end()) {
                return failure("kid " + quoted(kid) + " is that of two keys: leave one of them out");
            }
            kids.push_back(kid);
            jwks.push_back(*std::move(jwk));
        }
    }
    return jwks;
}

[[nodiscard]] Result<Exit> run(const Arguments& arguments) {
    if (arguments.operands().empty()) {
        return failure("no key file is given: write jwt jwks FILE");
    }
    const auto jwks = public_jwks(arguments);
    if (!jwks) {
        return tl::unexpected(jwks.error());
    }
    std::string out = "{\"keys\":[";
    for (const std::string& jwk : *jwks) {
        out.append(out.ends_with('[') ? "\n" : ",\n").append(terminal_safe(jwk));
    }
    print(out + "\n]}\n");
    return Exit::done;
}

}  // namespace

constexpr Subcommand jwks{"jwks", help, {}, run};

}  // namespace jwt::command
