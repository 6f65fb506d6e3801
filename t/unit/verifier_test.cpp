#include "verifier.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "base64url.hpp"
#include "signature.hpp"

namespace jwt {
namespace {

// Holding one of these is the proof, so nobody but Verifier makes one.
static_assert(!std::is_default_constructible_v<UnverifiedToken>);
static_assert(!std::is_default_constructible_v<AuthenticToken>);
static_assert(!std::is_default_constructible_v<VerifiedToken>);
static_assert(!std::is_aggregate_v<UnverifiedToken> && !std::is_aggregate_v<AuthenticToken> &&
              !std::is_aggregate_v<VerifiedToken>);
static_assert(!std::is_constructible_v<UnverifiedToken, std::string_view>);
static_assert(!std::is_constructible_v<AuthenticToken, UnverifiedToken>);
static_assert(!std::is_constructible_v<AuthenticToken, UnverifiedToken, Algorithm>);
static_assert(!std::is_constructible_v<VerifiedToken, UnverifiedToken>);
static_assert(!std::is_constructible_v<VerifiedToken, AuthenticToken>);
static_assert(!std::is_convertible_v<UnverifiedToken, AuthenticToken>);
static_assert(!std::is_convertible_v<AuthenticToken, VerifiedToken>);
static_assert(std::is_nothrow_move_constructible_v<UnverifiedToken>);
static_assert(std::is_nothrow_move_constructible_v<AuthenticToken>);
static_assert(std::is_nothrow_move_constructible_v<VerifiedToken>);
static_assert(!std::is_copy_constructible_v<UnverifiedToken>);
static_assert(!std::is_copy_constructible_v<VerifiedToken>);
static_assert(!std::is_constructible_v<UnverifiedToken, TokenParts>);
static_assert(!std::is_constructible_v<AuthenticToken, TokenParts>);
static_assert(!std::is_constructible_v<AuthenticToken, TokenParts, Algorithm>);
static_assert(!std::is_constructible_v<VerifiedToken, TokenParts>);

using namespace std::chrono_literals;

constexpr Time now{1'700'000'000'000ms};
constexpr AlgorithmSet hmacs{Algorithm::hs256, Algorithm::hs384, Algorithm::hs512};
constexpr std::string_view secret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
constexpr std::string_view plain_header = R"({"alg":"HS256","typ":"JWT"})";
constexpr std::string_view plain_payload = R"({"sub":"alice","exp":1700000001})";

std::shared_ptr<const Key> hmac_key(std::string_view text = secret, AlgorithmSet wanted = hmacs) {
    auto key = Key::from_secret(text, wanted);
    EXPECT_TRUE(key) << key.error().message;
    return *std::move(key);
}

KeySet key_set() {
    KeySet keys;
    keys.add(hmac_key());
    return keys;
}

std::string signed_as(std::string_view header_segment, std::string_view payload_segment) {
    std::string token = std::string(header_segment) + '.' + std::string(payload_segment);
    return token + '.' + base64url::encode(sign(*hmac_key(), Algorithm::hs256, token));
}

std::string token_of(std::string_view header, std::string_view payload = plain_payload) {
    return signed_as(base64url::encode(header), base64url::encode(payload));
}

/// "ok" or the word for what refused the token on its whole way.
std::string judged(std::string_view text, const KeySet& keys = key_set(), AlgorithmSet allowed = hmacs) {
    Verifier verifier;
    auto unverified = verifier.parse(text);
    if (!unverified) {
        return std::string(word(unverified.error().error));
    }
    auto authentic = Verifier::authenticate(*std::move(unverified), keys, allowed);
    if (!authentic) {
        return std::string(word(authentic.error().error));
    }
    const auto verified = Verifier::verify(*std::move(authentic), {}, {}, now);
    return verified ? "ok" : std::string(word(verified.error().refusal.error));
}

std::string message(std::string_view text) {
    const auto token = Verifier().parse(text);
    return token ? "ok" : token.error().message;
}

TEST(Verifier, AcceptsAToken) {
    Verifier verifier;
    const std::string text = token_of(R"({"alg":"HS256","typ":"JWT","kid":"k"})");
    auto unverified = verifier.parse(text);
    ASSERT_TRUE(unverified);
    EXPECT_EQ(unverified->text(), text);
    EXPECT_EQ(unverified->header().member("kid")->string(), "k");
    EXPECT_EQ(unverified->signing_input(), text.substr(0, text.rfind('.')));
    EXPECT_EQ(base64url::encode(unverified->signature()), text.substr(text.rfind('.') + 1));

    auto authentic = Verifier::authenticate(*std::move(unverified), key_set(), hmacs);
    ASSERT_TRUE(authentic);
    EXPECT_EQ(authentic->algorithm(), Algorithm::hs256);

    auto verified = Verifier::verify(*std::move(authentic), {}, {}, now);
    ASSERT_TRUE(verified);
    const json::Value subject = verified->payload().member("sub").value();
    const VerifiedToken moved = *std::move(verified);
    ASSERT_TRUE(verifier.parse(token_of(R"({"alg":"HS512"})", R"({"sub":"mallory"})")));
    EXPECT_EQ(subject.string(), "alice");
    EXPECT_EQ(moved.text(), text);
    EXPECT_EQ(moved.header().text(), R"({"alg":"HS256","typ":"JWT","kid":"k"})");
    EXPECT_EQ(moved.payload().text(), plain_payload);
    EXPECT_EQ(moved.authentic().algorithm(), Algorithm::hs256);
}

// What is kept of a token for the next one speaks for no other.
TEST(Verifier, ReadsEachHeader) {
    Verifier verifier;
    const std::string good = token_of(plain_header);
    const std::string body = good.substr(good.find('.'));
    const auto error = [&](const std::string& text) { return verifier.parse(text).error().error; };
    EXPECT_EQ(error(body), Error::header_json) << "of the first token";
    for (int round = 0; round < 2; ++round) {
        ASSERT_TRUE(verifier.parse(good));
        EXPECT_EQ(error(body), Error::header_json) << "an empty one";
        EXPECT_EQ(error(body), Error::header_json) << "and again";
        ASSERT_TRUE(verifier.parse(good));
        EXPECT_EQ(error("e30K*" + body), Error::header_encoding);
        EXPECT_EQ(error("bnVsbA" + body), Error::header_json) << "null";
        EXPECT_EQ(error("bnVsbA" + body), Error::header_json);
        const std::string critical = token_of(R"({"alg":"HS256","crit":["x"]})");
        EXPECT_EQ(error(critical), Error::critical);
        EXPECT_EQ(error(critical), Error::critical);
        const std::string other = token_of(R"({"alg":"HS512","kid":"k"})");
        EXPECT_EQ(verifier.parse(other)->header().member("alg")->string(), "HS512");
        EXPECT_EQ(verifier.parse(good)->header().text(), plain_header);
        EXPECT_EQ(verifier.parse(good)->header().text(), plain_header);
    }
}

// The memory of a token that nobody has any more is used again, and of no other.
TEST(Verifier, LeavesTokensThatAreHeld) {
    Verifier verifier;
    const auto text = [](int i) {
        return token_of(plain_header, "{\"sub\":\"" + std::string(static_cast<std::size_t>(i) * 37 % 200, 'x') +
                                          std::to_string(i) + "\"}");
    };
    std::vector<AuthenticToken> held;
    for (int i = 0; i < 100; ++i) {
        auto token = verifier.parse(text(i));
        ASSERT_TRUE(token);
        if (i % 3 == 0) {
            held.push_back(*Verifier::authenticate(*std::move(token), key_set(), hmacs));
        }
        for (std::size_t k = 0; k < held.size(); ++k) {
            ASSERT_EQ(held[k].text(), text(static_cast<int>(k) * 3));
            ASSERT_EQ(held[k].payload().member("sub")->string()->substr(0, 1), k == 0 ? "0" : "x");
        }
    }
}

TEST(Verifier, SharesAnAuthenticTokenAmongItsCopies) {
    auto verifier = std::make_unique<Verifier>();
    const std::string text = token_of(plain_header, R"({"sub":"alice","list":[1,-2,3.5,"\u0061",{"a":null}],"e":""})");
    auto authentic = Verifier::authenticate(*verifier->parse(text, "wrapped"), key_set(), hmacs);
    ASSERT_TRUE(authentic);
    std::optional<AuthenticToken> first = *authentic;
    AuthenticToken second = *std::move(authentic);
    ASSERT_TRUE(verifier->parse(token_of(R"({"alg":"HS512"})", R"({"sub":"mallory","list":[]})")));
    verifier.reset();
    EXPECT_EQ(first->text().data(), second.text().data());
    first.reset();
    EXPECT_EQ(second.payload().text(), R"({"sub":"alice","list":[1,-2,3.5,"a",{"a":null}],"e":""})");
    EXPECT_EQ(second.header().text(), plain_header);
    EXPECT_EQ(second.text(), text);
    EXPECT_EQ(second.presented(), "wrapped");
    EXPECT_EQ(second.signing_input(), text.substr(0, text.rfind('.')));
    EXPECT_LT(second.parts().size(), 1000U);

    // It may go the way again, and is no more than its text then.
    UnverifiedToken again = second.unverified();
    EXPECT_EQ(again.presented(), "wrapped");
    EXPECT_FALSE(Verifier::authenticate(std::move(again), {}, hmacs));
    EXPECT_TRUE(Verifier::authenticate(second.unverified(), key_set(), hmacs));
}

TEST(Verifier, RefusesEveryFlippedByteAndEveryCut) {
    const std::string text = token_of(plain_header);
    ASSERT_EQ(judged(text), "ok");
    for (std::size_t size = 0; size < text.size(); ++size) {
        EXPECT_NE(judged(text.substr(0, size)), "ok") << size;
    }
    for (std::size_t i = 0; i < text.size(); ++i) {
        for (const unsigned bit : {1U, 2U, 4U, 32U, 128U}) {
            std::string flipped = text;
            flipped[i] = static_cast<char>(static_cast<unsigned char>(flipped[i]) ^ bit);
            EXPECT_NE(judged(flipped), "ok") << i << ' ' << bit;
        }
    }
    const std::size_t last_dot = text.rfind('.');
    const std::string signature = *base64url::decode(text.substr(last_dot + 1));
    const auto with_signature = [&](std::string_view bytes) {
        return text.substr(0, last_dot + 1) + base64url::encode(bytes);
    };
    ASSERT_EQ(judged(with_signature(signature)), "ok");
    for (std::size_t i = 0; i < signature.size(); ++i) {
        std::string flipped = signature;
        flipped[i] = static_cast<char>(~flipped[i]);
        EXPECT_EQ(judged(with_signature(flipped)), "signature") << i;
        EXPECT_EQ(judged(with_signature(signature.substr(0, i))), "signature") << i;
    }
    EXPECT_EQ(judged(with_signature(signature + '\0')), "signature");
    EXPECT_EQ(judged(with_signature('\0' + signature)), "signature");
}

// ATTACKS 1: none and its spellings, with an empty signature, with another token's, and without the last dot.
TEST(Verifier, RefusesNone) {
    const std::string good = token_of(plain_header);
    ASSERT_EQ(judged(good), "ok");
    const std::string other_signature = good.substr(good.rfind('.') + 1);
    for (const std::string_view alg : {R"("none")", R"("None")", R"("NONE")", R"("nOnE")", R"("none ")",
                                       R"("\u006eone")", R"("none\u0000")", R"(["none"])", "null", "0", R"("")"}) {
        const std::string header = base64url::encode("{\"alg\":" + std::string(alg) + ",\"typ\":\"JWT\"}");
        const std::string input = header + '.' + base64url::encode(plain_payload);
        EXPECT_EQ(judged(input + '.'), "algorithm_not_allowed") << alg;
        EXPECT_EQ(judged(input + '.' + other_signature), "algorithm_not_allowed") << alg;
        EXPECT_EQ(judged(signed_as(header, base64url::encode(plain_payload))), "algorithm_not_allowed") << alg;
        EXPECT_EQ(judged(input), "segments") << alg;
    }
    EXPECT_EQ(judged(token_of(R"({"typ":"JWT"})")), "algorithm_missing");
}

// ATTACKS 7: names of algorithms are exact (RFC 7515 §4.1.1).
TEST(Verifier, TakesAlgorithmNamesExactly) {
    ASSERT_EQ(judged(token_of(R"({"alg":"HS256"})")), "ok");
    ASSERT_EQ(judged(token_of(R"({"alg":"\u0048S256"})")), "ok");
    for (const std::string_view alg :
         {R"("hs256")", R"("Hs256")", R"("HS256 ")", R"(" HS256")", R"("HS256\u0000")", R"("HS2560")", R"("HS25")",
          R"(["HS256"])", R"({"HS256":1})", "256", "true", "null"}) {
        EXPECT_EQ(judged(token_of("{\"alg\":" + std::string(alg) + '}')), "algorithm_not_allowed") << alg;
    }
}

TEST(Verifier, AsksKeysAndLocationForTheAlgorithm) {
    const std::string text = token_of(plain_header);
    EXPECT_EQ(judged(text, key_set(), {Algorithm::hs256}), "ok");
    EXPECT_EQ(judged(text, key_set(), {Algorithm::hs512}), "algorithm_not_allowed");
    EXPECT_EQ(judged(text, key_set(), {}), "algorithm_not_allowed");
    EXPECT_EQ(judged(text, {}, hmacs), "algorithm_not_allowed");

    KeySet keys;
    keys.add(hmac_key(secret, {Algorithm::hs512}));
    EXPECT_EQ(judged(text, keys, hmacs), "algorithm_not_allowed");
    EXPECT_EQ(judged(token_of(R"({"alg":"RS256"})"), key_set(), {Algorithm::rs256, Algorithm::hs256}),
              "algorithm_not_allowed");
    EXPECT_EQ(judged(token_of(R"({"alg":"HS512"})")), "signature");
}

TEST(Verifier, TriesTheKeysThatFit) {
    const std::string text = token_of(plain_header);
    KeySet keys;
    keys.add(hmac_key(std::string(64, 'x')));
    EXPECT_EQ(judged(text, keys), "signature");
    keys.add(hmac_key());
    EXPECT_EQ(judged(text, keys), "ok");

    json::Parser parser;
    json::Document document;
    const auto jwk =
        parser.parse(R"({"kty":"oct","kid":"mine","alg":"HS256","k":")" + base64url::encode(secret) + "\"}", document);
    ASSERT_TRUE(jwk);
    auto key = Key::from_jwk(*jwk);
    ASSERT_TRUE(key) << key.error().message;
    KeySet named;
    named.add(*std::move(key));
    EXPECT_EQ(judged(token_of(R"({"alg":"HS256","kid":"mine"})"), named), "ok");
    EXPECT_EQ(judged(token_of(R"({"alg":"HS256"})"), named), "ok");
    for (const std::string_view kid : {"Mine", "min", "mine ", "../mine", "mine\\u0000", ""}) {
        EXPECT_EQ(judged(token_of(R"({"alg":"HS256","kid":")" + std::string(kid) + "\"}"), named), "signature") << kid;
    }
}

// ATTACKS 31: one spelling for each segment (RFC 7515 §2).
TEST(Verifier, RefusesLenientBase64) {
    // Signatures are made over the damaged text: only its form is wrong. Both segments end in a partial group.
    const std::string header = base64url::encode(R"({"alg":"HS256"} )");
    const std::string payload = base64url::encode(R"({"sub":"alice"} )");
    ASSERT_NE(header.size() % 4, 0U);
    ASSERT_NE(payload.size() % 4, 0U);
    ASSERT_EQ(judged(signed_as(header, payload)), "ok");
    const auto damaged = [](const std::string& segment) {
        std::string spare = segment;
        ++spare.back();
        return std::vector<std::string>{segment + '=',
                                        segment + "==",
                                        segment + '\n',
                                        segment + '\r',
                                        ' ' + segment,
                                        segment + ' ',
                                        spare,
                                        segment + '+',
                                        '/' + segment,
                                        segment + std::string(5 - segment.size() % 4, 'A'),
                                        segment + std::string(1, '\0'),
                                        segment.substr(0, 4) + '\xc3' + segment.substr(5)};
    };
    for (const std::string& wrong : damaged(header)) {
        EXPECT_EQ(judged(signed_as(wrong, payload)), "header_encoding") << wrong;
    }
    for (const std::string& wrong : damaged(payload)) {
        EXPECT_EQ(judged(signed_as(header, wrong)), "payload_encoding") << wrong;
    }
    const std::string good = signed_as(header, payload);
    const std::size_t last_dot = good.rfind('.') + 1;
    const std::string signature = good.substr(last_dot);
    for (const std::string& wrong : damaged(signature)) {
        // Spare bits are what a signature ends in that was cut short, and are reported as such a one is.
        const bool spare = wrong.size() == signature.size() && wrong.substr(0, 42) == signature.substr(0, 42);
        EXPECT_EQ(judged(good.substr(0, last_dot) + wrong), spare ? "signature" : "signature_encoding") << wrong;
    }
    EXPECT_EQ(judged(good.substr(0, last_dot) + "AB"), "signature");
    EXPECT_EQ(judged(good.substr(0, last_dot) + "A="), "signature_encoding");
    EXPECT_EQ(judged(good.substr(0, last_dot) + "=B"), "signature_encoding");
    EXPECT_EQ(judged(good.substr(0, last_dot) + "B"), "signature_encoding");
}

// ATTACKS 32, 36, 40 at this level: what is no row of three segments.
TEST(Verifier, CountsSegmentsFirst) {
    const std::string good = token_of(plain_header);
    ASSERT_EQ(judged(good), "ok");
    for (const std::string& text :
         std::vector<std::string>{"", ".", "a", "a.b", "a.b.c.d", "a.b.c.d.e", good + '.', '.' + good, good + ".e30",
                                  std::string(8000, '.'), std::string(16384, '.')}) {
        EXPECT_EQ(judged(text), "segments") << text.substr(0, 20);
    }
    EXPECT_EQ(judged(".."), "header_json");
    EXPECT_EQ(judged(' ' + good), "header_encoding");
    EXPECT_EQ(judged("Bearer " + good), "header_encoding");
    EXPECT_EQ(judged(good + ' '), "signature_encoding");
    EXPECT_EQ(judged(good + ',' + good), "segments");
    const std::size_t first = good.find('.');
    const std::size_t second = good.rfind('.');
    const std::string flattened = R"({"protected":")" + good.substr(0, first) + R"(","payload":")" +
                                  good.substr(first + 1, second - first - 1) + R"(","signature":")" +
                                  good.substr(second + 1) + "\"}";
    EXPECT_EQ(judged(flattened), "segments");
    EXPECT_EQ(judged(R"({"  )" + good.substr(0, second) + R"(.":"",)" + flattened.substr(1)), "header_encoding");
}

TEST(Verifier, BoundsSize) {
    // The signature takes 43 characters and the dots two.
    const std::string header = base64url::encode(plain_header);
    const auto token_of_size = [&header](std::size_t size) {
        const std::size_t characters = size - 45 - header.size();
        std::string payload = R"({"sub":"alice","pad":")";
        payload.append(characters * 3 / 4 - payload.size() - 2, 'x').append("\"}");
        return signed_as(header, base64url::encode(payload));
    };
    const std::string most = token_of_size(max_token_size);
    ASSERT_EQ(most.size(), max_token_size);
    EXPECT_EQ(judged(most), "ok");
    const std::string over = token_of_size(max_token_size + 2);
    ASSERT_GT(over.size(), max_token_size);
    EXPECT_EQ(judged(over), "too_long");
    EXPECT_EQ(judged(std::string(max_token_size + 1, '.')), "too_long");
    EXPECT_EQ(message(std::string(1000000, 'a')), "Token is longer than 16384 bytes");
}

TEST(Verifier, BoundsDepth) {
    const auto nested = [](std::size_t depth) {
        return R"({"sub":"alice","a":)" + std::string(depth, '[') + std::string(depth, ']') + '}';
    };
    EXPECT_EQ(judged(token_of(plain_header, nested(63))), "ok");
    EXPECT_EQ(judged(token_of(plain_header, nested(64))), "payload_json");
    EXPECT_EQ(judged(token_of(plain_header, nested(4000))), "payload_json");
    EXPECT_EQ(judged(token_of(plain_header, std::string(8000, '['))), "payload_json");
    EXPECT_EQ(judged(token_of(std::string(8000, '['))), "header_json");
}

// ATTACKS 33, and what is no JSON object.
TEST(Verifier, WantsStrictJsonObjects) {
    ASSERT_EQ(judged(token_of(R"({"alg":"HS256","x":{"a":1,"b":1}})")), "ok");
    for (const std::string_view header :
         {R"({"alg":"HS256","alg":"HS512"})", R"({"alg":"HS512","\u0061lg":"HS256"})",
          R"({"alg":"HS256","x":{"a":1,"a":1}})", R"({"alg":"HS256")", R"({"alg":"HS256"}x)", R"({"alg":"HS256",})",
          "{\"alg\":\"HS256\",\"x\":\"\xff\"}", R"(["HS256"])", R"("HS256")", "null", "1", ""}) {
        EXPECT_EQ(judged(token_of(header)), "header_json") << header;
    }
    for (const std::string_view payload :
         {R"({"exp":1,"\u0065xp":9e9})", R"({"sub":"alice","sub":"alice"})",
          R"({"sub":"alice","cnf":{"jkt":"a","jkt":"b"}})", R"({"sub":"alice","realm_access":[{"r":1,"\u0072":1}]})",
          R"({"sub":"alice"}{})", R"({"sub":"\ud800"})", "{\"sub\":\"\xc3\x28\"}", R"({"sub":"alice","exp":1e400})",
          R"({"sub":"alice","exp":NaN})", R"({"sub":"alice","exp":017})",
          R"({"sub":"alice","exp":18446744073709551616})", "[]", "\"alice\"", "1", "true", "null", ""}) {
        EXPECT_EQ(judged(token_of(plain_header, payload)), "payload_json") << payload;
    }
    EXPECT_EQ(message(token_of("[]")), "Invalid header string: must be a json object");
    EXPECT_EQ(message(token_of("[")), "Invalid header string: not valid JSON");
    EXPECT_EQ(message(token_of(plain_header, "1")), "Invalid payload string: must be a json object");
    EXPECT_EQ(message(token_of(plain_header, R"({"a":1,"a":1})")),
              "Invalid payload string: an object has two members of one name");
}

TEST(Verifier, WantsAKidToBeAShortString) {
    EXPECT_EQ(judged(token_of(R"({"alg":"HS256","kid":"x"})")), "ok");
    EXPECT_EQ(judged(token_of(R"({"alg":"HS256","kid":"' OR 1=1--\r\n%n\u0000../../dev/null"})")), "ok");
    EXPECT_EQ(judged(token_of(R"({"alg":"HS256","kid":")" + std::string(1024, 'k') + "\"}")), "ok");
    EXPECT_EQ(judged(token_of(R"({"alg":"HS256","kid":")" + std::string(1025, 'k') + "\"}")), "kid_type");
    for (const std::string_view kid : {"1", "null", "true", "[]", "[\"x\"]", "{}"}) {
        EXPECT_EQ(judged(token_of(R"({"alg":"HS256","kid":)" + std::string(kid) + '}')), "kid_type") << kid;
    }
}

// ATTACKS 34 and 35: RFC 7515 §4.1.11, RFC 7797.
TEST(Verifier, RefusesCriticalExtensions) {
    struct Row {
        std::string_view member;
        std::string_view message;
    };
    ASSERT_EQ(judged(token_of(R"({"alg":"HS256","exp2":1})")), "ok");
    for (const auto& [member, expected] : {
             Row{R"("crit":[])", "Invalid 'crit' header: must be a non-empty list"},
             Row{R"("crit":"exp2")", "Invalid 'crit' header: must be a non-empty list"},
             Row{R"("crit":null)", "Invalid 'crit' header: must be a non-empty list"},
             Row{R"("crit":{"exp2":1})", "Invalid 'crit' header: must be a non-empty list"},
             Row{R"("crit":[1])", "Invalid 'crit' header: values must be strings"},
             Row{R"("crit":["exp2",null],"exp2":1)", "Invalid 'crit' header: values must be strings"},
             Row{R"("crit":["exp2"],"exp2":1)", "Unsupported critical extension: exp2"},
             Row{R"("crit":["exp2","exp2"],"exp2":1)", "Unsupported critical extension: exp2"},
             Row{R"("crit":["absent"])", "Unsupported critical extension: absent"},
             Row{R"("crit":["alg"])", "Unsupported critical extension: alg"},
             Row{R"("crit":[""])", "Unsupported critical extension: "},
             Row{R"("crit":["a\r\nX: \u001b[2J\u202e\u0000"])", "Unsupported critical extension: a??X: ?[2J????"},
             Row{R"("crit":["b64"],"b64":false)", "Unsupported critical extension: b64"},
             Row{R"("crit":["b64"],"b64":true)", "Unsupported critical extension: b64"},
             Row{R"("b64":false)", "Unsupported critical extension: b64"},
             Row{R"("b64":true)", "Unsupported critical extension: b64"},
         }) {
        const std::string text = token_of(R"({"alg":"HS256",)" + std::string(member) + '}');
        EXPECT_EQ(judged(text), "critical") << member;
        EXPECT_EQ(message(text), expected);
    }
    EXPECT_EQ(message(token_of(R"({"alg":"HS256","crit":[")" + std::string(2000, 'x') + "\"]}")),
              "Unsupported critical extension: " + std::string(64, 'x'));

    // A detached payload, and one signed as it is.
    const std::string header = base64url::encode(R"({"alg":"HS256","b64":false,"crit":["b64"]})");
    EXPECT_EQ(judged(header + ".." + base64url::encode(sign(*hmac_key(), Algorithm::hs256, header + ".{}"))),
              "critical");
    EXPECT_EQ(judged(signed_as(base64url::encode(plain_header), "")), "payload_json");
}

TEST(Verifier, ChecksInItsOrder) {
    // Each text has all the faults that follow its own.
    const std::string bad_header = base64url::encode(R"({"kid":1,"crit":[]})");
    EXPECT_EQ(judged("!.!.!"), "header_encoding");
    EXPECT_EQ(judged("e30x.!.!"), "header_json");
    EXPECT_EQ(judged(bad_header + ".!.!"), "payload_encoding");
    EXPECT_EQ(judged(bad_header + ".W10.!"), "signature_encoding");
    EXPECT_EQ(judged(bad_header + ".W10.AA"), "kid_type");
    EXPECT_EQ(judged(base64url::encode(R"({"crit":[]})") + ".W10.AA"), "critical");
    EXPECT_EQ(judged("e30.W10.AA"), "payload_json");
    EXPECT_EQ(judged("e30.e30.AA"), "algorithm_missing");
    EXPECT_EQ(judged(base64url::encode(R"({"alg":"none"})") + ".e30.AA"), "algorithm_not_allowed");
    EXPECT_EQ(judged(base64url::encode(plain_header) + ".e30.AA"), "signature");
    EXPECT_EQ(judged(token_of(plain_header, "{}")), "claim_missing");
    EXPECT_EQ(judged(token_of(plain_header, R"({"sub":"alice","exp":1,"type":"refresh"})")), "expired");
    EXPECT_EQ(judged(token_of(plain_header, R"({"sub":"alice","type":"refresh"})")), "refresh_token_refused");
}

// ATTACKS 11 and 12: what a token says about keys is not listened to.
TEST(Verifier, IgnoresKeysInHeaders) {
    const std::string attacker(64, 'x');
    const std::string jwk = R"("jwk":{"kty":"oct","k":")" + base64url::encode(attacker) + "\"}";
    const std::string header =
        R"({"alg":"HS256",)" + jwk +
        R"(,"jku":"http://127.0.0.1/","x5u":"file:///","x5c":["MII="],"enc":"A128GCM","typ":17})";
    EXPECT_EQ(judged(token_of(header)), "ok");
    std::string forged = base64url::encode(header) + '.' + base64url::encode(plain_payload);
    forged += '.' + base64url::encode(sign(*hmac_key(attacker), Algorithm::hs256, forged));
    EXPECT_EQ(judged(forged), "signature");
}

TEST(Verifier, HandsARefusedTokenBack) {
    auto unverified = Verifier().parse(token_of(plain_header, R"({"sub":"alice","exp":1})"));
    ASSERT_TRUE(unverified);
    auto authentic = Verifier::authenticate(*std::move(unverified), key_set(), hmacs);
    ASSERT_TRUE(authentic);
    auto refused = Verifier::verify(*std::move(authentic), {}, {}, now);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().refusal.error, Error::expired);
    EXPECT_EQ(refused.error().token.payload().member("sub")->string(), "alice");
    // The same token passes where it may be older.
    const Policy lenient{.leeway = 1'800'000'000s};
    EXPECT_TRUE(Verifier::verify(std::move(refused.error().token), lenient, {}, now));
}

TEST(Verifier, AppliesDemands) {
    const auto verified = [](std::string_view payload, const Demand& demand) {
        auto token = Verifier().parse(token_of(plain_header, payload));
        auto result = Verifier::verify(*Verifier::authenticate(*std::move(token), key_set(), hmacs), {}, demand, now);
        return result ? "ok" : std::string(word(result.error().refusal.error));
    };
    EXPECT_EQ(verified(R"({"sub":"a","fresh":true})", {.fresh = true}), "ok");
    EXPECT_EQ(verified(R"({"sub":"a","fresh":false})", {.fresh = true}), "not_fresh");
    EXPECT_EQ(verified(R"({"sub":"a","type":"refresh"})", {.use = TokenUse::refresh}), "ok");
    EXPECT_EQ(verified(R"({"sub":"a"})", {.use = TokenUse::refresh}), "refresh_token_required");
    EXPECT_EQ(verified(R"({"sub":"a","csrf":"c"})", {.csrf = "c"}), "ok");
    EXPECT_EQ(verified(R"({"sub":"a","csrf":"c"})", {.csrf = "d"}), "csrf_mismatch");
}

TEST(Verifier, ChecksAgainAsTimesPass) {
    Verifier verifier;
    const auto verified_for = [&](std::string_view payload, const Demand& demand) {
        auto token = verifier.parse(token_of(plain_header, payload));
        return *Verifier::verify(*Verifier::authenticate(*std::move(token), key_set(), hmacs), {}, demand, now);
    };
    const auto again = [](const VerifiedToken& token, const Policy& policy, const Demand& demand, Time time) {
        const auto refused = Verifier::check_again(token, policy, demand, time);
        return refused ? std::string(word(refused->error)) : "ok";
    };
    const VerifiedToken token = verified_for(plain_payload, {});
    Policy lenient;
    lenient.leeway = 5s;
    EXPECT_EQ(again(token, {}, {}, now), "ok");
    EXPECT_EQ(again(token, {}, {}, now + 999ms), "ok");
    EXPECT_EQ(again(token, {}, {}, now + 1s), "expired");
    EXPECT_EQ(again(token, lenient, {}, now + 1s), "ok");
    EXPECT_EQ(again(token, lenient, {}, now + 6s), "expired");

    const Demand fresh{.fresh = true};
    const VerifiedToken fresh_token = verified_for(R"({"sub":"alice","nbf":1700000000,"fresh":1700000001})", fresh);
    EXPECT_EQ(again(fresh_token, {}, fresh, now + 1s), "ok");
    EXPECT_EQ(again(fresh_token, {}, fresh, now + 2s), "not_fresh");
    EXPECT_EQ(again(fresh_token, {}, fresh, now - 1s), "nbf_future");
}

}  // namespace
}  // namespace jwt
