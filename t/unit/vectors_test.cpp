#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <string>

#include "base64url.hpp"
#include "json.hpp"
#include "jwe.hpp"
#include "key.hpp"
#include "signature.hpp"

// Public vectors, one JSON object a line: {"jwk", "token", "result"} or {"jwk", "alg", "input", "signature", "result"}.
// Signatures and encryption alone are judged: no payload of theirs is a JSON object.
namespace jwt {
namespace {

std::optional<std::string_view> text_member(json::Value value, std::string_view name) {
    const auto member = value.member(name);
    return member ? member->string() : std::nullopt;
}

bool some_key_matches(const KeySet& keys, std::string_view alg, std::optional<std::string_view> kid,
                      std::string_view input, std::string_view signature) {
    const auto algorithm = algorithm_named(alg);
    if (!algorithm) {
        return false;
    }
    for (const Key* const key : keys.candidates(*algorithm, kid)) {
        if (signature_matches(*key, *algorithm, input, signature)) {
            return true;
        }
    }
    return false;
}

bool token_is_valid(const KeySet& keys, std::string_view token) {
    const std::size_t first = token.find('.');
    const std::size_t second = token.find('.', first == token.npos ? first : first + 1);
    if (second == token.npos || token.find('.', second + 1) != token.npos) {
        return false;
    }
    const auto header_text = base64url::decode(token.substr(0, first));
    const auto payload = base64url::decode(token.substr(first + 1, second - first - 1));
    const auto signature = base64url::decode(token.substr(second + 1));
    if (!header_text || !payload || !signature) {
        return false;
    }
    json::Parser parser;
    json::Document document;
    const auto header = parser.parse_object(*header_text, document);
    if (!header || header->member("crit") || header->member("b64")) {
        return false;
    }
    const auto alg = text_member(*header, "alg");
    const auto kid = text_member(*header, "kid");
    return alg && (kid || !header->member("kid")) &&
           some_key_matches(keys, *alg, kid, token.substr(0, second), *signature);
}

// Compressed contents are the command's to show: here they are what was encrypted.
bool decrypts_to(const KeySet& keys, std::string_view token, std::string_view plaintext) {
    json::Parser parser;
    auto parsed = jwe::parse(token, parser, jwe::Zip::kept);
    if (!parsed) {
        return false;
    }
    const auto decrypted = jwe::decrypt(*std::move(parsed), keys);
    return decrypted && (decrypted->header().member("zip") || base64url::encode(decrypted->plaintext()) == plaintext);
}

bool vector_is_valid(json::Value vector) {
    const auto keys = KeySet::from_json(*vector.member("jwk"));
    if (!keys) {
        return false;
    }
    if (vector.member("plaintext")) {
        return decrypts_to(*keys, text_member(vector, "token").value(), text_member(vector, "plaintext").value_or(""));
    }
    if (const auto token = text_member(vector, "token")) {
        return token_is_valid(*keys, *token);
    }
    const auto input = base64url::decode(text_member(vector, "input").value());
    const auto signature = base64url::decode(text_member(vector, "signature").value());
    return input && signature &&
           some_key_matches(*keys, text_member(vector, "alg").value(), std::nullopt, *input, *signature);
}

class Vectors : public testing::TestWithParam<const char*> {};

TEST_P(Vectors, AreJudgedAsTheirLabelSays) {
    const char* const directory = std::getenv("JWT_VECTORS");
    if (directory == nullptr) {
        GTEST_SKIP() << "JWT_VECTORS names no directory";
    }
    std::ifstream file(std::string(directory) + "/" + GetParam() + ".jsonl");
    ASSERT_TRUE(file) << GetParam();
    json::Parser parser;
    json::Document document;
    std::size_t valid = 0;
    std::size_t invalid = 0;
    for (std::string line; std::getline(file, line);) {
        const auto vector = parser.parse_object(line, document);
        ASSERT_TRUE(vector) << line;
        const bool expected = text_member(*vector, "result") == "valid";
        ++(expected ? valid : invalid);
        EXPECT_EQ(vector_is_valid(*vector), expected) << text_member(*vector, "id").value();
    }
    EXPECT_GT(valid, 0U);
    EXPECT_GT(invalid, 0U);
}

INSTANTIATE_TEST_SUITE_P(Files, Vectors,
                         testing::Values("jwk", "jws", "jwe", "hmac_sha256", "ecdsa_secp256r1_sha256_p1363",
                                         "rsa_signature_2048_sha256", "rsa_signature_2048_sha384",
                                         "rsa_signature_2048_sha512"));

}  // namespace
}  // namespace jwt
