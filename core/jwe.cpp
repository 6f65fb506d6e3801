#include "jwe.hpp"

#include <algorithm>
#include <array>

#include "base64url.hpp"
#include "content_encryption.hpp"
#include "jws.hpp"
#include "key_management.hpp"
#include "key_material.hpp"
#include "random.hpp"
#include "token.hpp"

namespace jwt::jwe {

namespace {

std::optional<std::string_view> text_member(json::Value object, std::string_view name) noexcept {
    const auto member = object.member(name);
    return member ? member->string() : std::nullopt;
}

/// What is authenticated beside the ciphertext: the header as received (RFC 7516 §5.2 step 14).
std::string_view header_segment(std::string_view token) noexcept {
    return token.substr(0, token.find('.'));
}

/// The segments behind the header, decoded.
struct Parts {
    std::string encrypted_key;
    std::string iv;
    std::string ciphertext;
    std::string tag;
};

std::optional<Parts> decoded(const Segments& segments) {
    auto encrypted_key = base64url::decode(segments.encrypted_key);
    auto iv = base64url::decode(segments.iv);
    auto ciphertext = base64url::decode(segments.ciphertext);
    auto tag = base64url::decode(segments.tag);
    if (!encrypted_key || !iv || !ciphertext || !tag) {
        return std::nullopt;
    }
    return Parts{*std::move(encrypted_key), *std::move(iv), *std::move(ciphertext), *std::move(tag)};
}

std::optional<std::string> decrypted(const EncryptedToken& token, const Parts& parts, const Key& key) {
    openssl::Secret content_key(sizes(token.encryption()).key);
    fill_with_random(content_key.data(), content_key.size());
    const bool unwrapped =
        unwrap_key(key, token.management(), token.encryption(), token.header(), parts.encrypted_key, content_key);
    auto plaintext = decrypt_content(*key.material().tools, token.encryption(), content_key.view(),
                                     {parts.iv, header_segment(token.text()), parts.ciphertext, parts.tag});
    return unwrapped ? std::move(plaintext) : std::nullopt;
}

std::optional<Refusal> zip_fault(json::Value header, Zip zip) {
    if (!header.member("zip")) {
        return std::nullopt;
    }
    const bool is_known = text_member(header, "zip") == "DEF";
    return zip == Zip::kept && is_known ? std::nullopt : std::optional(refusal(Error::compressed));
}

}  // namespace

std::optional<Segments> segments(std::string_view token) noexcept {
    // Found before anything is decoded, so that a long row of dots costs one scan.
    std::array<std::string_view, 5> parts;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const std::size_t dot = token.find('.');
        if ((dot == std::string_view::npos) != (i == parts.size() - 1)) {
            return std::nullopt;
        }
        parts[i] = token.substr(0, dot);
        token.remove_prefix(std::min(parts[i].size() + 1, token.size()));
    }
    return Segments{parts[0], parts[1], parts[2], parts[3], parts[4]};
}

std::optional<std::string_view> EncryptedToken::kid() const noexcept {
    return text_member(header(), "kid");
}

bool DecryptedToken::is_nested() const {
    const auto cty = text_member(header(), "cty");
    if (!cty) {
        return false;
    }
    // Media types know no case, and "JWT" stands for "application/jwt" (RFC 7515 §4.1.10).
    std::string type(*cty);
    std::transform(type.begin(), type.end(), type.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    constexpr std::string_view omitted = "application/";
    type.erase(0, type.starts_with(omitted) ? omitted.size() : 0);
    // RFC 8417 §7.2: whatever ends so is a JWT, as at+jwt (RFC 9068 §2.1) does.
    constexpr std::string_view suffix = "+jwt";
    return type == "jwt" ||
           (type.size() > suffix.size() && type.ends_with(suffix) && type.find('/') == std::string::npos);
}

/// The one that makes tokens.
struct Reader {
    static tl::expected<EncryptedToken, Refusal> parse(std::string_view text, json::Parser& parser, Zip zip);
    static tl::expected<DecryptedToken, Refusal> decrypt(EncryptedToken&& token, const KeySet& keys);
};

tl::expected<EncryptedToken, Refusal> Reader::parse(std::string_view text, json::Parser& parser, Zip zip) {
    if (text.size() > max_token_size) {
        return tl::unexpected(refusal(Error::too_long));
    }
    const auto parts = segments(text);
    if (!parts) {
        return tl::unexpected(refusal(Error::segments));
    }
    const auto header_text = base64url::decode(parts->header);
    if (!header_text) {
        return tl::unexpected(refusal(Error::header_encoding));
    }
    EncryptedToken token;
    const auto header = parser.parse_object(*header_text, token.header_);
    if (!header) {
        return tl::unexpected(refusal(Error::header_json, json::text(header.error())));
    }
    auto fault = jws::check_header(*header);
    fault = fault ? std::move(fault) : zip_fault(*header, zip);
    if (fault) {
        return tl::unexpected(*std::move(fault));
    }
    if (!header->member("alg")) {
        return tl::unexpected(refusal(Error::algorithm_missing));
    }
    const auto management = key_management_named(text_member(*header, "alg").value_or(""));
    const auto encryption = content_encryption_named(text_member(*header, "enc").value_or(""));
    if (!management || !encryption) {
        return tl::unexpected(refusal(management ? Error::encryption_not_allowed : Error::algorithm_not_allowed));
    }
    token.management_ = *management;
    token.encryption_ = *encryption;
    token.text_ = text;
    return token;
}

tl::expected<DecryptedToken, Refusal> Reader::decrypt(EncryptedToken&& token, const KeySet& keys) {
    const openssl::ErrorQueueGuard guard;
    // RFC 8725 §3.1: a token selects among what its keys serve, and buys no work with another name.
    if (!keys.decrypts().has(token.management())) {
        return tl::unexpected(refusal(Error::algorithm_not_allowed));
    }
    // One that cannot be decoded fails as one that was changed.
    if (const auto parts = decoded(*segments(token.text()))) {
        const auto epk = token.header().member("epk");
        const auto curve = epk ? text_member(*epk, "crv") : std::nullopt;
        const Recipient wanted{token.management(), token.encryption(), curve.value_or("")};
        for (const Key* key : keys.candidates(wanted, token.kid())) {
            if (auto plaintext = decrypted(token, *parts, *key)) {
                return DecryptedToken(std::move(token), *std::move(plaintext), keys, *key);
            }
        }
    }
    return tl::unexpected(refusal(Error::decryption));
}

tl::expected<EncryptedToken, Refusal> parse(std::string_view text, json::Parser& parser, Zip zip) {
    return Reader::parse(text, parser, zip);
}

tl::expected<DecryptedToken, Refusal> decrypt(EncryptedToken&& token, const KeySet& keys) {
    return Reader::decrypt(std::move(token), keys);
}

std::string encrypt(std::string_view plaintext, const Key& key, KeyManagement management, ContentEncryption encryption,
                    std::string_view members) {
    const openssl::ErrorQueueGuard guard;
    const WrappedKey wrapped = wrap_new_key(key, management, encryption);
    std::string header =
        "{\"alg\":\"" + std::string(name(management)) + "\",\"enc\":\"" + std::string(name(encryption)) + "\"";
    if (const auto kid = key.kid()) {
        header += ",\"kid\":";
        json::append_string(header, *kid);
    }
    header.append(members).append(wrapped.header_members).append("}");
    const std::string encoded_header = base64url::encode(header);
    // 96 random bits: NIST SP 800-38D §8.2.2 allows 2^32 of them under one key.
    const std::string iv = random_bytes(sizes(encryption).iv);
    const Encrypted encrypted =
        encrypt_content(*key.material().tools, encryption, wrapped.content_key.view(), iv, encoded_header, plaintext);
    std::string token = encoded_header;
    for (const std::string_view part : {std::string_view(wrapped.encrypted_key), std::string_view(iv),
                                        std::string_view(encrypted.ciphertext), std::string_view(encrypted.tag)}) {
        token.append(".").append(base64url::encode(part));
    }
    return token;
}

}  // namespace jwt::jwe
