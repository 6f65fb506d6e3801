#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "../verifier.hpp"
#include "command.hpp"
#include "input.hpp"
#include "output.hpp"
#include "time.hpp"

namespace jwt::command {
namespace {

constexpr std::string_view help = R"(jwt verify [OPTION...] TOKEN|-
jwt verify --batch [FILE]

Verifies a token as the nginx module does. Prints its payload where it is accepted; says why
on standard error where it is refused.

  --key FILE            PEM (public or private key, certificate), JWK or JWK Set
  --secret-file FILE    HMAC secret: the bytes of the file without the line end at its end
  --secret-env NAME     HMAC secret in an environment variable
                        Each of these three any number of times.
  --algorithm A         an algorithm to allow; several with commas or several options
                        (all that the keys serve; HS256 for a secret)
  --issuer I            an issuer to take, several options for several (any)
  --audience A          an audience to take, several options for several (any)
  --leeway SPAN         how far clocks may differ: 30, 30s, 2m (0)
  --max-age SPAN        refuse tokens that were issued (iat) longer ago
  --profile rfc9068     take access tokens by RFC 9068 only; with --issuer and --audience
  --identity-claim C    the claim that must be there (sub)
  --no-verify-sub       take a sub that is no string
  --type access|refresh|any
                        the type of token to take (any)
  --fresh               take fresh tokens only
  --at TIME             judge as of that time: seconds since 1970, or 2024-02-29T12:00:00Z (now)

  --batch               judge signatures alone. Each line of FILE (standard input) is an object
                        {"jwk": key or set, "token": "..."} or
                        {"jwk": ..., "alg": "...", "input": base64url, "signature": base64url},
                        with an "id" if you like. Each line of the answer is
                        {"id":...,"result":"valid","payload":base64url} or
                        {"id":...,"result":"invalid","error":"word"}.

Exit status: 0 accepted (--batch: all lines answered), 1 refused, 2 nothing was judged.
)";

constexpr std::array options = {Option{"--key", "FILE", true},
                                Option{"--secret-file", "FILE", true},
                                Option{"--secret-env", "NAME", true},
                                Option{"--algorithm", "ALGORITHM", true},
                                Option{"--issuer", "ISSUER", true},
                                Option{"--audience", "AUDIENCE", true},
                                Option{"--leeway", "SECONDS"},
                                Option{"--max-age", "SECONDS"},
                                Option{"--profile", "rfc9068"},
                                Option{"--identity-claim", "CLAIM"},
                                Option{"--no-verify-sub", ""},
                                Option{"--type", "access|refresh|any"},
                                Option{"--fresh", ""},
                                Option{"--at", "TIME"},
                                Option{"--batch", ""}};

[[nodiscard]] std::vector<std::string> owned(const std::vector<std::string_view>& texts) {
    return {texts.begin(), texts.end()};
}

[[nodiscard]] Result<Policy> policy_of(const Arguments& arguments) {
    const auto leeway = duration(arguments.value("--leeway").value_or("0"));
    if (!leeway) {
        return failure("--leeway " + leeway.error());
    }
    Policy policy{.audiences = owned(arguments.values("--audience")),
                  .issuers = owned(arguments.values("--issuer")),
                  .leeway = *leeway,
                  .identity_claim = std::string(arguments.value("--identity-claim").value_or("sub")),
                  .verify_sub = !arguments.has("--no-verify-sub")};
    if (const auto text = arguments.value("--max-age")) {
        const auto max_age = duration(*text);
        if (!max_age) {
            return failure("--max-age " + max_age.error());
        }
        policy.max_age = *max_age;
    }
    if (const auto profile = arguments.value("--profile")) {
        if (*profile != "rfc9068") {
            return failure("--profile " + quoted(*profile) + " is none of the profiles: write rfc9068");
        }
        if (policy.issuers.empty() || policy.audiences.empty()) {
            return failure(
                "--profile rfc9068 takes tokens of known issuers, made for us: write --issuer and --audience");
        }
        policy.profile = Profile::rfc9068;
    }
    return policy;
}

[[nodiscard]] Result<Demand> demand_of(const Arguments& arguments) {
    Demand demand{.use = TokenUse::any, .fresh = arguments.has("--fresh"), .csrf = std::nullopt};
    const std::string_view type = arguments.value("--type").value_or("any");
    if (type == "access") {
        demand.use = TokenUse::access;
    } else if (type == "refresh") {
        demand.use = TokenUse::refresh;
    } else if (type != "any") {
        return failure("--type " + quoted(type) + " is none of the types: write access, refresh or any");
    }
    return demand;
}

struct Trust {
    KeySet keys;
    AlgorithmSet allowed;
};

[[nodiscard]] Result<Trust> trust_of(const Arguments& arguments, Inputs& inputs) {
    const auto wanted = algorithms_of(arguments);
    if (!wanted) {
        return tl::unexpected(wanted.error());
    }
    auto keys = keys_of(arguments, inputs, *wanted);
    if (!keys) {
        return tl::unexpected(keys.error());
    }
    const AlgorithmSet served = keys->verifies();
    if (served.empty()) {
        return failure("the keys sign but do not verify (key_ops): name the public key");
    }
    const AlgorithmSet allowed = wanted->empty() ? served : *wanted & served;
    if (allowed.empty()) {
        return failure("no key serves " + names(*wanted) + ": the keys serve " + names(served) +
                       ", so allow one of these, or name another key");
    }
    return Trust{*std::move(keys), allowed};
}

[[nodiscard]] Exit refuse(const Refusal& refusal) {
    print_error(std::string(word(refusal.error)) + ": " + refusal.message);
    return Exit::refused;
}

[[nodiscard]] Exit judge(std::string_view text, const Trust& trust, const Policy& policy, const Demand& demand,
                         Time time) {
    Verifier verifier;
    auto token = verifier.parse(text);
    if (!token) {
        const Exit refused = refuse(token.error());
        if (std::ranges::count(text, '.') == 4) {
            print_error("note: a token of five parts is encrypted: \"jwt decrypt\" prints the token in it");
        }
        return refused;
    }
    auto authentic = Verifier::authenticate(*std::move(token), trust.keys, trust.allowed);
    if (!authentic) {
        return refuse(authentic.error());
    }
    const auto verified = Verifier::verify(*std::move(authentic), policy, demand, time);
    if (!verified) {
        return refuse(verified.error().refusal);
    }
    print(terminal_safe(verified->payload().text()) + "\n");
    return Exit::done;
}

[[nodiscard]] Result<Exit> run(const Arguments& arguments) {
    if (arguments.has("--batch")) {
        return verify_batch(arguments);
    }
    const auto policy = policy_of(arguments);
    if (!policy) {
        return tl::unexpected(policy.error());
    }
    const auto demand = demand_of(arguments);
    if (!demand) {
        return tl::unexpected(demand.error());
    }
    const auto time = now(arguments);
    if (!time) {
        return tl::unexpected(time.error());
    }
    Inputs inputs;
    const auto trust = trust_of(arguments, inputs);
    if (!trust) {
        return tl::unexpected(trust.error());
    }
    return token_operand(arguments, inputs).map([&](const std::string& token) {
        return judge(token, *trust, *policy, *demand, *time);
    });
}

}  // namespace

constexpr Subcommand verify{"verify", help, options, run};

}  // namespace jwt::command
