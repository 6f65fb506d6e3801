#pragma once

#include "ngx.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "../core/key.hpp"
#include "task.hpp"

// Signatures: those of RSA would keep all other requests of the worker waiting, so a thread of nginx's pool makes them
// where there is a pool.

namespace ngx {

/// All of a token but its signature.
struct UnsignedToken {
    std::string input;  // header and payload
    std::shared_ptr<const jwt::Key> key;
    jwt::Algorithm algorithm;
};

/// In their order; the error is a sentence.
using SignedTokens = tl::expected<std::vector<std::string>, std::string>;

[[nodiscard]] constexpr bool signs_slowly(jwt::Algorithm algorithm) noexcept {
    return jwt::rsa_algorithms.has(algorithm);
}

/// Signs on the spot.
[[nodiscard]] SignedTokens sign_here(std::vector<UnsignedToken>&& tokens) noexcept;

/// Signatures that a thread makes for a request. Where this ends first, they are made for nobody.
class Signing {
public:
    /// Hands tokens to a thread, which has nginx run `r` again. Null where they are to be signed here: one of them is
    /// quick to sign, nginx has no pool, or its queue is full.
    [[nodiscard]] static std::unique_ptr<Signing> start(ngx_http_request_t* r,
                                                        const std::vector<UnsignedToken>& tokens);

    [[nodiscard]] bool ended() const noexcept { return result_.has_value(); }
    /// Once it has ended: once.
    [[nodiscard]] SignedTokens take() noexcept { return std::move(*result_); }

private:
    Signing() = default;

    Task task_;
    std::optional<SignedTokens> result_;
};

}  // namespace ngx
