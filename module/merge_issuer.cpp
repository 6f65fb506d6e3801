#include "directives.hpp"
#include "issuers.hpp"
#include "key_files.hpp"

namespace ngx {

namespace {

std::optional<std::string> add_keys(ngx_conf_t* cf, const IssuerBlock& block, Keys& keys) {
    for (const auto& source : block.keys.sources) {
        auto problem = source.kind == KeySources::Kind::request
                           ? add_key_request(cf, source, block.algorithms, keys)
                           : add_verifying_keys(source, block.algorithms, keys.verifying, "\"algorithms\"");
        if (problem) {
            return problem;
        }
    }
    note_recipe(cf, {&block.keys, block.algorithms, true, std::nullopt}, keys);
    return std::nullopt;
}

}  // namespace

std::optional<std::string> add_issuer(ngx_conf_t* cf, const KeySources::Source& source, const LocationConfig& config,
                                      Keys& keys) {
    const auto& main = *static_cast<MainConfig*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_jwt_module));
    const IssuerBlock* block = main.issuers == nullptr ? nullptr : main.issuers->find(source.name);
    if (block == nullptr) {
        return "jwt_trust names " + quoted(source.name) + ", which is nobody: write jwt_issuer " + source.name +
               " { … } at http level";
    }
    for (const TrustedIssuer& other : keys.issuers) {
        for (const std::string& issuer : block->issuers) {
            if (std::find(other.policy.issuers.begin(), other.policy.issuers.end(), issuer) !=
                other.policy.issuers.end()) {
                return "jwt_trust names two issuers that are both " + quoted(issuer) +
                       ": a token's keys are those of one";
            }
        }
    }
    TrustedIssuer trusted{{}, block->algorithms, *config.policy};
    trusted.policy.issuers = block->issuers;
    if (!block->audiences.empty()) {
        trusted.policy.audiences = block->audiences;
    }
    trusted.policy.leeway = block->leeway.value_or(trusted.policy.leeway);
    if (auto problem = add_keys(cf, *block, trusted.keys)) {
        return "jwt_issuer " + block->name + ": " + *problem;
    }
    keys.issuers.push_back(std::move(trusted));
    return std::nullopt;
}

}  // namespace ngx
