#include <string>

#include "config.hpp"
#include "guard.hpp"
#include "lua_services.hpp"
#include "request_state.hpp"
#include "revocation.hpp"
#include "worker.hpp"

// What Lua code asks of the revocation store.

namespace ngx {

namespace {

using jwt::revocation::Change;
using jwt::revocation::Fingerprint;
using jwt::revocation::Issuer;
using jwt::revocation::Kind;
using jwt::revocation::Outcome;
using jwt::revocation::StoreError;
using jwt::revocation::Target;
using jwt::revocation::Verdict;

/// What a request names: a target, and all that a token it names is looked up by.
struct Named {
    Target target;
    Fingerprint fingerprint;
    std::optional<jwt::Time> expires;
    std::optional<jwt::Time> before;
};

template <class T>
using Read = tl::expected<T, std::string>;

tl::unexpected<std::string> mistake(const char* sentence) {
    return tl::unexpected<std::string>(sentence);
}

std::optional<jwt::Time> time_member(jwt::json::Value value, std::string_view name) {
    const auto member = value.member(name);
    const auto seconds = member ? member->number() : std::nullopt;
    // What lies beyond the times there are is never.
    if (!seconds || *seconds > 9e12) {
        return std::nullopt;
    }
    return jwt::Time(std::chrono::milliseconds(static_cast<std::int64_t>(std::max(*seconds, 0.0) * 1000)));
}

std::optional<jwt::Time> kept_until(jwt::json::Value payload, std::string_view name = "exp") {
    const auto expires = time_member(payload, name);
    return expires ? std::optional(worker().revocations->kept_until(*expires)) : std::nullopt;
}

std::string text_member(jwt::json::Value value, std::string_view name) {
    const auto member = value.member(name);
    const auto text = member ? member->string() : std::nullopt;
    return std::string(text.value_or(std::string_view()));
}

Read<Named> current_token(ngx_http_request_t* r) {
    const RequestState* state = RequestState::shown_by(r);
    if (state == nullptr || state->accepted() == nullptr) {
        return mistake("there is no token: this location let the request in without one, or judges it still");
    }
    const jwt::AuthenticToken& token = state->accepted()->authentic();
    return Named{Target::of(token.payload(), token.signing_input()),
                 worker().revocations->fingerprint(token, location_config(r).policy->identity_claim),
                 kept_until(token.payload()), std::nullopt};
}

/// A token that Lua code has decoded.
Read<Named> decoded_token(ngx_http_request_t* r, std::string_view text, jwt::json::Value request) {
    const std::string_view signing_input = text.substr(0, text.rfind('.'));
    jwt::json::Document document;
    const auto decoded = worker().parser.parse_object(text_member(request, "decoded"), document);
    const auto payload = decoded ? decoded->member("payload") : std::nullopt;
    if (!payload) {
        return mistake("the token has no payload");
    }
    const auto kid = decoded->member("kid");
    return Named{Target::of(*payload, signing_input),
                 jwt::revocation::fingerprint(*payload, kid ? kid->string() : std::nullopt, signing_input,
                                              location_config(r).policy->identity_claim),
                 kept_until(*payload), std::nullopt};
}

Read<Named> named(ngx_http_request_t* r, jwt::json::Value request) {
    if (request.member("current")) {
        return current_token(r);
    }
    if (const auto text = request.member("text"); text && text->string()) {
        return decoded_token(r, *text->string(), request);
    }
    const auto kind = jwt::revocation::kind_named(text_member(request, "kind"));
    if (!kind) {
        return mistake("there is nothing to revoke");
    }
    Issuer issuer;
    if (request.member("issuer")) {
        issuer = Issuer::named(text_member(request, "issuer"));
    }
    const Target target{*kind, text_member(request, "name"), std::move(issuer)};
    auto before = time_member(request, "before");
    if (!before && (*kind == Kind::subject || *kind == Kind::all)) {
        before = precise_now();  // those of the next login are good
    }
    return Named{target, jwt::revocation::fingerprint(target), kept_until(request), before};
}

struct Parsed {
    jwt::json::Document document;
    Named named;
    bool remove;
};

Read<Parsed> parsed(ngx_http_request_t* r, std::string_view text) {
    if (worker().revocations == nullptr) {
        return mistake("there is no revocation store: write jwt_revocation_store into http{}");
    }
    Parsed result{};
    const auto request = worker().parser.parse_object(text, result.document);
    if (!request) {
        return mistake("the module made no JSON of it");
    }
    auto what = named(r, *request);
    if (!what) {
        return tl::unexpected(what.error());
    }
    result.named = std::move(*what);
    result.remove = text_member(*request, "do") == "unrevoke";
    return result;
}

}  // namespace

class RevocationWrite {
public:
    Revocations::Write write;
    std::optional<Revocations::Result> result;
};

void RevocationWriteEnd::operator()(RevocationWrite* write) const noexcept {
    delete write;
}

RevocationStart start_revocation(ngx_http_request_t* r, std::string_view request) noexcept {
    return guarded(
        r->connection->log, RevocationStart{nullptr, ngx_string("not enough memory")}, [&]() -> RevocationStart {
            auto read = parsed(r, request);
            if (!read) {
                return {nullptr, copy_to_pool(r->pool, read.error())};
            }
            Named& what = read->named;
            auto started = std::make_unique<RevocationWrite>();
            RevocationWrite* write = started.get();
            Revocations::Changes changes;
            changes.push_back({std::move(what.target), what.expires, what.before, read->remove});
            started->write =
                worker().revocations->apply(std::move(changes), [write, r](const Revocations::Result& result) {
                    write->result = result;
                    wake(r);
                });
            return {started.release(), ngx_null_string};
        });
}

bool revocation_ended(const RevocationWrite& write) noexcept {
    return write.result.has_value();
}

RevocationResult revocation_result(ngx_http_request_t* r, const RevocationWrite& write) noexcept {
    const RevocationResult failure{false, false, false, ngx_string("failed")};
    return guarded(r->connection->log, failure, [&]() -> RevocationResult {
        const Revocations::Result& result = *write.result;
        if (!result) {
            return {false, false, result.error().error == StoreError::full,
                    copy_to_pool(r->pool, result.error().message)};
        }
        const Outcome outcome = result->front();
        return {true, outcome == Outcome::added || outcome == Outcome::removed, false, ngx_null_string};
    });
}

RevocationAnswer ask_revocation(ngx_http_request_t* r, std::string_view request) noexcept {
    return guarded(r->connection->log, RevocationAnswer{false, false, false, ngx_string("failed")},
                   [&]() -> RevocationAnswer {
                       const auto read = parsed(r, request);
                       if (!read) {
                           return {false, true, false, copy_to_pool(r->pool, read.error())};
                       }
                       const Verdict verdict = worker().revocations->check(read->named.fingerprint);
                       const ngx_str_t reason = ngx_string("cannot be read");
                       return {verdict != Verdict::unavailable, false, verdict == Verdict::revoked, reason};
                   });
}

}  // namespace ngx
