#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

#include "algorithm.hpp"
#include "error.hpp"
#include "json.hpp"

namespace jwt {

/// The longest compact token that is looked at, in bytes.
inline constexpr std::size_t max_token_size = std::size_t{16} * 1024;

/// The longest header parameter `kid`, in bytes.
inline constexpr std::size_t max_kid_size = 1024;

/// A compact JWS (RFC 7515 §7.1) that was taken apart and whose header and payload are JSON objects. Nothing about it
/// is known to be true: it may choose a key among configured ones, nothing else.
class UnverifiedToken {
public:
    [[nodiscard]] json::Value header() const noexcept { return header_.root(); }
    [[nodiscard]] json::Value payload() const noexcept { return payload_.root(); }
    /// The bytes that were signed, as received (RFC 7515 §5.2).
    [[nodiscard]] std::string_view signing_input() const noexcept {
        return std::string_view(text_).substr(0, signing_input_size_);
    }
    [[nodiscard]] std::string_view signature() const noexcept { return signature_; }
    [[nodiscard]] std::string_view text() const noexcept { return text_; }

private:
    friend class Verifier;
    UnverifiedToken() = default;

    std::string text_;
    std::size_t signing_input_size_ = 0;
    std::string signature_;
    json::Document header_;
    json::Document payload_;
};

/// A token whose signature one of our keys made. Its claims are its issuer's word, yet it may be expired, for
/// somebody else, or of the wrong type. Only Verifier makes one.
class AuthenticToken {
public:
    [[nodiscard]] json::Value header() const noexcept { return token_.header(); }
    [[nodiscard]] json::Value payload() const noexcept { return token_.payload(); }
    [[nodiscard]] Algorithm algorithm() const noexcept { return algorithm_; }
    [[nodiscard]] std::string_view text() const noexcept { return token_.text(); }
    [[nodiscard]] std::string_view signing_input() const noexcept { return token_.signing_input(); }
    /// Of the key that verified it, also where the header names none; nothing where neither has one.
    [[nodiscard]] std::optional<std::string_view> kid() const noexcept {
        const auto named = header().member("kid");
        return named ? named->string() : kid_.empty() ? std::nullopt : std::optional<std::string_view>(kid_);
    }

private:
    friend class Verifier;
    AuthenticToken(UnverifiedToken&& token, Algorithm algorithm, std::string&& kid) noexcept
        : token_(std::move(token)), algorithm_(algorithm), kid_(std::move(kid)) {}

    UnverifiedToken token_;
    Algorithm algorithm_;
    std::string kid_;  // of the key, where the header names none
};

/// A token that passed every check of the core: holding one is the proof. Only Verifier makes one.
class VerifiedToken {
public:
    [[nodiscard]] json::Value header() const noexcept { return token_.header(); }
    [[nodiscard]] json::Value payload() const noexcept { return token_.payload(); }
    [[nodiscard]] std::string_view text() const noexcept { return token_.text(); }
    [[nodiscard]] const AuthenticToken& authentic() const noexcept { return token_; }

private:
    friend class Verifier;
    explicit VerifiedToken(AuthenticToken&& token) noexcept : token_(std::move(token)) {}

    AuthenticToken token_;
};

/// A refusal together with the token, where its signature was good: hooks for expired and not fresh tokens read it.
struct [[nodiscard]] RefusedToken {
    Refusal refusal;
    AuthenticToken token;
};

}  // namespace jwt
