#pragma once

#include "config.hpp"

#include <memory>
#include <string>
#include <string_view>

#include "lua_host.hpp"

// What the content handlers of the module share.

namespace ngx {

/// Makes `handler` the content of the location that is being read, which may have one only.
char* set_content(ngx_conf_t* cf, LocationConfig& config, Content content, ngx_http_handler_pt handler);

/// An `if` block and limit_except are of the location around them: its content is theirs, where they name none. Whether
/// it is.
[[nodiscard]] bool takes_over_content(ngx_conf_t* cf, LocationConfig& conf, const LocationConfig& prev) noexcept;

/// Once all of a location is read: a directive of another module may have taken our place.
char* check_one_content(ngx_conf_t* cf, const LocationConfig& conf);

/// The name of the directive.
[[nodiscard]] std::string_view name(Content content) noexcept;

/// Whether it takes tokens also where no jwt_required asks for them.
[[nodiscard]] inline bool verifies_tokens(Content content) noexcept {
    return content == Content::handler || content == Content::revoke || content == Content::introspect;
}

/// 405 with what is allowed: the status that the handler returns.
[[nodiscard]] ngx_int_t not_allowed(ngx_http_request_t* r, std::string_view methods);

/// One request to a content handler, which may wait for the disk or for Lua code. Lives in the request's state.
class ContentCall {
public:
    ContentCall() = default;
    virtual ~ContentCall() = default;
    ContentCall(const ContentCall&) = delete;
    ContentCall& operator=(const ContentCall&) = delete;

    /// Called once the body was read, and again each time that nginx runs the request while this waits. What to
    /// finalize the request with; NGX_AGAIN while it waits; NGX_DONE where it finalized the request itself, which may
    /// be gone then.
    [[nodiscard]] virtual ngx_int_t go_on(ngx_http_request_t* r) = 0;
};

template <class Call>
std::unique_ptr<ContentCall> make_call() {
    return std::make_unique<Call>();
}

struct ContentRules {
    ngx_uint_t methods;  // NGX_HTTP_POST …
    std::string_view allowed;
    std::size_t body_limit = std::size_t{64} * 1024;  // a token, escaped, and room for more
};

/// Reads the body and runs a call. For the content handler of a location.
[[nodiscard]] ngx_int_t run_content(ngx_http_request_t* r, const ContentRules& rules,
                                    std::unique_ptr<ContentCall> (*make)()) noexcept;

/// A JSON answer that nobody stores.
[[nodiscard]] Answer json_answer(ngx_uint_t status, std::string body);
/// {"msg": sentence}, by the location's jwt_error_message_key.
[[nodiscard]] Answer sentence_answer(const ngx_http_request_t* r, ngx_uint_t status, std::string_view sentence);

}  // namespace ngx
