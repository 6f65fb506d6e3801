#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "algorithm.hpp"
#include "error.hpp"
#include "json.hpp"

namespace jwt {

/// The longest compact token that is looked at, in bytes.
inline constexpr std::size_t max_token_size = std::size_t{16} * 1024;

/// The longest header parameter `kid`, in bytes.
inline constexpr std::size_t max_kid_size = 1024;

/// What a token says, in one block of memory: its text, its signature, its two JSON objects. Never changed once made,
/// and shared by all copies. Counted without atomic operations: a token stays in the thread that made it.
class TokenParts {
public:
    /// What a block is made of; copied.
    struct Source {
        std::string_view text;
        std::string_view presented;  // where it is another: what the token came wrapped in
        std::size_t signing_input_size;
        std::string_view signature;
        const json::Document& header;
        const json::Document& payload;
    };
    explicit TokenParts(const Source& source);

    TokenParts(const TokenParts& other) noexcept : block_(other.block_) { ++block_->references; }
    TokenParts(TokenParts&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
    TokenParts& operator=(TokenParts other) noexcept {
        std::swap(block_, other.block_);
        return *this;
    }
    ~TokenParts() {
        if (block_ != nullptr && --block_->references == 0) {
            ::operator delete(block_);
        }
    }

    [[nodiscard]] json::Value header() const noexcept { return block_->header; }
    [[nodiscard]] json::Value payload() const noexcept { return block_->payload; }
    [[nodiscard]] std::string_view text() const noexcept { return block_->text; }
    [[nodiscard]] std::string_view presented() const noexcept { return block_->presented; }
    [[nodiscard]] std::string_view signature() const noexcept { return block_->signature; }
    [[nodiscard]] std::string_view signing_input() const noexcept {
        return block_->text.substr(0, block_->signing_input_size);
    }
    /// Bytes of the block.
    [[nodiscard]] std::size_t size() const noexcept { return block_->size; }

private:
    struct Block {
        std::size_t references;
        std::size_t size;
        std::size_t signing_input_size;
        std::string_view text;
        std::string_view presented;
        std::string_view signature;
        json::Value header;
        json::Value payload;
    };
    static_assert(std::is_trivially_destructible_v<Block>);

    Block* block_;
};

/// A compact JWS (RFC 7515 §7.1) that was taken apart and whose header and payload are JSON objects. Nothing about it
/// is known to be true: it may choose a key among configured ones, nothing else.
class UnverifiedToken {
public:
    UnverifiedToken(const UnverifiedToken&) = delete;
    UnverifiedToken& operator=(const UnverifiedToken&) = delete;
    UnverifiedToken(UnverifiedToken&&) noexcept = default;
    UnverifiedToken& operator=(UnverifiedToken&&) noexcept = default;
    ~UnverifiedToken() = default;

    [[nodiscard]] json::Value header() const noexcept { return parts_.header(); }
    [[nodiscard]] json::Value payload() const noexcept { return parts_.payload(); }
    /// The bytes that were signed, as received (RFC 7515 §5.2).
    [[nodiscard]] std::string_view signing_input() const noexcept { return parts_.signing_input(); }
    [[nodiscard]] std::string_view signature() const noexcept { return parts_.signature(); }
    /// The compact JWS.
    [[nodiscard]] std::string_view text() const noexcept { return parts_.text(); }
    /// What the client sent: the same, or what the JWS was found in.
    [[nodiscard]] std::string_view presented() const noexcept { return parts_.presented(); }

private:
    friend class Verifier;
    friend class AuthenticToken;
    explicit UnverifiedToken(TokenParts&& parts) noexcept : parts_(std::move(parts)) {}

    TokenParts parts_;
};

/// A token whose signature one of our keys made, or that was encrypted under a secret of ours. Its claims are its
/// issuer's word, yet it may be expired, for somebody else, or of the wrong type. Only Verifier makes one; copies share
/// its memory.
class AuthenticToken {
public:
    [[nodiscard]] json::Value header() const noexcept { return parts_.header(); }
    [[nodiscard]] json::Value payload() const noexcept { return parts_.payload(); }
    /// Of the signature; nothing for a token that nobody signed and a shared secret encrypted.
    [[nodiscard]] std::optional<Algorithm> algorithm() const noexcept { return algorithm_; }
    [[nodiscard]] std::string_view signing_input() const noexcept { return parts_.signing_input(); }
    [[nodiscard]] std::string_view text() const noexcept { return parts_.text(); }
    [[nodiscard]] std::string_view presented() const noexcept { return parts_.presented(); }
    /// Of the key that verified it, also where the header names none; nothing where neither has one.
    [[nodiscard]] std::optional<std::string_view> kid() const noexcept {
        const auto named = header().member("kid");
        return named ? named->string() : kid_ != nullptr ? std::optional<std::string_view>(*kid_) : std::nullopt;
    }
    /// Bytes of memory that its copies share.
    [[nodiscard]] std::size_t size() const noexcept {
        return parts_.size() + (kid_ == nullptr ? 0 : 2 * sizeof(std::string) + kid_->capacity());
    }

    /// The same token as one that nobody has looked at yet: for other keys.
    [[nodiscard]] UnverifiedToken unverified() const noexcept { return UnverifiedToken(TokenParts(parts_)); }

private:
    friend class Verifier;
    AuthenticToken(UnverifiedToken&& token, std::optional<Algorithm> algorithm,
                   std::shared_ptr<const std::string>&& kid) noexcept
        : parts_(std::move(token.parts_)), algorithm_(algorithm), kid_(std::move(kid)) {}

    TokenParts parts_;
    std::optional<Algorithm> algorithm_;
    std::shared_ptr<const std::string> kid_;  // of the key, where the header names none
};

/// A token that passed every check of the core, at one time: holding one is the proof. Only Verifier makes one.
class VerifiedToken {
public:
    VerifiedToken(const VerifiedToken&) = delete;
    VerifiedToken& operator=(const VerifiedToken&) = delete;
    VerifiedToken(VerifiedToken&&) noexcept = default;
    VerifiedToken& operator=(VerifiedToken&&) noexcept = default;
    ~VerifiedToken() = default;

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
