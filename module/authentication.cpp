#include "authentication.hpp"

#include "counters.hpp"
#include "decryption.hpp"
#include "worker.hpp"

namespace ngx {

tl::expected<jwt::UnverifiedToken, jwt::Refusal> parse_token(std::string_view text) {
    Worker& own = worker();
    return own.cache == nullptr ? own.verifier.parse(text) : own.cache->parse(text, own.verifier);
}

std::optional<jwt::UnverifiedToken> known_nested_token(const LocationConfig& config, std::string_view text) {
    jwt::TokenCache* cache = worker().cache.get();
    const auto keys = decryption_keys(config);
    return cache == nullptr || keys == nullptr ? std::nullopt : cache->parsed_nested(text, *keys);
}

tl::expected<jwt::AuthenticToken, jwt::Refusal> authenticate_token(jwt::UnverifiedToken&& token,
                                                                   const jwt::KeySet& keys, jwt::AlgorithmSet allowed) {
    jwt::TokenCache* cache = worker().cache.get();
    if (cache == nullptr) {
        return jwt::Verifier::authenticate(std::move(token), keys, allowed);
    }
    if (auto known = cache->find(token, keys, allowed)) {
        count(Counter::cache_hits);
        return std::move(*known);
    }
    count(Counter::cache_misses);
    auto authentic = jwt::Verifier::authenticate(std::move(token), keys, allowed);
    if (authentic) {
        const std::uint64_t evicted = cache->counts().evictions;
        authentic = cache->insert(std::move(*authentic), keys);
        count(Counter::cache_evictions, cache->counts().evictions - evicted);
    }
    return authentic;
}

}  // namespace ngx
