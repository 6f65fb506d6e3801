#include "request_state.hpp"

#include "content.hpp"
#include "counters.hpp"
#include "guard.hpp"
#include "sliding.hpp"
#include "variables.hpp"

namespace ngx {

namespace {

void end_state(void* data) {
    static_cast<RequestState*>(data)->~RequestState();
}

}  // namespace

RequestState::RequestState(const ngx_http_request_t* r) noexcept : request_(r) {}

RequestState::~RequestState() = default;

RequestState* RequestState::find_in_pool(ngx_http_request_t* r) noexcept {
    // A subrequest has its parent's pool: the state says whose it is.
    for (ngx_pool_cleanup_t* cleanup = r->pool->cleanup; cleanup != nullptr; cleanup = cleanup->next) {
        if (cleanup->handler == end_state && static_cast<RequestState*>(cleanup->data)->request_ == r) {
            return static_cast<RequestState*>(cleanup->data);
        }
    }
    return nullptr;
}

const RequestState* RequestState::shown_by(ngx_http_request_t* r) noexcept {
    for (; r != nullptr; r = r->parent) {
        if (const RequestState* state = find(r); state != nullptr && state->judged_) {
            return state;
        }
    }
    return nullptr;
}

RequestState& RequestState::of(ngx_http_request_t* r) {
    if (auto* state = static_cast<RequestState*>(ngx_http_get_module_ctx(r, ngx_http_jwt_module))) {
        return *state;
    }
    RequestState* state = find_in_pool(r);
    if (state != nullptr) {
        state->judging.reset();
    } else {
        ngx_pool_cleanup_t* cleanup = ngx_pool_cleanup_add(r->pool, sizeof(RequestState));
        if (cleanup == nullptr) {
            throw std::bad_alloc();
        }
        state = new (cleanup->data) RequestState(r);
        cleanup->handler = end_state;
    }
    ngx_http_set_ctx(r, state, ngx_http_jwt_module);
    return *state;
}

void RequestState::begin(ngx_http_request_t* r) noexcept {
    judged_ = true;
    accepted_.reset();
    let_in_ = false;
    user_.reset();
    refused_.reset();
    message_ = {};
    postponed_.reset();
    renewal.reset();
    forget_variables(r);
}

void RequestState::accept(ngx_http_request_t* r, jwt::VerifiedToken&& token, const LocationConfig& config,
                          TokenLocation found_in, std::optional<std::string>&& user) noexcept {
    count_outcome(config.counted_as, std::nullopt);
    accepted_.emplace(std::move(token));
    config_ = &config;
    let_in_ = false;
    found_in_ = found_in;
    user_ = std::move(user);
    forget_variables(r);
}

jwt::VerifiedToken RequestState::withdraw(ngx_http_request_t* r) noexcept {
    jwt::VerifiedToken token = std::move(*accepted_);
    accepted_.reset();
    let_in_ = false;
    user_.reset();
    forget_variables(r);
    return token;
}

std::optional<jwt::json::Value> RequestState::identity() const noexcept {
    return accepted_ ? accepted_->claims().named(config_->policy->identity_claim) : std::nullopt;
}

void RequestState::refuse(ngx_http_request_t* r, jwt::Reason reason, std::string_view message) {
    count_outcome(location_config(r).counted_as, reason);
    refused_ = reason;
    message_ = view(copy_to_pool(r->pool, message));
    forget_variables(r);
}

}  // namespace ngx
