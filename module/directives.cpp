#include "directives.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "content.hpp"
#include "guard.hpp"
#include "handler.hpp"
#include "text.hpp"

// The command table, and the readers of lists, times and names.

namespace ngx {

namespace {

char* set_token_locations(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    LocationConfig& config = location_config(conf);
    if (config.token_locations != nullptr) {
        return is_duplicate();
    }
    auto* locations = make_in_pool<TokenLocations>(cf->pool);
    for (const ngx_str_t& word : words(cf).subspan(1)) {
        if (const auto problem = add_location(*locations, view(word))) {
            return config_error(cf, *problem);
        }
    }
    config.token_locations = locations;
    return NGX_CONF_OK;
}

/// A value that is taken to the letter, where somebody may have meant a variable.
void warn_of_variable(ngx_conf_t* cf, ngx_command_t* cmd, std::string_view value) {
    const std::size_t dollar = value.find('$');
    if (dollar != std::string_view::npos && dollar + 1 < value.size() && begins_variable(value[dollar + 1])) {
        config_warning(cf, directive(cmd) + " knows no variables: " + quoted(value) + " is taken to the letter");
    }
}

/// Words into an array of ngx_str_t; "off" alone is the empty list.
char* set_words(ngx_conf_t* cf, ngx_command_t* cmd, void* conf) {
    auto*& list = *reinterpret_cast<ngx_array_t**>(static_cast<char*>(conf) + cmd->offset);
    if (list != static_cast<ngx_array_t*>(NGX_CONF_UNSET_PTR)) {
        return is_duplicate();
    }
    const auto given = words(cf).subspan(1);
    list = ngx_array_create(cf->pool, given.size(), sizeof(ngx_str_t));
    if (list == nullptr) {
        return failed();
    }
    if (given.size() == 1 && view(given[0]) == "off") {
        return NGX_CONF_OK;
    }
    for (const ngx_str_t& word : given) {
        if (word.len == 0) {
            return config_error(cf, "empty word of " + directive(cmd) + ": leave it out, or write \"off\" alone");
        }
        warn_of_variable(cf, cmd, view(word));
        *static_cast<ngx_str_t*>(ngx_array_push(list)) = word;  // has room: created for all
    }
    return NGX_CONF_OK;
}

/// RFC 9110 §9.3, RFC 5789, those of WebDAV and CalDAV (RFC 4918, 3744, 4791, 5323), and what caches know.
bool is_well_known(std::string_view method) {
    constexpr std::array<std::string_view, 22> methods{"GET",       "HEAD",  "POST",   "PUT",       "DELETE", "CONNECT",
                                                       "OPTIONS",   "TRACE", "PATCH",  "QUERY",     "MKCOL",  "COPY",
                                                       "MOVE",      "LOCK",  "UNLOCK", "PROPFIND",  "REPORT", "SEARCH",
                                                       "PROPPATCH", "ACL",   "PURGE",  "MKCALENDAR"};
    return std::find(methods.begin(), methods.end(), method) != methods.end();
}

/// What is wrong with one word of a list of methods; nothing where it is well.
std::optional<std::string> problem_of_method(std::string_view method, bool alone, bool of_exempt) {
    if (method == "off") {
        return alone ? std::nullopt : std::optional<std::string>("\"off\" stands alone: remove it, or the methods");
    }
    const bool upper = method.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") == std::string_view::npos;
    return upper || (method == "preflight" && of_exempt)
               ? std::nullopt
               : std::optional(quoted(method) + " is no method: write methods in capitals, as in OPTIONS");
}

char* set_methods(ngx_conf_t* cf, ngx_command_t* cmd, void* conf) {
    const auto given = words(cf).subspan(1);
    const auto has = [given](std::string_view name) {
        return std::any_of(given.begin(), given.end(), [name](const ngx_str_t& word) { return view(word) == name; });
    };
    for (const ngx_str_t& word : given) {
        const std::string_view method = view(word);
        if (const auto problem = problem_of_method(method, given.size() == 1, directive(cmd) == "jwt_exempt_methods")) {
            return config_error(cf, *problem);
        }
        if (!method.empty() && method != "off" && method != "preflight" && !is_well_known(method)) {
            config_warning(cf, quoted(method) + " of " + directive(cmd) + " is no common method: is it spelt right?");
        }
    }
    if (has("preflight") && has("OPTIONS")) {
        config_warning(cf,
                       "\"OPTIONS\" exempts every OPTIONS request, \"preflight\" those of CORS alone: write "
                       "one of them");
    }
    return set_words(cf, cmd, conf);
}

constexpr std::int64_t longest_time = std::int64_t{1000} * 365 * 24 * 60 * 60;  // a token cannot say much more

char* set_duration(ngx_conf_t* cf, ngx_command_t* cmd, void* conf) {
    auto& seconds = *reinterpret_cast<time_t*>(static_cast<char*>(conf) + cmd->offset);
    if (seconds != NGX_CONF_UNSET) {
        return is_duplicate();
    }
    ngx_str_t& word = words(cf)[1];
    if (view(word) == "off" && directive(cmd) != "jwt_decode_leeway") {
        seconds = 0;
        return NGX_CONF_OK;
    }
    seconds = ngx_parse_time(&word, 1);
    if (seconds == static_cast<time_t>(NGX_ERROR)) {
        return config_error(cf, quoted(view(word)) + " is no time: write it as in 15m, 12h or 30d");
    }
    if (seconds > longest_time) {
        return config_error(cf, quoted(view(word)) + " is more than 1000 years: write it as in 15m, 12h or 30d");
    }
    if (seconds == 0 && directive(cmd) != "jwt_decode_leeway") {
        return config_error(cf, directive(cmd) == "jwt_cookie_refresh"
                                    ? "no token is renewed in its last 0 seconds: write a time as in 30m, or \"off\""
                                    : "a token that expires at once serves nobody: write a time as in 15m, or \"off\" "
                                      "for never");
    }
    return NGX_CONF_OK;
}

char* set_cookie_refresh(ngx_conf_t* cf, ngx_command_t* cmd, void* conf) {
    LocationConfig& config = location_config(conf);
    char* const result = set_duration(cf, cmd, conf);
    if (result == NGX_CONF_OK) {
        config.cookie_refresh_origin = make_in_pool<Origin>(cf->pool, Origin::here(cf));
    }
    return result;
}

std::string all_algorithms() {
    std::string text;
    for (std::size_t i = 0; i < jwt::algorithm_count; ++i) {
        text += (i == 0 ? "" : " ") + std::string(jwt::name(static_cast<jwt::Algorithm>(i)));
    }
    return text;
}

std::optional<jwt::Algorithm> read_algorithm(ngx_conf_t* cf, std::string_view word) {
    const auto algorithm = jwt::algorithm_named(word);
    if (!algorithm) {
        config_error(cf, "unknown algorithm " + quoted(word) + ": write one of " + all_algorithms());
    }
    return algorithm;
}

char* set_algorithm(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    LocationConfig& config = location_config(conf);
    if (config.algorithm != NGX_CONF_UNSET_UINT) {
        return is_duplicate();
    }
    const auto algorithm = read_algorithm(cf, view(words(cf)[1]));
    if (!algorithm) {
        return failed();
    }
    config.algorithm = static_cast<ngx_uint_t>(*algorithm);
    return NGX_CONF_OK;
}

char* set_decode_algorithms(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    LocationConfig& config = location_config(conf);
    if (config.decode_algorithms != nullptr) {
        return is_duplicate();
    }
    auto* algorithms = make_in_pool<jwt::AlgorithmSet>(cf->pool);
    for (const ngx_str_t& word : words(cf).subspan(1)) {
        const auto algorithm = read_algorithm(cf, view(word));
        if (!algorithm) {
            return failed();
        }
        algorithms->add(*algorithm);
    }
    config.decode_algorithms = algorithms;
    return NGX_CONF_OK;
}

char* set_samesite(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    LocationConfig& config = location_config(conf);
    if (config.cookie_samesite.data != nullptr) {
        return is_duplicate();
    }
    const ngx_str_t word = words(cf)[1];
    if (view(word) != "Strict" && view(word) != "Lax" && view(word) != "None" && view(word) != "off") {
        return config_error(cf, quoted(view(word)) + " is no SameSite value: write Strict, Lax, None or off");
    }
    config.cookie_samesite = view(word) == "off" ? ngx_str_t{0, word.data} : word;
    return NGX_CONF_OK;
}

/// Names and paths that end up in header lines.
char* set_header_text(ngx_conf_t* cf, ngx_command_t* cmd, void* conf) {
    for (const char c : view(words(cf)[1])) {
        if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == ';' || c == ',' || c == '"') {
            return config_error(cf,
                                "the value of " + directive(cmd) +
                                    " goes into a header line: write it without spaces, control characters, quotes, "
                                    "\";\" and \",\"");
        }
    }
    return ngx_conf_set_str_slot(cf, cmd, conf);
}

/// "off" takes back what is said around.
char* set_or_off(ngx_conf_t* cf, ngx_command_t* cmd, void* conf, char* (*set)(ngx_conf_t*, ngx_command_t*, void*)) {
    char* const result = set(cf, cmd, conf);
    auto& text = *reinterpret_cast<ngx_str_t*>(static_cast<char*>(conf) + cmd->offset);
    if (result == NGX_CONF_OK && view(text) == "off") {
        text.len = 0;
    }
    return result;
}

/// A browser takes a path that does not begin with a slash for none (RFC 6265 §5.2.4).
char* set_cookie_path(ngx_conf_t* cf, ngx_command_t* cmd, void* conf) {
    if (!view(words(cf)[1]).starts_with('/')) {
        return config_error(cf, directive(cmd) + " takes a path with a slash at its start, as in /api/");
    }
    return set_header_text(cf, cmd, conf);
}

/// A browser drops a cookie whose domain is no name of a host.
char* set_cookie_domain(ngx_conf_t* cf, ngx_command_t* cmd, void* conf) {
    const std::string_view domain = view(words(cf)[1]);
    const auto belongs = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' || c == '_';
    };
    if (!std::all_of(domain.begin(), domain.end(), belongs)) {
        return config_error(cf,
                            directive(cmd) + " takes a name of letters, digits, \"-\" and \".\", as in example.com");
    }
    return set_or_off(cf, cmd, conf, ngx_conf_set_str_slot);
}

char* set_realm(ngx_conf_t* cf, ngx_command_t* cmd, void* conf) {
    for (const char c : view(words(cf)[1])) {
        if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f || c == '"' || c == '\\') {
            return config_error(
                cf, "the realm goes into a quoted header value: write printable ASCII without quotes and backslashes");
        }
    }
    warn_of_variable(cf, cmd, view(words(cf)[1]));
    return ngx_conf_set_str_slot(cf, cmd, conf);
}

/// A header or cookie name: a token (RFC 9110 §5.6.2).
char* set_header_name(ngx_conf_t* cf, ngx_command_t* cmd, void* conf) {
    const std::string_view name = view(words(cf)[1]);
    if (!is_token(name)) {
        return config_error(
            cf, quoted(name) + " is no name for a header or cookie: write letters, digits and any of !#$%&'*+-.^_`|~");
    }
    return ngx_conf_set_str_slot(cf, cmd, conf);
}

char* set_nonempty(ngx_conf_t* cf, ngx_command_t* cmd, void* conf) {
    if (words(cf)[1].len == 0) {
        return config_error(cf, directive(cmd) + " must not be empty: leave the directive out for its default");
    }
    warn_of_variable(cf, cmd, view(words(cf)[1]));
    return ngx_conf_set_str_slot(cf, cmd, conf);
}

char* set_encode_issuer(ngx_conf_t* cf, ngx_command_t* cmd, void* conf) {
    return set_or_off(cf, cmd, conf, set_nonempty);
}

char* set_lua_file(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    LocationConfig& config = location_config(conf);
    if (config.lua_file.data != nullptr) {
        return is_duplicate();
    }
    const std::string_view word = view(words(cf)[1]);
    if (word == "off") {
        config.lua_file = {0, words(cf)[1].data};
    } else {
        config.lua_file = copy_to_pool(cf->pool, full_path(cf, word));
    }
    config.lua_origin = make_in_pool<Origin>(cf->pool, Origin::here(cf));
    return NGX_CONF_OK;
}

/// Templates for `require`, relative ones made full by the folder of the configuration.
char* set_lua_path(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    LocationConfig& config = location_config(conf);
    if (config.lua_path.data != nullptr) {
        return is_duplicate();
    }
    std::string full;
    std::string_view rest = view(words(cf)[1]);
    for (bool more = true; more;) {
        const std::string_view part = rest.substr(0, rest.find(';'));
        more = part.size() < rest.size();
        rest.remove_prefix(part.size() + (more ? 1 : 0));
        if (part.find('?') == std::string_view::npos) {
            return config_error(cf,
                                "jwt_lua_path takes templates with a question mark for the name of the module, as in "
                                "/etc/nginx/lua/?.lua; several stand apart by semicolons");
        }
        full += (full.empty() ? "" : ";") + full_path(cf, part);
    }
    config.lua_path = copy_to_pool(cf->pool, full);
    return NGX_CONF_OK;
}

char* set_lua_limit(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    auto& config = *static_cast<MainConfig*>(conf);
    if (config.lua_limits != nullptr) {
        return is_duplicate();
    }
    config.lua_limits = make_in_pool<LuaLimits>(cf->pool);
    for (const ngx_str_t& word : words(cf).subspan(1)) {
        const std::string_view option = view(word);
        ngx_str_t value = str(option.substr(std::min(option.find('=') + 1, option.size())));
        if (option.starts_with("steps=")) {
            const ngx_int_t steps = ngx_atoi(value.data, value.len);
            if (steps < 10000) {
                return config_error(cf, "\"steps=\" takes a number of at least 10000 instructions");
            }
            config.lua_limits->steps = static_cast<std::size_t>(steps);
        } else if (option.starts_with("memory=")) {
            const ssize_t size = ngx_parse_size(&value);
            if (size < 256 * 1024) {
                return config_error(cf, "\"memory=\" takes a size of at least 256k");
            }
            config.lua_limits->memory = static_cast<std::size_t>(size);
        } else if (option.starts_with("time=")) {
            const ngx_int_t time = ngx_parse_time(&value, 0);
            if (time < 1) {
                return config_error(cf, "\"time=\" takes a time of at least 1ms");
            }
            config.lua_limits->time = std::chrono::milliseconds(time);
        } else {
            return config_error(
                cf, "unknown word " + quoted(option) + " of jwt_lua_limit: write steps=N, memory=SIZE or time=TIME");
        }
    }
    return NGX_CONF_OK;
}

char* set_handler(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    LocationConfig& config = location_config(conf);
    config.handler = words(cf)[1];
    config.handler_origin = make_in_pool<Origin>(cf->pool, Origin::here(cf));
    return set_content(cf, config, Content::handler, handle_content);
}

using Setter = char* (*)(ngx_conf_t*, ngx_command_t*, void*);

template <Setter setter>
char* guarded_setter(ngx_conf_t* cf, ngx_command_t* cmd, void* conf) noexcept {
    return guarded(cf->log, failed(), [&] { return setter(cf, cmd, conf); });
}

constexpr ngx_uint_t anywhere = NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF;

ngx_command_t in_locations(std::string_view name, ngx_uint_t arguments, Setter setter, std::size_t offset = 0,
                           ngx_uint_t contexts = anywhere) {
    return {{name.size(), reinterpret_cast<u_char*>(const_cast<char*>(name.data()))},
            contexts | arguments,
            setter,
            NGX_HTTP_LOC_CONF_OFFSET,
            offset,
            nullptr};
}

}  // namespace

ngx_command_t directives[] = {
    in_locations("jwt_required", NGX_CONF_ANY, guarded_setter<set_required>, 0, anywhere | NGX_HTTP_LMT_CONF),
    in_locations("jwt_token_location", NGX_CONF_1MORE, guarded_setter<set_token_locations>),
    in_locations("jwt_header_name", NGX_CONF_TAKE1, guarded_setter<set_header_name>,
                 offsetof(LocationConfig, header_name)),
    in_locations("jwt_header_type", NGX_CONF_TAKE1, guarded_setter<set_header_text>,
                 offsetof(LocationConfig, header_type)),
    in_locations("jwt_query_string_name", NGX_CONF_TAKE1, guarded_setter<set_nonempty>,
                 offsetof(LocationConfig, query_string_name)),
    in_locations("jwt_query_string_value_prefix", NGX_CONF_TAKE1, ngx_conf_set_str_slot,
                 offsetof(LocationConfig, query_string_value_prefix)),
    in_locations("jwt_json_key", NGX_CONF_TAKE1, guarded_setter<set_nonempty>, offsetof(LocationConfig, json_key)),
    in_locations("jwt_refresh_json_key", NGX_CONF_TAKE1, guarded_setter<set_nonempty>,
                 offsetof(LocationConfig, refresh_json_key)),
    in_locations("jwt_access_cookie_name", NGX_CONF_TAKE1, guarded_setter<set_header_name>,
                 offsetof(LocationConfig, access_cookie.name)),
    in_locations("jwt_access_cookie_path", NGX_CONF_TAKE1, guarded_setter<set_cookie_path>,
                 offsetof(LocationConfig, access_cookie.path)),
    in_locations("jwt_access_csrf_header_name", NGX_CONF_TAKE1, guarded_setter<set_header_name>,
                 offsetof(LocationConfig, access_cookie.csrf_header_name)),
    in_locations("jwt_access_csrf_field_name", NGX_CONF_TAKE1, guarded_setter<set_nonempty>,
                 offsetof(LocationConfig, access_cookie.csrf_field_name)),
    in_locations("jwt_access_csrf_cookie_name", NGX_CONF_TAKE1, guarded_setter<set_header_name>,
                 offsetof(LocationConfig, access_cookie.csrf_cookie_name)),
    in_locations("jwt_access_csrf_cookie_path", NGX_CONF_TAKE1, guarded_setter<set_cookie_path>,
                 offsetof(LocationConfig, access_cookie.csrf_cookie_path)),
    in_locations("jwt_refresh_cookie_name", NGX_CONF_TAKE1, guarded_setter<set_header_name>,
                 offsetof(LocationConfig, refresh_cookie.name)),
    in_locations("jwt_refresh_cookie_path", NGX_CONF_TAKE1, guarded_setter<set_cookie_path>,
                 offsetof(LocationConfig, refresh_cookie.path)),
    in_locations("jwt_refresh_csrf_header_name", NGX_CONF_TAKE1, guarded_setter<set_header_name>,
                 offsetof(LocationConfig, refresh_cookie.csrf_header_name)),
    in_locations("jwt_refresh_csrf_field_name", NGX_CONF_TAKE1, guarded_setter<set_nonempty>,
                 offsetof(LocationConfig, refresh_cookie.csrf_field_name)),
    in_locations("jwt_refresh_csrf_cookie_name", NGX_CONF_TAKE1, guarded_setter<set_header_name>,
                 offsetof(LocationConfig, refresh_cookie.csrf_cookie_name)),
    in_locations("jwt_refresh_csrf_cookie_path", NGX_CONF_TAKE1, guarded_setter<set_cookie_path>,
                 offsetof(LocationConfig, refresh_cookie.csrf_cookie_path)),
    in_locations("jwt_cookie_secure", NGX_CONF_FLAG, ngx_conf_set_flag_slot, offsetof(LocationConfig, cookie_secure)),
    in_locations("jwt_cookie_domain", NGX_CONF_TAKE1, guarded_setter<set_cookie_domain>,
                 offsetof(LocationConfig, cookie_domain)),
    in_locations("jwt_cookie_samesite", NGX_CONF_TAKE1, guarded_setter<set_samesite>),
    in_locations("jwt_session_cookie", NGX_CONF_FLAG, ngx_conf_set_flag_slot, offsetof(LocationConfig, session_cookie)),
    in_locations("jwt_cookie_refresh", NGX_CONF_TAKE1, guarded_setter<set_cookie_refresh>,
                 offsetof(LocationConfig, cookie_refresh)),
    in_locations("jwt_cookie_csrf_protect", NGX_CONF_FLAG, ngx_conf_set_flag_slot,
                 offsetof(LocationConfig, cookie_csrf_protect)),
    in_locations("jwt_csrf_methods", NGX_CONF_1MORE, guarded_setter<set_methods>,
                 offsetof(LocationConfig, csrf_methods)),
    in_locations("jwt_csrf_in_cookies", NGX_CONF_FLAG, ngx_conf_set_flag_slot,
                 offsetof(LocationConfig, csrf_in_cookies)),
    in_locations("jwt_csrf_check_form", NGX_CONF_FLAG, ngx_conf_set_flag_slot,
                 offsetof(LocationConfig, csrf_check_form)),
    in_locations("jwt_algorithm", NGX_CONF_TAKE1, guarded_setter<set_algorithm>),
    in_locations("jwt_decode_algorithms", NGX_CONF_1MORE, guarded_setter<set_decode_algorithms>),
    in_locations("jwt_secret_key", NGX_CONF_TAKE1, guarded_setter<set_secret_key>),
    in_locations("jwt_public_key", NGX_CONF_TAKE1, guarded_setter<set_key_file>),
    in_locations("jwt_private_key", NGX_CONF_TAKE1, guarded_setter<set_key_file>),
    in_locations("jwt_key_request", NGX_CONF_1MORE, guarded_setter<set_key_request>),
    in_locations("jwt_trust", NGX_CONF_1MORE, guarded_setter<set_trust>),
    in_locations("jwt_accept", NGX_CONF_1MORE, guarded_setter<set_accept>),
    in_locations("jwt_decryption_key", NGX_CONF_TAKE1, guarded_setter<set_decryption_key>),
    in_locations("jwt_encrypt", NGX_CONF_TAKE1 | NGX_CONF_TAKE3, guarded_setter<set_encrypt>),
    in_locations("jwt_decode_audience", NGX_CONF_1MORE, guarded_setter<set_words>,
                 offsetof(LocationConfig, decode_audience)),
    in_locations("jwt_decode_issuer", NGX_CONF_1MORE, guarded_setter<set_words>,
                 offsetof(LocationConfig, decode_issuer)),
    in_locations("jwt_decode_leeway", NGX_CONF_TAKE1, guarded_setter<set_duration>,
                 offsetof(LocationConfig, decode_leeway)),
    in_locations("jwt_encode_audience", NGX_CONF_1MORE, guarded_setter<set_words>,
                 offsetof(LocationConfig, encode_audience)),
    in_locations("jwt_encode_issuer", NGX_CONF_TAKE1, guarded_setter<set_encode_issuer>,
                 offsetof(LocationConfig, encode_issuer)),
    in_locations("jwt_encode_nbf", NGX_CONF_FLAG, ngx_conf_set_flag_slot, offsetof(LocationConfig, encode_nbf)),
    in_locations("jwt_identity_claim", NGX_CONF_TAKE1, guarded_setter<set_nonempty>,
                 offsetof(LocationConfig, identity_claim)),
    in_locations("jwt_verify_sub", NGX_CONF_FLAG, ngx_conf_set_flag_slot, offsetof(LocationConfig, verify_sub)),
    in_locations("jwt_max_age", NGX_CONF_TAKE1, guarded_setter<set_duration>, offsetof(LocationConfig, max_age)),
    in_locations("jwt_profile", NGX_CONF_TAKE1, guarded_setter<set_profile>),
    in_locations("jwt_require_claim", NGX_CONF_1MORE, guarded_setter<set_require_member>, 0,
                 anywhere | NGX_HTTP_LMT_CONF),
    in_locations("jwt_require_header", NGX_CONF_1MORE, guarded_setter<set_require_member>, 0,
                 anywhere | NGX_HTTP_LMT_CONF),
    {ngx_string("jwt_claim_set"), NGX_HTTP_MAIN_CONF | NGX_CONF_2MORE, guarded_setter<set_claim_variable>,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, nullptr},
    in_locations("jwt_error_message_key", NGX_CONF_TAKE1, guarded_setter<set_nonempty>,
                 offsetof(LocationConfig, error_message_key)),
    in_locations("jwt_access_token_expires", NGX_CONF_TAKE1, guarded_setter<set_duration>,
                 offsetof(LocationConfig, access_token_expires)),
    in_locations("jwt_refresh_token_expires", NGX_CONF_TAKE1, guarded_setter<set_duration>,
                 offsetof(LocationConfig, refresh_token_expires)),
    in_locations("jwt_exempt_methods", NGX_CONF_1MORE, guarded_setter<set_methods>,
                 offsetof(LocationConfig, exempt_methods)),
    in_locations("jwt_realm", NGX_CONF_TAKE1, guarded_setter<set_realm>, offsetof(LocationConfig, realm)),
    in_locations("jwt_revocation_checks", NGX_CONF_1MORE, guarded_setter<set_revocation_checks>),
    in_locations("jwt_lua_file", NGX_CONF_TAKE1, guarded_setter<set_lua_file>),
    in_locations("jwt_lua_path", NGX_CONF_TAKE1, guarded_setter<set_lua_path>),
    in_locations("jwt_handler", NGX_CONF_TAKE1, guarded_setter<set_handler>, 0, NGX_HTTP_LOC_CONF),
    in_locations("jwt_revocation_max_staleness", NGX_CONF_TAKE12, guarded_setter<set_revocation_max_staleness>),
    {ngx_string("jwt_revocation_sync"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE12, guarded_setter<set_revocation_sync>,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, nullptr},
    in_locations("jwt_close_on_expiry", NGX_CONF_FLAG, ngx_conf_set_flag_slot,
                 offsetof(LocationConfig, close_on_expiry)),
    in_locations("jwt_status", NGX_CONF_NOARGS | NGX_CONF_TAKE1, guarded_setter<set_status>, 0, NGX_HTTP_LOC_CONF),
    in_locations("jwt_jwks", NGX_CONF_NOARGS | NGX_CONF_TAKE1, guarded_setter<set_jwks>, 0, NGX_HTTP_LOC_CONF),
    in_locations("jwt_discovery", NGX_CONF_1MORE, guarded_setter<set_discovery>, 0, NGX_HTTP_LOC_CONF),
    in_locations("jwt_logout", NGX_CONF_NOARGS, guarded_setter<set_logout>, 0, NGX_HTTP_LOC_CONF),
    in_locations("jwt_refresh", NGX_CONF_NOARGS | NGX_CONF_TAKE1, guarded_setter<set_refresh>, 0, NGX_HTTP_LOC_CONF),
    in_locations("jwt_revoke", NGX_CONF_NOARGS, guarded_setter<set_revoke>, 0, NGX_HTTP_LOC_CONF),
    in_locations("jwt_introspect", NGX_CONF_NOARGS, guarded_setter<set_introspect>, 0, NGX_HTTP_LOC_CONF),
    in_locations("jwt_revocations", NGX_CONF_NOARGS, guarded_setter<set_revocations>, 0, NGX_HTTP_LOC_CONF),
    {ngx_string("jwt_lua_limit"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE, guarded_setter<set_lua_limit>,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, nullptr},
    {ngx_string("jwt_key_zone"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, guarded_setter<set_key_zone>,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, nullptr},
    {ngx_string("jwt_key_file_check"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, guarded_setter<set_key_file_check>,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, nullptr},
    {ngx_string("jwt_issuer"), NGX_HTTP_MAIN_CONF | NGX_CONF_BLOCK | NGX_CONF_TAKE1, guarded_setter<set_issuer>,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, nullptr},
    {ngx_string("jwt_cache"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, guarded_setter<set_cache>, NGX_HTTP_MAIN_CONF_OFFSET,
     0, nullptr},
    {ngx_string("jwt_revocation_store"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE12, guarded_setter<set_revocation_store>,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, nullptr},
    ngx_null_command,
};

}  // namespace ngx
