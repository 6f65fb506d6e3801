#include "live_keys.hpp"

#include <algorithm>

namespace ngx {

namespace {

std::optional<std::string_view> kid_of(const jwt::UnverifiedToken& token) {
    const auto kid = token.header().member("kid");
    return kid ? kid->string() : std::nullopt;
}

/// The configuration outlives requests and threads. There is nothing to share, and no use to be counted in memory that
/// a request only reads.
template <class T>
std::shared_ptr<const T> configured(const T* object) noexcept {
    return {std::shared_ptr<void>(), object};
}

/// `changed`: what was taken in of files; null where none of them changed.
template <class T>
std::shared_ptr<const T> changed_or_configured(const std::shared_ptr<const T>& changed, const T* object) noexcept {
    return changed != nullptr ? changed : configured(object);
}

}  // namespace

LiveKeys::LiveKeys(const KeyRequests* requests, const KeyFiles* files) {
    if (requests != nullptr) {
        combined_.resize(requests->key_count);
        sources_.reserve(requests->requests.size());
        for (const auto& request : requests->requests) {
            sources_.push_back(std::make_unique<KeySource>(*request));
        }
    }
    if (files != nullptr) {
        watch_ = std::make_unique<KeyWatch>(*files);
    }
}

std::shared_ptr<const jwt::KeySet> LiveKeys::own_keys(const Keys& keys) const {
    return keys.recipe == no_file ? configured(&keys.verifying)
                                  : changed_or_configured(watch_->verifying(keys.recipe), &keys.verifying);
}

std::shared_ptr<const jwt::Key> LiveKeys::signer(const Keys& keys) const {
    return keys.recipe == no_file ? configured(keys.signer.get())
                                  : changed_or_configured(watch_->signer(keys.recipe), keys.signer.get());
}

std::shared_ptr<const jwt::KeySet> LiveKeys::decrypting(const DecryptionKeys& keys) const {
    return changed_or_configured(watch_->decrypting(keys.recipe), keys.keys.get());
}

std::shared_ptr<const jwt::Key> LiveKeys::encrypter(const Encryption& how) const {
    return changed_or_configured(watch_->encrypter(how.recipe), how.key.get());
}

std::shared_ptr<const jwt::KeySet> LiveKeys::current(const Keys& keys) {
    auto own = own_keys(keys);
    if (keys.requests.empty()) {
        return own;
    }
    Combined& combined = combined_[keys.index];
    combined.parts.resize(keys.requests.size());
    bool same = combined.whole != nullptr && combined.own == own;
    combined.own = own;
    for (std::size_t i = 0; i < keys.requests.size(); ++i) {
        const auto& part = source(*keys.requests[i]).current();
        if (part != combined.parts[i]) {
            combined.parts[i] = part;
            same = false;
        }
    }
    if (same) {
        return combined.whole;
    }
    if (own->empty() && combined.parts.size() == 1 && combined.parts.front() != nullptr) {
        combined.whole = combined.parts.front();
        return combined.whole;
    }
    jwt::KeySet whole = *own;
    for (const auto& part : combined.parts) {
        if (part != nullptr) {
            std::for_each(part->keys().begin(), part->keys().end(), [&](const auto& key) { whole.add(key); });
        }
    }
    combined.whole = std::make_shared<const jwt::KeySet>(std::move(whole));
    return combined.whole;
}

KeyStanding LiveKeys::ask(ngx_http_request_t* r, const Keys& keys, const jwt::UnverifiedToken& token, KeyWait& wait) {
    const auto kid = kid_of(token);
    // A kid that one of them names is none that the others would be asked for.
    const bool is_named = kid && current(keys)->names(*kid);
    KeyStanding standing = KeyStanding::settled;
    for (const KeyRequest* request : keys.requests) {
        const KeyStanding one = source(*request).ask(r, is_named ? std::nullopt : kid, wait);
        if (one == KeyStanding::waiting || standing == KeyStanding::settled) {
            standing = one;
        }
    }
    return standing;
}

void LiveKeys::prompt(const Keys& keys) noexcept {
    for (const KeyRequest* request : keys.requests) {
        source(*request).prompt();
    }
}

unsigned LiveKeys::retry_after(const Keys& keys) const noexcept {
    unsigned seconds = 1;
    for (const KeyRequest* request : keys.requests) {
        seconds = std::max(seconds, source(*request).retry_after());
    }
    return seconds;
}

}  // namespace ngx
