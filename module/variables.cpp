#include "variables.hpp"

#include <string>

#include "config.hpp"
#include "guard.hpp"
#include "request_state.hpp"
#include "text.hpp"

namespace ngx {

namespace {

using Value = ngx_http_variable_value_t;

void set_nothing(Value& value) noexcept {
    value.valid = 0;
    value.not_found = 1;
}

ngx_int_t set_text(ngx_http_request_t* r, Value& value, std::string_view text) {
    const ngx_str_t copy = copy_to_pool(r->pool, text);
    value.len = static_cast<unsigned>(copy.len) & 0xfffffffU;
    value.data = copy.data;
    value.valid = 1;
    value.no_cacheable = 0;
    value.not_found = 0;
    return NGX_OK;
}

/// A claim goes into header lines, where a control character would start another line: such a text is percent-encoded,
/// with its percent signs, and no other text is changed.
std::string without_control_characters(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string encoded;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f || c == '%') {
            encoded += {'%', digits[byte >> 4], digits[byte & 15]};
        } else {
            encoded.push_back(c);
        }
    }
    return encoded;
}

ngx_int_t set_printable(ngx_http_request_t* r, Value& value, std::string_view text) {
    return has_control_character(text) ? set_text(r, value, without_control_characters(text))
                                       : set_text(r, value, text);
}

/// JSON text escapes every control character in its strings but DEL, which no header line may hold either.
ngx_int_t set_json_text(ngx_http_request_t* r, Value& value, std::string_view text) {
    if (text.find('\x7f') == std::string_view::npos) {
        return set_text(r, value, text);
    }
    std::string escaped;
    for (const char c : text) {
        if (c == '\x7f') {
            escaped += "\\u007f";
        } else {
            escaped.push_back(c);
        }
    }
    return set_text(r, value, escaped);
}

/// Strings as they are, other JSON as JSON text, null as nothing.
ngx_int_t set_json(ngx_http_request_t* r, Value& value, const std::optional<jwt::json::Value>& json) {
    if (!json || json->type() == jwt::json::Type::null) {
        set_nothing(value);
        return NGX_OK;
    }
    if (const auto text = json->string()) {
        return set_printable(r, value, *text);
    }
    return set_json_text(r, value, json->text());
}

/// nginx knows variables by lower-case names: the member of that very name, else the one that differs in case alone.
std::optional<jwt::json::Value> member_like(jwt::json::Value object, std::string_view name) {
    if (const auto exact = object.member(name)) {
        return exact;
    }
    std::optional<jwt::json::Value> found;
    std::size_t matches = 0;
    object.each_member([&](std::string_view member, jwt::json::Value value) {
        if (same_name(member, name)) {
            found = value;
            ++matches;
        }
    });
    return matches == 1 ? found : std::nullopt;
}

ngx_int_t set_member(ngx_http_request_t* r, Value& value, jwt::json::Value object, uintptr_t data,
                     std::string_view prefix) {
    const std::string_view name = view(*reinterpret_cast<ngx_str_t*>(data));
    return set_json(r, value, member_like(object, name.substr(prefix.size())));
}

ngx_int_t identity(ngx_http_request_t* r, Value& value, uintptr_t, const jwt::VerifiedToken&,
                   const RequestState& state) {
    return set_json(r, value, state.identity());
}

ngx_int_t claim(ngx_http_request_t* r, Value& value, uintptr_t data, const jwt::VerifiedToken& token,
                const RequestState&) {
    return set_member(r, value, token.payload(), data, "jwt_claim_");
}

ngx_int_t header(ngx_http_request_t* r, Value& value, uintptr_t data, const jwt::VerifiedToken& token,
                 const RequestState&) {
    return set_member(r, value, token.header(), data, "jwt_header_");
}

ngx_int_t payload(ngx_http_request_t* r, Value& value, uintptr_t, const jwt::VerifiedToken& token,
                  const RequestState&) {
    return set_json_text(r, value, token.payload().text());
}

ngx_int_t location(ngx_http_request_t* r, Value& value, uintptr_t, const jwt::VerifiedToken&,
                   const RequestState& state) {
    return set_text(r, value, name(state.found_in()));
}

ngx_int_t user(ngx_http_request_t* r, Value& value, uintptr_t, const jwt::VerifiedToken&, const RequestState& state) {
    if (!state.user()) {
        set_nothing(value);
        return NGX_OK;
    }
    jwt::json::Parser parser;
    jwt::json::Document document;
    const auto parsed = parser.parse(*state.user(), document);
    return set_json(r, value, parsed ? std::optional(*parsed) : std::nullopt);
}

using TokenVariable = ngx_int_t (*)(ngx_http_request_t*, Value&, uintptr_t, const jwt::VerifiedToken&,
                                    const RequestState&);

/// Variables of a token: nothing until it passed every check.
template <TokenVariable get>
ngx_int_t of_token(ngx_http_request_t* r, Value* value, uintptr_t data) noexcept {
    return guarded(r->connection->log, ngx_int_t{NGX_ERROR}, [&]() -> ngx_int_t {
        const RequestState* state = RequestState::shown_by(r);
        if (state == nullptr || state->accepted() == nullptr) {
            set_nothing(*value);
            return NGX_OK;
        }
        return get(r, *value, data, *state->accepted(), *state);
    });
}

ngx_int_t status(ngx_http_request_t* r, Value* value, uintptr_t) noexcept {
    return guarded(r->connection->log, ngx_int_t{NGX_ERROR}, [&]() -> ngx_int_t {
        const RequestState* state = RequestState::shown_by(r);
        if (state != nullptr && state->refused()) {
            return set_text(r, *value, word(*state->refused()));
        }
        if (state != nullptr && state->accepted() != nullptr) {
            return set_text(r, *value, "ok");
        }
        set_nothing(*value);
        return NGX_OK;
    });
}

ngx_int_t error(ngx_http_request_t* r, Value* value, uintptr_t) noexcept {
    return guarded(r->connection->log, ngx_int_t{NGX_ERROR}, [&]() -> ngx_int_t {
        const RequestState* state = RequestState::shown_by(r);
        if (state == nullptr || !state->refused()) {
            set_nothing(*value);
            return NGX_OK;
        }
        return set_printable(r, *value, state->message());
    });
}

ngx_int_t claim_at(ngx_http_request_t* r, Value& value, uintptr_t data, const jwt::VerifiedToken& token,
                   const RequestState&) {
    return set_json(r, value, reinterpret_cast<const jwt::Path*>(data)->find(token.payload()));
}

struct Definition {
    std::string_view name;
    ngx_http_get_variable_pt get;
    ngx_uint_t flags;
};

constexpr Definition definitions[] = {
    {"jwt_identity", of_token<identity>, 0},
    {"jwt_payload", of_token<payload>, 0},
    {"jwt_location", of_token<location>, 0},
    {"jwt_user", of_token<user>, 0},
    {"jwt_status", status, 0},
    {"jwt_error", error, 0},
    {"jwt_claim_", of_token<claim>, NGX_HTTP_VAR_PREFIX},
    {"jwt_header_", of_token<header>, NGX_HTTP_VAR_PREFIX},
};

bool is_ours(ngx_http_get_variable_pt handler) noexcept {
    for (const Definition& definition : definitions) {
        if (definition.get == handler) {
            return true;
        }
    }
    return handler == of_token<claim_at>;
}

}  // namespace

ngx_int_t add_variables(ngx_conf_t* cf) noexcept {
    for (const Definition& definition : definitions) {
        ngx_str_t name = str(definition.name);
        ngx_http_variable_t* variable = ngx_http_add_variable(cf, &name, definition.flags);
        if (variable == nullptr) {
            return NGX_ERROR;
        }
        variable->get_handler = definition.get;
    }
    return NGX_OK;
}

bool shows_token(std::string_view text) noexcept {
    for (std::size_t dollar = text.find('$'); dollar != std::string_view::npos; dollar = text.find('$', dollar + 1)) {
        std::string_view name = text.substr(dollar + 1);
        name.remove_prefix(name.starts_with('{') ? 1 : 0);
        name = name.substr(0, name.find_first_not_of(variable_letters));
        for (const Definition& definition : definitions) {
            const bool is_prefix = (definition.flags & NGX_HTTP_VAR_PREFIX) != 0;
            if (same_name(is_prefix ? name.substr(0, definition.name.size()) : name, definition.name)) {
                return true;
            }
        }
    }
    return false;
}

ngx_int_t add_claim_variable(ngx_conf_t* cf, std::string_view name, const jwt::Path& path) {
    ngx_str_t text = str(name);
    ngx_http_variable_t* variable = ngx_http_add_variable(cf, &text, 0);
    if (variable == nullptr) {
        return NGX_ERROR;
    }
    if (variable->get_handler != nullptr) {
        return NGX_DECLINED;
    }
    variable->get_handler = of_token<claim_at>;
    variable->data = reinterpret_cast<uintptr_t>(&path);
    return NGX_OK;
}

ngx_int_t index_variables(ngx_cycle_t* cycle) noexcept {
    const auto* http = reinterpret_cast<ngx_http_conf_ctx_t*>(ngx_get_conf(cycle->conf_ctx, ngx_http_module));
    if (http == nullptr) {
        return NGX_OK;
    }
    const auto& core = *static_cast<ngx_http_core_main_conf_t*>(http->main_conf[ngx_http_core_module.ctx_index]);
    auto& config = *static_cast<MainConfig*>(http->main_conf[ngx_http_jwt_module.ctx_index]);
    const auto* variables = static_cast<ngx_http_variable_t*>(core.variables.elts);
    for (ngx_uint_t i = 0; i < core.variables.nelts; ++i) {
        if (is_ours(variables[i].get_handler)) {
            auto* index = static_cast<ngx_uint_t*>(ngx_array_push(&config.variables));
            if (index == nullptr) {
                return NGX_ERROR;
            }
            *index = i;
        }
    }
    return NGX_OK;
}

}  // namespace ngx
