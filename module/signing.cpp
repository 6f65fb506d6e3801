#include "signing.hpp"

#include <algorithm>

#include "../core/issuer.hpp"
#include "guard.hpp"

namespace ngx {

namespace {

SignedTokens signed_tokens(std::vector<UnsignedToken>&& tokens) {
    std::vector<std::string> texts;
    for (UnsignedToken& token : tokens) {
        auto text = jwt::signed_token(std::move(token.input), *token.key, token.algorithm);
        if (!text) {
            return tl::make_unexpected(std::move(text.error().message));
        }
        texts.push_back(std::move(*text));
    }
    return texts;
}

}  // namespace

SignedTokens sign_here(std::vector<UnsignedToken>&& tokens) noexcept {
    try {
        return signed_tokens(std::move(tokens));
    } catch (...) {
        return tl::make_unexpected(std::string("signing failed"));  // short enough to need no memory
    }
}

std::unique_ptr<Signing> Signing::start(ngx_http_request_t* r, const std::vector<UnsignedToken>& tokens) {
    // Other keys are not for two threads at once.
    if (!std::all_of(tokens.begin(), tokens.end(), [](const auto& token) { return signs_slowly(token.algorithm); })) {
        return nullptr;
    }
    std::unique_ptr<Signing> signing(new Signing);
    auto task = Task::post([copy = tokens]() mutable noexcept { return sign_here(std::move(copy)); },
                           [r, waiting = signing.get()](SignedTokens&& result) noexcept {
                               waiting->result_.emplace(std::move(result));
                               wake(r);
                           });
    if (!task) {
        return nullptr;
    }
    signing->task_ = std::move(*task);
    return signing;
}

}  // namespace ngx
