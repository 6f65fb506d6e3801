// The baseline of t/bench/run for tokens that are seen first: an nginx module whose directive `bare_verify ALGORITHM`
// makes each request of a location do the bare OpenSSL call, in the same worker, beside the same client.

#include <optional>
#include <string_view>

#include "bare.hpp"

extern "C" {
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

extern ngx_module_t ngx_http_bare_module;
}

namespace {

struct Bare {
    bench::Subject subject;
    std::function<bool(const bench::Signed&)> verify;
    std::vector<bench::Signed> texts;  // asked in turn
    std::size_t turn = 0;
};

struct BareConfig {
    Bare* bare;
};

void* create_config(ngx_conf_t* cf) {
    return ngx_pcalloc(cf->pool, sizeof(BareConfig));
}

void destroy(void* bare) {
    delete static_cast<Bare*>(bare);
}

std::optional<jwt::Algorithm> algorithm_of(const ngx_str_t& word) {
    return jwt::algorithm_named({reinterpret_cast<const char*>(word.data), word.len});
}

char invalid[] = "names no algorithm";

char* set_verify(ngx_conf_t* cf, ngx_command_t*, void* config) {
    const auto algorithm = algorithm_of(static_cast<ngx_str_t*>(cf->args->elts)[1]);
    ngx_pool_cleanup_t* const cleanup = ngx_pool_cleanup_add(cf->pool, 0);
    if (!algorithm || cleanup == nullptr) {
        return invalid;
    }
    auto* const bare = new Bare{bench::make_subject(*algorithm), {}, {}};
    bare->verify = bench::bare_verification(bare->subject);
    bare->texts = bench::make_signed(bare->subject, 256);
    cleanup->handler = destroy;
    cleanup->data = bare;
    static_cast<BareConfig*>(config)->bare = bare;
    return nullptr;
}

ngx_int_t verify(ngx_http_request_t* r) {
    Bare* const bare = static_cast<BareConfig*>(ngx_http_get_module_loc_conf(r, ngx_http_bare_module))->bare;
    return bare == nullptr || bare->verify(bare->texts[bare->turn++ % bare->texts.size()]) ? NGX_DECLINED
                                                                                           : NGX_HTTP_FORBIDDEN;
}

ngx_int_t register_handler(ngx_conf_t* cf) {
    auto* const core =
        static_cast<ngx_http_core_main_conf_t*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module));
    auto* const handler =
        static_cast<ngx_http_handler_pt*>(ngx_array_push(&core->phases[NGX_HTTP_ACCESS_PHASE].handlers));
    if (handler == nullptr) {
        return NGX_ERROR;
    }
    *handler = verify;
    return NGX_OK;
}

ngx_http_module_t context = {nullptr, register_handler, nullptr, nullptr, nullptr, nullptr, create_config, nullptr};

ngx_command_t commands[] = {
    {ngx_string("bare_verify"), NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1, set_verify, NGX_HTTP_LOC_CONF_OFFSET, 0, nullptr},
    ngx_null_command};

char module_name[] = "ngx_http_bare_module";

}  // namespace

#define EXPORTED __attribute__((visibility("default")))

extern "C" {
EXPORTED ngx_module_t ngx_http_bare_module = {NGX_MODULE_V1, &context, commands, NGX_HTTP_MODULE,
                                              nullptr,       nullptr,  nullptr,  nullptr,
                                              nullptr,       nullptr,  nullptr,  NGX_MODULE_V1_PADDING};

// What nginx looks up in a module that it loads.
EXPORTED ngx_module_t* ngx_modules[] = {&ngx_http_bare_module, nullptr};
EXPORTED char* ngx_module_names[] = {module_name, nullptr};
EXPORTED char* ngx_module_order[] = {nullptr};
}
