#include "conditions.hpp"

#include <algorithm>
#include <array>
#include <span>

#include "guard.hpp"

namespace ngx {

namespace {

using Values = std::array<std::string_view, jwt::max_condition_values>;

#if (NGX_PCRE)
class RegexPattern final : public jwt::Pattern {
public:
    RegexPattern(ngx_regex_t* regex, ngx_log_t* log) noexcept : regex_(regex), log_(log) {}

    [[nodiscard]] std::optional<bool> matches(std::string_view subject) const override {
        ngx_str_t text = str(subject);
        const ngx_int_t rc = ngx_regex_exec(regex_, &text, nullptr, 0);
        if (rc == NGX_REGEX_NO_MATCHED) {
            return false;
        }
        if (rc >= 0) {
            return true;
        }
        log(log_, NGX_LOG_ERR, "jwt: a pattern of jwt_require_claim or jwt_require_header gave up, error ",
            std::to_string(rc));
        return std::nullopt;
    }

private:
    ngx_regex_t* regex_;
    ngx_log_t* log_;
};
#endif

std::span<const std::string_view> values_of(ngx_http_request_t* r, const ConditionRule& rule, Values& values) {
    std::size_t count = 0;
    for (const ngx_http_complex_value_t& value : rule.values) {
        ngx_str_t text;
        if (ngx_http_complex_value(r, const_cast<ngx_http_complex_value_t*>(&value), &text) != NGX_OK) {
            throw std::bad_alloc();
        }
        values[count++] = view(text);
    }
    return std::span(values).first(count);
}

bool holds(ngx_http_request_t* r, const ConditionRule& rule, jwt::json::Value object) {
    Values values;
#if (NGX_PCRE)
    if (rule.pattern != nullptr) {
        const RegexPattern pattern(rule.pattern, r->connection->log);
        return jwt::holds(rule.condition, object, {}, &pattern);
    }
#endif
    return jwt::holds(rule.condition, object, values_of(r, rule, values));
}

/// Whether a rule names scopes that a token must have.
bool asks_for_scope(const ConditionRule& rule) {
    const jwt::Condition& condition = rule.condition;
    const bool all_needed = condition.op == jwt::Operator::contains ||
                            (condition.op == jwt::Operator::contains_any && rule.values.size() == 1);
    return all_needed && rule.part == ConditionRule::Part::payload &&
           (condition.path.is("scope") || condition.path.is("scp"));
}

/// RFC 6749 §3.3: 1*( %x21 / %x23-5B / %x5D-7E ).
bool is_scope_token(std::string_view text) noexcept {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '\\'; });
}

/// All scopes that the location asks for: a client that gets a token for them need not be told twice.
std::string wanted_scope(ngx_http_request_t* r, const Conditions& conditions) {
    std::vector<std::string> wanted;
    for (const ConditionRule* rule : conditions.rules) {
        if (!asks_for_scope(*rule)) {
            continue;
        }
        Values values;
        for (const std::string_view scope : values_of(r, *rule, values)) {
            if (is_scope_token(scope) && std::find(wanted.begin(), wanted.end(), scope) == wanted.end()) {
                wanted.emplace_back(scope);
            }
        }
    }
    std::string text;
    for (const std::string& scope : wanted) {
        text += (text.empty() ? "" : " ") + scope;
    }
    return text;
}

std::string sentence(const ConditionRule& rule, jwt::json::Value object) {
    if (asks_for_scope(rule)) {
        return "Insufficient scope";
    }
    const bool of_header = rule.part == ConditionRule::Part::header;
    const std::string& name = rule.condition.path.text();
    if (rule.condition.op != jwt::Operator::absent && !rule.condition.path.find(object)) {
        return (of_header ? "Missing header parameter: " : "Missing claim: ") + name;
    }
    return (of_header ? "Header parameter " : "Claim ") + name + " does not allow this";
}

}  // namespace

std::optional<Unmet> unmet_condition(ngx_http_request_t* r, const Conditions& conditions, jwt::json::Value header,
                                     jwt::json::Value payload) {
    for (const ConditionRule* rule : conditions.rules) {
        const jwt::json::Value object = rule->part == ConditionRule::Part::header ? header : payload;
        if (!holds(r, *rule, object)) {
            return Unmet{sentence(*rule, object), rule->status,
                         asks_for_scope(*rule) ? wanted_scope(r, conditions) : std::string()};
        }
    }
    return std::nullopt;
}

}  // namespace ngx
