#pragma once

#include "ngx.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "../core/condition.hpp"
#include "../core/json.hpp"
#include "config.hpp"

namespace ngx {

/// One jwt_require_claim or jwt_require_header.
struct ConditionRule {
    enum class Part : std::uint8_t { payload, header };

    Part part = Part::payload;
    jwt::Condition condition;
    std::vector<ngx_http_complex_value_t> values;  // none beside a pattern
#if (NGX_PCRE)
    ngx_regex_t* pattern = nullptr;
#endif
    ngx_uint_t status = NGX_HTTP_FORBIDDEN;  // of the answer where it does not hold
};

/// The conditions of a location, those of its surroundings first. All must hold.
struct Conditions {
    std::vector<const ConditionRule*> rules;
    bool without_outer_claims = false;   // jwt_require_claim off
    bool without_outer_headers = false;  // jwt_require_header off
    Origin origin;                       // of the first directive
};

/// What a token lacks.
struct Unmet {
    std::string message;
    ngx_uint_t status;
    std::string scope;  // that would do (RFC 6749 §3.3), where a scope is what it lacks
};

/// The first condition that a token does not meet; nothing where it meets all of them. Looks up the
/// variables of the request anew each time. Throws std::bad_alloc.
[[nodiscard]] std::optional<Unmet> unmet_condition(ngx_http_request_t* r, const Conditions& conditions,
                                                   jwt::json::Value header, jwt::json::Value payload);

}  // namespace ngx
