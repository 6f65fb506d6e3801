#include "issuer.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "base64url.hpp"
#include "random.hpp"
#include "signature.hpp"
#include "token.hpp"

namespace jwt {
namespace {

using std::chrono::seconds;

// Some 30,000 years: keeps sums of times far from overflow, and every time an exact double.
constexpr seconds longest_duration{1'000'000'000'000};

// A shorter member than `"":0,` there is not: more of them than this fit in no token.
constexpr std::size_t most_members = max_token_size / 5;

enum class Shape : std::uint8_t { number, string, kid, strings };

struct ShapeRule {
    std::string_view name;
    Shape shape;
    std::string_view wanted;
};

// What check_claims takes from these claims under any policy.
constexpr std::array claim_rules{
    ShapeRule{"iat", Shape::number, "a number: seconds since 1970-01-01"},
    ShapeRule{"nbf", Shape::number, "a number: seconds since 1970-01-01"},
    ShapeRule{"exp", Shape::number, "a number: seconds since 1970-01-01; for a token that never expires, give no exp"},
    ShapeRule{"iss", Shape::string, "a string"},
    ShapeRule{"aud", Shape::strings, "a string or an array of strings"},
    ShapeRule{"jti", Shape::string, "a string"},
    ShapeRule{"type", Shape::string, "a string"},
};

constexpr std::array header_rules{
    ShapeRule{"typ", Shape::string, "a string"},
    ShapeRule{"kid", Shape::kid, "a string of at most 1024 bytes"},
};

[[nodiscard]] bool has_shape(json::Value value, Shape shape) {
    switch (shape) {
        case Shape::number:
            return value.type() == json::Type::number;
        case Shape::string:
            return value.type() == json::Type::string;
        case Shape::kid:
            return value.string() && value.string()->size() <= max_kid_size;
        case Shape::strings: {
            bool strings = value.type() == json::Type::array;
            value.each_element(
                [&strings](json::Value element) { strings = strings && element.type() == json::Type::string; });
            return strings || value.type() == json::Type::string;
        }
    }
    return false;
}

[[nodiscard]] const ShapeRule* rule_for(std::span<const ShapeRule> rules, std::string_view name) noexcept {
    for (const ShapeRule& rule : rules) {
        if (rule.name == name) {
            return &rule;
        }
    }
    return nullptr;
}

/// As Python's dict.update: a member that is there keeps its place and takes the new value.
void put(Members& members, std::string_view name, std::string value) {
    const auto same = [name](const auto& member) { return member.first == name; };
    const auto found = std::find_if(members.begin(), members.end(), same);
    if (found == members.end()) {
        members.emplace_back(name, std::move(value));
    } else {
        found->second = std::move(value);
    }
}

[[nodiscard]] std::string quoted(std::string_view text) {
    std::string out;
    json::append_string(out, text);
    return out;
}

[[nodiscard]] std::string number(std::chrono::sys_seconds time) {
    return std::to_string(time.time_since_epoch().count());
}

[[nodiscard]] std::string audience_text(const std::vector<std::string>& audience) {
    if (audience.size() == 1) {
        return quoted(audience.front());
    }
    std::string text;
    for (const std::string& name : audience) {
        text.push_back(text.empty() ? '[' : ',');
        json::append_string(text, name);
    }
    text.push_back(']');
    return text;
}

[[nodiscard]] std::string fresh_text(const TokenRequest& request, Time now) {
    if (const bool* fresh = std::get_if<bool>(&request.fresh)) {
        return *fresh ? "true" : "false";
    }
    return number(std::chrono::ceil<seconds>(now + std::get<seconds>(request.fresh)));
}

[[nodiscard]] Members claims(const TokenRequest& request, Time now) {
    const auto second = std::chrono::floor<seconds>(now);
    Members members;
    put(members, "fresh", fresh_text(request, now));
    put(members, "iat", number(second));
    put(members, "jti", quoted(random_uuid()));
    put(members, "type", quoted(request.type));
    put(members, request.identity_claim, request.identity);
    if (request.not_before) {
        put(members, "nbf", number(second));
    }
    if (request.csrf) {
        put(members, "csrf", quoted(random_uuid()));
    }
    if (!request.audience.empty()) {
        put(members, "aud", audience_text(request.audience));
    }
    if (request.issuer) {
        put(members, "iss", quoted(*request.issuer));
    }
    if (request.expires_in) {
        put(members, "exp", number(second + *request.expires_in));
    }
    for (const auto& [name, value] : request.claims) {
        put(members, name, value);
    }
    return members;
}

[[nodiscard]] Members headers(const TokenRequest& request, const Key& key, Algorithm algorithm) {
    Members members;
    put(members, "alg", quoted(name(algorithm)));
    put(members, "typ", "\"JWT\"");
    if (const auto kid = key.kid()) {
        put(members, "kid", quoted(*kid));
    }
    for (const auto& [name, value] : request.headers) {
        put(members, name, value);
    }
    return members;
}

[[nodiscard]] std::string object_text(const Members& members) {
    std::string text;
    for (const auto& [name, value] : members) {
        text.push_back(text.empty() ? '{' : ',');
        json::append_string(text, name);
        text.append(":").append(value);
    }
    text.push_back('}');
    return text;
}

/// The members as one JSON text. Each value is read back alone, so that none smuggles in further members, and then
/// all of them together: what is signed is what every verifier here takes.
[[nodiscard]] tl::expected<std::string, IssueError> checked_text(const Members& members, std::string_view kind,
                                                                 std::span<const ShapeRule> rules) {
    json::Parser parser;
    json::Document document;
    for (const auto& [name, text] : members) {
        const auto value = parser.parse(text, document);
        const std::string subject = std::string(kind) + ' ' + quoted(name);
        if (!value) {
            return tl::unexpected(IssueError{subject + " is no JSON value: " + std::string(json::text(value.error()))});
        }
        const ShapeRule* rule = rule_for(rules, name);
        if (rule != nullptr && !has_shape(*value, rule->shape)) {
            return tl::unexpected(IssueError{subject + " must be " + std::string(rule->wanted)});
        }
    }
    std::string text = object_text(members);
    if (const auto object = parser.parse_object(text, document); !object) {
        return tl::unexpected(
            IssueError{std::string(kind) + "s make no JSON object: " + std::string(json::text(object.error()))});
    }
    return text;
}

[[nodiscard]] bool in_range(seconds duration) noexcept {
    return duration <= longest_duration && duration >= -longest_duration;
}

[[nodiscard]] std::optional<IssueError> unfit_request(const TokenRequest& request, const Key& key,
                                                      Algorithm algorithm) {
    if (!key.signs().has(algorithm)) {
        return IssueError{"the key (" + key.description() + ") does not sign " + std::string(name(algorithm)) +
                          "; use a private key or secret for it"};
    }
    for (const auto& [name, value] : request.headers) {
        if (name == "alg") {
            return IssueError{"header \"alg\" follows from the key and cannot be set; choose the signing algorithm"};
        }
        if (name == "crit" || name == "b64") {
            return IssueError{"header \"" + name +
                              "\" would make a token that is refused here; leave it out, or name it otherwise"};
        }
    }
    if (request.claims.size() > most_members || request.headers.size() > most_members) {
        return IssueError{"more claims or headers than fit in a token of 16384 bytes"};
    }
    const seconds* fresh = std::get_if<seconds>(&request.fresh);
    if ((request.expires_in && !in_range(*request.expires_in)) || (fresh != nullptr && !in_range(*fresh))) {
        return IssueError{"a duration is longer than 10^12 seconds; for a token that never expires, give no expiry"};
    }
    return std::nullopt;
}

[[nodiscard]] tl::expected<std::string, IssueError> within_size(std::string&& token) {
    if (token.size() > max_token_size) {
        return tl::unexpected(
            IssueError{"the token would be longer than 16384 bytes; give it fewer or shorter claims"});
    }
    return std::move(token);
}

}  // namespace

tl::expected<std::string, IssueError> signing_input(const TokenRequest& request, const Key& key, Algorithm algorithm,
                                                    Time now) {
    if (auto error = unfit_request(request, key, algorithm)) {
        return tl::unexpected(*std::move(error));
    }
    const auto header = checked_text(headers(request, key, algorithm), "header", header_rules);
    if (!header) {
        return tl::unexpected(header.error());
    }
    const auto payload = checked_text(claims(request, now), "claim", claim_rules);
    if (!payload) {
        return tl::unexpected(payload.error());
    }
    return within_size(base64url::encode(*header) + '.' + base64url::encode(*payload));
}

tl::expected<std::string, IssueError> signed_token(std::string&& input, const Key& key, Algorithm algorithm) {
    const std::string signature = base64url::encode(sign(key, algorithm, input));
    return within_size(std::move(input) + '.' + signature);
}

tl::expected<std::string, IssueError> issue(const TokenRequest& request, const Key& key, Algorithm algorithm,
                                            Time now) {
    return signing_input(request, key, algorithm, now).and_then([&](std::string&& input) {
        return signed_token(std::move(input), key, algorithm);
    });
}

}  // namespace jwt
