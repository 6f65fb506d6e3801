#include "decryption.hpp"
#include "directives.hpp"
#include "guard.hpp"
#include "key_files.hpp"
#include "merge.hpp"

namespace ngx {

namespace {

/// What a location accepts and can never decrypt; nothing where all is well.
std::string_view undecryptable(const LocationConfig& config) {
    const auto& forms = config.accept->forms;
    if (!forms.has(TokenForm::nested) && !forms.has(TokenForm::encrypted)) {
        return {};
    }
    if (config.decryption_keys == nullptr) {
        return "jwt_accept has no key to decrypt tokens with: write jwt_decryption_key here or around it";
    }
    const auto decrypts = config.decryption_keys->keys->decrypts();
    if (forms.has(TokenForm::encrypted) && (decrypts & jwt::symmetric_managements).empty()) {
        return "jwt_accept encrypted needs a secret to decrypt with, as anybody can encrypt under a public key: write "
               "nested, or jwt_decryption_key with a secret";
    }
    return {};
}

}  // namespace

bool takes_own_form(const LocationConfig& config) {
    if (config.encryption == nullptr || !config.encryption->on) {
        return config.accept->forms.has(TokenForm::bare);
    }
    if (!config.accept->forms.has(TokenForm::nested) || config.decryption_keys == nullptr) {
        return false;
    }
    const Encryption& how = *config.encryption;
    jwt::json::Parser parser;
    auto sample = jwt::jwe::parse(jwt::jwe::encrypt({}, *how.key, how.management, how.encryption, {}), parser);
    return sample && jwt::jwe::decrypt(std::move(*sample), *config.decryption_keys->keys);
}

char* merge_encryption(ngx_conf_t* cf, LocationConfig& conf, const LocationConfig& prev) {
    const bool own_keys = conf.decryption_keys != nullptr;
    if (conf.accept == nullptr) {
        conf.accept = prev.accept != nullptr
                          ? prev.accept
                          : make_in_pool<AcceptedForms>(cf->pool, AcceptedForms{{TokenForm::bare}, Origin::here(cf)});
    }
    if (!own_keys) {
        conf.decryption_keys = prev.decryption_keys;
    }
    if (conf.encryption == nullptr) {
        conf.encryption = prev.encryption;
    }
    if (conf.required == nullptr || !conf.required->on) {
        return NGX_CONF_OK;
    }
    if (const std::string_view problem = undecryptable(conf); !problem.empty()) {
        return config_error(cf, conf.accept->origin, problem);
    }
    if (conf.accept->forms.has(TokenForm::encrypted)) {
        key_files(cf).recipes[conf.decryption_keys->recipe].decrypts_by_secret = true;
    }
    // What a server says is for its locations, some of which may use it.
    if (own_keys && is_location(cf) && conf.accept->forms == jwt::EnumSet<TokenForm>{TokenForm::bare}) {
        return config_error(cf, conf.decryption_keys->origin,
                            "jwt_decryption_key is of no use here, as only signed tokens are taken: write jwt_accept "
                            "with nested");
    }
    return NGX_CONF_OK;
}

}  // namespace ngx
