#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string_view>

#include <tl/expected.hpp>

#include "algorithm.hpp"
#include "key.hpp"
#include "token.hpp"
#include "verifier.hpp"

namespace jwt {

/// A keyed hash of texts up to max_size bytes: NH of UMAC (Black, Halevi, Krawczyk, Krovetz and Rogaway 1999; RFC 4418
/// §5.2) over 64-bit words. Two different texts have one NH value for at most one in 2^64 keys, whatever the texts:
/// that is proven, and as its multiplications do not wait for each other it is also the fastest one can do.
class TextHash {
public:
    static constexpr std::size_t max_size = max_token_size;
    using Key = std::array<std::uint64_t, max_size / sizeof(std::uint64_t) + 4>;

    explicit TextHash(const Key& key) noexcept : key_(key) {}
    /// One that nobody knows. Throws where OpenSSL has no randomness to give.
    [[nodiscard]] static std::unique_ptr<const TextHash> random();

    /// Its high bits are the better ones. `text` is no longer than max_size.
    [[nodiscard]] std::uint64_t operator()(std::string_view text) const noexcept;

    /// Tells it from others.
    [[nodiscard]] std::uint64_t id() const noexcept { return key_.front(); }

private:
    Key key_;
};

/// Authentic tokens by the text that was presented, so that a signature is checked once. An entry says that keys of one
/// key set made that signature, and no more: whoever finds one judges its times, audience, type and revocation as if it
/// were new. What was refused is not remembered: that would cost a forger one changed byte.
///
/// All entries are in one piece of memory that is taken at the start, one behind the other, and a hand goes round it. A
/// new entry is written where the hand is, over those that nobody asked for since it was there last: a round of the
/// hand tells the least recently used ("second chance"), and neighbours in time are neighbours in memory. The hand also
/// leaves what somebody still holds. Not for use by two threads at once.
class TokenCache {
public:
    struct Counts {
        std::uint64_t hits = 0;
        std::uint64_t misses = 0;
        std::uint64_t evictions = 0;
    };

    /// The smallest size that is worth having, in bytes.
    static constexpr std::size_t min_size = std::size_t{64} * 1024;

    struct Options {
        std::size_t size;           // of memory, with all that is needed to find entries; at least min_size
        bool fingerprints = false;  // room for them, where a revocation store is asked about tokens
    };
    explicit TokenCache(const Options& options, std::unique_ptr<const TextHash> hash = TextHash::random());
    /// Tokens that somebody holds stay as they are: their memory is not given back then.
    ~TokenCache();
    TokenCache(const TokenCache&) = delete;
    TokenCache& operator=(const TokenCache&) = delete;

    /// What Verifier::parse says: the same token, as one that nobody has looked at, where the text was seen before.
    [[nodiscard]] tl::expected<UnverifiedToken, Refusal> parse(std::string_view text, Verifier& verifier);

    /// Of what came encrypted: what Verifier::parse_nested would say of the token in it, where it was seen before and
    /// these keys decrypted it.
    [[nodiscard]] std::optional<UnverifiedToken> parsed_nested(std::string_view presented,
                                                               const KeySet& decrypting) noexcept;

    /// What Verifier::authenticate would say, where these very keys verified the token by an algorithm of `allowed`.
    /// Nothing because of another set of keys, be it of the same place in memory.
    [[nodiscard]] std::optional<AuthenticToken> find(const UnverifiedToken& token, const KeySet& keys,
                                                     AlgorithmSet allowed) noexcept;

    /// Keeps a token that Verifier::authenticate made with these keys. Returns the token as it is kept, or as it was
    /// where it is not: a large one would push out too many others.
    [[nodiscard]] AuthenticToken insert(AuthenticToken&& token, const KeySet& keys);

    [[nodiscard]] const Counts& counts() const noexcept { return counts_; }
    [[nodiscard]] std::size_t entries() const noexcept { return entries_; }
    /// Memory in use, in bytes: what nobody wrote to yet is not taken from the system.
    [[nodiscard]] std::size_t size() const noexcept { return own_size_ + used_size_; }

private:
    struct Slot;
    struct Entry;
    struct Bucket;
    struct FreeRing {
        std::align_val_t alignment;
        void operator()(std::byte* memory) const noexcept;
    };

    [[nodiscard]] Bucket& bucket(std::uint64_t hash) const noexcept;
    template <class Fits>
    [[nodiscard]] Entry* look_up(std::uint64_t hash, std::string_view presented, Fits fits) const noexcept;
    [[nodiscard]] Entry* look_up(const TokenParts& parts, const KeySet& keys) const noexcept;
    [[nodiscard]] std::uint32_t tag_of(std::uint64_t hash) const noexcept;
    [[nodiscard]] std::uint32_t cell_of(const Entry& entry) const noexcept;
    [[nodiscard]] std::uint64_t hash_of(const TokenParts& parts) const noexcept;
    [[nodiscard]] Entry* entry_of(const TokenParts& parts) const noexcept;
    [[nodiscard]] Slot& slot_at(std::size_t place) const noexcept;
    [[nodiscard]] std::byte* make_room(std::size_t size) noexcept;
    void prefetch_room() const noexcept;
    void prefetch_buckets() const noexcept;
    void leave(std::size_t size) noexcept;
    void remove(Entry& entry) noexcept;

    const std::size_t head_size_;  // of an entry, before its token's parts
    const std::unique_ptr<const TextHash> hash_;
    unsigned shift_;  // of a hash, down to the number of its bucket
    std::unique_ptr<Bucket[]> buckets_;
    std::uint32_t place_mask_ = 0;  // of a cell: which line of the ring, from 1; above it are bits of the hash
    std::size_t own_size_;          // of all that is not the ring
    std::size_t ring_size_;         // all of it is slots, free ones too
    std::unique_ptr<std::byte[], FreeRing> ring_{nullptr, FreeRing{}};
    std::size_t hand_ = 0;
    std::size_t last_size_ = 0;  // of the entry that was made last
    std::size_t used_size_ = 0;
    std::size_t entries_ = 0;
    Counts counts_;
};

}  // namespace jwt
