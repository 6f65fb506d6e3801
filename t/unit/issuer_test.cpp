#include "issuer.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base64url.hpp"
#include "token.hpp"
#include "verifier.hpp"

namespace jwt {
namespace {

using namespace std::chrono_literals;

constexpr Time now{1'700'000'000'250ms};
constexpr AlgorithmSet hmacs{Algorithm::hs256, Algorithm::hs512};

std::shared_ptr<const Key> secret_key() {
    return *Key::from_secret("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", hmacs);
}

TokenRequest plain_request() {
    TokenRequest request;
    request.identity = R"("alice")";
    request.expires_in = 900s;
    return request;
}

std::string segment(std::string_view token, std::size_t index) {
    for (; index > 0; --index) {
        token.remove_prefix(token.find('.') + 1);
    }
    return base64url::decode(token.substr(0, token.find('.'))).value();
}

bool is_uuid(std::string_view text) {
    constexpr std::string_view form = "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx";
    for (std::size_t i = 0; i < form.size(); ++i) {
        const std::string_view digits = form[i] == 'x'   ? "0123456789abcdef"
                                        : form[i] == 'y' ? "89ab"
                                                         : form.substr(i, 1);
        if (i >= text.size() || digits.find(text[i]) == std::string_view::npos) {
            return false;
        }
    }
    return true;
}

/// A UUID differs each time: each string that is one becomes the same word.
std::string without_uuids(std::string_view text) {
    constexpr std::size_t size = 36;
    std::string out;
    while (!text.empty()) {
        const bool uuid = is_uuid(text);
        out += uuid ? "UUID" : text.substr(0, 1);
        text.remove_prefix(uuid ? size : 1);
    }
    return out;
}

std::string payload_of(const TokenRequest& request) {
    const auto token = issue(request, *secret_key(), Algorithm::hs256, now);
    return token ? without_uuids(segment(*token, 1)) : token.error().message;
}

std::string header_of(const TokenRequest& request) {
    const auto token = issue(request, *secret_key(), Algorithm::hs256, now);
    return token ? segment(*token, 0) : token.error().message;
}

std::string error_of(const TokenRequest& request) {
    const auto token = issue(request, *secret_key(), Algorithm::hs256, now);
    return token ? "issued" : token.error().message;
}

bool verifies(const std::string& token, const Demand& demand, Time time = now) {
    KeySet keys;
    keys.add(secret_key());
    auto unverified = Verifier().parse(token);
    if (!unverified) {
        return false;
    }
    auto authentic = Verifier::authenticate(*std::move(unverified), keys, hmacs);
    return authentic && Verifier::verify(*std::move(authentic), {}, demand, time).has_value();
}

TEST(Issuer, MakesATokenThatVerifies) {
    const auto token = issue(plain_request(), *secret_key(), Algorithm::hs256, now);
    ASSERT_TRUE(token);
    EXPECT_EQ(segment(*token, 0), R"({"alg":"HS256","typ":"JWT"})");
    EXPECT_EQ(without_uuids(segment(*token, 1)),
              R"({"fresh":false,"iat":1700000000,"jti":"UUID","type":"access","sub":"alice","nbf":1700000000,)"
              R"("exp":1700000900})");
    EXPECT_TRUE(verifies(*token, {}));
    EXPECT_TRUE(verifies(*token, {}, now + 899s));
    EXPECT_FALSE(verifies(*token, {}, now + 900s));
    EXPECT_FALSE(verifies(*token, {}, now - 1s));
    EXPECT_FALSE(verifies(*token, {.use = TokenUse::refresh}));
    EXPECT_FALSE(verifies(*token, {.fresh = true}));
}

TEST(Issuer, WritesEveryClaimInOrder) {
    TokenRequest request = plain_request();
    request.type = "refresh";
    request.identity_claim = "user_id";
    request.identity = R"({"id":17})";
    request.fresh = true;
    request.csrf = true;
    request.audience = {"api"};
    request.issuer = "https://\"idp\"";
    request.claims = {{"role", R"(["admin"])"}};
    EXPECT_EQ(payload_of(request),
              R"({"fresh":true,"iat":1700000000,"jti":"UUID","type":"refresh","user_id":{"id":17},"nbf":1700000000,)"
              R"("csrf":"UUID","aud":"api","iss":"https://\"idp\"","exp":1700000900,"role":["admin"]})");
    request.audience = {"api", "other"};
    request.not_before = false;
    request.csrf = false;
    request.expires_in = std::nullopt;
    request.issuer = std::nullopt;
    request.claims.clear();
    EXPECT_EQ(payload_of(request),
              R"({"fresh":true,"iat":1700000000,"jti":"UUID","type":"refresh","user_id":{"id":17},)"
              R"("aud":["api","other"]})");
}

TEST(Issuer, MakesEachJtiAnew) {
    const auto jti = [] { return segment(*issue(plain_request(), *secret_key(), Algorithm::hs256, now), 1); };
    EXPECT_NE(jti(), jti());
}

TEST(Issuer, KeepsATokenFreshForAtLeastItsDuration) {
    TokenRequest request = plain_request();
    request.fresh = 60s;
    const auto token = issue(request, *secret_key(), Algorithm::hs256, now);
    ASSERT_TRUE(token);
    EXPECT_NE(segment(*token, 1).find(R"("fresh":1700000061,)"), std::string::npos);
    EXPECT_TRUE(verifies(*token, {.fresh = true}, now + 60s));
    EXPECT_FALSE(verifies(*token, {.fresh = true}, now + 61s));
}

TEST(Issuer, LetsAdditionalMembersWinInPlace) {
    TokenRequest request = plain_request();
    request.claims = {{"sub", R"("bob")"}, {"x", "1"}, {"exp", "1800000000.5"}, {"x", "2"}, {"type", R"("one-time")"}};
    EXPECT_EQ(payload_of(request),
              R"({"fresh":false,"iat":1700000000,"jti":"UUID","type":"one-time","sub":"bob","nbf":1700000000,)"
              R"("exp":1800000000.5,"x":2})");
    request.headers = {{"x", "[1]"}, {"typ", R"("at+jwt")"}, {"kid", R"("7")"}, {"x", "{}"}};
    EXPECT_EQ(header_of(request), R"({"alg":"HS256","typ":"at+jwt","x":{},"kid":"7"})");
}

TEST(Issuer, NamesItsKey) {
    json::Parser parser;
    json::Document document;
    const auto jwk = parser.parse(
        R"({"kty":"oct","kid":"k-1","alg":"HS256","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"})", document);
    ASSERT_TRUE(jwk);
    const auto key = Key::from_jwk(*jwk);
    ASSERT_TRUE(key);
    EXPECT_EQ(segment(*issue(plain_request(), **key, Algorithm::hs256, now), 0),
              R"({"alg":"HS256","typ":"JWT","kid":"k-1"})");
    EXPECT_FALSE(issue(plain_request(), **key, Algorithm::hs512, now));
}

TEST(Issuer, RefusesKeysThatDoNotSign) {
    EXPECT_TRUE(issue(plain_request(), *secret_key(), Algorithm::hs512, now));
    const auto token = issue(plain_request(), *secret_key(), Algorithm::rs256, now);
    ASSERT_FALSE(token);
    EXPECT_NE(token.error().message.find("does not sign RS256"), std::string::npos);
}

TEST(Issuer, RefusesHeadersThatBreakTheToken) {
    TokenRequest request = plain_request();
    request.headers = {{"algorithm", R"("none")"}};
    EXPECT_EQ(error_of(request), "issued");
    for (const std::string name : {"alg", "crit", "b64"}) {
        request.headers = {{name, "1"}};
        EXPECT_NE(error_of(request).find('"' + name + '"'), std::string::npos) << name;
    }
    for (const std::string name : {"kid", "typ"}) {
        request.headers = {{name, R"("x")"}};
        EXPECT_EQ(error_of(request), "issued");
        for (const std::string value : {"1", "null", "[]", "{}", "true"}) {
            request.headers = {{name, value}};
            EXPECT_EQ(error_of(request).rfind("header \"" + name + "\" must be a string", 0), 0U) << value;
        }
    }
    request.headers = {{"kid", '"' + std::string(1024, 'k') + '"'}};
    EXPECT_EQ(error_of(request), "issued");
    request.headers = {{"kid", '"' + std::string(1025, 'k') + '"'}};
    EXPECT_EQ(error_of(request), "header \"kid\" must be a string of at most 1024 bytes");
}

TEST(Issuer, RefusesClaimsThatNoVerifierTakes) {
    TokenRequest request = plain_request();
    const auto error = [&request](const std::string& name, const std::string& value) {
        request.claims = {{name, value}};
        return error_of(request);
    };
    for (const std::string name : {"exp", "nbf", "iat"}) {
        EXPECT_EQ(error(name, "1"), "issued");
        EXPECT_EQ(error(name, "1.5"), "issued");
        for (const std::string value : {R"("1")", "null", "true", "[1]", "{}"}) {
            EXPECT_EQ(error(name, value).rfind("claim \"" + name + "\" must be a number", 0), 0U) << value;
        }
    }
    for (const std::string name : {"iss", "jti", "type"}) {
        EXPECT_EQ(error(name, R"("x")"), "issued");
        for (const std::string value : {"1", "null", R"(["x"])", "{}"}) {
            EXPECT_EQ(error(name, value), "claim \"" + name + "\" must be a string") << value;
        }
    }
    EXPECT_EQ(error("aud", R"("x")"), "issued");
    EXPECT_EQ(error("aud", R"(["x","y"])"), "issued");
    for (const std::string value : {"1", "null", R"(["x",1])", "[[\"x\"]]", "{}"}) {
        EXPECT_EQ(error("aud", value), "claim \"aud\" must be a string or an array of strings") << value;
    }
    EXPECT_EQ(error("csrf", "1"), "issued");
    EXPECT_EQ(error("sub", "1"), "issued") << "jwt_verify_sub off takes it";
}

TEST(Issuer, RefusesValuesThatAreNoJson) {
    TokenRequest request = plain_request();
    for (const std::string value :
         {"", " ", "alice", R"("a)", "1,\"admin\":true", "1}", "NaN", "\"\xff\"", R"({"a":1,"a":2})", R"("\ud800")"}) {
        request.claims.clear();
        request.identity = value;
        EXPECT_EQ(error_of(request).rfind("claim \"sub\" is no JSON value: ", 0), 0U) << value;
        request.identity = R"("alice")";
        request.claims = {{"x", value}};
        EXPECT_EQ(error_of(request).rfind("claim \"x\" is no JSON value: ", 0), 0U) << value;
    }
    request.claims = {{"\xff", "1"}};
    EXPECT_EQ(error_of(request), "claims make no JSON object: not valid UTF-8");
    request.claims = {{"x", std::string(63, '[') + std::string(63, ']')}};
    EXPECT_EQ(error_of(request), "issued");
    request.claims = {{"x", std::string(64, '[') + std::string(64, ']')}};
    EXPECT_EQ(error_of(request), "claims make no JSON object: nested deeper than 64 levels");
    request.claims.clear();
    request.headers = {{"x", "1,\"kid\":1"}};
    EXPECT_EQ(error_of(request).rfind("header \"x\" is no JSON value: ", 0), 0U);
}

// A token of exactly the longest size is issued and read; the next is neither.
TEST(Issuer, BoundsTheToken) {
    TokenRequest request = plain_request();
    std::size_t issued = 0;
    for (std::size_t size = 12000; size < 12400; ++size) {
        request.claims = {{"pad", '"' + std::string(size, 'x') + '"'}};
        const auto token = issue(request, *secret_key(), Algorithm::hs256, now);
        if (!token) {
            EXPECT_NE(token.error().message.find("longer than 16384 bytes"), std::string::npos);
            continue;
        }
        ASSERT_EQ(issued, size - 12000) << "issued after a shorter one was refused";
        ++issued;
        ASSERT_LE(token->size(), max_token_size);
        ASSERT_TRUE(verifies(*token, {}));
    }
    EXPECT_GT(issued, 0U);
    EXPECT_LT(issued, 400U);

    request.claims.assign(100000, {"x", "1"});
    EXPECT_NE(error_of(request).find("16384"), std::string::npos);
}

TEST(Issuer, BoundsDurations) {
    TokenRequest request = plain_request();
    request.expires_in = -10s;
    const auto expired = issue(request, *secret_key(), Algorithm::hs256, now);
    ASSERT_TRUE(expired);
    EXPECT_NE(segment(*expired, 1).find(R"("exp":1699999990)"), std::string::npos);
    EXPECT_FALSE(verifies(*expired, {}));
    for (const auto duration : {std::chrono::seconds::max(), std::chrono::seconds::min(), 1'000'000'000'001s}) {
        request.expires_in = duration;
        EXPECT_NE(error_of(request).find("10^12"), std::string::npos);
        request.expires_in = 1'000'000'000'000s;
        EXPECT_EQ(error_of(request), "issued");
        request.fresh = duration;
        EXPECT_NE(error_of(request).find("10^12"), std::string::npos);
        request.fresh = false;
    }
}

}  // namespace
}  // namespace jwt
