#pragma once

#include "ngx.hpp"

#include <memory>
#include <vector>

#include "../core/token.hpp"
#include "config.hpp"
#include "key_source.hpp"

namespace ngx {

/// The keys of all locations in one worker, where some of them come from providers.
class LiveKeys {
public:
    explicit LiveKeys(const KeyRequests& requests);

    /// The keys to verify with now. Never null; empty while a provider has yet to answer. A set is never changed: when
    /// one of its parts is replaced, or may not be used any more, this is another object.
    [[nodiscard]] std::shared_ptr<const jwt::KeySet> current(const Keys& keys);

    /// Of a token that current() did not verify; see KeySource::ask. All providers are asked at once.
    [[nodiscard]] KeyStanding ask(ngx_http_request_t* r, const Keys& keys, const jwt::UnverifiedToken& token,
                                  KeyWait& wait);

    /// Begins to ask providers without whose keys current() did; see KeySource::prompt.
    void prompt(const Keys& keys) noexcept;

    /// Seconds after which it makes sense to come again.
    [[nodiscard]] unsigned retry_after(const Keys& keys) const noexcept;

private:
    struct Combined {
        std::vector<std::shared_ptr<const jwt::KeySet>> parts;
        std::shared_ptr<const jwt::KeySet> whole;
    };
    [[nodiscard]] KeySource& source(const KeyRequest& request) const noexcept { return *sources_[request.index]; }

    std::vector<std::unique_ptr<KeySource>> sources_;  // as KeyRequest::index says
    std::vector<Combined> combined_;                   // as Keys::index says
};

}  // namespace ngx
