#include "token_cache.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include <sys/mman.h>

#include "random.hpp"
#include "revocation.hpp"

// Not every compiler comes with sanitizers.
#if __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size)
#define ASAN_UNPOISON_MEMORY_REGION(address, size)
#endif

namespace jwt {
namespace {

__extension__ using Wide = unsigned __int128;

[[nodiscard]] std::uint64_t word_at(const char* text) noexcept {
    std::uint64_t word;
    std::memcpy(&word, text, sizeof word);
    return word;
}

/// Fetches a cache line that is going to be written. GCC finds no effect in a function that does no more than this, and
/// leaves out the calls of it: the empty statement is one.
inline void prefetch(const void* at) noexcept {
    __builtin_prefetch(at, 1);
    __asm__ volatile("");
}

// Slots begin with a cache line.
constexpr std::size_t line = 64;

// Of the ring, for a bucket: most tokens take a kilobyte and more, so that few buckets are ever full.
constexpr std::size_t bytes_of_a_bucket = std::size_t{4} * 1024;

// A processor remembers where some 8 MiB of small pages are, and looks up those beyond for each access: a larger ring
// is asked for in large pages.
constexpr std::size_t large_page = std::size_t{2} << 20U;
constexpr std::size_t most_in_small_pages = 4 * large_page;

[[nodiscard]] constexpr std::size_t whole_lines(std::size_t size) noexcept {
    return (size + line - 1) / line * line;
}

// A bucket counts them in 32 bits: 256 GiB.
constexpr std::size_t most_lines = 0xffff'fffe;

// No request waits for a long walk: after so many slots what was used is overwritten all the same, and after so many
// that are held, as by open connections, a token is not kept; the next one begins behind them.
constexpr unsigned most_chances = 32;
constexpr unsigned most_slots = 64;

// Of the ring, for one token.
constexpr std::size_t largest_part = 4;

}  // namespace

std::unique_ptr<const TextHash> TextHash::random() {
    Key key;
    const std::string bytes = random_bytes(sizeof key);
    std::memcpy(key.data(), bytes.data(), sizeof key);
    return std::make_unique<const TextHash>(key);
}

std::uint64_t TextHash::operator()(std::string_view text) const noexcept {
    constexpr std::size_t pair = 2 * sizeof(std::uint64_t);
    Wide sum = 0;
    const std::uint64_t* key = key_.data();
    const auto add = [&sum, &key](const char* at) {
        sum += static_cast<Wide>(word_at(at) + key[0]) * (word_at(at + sizeof(std::uint64_t)) + key[1]);
        key += 2;
    };
    std::size_t left = text.size();
    const char* at = text.data();
    for (; left >= pair; left -= pair, at += pair) {
        add(at);
    }
    if (left != 0) {
        std::array<char, pair> last{};
        std::memcpy(last.data(), at, left);
        add(last.data());
    }
    // Multiply-shift over what is left, and over the length, since the last pair was filled up with zeros.
    const std::uint64_t* end = key_.data() + key_.size() - 4;
    return static_cast<std::uint64_t>(sum) * end[0] + static_cast<std::uint64_t>(sum >> 64) * end[1] +
           text.size() * end[2] + end[3];
}

struct TokenCache::Slot {
    std::size_t size;  // down to the next one
    bool is_entry;
};

struct TokenCache::Entry : Slot {
    bool used;  // since the hand was here
    std::uint64_t hash;
    AuthenticToken token;  // whose parts are behind this
    KeySet::Identity keys;

    Entry(std::size_t whole_size, std::uint64_t hash_of_token, const AuthenticToken& kept,
          const KeySet::Identity& verifying) noexcept
        : Slot{whole_size, true}, used(false), hash(hash_of_token), token(kept), keys(verifying) {}

    [[nodiscard]] bool is_held() const noexcept { return !token.parts().is_only(); }
    [[nodiscard]] bool is_of(const KeySet& set) const noexcept { return keys == set.identity(); }
    [[nodiscard]] bool holds(const TokenParts& parts) const noexcept {
        return token.text() == parts.text() && token.parts().decrypted_by() == parts.decrypted_by();
    }
    [[nodiscard]] bool is_bare() const noexcept { return token.text().data() == token.presented().data(); }
};

/// A cache line that tells where entries are, the newest first, with bits of each one's hash. So of entries, whose
/// memory is far away, only one that most probably is the right one is looked at. The oldest of a full bucket is not
/// found any more; the hand takes its memory when it comes there.
struct alignas(line) TokenCache::Bucket {
    static constexpr std::uint32_t none = 0;

    std::array<std::uint32_t, line / sizeof(std::uint32_t)> cells;

    void add(std::uint32_t cell) noexcept {
        std::copy_backward(cells.begin(), cells.end() - 1, cells.end());
        cells.front() = cell;
    }
    void remove(std::uint32_t cell) noexcept {
        const auto found = std::find(cells.begin(), cells.end(), cell);
        if (found != cells.end()) {
            std::copy(found + 1, cells.end(), found);
            cells.back() = none;
        }
    }
};

void TokenCache::FreeRing::operator()(std::byte* memory) const noexcept {
    ::operator delete(memory, alignment);
}

TokenCache::Bucket& TokenCache::bucket(std::uint64_t hash) const noexcept {
    return buckets_[hash >> shift_];
}

template <class Fits>
TokenCache::Entry* TokenCache::look_up(std::uint64_t hash, std::string_view presented, Fits fits) const noexcept {
    const Bucket& known = bucket(hash);
    const std::uint32_t tag = tag_of(hash);
    // All cells at once, as most texts that are new have no match among them.
    std::uint32_t matches = 0;
    for (const std::uint32_t cell : known.cells) {
        matches |= (cell & ~place_mask_) == tag ? 1U : 0U;
    }
    if (matches == 0) {
        return nullptr;
    }
    for (const std::uint32_t cell : known.cells) {
        if (cell != Bucket::none && (cell & ~place_mask_) == tag) {
            auto& entry = static_cast<Entry&>(slot_at(((cell & place_mask_) - 1) * line));
            if (entry.hash == hash && fits(entry) && entry.token.presented() == presented) {
                return &entry;
            }
        }
    }
    return nullptr;
}

/// That of a token, verified by these keys.
TokenCache::Entry* TokenCache::look_up(const TokenParts& parts, const KeySet& keys) const noexcept {
    return look_up(hash_of(parts), parts.presented(),
                   [&](const Entry& known) { return known.is_of(keys) && known.holds(parts); });
}

std::uint32_t TokenCache::tag_of(std::uint64_t hash) const noexcept {
    return static_cast<std::uint32_t>(hash << (64U - shift_) >> 32U) & ~place_mask_;
}

std::uint32_t TokenCache::cell_of(const Entry& entry) const noexcept {
    const auto place = static_cast<std::size_t>(reinterpret_cast<const std::byte*>(&entry) - ring_.get());
    return tag_of(entry.hash) | static_cast<std::uint32_t>(place / line + 1);
}

TokenCache::TokenCache(const Options& options, std::unique_ptr<const TextHash> hash)
    : head_size_(sizeof(Entry) + (options.fingerprints ? sizeof(revocation::FingerprintMemo) : 0)),
      hash_(std::move(hash)) {
    const std::size_t size = std::max(options.size, min_size);
    const std::size_t buckets = std::bit_ceil(size / bytes_of_a_bucket);
    shift_ = 64U - static_cast<unsigned>(std::countr_zero(buckets));
    buckets_ = std::make_unique<Bucket[]>(buckets);
    own_size_ = sizeof(TokenCache) + sizeof(TextHash) + buckets * sizeof(Bucket);
    ring_size_ = std::min((size - own_size_) / line, most_lines) * line;
    place_mask_ = static_cast<std::uint32_t>(std::bit_ceil(ring_size_ / line + 1) - 1);
    const bool in_large_pages = ring_size_ > most_in_small_pages;
    const auto alignment = std::align_val_t(in_large_pages ? large_page : line);
    ring_ = {static_cast<std::byte*>(::operator new(ring_size_, alignment)), FreeRing{alignment}};
#ifdef MADV_HUGEPAGE
    if (in_large_pages) {
        madvise(ring_.get(), ring_size_, MADV_HUGEPAGE);  // refused, it is slower and no more than that
    }
#endif
    leave(ring_size_);
}

TokenCache::~TokenCache() {
    bool is_held = false;
    for (std::size_t place = 0; place < ring_size_;) {
        Slot& slot = slot_at(place);
        place += slot.size;
        if (slot.is_entry) {
            auto& entry = static_cast<Entry&>(slot);
            is_held = is_held || entry.is_held();
            entry.~Entry();
        }
    }
    ASAN_UNPOISON_MEMORY_REGION(ring_.get(), ring_size_);
    if (is_held) {
        static_cast<void>(ring_.release());
    }
}

std::uint64_t TokenCache::hash_of(const TokenParts& parts) const noexcept {
    if (const auto known = parts.hash_by(hash_->id())) {
        return *known;
    }
    const std::uint64_t hash = (*hash_)(parts.presented());
    parts.note_hash(hash_->id(), hash);
    return hash;
}

/// Where a token is one that this cache handed out.
TokenCache::Entry* TokenCache::entry_of(const TokenParts& parts) const noexcept {
    const auto place =
        reinterpret_cast<std::uintptr_t>(parts.address()) - reinterpret_cast<std::uintptr_t>(ring_.get());
    return place < ring_size_ ? static_cast<Entry*>(&slot_at(place - head_size_)) : nullptr;
}

tl::expected<UnverifiedToken, Refusal> TokenCache::parse(std::string_view text, Verifier& verifier) {
    if (text.size() > TextHash::max_size) {
        return verifier.parse(text);
    }
    const std::uint64_t hash = (*hash_)(text);
    if (const Entry* known = look_up(hash, text, [](const Entry& entry) { return entry.is_bare(); })) {
        return known->token.unverified();
    }
    prefetch_room();
    auto parsed = verifier.parse(text);
    if (parsed) {
        parsed->parts().note_hash(hash_->id(), hash);
        prefetch_buckets();
    }
    return parsed;
}

std::optional<UnverifiedToken> TokenCache::parsed_nested(std::string_view presented,
                                                         const KeySet& decrypting) noexcept {
    if (presented.size() > TextHash::max_size) {
        return std::nullopt;
    }
    const Entry* known = look_up((*hash_)(presented), presented, [&](const Entry& entry) {
        return !entry.is_bare() && entry.token.parts().decrypted_by() == decrypting.identity();
    });
    return known == nullptr ? std::nullopt : std::optional(known->token.unverified());
}

std::optional<AuthenticToken> TokenCache::find(const UnverifiedToken& token, const KeySet& keys,
                                               AlgorithmSet allowed) noexcept {
    Entry* entry = entry_of(token.parts());
    if ((entry == nullptr || !entry->is_of(keys)) && token.presented().size() <= TextHash::max_size) {
        entry = look_up(token.parts(), keys);
    }
    // RFC 8725 §3.1: which algorithms are allowed is the location's word, also for what another one let through.
    if (entry == nullptr || !allowed.has(*entry->token.algorithm())) {
        ++counts_.misses;
        return std::nullopt;
    }
    ++counts_.hits;
    entry->used = true;
    return entry->token;
}

AuthenticToken TokenCache::insert(AuthenticToken&& token, const KeySet& keys) {
    const std::size_t size = whole_lines(head_size_ + token.parts().size());
    if (!token.algorithm() || token.presented().size() > TextHash::max_size || size > ring_size_ / largest_part) {
        return std::move(token);
    }
    if (const Entry* known = look_up(token.parts(), keys)) {
        return known->token;
    }
    const std::uint64_t hash = hash_of(token.parts());
    std::byte* const memory = make_room(size);
    if (memory == nullptr) {
        return std::move(token);
    }
    auto* const memo = head_size_ == sizeof(Entry) ? nullptr : new (memory + sizeof(Entry)) revocation::FingerprintMemo;
    AuthenticToken kept = token.copied_to(memory + head_size_, memo);
    auto* const entry = new (memory) Entry(size, hash, kept, keys.identity());
    bucket(hash).add(cell_of(*entry));
    last_size_ = size;
    used_size_ += size;
    ++entries_;
    return kept;
}

TokenCache::Slot& TokenCache::slot_at(std::size_t place) const noexcept {
    return *std::launder(reinterpret_cast<Slot*>(ring_.get() + place));
}

/// Memory for an entry, whose slot is to be made there at once.
std::byte* TokenCache::make_room(std::size_t size) noexcept {
    std::size_t room = 0;  // free, from the hand on
    for (unsigned seen = 0; seen < most_slots; ++seen) {
        if (hand_ + room == ring_size_) {
            leave(room);
            hand_ = room = 0;
        }
        Slot& slot = slot_at(hand_ + room);
        const std::size_t slot_size = slot.size;
        if (slot.is_entry) {
            auto& entry = static_cast<Entry&>(slot);
            if (entry.is_held() || (std::exchange(entry.used, false) && seen < most_chances)) {
                leave(room);
                hand_ += room + slot_size;
                room = 0;
                continue;
            }
            remove(entry);
            ++counts_.evictions;
        }
        room += slot_size;
        if (room >= size) {
            std::byte* const memory = ring_.get() + hand_;
            ASAN_UNPOISON_MEMORY_REGION(memory, size);
            hand_ += size;
            leave(room - size);
            return memory;
        }
    }
    leave(room);
    return nullptr;
}

/// Memory for an entry as large as the last one, which is far away: it comes while a token is parsed and its signature
/// checked.
void TokenCache::prefetch_room() const noexcept {
    const std::byte* const end = ring_.get() + std::min(hand_ + last_size_, ring_size_);
    for (const std::byte* at = ring_.get() + hand_; at < end; at += line) {
        prefetch(at);
    }
}

/// Likewise the buckets of the entries that have to go for it.
void TokenCache::prefetch_buckets() const noexcept {
    const std::size_t end = std::min(hand_ + last_size_, ring_size_);
    for (std::size_t place = hand_; place < end; place += slot_at(place).size) {
        if (const Slot& slot = slot_at(place); slot.is_entry) {
            prefetch(&bucket(static_cast<const Entry&>(slot).hash));
        }
    }
}

/// Makes a free slot of what is free from the hand on. To AddressSanitizer it is as freed memory is.
void TokenCache::leave(std::size_t size) noexcept {
    if (size != 0) {
        std::byte* const memory = ring_.get() + hand_;
        ASAN_POISON_MEMORY_REGION(memory, size);
        ASAN_UNPOISON_MEMORY_REGION(memory, sizeof(Slot));
        new (memory) Slot{size, false};
    }
}

void TokenCache::remove(Entry& entry) noexcept {
    bucket(entry.hash).remove(cell_of(entry));
    used_size_ -= entry.size;
    --entries_;
    entry.~Entry();
}

}  // namespace jwt
