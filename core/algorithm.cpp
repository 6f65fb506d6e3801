#include "algorithm.hpp"

#include <array>

namespace jwt {

namespace {

// In the order of the enumerators.
constexpr std::array<std::string_view, algorithm_count> algorithm_names = {
    "HS256", "HS384", "HS512", "RS256", "RS384",  "RS512", "PS256",   "PS384",
    "PS512", "ES256", "ES384", "ES512", "ES256K", "EdDSA", "Ed25519", "Ed448",
};

}  // namespace

std::string_view name(Algorithm algorithm) noexcept {
    return algorithm_names[static_cast<std::size_t>(algorithm)];
}

std::optional<Algorithm> algorithm_named(std::string_view text) noexcept {
    for (std::size_t i = 0; i < algorithm_names.size(); ++i) {
        if (algorithm_names[i] == text) {
            return static_cast<Algorithm>(i);
        }
    }
    return std::nullopt;
}

std::string names(AlgorithmSet algorithms) {
    std::string text;
    for (std::size_t i = 0; i < algorithm_names.size(); ++i) {
        if (algorithms.has(static_cast<Algorithm>(i))) {
            if (!text.empty()) {
                text += ' ';
            }
            text += algorithm_names[i];
        }
    }
    return text;
}

}  // namespace jwt
