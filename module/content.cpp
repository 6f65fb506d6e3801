#include "content.hpp"

#include "answer.hpp"
#include "directives.hpp"

namespace ngx {

char* set_content(ngx_conf_t* cf, const ngx_command_t* cmd, LocationConfig& config, ngx_http_handler_pt handler) {
    if (config.content.data != nullptr) {
        return view(config.content) == view(cmd->name)
                   ? is_duplicate()
                   : config_error(cf, "a location has one content, and " + std::string(view(config.content)) +
                                          " makes this one's: write " + directive(cmd) + " into another location");
    }
    config.content = cmd->name;
    auto* core = static_cast<ngx_http_core_loc_conf_t*>(ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
    core->handler = handler;
    return NGX_CONF_OK;
}

ngx_int_t not_allowed(ngx_http_request_t* r, std::string_view methods) {
    add_header(r, "Allow", methods);
    return NGX_HTTP_NOT_ALLOWED;
}

}  // namespace ngx
