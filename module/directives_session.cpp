#include "content.hpp"
#include "directives.hpp"
#include "session.hpp"
#include "token_endpoints.hpp"

// jwt_logout, jwt_refresh, jwt_revoke, jwt_introspect, jwt_revocations.

namespace ngx {

char* set_logout(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    return set_content(cf, location_config(conf), Content::logout, handle_logout);
}

char* set_refresh(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    LocationConfig& config = location_config(conf);
    if (words(cf).size() == 2) {
        if (view(words(cf)[1]) != "rotate") {
            return config_error(
                cf, "unknown word " + quoted(view(words(cf)[1])) + " of jwt_refresh: write rotate, or nothing");
        }
        config.refresh_rotates = true;
    }
    return set_content(cf, config, Content::refresh, handle_refresh);
}

char* set_revoke(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    return set_content(cf, location_config(conf), Content::revoke, handle_revoke);
}

char* set_introspect(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    return set_content(cf, location_config(conf), Content::introspect, handle_introspect);
}

char* set_revocations(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    return set_content(cf, location_config(conf), Content::revocations, handle_revocations);
}

}  // namespace ngx
