#include "decryption.hpp"
#include "directives.hpp"
#include "guard.hpp"
#include "key_files.hpp"

// jwt_accept, jwt_decryption_key, jwt_encrypt.

namespace ngx {

namespace {

std::optional<TokenForm> form_named(std::string_view word) noexcept {
    return word == "signed"      ? std::optional(TokenForm::bare)
           : word == "nested"    ? std::optional(TokenForm::nested)
           : word == "encrypted" ? std::optional(TokenForm::encrypted)
                                 : std::nullopt;
}

template <class Enum>
std::string all_names(std::size_t count) {
    jwt::EnumSet<Enum> all;
    for (std::size_t i = 0; i < count; ++i) {
        all.add(static_cast<Enum>(i));
    }
    return names(all);
}

}  // namespace

char* set_accept(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    LocationConfig& config = location_config(conf);
    if (config.accept != nullptr) {
        return is_duplicate();
    }
    auto* accepted = make_in_pool<AcceptedForms>(cf->pool, AcceptedForms{{}, Origin::here(cf)});
    for (const ngx_str_t& word : words(cf).subspan(1)) {
        const auto form = form_named(view(word));
        if (!form) {
            return config_error(cf, "unknown form of token " + quoted(view(word)) +
                                        ": write signed, nested, encrypted, or several of them");
        }
        if (accepted->forms.has(*form)) {
            return config_error(cf, "form of token " + quoted(view(word)) + " is named twice: write it once");
        }
        accepted->forms.add(*form);
    }
    config.accept = accepted;
    return NGX_CONF_OK;
}

char* set_decryption_key(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    LocationConfig& config = location_config(conf);
    if (config.decryption_keys == nullptr) {
        config.decryption_keys = make_in_pool<DecryptionKeys>(cf->pool);
        config.decryption_keys->origin = Origin::here(cf);
        config.decryption_keys->recipe = note_recipe(cf, {&config.decryption_keys->sources, {}, false, std::nullopt});
    }
    DecryptionKeys& own = *config.decryption_keys;
    char* const read = read_key_file(cf, own.sources, KeySources::Kind::decryption_key, view(words(cf)[1]));
    if (read == NGX_CONF_OK) {
        auto made = make_keys(key_files(cf).recipes[own.recipe], own.sources);
        own.keys = std::make_shared<const jwt::KeySet>(std::move(made.value().decrypting));
    }
    return read;
}

char* set_encrypt(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    LocationConfig& config = location_config(conf);
    if (config.encryption != nullptr) {
        return is_duplicate();
    }
    const auto given = words(cf).subspan(1);
    auto* how = make_in_pool<Encryption>(cf->pool);
    how->origin = Origin::here(cf);
    if (given.size() == 1 && view(given[0]) == "off") {
        how->on = false;
        config.encryption = how;
        return NGX_CONF_OK;
    }
    if (given.size() != 3) {
        return config_error(cf,
                            "jwt_encrypt takes an algorithm for the key, one for the content, and the recipient's key "
                            "file, as in: jwt_encrypt ECDH-ES A256GCM /etc/nginx/recipient.jwk; or \"off\" alone");
    }
    const auto management = jwt::key_management_named(view(given[0]));
    if (!management) {
        return config_error(cf, "unknown algorithm " + quoted(view(given[0])) + ": write one of " +
                                    all_names<jwt::KeyManagement>(jwt::key_management_count));
    }
    const auto encryption = jwt::content_encryption_named(view(given[1]));
    if (!encryption) {
        return config_error(cf, "unknown content encryption " + quoted(view(given[1])) + ": write one of " +
                                    all_names<jwt::ContentEncryption>(jwt::content_encryption_count));
    }
    how->management = *management;
    how->encryption = *encryption;
    if (char* const read = read_key_file(cf, how->sources, KeySources::Kind::encryption_key, view(given[2]));
        read != NGX_CONF_OK) {
        return read;
    }
    how->recipe = note_recipe(cf, {&how->sources, {}, false, std::nullopt, false, std::pair(*management, *encryption)});
    auto made = make_keys(key_files(cf).recipes[how->recipe], how->sources);
    if (!made) {
        return config_error(cf, made.error());
    }
    how->key = std::move(made->encrypter);
    config.encryption = how;
    return NGX_CONF_OK;
}

}  // namespace ngx
