#include "worker.hpp"

#include "config.hpp"
#include "guard.hpp"

namespace ngx {

namespace {

constexpr std::size_t default_cache_size = std::size_t{8} * 1024 * 1024;

Worker* current = nullptr;  // the one global: nginx hands nothing to init_process that could carry it

/// Workers load what the configuration's checker loaded, in the same order, so that indices agree.
void load_files(Worker& worker, const MainConfig& config) {
    auto host = LuaHost::create(config.lua_limits == nullptr ? LuaLimits{} : *config.lua_limits);
    if (!host) {
        throw std::runtime_error(host.error());
    }
    for (const LuaFileSpec& spec : config.lua->files) {
        if (auto file = (*host)->load(spec.path, spec.search_path, config.lua->sources); !file) {
            throw std::runtime_error(file.error());
        }
    }
    worker.lua = std::move(*host);
}

}  // namespace

tl::expected<std::shared_ptr<const jwt::KeySet>, std::string> HookKeys::find(std::string_view text,
                                                                             jwt::AlgorithmSet wanted) {
    const jwt::AlgorithmSet hmac = wanted & jwt::hmac_algorithms;
    // A secret's algorithms depend on the location that asks: part of what it is remembered by.
    std::string remembered_by = names(hmac) + "\n" + std::string(text);
    if (const auto known = keys_.find(remembered_by); known != keys_.end()) {
        return known->second;
    }
    const std::size_t start = std::min(text.find_first_not_of(" \t\r\n"), text.size());
    jwt::KeySet set;
    if (text.substr(start).starts_with("-----BEGIN ") || text.substr(start).starts_with("{")) {
        auto parsed = jwt::KeySet::from_text(text);
        if (!parsed) {
            return tl::make_unexpected(parsed.error().message);
        }
        set = std::move(*parsed);
    } else {
        auto key = jwt::Key::from_secret(text, hmac);
        if (!key) {
            return tl::make_unexpected(key.error().message);
        }
        set.add(std::move(*key));
    }
    if (keys_.size() >= capacity) {
        keys_.clear();  // rare: more keys than a file of hooks should switch between
    }
    auto keys = std::make_shared<const jwt::KeySet>(std::move(set));
    keys_.emplace(std::move(remembered_by), keys);
    return keys;
}

Worker& worker() noexcept {
    return *current;
}

ngx_int_t start_worker(ngx_cycle_t* cycle) noexcept {
    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE) {
        return NGX_OK;  // the cache manager serves no requests
    }
    return guarded(cycle->log, ngx_int_t{NGX_ERROR}, [&]() -> ngx_int_t {
        auto started = std::make_unique<Worker>();
        const auto* http = reinterpret_cast<ngx_http_conf_ctx_t*>(ngx_get_conf(cycle->conf_ctx, ngx_http_module));
        if (http != nullptr) {
            const auto& config = *static_cast<MainConfig*>(http->main_conf[ngx_http_jwt_module.ctx_index]);
            started->counters = start_counters(config.counters);
            started->live_keys = LiveKeys(config.key_requests, config.key_files);
            if (const std::size_t size = config.cache == nullptr ? default_cache_size : *config.cache; size != 0) {
                started->cache =
                    std::make_unique<jwt::TokenCache>(jwt::TokenCache::Options{size, config.revocation != nullptr});
            }
            if (config.lua != nullptr) {
                load_files(*started, config);
            }
            if (config.revocation != nullptr) {
                started->revocations = std::make_unique<Revocations>(*config.revocation);
                if (config.replication != nullptr) {
                    started->replication = std::make_unique<Replication>(*config.replication, *started->revocations,
                                                                         config.revocation->store.folder);
                }
            }
        }
        current = started.release();
        return NGX_OK;
    });
}

void stop_worker(ngx_cycle_t*) noexcept {
    delete current;
    current = nullptr;
}

jwt::Time now() noexcept {
    const ngx_time_t* time = ngx_timeofday();
    return jwt::Time(std::chrono::seconds(time->sec) + std::chrono::milliseconds(time->msec));
}

}  // namespace ngx
