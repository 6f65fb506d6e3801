#include "encryption.hpp"

#include <algorithm>
#include <array>
#include <span>

namespace jwt {

namespace {

// All of these in the order of the enumerators.
constexpr std::array<std::string_view, key_management_count> management_names = {
    "dir",          "A128KW",    "A192KW",         "A256KW",         "A128GCMKW",
    "A192GCMKW",    "A256GCMKW", "RSA-OAEP",       "RSA-OAEP-256",   "RSA-OAEP-384",
    "RSA-OAEP-512", "ECDH-ES",   "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW",
};
constexpr std::array<std::string_view, content_encryption_count> encryption_names = {
    "A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512", "A128GCM", "A192GCM", "A256GCM",
};
constexpr std::array<ContentSizes, content_encryption_count> encryption_sizes = {{
    {32, 16, 16},
    {48, 16, 24},
    {64, 16, 32},
    {16, 12, 16},
    {24, 12, 16},
    {32, 12, 16},
}};

template <class Enum>
std::optional<Enum> member_named(std::span<const std::string_view> all, std::string_view text) noexcept {
    const auto found = std::ranges::find(all, text);
    return found == all.end() ? std::nullopt : std::optional(static_cast<Enum>(found - all.begin()));
}

template <class Enum>
std::string names_of(std::span<const std::string_view> all, EnumSet<Enum> members) {
    std::string text;
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (members.has(static_cast<Enum>(i))) {
            text.append(text.empty() ? "" : " ").append(all[i]);
        }
    }
    return text;
}

}  // namespace

std::string_view name(KeyManagement management) noexcept {
    return management_names[static_cast<std::size_t>(management)];
}

std::string_view name(ContentEncryption encryption) noexcept {
    return encryption_names[static_cast<std::size_t>(encryption)];
}

std::optional<KeyManagement> key_management_named(std::string_view text) noexcept {
    return member_named<KeyManagement>(management_names, text);
}

std::optional<ContentEncryption> content_encryption_named(std::string_view text) noexcept {
    return member_named<ContentEncryption>(encryption_names, text);
}

std::string names(KeyManagementSet managements) {
    return names_of(management_names, managements);
}

std::string names(ContentEncryptionSet encryptions) {
    return names_of(encryption_names, encryptions);
}

ContentSizes sizes(ContentEncryption encryption) noexcept {
    return encryption_sizes[static_cast<std::size_t>(encryption)];
}

std::size_t wrapping_key_size(KeyManagement management) noexcept {
    switch (management) {
        case KeyManagement::a128kw:
        case KeyManagement::a128gcmkw:
        case KeyManagement::ecdh_es_a128kw:
            return 16;
        case KeyManagement::a192kw:
        case KeyManagement::a192gcmkw:
        case KeyManagement::ecdh_es_a192kw:
            return 24;
        case KeyManagement::a256kw:
        case KeyManagement::a256gcmkw:
        case KeyManagement::ecdh_es_a256kw:
            return 32;
        case KeyManagement::dir:
        case KeyManagement::rsa_oaep:
        case KeyManagement::rsa_oaep_256:
        case KeyManagement::rsa_oaep_384:
        case KeyManagement::rsa_oaep_512:
        case KeyManagement::ecdh_es:
            break;
    }
    return 0;
}

ContentEncryptionSet encryptions_of_size(std::size_t bytes) noexcept {
    ContentEncryptionSet fitting;
    for (std::size_t i = 0; i < content_encryption_count; ++i) {
        if (encryption_sizes[i].key == bytes) {
            fitting.add(static_cast<ContentEncryption>(i));
        }
    }
    return fitting;
}

}  // namespace jwt
