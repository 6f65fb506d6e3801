#pragma once

#include "ngx.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "../core/error.hpp"
#include "../core/token.hpp"
#include "config.hpp"
#include "judgement.hpp"
#include "lua_host.hpp"

namespace ngx {

struct Renewal;     // sliding.hpp
class ContentCall;  // content.hpp

/// What is known of one request's token. Lives in the request's pool; judged anew after an internal redirect.
class RequestState {
public:
    explicit RequestState(const ngx_http_request_t* r) noexcept;
    ~RequestState();
    RequestState(const RequestState&) = delete;
    RequestState& operator=(const RequestState&) = delete;

    /// The state of this request; null where it was never judged. Found also after an internal redirect, which makes
    /// nginx forget modules' contexts.
    [[nodiscard]] static RequestState* find(ngx_http_request_t* r) noexcept {
        auto* state = static_cast<RequestState*>(ngx_http_get_module_ctx(r, ngx_http_jwt_module));
        return state != nullptr ? state : find_in_pool(r);
    }
    /// The state whose claims this request shows: an open subrequest shows those of the request that it is made for.
    [[nodiscard]] static const RequestState* shown_by(ngx_http_request_t* r) noexcept;
    /// The same as find, made where there is none. After an internal redirect, what was being judged is so no longer.
    [[nodiscard]] static RequestState& of(ngx_http_request_t* r);

    /// The token that passed every check and hook; what variables and the Lua API show.
    [[nodiscard]] const jwt::VerifiedToken* accepted() const noexcept { return accepted_ ? &*accepted_ : nullptr; }

    /// Starts judging: forgets what an earlier location found. An unprotected location judges nothing: after an
    /// internal redirect to one, what was found stays, for the application behind a named location and for the access
    /// log.
    void begin(ngx_http_request_t* r) noexcept;
    void accept(ngx_http_request_t* r, jwt::VerifiedToken&& token, const LocationConfig& config, TokenLocation found_in,
                std::optional<std::string>&& user) noexcept;
    /// The accepted token, which was refused after all and shows no longer.
    [[nodiscard]] jwt::VerifiedToken withdraw(ngx_http_request_t* r) noexcept;
    void refuse(ngx_http_request_t* r, jwt::Reason reason, std::string_view message);

    /// Notes that all access handlers of the location let the request in. Only the word of the location that judged the
    /// token counts: an open error page of it lets in whom its other handlers refused.
    void let_in(const LocationConfig& config) noexcept {
        let_in_ = let_in_ || (accepted_ && &config == config_);
        postponed_.reset();
    }
    /// The rules under which the token was accepted and the request let in; null where it was not.
    [[nodiscard]] const LocationConfig* let_in_by() const noexcept { return let_in_ ? config_ : nullptr; }

    /// Keeps a denial whose answer waits: under `satisfy any` another access handler may let the request in.
    void postpone(Denied&& denied) noexcept { postponed_.emplace(std::move(denied)); }
    /// The denial that waits, until the request is let in or judged anew; null where there is none.
    [[nodiscard]] const Denied* postponed() const noexcept { return postponed_ ? &*postponed_ : nullptr; }
    /// The same, for the answer to it.
    [[nodiscard]] Denied take_postponed() noexcept { return *std::exchange(postponed_, std::nullopt); }

    /// The identity claim of the accepted token, by the rules it was accepted under.
    [[nodiscard]] std::optional<jwt::json::Value> identity() const noexcept;

    /// Where judging is, also while one of its hooks waits; none where nothing is judged.
    std::optional<Judging> judging;
    /// The new token of a session that slides, where it was made ahead of the answer; null else.
    std::unique_ptr<Renewal> renewal;
    /// The content handler's call, while it waits.
    LuaRun handler_run;
    std::unique_ptr<ContentCall> content_call;

    // For the variables.
    [[nodiscard]] std::optional<jwt::Reason> refused() const noexcept { return refused_; }
    [[nodiscard]] std::string_view message() const noexcept { return message_; }
    [[nodiscard]] TokenLocation found_in() const noexcept { return found_in_; }
    [[nodiscard]] const std::optional<std::string>& user() const noexcept { return user_; }

private:
    [[nodiscard]] static RequestState* find_in_pool(ngx_http_request_t* r) noexcept;

    const ngx_http_request_t* request_;
    bool judged_ = false;
    std::optional<jwt::VerifiedToken> accepted_;
    const LocationConfig* config_ = nullptr;  // that judged it
    bool let_in_ = false;
    TokenLocation found_in_ = TokenLocation::headers;
    std::optional<std::string> user_;  // JSON text
    std::optional<jwt::Reason> refused_;
    std::string_view message_;  // in the request's memory
    std::optional<Denied> postponed_;
};

}  // namespace ngx
