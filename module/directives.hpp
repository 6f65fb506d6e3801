#pragma once

#include "config.hpp"

#include <span>
#include <string>
#include <string_view>

// What the readers of directives share. They may throw std::bad_alloc: the command table guards them.

namespace ngx {

/// The words of the directive that is being read, its name first.
[[nodiscard]] inline std::span<ngx_str_t> words(const ngx_conf_t* cf) noexcept {
    return {static_cast<ngx_str_t*>(cf->args->elts), cf->args->nelts};
}

/// For a sentence of one line, which goes on behind a long word.
[[nodiscard]] inline std::string quoted(std::string_view text) {
    constexpr std::size_t longest = 512;
    std::string out = "\"";
    for (const char c : text.substr(0, longest)) {
        const auto byte = static_cast<unsigned char>(c);
        out += byte < 0x20 || byte == 0x7f ? '?' : c;
    }
    return out + (text.size() > longest ? "…\"" : "\"");
}

[[nodiscard]] inline std::string directive(const ngx_command_t* cmd) {
    return std::string(view(cmd->name));
}

[[nodiscard]] inline LocationConfig& location_config(void* conf) noexcept {
    return *static_cast<LocationConfig*>(conf);
}

/// nginx completes the sentence: `"NAME" directive is duplicate`.
[[nodiscard]] inline char* is_duplicate() noexcept {
    return const_cast<char*>("is duplicate");
}

[[nodiscard]] inline char* failed() noexcept {
    return static_cast<char*>(NGX_CONF_ERROR);
}

/// A path of the configuration, relative to its folder.
[[nodiscard]] std::string full_path(ngx_conf_t* cf, std::string_view path);

/// The key directives of the level that is being read.
[[nodiscard]] KeySources& key_sources(ngx_conf_t* cf, LocationConfig& config);

/// Reads the line of a key file, or of a provider's location, into these.
[[nodiscard]] char* read_key_file(ngx_conf_t* cf, KeySources& keys, KeySources::Kind kind, std::string_view file);
[[nodiscard]] char* read_key_request(ngx_conf_t* cf, KeySources& keys);

/// Adds the keys of a secret or file that `allowed` can use; an error sentence where it has none, which names the
/// directives that allow algorithms.
[[nodiscard]] std::optional<std::string> add_verifying_keys(
    const KeySources::Source& source, jwt::AlgorithmSet allowed, jwt::KeySet& into,
    std::string_view allowed_by = "jwt_algorithm or jwt_decode_algorithms");

/// The key that signs with jwt_algorithm: of jwt_private_key, or the secret; null where there is none.
[[nodiscard]] tl::expected<std::shared_ptr<const jwt::Key>, std::string> find_signer(const KeySources& sources,
                                                                                     jwt::Algorithm algorithm);

[[nodiscard]] bool has_kind(const KeySources& sources, KeySources::Kind kind);

/// Has a location's keys come from a provider too; an error sentence where no key of one serves these algorithms. For
/// merging, within the server of the location.
[[nodiscard]] std::optional<std::string> add_key_request(ngx_conf_t* cf, const KeySources::Source& source,
                                                         jwt::AlgorithmSet allowed, Keys& keys);

/// Adds one place to search for tokens; an error sentence where that is none or comes twice.
[[nodiscard]] std::optional<std::string> add_location(TokenLocations& locations, std::string_view text);

char* set_logout(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_refresh(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_revoke(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_introspect(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_revocations(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_revocation_store(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_revocation_checks(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_required(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_secret_key(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_accept(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_decryption_key(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_encrypt(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_key_file(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_cache(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_key_request(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_key_zone(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_key_file_check(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_issuer(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_trust(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_require_member(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_claim_variable(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_profile(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_jwks(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_discovery(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_revocation_sync(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);
char* set_revocation_max_staleness(ngx_conf_t* cf, ngx_command_t* cmd, void* conf);

/// jwt_revocation_max_staleness of a location.
[[nodiscard]] char* merge_replication(ngx_conf_t* cf, LocationConfig& conf, const LocationConfig& prev);

// What merge.cpp does with the directives of a file of their own.
/// Finds mistakes of a location whose content one of the module's directives makes.
char* check_content(ngx_conf_t* cf, const LocationConfig& config);
void merge_revocation(ngx_conf_t* cf, LocationConfig& conf, const LocationConfig& prev) noexcept;

}  // namespace ngx
