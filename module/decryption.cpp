#include "decryption.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "../core/verifier.hpp"
#include "authentication.hpp"
#include "worker.hpp"

namespace ngx {

namespace {

using jwt::Error;
using jwt::jwe::EncryptedToken;
using Opened = tl::expected<OpenedToken, jwt::Refusal>;

/// The number of its parts says which of the two it is (RFC 7516 §9); nothing that is in it does.
bool is_encrypted(std::string_view text) noexcept {
    return std::count(text.begin(), text.end(), '.') == 4;
}

/// Whether the token is to be decrypted: where no encrypted form is wanted, it is a token of the wrong shape.
bool to_decrypt(TokenForms forms, std::string_view text) noexcept {
    return (forms.has(TokenForm::nested) || forms.has(TokenForm::encrypted)) && is_encrypted(text);
}

Opened bare(TokenForms forms, std::string_view text) {
    if (!forms.has(TokenForm::bare)) {
        return tl::make_unexpected(jwt::refusal(Error::not_encrypted));
    }
    return parse_token(text).map([](jwt::UnverifiedToken&& token) { return OpenedToken(std::move(token)); });
}

tl::expected<EncryptedToken, jwt::Refusal> parse_encrypted(const LocationConfig& config, std::string_view text) {
    return jwt::jwe::parse(text, worker().parser)
        .and_then([&config](EncryptedToken&& token) -> tl::expected<EncryptedToken, jwt::Refusal> {
            // Before a thread is asked: what no key serves costs no more than parsing.
            const auto keys = decryption_keys(config);
            const bool served = keys != nullptr && keys->decrypts().has(token.management());
            if (!served) {
                return tl::make_unexpected(jwt::refusal(Error::algorithm_not_allowed));
            }
            return std::move(token);
        });
}

/// A token that says to be nested is that or nothing, and one that does not has nothing but its encryption.
Opened content_of(TokenForms forms, const jwt::jwe::DecryptedToken& token) {
    const bool as_claims = forms.has(TokenForm::encrypted) && (!token.is_nested() || !forms.has(TokenForm::nested));
    if (as_claims) {
        return worker().verifier.authenticate_encrypted(token).map(
            [](jwt::AuthenticToken&& authentic) { return OpenedToken(std::move(authentic)); });
    }
    return worker().verifier.parse_nested(token).map(
        [](jwt::UnverifiedToken&& inner) { return OpenedToken(std::move(inner)); });
}

/// In a thread: nothing may be thrown out of it.
std::optional<Decryption::Result> decrypt_safely(EncryptedToken&& token, const jwt::KeySet& keys) noexcept {
    try {
        return jwt::jwe::decrypt(std::move(token), keys);
    } catch (...) {
        return std::nullopt;
    }
}

/// Hands the work to a thread; false where it is to be done here.
bool decrypt_in_thread(ngx_http_request_t* r, EncryptedToken& token, const LocationConfig& config,
                       std::unique_ptr<Decryption>& decryption) {
    if (!jwt::rsa_managements.has(token.management())) {
        return false;
    }
    auto started = std::make_unique<Decryption>();
    // Taken out of here only by the thread: a pool that takes no work leaves it where it is.
    auto shared = std::make_shared<EncryptedToken>(std::move(token));
    auto task = Task::post(
        [shared, keys = decryption_keys(config)]() noexcept { return decrypt_safely(std::move(*shared), *keys); },
        [r, waiting = started.get()](std::optional<Decryption::Result>&& result) noexcept {
            waiting->result.emplace(std::move(result));
            wake(r);
        });
    if (!task) {
        token = std::move(*shared);
        return false;
    }
    started->task = std::move(*task);
    decryption = std::move(started);
    return true;
}

}  // namespace

std::shared_ptr<const jwt::KeySet> decryption_keys(const LocationConfig& config) {
    return config.decryption_keys == nullptr ? nullptr : worker().live_keys.decrypting(*config.decryption_keys);
}

Opened open_token(const LocationConfig& config, TokenForms forms, std::string_view text) {
    if (!to_decrypt(forms, text)) {
        return bare(forms, text);
    }
    return parse_encrypted(config, text)
        .and_then(
            [&config](EncryptedToken&& token) { return jwt::jwe::decrypt(std::move(token), *decryption_keys(config)); })
        .and_then([forms](const jwt::jwe::DecryptedToken& token) { return content_of(forms, token); });
}

std::optional<Opened> open_token(ngx_http_request_t* r, const LocationConfig& config, TokenForms forms,
                                 std::string_view text, std::unique_ptr<Decryption>& decryption) {
    if (!to_decrypt(forms, text)) {
        return bare(forms, text);
    }
    if (forms.has(TokenForm::nested) && decryption == nullptr) {
        if (auto known = known_nested_token(config, text)) {
            return OpenedToken(std::move(*known));
        }
    }
    const auto content = [forms](const jwt::jwe::DecryptedToken& token) { return content_of(forms, token); };
    if (decryption == nullptr) {
        auto token = parse_encrypted(config, text);
        if (!token) {
            return tl::make_unexpected(std::move(token.error()));
        }
        if (!decrypt_in_thread(r, *token, config, decryption)) {
            return jwt::jwe::decrypt(std::move(*token), *decryption_keys(config)).and_then(content);
        }
    }
    if (!decryption->result) {
        return std::nullopt;
    }
    if (!*decryption->result) {
        throw std::runtime_error("a thread could not decrypt a token");
    }
    return (**decryption->result).and_then(content);
}

tl::expected<std::string, std::string> nested_token(const LocationConfig& config, std::string&& token) {
    if (config.encryption == nullptr || !config.encryption->on) {
        return std::move(token);
    }
    const Encryption& how = *config.encryption;
    const auto key = worker().live_keys.encrypter(how);
    std::string nested = jwt::jwe::encrypt(token, *key, how.management, how.encryption, R"(,"typ":"JWT","cty":"JWT")");
    if (nested.size() > jwt::max_token_size) {
        return tl::make_unexpected(
            std::string("the token would be longer than 16384 bytes once encrypted; give it fewer or shorter claims"));
    }
    return nested;
}

}  // namespace ngx
