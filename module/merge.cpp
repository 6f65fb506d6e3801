#include "merge.hpp"
#include "../core/issuer.hpp"
#include "../core/verifier.hpp"
#include "content.hpp"
#include "counters.hpp"
#include "directives.hpp"
#include "guard.hpp"
#include "issuers.hpp"
#include "key_files.hpp"

// How a location takes over what its surroundings say, and the mistakes that show only when all of it is known.

namespace ngx {

KeySources::~KeySources() {
    for (Source& source : sources) {
        ngx_explicit_memzero(source.secret.data(), source.secret.size());
    }
}

namespace {

ngx_array_t* no_words() noexcept {
    return static_cast<ngx_array_t*>(NGX_CONF_UNSET_PTR);
}

jwt::Algorithm signing_algorithm(const LocationConfig& config) noexcept {
    return static_cast<jwt::Algorithm>(config.algorithm);
}

std::vector<std::string> strings(const ngx_array_t* list) {
    std::vector<std::string> texts;
    if (list != nullptr) {
        for (const ngx_str_t& word : std::span(static_cast<ngx_str_t*>(list->elts), list->nelts)) {
            texts.emplace_back(view(word));
        }
    }
    return texts;
}

/// What to write for keys that serve other algorithms than those allowed.
std::string advice(jwt::AlgorithmSet served, std::string_view allowed_by) {
    return served.empty() ? "it serves no signature algorithm"
                          : "write " + std::string(allowed_by) + " with one of " + names(served);
}

}  // namespace

std::optional<std::string> add_verifying_keys(const KeySources::Source& source, jwt::AlgorithmSet allowed,
                                              jwt::KeySet& into, std::string_view allowed_by) {
    if (source.kind == KeySources::Kind::secret) {
        const jwt::AlgorithmSet wanted = allowed & jwt::hmac_algorithms;
        if (wanted.empty()) {
            return "jwt_secret_key cannot be used with " + names(allowed) +
                   ": write jwt_decode_algorithms with one of " + names(jwt::hmac_algorithms) +
                   ", or remove the secret";
        }
        auto key = jwt::Key::from_secret(source.secret, wanted);
        if (!key) {
            return "jwt_secret_key " + key.error().message;
        }
        into.add(std::move(*key));
        return std::nullopt;
    }
    bool usable = false;
    for (const auto& key : source.keys.keys()) {
        if (!(key->verifies() & allowed).empty()) {
            into.add(source.kind == KeySources::Kind::private_key && !key->symmetric() ? key->public_half(key) : key);
            usable = true;
        }
    }
    if (!usable) {
        const auto& first = *source.keys.keys().front();
        return source.name + " is an " + first.description() + ", which " + names(allowed) +
               " cannot use: " + advice(source.keys.verifies(), allowed_by);
    }
    return std::nullopt;
}

tl::expected<std::shared_ptr<const jwt::Key>, std::string> find_signer(const KeySources& sources,
                                                                       jwt::Algorithm algorithm) {
    for (const auto& source : sources.sources) {
        if (source.kind == KeySources::Kind::private_key) {
            if (auto key = source.keys.signer(algorithm)) {
                return key;
            }
        } else if (source.kind == KeySources::Kind::secret && is_hmac(algorithm)) {
            auto key = jwt::Key::from_secret(source.secret, {algorithm});
            if (!key) {
                return tl::make_unexpected("jwt_secret_key " + key.error().message);
            }
            return *key;
        }
    }
    return nullptr;
}

bool has_kind(const KeySources& sources, KeySources::Kind kind) {
    return std::any_of(sources.sources.begin(), sources.sources.end(),
                       [&](const auto& source) { return source.kind == kind; });
}

namespace {

bool decides_keys(const LocationConfig& config) {
    return config.lua != nullptr && config.lua->file.has(Hook::decode_key);
}

std::optional<std::string> add_source(ngx_conf_t* cf, const KeySources::Source& source, const LocationConfig& config,
                                      Keys& keys) {
    switch (source.kind) {
        case KeySources::Kind::issuer:
            return add_issuer(cf, source, config, keys);
        case KeySources::Kind::request:
            return add_key_request(cf, source, *config.decode_algorithms, keys);
        case KeySources::Kind::secret:
        case KeySources::Kind::public_key:
        case KeySources::Kind::private_key:
        case KeySources::Kind::decryption_key:
        case KeySources::Kind::encryption_key:
            break;
    }
    return add_verifying_keys(source, *config.decode_algorithms, keys.verifying);
}

const void* server_of(ngx_conf_t* cf) noexcept {
    return ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
}

/// Makes the keys of a location that uses them.
char* prepare_keys(ngx_conf_t* cf, LocationConfig& config) {
    auto* keys = make_in_pool<Keys>(cf->pool);
    const bool public_given = has_kind(*config.key_sources, KeySources::Kind::public_key);
    for (const auto& source : config.key_sources->sources) {
        if (decides_keys(config) && source.kind == KeySources::Kind::issuer) {
            return config_error(cf, source.origin,
                                "jwt_trust and the hook \"decode_key\" both choose the keys of a token: remove one of "
                                "them");
        }
        // A private key verifies too, by its public half, unless public keys are named.
        if (decides_keys(config) || (source.kind == KeySources::Kind::private_key && public_given)) {
            continue;
        }
        if (const auto problem = add_source(cf, source, config, *keys)) {
            return config_error(cf, source.origin, *problem);
        }
    }
    auto signer = find_signer(*config.key_sources, signing_algorithm(config));
    if (!signer) {
        return config_error(cf, config.key_sources->sources.front().origin, signer.error());
    }
    for (const auto& source : config.key_sources->sources) {
        if (*signer == nullptr && source.kind == KeySources::Kind::private_key) {
            const auto& key = *source.keys.keys().front();
            return config_error(cf, source.origin,
                                source.name + " is an " + key.description() +
                                    ", which does not sign with jwt_algorithm " +
                                    std::string(jwt::name(signing_algorithm(config))) +
                                    ": write jwt_algorithm with one of " + names(key.signs()));
        }
    }
    keys->signer = std::move(*signer);
    note_recipe(cf,
                {config.key_sources, *config.decode_algorithms, !decides_keys(config),
                 keys->signer == nullptr ? std::nullopt : std::optional(signing_algorithm(config))},
                *keys);
    config.keys = keys;
    config.key_sources->made.push_back(
        {config.algorithm, *config.decode_algorithms, decides_keys(config), server_of(cf), keys});
    return NGX_CONF_OK;
}

const jwt::Policy* make_policy(ngx_conf_t* cf, const LocationConfig& config) {
    auto* policy = make_in_pool<jwt::Policy>(cf->pool);
    policy->audiences = strings(config.decode_audience);
    policy->issuers = strings(config.decode_issuer);
    policy->leeway = std::chrono::seconds(config.decode_leeway);
    policy->identity_claim = std::string(view(config.identity_claim));
    policy->verify_sub = config.verify_sub != 0;
    if (config.max_age != 0) {
        policy->max_age = std::chrono::seconds(config.max_age);
    }
    policy->profile = static_cast<jwt::Profile>(config.profile);
    return policy;
}

/// Loads the hooks file of a location into the checking host, and notes it for the workers.
char* bind_lua(ngx_conf_t* cf, LocationConfig& config) {
    auto& main = *static_cast<MainConfig*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_jwt_module));
    if (main.lua == nullptr) {
        main.lua = make_in_pool<LuaFiles>(cf->pool);
        auto host = LuaHost::create(main.lua_limits == nullptr ? LuaLimits{} : *main.lua_limits);
        if (!host) {
            return config_error(cf, *config.lua_origin, host.error());
        }
        main.lua->checker = std::move(*host);
    }
    const std::string path(view(config.lua_file));
    const std::string search_path(view(config.lua_path));
    auto file = main.lua->checker->load(path, search_path, main.lua->sources);
    if (!file) {
        return config_error(cf, *config.lua_origin, file.error());
    }
    if (file->index == main.lua->files.size()) {
        main.lua->files.push_back({path, search_path});
    }
    config.lua = make_in_pool<LuaBinding>(cf->pool, LuaBinding{std::move(*file), path});
    return NGX_CONF_OK;
}

char* check_handler(ngx_conf_t* cf, const LocationConfig& config) {
    if (config.lua == nullptr) {
        return config_error(cf, *config.handler_origin, "jwt_handler needs a hooks file: write jwt_lua_file");
    }
    const auto& names = config.lua->file.handlers;
    if (std::find(names.begin(), names.end(), view(config.handler)) == names.end()) {
        return config_error(cf, *config.handler_origin,
                            "no handler " + quoted(view(config.handler)) + " in " + quoted(config.lua->path) +
                                ": write a function of that name into its table \"handlers\"");
    }
    return NGX_CONF_OK;
}

void merge_cookie(CookieConfig& conf, const CookieConfig& prev, bool refresh) {
    const auto merge = [](ngx_str_t& field, const ngx_str_t& outer, std::string_view fallback) {
        if (field.data == nullptr) {
            field = outer.data == nullptr ? str(fallback) : outer;
        }
    };
    merge(conf.name, prev.name, refresh ? "refresh_token_cookie" : "access_token_cookie");
    merge(conf.path, prev.path, "/");
    merge(conf.csrf_header_name, prev.csrf_header_name, "X-CSRF-TOKEN");
    merge(conf.csrf_field_name, prev.csrf_field_name, "csrf_token");
    merge(conf.csrf_cookie_name, prev.csrf_cookie_name, refresh ? "csrf_refresh_token" : "csrf_access_token");
    merge(conf.csrf_cookie_path, prev.csrf_cookie_path, "/");
}

ngx_array_t* make_words(ngx_conf_t* cf, std::initializer_list<std::string_view> texts) {
    ngx_array_t* list = ngx_array_create(cf->pool, texts.size(), sizeof(ngx_str_t));
    if (list == nullptr) {
        throw std::bad_alloc();
    }
    for (const std::string_view text : texts) {
        *static_cast<ngx_str_t*>(ngx_array_push(list)) = str(text);
    }
    return list;
}

void merge_words(ngx_array_t*& list, ngx_array_t* outer, ngx_array_t* fallback) {
    if (list == no_words()) {
        list = outer == no_words() ? fallback : outer;
    }
}

void merge_texts(LocationConfig& conf, const LocationConfig& prev) {
    const auto merge = [&](ngx_str_t LocationConfig::*field, std::string_view fallback) {
        if ((conf.*field).data == nullptr) {
            conf.*field = (prev.*field).data == nullptr ? str(fallback) : prev.*field;
        }
    };
    merge(&LocationConfig::header_name, "Authorization");
    merge(&LocationConfig::header_type, "Bearer");
    merge(&LocationConfig::query_string_name, "jwt");
    merge(&LocationConfig::query_string_value_prefix, "");
    merge(&LocationConfig::json_key, "access_token");
    merge(&LocationConfig::refresh_json_key, "refresh_token");
    merge(&LocationConfig::cookie_domain, "");
    merge(&LocationConfig::cookie_samesite, "");
    merge(&LocationConfig::encode_issuer, "");
    merge(&LocationConfig::identity_claim, "sub");
    merge(&LocationConfig::error_message_key, "msg");
    merge(&LocationConfig::realm, "restricted");
    merge_cookie(conf.access_cookie, prev.access_cookie, false);
    merge_cookie(conf.refresh_cookie, prev.refresh_cookie, true);
}

void merge_values(ngx_conf_t* cf, LocationConfig& conf, const LocationConfig& prev) {
    const auto merge = [](auto& field, auto outer, auto unset, auto fallback) {
        if (field == unset) {
            field = outer == unset ? fallback : outer;
        }
    };
    const auto flag = [&](ngx_flag_t LocationConfig::*field, ngx_flag_t fallback) {
        merge(conf.*field, prev.*field, ngx_flag_t{NGX_CONF_UNSET}, fallback);
    };
    flag(&LocationConfig::cookie_secure, 0);
    flag(&LocationConfig::session_cookie, 1);
    flag(&LocationConfig::cookie_csrf_protect, 1);
    flag(&LocationConfig::csrf_in_cookies, 1);
    flag(&LocationConfig::csrf_check_form, 0);
    flag(&LocationConfig::encode_nbf, 1);
    flag(&LocationConfig::verify_sub, 1);
    flag(&LocationConfig::close_on_expiry, 0);
    const auto duration = [&](time_t LocationConfig::*field, time_t fallback) {
        merge(conf.*field, prev.*field, time_t{NGX_CONF_UNSET}, fallback);
    };
    duration(&LocationConfig::decode_leeway, 0);
    duration(&LocationConfig::cookie_refresh, 0);
    duration(&LocationConfig::access_token_expires, 15 * 60);
    duration(&LocationConfig::refresh_token_expires, 30 * 24 * 60 * 60);
    merge_words(conf.csrf_methods, prev.csrf_methods, make_words(cf, {"POST", "PUT", "PATCH", "DELETE"}));
    merge_words(conf.exempt_methods, prev.exempt_methods, make_words(cf, {"OPTIONS"}));
    merge_words(conf.decode_audience, prev.decode_audience, nullptr);
    merge_words(conf.decode_issuer, prev.decode_issuer, nullptr);
    merge_words(conf.encode_audience, prev.encode_audience, nullptr);
    if (conf.required == nullptr) {
        conf.required = prev.required;
    }
    if (conf.token_locations == nullptr) {
        conf.token_locations =
            prev.token_locations != nullptr
                ? prev.token_locations
                : make_in_pool<TokenLocations>(cf->pool, TokenLocations{{TokenLocation::headers}, 1});
    }
}

/// The algorithms allowed when decoding follow jwt_algorithm of the same level where they are not named there.
void merge_algorithms(ngx_conf_t* cf, LocationConfig& conf, const LocationConfig& prev) {
    const bool own = conf.algorithm != NGX_CONF_UNSET_UINT;
    if (!own) {
        conf.algorithm =
            prev.algorithm == NGX_CONF_UNSET_UINT ? static_cast<ngx_uint_t>(jwt::Algorithm::hs256) : prev.algorithm;
    }
    if (conf.decode_algorithms == nullptr && !own) {
        conf.decode_algorithms = prev.decode_algorithms;
    }
    if (conf.decode_algorithms == nullptr) {
        conf.decode_algorithms = make_in_pool<jwt::AlgorithmSet>(cf->pool, jwt::AlgorithmSet{signing_algorithm(conf)});
    }
}

char* merge_lua(ngx_conf_t* cf, LocationConfig& conf, const LocationConfig& prev) {
    const bool own_path = conf.lua_path.data != nullptr;
    const bool own_file = conf.lua_file.data != nullptr;
    if (!own_path) {
        conf.lua_path = prev.lua_path;
    }
    if (!own_file) {
        conf.lua_file = prev.lua_file;
        conf.lua_origin = prev.lua_origin;
    }
    if (conf.lua_file.len == 0) {
        return NGX_CONF_OK;
    }
    if (!own_file && !own_path && prev.lua != nullptr) {
        conf.lua = prev.lua;
        return NGX_CONF_OK;
    }
    return bind_lua(cf, conf);
}

char* merge_keys(ngx_conf_t* cf, LocationConfig& conf, const LocationConfig& prev) {
    const bool active = is_protected(conf) || verifies_tokens(conf.content);
    if (conf.key_sources == nullptr) {
        conf.key_sources = prev.key_sources;
    }
    if (!active) {
        return NGX_CONF_OK;
    }
    if (conf.key_sources != nullptr) {
        for (const KeySources::Made& made : conf.key_sources->made) {
            // Each location trusts issuers by its own claims, and each server has key locations of its own.
            if (made.algorithm == conf.algorithm && made.decode_algorithms == *conf.decode_algorithms &&
                made.hook_decides == decides_keys(conf) && made.keys->issuers.empty() &&
                (made.keys->requests.empty() || made.server == server_of(cf))) {
                conf.keys = made.keys;
                return NGX_CONF_OK;
            }
        }
        return prepare_keys(cf, conf);
    }
    if (is_protected(conf) && !decides_keys(conf)) {
        return config_error(cf, conf.required->origin,
                            "jwt_required has no key to verify tokens with: write jwt_secret_key, jwt_public_key or "
                            "jwt_key_request here "
                            "or around it, or a hook \"decode_key\"");
    }
    return NGX_CONF_OK;
}

}  // namespace

bool takes_own_tokens(const LocationConfig& config) {
    jwt::TokenRequest sample;
    sample.identity = "\"\"";
    const auto token = jwt::issue(sample, *config.keys->signer, signing_algorithm(config), jwt::Time());
    jwt::Verifier verifier;
    auto parsed = verifier.parse(token ? std::string_view(*token) : std::string_view());
    return parsed && jwt::Verifier::authenticate(std::move(*parsed), config.keys->verifying, *config.decode_algorithms);
}

namespace {

/// Why no session slides in a location, in that its tokens are not those that are renewed; nothing where it may.
std::string_view idle_cookie_refresh(const LocationConfig& config) {
    const Requirement& required = *config.required;
    const TokenLocations& places = required.locations.count != 0 ? required.locations : *config.token_locations;
    if (std::find(places.begin(), places.end(), TokenLocation::cookies) == places.end()) {
        return "jwt_cookie_refresh renews tokens in cookies, and none are looked for there: write jwt_token_location "
               "with cookies";
    }
    if (required.use == jwt::TokenUse::refresh) {
        return "jwt_cookie_refresh renews access tokens, and jwt_required asks for refresh tokens: write \"off\"";
    }
    if (!required.check_revocation) {
        return "jwt_cookie_refresh would renew revoked tokens: remove skip_revocation_check of jwt_required";
    }
    return {};
}

/// Why the tokens that jwt_cookie_refresh would hand out are of no use; nothing where they are.
std::string useless_cookie_refresh(const LocationConfig& config) {
    const std::string algorithm(jwt::name(signing_algorithm(config)));
    if (config.access_token_expires == 0) {
        return "jwt_cookie_refresh would make sessions that end into some that never do: write "
               "jwt_access_token_expires with a time";
    }
    if (decides_keys(config)) {
        return "jwt_cookie_refresh signs with the key of the location, and the hook \"decode_key\" may want another: "
               "remove one of them";
    }
    if (config.keys == nullptr || config.keys->signer == nullptr) {
        return "jwt_cookie_refresh has no key that signs with jwt_algorithm " + algorithm +
               ": write jwt_secret_key or jwt_private_key";
    }
    if (!takes_own_form(config)) {
        return "jwt_cookie_refresh would hand out tokens that are refused: let jwt_accept and jwt_decryption_key take "
               "what "
               "jwt_encrypt makes";
    }
    if (!takes_own_tokens(config)) {
        return "jwt_cookie_refresh would hand out tokens that are refused: let jwt_decode_algorithms and the keys that "
               "verify take those that the signing key makes with jwt_algorithm " +
               algorithm;
    }
    return {};
}

/// Inherited, jwt_cookie_refresh leaves locations alone whose tokens it does not renew.
char* check_cookie_refresh(ngx_conf_t* cf, const LocationConfig& config, bool own) {
    own = own && is_location(cf);  // what a server says is for its locations
    if (config.cookie_refresh == 0 || !is_protected(config)) {
        return NGX_CONF_OK;
    }
    if (const std::string_view idle = idle_cookie_refresh(config); !idle.empty()) {
        return own ? config_error(cf, *config.cookie_refresh_origin, idle) : NGX_CONF_OK;
    }
    const std::string useless = useless_cookie_refresh(config);
    return useless.empty() ? NGX_CONF_OK : config_error(cf, *config.cookie_refresh_origin, useless);
}

void note_uses(ngx_conf_t* cf, LocationConfig& conf) noexcept {
    auto& uses = static_cast<MainConfig*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_jwt_module))->uses;
    const bool any = core_config(cf).satisfy == NGX_HTTP_SATISFY_ANY;
    const bool judges = is_protected(conf);
    const bool renews = judges && conf.cookie_refresh != 0;
    conf.settles = judges && (renews || conf.close_on_expiry != 0 || conf.content == Content::logout ||
                              conf.content == Content::refresh);
    uses.judging = uses.judging || judges;
    uses.content = uses.content || conf.content != Content::none;
    uses.settling = uses.settling || conf.settles || any;
    uses.satisfy_any = uses.satisfy_any || (judges && any);
    uses.renewal = uses.renewal || renews;
}

/// Who says for a location alone how tokens are verified hardly means it to be open. `conf` is as it was read.
void warn_of_open_location(ngx_conf_t* cf, const LocationConfig& conf, const LocationConfig& prev) noexcept {
    const KeySources* keys = conf.key_sources;
    if (!is_location(cf)) {
        auto& main = *static_cast<MainConfig*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_jwt_module));
        if (keys == nullptr) {
            keys = prev.key_sources;
        }
        if (keys != nullptr && main.common_keys == nullptr) {
            main.common_keys = &keys->sources.front().origin;
        }
        return;
    }
    const Origin* said = keys != nullptr ? &keys->sources.front().origin : conf.profile_origin;
    const bool open = conf.required == nullptr && prev.required == nullptr && conf.content == Content::none;
    if (open && core_config(cf).locations == nullptr && said != nullptr) {
        config_warning(cf, *said,
                       "a location asks nobody for a token, and says how to verify one: write jwt_required into it, or "
                       "\"jwt_required off\"");
    }
}

char* merge(ngx_conf_t* cf, LocationConfig& conf, const LocationConfig& prev) {
    const bool own_refresh = conf.cookie_refresh_origin != nullptr;
    const bool own_content = !takes_over_content(cf, conf, prev);
    if (!own_refresh) {
        conf.cookie_refresh_origin = prev.cookie_refresh_origin;
    }
    warn_of_open_location(cf, conf, prev);
    if (check_one_content(cf, conf) != NGX_CONF_OK) {
        return failed();
    }
    merge_texts(conf, prev);
    merge_values(cf, conf, prev);
    conf.counted_as = is_protected(conf) ? location_row(cf) : no_row;
    merge_algorithms(cf, conf, prev);
    merge_revocation(cf, conf, prev);
    if (merge_lua(cf, conf, prev) != NGX_CONF_OK || merge_replication(cf, conf, prev) != NGX_CONF_OK) {
        return failed();
    }
    if (merge_claims(cf, conf, prev) != NGX_CONF_OK) {
        return failed();
    }
    conf.policy = make_policy(cf, conf);
    if (own_content && conf.handler.data != nullptr && check_handler(cf, conf) != NGX_CONF_OK) {
        return failed();
    }
    if (merge_keys(cf, conf, prev) != NGX_CONF_OK || merge_encryption(cf, conf, prev) != NGX_CONF_OK) {
        return failed();
    }
    if (check_profile(cf, conf) != NGX_CONF_OK) {
        return failed();
    }
    if (own_content && prepare_publication(cf, conf) != NGX_CONF_OK) {
        return failed();
    }
    if (check_content(cf, conf) != NGX_CONF_OK) {  // limit_except may ask for another token
        return failed();
    }
    note_uses(cf, conf);
    return check_cookie_refresh(cf, conf, own_refresh);
}

}  // namespace

void* create_main_config(ngx_conf_t* cf) noexcept {
    auto* config = static_cast<MainConfig*>(ngx_pcalloc(cf->pool, sizeof(MainConfig)));
    if (config == nullptr || ngx_array_init(&config->variables, cf->pool, 8, sizeof(ngx_uint_t)) != NGX_OK) {
        return nullptr;
    }
    return config;
}

void* create_location_config(ngx_conf_t* cf) noexcept {
    auto* config = static_cast<LocationConfig*>(ngx_pcalloc(cf->pool, sizeof(LocationConfig)));
    if (config == nullptr) {
        return nullptr;
    }
    config->cookie_secure = NGX_CONF_UNSET;
    config->session_cookie = NGX_CONF_UNSET;
    config->cookie_csrf_protect = NGX_CONF_UNSET;
    config->cookie_refresh = NGX_CONF_UNSET;
    config->csrf_in_cookies = NGX_CONF_UNSET;
    config->csrf_check_form = NGX_CONF_UNSET;
    config->encode_nbf = NGX_CONF_UNSET;
    config->verify_sub = NGX_CONF_UNSET;
    config->close_on_expiry = NGX_CONF_UNSET;
    config->decode_leeway = NGX_CONF_UNSET;
    config->access_token_expires = NGX_CONF_UNSET;
    config->refresh_token_expires = NGX_CONF_UNSET;
    config->max_age = NGX_CONF_UNSET;
    config->profile = NGX_CONF_UNSET_UINT;
    config->csrf_methods = no_words();
    config->exempt_methods = no_words();
    config->decode_audience = no_words();
    config->decode_issuer = no_words();
    config->encode_audience = no_words();
    config->algorithm = NGX_CONF_UNSET_UINT;
    config->revocation_checks = NGX_CONF_UNSET_UINT;
    return config;
}

char* merge_location_config(ngx_conf_t* cf, void* parent, void* child) noexcept {
    return guarded(cf->log, failed(), [&] {
        return merge(cf, *static_cast<LocationConfig*>(child), *static_cast<const LocationConfig*>(parent));
    });
}

}  // namespace ngx
