#include <charconv>

#include "directives.hpp"
#include "guard.hpp"
#include "replication.hpp"

// jwt_revocation_sync and jwt_revocation_max_staleness.

namespace ngx {

namespace {

constexpr in_port_t default_port = 6379;
constexpr std::size_t longest_key = 256;
constexpr time_t least_staleness = 2;  // seconds: a round and a half-open connection fit in

struct RedisUrl {
    std::string user;
    std::string password;
    std::string_view place;  // host:port
    std::uint32_t database = 0;
};

/// %XX decoded; nothing where there is a stray %.
std::optional<std::string> unescaped_word(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            result += text[i];
            continue;
        }
        unsigned byte = 0;
        const char* digits = text.data() + i + 1;
        if (i + 2 >= text.size() || std::from_chars(digits, digits + 2, byte, 16).ptr != digits + 2) {
            return std::nullopt;
        }
        result += static_cast<char>(static_cast<unsigned char>(byte));
        i += 2;
    }
    return result;
}

/// Errors repeat nothing of the URL: there is a password in it.
tl::expected<RedisUrl, std::string> read_url(std::string_view text) {
    constexpr std::string_view scheme = "redis://";
    if (text.starts_with("rediss://")) {
        return tl::make_unexpected(
            "jwt_revocation_sync does not speak TLS: write redis:// with the address of a local "
            "tunnel (stunnel), or of a network that you trust");
    }
    if (!text.starts_with(scheme)) {
        return tl::make_unexpected("jwt_revocation_sync takes a URL as in redis://user:password@10.0.0.5:6379/0");
    }
    text.remove_prefix(scheme.size());
    RedisUrl url;
    if (const std::size_t at = text.rfind('@'); at != std::string_view::npos) {
        const std::size_t colon = std::min(text.find(':'), at);
        const auto user = unescaped_word(text.substr(0, colon));
        const auto password = unescaped_word(text.substr(std::min(colon + 1, at), at - std::min(colon + 1, at)));
        if (!user || !password || password->empty()) {
            return tl::make_unexpected(
                "before the @ of a jwt_revocation_sync URL stands user:password or :password, "
                "with %XX for what is special in URLs");
        }
        url.user = *user;
        url.password = *password;
        text.remove_prefix(at + 1);
    }
    const std::size_t slash = std::min(text.find('/'), text.size());
    url.place = text.substr(0, slash);
    const std::string_view database = text.substr(std::min(slash + 1, text.size()));
    const auto read = std::from_chars(database.data(), database.data() + database.size(), url.database);
    if (!database.empty() && (read.ec != std::errc() || read.ptr != database.data() + database.size())) {
        return tl::make_unexpected("the database of a jwt_revocation_sync URL is a number, as in redis://10.0.0.5/0");
    }
    if (url.place.empty()) {
        return tl::make_unexpected("no host in the URL of jwt_revocation_sync: write it as in redis://10.0.0.5:6379");
    }
    return url;
}

/// Names are resolved here, as nginx does it for upstreams: never while requests are served.
char* resolve(ngx_conf_t* cf, std::string_view place, ReplicationConfig& config) {
    ngx_url_t url{};
    url.url = str(place);
    url.default_port = default_port;
    if (ngx_parse_url(cf->pool, &url) != NGX_OK || url.naddrs == 0) {
        const std::string_view why = url.err == nullptr ? "no address" : std::string_view(url.err);
        return config_error(cf, "jwt_revocation_sync cannot use " + quoted(place) + ": " + std::string(why));
    }
    config.addresses.assign(url.addrs, url.addrs + url.naddrs);
    return NGX_CONF_OK;
}

/// A reload keeps what was counted.
ngx_int_t init_zone(ngx_shm_zone_t* zone, void* before) noexcept {
    if (before != nullptr) {
        zone->data = before;
        return NGX_OK;
    }
    auto* pool = reinterpret_cast<ngx_slab_pool_t*>(zone->shm.addr);
    void* memory = ngx_slab_alloc(pool, sizeof(ReplicationState));
    if (memory == nullptr) {
        return NGX_ERROR;
    }
    zone->data = new (memory) ReplicationState;
    return NGX_OK;
}

bool is_plain_key(std::string_view text) noexcept {
    return !text.empty() && text.size() <= longest_key &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

char* set_revocation_sync(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    auto& main = *static_cast<MainConfig*>(conf);
    if (main.replication != nullptr) {
        return is_duplicate();
    }
    auto* config = make_in_pool<ReplicationConfig>(cf->pool);
    config->origin = Origin::here(cf);
    const auto url = read_url(view(words(cf)[1]));
    if (!url) {
        return config_error(cf, url.error());
    }
    config->options.user = url->user;
    config->options.password = url->password;
    config->options.database = url->database;
    config->shown = std::string(url->place);
    if (words(cf).size() == 3) {
        const std::string_view option = view(words(cf)[2]);
        constexpr std::string_view name = "key=";
        if (!option.starts_with(name) || !is_plain_key(option.substr(name.size()))) {
            return config_error(cf,
                                "behind the URL of jwt_revocation_sync stands key=NAME, of printable ASCII without "
                                "spaces");
        }
        config->options.key = std::string(option.substr(name.size()));
    }
    if (resolve(cf, url->place, *config) != NGX_CONF_OK) {
        return failed();
    }
    main.replication = config;
    return NGX_CONF_OK;
}

char* set_revocation_max_staleness(ngx_conf_t* cf, ngx_command_t* cmd, void* conf) {
    LocationConfig& config = location_config(conf);
    if (config.max_staleness != nullptr) {
        return is_duplicate();
    }
    auto* staleness = make_in_pool<Staleness>(cf->pool);
    staleness->origin = Origin::here(cf);
    ngx_str_t& time = words(cf)[1];
    const bool off = view(time) == "off";
    if (!off) {
        staleness->seconds = ngx_parse_time(&time, 1);
        if (staleness->seconds < least_staleness) {  // NGX_ERROR too
            return config_error(cf, directive(cmd) + " takes a time of at least 2s, as in 1m, or \"off\"");
        }
    }
    if (words(cf).size() == 3) {
        const std::string_view option = view(words(cf)[2]);
        if (off || (option != "fail=open" && option != "fail=closed")) {
            return config_error(cf, "behind the time of " + directive(cmd) + " stands fail=open or fail=closed");
        }
        staleness->closes = option == "fail=closed";
    } else if (!off) {
        config_warning(cf, directive(cmd) +
                               " lets requests pass after its time too: write fail=closed behind it to "
                               "refuse them, or fail=open");
    }
    config.max_staleness = staleness;
    return NGX_CONF_OK;
}

char* finish_replication(ngx_conf_t* cf) noexcept {
    return guarded(cf->log, failed(), [&]() -> char* {
        auto& main = *static_cast<MainConfig*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_jwt_module));
        if (main.replication == nullptr) {
            return NGX_CONF_OK;
        }
        if (main.revocation == nullptr) {
            return config_error(cf, main.replication->origin,
                                "jwt_revocation_sync exchanges what the revocation store holds, and there is none: "
                                "write jwt_revocation_store");
        }
        main.revocation->store.outbox = true;
        // Of each store its own: an empty one knows nothing, whatever the one before it knew.
        ngx_str_t name = copy_to_pool(cf->pool, "jwt_revocation_sync " + main.revocation->store.folder);
        main.replication->zone = ngx_shared_memory_add(cf, &name, 8 * ngx_pagesize, &ngx_http_jwt_module);
        if (main.replication->zone == nullptr) {
            return failed();
        }
        main.replication->zone->init = init_zone;
        return NGX_CONF_OK;
    });
}

char* merge_replication(ngx_conf_t* cf, LocationConfig& conf, const LocationConfig& prev) {
    if (conf.max_staleness == nullptr) {
        conf.max_staleness = prev.max_staleness;
    }
    const auto& main = *static_cast<const MainConfig*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_jwt_module));
    if (conf.max_staleness != nullptr && conf.max_staleness->closes && main.replication == nullptr) {
        return config_error(cf, conf.max_staleness->origin,
                            "jwt_revocation_max_staleness is about other nodes, and there are none: write "
                            "jwt_revocation_sync, or remove it");
    }
    return NGX_CONF_OK;
}

}  // namespace ngx
