#pragma once

#include "config.hpp"

// The parts of merging a location's configuration with that around it, one file a topic. They may throw.

namespace ngx {

/// jwt_require_claim, jwt_require_header, jwt_max_age, jwt_profile. After the values of jwt_required and jwt_decode_*.
char* merge_claims(ngx_conf_t* cf, LocationConfig& conf, const LocationConfig& prev);

/// Whether the location says what jwt_profile needs. After keys.
char* check_profile(ngx_conf_t* cf, const LocationConfig& config);

/// jwt_accept, jwt_decryption_key, jwt_encrypt. After jwt_required.
char* merge_encryption(ngx_conf_t* cf, LocationConfig& conf, const LocationConfig& prev);

/// Whether a token that the location signs is one that its keys verify. It has a signing key.
[[nodiscard]] bool takes_own_tokens(const LocationConfig& config);

/// Whether a location takes tokens of the form that it issues, and can decrypt them.
[[nodiscard]] bool takes_own_form(const LocationConfig& config);

/// The document of jwt_jwks or jwt_discovery. After keys and jwt_algorithm.
char* prepare_publication(ngx_conf_t* cf, LocationConfig& conf);

}  // namespace ngx
