#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "algorithm.hpp"
#include "claims.hpp"
#include "error.hpp"
#include "json.hpp"
#include "key.hpp"

namespace jwt {

namespace revocation {
struct FingerprintMemo;
}

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
        KeySet::Identity decrypted_by{};  // of what was presented; zeros where nothing was decrypted
    };
    /// Takes the block of `spare`, which may be too small or null, where nobody else has it.
    explicit TokenParts(const Source& source, const TokenParts* spare = nullptr);
    /// A copy at `memory`, of size() bytes and aligned as a pointer is, whose owner waits until nobody else has it.
    TokenParts(const TokenParts& other, std::byte* memory) noexcept;

    TokenParts(const TokenParts& other) noexcept : block_(other.block_) { ++block_->references; }
    TokenParts(TokenParts&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
    TokenParts& operator=(TokenParts other) noexcept {
        std::swap(block_, other.block_);
        return *this;
    }
    ~TokenParts() {
        if (block_ != nullptr && --block_->references == 0 && block_->is_own) {
            ::operator delete(block_);
        }
    }

    [[nodiscard]] json::Value header() const noexcept { return block_->header; }
    [[nodiscard]] const Claims& claims() const noexcept { return block_->claims; }
    [[nodiscard]] std::string_view text() const noexcept { return block_->text; }
    [[nodiscard]] std::string_view presented() const noexcept { return block_->presented; }
    /// The keys that took the token out of what was presented; zeros where they are the same.
    [[nodiscard]] const KeySet::Identity& decrypted_by() const noexcept { return block_->decrypted_by; }
    [[nodiscard]] std::string_view signature() const noexcept { return block_->signature; }
    [[nodiscard]] std::string_view signing_input() const noexcept {
        return block_->text.substr(0, block_->signing_input_size);
    }
    /// Bytes of the block.
    [[nodiscard]] std::size_t size() const noexcept { return block_->size; }
    [[nodiscard]] const std::byte* address() const noexcept { return reinterpret_cast<const std::byte*>(block_); }
    /// Whether there is but this one of it.
    [[nodiscard]] bool is_only() const noexcept { return block_->references == 1; }

    /// presented() hashed by the hash of that id, which needs it again; nothing where none or another noted its own.
    [[nodiscard]] std::optional<std::uint64_t> hash_by(std::uint64_t maker) const noexcept {
        return block_->hash_maker == maker ? std::optional(block_->hash) : std::nullopt;
    }
    void note_hash(std::uint64_t maker, std::uint64_t hash) const noexcept {
        block_->hash_maker = maker;
        block_->hash = hash;
    }

private:
    struct Block {
        std::size_t references;
        std::size_t capacity;
        std::size_t size;
        std::size_t signing_input_size;
        std::uint64_t hash_maker;
        std::uint64_t hash;
        std::string_view text;
        std::string_view presented;
        std::string_view signature;
        json::Value header;
        Claims claims;
        KeySet::Identity decrypted_by;
        bool is_own;  // memory of its own, not somebody else's
    };
    static_assert(std::is_trivially_copyable_v<Block> && std::is_trivially_destructible_v<Block>);

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
    [[nodiscard]] json::Value payload() const noexcept { return claims().payload(); }
    [[nodiscard]] const Claims& claims() const noexcept { return parts_.claims(); }
    /// The bytes that were signed, as received (RFC 7515 §5.2).
    [[nodiscard]] std::string_view signing_input() const noexcept { return parts_.signing_input(); }
    [[nodiscard]] std::string_view signature() const noexcept { return parts_.signature(); }
    /// The compact JWS.
    [[nodiscard]] std::string_view text() const noexcept { return parts_.text(); }
    /// What the client sent: the same, or what the JWS was found in.
    [[nodiscard]] std::string_view presented() const noexcept { return parts_.presented(); }
    [[nodiscard]] const TokenParts& parts() const noexcept { return parts_; }

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
    [[nodiscard]] json::Value payload() const noexcept { return claims().payload(); }
    [[nodiscard]] const Claims& claims() const noexcept { return parts_.claims(); }
    /// Of the signature; nothing for a token that nobody signed and a shared secret encrypted.
    [[nodiscard]] std::optional<Algorithm> algorithm() const noexcept { return algorithm_; }
    /// The bytes that were signed; of a token that nobody signed all but its tag.
    [[nodiscard]] std::string_view signing_input() const noexcept { return parts_.signing_input(); }
    [[nodiscard]] std::string_view text() const noexcept { return parts_.text(); }
    [[nodiscard]] std::string_view presented() const noexcept { return parts_.presented(); }
    /// Of the key that verified or decrypted it, also where the header names none; nothing where neither has one.
    [[nodiscard]] std::optional<std::string_view> kid() const noexcept {
        const auto named = header().member("kid");
        return named ? named->string() : kid_ != nullptr ? std::optional<std::string_view>(*kid_) : std::nullopt;
    }
    [[nodiscard]] const TokenParts& parts() const noexcept { return parts_; }

    /// A copy in memory of somebody else's, as of TokenParts. What is remembered of it goes to `memo`, which stays as
    /// long as the memory.
    [[nodiscard]] AuthenticToken copied_to(std::byte* memory, revocation::FingerprintMemo* memo) const noexcept;
    /// Null where nothing is remembered.
    [[nodiscard]] revocation::FingerprintMemo* fingerprint_memo() const noexcept { return memo_; }
    /// The same token as one that nobody has looked at yet: for other keys.
    [[nodiscard]] UnverifiedToken unverified() const noexcept { return UnverifiedToken(TokenParts(parts_)); }

private:
    friend class Verifier;
    AuthenticToken(UnverifiedToken&& token, std::optional<Algorithm> algorithm,
                   std::shared_ptr<const std::string> kid) noexcept
        : parts_(std::move(token.parts_)), algorithm_(algorithm), kid_(std::move(kid)) {}

    TokenParts parts_;
    std::optional<Algorithm> algorithm_;
    std::shared_ptr<const std::string> kid_;  // of the key, where the header names none; null where neither does
    revocation::FingerprintMemo* memo_ = nullptr;
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
    [[nodiscard]] const Claims& claims() const noexcept { return token_.claims(); }
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
