#include "issuing.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "../core/issuer.hpp"
#include "../core/random.hpp"
#include "config.hpp"
#include "worker.hpp"

namespace ngx {

namespace {

using jwt::json::Value;
using Sentence = std::string;
using namespace std::string_view_literals;

constexpr double max_lifetime = 9e9;  // seconds; keeps exp within what every reader of it can hold

jwt::Members members_of(std::optional<Value> object) {
    jwt::Members members;
    if (object) {
        object->each_member(
            [&](std::string_view name, Value value) { members.emplace_back(std::string(name), value.text()); });
    }
    return members;
}

/// Seconds from a number, or from a text in nginx's time format.
std::optional<std::chrono::seconds> seconds_of(Value value) {
    if (const auto number = value.number()) {
        return std::isfinite(*number) && std::abs(*number) <= max_lifetime
                   ? std::optional(std::chrono::seconds(static_cast<std::int64_t>(std::floor(*number))))
                   : std::nullopt;
    }
    if (const auto text = value.string()) {
        ngx_str_t word = str(*text);
        const ngx_int_t parsed = ngx_parse_time(&word, 1);
        return parsed == NGX_ERROR ? std::nullopt : std::optional(std::chrono::seconds(parsed));
    }
    return std::nullopt;
}

std::optional<Sentence> read_lifetime(const LocationConfig& config, std::optional<Value> asked,
                                      jwt::TokenRequest& token) {
    if (!asked || asked->type() == jwt::json::Type::null) {
        const time_t configured = token.type == "refresh" ? config.refresh_token_expires : config.access_token_expires;
        token.expires_in = configured == 0 ? std::nullopt : std::optional(std::chrono::seconds(configured));
        return std::nullopt;
    }
    if (asked->boolean() == std::optional(false)) {
        return std::nullopt;  // never
    }
    token.expires_in = seconds_of(*asked);
    return token.expires_in
               ? std::nullopt
               : std::optional<Sentence>("expires_delta takes seconds, a time as in \"30d\", or false for never");
}

std::optional<Sentence> read_fresh(std::optional<Value> asked, jwt::TokenRequest& token) {
    if (!asked || asked->type() == jwt::json::Type::null) {
        return std::nullopt;
    }
    if (const auto flag = asked->boolean()) {
        token.fresh = *flag;
        return std::nullopt;
    }
    const auto duration = seconds_of(*asked);
    if (!duration) {
        return "fresh takes true, false, or for how long: seconds or a time as in \"10m\"";
    }
    token.fresh = *duration;
    return std::nullopt;
}

/// What the directives say of every token.
jwt::TokenRequest token_by_directives(const LocationConfig& config) {
    jwt::TokenRequest token;
    token.identity_claim = config.policy->identity_claim;
    token.not_before = config.encode_nbf != 0;
    token.csrf = config.cookie_csrf_protect != 0;
    if (config.encode_audience != nullptr) {
        const auto* audience = static_cast<const ngx_str_t*>(config.encode_audience->elts);
        for (ngx_uint_t i = 0; i < config.encode_audience->nelts; ++i) {
            token.audience.emplace_back(view(audience[i]));
        }
    }
    if (config.encode_issuer.len != 0) {
        token.issuer = std::string(view(config.encode_issuer));
    }
    return token;
}

tl::expected<jwt::TokenRequest, Sentence> token_request(const LocationConfig& config, Value asked) {
    jwt::TokenRequest token = token_by_directives(config);
    token.type = std::string(asked.member("type")->string().value_or("access"));
    const auto identity = asked.member("identity");
    token.identity = identity ? identity->text() : "null";
    token.claims = members_of(asked.member("claims"));
    token.headers = members_of(asked.member("headers"));
    if (auto problem = read_lifetime(config, asked.member("expires_delta"), token)) {
        return tl::make_unexpected(std::move(*problem));
    }
    if (auto problem = read_fresh(asked.member("fresh"), token)) {
        return tl::make_unexpected(std::move(*problem));
    }
    return token;
}

/// The location's signing key, or that of a hook's text.
tl::expected<std::shared_ptr<const jwt::Key>, Sentence> signing_key(const LocationConfig& config,
                                                                    std::optional<Value> text) {
    const auto algorithm = static_cast<jwt::Algorithm>(config.algorithm);
    const std::string called(jwt::name(algorithm));
    if (text && text->string()) {
        const auto keys = worker().hook_keys.find(*text->string(), {algorithm});
        if (!keys) {
            return tl::make_unexpected("the key that encode_key returned " + keys.error());
        }
        if (auto key = (*keys)->signer(algorithm)) {
            return key;
        }
        return tl::make_unexpected("the key that encode_key returned does not sign with jwt_algorithm " + called);
    }
    if (config.keys == nullptr || config.keys->signer == nullptr) {
        return tl::make_unexpected(
            "no key signs with jwt_algorithm " + called +
            ": write jwt_secret_key or jwt_private_key into the location or around it, or a hook \"encode_key\"");
    }
    return worker().live_keys.signer(*config.keys);
}

tl::expected<UnsignedToken, Sentence> with_key(const LocationConfig& config, const jwt::TokenRequest& token,
                                               std::shared_ptr<const jwt::Key> key) {
    const auto algorithm = static_cast<jwt::Algorithm>(config.algorithm);
    auto input = jwt::signing_input(token, *key, algorithm, now());
    if (!input) {
        return tl::make_unexpected(std::move(input.error().message));
    }
    return UnsignedToken{std::move(*input), std::move(key), algorithm};
}

}  // namespace

tl::expected<UnsignedToken, std::string> requested_token(const LocationConfig& config, std::string_view request) {
    jwt::json::Document document;
    const auto asked = worker().parser.parse_object(request, document);
    if (!asked || !asked->member("type")) {
        return tl::make_unexpected(std::string("a token request is an object with a type"));
    }
    auto token = token_request(config, *asked);
    if (!token) {
        return tl::make_unexpected(std::move(token.error()));
    }
    return signing_key(config, asked->member("key")).and_then([&](std::shared_ptr<const jwt::Key>&& key) {
        return with_key(config, *token, std::move(key));
    });
}

tl::expected<RenewedToken, std::string> renewed_token(const LocationConfig& config, Value payload) {
    constexpr std::array own{"jti"sv, "csrf"sv, "iat"sv, "nbf"sv, "exp"sv, "fresh"sv};
    jwt::TokenRequest token;
    token.identity_claim = config.policy->identity_claim;
    token.not_before = config.encode_nbf != 0;
    token.expires_in = std::chrono::seconds(config.access_token_expires);
    payload.each_member([&](std::string_view name, Value value) {
        if (name == token.identity_claim) {
            token.identity = value.text();
        } else if (std::find(own.begin(), own.end(), name) == own.end()) {
            token.claims.emplace_back(std::string(name), value.text());
        }
    });
    const jwt::Time time = now();
    const auto fresh = payload.member("fresh");
    // `true` says that somebody logged in just now, which a renewal is not.
    if (const auto until = fresh ? fresh->number() : std::nullopt;
        until && *until > std::chrono::duration<double>(time.time_since_epoch()).count()) {
        token.claims.emplace_back("fresh", fresh->text());
    }
    // Made here, as it cannot be read from a token that is encrypted for somebody else.
    const std::string csrf = config.cookie_csrf_protect != 0 ? jwt::random_uuid() : std::string();
    if (!csrf.empty()) {
        token.claims.emplace_back("csrf", "\"" + csrf + "\"");
    }
    return with_key(config, token, worker().live_keys.signer(*config.keys))
        .map([&csrf](UnsignedToken&& unsigned_token) {
            return RenewedToken{std::move(unsigned_token), csrf};
        });
}

tl::expected<UnsignedToken, std::string> successor_token(const LocationConfig& config, const Succession& succession) {
    constexpr std::array own{"jti"sv, "csrf"sv, "iat"sv, "nbf"sv, "exp"sv, "fresh"sv, "type"sv, "sid"sv};
    jwt::TokenRequest token = token_by_directives(config);
    token.type = succession.use == jwt::TokenUse::refresh ? "refresh" : "access";
    if (auto problem = read_lifetime(config, std::nullopt, token)) {
        return tl::make_unexpected(std::move(*problem));
    }
    const auto taken_over = [&](std::string_view name) {
        return std::find(own.begin(), own.end(), name) == own.end() && !(name == "aud" && !token.audience.empty()) &&
               !(name == "iss" && token.issuer);
    };
    succession.payload.each_member([&](std::string_view name, Value value) {
        if (name == token.identity_claim) {
            token.identity = value.text();
        } else if (taken_over(name)) {
            token.claims.emplace_back(std::string(name), value.text());
        }
    });
    for (auto& claim : members_of(succession.additions.member("claims"))) {
        token.claims.push_back(std::move(claim));
    }
    if (!succession.family.empty()) {  // the last of a name counts: no hook moves a token into another family
        std::string family;
        jwt::json::append_string(family, succession.family);
        token.claims.emplace_back("sid", std::move(family));
    }
    token.headers = members_of(succession.additions.member("headers"));
    return signing_key(config, succession.additions.member("key")).and_then([&](std::shared_ptr<const jwt::Key>&& key) {
        return with_key(config, token, std::move(key));
    });
}

}  // namespace ngx
