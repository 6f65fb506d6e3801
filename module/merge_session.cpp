#include "content.hpp"
#include "directives.hpp"
#include "merge.hpp"
#include "revocation.hpp"

// What the content handlers need of their location.

namespace ngx {

namespace {

bool has_hook(const LocationConfig& config, Hook hook) {
    return config.lua != nullptr && config.lua->file.has(hook);
}

/// Why what is revoked here would not be refused; nothing where it is.
std::string unfit_checks(const LocationConfig& config) {
    const std::string called(name(config.content));
    const ngx_uint_t wanted =
        config.content == Content::refresh ? check_refresh_tokens : check_access_tokens | check_refresh_tokens;
    if ((config.revocation_checks & wanted) != 0) {
        return {};
    }
    return called + (config.content == Content::refresh
                         ? " would renew revoked tokens: let jwt_revocation_checks name refresh"
                         : " would revoke in vain: let jwt_revocation_checks name the types of its tokens");
}

/// Why a location cannot log out or refresh; nothing where it can.
std::string unfit_requirement(const LocationConfig& config) {
    const std::string called(name(config.content));
    const Requirement* required = config.required;
    const bool refreshes = config.content == Content::refresh;
    const std::string wanted = refreshes ? "jwt_required refresh" : "jwt_required, which any_type may follow";
    if (required == nullptr || !required->on || (refreshes && required->use != jwt::TokenUse::refresh)) {
        return called + " works on the token that its location asks for: write " + wanted;
    }
    if (required->optional || required->condition != nullptr) {
        return called + " needs a token in each request: remove \"optional\" and \"if=\" of jwt_required";
    }
    if (refreshes && !required->check_revocation) {
        return called + " would renew revoked tokens: remove skip_revocation_check of jwt_required";
    }
    return {};
}

bool signs(const LocationConfig& config) {
    return (config.keys != nullptr && config.keys->signer != nullptr) || has_hook(config, Hook::encode_key);
}

/// Why a location would not take the refresh tokens that it hands out; nothing where it does, or where hooks decide.
std::string unfit_rotation(const LocationConfig& config) {
    if (has_hook(config, Hook::encode_key) || has_hook(config, Hook::decode_key)) {
        return {};
    }
    if (!takes_own_form(config)) {
        return "jwt_refresh rotate would hand out refresh tokens that are refused: let jwt_accept and "
               "jwt_decryption_key take "
               "what jwt_encrypt makes";
    }
    return takes_own_tokens(config) ? std::string()
                                    : "jwt_refresh rotate would hand out refresh tokens that are refused: let "
                                      "jwt_decode_algorithms and the keys that verify take what the signing key makes";
}

std::string unfit(const LocationConfig& config, bool has_store) {
    const std::string called(name(config.content));
    const bool writes =
        config.content != Content::introspect && (config.content != Content::refresh || config.refresh_rotates);
    if (writes && !has_store) {
        return called + (config.content == Content::refresh ? " rotate" : "") +
               " needs a place for what is revoked: write jwt_revocation_store into http";
    }
    switch (config.content) {
        case Content::none:
        case Content::handler:
        case Content::status:
        case Content::revocations:
        case Content::jwks:
        case Content::discovery:
            return {};
        case Content::logout: {
            std::string why = unfit_requirement(config);
            return why.empty() ? unfit_checks(config) : why;
        }
        case Content::refresh:
            break;
        case Content::revoke:
        case Content::introspect:
            return config.keys != nullptr || has_hook(config, Hook::decode_key)
                       ? std::string()
                       : called +
                             " has no key to verify tokens with: write jwt_secret_key or jwt_public_key here or "
                             "around it, or a hook \"decode_key\"";
    }
    if (std::string why = unfit_requirement(config); !why.empty()) {
        return why;
    }
    if (std::string why = has_store ? unfit_checks(config) : std::string(); !why.empty()) {
        return why;
    }
    if (!signs(config)) {
        return called + " has no key that signs with jwt_algorithm " +
               std::string(jwt::name(static_cast<jwt::Algorithm>(config.algorithm))) +
               ": write jwt_secret_key or jwt_private_key, or a hook \"encode_key\"";
    }
    return config.refresh_rotates ? unfit_rotation(config) : std::string();
}

bool is_of_sessions(Content content) noexcept {
    switch (content) {
        case Content::none:
        case Content::handler:
        case Content::status:
        case Content::jwks:
        case Content::discovery:
            return false;
        case Content::logout:
        case Content::refresh:
        case Content::revoke:
        case Content::introspect:
        case Content::revocations:
            return true;
    }
    return true;
}

}  // namespace

char* check_content(ngx_conf_t* cf, const LocationConfig& config) {
    if (!is_of_sessions(config.content)) {
        return NGX_CONF_OK;
    }
    const auto& main = *static_cast<MainConfig*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_jwt_module));
    const std::string why = unfit(config, main.revocation != nullptr);
    return why.empty() ? NGX_CONF_OK : config_error(cf, *config.content_origin, why);
}

}  // namespace ngx
