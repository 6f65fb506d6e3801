#include "ngx.hpp"

#include <algorithm>

#include "access.hpp"
#include "config.hpp"
#include "fetch.hpp"
#include "key_fetch.hpp"
#include "replication.hpp"
#include "revocation.hpp"
#include "sliding.hpp"
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

/// Handlers of a phase run in the reverse of their order: the first is the last to be asked, also behind those of
/// modules that register themselves later.
ngx_int_t add_last_access_handler(ngx_conf_t* cf, ngx_http_handler_pt handler) noexcept {
    if (add_handler(cf, NGX_HTTP_ACCESS_PHASE, handler) != NGX_OK) {
        return NGX_ERROR;
    }
    auto* core = static_cast<ngx_http_core_main_conf_t*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module));
    const ngx_array_t& handlers = core->phases[NGX_HTTP_ACCESS_PHASE].handlers;
    auto* first = static_cast<ngx_http_handler_pt*>(handlers.elts);
    std::rotate(first, first + handlers.nelts - 1, first + handlers.nelts);
    return NGX_OK;
}

MainConfig* main_config(ngx_conf_t* cf) noexcept {
    return static_cast<MainConfig*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_jwt_module));
}

ngx_int_t add_handlers(ngx_conf_t* cf, const Uses& uses) noexcept {
    if (!uses.judging) {
        return NGX_OK;
    }
    if (add_handler(cf, NGX_HTTP_PREACCESS_PHASE, judge_subrequest) != NGX_OK) {
        return NGX_ERROR;
    }
    if (uses.settling && add_handler(cf, NGX_HTTP_PRECONTENT_PHASE, settle_request) != NGX_OK) {
        return NGX_ERROR;
    }
    if (uses.satisfy_any && add_last_access_handler(cf, answer_refused) != NGX_OK) {
        return NGX_ERROR;
    }
    return add_handler(cf, NGX_HTTP_ACCESS_PHASE, judge_request);
}

ngx_int_t finish_configuration(ngx_conf_t* cf) noexcept {
    MainConfig* config = main_config(cf);
    if (config->lua != nullptr) {
        config->lua->checker.reset();  // workers have hosts of their own
        config->lua->sources.close();
    }
    if (config->key_requests != nullptr && !config->key_requests->requests.empty() &&
        add_key_zone(cf, *config->key_requests) != NGX_OK) {
        return NGX_ERROR;
    }
    if (config->common_keys != nullptr && !config->uses.judging && !config->uses.content) {
        config_warning(cf, *config->common_keys,
                       "keys are named, and no location asks for a token: write jwt_required");
    }
    if (finish_revocation(cf) != NGX_CONF_OK || finish_replication(cf) != NGX_CONF_OK) {
        return NGX_ERROR;
    }
    return add_handlers(cf, config->uses);
}

// The chain of filters is a variable of each of them: nginx has no other place, and sets it anew whenever it
// reads a configuration.
ngx_http_output_header_filter_pt next_header_filter;

ngx_int_t filter_header(ngx_http_request_t* r) noexcept {
    take_in_memory(r);
    const ngx_int_t rc = ngx::main_config(r).uses.renewal ? renew_session(r) : ngx_int_t{NGX_OK};
    return rc == NGX_OK ? next_header_filter(r) : rc;
}

ngx_http_output_body_filter_pt next_body_filter;

ngx_int_t filter_body(ngx_http_request_t* r, ngx_chain_t* in) noexcept {
    return is_key_fetch(r) ? take_key_body(r, in) : next_body_filter(r, in);
}

/// Whether this configuration needs them or not: the chains are those of the one that was read last, and a worker that
/// takes a dead one's place after a reload that failed serves the one before.
ngx_int_t add_filters(ngx_conf_t*) noexcept {
    next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = filter_body;
    next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = filter_header;
    return NGX_OK;
}

ngx_int_t finish_cycle(ngx_cycle_t* cycle) noexcept {
    hand_over_store(cycle);
    return index_variables(cycle);
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

ngx_http_module_t filter_context = {
    nullptr,      // preconfiguration
    add_filters,  // postconfiguration
    nullptr,      // create main configuration
    nullptr,      // init main configuration
    nullptr,      // create server configuration
    nullptr,      // merge server configuration
    nullptr,      // create location configuration
    nullptr,      // merge location configuration
};

}  // namespace
}  // namespace ngx

ngx_module_t ngx_http_jwt_module = {
    NGX_MODULE_V1,
    &ngx::context,
    ngx::directives,
    NGX_HTTP_MODULE,
    nullptr,            // init master
    ngx::finish_cycle,  // init module
    ngx::start_worker,  // init process
    nullptr,            // init thread
    nullptr,            // exit thread
    ngx::stop_worker,   // exit process
    nullptr,            // exit master
    NGX_MODULE_V1_PADDING,
};

ngx_module_t ngx_http_jwt_filter_module = {
    NGX_MODULE_V1,
    &ngx::filter_context,
    nullptr,
    NGX_HTTP_MODULE,
    nullptr,  // init master
    nullptr,  // init module
    nullptr,  // init process
    nullptr,  // init thread
    nullptr,  // exit thread
    nullptr,  // exit process
    nullptr,  // exit master
    NGX_MODULE_V1_PADDING,
};
