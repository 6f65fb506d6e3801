#pragma once

#include "ngx.hpp"

#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "../core/error.hpp"
#include "../core/token.hpp"
#include "config.hpp"

namespace ngx {

/// A block `jwt_issuer`, as read.
struct IssuerBlock {
    std::string name;
    std::vector<std::string> issuers;  // values of `iss`
    KeySources keys;
    std::vector<std::string> audiences;          // none: those of the location
    std::optional<std::chrono::seconds> leeway;  // likewise
    jwt::AlgorithmSet algorithms;
};

/// All of a configuration.
struct IssuerBlocks {
    std::vector<std::unique_ptr<IssuerBlock>> blocks;

    [[nodiscard]] const IssuerBlock* find(std::string_view name) const noexcept;
};

/// What a token is verified by.
struct Rules {
    const Keys* keys;
    const jwt::AlgorithmSet* algorithms;
    const jwt::Policy* policy;
};

/// rules_for, where a location trusts issuers.
[[nodiscard]] tl::expected<Rules, jwt::Refusal> rules_by_issuer(const LocationConfig& config, jwt::json::Value payload);

/// The rules for a token of which nothing is known to be true: its `iss` picks among the trusted issuers, and no other
/// word of it has a say. Tokens of nobody among them are for the location's own keys; refused where it has none.
[[nodiscard]] inline tl::expected<Rules, jwt::Refusal> rules_for(const LocationConfig& config,
                                                                 jwt::json::Value payload) {
    if (config.keys != nullptr && !config.keys->issuers.empty()) {
        return rules_by_issuer(config, payload);
    }
    return Rules{config.keys, config.decode_algorithms, config.policy};
}

/// What the claims of an authentic token are checked by. Claims that nobody signed are the location's own affair: they
/// are refused where they name a trusted issuer, who did not make them.
[[nodiscard]] tl::expected<const jwt::Policy*, jwt::Refusal> policy_for(const LocationConfig& config,
                                                                        const jwt::AuthenticToken& token);

/// Whether an authentic token is signed, and by a key of the location's own, not of an issuer that it trusts. No other
/// is to be made into one of ours, which counts also where the first does not.
[[nodiscard]] bool is_own(const LocationConfig& config, const jwt::AuthenticToken& token);

/// Has a location trust the issuer that a source of `jwt_trust` names; an error sentence where it cannot. For merging,
/// once all else of the location is known.
[[nodiscard]] std::optional<std::string> add_issuer(ngx_conf_t* cf, const KeySources::Source& source,
                                                    const LocationConfig& config, Keys& keys);

}  // namespace ngx
