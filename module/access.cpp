#include "access.hpp"

#include "answer.hpp"
#include "config.hpp"
#include "cookies.hpp"
#include "fetch.hpp"
#include "guard.hpp"
#include "judgement.hpp"
#include "key_fetch.hpp"
#include "request_state.hpp"
#include "session.hpp"
#include "sliding.hpp"
#include "text.hpp"
#include "token_source.hpp"
#include "worker.hpp"

namespace ngx {

namespace {

/// A CORS preflight as the Fetch standard sends it.
bool is_preflight(const ngx_http_request_t* r) {
    return r->method == NGX_HTTP_OPTIONS && header_field(r, "Origin") &&
           header_field(r, "Access-Control-Request-Method");
}

bool is_exempt(const ngx_http_request_t* r, const LocationConfig& config) {
    return names_method(*config.exempt_methods, view(r->method_name)) ||
           (is_preflight(r) && names_method(*config.exempt_methods, "preflight"));
}

/// `if=`: empty and "0" mean no, as in nginx's own directives.
tl::expected<bool, ngx_int_t> condition_holds(ngx_http_request_t* r, ngx_http_complex_value_t& condition) {
    ngx_str_t value;
    if (ngx_http_complex_value(r, &condition, &value) != NGX_OK) {
        return tl::make_unexpected(ngx_int_t{NGX_HTTP_INTERNAL_SERVER_ERROR});
    }
    return value.len != 0 && view(value) != "0";
}

Hook hook_of(jwt::Reason reason) noexcept {
    switch (reason) {
        case jwt::Reason::expired:
            return Hook::expired_token;
        case jwt::Reason::not_fresh:
            return Hook::needs_fresh_token;
        case jwt::Reason::revoked:
            return Hook::revoked_token;
        case jwt::Reason::condition_failed:
        case jwt::Reason::verification_failed:
            return Hook::token_verification_failed;
        case jwt::Reason::user_lookup_failed:
            return Hook::user_lookup_error;
        case jwt::Reason::missing:
            return Hook::unauthorized;
        case jwt::Reason::invalid:
        case jwt::Reason::unavailable:
        case jwt::Reason::error:
            break;
    }
    return Hook::invalid_token;
}

/// The hook's answer where the location has one for this denial.
std::optional<tl::expected<Answer, NoResult>> hook_answer(ngx_http_request_t* r, const LocationConfig& config,
                                                          const Denial& denial, LuaRun& run) {
    const bool ours_alone = denial.reason == jwt::Reason::unavailable || denial.reason == jwt::Reason::error;
    const Hook hook = hook_of(denial.reason);
    if (ours_alone || config.lua == nullptr || !config.lua->file.has(hook)) {
        return std::nullopt;
    }
    LuaHost& lua = *worker().lua;
    if (hook == Hook::invalid_token || hook == Hook::unauthorized) {
        return lua.answer(run, r, config.lua->file, hook, denial.message);
    }
    return lua.answer(run, r, config.lua->file, hook, denial.header.value(), denial.payload.value());
}

bool satisfies_any(ngx_http_request_t* r) noexcept {
    const auto* core = static_cast<ngx_http_core_loc_conf_t*>(ngx_http_get_module_loc_conf(r, ngx_http_core_module));
    return r == r->main && core->satisfy == NGX_HTTP_SATISFY_ANY;
}

/// Modules may move their access handler to the end while requests are served, as lua-nginx-module does.
bool others_follow(ngx_http_request_t* r) noexcept {
    const auto* main = static_cast<ngx_http_core_main_conf_t*>(ngx_http_get_module_main_conf(r, ngx_http_core_module));
    return main->phase_engine.handlers[r->phase_handler + 1].checker == ngx_http_core_access_phase;
}

void finalize_with(ngx_http_request_t* r, const Answer& answer) {
    r->err_status = 0;  // an error page's own status must not dress up a refusal
    ngx_http_finalize_request(r, send_answer(r, answer));
}

bool names_challenge(const Answer& answer) {
    return std::any_of(answer.headers.begin(), answer.headers.end(),
                       [](const auto& header) { return same_name(header.first, "WWW-Authenticate"); });
}

/// RFC 6750 §3.1: the challenge says what a token lacks, too.
bool carries_challenge(const Answer& answer, const Denial& denial) noexcept {
    return answer.status == NGX_HTTP_UNAUTHORIZED ||
           (answer.status == NGX_HTTP_FORBIDDEN && denial.reason == jwt::Reason::condition_failed);
}

/// What auth_request makes of an answer: 2xx is a yes, 401 and 403 a no, all else its own failure. A hook may choose
/// among the noes, and so may a condition.
ngx_uint_t status_in_subrequest(ngx_uint_t status, bool chosen_by_hook) noexcept {
    const bool is_failure = status >= NGX_HTTP_INTERNAL_SERVER_ERROR;
    const bool may_stay = status == NGX_HTTP_FORBIDDEN || (chosen_by_hook && status >= NGX_HTTP_BAD_REQUEST);
    return is_failure || may_stay ? status : NGX_HTTP_UNAUTHORIZED;
}

/// Answers a denial, which may wait for its hook.
ngx_int_t answer_denial(ngx_http_request_t* r, RequestState& state) {
    const LocationConfig& config = *state.judging->config;
    const Denial& denial = state.judging->denied->denial;
    auto custom = hook_answer(r, config, denial, state.judging->run);
    if (custom && !*custom) {
        if (custom->error() == NoResult::waiting) {
            return NGX_AGAIN;
        }
        forget_cookies(r);
        return status_of(custom->error());
    }
    Answer answer = custom ? std::move(**custom) : default_answer(r, denial);
    if (r != r->main) {
        answer.status = status_in_subrequest(answer.status, custom.has_value());
    }
    if (carries_challenge(answer, denial) && !names_challenge(answer)) {
        add_challenge(r, denial);
    }
    if (!custom && r == r->main && has_error_page(r, answer.status)) {
        return static_cast<ngx_int_t>(answer.status);
    }
    state.judging.reset();  // the request may have ended when finalize_with comes back
    finalize_with(r, answer);
    return NGX_DONE;
}

ngx_int_t refuse(ngx_http_request_t* r, RequestState& state, Denied&& denied) {
    const Denial& denial = denied.denial;
    const bool by_rfc9068 = state.judging->config->policy->profile == jwt::Profile::rfc9068;
    if (by_rfc9068 && denial.reason == jwt::Reason::invalid) {
        denied.denial.status = NGX_HTTP_UNAUTHORIZED;  // RFC 9068 §4, RFC 6750 §3.1: invalid_token
    }
    state.refuse(r, denial.reason, denial.message);
    note_reuse(r, *state.judging->config, denied);
    log(r->connection->log, NGX_LOG_INFO, {"jwt: token ", word(denial.reason), ": ", denial.message});
    if (satisfies_any(r)) {  // answer_refused speaks when nobody else let it in
        state.postpone(std::move(denied));
        return NGX_HTTP_UNAUTHORIZED;
    }
    state.judging->denied = std::move(denied);
    return answer_denial(r, state);
}

ngx_int_t refuse(ngx_http_request_t* r, RequestState& state, jwt::Reason reason, std::string&& message) {
    return refuse(r, state, Denied{{reason, std::move(message), std::nullopt, std::nullopt}, std::monostate{}});
}

void body_is_read(ngx_http_request_t* r) noexcept {
    r->preserve_body = 1;  // the upstream gets it too
    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
}

ngx_int_t read_body(ngx_http_request_t* r) {
    const ngx_int_t rc = ngx_http_read_client_request_body(r, body_is_read);
    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }
    ngx_http_finalize_request(r, NGX_DONE);  // gives back the reference that reading took
    return NGX_DONE;
}

/// A subrequest shares the array of its parent's variables, where each would read the claims of the other's token.
void take_own_variables(ngx_http_request_t* r) {
    if (r->variables != r->parent->variables) {
        return;
    }
    const auto* core = static_cast<ngx_http_core_main_conf_t*>(ngx_http_get_module_main_conf(r, ngx_http_core_module));
    const std::size_t size = core->variables.nelts * sizeof(ngx_http_variable_value_t);
    auto* own = static_cast<ngx_http_variable_value_t*>(ngx_palloc(r->pool, size));
    if (own == nullptr) {
        throw std::bad_alloc();
    }
    ngx_memcpy(own, r->variables, size);
    r->variables = own;
}

/// Judges the token that was found, or goes on where a hook waited.
ngx_int_t judge_found(ngx_http_request_t* r, RequestState& state) {
    Judging& judging = *state.judging;
    if (judging.denied) {
        return answer_denial(r, state);
    }
    const LocationConfig& config = *judging.config;
    Judgement judgement = judge(r, *config.required, judging);
    if (std::holds_alternative<Waiting>(judgement)) {
        return NGX_AGAIN;
    }
    if (std::holds_alternative<Passed>(judgement)) {
        auto& accepted = std::get<Accepted>(judging.token);
        state.accept(r, std::move(accepted.token), config, judging.found.location, std::move(accepted.user));
        return NGX_OK;
    }
    if (auto* denied = std::get_if<Denied>(&judgement)) {
        return refuse(r, state, std::move(*denied));
    }
    state.refuse(r, jwt::Reason::error, "Token cannot be verified");
    forget_cookies(r);
    return std::get<Failed>(judgement).status;
}

/// Judges the token of a request in a location that wants one.
ngx_int_t run(ngx_http_request_t* r) {
    if (r != r->main) {
        take_own_variables(r);
    }
    const LocationConfig& config = location_config(r);
    const Requirement& requirement = *config.required;
    RequestState& state = RequestState::of(r);
    if (state.judging && state.judging->config == &config) {
        return judge_found(r, state);
    }
    state.begin(r);
    if (is_exempt(r, config)) {
        return NGX_DECLINED;
    }
    if (requirement.condition != nullptr) {
        const auto applies = condition_holds(r, *requirement.condition);
        if (!applies) {
            return applies.error();
        }
        if (!*applies) {
            return NGX_DECLINED;
        }
    }
    const TokenLocations& locations =
        requirement.locations.count != 0 ? requirement.locations : *config.token_locations;
    // Of a body that was thrown away, and of one that is its main request's alone, there is no more to come.
    const bool body_is_here = r->request_body != nullptr || r->discard_body || r != r->main;
    Search search = find_token(r, config, locations, requirement.use == jwt::TokenUse::refresh, body_is_here);
    if (std::holds_alternative<NeedsBody>(search)) {
        return read_body(r);
    }
    state.judging.emplace(config);
    if (auto* nothing = std::get_if<NoToken>(&search)) {
        if (requirement.optional) {
            state.refuse(r, jwt::Reason::missing, nothing->message);
            return NGX_DECLINED;
        }
        return refuse(r, state, jwt::Reason::missing, std::move(nothing->message));
    }
    if (auto* bad = std::get_if<BadToken>(&search)) {
        return refuse(r, state, bad->reason, std::move(bad->message));
    }
    state.judging->found = std::get<FoundToken>(std::move(search));
    return judge_found(r, state);
}

/// Answers for a token that was refused under `satisfy any`, once nobody else let the request in.
ngx_int_t speak_for_all(ngx_http_request_t* r) {
    RequestState* state = RequestState::find(r);
    if (state == nullptr) {
        return NGX_DECLINED;
    }
    if (state->judging) {  // the hook that answers has waited
        return answer_denial(r, *state);
    }
    const Denied* denied = state->postponed();
    if (denied == nullptr) {
        return NGX_DECLINED;
    }
    if (others_follow(r)) {
        add_challenge(r, denied->denial);
        return NGX_DECLINED;  // nginx remembers the refusal, and answers by itself where they refuse too
    }
    r->access_code = 0;  // of the refusals so far: it would refuse the error page too
    state->judging.emplace(location_config(r));
    state->judging->denied = state->take_postponed();
    return answer_denial(r, *state);
}

ngx_int_t guarded_step(ngx_http_request_t* r, ngx_int_t (*step)(ngx_http_request_t*)) noexcept {
    const ngx_int_t rc =
        guarded(r->connection->log, ngx_int_t{NGX_HTTP_INTERNAL_SERVER_ERROR}, [r, step] { return step(r); });
    if (rc == NGX_AGAIN || rc == NGX_DONE) {
        return rc;  // after NGX_DONE the request may be gone
    }
    if (RequestState* state = RequestState::find(r)) {
        state->judging.reset();  // judged: an internal redirect back to this location begins anew
    }
    return rc;
}

}  // namespace

// Of an open location, nothing is asked here: what was found in an earlier one stays.

ngx_int_t judge_request(ngx_http_request_t* r) noexcept {
    return is_protected(location_config(r)) ? guarded_step(r, run) : NGX_DECLINED;
}

ngx_int_t answer_refused(ngx_http_request_t* r) noexcept {
    return is_protected(location_config(r)) ? guarded_step(r, speak_for_all) : NGX_DECLINED;
}

ngx_int_t settle_request(ngx_http_request_t* r) noexcept {
    const LocationConfig& config = location_config(r);
    RequestState* state = config.settles ? RequestState::find(r) : nullptr;
    if (state != nullptr) {
        state->let_in(config);
        const ngx_int_t rc = guarded(r->connection->log, ngx_int_t{NGX_HTTP_INTERNAL_SERVER_ERROR}, [&] {
            if (prepare_renewal(r, *state) == NGX_AGAIN) {
                return ngx_int_t{NGX_AGAIN};
            }
            worker().watches.watch(r, *state);
            return ngx_int_t{NGX_DECLINED};
        });
        if (rc != NGX_DECLINED) {
            return rc;
        }
    }
    // An error page keeps the challenge of the refusal that it is shown for.
    if (satisfies_any(r) && r->error_page == 0) {
        forget_challenge(r);
    }
    return NGX_DECLINED;
}

ngx_int_t judge_subrequest(ngx_http_request_t* r) noexcept {
    if (r == r->main || !is_protected(location_config(r)) || is_fetch(r) || is_key_fetch(r)) {
        return NGX_DECLINED;
    }
    const ngx_int_t rc = guarded_step(r, run);
    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        r->error_page = 1;  // no further one: the status of an error page would turn a no into auth_request's yes
    }
    return rc;
}

ngx_int_t deny(ngx_http_request_t* r, Denied&& denied) {
    RequestState& state = RequestState::of(r);
    state.refuse(r, denied.denial.reason, denied.denial.message);
    state.judging.emplace(location_config(r));
    state.judging->denied = std::move(denied);
    return deny_further(r);
}

bool is_being_denied(ngx_http_request_t* r) noexcept {
    const RequestState* state = RequestState::find(r);
    return state != nullptr && state->judging && state->judging->denied;
}

ngx_int_t deny_further(ngx_http_request_t* r) {
    RequestState& state = RequestState::of(r);
    const ngx_int_t rc = answer_denial(r, state);
    if (rc != NGX_AGAIN && rc != NGX_DONE) {
        state.judging.reset();
    }
    return rc;
}

}  // namespace ngx
