#include "directives.hpp"
#include "guard.hpp"
#include "text.hpp"

// Keys that a provider publishes.

namespace ngx {

namespace {

KeyRequests& key_requests(MainConfig& config, ngx_pool_t* pool) {
    if (config.key_requests == nullptr) {
        config.key_requests = make_in_pool<KeyRequests>(pool);
    }
    return *config.key_requests;
}

std::string time_error(std::string_view word) {
    return quoted(word) + " has no time of at least 1ms: write it as in cache=10m";
}

/// Reads one option; an error sentence where it is none.
std::optional<std::string> read_option(std::string_view word, KeyTimes& times) {
    const std::size_t sign = word.find('=');
    const std::string_view name = word.substr(0, sign);
    ngx_msec_t* time = name == "cache"       ? &times.cache
                       : name == "cache_min" ? &times.cache_min
                       : name == "stale"     ? &times.stale
                       : name == "timeout"   ? &times.timeout
                       : name == "unknown"   ? &times.unknown
                                             : nullptr;
    if (time == nullptr || sign == std::string_view::npos) {
        return "unknown word " + quoted(word) +
               " of jwt_key_request: write cache=TIME, cache_min=TIME, stale=TIME, timeout=TIME or unknown=TIME";
    }
    ngx_str_t value = str(word.substr(sign + 1));
    if (name == "stale" && view(value) == "off") {
        *time = 0;
        return std::nullopt;
    }
    const ngx_int_t parsed = ngx_parse_time(&value, 0);
    if (parsed < 1) {
        return time_error(word);
    }
    *time = static_cast<ngx_msec_t>(parsed);
    return std::nullopt;
}

bool names_option(std::span<const ngx_str_t> options, std::string_view start) {
    return std::any_of(options.begin(), options.end(),
                       [start](const ngx_str_t& option) { return view(option).starts_with(start); });
}

}  // namespace

char* set_key_request(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    return read_key_request(cf, key_sources(cf, location_config(conf)));
}

char* read_key_request(ngx_conf_t* cf, KeySources& keys) {
    const std::string uri(view(words(cf)[1]));
    if (!uri.starts_with('/') || has_control_character(uri) || uri.find_first_of(" #$") != std::string::npos) {
        return config_error(cf, quoted(uri) +
                                    " is no location of this server: jwt_key_request takes a path as in /keys, of an "
                                    "internal location with proxy_pass to the provider");
    }
    const auto options = words(cf).subspan(2);
    KeyTimes times;
    for (const ngx_str_t& word : options) {
        if (const auto problem = read_option(view(word), times)) {
            return config_error(cf, *problem);
        }
    }
    if (times.cache_min > times.cache) {
        if (names_option(options, "cache_min=")) {
            return config_error(cf, "\"cache_min=\" is longer than \"cache=\": write a shorter one");
        }
        times.cache_min = times.cache;
    }
    if (times.unknown < 1000) {
        return config_error(cf, "\"unknown=\" keeps forged tokens from flooding the provider: write at least 1s");
    }
    if (times.timeout > 60 * 1000) {
        return config_error(cf, "\"timeout=\" is for how long requests wait: write at most 60s");
    }
    auto& main = *static_cast<MainConfig*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_jwt_module));
    key_requests(main, cf->pool);
    keys.sources.push_back(
        {KeySources::Kind::request, "jwt_key_request " + quoted(uri), {}, {}, Origin::here(cf), uri, times});
    return NGX_CONF_OK;
}

char* set_key_zone(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    KeyRequests& requests = key_requests(*static_cast<MainConfig*>(conf), cf->pool);
    if (requests.zone_size != 0) {
        return is_duplicate();
    }
    const ssize_t size = ngx_parse_size(&words(cf)[1]);
    if (size < static_cast<ssize_t>(64 * 1024)) {
        return config_error(cf, "jwt_key_zone takes a size of at least 64k, as in 16m");
    }
    requests.zone_size = static_cast<std::size_t>(size);
    return NGX_CONF_OK;
}

}  // namespace ngx
