#include "directives.hpp"

#include "../core/token_cache.hpp"
#include "guard.hpp"

namespace ngx {

namespace {

constexpr std::uint64_t greatest_size = std::uint64_t{1} << 34U;  // a worker that cannot have it does not start

}  // namespace

char* set_cache(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    MainConfig& config = *static_cast<MainConfig*>(conf);
    if (config.cache != nullptr) {
        return is_duplicate();
    }
    ngx_str_t& word = words(cf)[1];
    if (view(word) == "off") {
        config.cache = make_in_pool<std::size_t>(cf->pool, std::size_t{0});
        return NGX_CONF_OK;
    }
    const ssize_t size = ngx_parse_size(&word);
    if (size == NGX_ERROR) {
        return config_error(cf, quoted(view(word)) + " is no size: write it as in 512k or 8m, or \"off\"");
    }
    if (static_cast<std::size_t>(size) < jwt::TokenCache::min_size) {
        return config_error(
            cf, "jwt_cache " + std::string(view(word)) + " has no room for tokens: write at least 64k, or \"off\"");
    }
    if (static_cast<std::uint64_t>(size) > greatest_size) {
        return config_error(
            cf, "jwt_cache " + std::string(view(word)) + " is for each worker: write at most 16384m (16 GiB)");
    }
    config.cache = make_in_pool<std::size_t>(cf->pool, static_cast<std::size_t>(size));
    return NGX_CONF_OK;
}

}  // namespace ngx
