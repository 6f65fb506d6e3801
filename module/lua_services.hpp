#pragma once

#include "ngx.hpp"

#include <optional>
#include <string_view>

namespace ngx {

/// What Lua code may ask of the request that it runs for. These stand between Lua's frames, which may unwind, and the
/// C++ behind them: nothing is thrown, and what they return is trivial and lives in the request's pool.
struct ServiceResult {
    bool ok;
    ngx_str_t text;  // the result, or a sentence that says what went wrong and what to write instead
};

/// A result that a thread of nginx's pool works for. Ended with its call: the thread works for nobody then.
class LateResult;
struct LateResultEnd {
    void operator()(LateResult* late) const noexcept;
};
[[nodiscard]] bool result_is_there(const LateResult& late) noexcept;
/// Once it is there: once.
ServiceResult take_result(ngx_http_request_t* r, LateResult& late) noexcept;

/// A result, or one that is late: nginx runs `r` again when it is there.
struct ServiceStart {
    LateResult* late;  // null: here it is
    ServiceResult result;
};

enum class CookieKind : std::uint8_t { access, refresh };

/// Makes a token from a JSON object {type, identity, fresh, expires_delta, claims, headers, key}: `fresh` true, false
/// or seconds; `expires_delta` seconds, false (never) or absent (the location's directive), or a text in nginx's time
/// format ("365d"); `claims`, `headers` objects; `key` (text of a secret, PEM or JWK) in place of the location's own.
/// Never late unless it may be.
ServiceStart issue_token(ngx_http_request_t* r, std::string_view request, bool may_be_late) noexcept;

/// How a token is to be verified.
struct Decoding {
    std::optional<std::string_view> key;  // text of a secret, PEM or JWK, in place of the location's own
    std::optional<std::string_view> csrf;
    bool allow_expired;
};

/// Verifies a token by the location's rules. A JSON object {header, payload}. Never late unless it may be.
ServiceStart decode_token(ngx_http_request_t* r, std::string_view token, const Decoding& how,
                          bool may_be_late) noexcept;

/// Takes a token apart without verifying it: a JSON object {header, payload}.
ServiceResult read_unverified_token(ngx_http_request_t* r, std::string_view token) noexcept;

/// The token that this request was let through with, as JSON text; `null` where there is none.
ServiceResult current_header(ngx_http_request_t* r) noexcept;
ServiceResult current_payload(ngx_http_request_t* r) noexcept;
ServiceResult current_identity(ngx_http_request_t* r) noexcept;
ServiceResult current_user(ngx_http_request_t* r) noexcept;
ServiceResult current_location(ngx_http_request_t* r) noexcept;

/// What the directives decide where nothing is given.
struct CookieOptions {
    std::optional<double> max_age;  // seconds
    std::optional<std::string_view> domain;
};

/// Set-Cookie lines on this request's answer. Never late unless they may be.
ServiceStart set_cookies(ngx_http_request_t* r, CookieKind kind, std::string_view token, const CookieOptions& options,
                         bool may_be_late) noexcept;
ServiceResult unset_cookies(ngx_http_request_t* r, CookieKind kind, std::optional<std::string_view> domain) noexcept;

/// A request header by name, its lines joined by ", "; nothing where it has none.
std::optional<ngx_str_t> request_header(ngx_http_request_t* r, std::string_view name) noexcept;
/// A variable by name without its dollar; nothing where it is not found.
std::optional<ngx_str_t> request_variable(ngx_http_request_t* r, std::string_view name) noexcept;
/// Whether its media type is application/json or one of its +json kin.
bool request_is_json(ngx_http_request_t* r) noexcept;
/// The whole body, also where nginx wrote it to a file; nothing where it was not read or is beyond `jwt_lua_limit
/// memory`.
ServiceResult request_body(ngx_http_request_t* r) noexcept;

/// A subrequest as Lua code asks for it.
struct FetchRequest {
    std::string_view uri;  // may hold a query string
    std::string_view args;
    std::string_view method;
    std::string_view headers;  // lines "NAME: VALUE\r\n"
    std::optional<std::string_view> body;
};

struct FetchStart {
    ngx_http_request_t* subrequest;  // null where it could not be started
    bool mistake;                    // of the author, not of what a client sent
    ngx_str_t reason;
};

struct FetchedResponse {
    bool ok;
    ngx_str_t reason;  // why there is none
    ngx_uint_t status;
    ngx_str_t headers;  // lines "name: VALUE\r\n", one for each name, names in lower case
    ngx_str_t body;
};

/// Starts a subrequest, which runs once the caller has gone back to nginx. nginx runs `r` again when it has ended.
FetchStart start_fetch(ngx_http_request_t* r, const FetchRequest& request) noexcept;
[[nodiscard]] bool fetch_ended(const ngx_http_request_t* subrequest) noexcept;
/// Of a subrequest that has ended.
FetchedResponse fetched_response(ngx_http_request_t* subrequest) noexcept;

/// A write to the revocation store, on its way. Ended with its call: the write is made all the same.
class RevocationWrite;
struct RevocationWriteEnd {
    void operator()(RevocationWrite* write) const noexcept;
};

/// Starts what a JSON object asks for: `do` revoke or unrevoke, and what: `current` true, or `text` of a token and what
/// decode_token made of it as `decoded`, or `kind`, `name` and `issuer`; `exp` and `before` in seconds since 1970.
/// nginx runs `r` again when it has ended. Null where it cannot be started: `reason` is the author's mistake.
struct RevocationStart {
    RevocationWrite* write;
    ngx_str_t reason;
};
RevocationStart start_revocation(ngx_http_request_t* r, std::string_view request) noexcept;
[[nodiscard]] bool revocation_ended(const RevocationWrite& write) noexcept;

/// Of a write that has ended.
struct RevocationResult {
    bool ok;
    bool changed;    // it was not revoked before, or it was until now
    bool full;       // where not ok: 507 rather than 503
    ngx_str_t text;  // why it failed
};
RevocationResult revocation_result(ngx_http_request_t* r, const RevocationWrite& write) noexcept;

/// Asks the store about the same, with `do` absent. `ok` false where it cannot be read.
struct RevocationAnswer {
    bool ok;
    bool mistake;  // of the author
    bool revoked;
    ngx_str_t text;
};
RevocationAnswer ask_revocation(ngx_http_request_t* r, std::string_view request) noexcept;

}  // namespace ngx
