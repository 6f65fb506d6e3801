#include "issuers.hpp"

#include <algorithm>

namespace ngx {

namespace {

bool names(const TrustedIssuer& trusted, std::string_view issuer) {
    const auto& known = trusted.policy.issuers;
    return std::find(known.begin(), known.end(), issuer) != known.end();
}

}  // namespace

tl::expected<Rules, jwt::Refusal> rules_by_issuer(const LocationConfig& config, jwt::json::Value payload) {
    const auto claim = payload.member("iss");
    const auto issuer = claim ? claim->string() : std::nullopt;
    for (const TrustedIssuer& trusted : config.keys->issuers) {
        if (issuer && names(trusted, *issuer)) {
            return Rules{&trusted.keys, &trusted.algorithms, &trusted.policy};
        }
    }
    if (!config.keys->verifying.empty() || !config.keys->requests.empty()) {
        return Rules{config.keys, config.decode_algorithms, config.policy};
    }
    return tl::unexpected(jwt::refusal(!claim    ? jwt::Error::iss_missing
                                       : !issuer ? jwt::Error::iss_type
                                                 : jwt::Error::iss_mismatch));
}

tl::expected<const jwt::Policy*, jwt::Refusal> policy_for(const LocationConfig& config,
                                                          const jwt::AuthenticToken& token) {
    const auto rules = rules_for(config, token.payload());
    if (token.algorithm()) {
        return rules.map([](const Rules& found) { return found.policy; });
    }
    if (rules && rules->policy != config.policy) {
        return tl::unexpected(jwt::refusal(jwt::Error::iss_mismatch));
    }
    return config.policy;
}

bool is_own(const LocationConfig& config, const jwt::AuthenticToken& token) {
    return token.algorithm() && policy_for(config, token) == config.policy;
}

const IssuerBlock* IssuerBlocks::find(std::string_view name) const noexcept {
    const auto found =
        std::find_if(blocks.begin(), blocks.end(), [name](const auto& block) { return block->name == name; });
    return found == blocks.end() ? nullptr : found->get();
}

}  // namespace ngx
