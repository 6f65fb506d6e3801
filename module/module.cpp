#include "ngx.hpp"

#include "access.hpp"
#include "config.hpp"
#include "variables.hpp"
#include "worker.hpp"

namespace ngx {

namespace {

ngx_int_t add_handler(ngx_conf_t* cf, ngx_http_phases phase, ngx_http_handler_pt handler) noexcept {
    auto* core = static_cast<ngx_http_core_main_conf_t*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module));
    auto* slot = static_cast<ngx_http_handler_pt*>(ngx_array_push(&core->phases[phase].handlers));
    if (slot == nullptr) {
        return NGX_ERROR;
    }
    *slot = handler;
    return NGX_OK;
}

ngx_int_t finish_configuration(ngx_conf_t* cf) noexcept {
    auto* config = static_cast<MainConfig*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_jwt_module));
    if (config->lua != nullptr) {
        config->lua->checker.reset();  // workers have hosts of their own
        config->lua->sources.close();
    }
    if (add_handler(cf, NGX_HTTP_PREACCESS_PHASE, judge_subrequest) != NGX_OK) {
        return NGX_ERROR;
    }
    if (add_handler(cf, NGX_HTTP_PRECONTENT_PHASE, settle_request) != NGX_OK) {
        return NGX_ERROR;
    }
    return add_handler(cf, NGX_HTTP_ACCESS_PHASE, judge_request);
}

ngx_http_module_t context = {
    add_variables,           // preconfiguration
    finish_configuration,    // postconfiguration
    create_main_config,      // create main configuration
    nullptr,                 // init main configuration
    nullptr,                 // create server configuration
    nullptr,                 // merge server configuration
    create_location_config,  // create location configuration
    merge_location_config,   // merge location configuration
};

}  // namespace
}  // namespace ngx

ngx_module_t ngx_http_jwt_module = {
    NGX_MODULE_V1,
    &ngx::context,
    ngx::directives,
    NGX_HTTP_MODULE,
    nullptr,               // init master
    ngx::index_variables,  // init module
    ngx::start_worker,     // init process
    nullptr,               // init thread
    nullptr,               // exit thread
    ngx::stop_worker,      // exit process
    nullptr,               // exit master
    NGX_MODULE_V1_PADDING,
};
