#include "directives.hpp"

#include <algorithm>

#include "revocation.hpp"

namespace ngx {

void merge_revocation(ngx_conf_t* cf, LocationConfig& conf, const LocationConfig& prev) noexcept {
    ngx_conf_merge_uint_value(conf.revocation_checks, prev.revocation_checks,
                              check_access_tokens | check_refresh_tokens);
    auto& main = *static_cast<MainConfig*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_jwt_module));
    main.longest_leeway = std::max(main.longest_leeway, conf.decode_leeway);
    if (main.revocation == nullptr || !is_location(cf)) {  // outside of locations nobody makes tokens
        return;
    }
    auto& longest = main.revocation->lifetime;
    for (const time_t life : {conf.access_token_expires, conf.refresh_token_expires}) {
        longest = longest && life != 0 ? std::optional(std::max(*longest, std::chrono::seconds(life))) : std::nullopt;
    }
}

}  // namespace ngx
