#include "error.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace jwt {
namespace {

struct Row {
    Error error;
    std::string_view word;
    Reason reason;
    std::string_view message;
    std::string_view detail = {};
};

constexpr Row rows[] = {
    {Error::too_long, "too_long", Reason::invalid, "Token is longer than 16384 bytes"},
    {Error::segments, "segments", Reason::invalid, "Not enough segments"},
    {Error::header_encoding, "header_encoding", Reason::invalid, "Invalid header padding"},
    {Error::header_json, "header_json", Reason::invalid, "Invalid header string: must be a json object",
     "must be a json object"},
    {Error::payload_encoding, "payload_encoding", Reason::invalid, "Invalid payload padding"},
    {Error::payload_json, "payload_json", Reason::invalid, "Invalid payload string: not valid JSON", "not valid JSON"},
    {Error::signature_encoding, "signature_encoding", Reason::invalid, "Invalid crypto padding"},
    {Error::kid_type, "kid_type", Reason::invalid, "Key ID header parameter must be a string"},
    {Error::critical, "critical", Reason::invalid, "Unsupported critical extension: x",
     "Unsupported critical extension: x"},
    {Error::algorithm_missing, "algorithm_missing", Reason::invalid, "Algorithm not specified"},
    {Error::algorithm_not_allowed, "algorithm_not_allowed", Reason::invalid, "The specified alg value is not allowed"},
    {Error::signature, "signature", Reason::invalid, "Signature verification failed"},
    {Error::encryption_not_allowed, "encryption_not_allowed", Reason::invalid,
     "The specified enc value is not allowed"},
    {Error::compressed, "compressed", Reason::invalid, "Compressed tokens (zip) are refused"},
    {Error::decryption, "decryption", Reason::invalid, "Decryption failed"},
    {Error::not_encrypted, "not_encrypted", Reason::invalid, "Only encrypted tokens are allowed"},
    {Error::not_nested, "not_nested", Reason::invalid, "Encrypted token holds no signed token"},
    {Error::replicated_claim, "replicated_claim", Reason::invalid, "Header parameter differs from the claim: iss",
     "iss"},
    {Error::iat_type, "iat_type", Reason::invalid, "Issued At claim (iat) must be an integer."},
    {Error::iat_future, "iat_future", Reason::invalid, "The token is not yet valid (iat)"},
    {Error::nbf_type, "nbf_type", Reason::invalid, "Not Before claim (nbf) must be an integer."},
    {Error::nbf_future, "nbf_future", Reason::invalid, "The token is not yet valid (nbf)"},
    {Error::exp_type, "exp_type", Reason::invalid, "Expiration Time claim (exp) must be an integer."},
    {Error::expired, "expired", Reason::expired, "Token has expired"},
    {Error::too_old, "too_old", Reason::expired, "Token is too old"},
    {Error::iss_missing, "iss_missing", Reason::invalid, "Token is missing the \"iss\" claim"},
    {Error::iss_type, "iss_type", Reason::invalid, "Payload Issuer (iss) must be a string"},
    {Error::iss_mismatch, "iss_mismatch", Reason::invalid, "Invalid issuer"},
    {Error::aud_missing, "aud_missing", Reason::invalid, "Token is missing the \"aud\" claim"},
    {Error::aud_type, "aud_type", Reason::invalid, "Invalid claim format in token"},
    {Error::aud_mismatch, "aud_mismatch", Reason::invalid, "Audience doesn't match"},
    {Error::sub_type, "sub_type", Reason::invalid, "Subject must be a string"},
    {Error::jti_type, "jti_type", Reason::invalid, "JWT ID must be a string"},
    {Error::type_type, "type_type", Reason::invalid, "Token type must be a string"},
    {Error::client_id_type, "client_id_type", Reason::invalid, "Client ID (client_id) must be a string"},
    {Error::typ_mismatch, "typ_mismatch", Reason::invalid, "Invalid type (typ)"},
    {Error::claim_missing, "claim_missing", Reason::invalid, "Missing claim: sub", "sub"},
    {Error::csrf_mismatch, "csrf_mismatch", Reason::missing, "CSRF double submit tokens do not match"},
    {Error::refresh_token_required, "refresh_token_required", Reason::invalid, "Only refresh tokens are allowed"},
    {Error::refresh_token_refused, "refresh_token_refused", Reason::invalid, "Only non-refresh tokens are allowed"},
    {Error::not_fresh, "not_fresh", Reason::not_fresh, "Fresh token required"},
};

TEST(Error, HasAWordAReasonAndASentence) {
    std::set<std::string_view> words;
    for (const Row& row : rows) {
        EXPECT_EQ(word(row.error), row.word);
        EXPECT_EQ(reason(row.error), row.reason) << row.word;
        const Refusal refused = refusal(row.error, row.detail);
        EXPECT_EQ(refused.error, row.error) << row.word;
        EXPECT_EQ(refused.message, row.message);
        words.insert(word(row.error));
    }
    EXPECT_EQ(words.size(), static_cast<std::size_t>(Error::not_fresh) + 1);
}

TEST(Reason, HasAWord) {
    EXPECT_EQ(word(Reason::missing), "missing");
    EXPECT_EQ(word(Reason::invalid), "invalid");
    EXPECT_EQ(word(Reason::expired), "expired");
    EXPECT_EQ(word(Reason::not_fresh), "not_fresh");
    EXPECT_EQ(word(Reason::revoked), "revoked");
    EXPECT_EQ(word(Reason::condition_failed), "condition_failed");
    EXPECT_EQ(word(Reason::verification_failed), "verification_failed");
    EXPECT_EQ(word(Reason::user_lookup_failed), "user_lookup_failed");
    EXPECT_EQ(word(Reason::unavailable), "unavailable");
    EXPECT_EQ(word(Reason::error), "error");
}

}  // namespace
}  // namespace jwt
