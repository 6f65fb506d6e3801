#include "directives.hpp"

#include <algorithm>
#include <array>

#include "conditions.hpp"
#include "guard.hpp"
#include "text.hpp"
#include "variables.hpp"

// jwt_require_claim, jwt_require_header, jwt_claim_set and jwt_profile: what claims decide and show.

namespace ngx {

namespace {

Conditions& conditions_of(ngx_conf_t* cf, LocationConfig& config) {
    if (config.conditions == nullptr) {
        config.conditions = make_in_pool<Conditions>(cf->pool);
        config.conditions->origin = Origin::here(cf);
    }
    return *config.conditions;
}

bool has_variable(std::string_view value) noexcept {
    return value.find('$') != std::string_view::npos;
}

/// What is wrong with a value, as a sentence; nothing where it is well.
std::optional<std::string> problem_of(jwt::Operator op, std::string_view value) {
    if (!has_variable(value)) {
        return jwt::problem_of_value(op, value);
    }
    if (shows_token(value)) {
        return quoted(value) + " is empty while the token is judged: compare claims with other variables";
    }
    return std::nullopt;
}

char* read_value(ngx_conf_t* cf, ConditionRule& rule, ngx_str_t& word) {
    if (const auto problem = problem_of(rule.condition.op, view(word))) {
        return config_error(cf, *problem);
    }
    ngx_http_compile_complex_value_t compile{};
    compile.cf = cf;
    compile.value = &word;
    compile.complex_value = &rule.values.emplace_back();
    return ngx_http_compile_complex_value(&compile) == NGX_OK ? NGX_CONF_OK : failed();
}

/// A dollar before a letter matches nothing, so that "!~" would hold for everybody. One behind a backslash or within
/// brackets stands for itself.
bool has_variable_in_pattern(std::string_view pattern) noexcept {
    bool in_brackets = false;
    for (std::size_t i = 0; i + 1 < pattern.size(); ++i) {
        const char next = pattern[i + 1];
        if (pattern[i] == '\\') {
            ++i;
        } else if (!in_brackets && pattern[i] == '[') {
            in_brackets = true;
            i += next == '^' ? 1U : 0U;
            i += pattern.substr(i + 1).starts_with(']') ? 1U : 0U;  // the first one stands for itself
        } else if (in_brackets && pattern[i] == '[' && next == ':') {
            i = std::min(pattern.find(":]", i), pattern.size() - 2) + 1;
        } else if (pattern[i] == ']') {
            in_brackets = false;
        } else if (pattern[i] == '$' && !in_brackets && begins_variable(next)) {
            return true;
        }
    }
    return false;
}

#if (NGX_PCRE)
/// What a pattern may cost: PCRE counts its steps, and how deep they nest. The lower of several limits counts, so that
/// a pattern cannot raise them.
constexpr std::string_view pattern_limits = "(*LIMIT_MATCH=50000)(*LIMIT_RECURSION=5000)";

char* read_pattern(ngx_conf_t* cf, ConditionRule& rule, std::string_view text) {
    if (text.empty()) {
        return config_error(cf, "an empty pattern matches everything: write the pattern");
    }
    if (has_variable_in_pattern(text)) {
        return config_error(
            cf, "a pattern knows no variables: write " + quoted(text) + " without the dollar, or compare by = or in");
    }
    std::array<u_char, NGX_MAX_CONF_ERRSTR> said;
    ngx_regex_compile_t compile{};
    compile.pattern = copy_to_pool(cf->pool, std::string(pattern_limits) + std::string(text) + '\0');
    --compile.pattern.len;  // PCRE 1 reads on to the zero
    compile.pool = cf->pool;
    compile.options = rule.condition.ignore_case ? NGX_REGEX_CASELESS : 0;
    compile.err = {said.size(), said.data()};
    if (ngx_regex_compile(&compile) != NGX_OK) {
        std::string problem(view(compile.err));
        if (const std::size_t at = problem.find(pattern_limits); at != std::string::npos) {
            problem.erase(at, pattern_limits.size());
        }
        return config_error(cf, problem + ": correct the pattern " + quoted(text));
    }
    rule.pattern = compile.regex;
    return NGX_CONF_OK;
}
#else
char* read_pattern(ngx_conf_t* cf, ConditionRule&, std::string_view) {
    return config_error(cf, "this nginx knows no patterns: build it with PCRE, or write \"in\" with the values");
}
#endif

/// "403" of "error=403": those that nginx gives no meaning of its own.
std::optional<ngx_uint_t> read_status(std::string_view text) {
    ngx_str_t digits = str(text);
    const ngx_int_t status = ngx_atoi(digits.data, digits.len);
    constexpr ngx_int_t last = 451;
    constexpr ngx_int_t close_connection = 444;
    if (status < NGX_HTTP_BAD_REQUEST || status > last || status == close_connection) {
        return std::nullopt;
    }
    return static_cast<ngx_uint_t>(status);
}

bool is_media_type(const ConditionRule& rule) {
    return rule.part == ConditionRule::Part::header && (rule.condition.path.is("typ") || rule.condition.path.is("cty"));
}

char* read_rule(ngx_conf_t* cf, ConditionRule& rule, std::span<ngx_str_t> given) {
    constexpr std::string_view error = "error=";
    if (given.size() > 1 && view(given.back()).starts_with(error)) {
        const std::string_view text = view(given.back()).substr(error.size());
        const auto status = read_status(text);
        if (!status) {
            return config_error(cf, quoted(text) + " is no status to refuse with: write error=401, error=403 or " +
                                        "another from 400 to 451");
        }
        rule.status = *status;
        given = given.first(given.size() - 1);
    }
    std::vector<std::string_view> texts;
    for (const ngx_str_t& word : given) {
        texts.push_back(view(word));
    }
    if (texts.size() == 1 && texts[0].find("://") == std::string_view::npos &&
        texts[0].find_first_of("=<>~") != std::string_view::npos) {
        return config_error(cf, quoted(texts[0]) + " is one word: write spaces around the operator, as in level >= 3");
    }
    if (std::any_of(texts.begin(), texts.end(), [&](std::string_view text) { return text.starts_with(error); })) {
        return config_error(cf, "\"error=\" is no value: write it once, behind all values");
    }
    auto condition = jwt::parse_condition(texts);
    if (!condition) {
        return config_error(cf, condition.error());
    }
    rule.condition = *std::move(condition);
    rule.condition.media_type = is_media_type(rule);
    if (given.size() < 3) {
        return NGX_CONF_OK;
    }
    if (jwt::takes_pattern(rule.condition.op)) {
        return read_pattern(cf, rule, view(given[2]));
    }
    rule.values.reserve(given.size() - 2);
    for (ngx_str_t& word : given.subspan(2)) {
        if (read_value(cf, rule, word) != NGX_CONF_OK) {
            return failed();
        }
    }
    return NGX_CONF_OK;
}

}  // namespace

char* set_require_member(ngx_conf_t* cf, ngx_command_t* cmd, void* conf) {
    Conditions& conditions = conditions_of(cf, location_config(conf));
    const bool of_header = directive(cmd) == "jwt_require_header";
    const auto given = words(cf).subspan(1);
    if (given.size() == 1 && view(given[0]) == "off") {
        bool& off = of_header ? conditions.without_outer_headers : conditions.without_outer_claims;
        return std::exchange(off, true) ? is_duplicate() : NGX_CONF_OK;
    }
    auto* rule = make_in_pool<ConditionRule>(cf->pool);
    rule->part = of_header ? ConditionRule::Part::header : ConditionRule::Part::payload;
    if (read_rule(cf, *rule, given) != NGX_CONF_OK) {
        return failed();
    }
    conditions.rules.push_back(rule);
    return NGX_CONF_OK;
}

char* set_profile(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    LocationConfig& config = location_config(conf);
    if (config.profile != NGX_CONF_UNSET_UINT) {
        return is_duplicate();
    }
    const std::string_view word = view(words(cf)[1]);
    if (word != "rfc9068" && word != "off") {
        return config_error(cf, "unknown profile " + quoted(word) + ": write rfc9068 or off");
    }
    config.profile = static_cast<ngx_uint_t>(word == "off" ? jwt::Profile::none : jwt::Profile::rfc9068);
    config.profile_origin = make_in_pool<Origin>(cf->pool, Origin::here(cf));
    return NGX_CONF_OK;
}

char* set_claim_variable(ngx_conf_t* cf, ngx_command_t*, void*) {
    const auto given = words(cf).subspan(1);
    const std::string_view variable = view(given[0]);
    if (variable.size() < 2 || variable[0] != '$') {
        return config_error(cf, quoted(variable) + " is no variable: write its name with a dollar, as in $role");
    }
    std::optional<jwt::Path> path;
    for (const ngx_str_t& word : given.subspan(1)) {
        auto part = jwt::Path::parse(view(word));
        if (!part) {
            return config_error(cf, "path " + quoted(view(word)) + " " + part.error());
        }
        if (path) {
            path->append(*part);
        } else {
            path = *std::move(part);
        }
    }
    const auto* kept = make_in_pool<jwt::Path>(cf->pool, *std::move(path));
    switch (add_claim_variable(cf, variable.substr(1), *kept)) {
        case NGX_OK:
            return NGX_CONF_OK;
        case NGX_DECLINED:
            return config_error(cf, "variable " + quoted(variable) + " has a value already: write another name");
        default:
            return failed();  // nginx has said why
    }
}

}  // namespace ngx
