#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

#include "encryption.hpp"
#include "error.hpp"
#include "json.hpp"
#include "key.hpp"

/// Compact JWE (RFC 7516 §7.1), below what makes it a JWT.
namespace jwt::jwe {

/// Still encoded; views into the token.
struct Segments {
    std::string_view header;
    std::string_view encrypted_key;
    std::string_view iv;
    std::string_view ciphertext;
    std::string_view tag;
};

/// The token at its four dots; nothing where it has fewer or more.
[[nodiscard]] std::optional<Segments> segments(std::string_view token) noexcept;

/// A token that was taken apart and whose header asks for nothing that is refused whatever the key. Nothing about it is
/// known to be true. Movable; immutable, so that a thread may decrypt it while another reads it.
class EncryptedToken {
public:
    [[nodiscard]] json::Value header() const noexcept { return header_.root(); }
    [[nodiscard]] KeyManagement management() const noexcept { return management_; }
    [[nodiscard]] ContentEncryption encryption() const noexcept { return encryption_; }
    [[nodiscard]] std::optional<std::string_view> kid() const noexcept;
    [[nodiscard]] std::string_view text() const noexcept { return text_; }

private:
    friend struct Reader;
    EncryptedToken() = default;

    std::string text_;
    json::Document header_;
    KeyManagement management_ = KeyManagement::dir;
    ContentEncryption encryption_ = ContentEncryption::a128gcm;
};

/// A token whose content one of our keys decrypted. Who encrypted it is another question: of a public key, anybody.
/// Only decrypt makes one.
class DecryptedToken {
public:
    [[nodiscard]] json::Value header() const noexcept { return token_.header(); }
    [[nodiscard]] std::string_view text() const noexcept { return token_.text(); }
    [[nodiscard]] std::string_view plaintext() const noexcept { return plaintext_; }
    [[nodiscard]] const KeySet::Identity& decrypted_by() const noexcept { return decrypted_by_; }
    /// Of the key among them that did; null where it has none.
    [[nodiscard]] const std::shared_ptr<const std::string>& shared_kid() const noexcept { return kid_; }
    /// Whether only holders of a shared secret can have made it.
    [[nodiscard]] bool by_shared_secret() const noexcept { return symmetric_managements.has(token_.management()); }
    /// Whether it says to hold a token itself: `cty` is JWT (RFC 7519 §5.2), or a media type of JWTs, as at+jwt.
    [[nodiscard]] bool is_nested() const;

private:
    friend struct Reader;
    DecryptedToken(EncryptedToken&& token, std::string plaintext, const KeySet& keys, const Key& key) noexcept
        : token_(std::move(token)),
          plaintext_(std::move(plaintext)),
          decrypted_by_(keys.identity()),
          kid_(key.shared_kid()) {}

    EncryptedToken token_;
    std::string plaintext_;
    KeySet::Identity decrypted_by_;
    std::shared_ptr<const std::string> kid_;
};

/// What becomes of compressed contents. A few bytes of them can be made to fill the memory (CVE-2024-28180), and what
/// they compress to tells of their secrets: nobody who guards requests takes them.
enum class Zip : std::uint8_t {
    refused,
    kept,  // handed out still compressed: raw DEFLATE (RFC 7516 §4.1.3)
};

/// Takes a compact JWE apart and checks its header (RFC 7516 §5.2 steps 1 to 5): kid, crit (nothing is understood),
/// zip, alg and enc, of exact names. Costs parsing, no cryptography.
[[nodiscard]] tl::expected<EncryptedToken, Refusal> parse(std::string_view text, json::Parser& parser,
                                                          Zip zip = Zip::refused);

/// Decrypts with the keys that serve the token's `alg` (RFC 7516 §5.2 steps 6 to 17), at most KeySet::max_candidates of
/// them. Nothing reaches cryptography unless some key serves it; after that every failure is Error::decryption,
/// whatever went wrong. A key that cannot be unwrapped is replaced by a random one, so that it takes its time too
/// (§11.5). Several threads may decrypt with the same keys.
[[nodiscard]] tl::expected<DecryptedToken, Refusal> decrypt(EncryptedToken&& token, const KeySet& keys);

/// A compact JWE around `plaintext`, with a content encryption key and an initialization vector of its own: header alg,
/// enc, kid where the key has one, and `members`, JSON members with a comma before each (`,"cty":"JWT"`). `key` must
/// serve both: KeySet::encrypter finds such a one. Throws std::runtime_error where OpenSSL fails.
[[nodiscard]] std::string encrypt(std::string_view plaintext, const Key& key, KeyManagement management,
                                  ContentEncryption encryption, std::string_view members);

}  // namespace jwt::jwe
