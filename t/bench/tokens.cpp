// Tokens by the thousand, one a line, for what is replayed at nginx: bench_tokens ALGORITHM KEYFILE COUNT [BYTES]
// The key file: a JWK. Each token has an identity and a jti of its own; BYTES is about how long one is (500).

#include <charconv>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "core/issuer.hpp"
#include "core/key.hpp"

namespace {

std::size_t number(std::string_view text) {
    std::size_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

int fail(std::string_view why) {
    std::fprintf(stderr, "bench_tokens: %.*s\n", static_cast<int>(why.size()), why.data());
    return 1;
}

jwt::Time now() {
    return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

/// A claim that fills a token up to about so many bytes.
std::string filler(const jwt::TokenRequest& request, const jwt::Key& key, jwt::Algorithm algorithm, std::size_t bytes) {
    const auto bare = jwt::issue(request, key, algorithm, now());
    const std::size_t size = bare ? bare->size() : bytes;
    return size + 16 < bytes ? std::string((bytes - size) * 3 / 4 - 12, 'x') : std::string();
}

}  // namespace

int main(int count, char** words) {
    if (count < 4) {
        return fail("ALGORITHM KEYFILE COUNT [BYTES]");
    }
    const auto algorithm = jwt::algorithm_named(words[1]);
    std::ifstream file(words[2]);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto keys = jwt::KeySet::from_text(text);
    if (!algorithm || !keys) {
        return fail(keys ? "no such algorithm" : keys.error().message);
    }
    const auto key = keys->signer(*algorithm);
    if (key == nullptr) {
        return fail("the key does not sign with that");
    }
    jwt::TokenRequest request;
    request.expires_in = std::chrono::hours(24 * 30);
    request.identity = "\"user-0000000\"";
    request.claims.emplace_back("role", "\"reader\"");
    if (const auto fill = filler(request, *key, *algorithm, count > 4 ? number(words[4]) : 500); !fill.empty()) {
        request.claims.emplace_back("fill", '"' + fill + '"');
    }
    for (std::size_t i = 0; i < number(words[3]); ++i) {
        request.identity = "\"user-" + std::to_string(i) + '"';
        const auto token = jwt::issue(request, *key, *algorithm, now());
        if (!token) {
            return fail(token.error().message);
        }
        std::puts(token->c_str());
    }
    return 0;
}
