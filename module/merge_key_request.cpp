#include "directives.hpp"

namespace ngx {

std::optional<std::string> add_key_request(ngx_conf_t* cf, const KeySources::Source& source, jwt::AlgorithmSet allowed,
                                           Keys& keys) {
    const jwt::AlgorithmSet hmac = {jwt::Algorithm::hs256, jwt::Algorithm::hs384, jwt::Algorithm::hs512};
    if ((allowed & hmac) == allowed) {
        return source.name + " fetches public keys, which " + names(allowed) +
               " cannot use: write jwt_decode_algorithms with what the provider signs with, as in RS256 ES256";
    }
    auto& main = *static_cast<MainConfig*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_jwt_module));
    auto* server = static_cast<ngx_http_core_srv_conf_t*>(ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module));
    if (keys.requests.empty()) {
        keys.index = main.key_requests->key_count++;
    }
    const Row row = key_source_row(cf, std::string(view(server->server_name)) + " " + source.uri);
    keys.requests.push_back(&main.key_requests->of(server, source.uri, source.times, row));
    return std::nullopt;
}

}  // namespace ngx
