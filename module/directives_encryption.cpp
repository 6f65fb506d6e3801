#include "decryption.hpp"
#include "directives.hpp"
#include "file.hpp"
#include "guard.hpp"

// jwt_accept, jwt_decryption_key, jwt_encrypt.

namespace ngx {

namespace {

constexpr std::size_t max_key_file = 1024 * 1024;

struct KeyFile {
    jwt::KeySet keys;
    std::string called;  // the directive with its file, for messages
};

/// The keys of a file; an error sentence.
tl::expected<KeyFile, std::string> read_keys(ngx_conf_t* cf, ngx_command_t* cmd, std::string_view word) {
    const std::string path = full_path(cf, word);
    std::string called = directive(cmd) + " " + quoted(path);
    const auto text = file_contents(path, max_key_file);
    if (!text) {
        return tl::make_unexpected(called + " " + text.error());
    }
    std::vector<std::string> complaints;
    auto keys = jwt::KeySet::from_text(*text, &complaints);
    if (!keys) {
        return tl::make_unexpected(called + " " + keys.error().message);
    }
    for (const std::string& complaint : complaints) {
        log(cf->log, NGX_LOG_WARN, called + ": ", complaint);
    }
    return KeyFile{std::move(*keys), std::move(called)};
}

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

char* set_decryption_key(ngx_conf_t* cf, ngx_command_t* cmd, void* conf) {
    LocationConfig& config = location_config(conf);
    const auto file = read_keys(cf, cmd, view(words(cf)[1]));
    if (!file) {
        return config_error(cf, file.error());
    }
    if (file->keys.decrypts().empty()) {
        const jwt::Key& first = *file->keys.keys().front();
        return config_error(cf, file->called + " holds no key that decrypts (" + first.description() +
                                    "): name a private key or a secret whose use, alg and key_ops allow it");
    }
    if (config.decryption_keys == nullptr) {
        config.decryption_keys = make_in_pool<DecryptionKeys>(cf->pool);
        config.decryption_keys->origin = Origin::here(cf);
    }
    for (const auto& key : file->keys.keys()) {
        if (!key->decrypts().empty()) {
            config.decryption_keys->keys->add(key);
        }
    }
    return NGX_CONF_OK;
}

char* set_encrypt(ngx_conf_t* cf, ngx_command_t* cmd, void* conf) {
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
    const auto file = read_keys(cf, cmd, view(given[2]));
    if (!file) {
        return config_error(cf, file.error());
    }
    how->key = file->keys.encrypter(*management, *encryption);
    how->management = *management;
    how->encryption = *encryption;
    if (how->key == nullptr) {
        const jwt::Key& first = *file->keys.keys().front();
        const std::string served = names(first.encrypts());
        return config_error(cf, file->called + " is a " + first.description() + ", which does not encrypt with " +
                                    std::string(name(*management)) + " and " + std::string(name(*encryption)) +
                                    (served.empty() ? ": name a key for encryption"
                                                    : ": it serves " + served + names(first.direct_encryptions())));
    }
    config.encryption = how;
    return NGX_CONF_OK;
}

}  // namespace ngx
