#pragma once

#include "ngx.hpp"

#include <memory>
#include <vector>

#include "../core/token.hpp"
#include "config.hpp"
#include "decryption.hpp"
#include "key_source.hpp"
#include "key_watch.hpp"

namespace ngx {

/// The keys of all locations in one worker, where some of them come from providers.
class LiveKeys {
public:
    LiveKeys() = default;
    LiveKeys(const KeyRequests* requests, const KeyFiles* files);  // null where there are none

    /// The keys to verify with now. Never null; empty while a provider has yet to answer. A set is never changed: when
    /// one of its parts is replaced, or may not be used any more, this is another object.
    [[nodiscard]] std::shared_ptr<const jwt::KeySet> current(const Keys& keys);

    /// The key that signs now; null where the location has none. For threads too.
    [[nodiscard]] std::shared_ptr<const jwt::Key> signer(const Keys& keys) const;

    /// The keys to decrypt with now. Never null.
    [[nodiscard]] std::shared_ptr<const jwt::KeySet> decrypting(const DecryptionKeys& keys) const;
    /// The key to encrypt with now. Never null.
    [[nodiscard]] std::shared_ptr<const jwt::Key> encrypter(const Encryption& how) const;

    /// The files of keys; null where there are none.
    [[nodiscard]] const KeyWatch* files() const noexcept { return watch_.get(); }

    /// Of a token that current() did not verify; see KeySource::ask. All providers are asked at once.
    [[nodiscard]] KeyStanding ask(ngx_http_request_t* r, const Keys& keys, const jwt::UnverifiedToken& token,
                                  KeyWait& wait);

    /// Begins to ask providers without whose keys current() did; see KeySource::prompt.
    void prompt(const Keys& keys) noexcept;

    /// Seconds after which it makes sense to come again.
    [[nodiscard]] unsigned retry_after(const Keys& keys) const noexcept;

private:
    struct Combined {
        std::shared_ptr<const jwt::KeySet> own;  // of secrets and files
        std::vector<std::shared_ptr<const jwt::KeySet>> parts;
        std::shared_ptr<const jwt::KeySet> whole;
    };
    [[nodiscard]] std::shared_ptr<const jwt::KeySet> own_keys(const Keys& keys) const;
    [[nodiscard]] KeySource& source(const KeyRequest& request) const noexcept { return *sources_[request.index]; }

    std::vector<std::unique_ptr<KeySource>> sources_;  // as KeyRequest::index says
    std::unique_ptr<KeyWatch> watch_;
    std::vector<Combined> combined_;  // as Keys::index says
};

}  // namespace ngx
