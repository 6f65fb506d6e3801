#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "enum_set.hpp"

namespace jwt {

/// How a JWE's content encryption key comes to its recipient: its `alg` (RFC 7518 §4.1, RFC 8037 §3.2; RSA-OAEP-384 and
/// -512 as the W3C registered them). RSA1_5 and the PBES2 family are not among them: the first is an oracle (RFC 8725
/// §3.2), the others let a token choose how much work it costs (CVE-2022-36083).
enum class KeyManagement : std::uint8_t {
    dir,
    a128kw,
    a192kw,
    a256kw,
    a128gcmkw,
    a192gcmkw,
    a256gcmkw,
    rsa_oaep,
    rsa_oaep_256,
    rsa_oaep_384,
    rsa_oaep_512,
    ecdh_es,
    ecdh_es_a128kw,
    ecdh_es_a192kw,
    ecdh_es_a256kw,
};

inline constexpr std::size_t key_management_count = 15;

/// How a JWE's content is encrypted: its `enc` (RFC 7518 §5.1).
enum class ContentEncryption : std::uint8_t {
    a128cbc_hs256,
    a192cbc_hs384,
    a256cbc_hs512,
    a128gcm,
    a192gcm,
    a256gcm,
};

inline constexpr std::size_t content_encryption_count = 6;

using KeyManagementSet = EnumSet<KeyManagement>;
using ContentEncryptionSet = EnumSet<ContentEncryption>;

/// The registered name, exact bytes ("ECDH-ES+A128KW", "A128CBC-HS256").
[[nodiscard]] std::string_view name(KeyManagement management) noexcept;
[[nodiscard]] std::string_view name(ContentEncryption encryption) noexcept;

/// What has that exact name (RFC 7516 §4.1.1: case-sensitive), or nothing.
[[nodiscard]] std::optional<KeyManagement> key_management_named(std::string_view text) noexcept;
[[nodiscard]] std::optional<ContentEncryption> content_encryption_named(std::string_view text) noexcept;

/// The names in the order of the enumerators, for people.
[[nodiscard]] std::string names(KeyManagementSet managements);
[[nodiscard]] std::string names(ContentEncryptionSet encryptions);

inline constexpr KeyManagementSet aes_kw_managements = {KeyManagement::a128kw, KeyManagement::a192kw,
                                                        KeyManagement::a256kw};
inline constexpr KeyManagementSet aes_gcmkw_managements = {KeyManagement::a128gcmkw, KeyManagement::a192gcmkw,
                                                           KeyManagement::a256gcmkw};
inline constexpr KeyManagementSet rsa_managements = {KeyManagement::rsa_oaep, KeyManagement::rsa_oaep_256,
                                                     KeyManagement::rsa_oaep_384, KeyManagement::rsa_oaep_512};
inline constexpr KeyManagementSet ecdh_managements = {KeyManagement::ecdh_es, KeyManagement::ecdh_es_a128kw,
                                                      KeyManagement::ecdh_es_a192kw, KeyManagement::ecdh_es_a256kw};

/// Those whose sender needs the recipient's secret itself: what they encrypted, a holder of that secret made.
inline constexpr KeyManagementSet symmetric_managements =
    KeyManagementSet{KeyManagement::dir} | aes_kw_managements | aes_gcmkw_managements;

/// Sizes in bytes.
struct ContentSizes {
    std::size_t key;
    std::size_t iv;
    std::size_t tag;
};
[[nodiscard]] ContentSizes sizes(ContentEncryption encryption) noexcept;

/// Bytes of the AES key that wraps, for the managements that have one: 16, 24 or 32; else 0.
[[nodiscard]] std::size_t wrapping_key_size(KeyManagement management) noexcept;

/// Which of them a secret of that many bytes is the key of, without a further one.
[[nodiscard]] ContentEncryptionSet encryptions_of_size(std::size_t bytes) noexcept;

}  // namespace jwt
