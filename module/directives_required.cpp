#include "directives.hpp"

#include <utility>

#include "guard.hpp"
#include "variables.hpp"

// jwt_required: what a location asks of a token.

namespace ngx {

namespace {

std::optional<TokenLocation> token_location_named(std::string_view text) {
    for (const TokenLocation location :
         {TokenLocation::headers, TokenLocation::cookies, TokenLocation::query_string, TokenLocation::json}) {
        if (name(location) == text) {
            return location;
        }
    }
    return std::nullopt;
}

}  // namespace

std::optional<std::string> add_location(TokenLocations& locations, std::string_view text) {
    const auto location = token_location_named(text);
    if (!location) {
        return "unknown token location " + quoted(text) + ": write headers, cookies, query_string or json";
    }
    for (const TokenLocation earlier : locations) {
        if (earlier == *location) {
            return "token location " + quoted(text) + " is given twice";
        }
    }
    locations.order[locations.count++] = *location;
    return std::nullopt;
}

namespace {

std::optional<std::string> read_locations(TokenLocations& locations, std::string_view list) {
    while (true) {
        const std::size_t comma = list.find(',');
        if (auto problem = add_location(locations, list.substr(0, comma))) {
            return problem;
        }
        if (comma == std::string_view::npos) {
            return std::nullopt;
        }
        list.remove_prefix(comma + 1);
    }
}

char* read_condition(ngx_conf_t* cf, Requirement& requirement, std::string_view text) {
    if (text.empty()) {
        return config_error(cf, "empty \"if=\": write a condition, as in if=$http_authorization");
    }
    if (shows_token(text)) {
        return config_error(cf, "\"if=\" asks before a token is judged, when " + quoted(text) +
                                    " is empty, so that nobody would need one: write another variable");
    }
    ngx_str_t value = str(text);
    auto* condition = static_cast<ngx_http_complex_value_t*>(ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t)));
    if (condition == nullptr) {
        return failed();
    }
    ngx_http_compile_complex_value_t compile{};
    compile.cf = cf;
    compile.value = &value;
    compile.complex_value = condition;
    if (ngx_http_compile_complex_value(&compile) != NGX_OK) {
        return failed();
    }
    requirement.condition = condition;
    return NGX_CONF_OK;
}

char* read_flag(ngx_conf_t* cf, Requirement& requirement, std::string_view flag) {
    const auto once = [&](bool already) {
        return already ? config_error(cf, quoted(flag) + " is given twice") : NGX_CONF_OK;
    };
    const auto use = [&](jwt::TokenUse wanted) {
        if (requirement.use != jwt::TokenUse::access) {
            return config_error(cf, requirement.use == wanted
                                        ? quoted(flag) + " is given twice"
                                        : "\"refresh\" and \"any_type\" contradict each other: write one of them");
        }
        requirement.use = wanted;
        return static_cast<char*>(NGX_CONF_OK);
    };
    if (flag == "optional") {
        return once(std::exchange(requirement.optional, true));
    }
    if (flag == "fresh") {
        return once(std::exchange(requirement.fresh, true));
    }
    if (flag == "skip_revocation_check") {
        return once(!std::exchange(requirement.check_revocation, false));
    }
    if (flag == "refresh") {
        return use(jwt::TokenUse::refresh);
    }
    if (flag == "any_type") {
        return use(jwt::TokenUse::any);
    }
    if (flag.starts_with("locations=")) {
        if (requirement.locations.count != 0) {
            return config_error(cf, "\"locations=\" is given twice: write one, as in locations=headers,cookies");
        }
        const auto problem = read_locations(requirement.locations, flag.substr(10));
        return problem ? config_error(cf, *problem) : NGX_CONF_OK;
    }
    if (flag.starts_with("if=")) {
        return requirement.condition != nullptr ? config_error(cf, "\"if=\" is given twice")
                                                : read_condition(cf, requirement, flag.substr(3));
    }
    if (flag == "off" || flag == "on") {
        return config_error(cf, "\"jwt_required off\" takes no other words, and \"on\" is \"jwt_required\" alone");
    }
    return config_error(cf, "unknown word " + quoted(flag) +
                                " of jwt_required: write off, optional, fresh, refresh, any_type, "
                                "skip_revocation_check, locations=… or if=…");
}

}  // namespace

char* set_required(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    LocationConfig& config = location_config(conf);
    if (config.required != nullptr) {
        return is_duplicate();
    }
    auto* requirement = make_in_pool<Requirement>(cf->pool);
    requirement->origin = Origin::here(cf);
    const auto flags = words(cf).subspan(1);
    if (flags.size() == 1 && view(flags[0]) == "off") {
        requirement->on = false;
        config.required = requirement;
        return NGX_CONF_OK;
    }
    for (const ngx_str_t& flag : flags) {
        if (read_flag(cf, *requirement, view(flag)) != NGX_CONF_OK) {
            return failed();
        }
    }
    if (requirement->fresh && requirement->use == jwt::TokenUse::refresh) {
        return config_error(cf, "\"fresh\" and \"refresh\" contradict each other: a refresh token is never fresh");
    }
    config.required = requirement;
    return NGX_CONF_OK;
}

}  // namespace ngx
