#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace jwt {

/// What the owner of a request is told: one word for the status variable, the log, the hooks and the README.
/// `ok` is no member: an accepted token is a VerifiedToken, not a Reason.
enum class Reason : std::uint8_t {
    missing,
    invalid,
    expired,
    not_fresh,
    revoked,
    condition_failed,
    verification_failed,
    user_lookup_failed,
    unavailable,
    error,
};

/// The check that a token did not pass. One member per check that a user can act on.
enum class Error : std::uint8_t {
    // shape of the token (RFC 7515 §7.1, §5.2)
    too_long,
    segments,
    header_encoding,
    header_json,
    payload_encoding,
    payload_json,
    signature_encoding,
    kid_type,
    critical,
    // key and signature
    algorithm_missing,
    algorithm_not_allowed,
    signature,
    // encryption (RFC 7516 §5.2)
    encryption_not_allowed,
    compressed,
    decryption,
    not_encrypted,
    not_nested,
    replicated_claim,
    // claims (RFC 7519 §4.1)
    iat_type,
    iat_future,
    nbf_type,
    nbf_future,
    exp_type,
    expired,
    too_old,
    iss_missing,
    iss_type,
    iss_mismatch,
    aud_missing,
    aud_type,
    aud_mismatch,
    sub_type,
    jti_type,
    type_type,
    client_id_type,
    typ_mismatch,
    claim_missing,
    csrf_mismatch,
    // what this request asks for
    refresh_token_required,
    refresh_token_refused,
    not_fresh,
};

/// Why a token was refused, for its client: a check, and a sentence without token text or key material.
struct [[nodiscard]] Refusal {
    Error error;
    std::string message;
};

/// The one word for a check, as `jwt verify --batch` prints it ("signature", "expired", …).
[[nodiscard]] std::string_view word(Error error) noexcept;
[[nodiscard]] std::string_view word(Reason reason) noexcept;

/// The reason that a failed check belongs to: `expired` (too_old too: a new token would do) and `not_fresh` have their
/// own, csrf_mismatch counts as missing (a request without its proof), all others are `invalid`.
[[nodiscard]] Reason reason(Error error) noexcept;

/// The sentence for a check. `detail` completes those that name something: the claim of claim_missing, the
/// extension of critical, what is wrong with header_json and payload_json.
[[nodiscard]] Refusal refusal(Error error, std::string_view detail = {});

}  // namespace jwt
