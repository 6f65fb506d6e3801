#include "policy.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace jwt {
namespace {

using namespace std::chrono_literals;

constexpr Time now{1'700'000'000'000ms};

/// A payload that passes, with `members` before its own.
std::string with(std::string_view members) {
    return '{' + std::string(members) + (members.empty() ? "" : ",") + R"("sub":"alice"})";
}

class PolicyTest : public testing::Test {
protected:
    json::Value payload(std::string_view text) {
        const auto value = parser_.parse_object(text, document_);
        EXPECT_TRUE(value) << text << ": " << (value ? "" : json::text(value.error()));
        return value.value_or(json::Value());
    }

    /// "ok" or the word for what check_claims found.
    std::string claims(std::string_view text, const Policy& policy = {}, std::optional<std::string_view> csrf = {},
                       Time time = now) {
        const auto refused = check_claims(Claims(payload(text)), policy, csrf, time);
        return refused ? std::string(word(refused->error)) : "ok";
    }

    std::string demand(std::string_view text, const Demand& demand) {
        const auto refused = check_demand(Claims(payload(text)), demand, now);
        return refused ? std::string(word(refused->error)) : "ok";
    }

    json::Parser parser_;
    json::Document document_;
};

struct Row {
    std::string_view members;
    std::string_view word;
};

TEST_F(PolicyTest, BoundsTimes) {
    for (const auto& [members, word] : {
             Row{"", "ok"},
             Row{R"("iat":1700000000)", "ok"},
             Row{R"("iat":1700000000.001)", "iat_future"},
             Row{R"("iat":1700000001)", "iat_future"},
             Row{R"("nbf":1700000000)", "ok"},
             Row{R"("nbf":1700000000.001)", "nbf_future"},
             Row{R"("nbf":1700000001)", "nbf_future"},
             Row{R"("exp":1699999999)", "expired"},
             Row{R"("exp":1700000000)", "expired"},
             Row{R"("exp":1700000000.001)", "ok"},
             Row{R"("exp":1700000001)", "ok"},
         }) {
        EXPECT_EQ(claims(with(members)), word) << members;
    }
    EXPECT_EQ(claims(with(R"("exp":1700000000.5)"), {}, {}, now + 499ms), "ok");
    EXPECT_EQ(claims(with(R"("exp":1700000000.5)"), {}, {}, now + 500ms), "expired");
}

TEST_F(PolicyTest, BoundsTheAge) {
    const Policy policy{.max_age = 300s};
    for (const auto& [members, word] : {
             Row{R"("iat":1700000000)", "ok"},
             Row{R"("iat":1699999700)", "ok"},
             Row{R"("iat":1699999699.999)", "too_old"},
             Row{R"("iat":-1e300)", "too_old"},
             Row{R"("iat":0)", "too_old"},
             Row{R"("iat":1700000001)", "iat_future"},
             Row{R"("iat":"1700000000")", "iat_type"},
             Row{R"("iat":null)", "iat_type"},
             Row{"", "claim_missing"},
             Row{R"("exp":1)", "claim_missing"},
             Row{R"("exp":1,"iat":0)", "expired"},
         }) {
        EXPECT_EQ(claims(with(members), policy), word) << members;
    }
    const Policy lenient{.leeway = 60s, .max_age = 300s};
    EXPECT_EQ(claims(with(R"("iat":1699999640)"), lenient), "ok");
    EXPECT_EQ(claims(with(R"("iat":1699999639)"), lenient), "too_old");
}

TEST_F(PolicyTest, KnowsAccessTokensByRfc9068) {
    const auto check = [this](std::string_view header, std::string_view text) {
        json::Document document;
        const auto parsed = parser_.parse_object(header, document);
        const auto refused = check_profile(parsed.value(), Claims(payload(text)), Profile::rfc9068);
        return refused ? std::string(word(refused->error)) : "ok";
    };
    constexpr std::string_view all =
        R"({"iss":"i","exp":1,"aud":"a","sub":"s","client_id":"c","iat":1,"jti":"j","type":"access"})";
    for (const auto& [header, word] : {
             Row{R"({"typ":"at+jwt"})", "ok"},
             Row{R"({"typ":"AT+JWT"})", "ok"},
             Row{R"({"typ":"application/at+jwt"})", "ok"},
             Row{R"({"typ":"Application/At+Jwt"})", "ok"},
             Row{R"({"typ":"JWT"})", "typ_mismatch"},
             Row{R"({"typ":"at+jwt "})", "typ_mismatch"},
             Row{R"({"typ":"jwt+at"})", "typ_mismatch"},
             Row{R"({"typ":"text/at+jwt"})", "typ_mismatch"},
             Row{R"({"typ":"application/application/at+jwt"})", "typ_mismatch"},
             Row{R"({"typ":""})", "typ_mismatch"},
             Row{R"({"typ":["at+jwt"]})", "typ_mismatch"},
             Row{R"({"typ":null})", "typ_mismatch"},
             Row{R"({"TYP":"at+jwt"})", "typ_mismatch"},
             Row{"{}", "typ_mismatch"},
         }) {
        EXPECT_EQ(check(header, all), word) << header;
    }
    constexpr std::string_view header = R"({"typ":"at+jwt"})";
    for (const std::string_view claim : {"iss", "exp", "aud", "sub", "client_id", "iat", "jti"}) {
        std::string without(all);
        without.replace(without.find(claim), claim.size(), "xx");
        EXPECT_EQ(check(header, without), "claim_missing") << claim;
    }
    std::string number(all);
    number.replace(number.find(R"("c")"), 3, "1");
    EXPECT_EQ(check(header, number), "client_id_type");
    EXPECT_EQ(check(header, R"({"iss":"i","exp":1,"aud":"a","sub":1,"client_id":"c","iat":1,"jti":"j"})"), "sub_type");
    EXPECT_FALSE(check_profile(payload("{}"), Claims(payload("{}")), Profile::none));
}

TEST_F(PolicyTest, AppliesLeewayBothWays) {
    const Policy policy{.leeway = 60s};
    for (const auto& [members, word] : {
             Row{R"("iat":1700000060)", "ok"},
             Row{R"("iat":1700000061)", "iat_future"},
             Row{R"("nbf":1700000060)", "ok"},
             Row{R"("nbf":1700000061)", "nbf_future"},
             Row{R"("exp":1699999940)", "expired"},
             Row{R"("exp":1699999941)", "ok"},
         }) {
        EXPECT_EQ(claims(with(members), policy), word) << members;
    }
}

// A time of the wrong type is refused, never taken as absent; and no number is so large that it wraps around.
TEST_F(PolicyTest, RefusesTimesThatAreNoNumbers) {
    for (const std::string claim : {"iat", "nbf", "exp"}) {
        const std::string member = '"' + claim + "\":";
        EXPECT_EQ(claims(with(member + (claim == "exp" ? "1700000001" : "1"))), "ok");
        for (const std::string value :
             {"\"1700000001\"", "\"\"", "null", "true", "false", "[]", "[1700000001]", "{}"}) {
            EXPECT_EQ(claims(with(member + value)), claim + "_type") << value;
        }
    }
}

TEST_F(PolicyTest, SurvivesExtremeNumbers) {
    for (const std::chrono::seconds leeway : {0s, 60s, std::chrono::seconds::max()}) {
        const Policy policy{.leeway = leeway};
        const bool forever = leeway == std::chrono::seconds::max();
        for (const std::string value :
             {"1e308", "1.7976931348623157e308", "9223372036854775807", "18446744073709551615", "1e19"}) {
            EXPECT_EQ(claims(with("\"exp\":" + value), policy), "ok") << value;
            const bool within = forever && value == "9223372036854775807";
            EXPECT_EQ(claims(with("\"nbf\":" + value), policy), within ? "ok" : "nbf_future") << value;
            EXPECT_EQ(claims(with("\"iat\":" + value), policy), within ? "ok" : "iat_future") << value;
        }
        for (const std::string value : {"-1", "-0", "0", "1.5", "-1e308", "-9223372036854775808"}) {
            const bool within = forever && value != "-1e308" && value != "-9223372036854775808";
            EXPECT_EQ(claims(with("\"exp\":" + value), policy), within ? "ok" : "expired") << value;
            EXPECT_EQ(claims(with("\"nbf\":" + value), policy), "ok") << value;
            EXPECT_EQ(claims(with("\"iat\":" + value), policy), "ok") << value;
        }
    }
}

TEST_F(PolicyTest, LooksAtTheFormOfWhatNobodyAskedFor) {
    for (const auto& [members, word] : {
             Row{R"("iss":"anybody")", "ok"},
             Row{R"("iss":null)", "iss_type"},
             Row{R"("iss":["anybody"])", "iss_type"},
             Row{R"("aud":"anything")", "ok"},
             Row{R"("aud":["a","b"])", "ok"},
             Row{R"("aud":[])", "ok"},
             Row{R"("aud":null)", "aud_type"},
             Row{R"("aud":1)", "aud_type"},
             Row{R"("aud":{})", "aud_type"},
             Row{R"("aud":["a",1])", "aud_type"},
             Row{R"("jti":"1")", "ok"},
             Row{R"("jti":1)", "jti_type"},
             Row{R"("jti":null)", "jti_type"},
             Row{R"("type":"other")", "ok"},
             Row{R"("type":["refresh"])", "type_type"},
             Row{R"("type":null)", "type_type"},
         }) {
        EXPECT_EQ(claims(with(members)), word) << members;
    }
}

TEST_F(PolicyTest, MatchesAudiencesExactly) {
    const Policy policy{.audiences = {"api", "other"}};
    for (const auto& [members, word] : {
             Row{R"("aud":"api")", "ok"},
             Row{R"("aud":"other")", "ok"},
             Row{R"("aud":["x","other"])", "ok"},
             Row{R"("aud":["api","x"])", "ok"},
             Row{"", "aud_missing"},
             Row{R"("aud":null)", "aud_missing"},
             Row{R"("aud":"")", "aud_missing"},
             Row{R"("aud":[])", "aud_missing"},
             Row{R"("aud":{})", "aud_type"},
             Row{R"("aud":1)", "aud_type"},
             Row{R"("aud":true)", "aud_type"},
             Row{R"("aud":["api",1])", "aud_type"},
             Row{R"("aud":[1,"api"])", "aud_type"},
             Row{R"("aud":[["api"]])", "aud_type"},
             Row{R"("aud":{"api":"api"})", "aud_type"},
             Row{R"("aud":"API")", "aud_mismatch"},
             Row{R"("aud":"ap")", "aud_mismatch"},
             Row{R"("aud":"api2")", "aud_mismatch"},
             Row{R"("aud":"api/")", "aud_mismatch"},
             Row{R"("aud":" api")", "aud_mismatch"},
             Row{R"("aud":"api,other")", "aud_mismatch"},
             Row{R"("aud":"api other")", "aud_mismatch"},
             Row{R"("aud":"api\u0000")", "aud_mismatch"},
             Row{R"("aud":["API",""])", "aud_mismatch"},
         }) {
        EXPECT_EQ(claims(with(members), policy), word) << members;
    }
}

TEST_F(PolicyTest, MatchesIssuersExactly) {
    const Policy policy{.issuers = {"https://idp", "https://second"}};
    for (const auto& [members, word] : {
             Row{R"("iss":"https://idp")", "ok"},
             Row{R"("iss":"https://second")", "ok"},
             Row{"", "iss_missing"},
             Row{R"("iss":null)", "iss_type"},
             Row{R"("iss":1)", "iss_type"},
             Row{R"("iss":["https://idp"])", "iss_type"},
             Row{R"("iss":"")", "iss_mismatch"},
             Row{R"("iss":"https://idp.evil")", "iss_mismatch"},
             Row{R"("iss":"https://id")", "iss_mismatch"},
             Row{R"("iss":"https://idp/")", "iss_mismatch"},
             Row{R"("iss":"HTTPS://idp")", "iss_mismatch"},
             Row{R"("iss":"https://idp\u0000")", "iss_mismatch"},
         }) {
        EXPECT_EQ(claims(with(members), policy), word) << members;
    }
}

TEST_F(PolicyTest, WantsTheIdentityClaim) {
    EXPECT_EQ(claims(R"({"sub":"alice"})"), "ok");
    EXPECT_EQ(claims("{}"), "claim_missing");
    EXPECT_EQ(check_claims(Claims(payload("{}")), {}, {}, now)->message, "Missing claim: sub");
    EXPECT_EQ(claims(R"({"sub":1})"), "sub_type");
    EXPECT_EQ(claims(R"({"sub":null})"), "sub_type");
    EXPECT_EQ(claims(R"({"sub":1})", {.verify_sub = false}), "ok");
    EXPECT_EQ(claims(R"({"sub":null})", {.verify_sub = false}), "ok");

    const Policy user_id{.identity_claim = "user_id"};
    EXPECT_EQ(claims(R"({"user_id":17})", user_id), "ok");
    EXPECT_EQ(claims(R"({"user_id":17,"sub":1})", user_id), "sub_type");
    EXPECT_EQ(claims(R"({"sub":"alice"})", user_id), "claim_missing");
    EXPECT_EQ(check_claims(Claims(payload("{}")), user_id, {}, now)->message, "Missing claim: user_id");
}

TEST_F(PolicyTest, ComparesCsrfOnlyWhereAsked) {
    EXPECT_EQ(claims(with(R"("csrf":"abc")"), {}, "abc"), "ok");
    EXPECT_EQ(claims(with(R"("csrf":"abc")")), "ok");
    EXPECT_EQ(claims(with(R"("csrf":1)")), "ok");
    EXPECT_EQ(claims(with(""), {}, "abc"), "claim_missing");
    EXPECT_EQ(check_claims(Claims(payload(with(""))), {}, "abc", now)->message, "Missing claim: csrf");
    for (const std::string_view csrf : {"", "ab", "abd", "abcd", "ABC"}) {
        EXPECT_EQ(claims(with(R"("csrf":"abc")"), {}, csrf), "csrf_mismatch") << csrf;
    }
    for (const std::string_view value : {"null", "1", "true", "[\"abc\"]", "{}"}) {
        EXPECT_EQ(claims(with("\"csrf\":" + std::string(value)), {}, "abc"), "csrf_mismatch") << value;
    }
}

// Each payload has every fault from its own on, so that the order of checks is fixed.
TEST_F(PolicyTest, ReportsTheFirstFaultOfItsOrder) {
    const std::vector<Row> faults = {
        {R"("iat":null)", "iat_type"},    {R"("nbf":null)", "nbf_type"},    {R"("exp":null)", "exp_type"},
        {R"("iss":"x")", "iss_mismatch"}, {R"("aud":"x")", "aud_mismatch"}, {R"("sub":1)", "sub_type"},
        {R"("jti":1)", "jti_type"},       {R"("type":1)", "type_type"},
    };
    const std::vector<Row> sound = {
        {R"("iat":1)", ""},     {R"("nbf":1)", ""},       {R"("exp":1)", ""},   {R"("iss":"idp")", ""},
        {R"("aud":"api")", ""}, {R"("sub":"alice")", ""}, {R"("jti":"1")", ""}, {R"("type":"access")", ""},
    };
    const Policy policy{.audiences = {"api"}, .issuers = {"idp"}};
    for (std::size_t first = 0; first <= faults.size(); ++first) {
        std::string text = "{";
        for (std::size_t i = 0; i < faults.size(); ++i) {
            text += (i == 0 ? "" : ",") + std::string((i < first ? sound : faults)[i].members);
        }
        EXPECT_EQ(claims(text + '}', policy, "c"), first < faults.size() ? faults[first].word : "claim_missing");
    }
    // An expired token is called so only where nothing else is wrong with it.
    EXPECT_EQ(claims(R"({"exp":1})"), "claim_missing");
    EXPECT_EQ(claims(with(R"("exp":1,"csrf":"d")"), {}, "c"), "csrf_mismatch");
    EXPECT_EQ(claims(with(R"("exp":1,"csrf":"c")"), {}, "c"), "expired");
}

TEST_F(PolicyTest, AsksForTheTypeOfToken) {
    const Demand access{};
    const Demand refresh{.use = TokenUse::refresh};
    const Demand any{.use = TokenUse::any};
    for (const std::string_view type : {"", R"("type":"access")", R"("type":"other")", R"("type":"Refresh")"}) {
        EXPECT_EQ(demand(with(type), access), "ok") << type;
        EXPECT_EQ(demand(with(type), refresh), "refresh_token_required") << type;
        EXPECT_EQ(demand(with(type), any), "ok") << type;
    }
    EXPECT_EQ(demand(with(R"("type":"refresh")"), access), "refresh_token_refused");
    EXPECT_EQ(demand(with(R"("type":"refresh")"), refresh), "ok");
    EXPECT_EQ(demand(with(R"("type":"refresh")"), any), "ok");
}

TEST_F(PolicyTest, AsksForFreshness) {
    const Demand fresh{.fresh = true};
    for (const auto& [members, word] : {
             Row{R"("fresh":true)", "ok"},
             Row{R"("fresh":1700000000)", "ok"},
             Row{R"("fresh":1700000000.5)", "ok"},
             Row{R"("fresh":1e300)", "ok"},
             Row{R"("fresh":1699999999.999)", "not_fresh"},
             Row{R"("fresh":1699999999)", "not_fresh"},
             Row{R"("fresh":0)", "not_fresh"},
             Row{R"("fresh":1)", "not_fresh"},
             Row{R"("fresh":false)", "not_fresh"},
             Row{R"("fresh":null)", "not_fresh"},
             Row{R"("fresh":"true")", "not_fresh"},
             Row{R"("fresh":"1800000000")", "not_fresh"},
             Row{R"("fresh":[true])", "not_fresh"},
             Row{R"("fresh":{})", "not_fresh"},
             Row{"", "not_fresh"},
         }) {
        EXPECT_EQ(demand(with(members), fresh), word) << members;
        EXPECT_EQ(demand(with(members), {}), "ok") << members;
    }
    EXPECT_EQ(demand(with(R"("type":"refresh","fresh":false)"), fresh), "refresh_token_refused");
}

}  // namespace
}  // namespace jwt
