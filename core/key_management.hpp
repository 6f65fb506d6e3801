#pragma once

#include <string>
#include <string_view>

#include "encryption.hpp"
#include "json.hpp"
#include "key.hpp"
#include "openssl.hpp"

// How content encryption keys travel: RFC 7518 §4.
namespace jwt {

/// Finds the content encryption key of a JWE and writes it over `content_key`, which has the size that `encryption`
/// asks for. False, and `content_key` left as it is, where the key does not fit, the header lacks something, or the
/// encrypted key is not exactly as long as it must be or not authentic. Threads may share `key`.
[[nodiscard]] bool unwrap_key(const Key& key, KeyManagement management, ContentEncryption encryption,
                              json::Value header, std::string_view encrypted_key, openssl::Secret& content_key);

/// A new content encryption key for one JWE, as the sender has it and as it travels.
struct WrappedKey {
    openssl::Secret content_key;
    std::string encrypted_key;
    std::string header_members;  // JSON members with a comma before each: epk, or iv and tag
};

/// `key` must serve `management`: see Key::encrypts(). Throws std::runtime_error where OpenSSL fails or has no random
/// bytes.
[[nodiscard]] WrappedKey wrap_new_key(const Key& key, KeyManagement management, ContentEncryption encryption);

}  // namespace jwt
