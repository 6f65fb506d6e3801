#pragma once

#include "ngx.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "../core/algorithm.hpp"
#include "../core/key.hpp"
#include "../core/policy.hpp"
#include "key_request.hpp"
#include "lua_host.hpp"
#include "status.hpp"

namespace ngx {

/// Where a directive stands, for mistakes that are found when configurations are merged.
struct Origin {
    ngx_str_t file{};
    ngx_uint_t line = 0;

    [[nodiscard]] static Origin here(const ngx_conf_t* cf) noexcept;
};

/// Reports a mistake as nginx does, with the file and line of `origin`. Always NGX_CONF_ERROR.
char* config_error(ngx_conf_t* cf, const Origin& origin, std::string_view sentence) noexcept;
/// At the directive that is being read.
char* config_error(ngx_conf_t* cf, std::string_view sentence) noexcept;
/// The same, of what is taken though it is hardly meant.
void config_warning(ngx_conf_t* cf, const Origin& origin, std::string_view sentence) noexcept;
void config_warning(ngx_conf_t* cf, std::string_view sentence) noexcept;

/// Whether a list of methods, of jwt_exempt_methods or jwt_csrf_methods, has this one.
[[nodiscard]] inline bool names_method(const ngx_array_t& methods, std::string_view method) noexcept {
    for (const ngx_str_t& name : std::span(static_cast<const ngx_str_t*>(methods.elts), methods.nelts)) {
        if (view(name) == method) {
            return true;
        }
    }
    return false;
}

enum class TokenLocation : std::uint8_t { headers, cookies, query_string, json };

[[nodiscard]] std::string_view name(TokenLocation location) noexcept;

/// Places in the order in which they are searched.
struct TokenLocations {
    std::array<TokenLocation, 4> order{};
    std::uint8_t count = 0;

    [[nodiscard]] const TokenLocation* begin() const noexcept { return order.data(); }
    [[nodiscard]] const TokenLocation* end() const noexcept { return order.data() + count; }
};

/// One `jwt_required`.
struct Requirement {
    bool on = true;
    bool optional = false;
    bool fresh = false;
    bool check_revocation = true;
    jwt::TokenUse use = jwt::TokenUse::access;
    TokenLocations locations;                       // none: those of jwt_token_location
    ngx_http_complex_value_t* condition = nullptr;  // `if=`
    Origin origin;
};

/// Of a source that is in no file.
inline constexpr std::size_t no_file = static_cast<std::size_t>(-1);

/// The key directives of one level, as read. Inherited as a whole.
struct KeySources {
    enum class Kind : std::uint8_t { secret, public_key, private_key, request, issuer, decryption_key, encryption_key };
    struct Source {
        Kind kind;
        std::string name;    // of the directive, with its file: `jwt_public_key "rsa.pem"`; of Kind::issuer its own
        std::string secret;  // of Kind::secret
        jwt::KeySet keys;    // of key files
        Origin origin;
        std::string uri{};           // of Kind::request
        KeyTimes times{};            // likewise
        std::size_t file = no_file;  // among KeyFiles
    };
    std::vector<Source> sources;

    /// What locations made of them: those of the same rules share their keys, and what is known of their tokens.
    struct Made {
        ngx_uint_t algorithm;
        jwt::AlgorithmSet decode_algorithms;
        bool hook_decides;
        const void* server;  // the one whose locations tell its keys, where some are fetched
        const struct Keys* keys;
    };
    std::vector<Made> made;

    ~KeySources();
};

struct TrustedIssuer;

/// Keys as requests use them.
struct Keys {
    jwt::KeySet verifying;
    std::shared_ptr<const jwt::Key> signer;     // of jwt_algorithm; may be null
    std::vector<const KeyRequest*> requests{};  // what is verified with beside them: see LiveKeys
    std::size_t index = 0;                      // among those that have requests
    std::size_t recipe = no_file;               // among KeyFiles::recipes, where some of them are in files
    std::vector<TrustedIssuer> issuers;         // who have keys of their own
};

/// An issuer as a location trusts it: what verifies its tokens verifies nobody else's.
struct TrustedIssuer {
    Keys keys;
    jwt::AlgorithmSet algorithms;
    jwt::Policy policy;  // names its `iss`
};

/// A hooks file as a location uses it: the file is loaded in every worker under the same index.
struct LuaBinding {
    LuaFile file;
    std::string path;
};

/// `jwt_revocation_max_staleness`.
struct Staleness {
    time_t seconds = 0;  // 0: off
    bool closes = false;
    Origin origin;
};

/// What makes the content of a location, where it is one of ours: a directive each.
enum class Content : std::uint8_t {
    none,
    handler,
    status,
    logout,
    refresh,
    revoke,
    introspect,
    revocations,
    jwks,
    discovery
};

/// What locations ask for: nginx is given no function to call that would never have anything to do.
struct Uses {
    bool judging;      // jwt_required
    bool content;      // jwt_handler and its kin
    bool settling;     // LocationConfig::settles, or `satisfy any` of any location
    bool satisfy_any;  // beside jwt_required
    bool renewal;      // jwt_cookie_refresh
};

/// http{} alone.
struct MainConfig {
    Uses uses;
    LuaLimits* lua_limits;
    struct ReplicationConfig* replication;  // null without jwt_revocation_sync
    const std::size_t* cache;               // bytes; 0: off, null: as much as is usual
    ngx_array_t variables;  // ngx_uint_t: indices of our variables, whose values end when a request is judged anew
    struct LuaFiles* lua;   // what is to be loaded
    struct CountersConfig* counters;  // null where nothing is counted
    struct RevocationConfig* revocation;
    time_t longest_leeway;  // of all locations
    KeyRequests* key_requests;
    struct IssuerBlocks* issuers;
    struct KeyFiles* key_files;
    const Origin* common_keys;  // those that a server or http{} names; null where none does
};

struct LuaFileSpec {
    std::string path;
    std::string search_path;
};

/// All hooks files of a configuration in loading order, their sources, and, while configuration is read, the host that
/// checks them.
struct LuaFiles {
    std::vector<LuaFileSpec> files;
    LuaSources sources;
    std::unique_ptr<LuaHost> checker;
};

/// Cookie directives of one kind of token.
struct CookieConfig {
    ngx_str_t name;
    ngx_str_t path;
    ngx_str_t csrf_header_name;
    ngx_str_t csrf_field_name;
    ngx_str_t csrf_cookie_name;
    ngx_str_t csrf_cookie_path;
};

struct AcceptedForms;   // decryption.hpp
struct DecryptionKeys;  // likewise
struct Encryption;      // likewise
struct Conditions;      // conditions.hpp
struct Publication;     // publishing.hpp

/// What `location` blocks say. Plain, as nginx's slot setters need it; requests see it as const.
struct LocationConfig {
    const Requirement* required;
    std::uint16_t counted_as;  // a Row of counters.hpp

    const TokenLocations* token_locations;
    ngx_str_t header_name;
    ngx_str_t header_type;
    ngx_str_t query_string_name;
    ngx_str_t query_string_value_prefix;
    ngx_str_t json_key;
    ngx_str_t refresh_json_key;

    CookieConfig access_cookie;
    CookieConfig refresh_cookie;
    ngx_flag_t cookie_secure;
    ngx_str_t cookie_domain;
    ngx_str_t cookie_samesite;
    ngx_flag_t session_cookie;
    time_t cookie_refresh;  // 0: off
    Origin* cookie_refresh_origin;
    ngx_flag_t cookie_csrf_protect;
    ngx_flag_t csrf_in_cookies;
    ngx_flag_t csrf_check_form;
    ngx_array_t* csrf_methods;  // ngx_str_t

    ngx_uint_t algorithm;  // a jwt::Algorithm
    const jwt::AlgorithmSet* decode_algorithms;
    KeySources* key_sources;
    const Keys* keys;
    const AcceptedForms* accept;
    DecryptionKeys* decryption_keys;
    const Encryption* encryption;

    ngx_array_t* decode_audience;  // ngx_str_t, as the others
    ngx_array_t* decode_issuer;
    ngx_array_t* encode_audience;
    ngx_str_t encode_issuer;
    time_t decode_leeway;
    ngx_flag_t encode_nbf;
    ngx_str_t identity_claim;
    ngx_flag_t verify_sub;
    time_t max_age;      // 0: any
    ngx_uint_t profile;  // a jwt::Profile
    Origin* profile_origin;
    Conditions* conditions;
    const jwt::Policy* policy;
    ngx_str_t error_message_key;
    time_t access_token_expires;  // 0: never
    time_t refresh_token_expires;

    const Staleness* max_staleness;  // null: off

    ngx_array_t* exempt_methods;  // ngx_str_t; "preflight" has its own meaning
    ngx_str_t realm;

    ngx_uint_t revocation_checks;  // RevocationChecks

    ngx_str_t lua_file;
    ngx_str_t lua_path;
    Origin* lua_origin;
    const LuaBinding* lua;
    ngx_str_t handler;
    Origin* handler_origin;
    ngx_flag_t close_on_expiry;
    Content content;
    Origin* content_origin;
    ngx_http_handler_pt content_handler;
    bool refresh_rotates;
    StatusFormat status_format;
    Publication* publication;  // of jwt_jwks or jwt_discovery
    bool settles;              // it matters to what the directives say whether all access handlers let a request in
};

/// nginx's own configuration of what is being read or merged.
[[nodiscard]] inline ngx_http_core_loc_conf_t& core_config(ngx_conf_t* cf) noexcept {
    return *static_cast<ngx_http_core_loc_conf_t*>(ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
}

/// Whether that is a location, not a server or http{}, whose directives are for the locations within.
[[nodiscard]] inline bool is_location(ngx_conf_t* cf) noexcept {
    return core_config(cf).name.len != 0;
}

/// Whether requests are judged in a location.
[[nodiscard]] inline bool is_protected(const LocationConfig& config) noexcept {
    return config.required != nullptr && config.required->on;
}

[[nodiscard]] inline const LocationConfig& location_config(const ngx_http_request_t* r) noexcept {
    return *static_cast<const LocationConfig*>(ngx_http_get_module_loc_conf(r, ngx_http_jwt_module));
}

[[nodiscard]] inline const MainConfig& main_config(const ngx_http_request_t* r) noexcept {
    return *static_cast<const MainConfig*>(ngx_http_get_module_main_conf(r, ngx_http_jwt_module));
}

[[nodiscard]] inline const CookieConfig& cookie_config(const LocationConfig& config, bool refresh) noexcept {
    return refresh ? config.refresh_cookie : config.access_cookie;
}

/// The command table and the life of configurations, for the module's definition.
extern ngx_command_t directives[];
void* create_main_config(ngx_conf_t* cf) noexcept;
void* create_location_config(ngx_conf_t* cf) noexcept;
char* merge_location_config(ngx_conf_t* cf, void* parent, void* child) noexcept;

}  // namespace ngx
