#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "../base64url.hpp"
#include "../jwe.hpp"
#include "../jws.hpp"
#include "../policy.hpp"
#include "../token.hpp"
#include "../verifier.hpp"
#include "command.hpp"
#include "input.hpp"
#include "output.hpp"
#include "time.hpp"

namespace jwt::command {
namespace {

constexpr std::string_view help = R"(jwt inspect [--key FILE] [--at TIME] TOKEN|-

Shows the header, the payload and the times of a token, and what is wrong with its form. Of an
encrypted token (JWE) it shows the header, and what it takes to decrypt it; with a key, what is in
it. No signature is checked: whatever it shows may be forged. "jwt verify" tells.

  --key FILE private key or secret that decrypts: PEM, JWK or JWK Set; any number of times
  --at TIME   the time to compare with, in seconds since 1970 or as 2024-02-29T12:00:00Z (now)

Exit status: 0 the form is sound, 1 it is not, 2 nothing was looked at.
)";

constexpr std::array options = {Option{"--key", "FILE", true}, Option{"--at", "TIME"}};

[[nodiscard]] std::vector<std::string_view> split(std::string_view token) {
    std::vector<std::string_view> parts;
    for (;;) {
        const std::size_t dot = token.find('.');
        parts.push_back(token.substr(0, dot));
        if (dot == std::string_view::npos) {
            return parts;
        }
        token.remove_prefix(dot + 1);
    }
}

/// A segment as far as it can be read; `document` holds its object where it is one.
void append_segment(std::string& out, std::string_view title, std::string_view segment, json::Document& document) {
    out.append(title).append("\n");
    const auto bytes = base64url::decode(segment);
    if (!bytes) {
        out += "  not base64url without padding: " + quoted(segment) + "\n";
        return;
    }
    json::Parser parser;
    const auto value = parser.parse(*bytes, document);
    if (value) {
        out += pretty(*value, 2) + "\n";
    } else {
        out += "  no JSON (" + std::string(json::text(value.error())) + "): " + std::to_string(bytes->size()) +
               (bytes->size() == 1 ? " byte\n" : " bytes\n");
    }
}

void append_times(std::string& out, json::Value payload, Time now) {
    struct TimeClaim {
        std::string_view name;
        std::string_view ahead;
        std::string_view past;
    };
    constexpr std::array claims = {TimeClaim{"iat", "issued", "issued"}, TimeClaim{"nbf", "starts", "started"},
                                   TimeClaim{"exp", "expires", "expired"},
                                   TimeClaim{"auth_time", "logged in", "logged in"},
                                   TimeClaim{"fresh", "stops being fresh", "stopped being fresh"}};
    std::string lines;
    for (const TimeClaim& claim : claims) {
        const auto value = payload.member(claim.name);
        const auto seconds = value ? value->number() : std::nullopt;
        if (seconds) {
            std::string name(claim.name);
            name.resize(10, ' ');
            const std::string relative = relative_text(*seconds, now);
            const std::string_view meaning = relative.ends_with(" ago") ? claim.past : claim.ahead;
            lines.append("  ").append(name).append(date_text(*seconds)).append("  ").append(meaning);
            lines.append(" ").append(relative).append("\n");
        }
    }
    if (payload.type() == json::Type::object && !payload.member("exp")) {
        lines += "  no exp: it never expires\n";
    }
    if (!lines.empty()) {
        out += "Times (now " + date_text(static_cast<double>(now.time_since_epoch().count()) / 1000.0) + ")\n" + lines;
    }
}

/// Bytes of a signature, where the algorithm alone says how many.
[[nodiscard]] std::optional<std::size_t> signature_size(Algorithm algorithm) noexcept {
    switch (algorithm) {
        case Algorithm::hs256:
            return 32;
        case Algorithm::hs384:
            return 48;
        case Algorithm::hs512:
        case Algorithm::es256:
        case Algorithm::es256k:
        case Algorithm::ed25519:
            return 64;
        case Algorithm::es384:
            return 96;
        case Algorithm::es512:
            return 132;
        case Algorithm::ed448:
            return 114;
        case Algorithm::rs256:
        case Algorithm::rs384:
        case Algorithm::rs512:
        case Algorithm::ps256:
        case Algorithm::ps384:
        case Algorithm::ps512:
        case Algorithm::eddsa:
            break;
    }
    return std::nullopt;
}

[[nodiscard]] std::optional<std::string> algorithm_fault(json::Value header, std::string_view signature) {
    const auto alg = header.member("alg");
    const auto name = alg ? alg->string() : std::nullopt;
    if (!name) {
        return "algorithm_missing: the header has no alg that is a string";
    }
    if (*name == "none") {
        return "algorithm_not_allowed: alg is \"none\", so nobody signed it; no verifier here takes it";
    }
    const auto algorithm = algorithm_named(*name);
    if (!algorithm) {
        return "algorithm_not_allowed: " + algorithm_of(*name).error();
    }
    const auto size = signature_size(*algorithm);
    const auto bytes = base64url::decode(signature);
    if (size && bytes && bytes->size() != *size) {
        return "signature: it has " + std::to_string(bytes->size()) + " bytes, where " + std::string(*name) + " has " +
               std::to_string(*size);
    }
    return std::nullopt;
}

/// What somebody who pasted something else than a compact JWS needs to hear.
[[nodiscard]] std::optional<std::string> hint(std::string_view text, std::size_t parts) {
    if (text.starts_with("Bearer ") || text.starts_with("bearer ")) {
        return "leave out \"Bearer \": it belongs to the header line, not to the token";
    }
    if (text.starts_with('"') || text.starts_with('{')) {
        return "this is JSON: paste the token alone, without quotes or braces around it";
    }
    if (parts == 5) {
        return "it has five parts: this is an encrypted token (JWE), and what is in one must be signed";
    }
    if (text.find_first_of("=+/") != std::string_view::npos) {
        return "it has characters of base64 (= + /): tokens are base64url without padding";
    }
    return std::nullopt;
}

/// Each line a fault of the form; empty where there is none.
[[nodiscard]] std::string form_faults(std::string_view text, const std::vector<std::string_view>& parts,
                                      json::Value header) {
    std::string lines;
    const auto add = [&lines](std::string_view line) { lines.append("  ").append(line).append("\n"); };
    Verifier verifier;
    if (const auto parsed = verifier.parse(text); !parsed) {
        add(std::string(word(parsed.error().error)) + ": " + parsed.error().message);
        if (const auto advice = hint(text, parts.size())) {
            add(*advice);
        }
    }
    if (parts.size() == 3 && header.type() == json::Type::object) {
        if (const auto fault = algorithm_fault(header, parts[2])) {
            add(*fault);
        }
    }
    return lines;
}

void append_claims_fault(std::string& out, json::Value payload, Time now) {
    if (payload.type() != json::Type::object) {
        return;
    }
    if (const auto refused = check_claims(Claims(payload), Policy{}, std::nullopt, now)) {
        out += "Claims\n  refused as " + std::string(word(refused->error)) + ": " + refused->message + "\n";
    }
}

/// What it takes to decrypt a token.
[[nodiscard]] std::string needed_key(const jwe::EncryptedToken& token) {
    const KeyManagement management = token.management();
    const std::string kid = token.kid() ? ", of kid " + quoted(*token.kid()) : "";
    if (rsa_managements.has(management)) {
        return "the RSA private key of its recipient" + kid;
    }
    if (ecdh_managements.has(management)) {
        const auto epk = token.header().member("epk");
        const auto crv = epk ? epk->member("crv") : std::nullopt;
        return "its recipient's private key on curve " + (crv ? crv->text() : "(epk names none)") + kid;
    }
    const std::size_t size =
        management == KeyManagement::dir ? sizes(token.encryption()).key : wrapping_key_size(management);
    return "the shared secret of " + std::to_string(size) + " bytes" + kid;
}

void append_encryption(std::string& out, const jwe::EncryptedToken& token) {
    out += "Encryption\n  decrypted by " + needed_key(token) + "\n";
    out += symmetric_managements.has(token.management())
               ? "  made by somebody who knows that secret\n"
               : "  made by anybody: the key that encrypts is public. Only a signed token in it proves who\n";
}

[[nodiscard]] Exit inspect_text(std::string& out, std::string_view token, Time time);

/// A JWE: its header, and with keys what is in it.
[[nodiscard]] Exit inspect_encrypted(std::string& out, std::string_view text, const KeySet& keys, Time time) {
    json::Parser parser;
    auto token = jwe::parse(text, parser);
    if (!token) {
        json::Document header;
        append_segment(out, "Header", split(text)[0], header);
        out += "Form\n  " + std::string(word(token.error().error)) + ": " + token.error().message +
               "\n  it has five parts: this is an encrypted token (JWE)\n";
        return Exit::refused;
    }
    out += "Header\n" + pretty(token->header(), 2) + "\n";
    append_encryption(out, *token);
    if (keys.empty()) {
        out += "Form\n  sound as far as it can be seen. \"jwt inspect --key\" with that key shows what is in it.\n";
        return Exit::done;
    }
    const auto decrypted = jwe::decrypt(*std::move(token), keys);
    if (!decrypted) {
        out += "Content\n  " + std::string(word(decrypted.error().error)) + ": " + decrypted.error().message + "\n";
        return Exit::refused;
    }
    if (decrypted->is_nested()) {
        out += "Content\n  a token (cty says so):\n";
        return inspect_text(out, decrypted->plaintext(), time);
    }
    json::Document payload;
    const auto claims = parser.parse_object(decrypted->plaintext(), payload);
    out += "Payload\n";
    if (!claims) {
        out += "  no JSON object (" + std::string(json::text(claims.error())) +
               "): " + std::to_string(decrypted->plaintext().size()) + " bytes\n";
        return Exit::refused;
    }
    out += pretty(*claims, 2) + "\n";
    append_times(out, *claims, time);
    append_claims_fault(out, *claims, time);
    out += decrypted->by_shared_secret() ? "Form\n  sound. Nobody signed it: its encryption is its only proof.\n"
                                         : "Form\n  not_nested: nobody signed it, and anybody could encrypt it\n";
    return decrypted->by_shared_secret() ? Exit::done : Exit::refused;
}

[[nodiscard]] Result<KeySet> decryption_keys(const Arguments& arguments, Inputs& inputs) {
    return arguments.has("--key") ? keys_of(arguments, inputs, {}) : KeySet();
}

[[nodiscard]] Exit inspect_text(std::string& out, std::string_view token, Time time) {
    const std::vector<std::string_view> parts = split(token);
    json::Document header;
    json::Document payload;
    append_segment(out, "Header", parts[0], header);
    if (parts.size() == 2 || parts.size() == 3) {
        append_segment(out, "Payload", parts[1], payload);
        append_times(out, payload.root(), time);
        append_claims_fault(out, payload.root(), time);
    }
    const std::string faults = form_faults(token, parts, header.root());
    if (faults.empty()) {
        out += "Form\n  sound. Nobody's signature was checked: \"jwt verify\" with a key does that.\n";
    } else {
        out += "Form\n" + faults;
    }
    return faults.empty() ? Exit::done : Exit::refused;
}

[[nodiscard]] Result<Exit> run(const Arguments& arguments) {
    Inputs inputs;
    const auto time = now(arguments);
    const auto token = token_operand(arguments, inputs);
    const auto keys = decryption_keys(arguments, inputs);
    if (!time || !token || !keys) {
        return failure(!time ? time.error() : !token ? token.error() : keys.error());
    }
    std::string out;
    const Exit exit =
        jwe::segments(*token) ? inspect_encrypted(out, *token, *keys, *time) : inspect_text(out, *token, *time);
    print(out);
    return exit;
}

}  // namespace

constexpr Subcommand inspect{"inspect", help, options, run};

}  // namespace jwt::command
