#pragma once

#include "ngx.hpp"

#include <memory>
#include <optional>
#include <string_view>
#include <variant>

#include <tl/expected.hpp>

#include "../core/jwe.hpp"
#include "../core/token.hpp"
#include "config.hpp"
#include "task.hpp"

// Encrypted tokens: how they join the way of those that are only signed.

namespace ngx {

/// What `jwt_accept` names.
enum class TokenForm : std::uint8_t {
    bare,       // signed, and readable by all
    nested,     // signed, then encrypted
    encrypted,  // claims that nobody signed, under a shared secret
};

using TokenForms = jwt::EnumSet<TokenForm>;
inline constexpr TokenForms all_forms = {TokenForm::bare, TokenForm::nested, TokenForm::encrypted};

/// The keys of `jwt_decryption_key` of one level, inherited as a whole. Requests ask LiveKeys for them.
struct DecryptionKeys {
    KeySources sources;
    std::shared_ptr<const jwt::KeySet> keys;  // that decrypt
    std::size_t recipe = no_file;             // among KeyFiles::recipes
    Origin origin;
};

/// `jwt_accept`.
struct AcceptedForms {
    TokenForms forms;
    Origin origin;
};

/// `jwt_encrypt`: how issued tokens are nested.
struct Encryption {
    KeySources sources;
    std::shared_ptr<const jwt::Key> key;
    std::size_t recipe = no_file;  // among KeyFiles::recipes
    jwt::KeyManagement management{};
    jwt::ContentEncryption encryption{};
    Origin origin;
    bool on = true;
};

/// A signed token whose signature nobody has checked, or claims that a shared secret vouches for.
using OpenedToken = std::variant<jwt::UnverifiedToken, jwt::AuthenticToken>;

/// The keys that decrypt the location's tokens now; null where it names none.
[[nodiscard]] std::shared_ptr<const jwt::KeySet> decryption_keys(const LocationConfig& config);

/// Takes a token apart that is of one of these forms, and decrypts it where it is encrypted, with the keys of the
/// location.
[[nodiscard]] tl::expected<OpenedToken, jwt::Refusal> open_token(const LocationConfig& config, TokenForms forms,
                                                                 std::string_view text);

/// A decryption that a thread of nginx's pool makes for a request, where there is a pool and it is a costly one: RSA's
/// would keep all other requests of the worker waiting.
struct Decryption {
    using Result = tl::expected<jwt::jwe::DecryptedToken, jwt::Refusal>;

    Task task;
    std::optional<std::optional<Result>> result;  // of no value where there was no memory, or no randomness
};

/// The same for a token that a request waits for: nothing while a thread decrypts it, which has nginx run the request
/// again. Throws where the thread could not.
[[nodiscard]] std::optional<tl::expected<OpenedToken, jwt::Refusal>> open_token(
    ngx_http_request_t* r, const LocationConfig& config, TokenForms forms, std::string_view text,
    std::unique_ptr<Decryption>& decryption);

/// A signed token, nested where `jwt_encrypt` says so; the error is a sentence for the author of the Lua code.
[[nodiscard]] tl::expected<std::string, std::string> nested_token(const LocationConfig& config, std::string&& token);

}  // namespace ngx
