#include "error.hpp"

namespace jwt {
namespace {

std::string with_detail(std::string_view sentence, std::string_view detail) {
    std::string text;
    text.reserve(sentence.size() + detail.size());
    text.append(sentence).append(detail);
    return text;
}

}  // namespace

std::string_view word(Error error) noexcept {
    switch (error) {
        case Error::too_long:
            return "too_long";
        case Error::segments:
            return "segments";
        case Error::header_encoding:
            return "header_encoding";
        case Error::header_json:
            return "header_json";
        case Error::payload_encoding:
            return "payload_encoding";
        case Error::payload_json:
            return "payload_json";
        case Error::signature_encoding:
            return "signature_encoding";
        case Error::kid_type:
            return "kid_type";
        case Error::critical:
            return "critical";
        case Error::algorithm_missing:
            return "algorithm_missing";
        case Error::algorithm_not_allowed:
            return "algorithm_not_allowed";
        case Error::signature:
            return "signature";
        case Error::encryption_not_allowed:
            return "encryption_not_allowed";
        case Error::compressed:
            return "compressed";
        case Error::decryption:
            return "decryption";
        case Error::not_encrypted:
            return "not_encrypted";
        case Error::not_nested:
            return "not_nested";
        case Error::replicated_claim:
            return "replicated_claim";
        case Error::iat_type:
            return "iat_type";
        case Error::iat_future:
            return "iat_future";
        case Error::nbf_type:
            return "nbf_type";
        case Error::nbf_future:
            return "nbf_future";
        case Error::exp_type:
            return "exp_type";
        case Error::expired:
            return "expired";
        case Error::too_old:
            return "too_old";
        case Error::iss_missing:
            return "iss_missing";
        case Error::iss_type:
            return "iss_type";
        case Error::iss_mismatch:
            return "iss_mismatch";
        case Error::aud_missing:
            return "aud_missing";
        case Error::aud_type:
            return "aud_type";
        case Error::aud_mismatch:
            return "aud_mismatch";
        case Error::sub_type:
            return "sub_type";
        case Error::jti_type:
            return "jti_type";
        case Error::type_type:
            return "type_type";
        case Error::client_id_type:
            return "client_id_type";
        case Error::typ_mismatch:
            return "typ_mismatch";
        case Error::claim_missing:
            return "claim_missing";
        case Error::csrf_mismatch:
            return "csrf_mismatch";
        case Error::refresh_token_required:
            return "refresh_token_required";
        case Error::refresh_token_refused:
            return "refresh_token_refused";
        case Error::not_fresh:
            return "not_fresh";
    }
    return {};
}

std::string_view word(Reason reason) noexcept {
    switch (reason) {
        case Reason::missing:
            return "missing";
        case Reason::invalid:
            return "invalid";
        case Reason::expired:
            return "expired";
        case Reason::not_fresh:
            return "not_fresh";
        case Reason::revoked:
            return "revoked";
        case Reason::condition_failed:
            return "condition_failed";
        case Reason::verification_failed:
            return "verification_failed";
        case Reason::user_lookup_failed:
            return "user_lookup_failed";
        case Reason::unavailable:
            return "unavailable";
        case Reason::error:
            return "error";
    }
    return {};
}

Reason reason(Error error) noexcept {
    if (error == Error::expired || error == Error::too_old) {
        return Reason::expired;
    }
    if (error == Error::not_fresh) {
        return Reason::not_fresh;
    }
    return error == Error::csrf_mismatch ? Reason::missing : Reason::invalid;
}

// The sentences are those of Flask-JWT-Extended 4.7 and PyJWT 2.12: clients of either already match on them.
Refusal refusal(Error error, std::string_view detail) {
    switch (error) {
        case Error::too_long:
            return {error, "Token is longer than 16384 bytes"};
        case Error::segments:
            return {error, "Not enough segments"};
        case Error::header_encoding:
            return {error, "Invalid header padding"};
        case Error::header_json:
            return {error, with_detail("Invalid header string: ", detail)};
        case Error::payload_encoding:
            return {error, "Invalid payload padding"};
        case Error::payload_json:
            return {error, with_detail("Invalid payload string: ", detail)};
        case Error::signature_encoding:
            return {error, "Invalid crypto padding"};
        case Error::kid_type:
            return {error, "Key ID header parameter must be a string"};
        case Error::critical:
            return {error, std::string(detail)};
        case Error::algorithm_missing:
            return {error, "Algorithm not specified"};
        case Error::algorithm_not_allowed:
            return {error, "The specified alg value is not allowed"};
        case Error::signature:
            return {error, "Signature verification failed"};
        case Error::encryption_not_allowed:
            return {error, "The specified enc value is not allowed"};
        case Error::compressed:
            return {error, "Compressed tokens (zip) are refused"};
        case Error::decryption:
            return {error, "Decryption failed"};
        case Error::not_encrypted:
            return {error, "Only encrypted tokens are allowed"};
        case Error::not_nested:
            return {error, "Encrypted token holds no signed token"};
        case Error::replicated_claim:
            return {error, with_detail("Header parameter differs from the claim: ", detail)};
        case Error::iat_type:
            return {error, "Issued At claim (iat) must be an integer."};
        case Error::iat_future:
            return {error, "The token is not yet valid (iat)"};
        case Error::nbf_type:
            return {error, "Not Before claim (nbf) must be an integer."};
        case Error::nbf_future:
            return {error, "The token is not yet valid (nbf)"};
        case Error::exp_type:
            return {error, "Expiration Time claim (exp) must be an integer."};
        case Error::expired:
            return {error, "Token has expired"};
        case Error::too_old:
            return {error, "Token is too old"};
        case Error::iss_missing:
            return {error, "Token is missing the \"iss\" claim"};
        case Error::iss_type:
            return {error, "Payload Issuer (iss) must be a string"};
        case Error::iss_mismatch:
            return {error, "Invalid issuer"};
        case Error::aud_missing:
            return {error, "Token is missing the \"aud\" claim"};
        case Error::aud_type:
            return {error, "Invalid claim format in token"};
        case Error::aud_mismatch:
            return {error, "Audience doesn't match"};
        case Error::sub_type:
            return {error, "Subject must be a string"};
        case Error::jti_type:
            return {error, "JWT ID must be a string"};
        case Error::type_type:
            return {error, "Token type must be a string"};
        case Error::client_id_type:
            return {error, "Client ID (client_id) must be a string"};
        case Error::typ_mismatch:
            return {error, "Invalid type (typ)"};
        case Error::claim_missing:
            return {error, with_detail("Missing claim: ", detail)};
        case Error::csrf_mismatch:
            return {error, "CSRF double submit tokens do not match"};
        case Error::refresh_token_required:
            return {error, "Only refresh tokens are allowed"};
        case Error::refresh_token_refused:
            return {error, "Only non-refresh tokens are allowed"};
        case Error::not_fresh:
            return {error, "Fresh token required"};
    }
    return {error, {}};
}

}  // namespace jwt
