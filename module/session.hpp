#pragma once

#include "ngx.hpp"

#include "content.hpp"
#include "request_state.hpp"
#include "revocation.hpp"

// Content handlers that end and renew sessions: jwt_logout, jwt_refresh.
//
// A family is what came of one login: a refresh token, its successors, and the access tokens made of them. It is called
// by the claim `sid` of its members; the first refresh token, which has none, calls it by its own `jti`.

namespace ngx {

ngx_int_t handle_logout(ngx_http_request_t* r) noexcept;
ngx_int_t handle_refresh(ngx_http_request_t* r) noexcept;

/// The name of a token's family; empty where it has none.
[[nodiscard]] std::string family_name(const jwt::AuthenticToken& token);

/// Whether no location takes a token any more, whatever its leeway.
[[nodiscard]] bool has_ended(const jwt::AuthenticToken& token);

/// What revokes a token alone.
[[nodiscard]] Revocations::Changes end_of_token(const jwt::AuthenticToken& token);
/// What revokes all of a token's family that it knows of, the token included.
[[nodiscard]] Revocations::Changes end_of_family(const LocationConfig& config, const jwt::AuthenticToken& token);

/// A token is refused where refresh tokens rotate: ends its family where it was used before (RFC 9700 §4.14.2).
void note_reuse(ngx_http_request_t* r, const LocationConfig& config, const Denied& denied);

/// A call that writes revocations.
class WritingCall : public ContentCall {
protected:
    /// NGX_AGAIN.
    [[nodiscard]] ngx_int_t write(ngx_http_request_t* r, Revocations::Changes changes);
    [[nodiscard]] bool writing() const noexcept { return write_.waiting(); }
    /// Once they are on disk, or could not be written.
    [[nodiscard]] const std::optional<Revocations::Result>& result() const noexcept { return result_; }

private:
    Revocations::Write write_;
    std::optional<Revocations::Result> result_;
};

/// The answer where revocations could not be written: 503, or 507.
[[nodiscard]] Answer store_failure_answer(ngx_http_request_t* r, const jwt::revocation::StoreFailure& failure);

}  // namespace ngx
