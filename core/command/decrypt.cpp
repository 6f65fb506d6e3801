#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "../jwe.hpp"
#include "batch.hpp"
#include "command.hpp"
#include "inflate.hpp"
#include "input.hpp"
#include "output.hpp"

namespace jwt::command {
namespace {

constexpr std::string_view help = R"(jwt decrypt --key FILE TOKEN|-
jwt decrypt --batch [FILE]

Decrypts an encrypted token (JWE) and prints what is in it: claims, or a signed token, which
"jwt verify" judges. Decrypting proves nothing about who made the token where the key is an RSA
or elliptic-curve one: anybody has its public half.

  --key FILE  private key or secret: PEM, JWK or JWK Set; any number of times

  --batch     Each line of FILE (standard input) is an object
              {"jwk": key or set, "token": "..."}, with an "id" if you like. Each line of the
              answer is {"id":...,"result":"valid","plaintext":base64url} or
              {"id":...,"result":"invalid","error":"word"}.

Compressed contents ("zip":"DEF"), which the nginx module refuses, are shown up to 256 KiB and ten
times their size.

Exit status: 0 decrypted (--batch: all lines answered), 1 refused, 2 nothing was judged.
)";

constexpr std::array options = {Option{"--key", "FILE", true}, Option{"--batch", ""}};

[[nodiscard]] tl::expected<std::string, Refusal> plaintext_of(std::string_view token, const KeySet& keys,
                                                              json::Parser& parser) {
    auto decrypted = jwe::parse(token, parser, jwe::Zip::kept).and_then([&keys](jwe::EncryptedToken&& parsed) {
        return jwe::decrypt(std::move(parsed), keys);
    });
    if (!decrypted) {
        return tl::unexpected(std::move(decrypted).error());
    }
    if (!decrypted->header().member("zip")) {
        return std::string(decrypted->plaintext());
    }
    auto text = inflated(decrypted->plaintext());
    if (!text) {
        return tl::unexpected(refusal(Error::compressed));
    }
    return *std::move(text);
}

[[nodiscard]] Verdict judge(json::Value object, json::Parser& parser) {
    const auto jwk = object.member("jwk");
    const auto member = object.member("token");
    const auto token = member ? member->string() : std::nullopt;
    if (!jwk || !token) {
        return invalid(input_word);
    }
    const auto keys = KeySet::from_json(*jwk);
    if (!keys || keys->decrypts().empty()) {
        return invalid(key_word);
    }
    return plaintext_of(*token, *keys, parser).map_error([](const Refusal& refused) { return word(refused.error); });
}

[[nodiscard]] Result<KeySet> decrypting_keys(const Arguments& arguments, Inputs& inputs) {
    if (!arguments.has("--key")) {
        return failure("no key is named: write --key FILE (PEM, JWK or JWK Set) with a private key or a secret");
    }
    auto keys = keys_of(arguments, inputs, {});
    if (keys && keys->decrypts().empty()) {
        return failure(
            "the keys do not decrypt: name a private key or a secret, for encryption where it has use or key_ops");
    }
    return keys;
}

[[nodiscard]] Result<Exit> show(std::string_view token, const KeySet& keys) {
    json::Parser parser;
    const auto text = plaintext_of(token, keys, parser);
    if (!text) {
        print_error(std::string(word(text.error().error)) + ": " + text.error().message);
        if (std::ranges::count(token, '.') == 2) {
            print_error("note: a token of three parts is signed and not encrypted: \"jwt verify\" judges it");
        }
        return Exit::refused;
    }
    json::Document document;
    if (parser.parse(*text, document)) {
        print(terminal_safe(*text) + "\n");
        return Exit::done;
    }
    const bool printable = std::ranges::all_of(*text, [](char c) { return c >= ' ' && c <= '~'; });
    if (!printable) {
        return failure("it was decrypted, and holds " + std::to_string(text->size()) +
                       " bytes that are neither a token nor JSON: --batch prints them as base64url");
    }
    print(*text + "\n");
    return Exit::done;
}

[[nodiscard]] Result<Exit> run(const Arguments& arguments) {
    if (arguments.has("--batch")) {
        return judge_lines(arguments, judge, "plaintext");
    }
    Inputs inputs;
    const auto keys = decrypting_keys(arguments, inputs);
    if (!keys) {
        return tl::unexpected(keys.error());
    }
    return token_operand(arguments, inputs).and_then([&keys](const std::string& token) { return show(token, *keys); });
}

}  // namespace

constexpr Subcommand decrypt{"decrypt", help, options, run};

}  // namespace jwt::command
