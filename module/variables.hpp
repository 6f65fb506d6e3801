#pragma once

#include "ngx.hpp"

#include <span>
#include <string_view>

#include "../core/condition.hpp"
#include "config.hpp"

namespace ngx {

/// Registers $jwt_*: at preconfiguration.
ngx_int_t add_variables(ngx_conf_t* cf) noexcept;

/// Whether a text of the configuration names a variable that add_variables registers: they are empty until a token is
/// judged.
[[nodiscard]] bool shows_token(std::string_view text) noexcept;

/// Makes a variable of the claim at a path, which must live as long as the configuration. NGX_DECLINED where the
/// variable is somebody else's, NGX_ERROR where nginx has said why not.
ngx_int_t add_claim_variable(ngx_conf_t* cf, std::string_view name, const jwt::Path& path);

/// Notes which variables of the configuration are ours: once it is read.
ngx_int_t index_variables(ngx_cycle_t* cycle) noexcept;

/// Ends the values that nginx keeps of our variables. They are kept while a request's state stays as it is (so that a
/// text is never put together from two states of it), and end whenever the state changes.
inline void forget_variables(ngx_http_request_t* r) noexcept {
    const ngx_array_t& indices = main_config(r).variables;
    for (const ngx_uint_t index : std::span(static_cast<const ngx_uint_t*>(indices.elts), indices.nelts)) {
        r->variables[index].valid = 0;
        r->variables[index].not_found = 0;
    }
}

}  // namespace ngx
