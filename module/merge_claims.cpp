#include "conditions.hpp"

#include <algorithm>

#include "directives.hpp"
#include "guard.hpp"
#include "merge.hpp"

// How conditions on claims and the profile are inherited, and where they contradict what stands around them.

namespace ngx {

namespace {

/// A location adds conditions to those around it: one that is forgotten refuses, and does not let in.
void add_outer(Conditions& conditions, const Conditions& outer) {
    std::vector<const ConditionRule*> rules;
    for (const ConditionRule* rule : outer.rules) {
        const bool dropped = rule->part == ConditionRule::Part::header ? conditions.without_outer_headers
                                                                       : conditions.without_outer_claims;
        if (!dropped) {
            rules.push_back(rule);
        }
    }
    conditions.rules.insert(conditions.rules.begin(), rules.begin(), rules.end());
}

char* merge_conditions(ngx_conf_t* cf, LocationConfig& conf, const LocationConfig& prev) {
    const bool own = conf.conditions != nullptr && !conf.conditions->rules.empty();
    if (conf.conditions == nullptr) {
        conf.conditions = prev.conditions;
    } else if (prev.conditions != nullptr) {
        add_outer(*conf.conditions, *prev.conditions);
    }
    const bool any = conf.conditions != nullptr && !conf.conditions->rules.empty();
    if (!any || is_protected(conf) || !is_location(cf) || (conf.required != nullptr && !own)) {
        return NGX_CONF_OK;
    }
    return config_error(cf, conf.conditions->origin,
                        "jwt_require_claim and jwt_require_header ask nothing of a request without jwt_required: write "
                        "it here or around, or \"jwt_required off\" in the locations that are open to all");
}

/// RFC 9068 §4: whose tokens are taken, and for whom they must be made, is known of all of them.
std::string_view missing_for_profile(const LocationConfig& config) {
    const std::vector<TrustedIssuer> nobody;
    const auto& trusted = config.keys == nullptr ? nobody : config.keys->issuers;
    const bool trusts_alone = config.keys != nullptr && !trusted.empty() && config.keys->verifying.empty() &&
                              config.keys->requests.empty();  // a token of others has no key
    if (!trusts_alone && config.policy->issuers.empty()) {
        return "jwt_profile rfc9068 takes tokens of known issuers alone: write jwt_decode_issuer";
    }
    const auto for_anybody = [](const TrustedIssuer& issuer) { return issuer.policy.audiences.empty(); };
    if (std::any_of(trusted.begin(), trusted.end(), for_anybody) ||
        (!trusts_alone && config.policy->audiences.empty())) {
        return "jwt_profile rfc9068 takes tokens made for this API alone: write jwt_decode_audience";
    }
    return {};
}

}  // namespace

char* merge_claims(ngx_conf_t* cf, LocationConfig& conf, const LocationConfig& prev) {
    if (conf.max_age == NGX_CONF_UNSET) {
        conf.max_age = prev.max_age == NGX_CONF_UNSET ? 0 : prev.max_age;
    }
    if (conf.profile == NGX_CONF_UNSET_UINT) {
        const bool unset = prev.profile == NGX_CONF_UNSET_UINT;
        conf.profile = unset ? static_cast<ngx_uint_t>(jwt::Profile::none) : prev.profile;
        conf.profile_origin = prev.profile_origin;
    }
    return merge_conditions(cf, conf, prev);
}

char* check_profile(ngx_conf_t* cf, const LocationConfig& config) {
    if (config.policy->profile == jwt::Profile::none || !is_protected(config)) {
        return NGX_CONF_OK;
    }
    const auto problem = [&](std::string_view sentence) { return config_error(cf, *config.profile_origin, sentence); };
    if (const std::string_view missing = missing_for_profile(config); !missing.empty()) {
        return problem(missing);
    }
    if (config.required->use == jwt::TokenUse::refresh) {
        return problem(
            "jwt_profile rfc9068 takes access tokens, and jwt_required asks for refresh tokens: write \"off\"");
    }
    if (config.cookie_refresh != 0) {
        return problem(
            "jwt_profile rfc9068 refuses the tokens that jwt_cookie_refresh makes: write \"off\" for one of them");
    }
    return NGX_CONF_OK;
}

}  // namespace ngx
