#include "token_cache.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "random.hpp"

namespace jwt {
namespace {

__extension__ using Wide = unsigned __int128;

[[nodiscard]] std::uint64_t word_at(const char* text) noexcept {
    std::uint64_t word;
    std::memcpy(&word, text, sizeof word);
    return word;
}

/// What the allocator takes for a block of `size` bytes: a header of 8, in steps of 16.
[[nodiscard]] constexpr std::size_t allocated(std::size_t size) noexcept {
    return (size + 8 + 15) / 16 * 16;
}

// Most tokens take more than this, so that chains stay short without a table that grows.
constexpr std::size_t bytes_of_an_entry = 1024;

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

struct TokenCache::Entry {
    Entry* next;  // of its bucket
    Entry* newer;
    Entry* older;
    std::uint64_t hash;
    AuthenticToken token;
    KeySet::Identity keys;
    KeySet::Identity decrypting;  // zeros for a bare token

    [[nodiscard]] std::size_t size() const noexcept { return allocated(sizeof(Entry)) + allocated(token.size()); }
    [[nodiscard]] bool is_of(const KeySet& set) const noexcept { return keys == set.identity(); }
    [[nodiscard]] bool is_bare() const noexcept { return token.text().data() == token.presented().data(); }
    [[nodiscard]] bool is_parsed_by(const KeySet* set) const noexcept {
        return set == nullptr ? is_bare() : !is_bare() && decrypting == set->identity();
    }
};

template <class Fits>
TokenCache::Entry* TokenCache::look_up(std::uint64_t hash, std::string_view presented, Fits fits) const noexcept {
    Entry* entry = bucket(hash);
    while (entry != nullptr && (entry->hash != hash || !fits(*entry) || entry->token.presented() != presented)) {
        entry = entry->next;
    }
    return entry;
}

TokenCache::TokenCache(std::size_t size, std::unique_ptr<const TextHash> hash)
    : max_size_(size), hash_(std::move(hash)) {
    const std::size_t buckets = std::bit_ceil(std::max(size, min_size) / bytes_of_an_entry);
    shift_ = 64U - static_cast<unsigned>(std::countr_zero(buckets));
    buckets_ = std::make_unique<Entry*[]>(buckets);
    size_ = allocated(sizeof(TextHash)) + allocated(buckets * sizeof(void*)) + allocated(sizeof(TokenCache));
}

TokenCache::~TokenCache() {
    while (oldest_ != nullptr) {
        remove(oldest_);
    }
}

std::optional<UnverifiedToken> TokenCache::parsed(std::string_view presented, const KeySet* decrypting) noexcept {
    if (presented.size() > TextHash::max_size) {
        return std::nullopt;
    }
    last_parsed_ =
        look_up((*hash_)(presented), presented, [=](const Entry& known) { return known.is_parsed_by(decrypting); });
    return last_parsed_ == nullptr ? std::nullopt : std::optional(last_parsed_->token.unverified());
}

std::optional<AuthenticToken> TokenCache::find(const UnverifiedToken& token, const KeySet& keys,
                                               AlgorithmSet allowed) noexcept {
    const std::string_view presented = token.presented();
    Entry* entry = nullptr;
    if (last_parsed_ != nullptr && last_parsed_->token.presented().data() == presented.data() &&
        last_parsed_->is_of(keys)) {
        entry = last_parsed_;
    } else if (presented.size() <= TextHash::max_size) {
        entry = look_up((*hash_)(presented), presented,
                        [&](const Entry& known) { return known.is_of(keys) && known.token.text() == token.text(); });
    }
    // RFC 8725 §3.1: which algorithms are allowed is the location's word, also for what another one let through.
    if (entry == nullptr || !allowed.has(*entry->token.algorithm())) {
        ++counts_.misses;
        return std::nullopt;
    }
    ++counts_.hits;
    if (entry != newest_) {
        unlink(*entry);
        link_newest(*entry);
    }
    return entry->token;
}

void TokenCache::insert(const AuthenticToken& token, const KeySet& keys, const KeySet* decrypting) {
    const std::string_view presented = token.presented();
    if (!token.algorithm() || presented.size() > TextHash::max_size) {
        return;
    }
    const std::uint64_t hash = (*hash_)(presented);
    const auto same = [&](const Entry& known) { return known.is_of(keys) && known.token.text() == token.text(); };
    if (look_up(hash, presented, same) != nullptr) {
        return;
    }
    auto entry = std::unique_ptr<Entry>(new Entry{nullptr, nullptr, nullptr, hash, token, keys.identity(), {}});
    if (decrypting != nullptr && !entry->is_bare()) {
        entry->decrypting = decrypting->identity();
    }
    const std::size_t size = entry->size();
    while (size_ + size > max_size_ && oldest_ != nullptr) {
        remove(oldest_);  // NOLINT(clang-analyzer-cplusplus.NewDelete): it makes another entry the oldest
        ++counts_.evictions;
    }
    if (size_ + size > max_size_) {
        return;
    }
    entry->next = bucket(hash);  // as evictions left it
    size_ += size;
    ++entries_;
    link_newest(*entry);
    bucket(hash) = entry.release();
}

void TokenCache::link_newest(Entry& entry) noexcept {
    entry.newer = nullptr;
    entry.older = std::exchange(newest_, &entry);
    (entry.older == nullptr ? oldest_ : entry.older->newer) = &entry;
}

void TokenCache::unlink(Entry& entry) noexcept {
    (entry.newer == nullptr ? newest_ : entry.newer->older) = entry.older;
    (entry.older == nullptr ? oldest_ : entry.older->newer) = entry.newer;
}

void TokenCache::remove(Entry* entry) noexcept {
    Entry** link = &bucket(entry->hash);
    while (*link != entry) {
        link = &(*link)->next;
    }
    *link = entry->next;
    if (last_parsed_ == entry) {
        last_parsed_ = nullptr;
    }
    unlink(*entry);
    size_ -= entry->size();
    --entries_;
    delete entry;
}

}  // namespace jwt
