#include "token_cache.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base64url.hpp"
#include "signature.hpp"
#include "verifier.hpp"

namespace jwt {
namespace {

constexpr AlgorithmSet hmacs{Algorithm::hs256, Algorithm::hs384, Algorithm::hs512};

std::shared_ptr<const Key> hmac_key(char fill = 's') {
    auto key = Key::from_secret(std::string(64, fill), hmacs);
    EXPECT_TRUE(key);
    return *std::move(key);
}

KeySet key_set(char fill = 's') {
    KeySet keys;
    keys.add(hmac_key(fill));
    return keys;
}

std::string text_of(const std::string& subject, std::string_view alg = "HS256") {
    const std::string input = base64url::encode("{\"alg\":\"" + std::string(alg) + "\"}") + '.' +
                              base64url::encode("{\"sub\":\"" + subject + "\"}");
    return input + '.' + base64url::encode(sign(*hmac_key(), *algorithm_named(alg), input));
}

AuthenticToken authentic(Verifier& verifier, const std::string& text, const std::string& presented = {}) {
    auto token = Verifier::authenticate(*verifier.parse(text, presented.empty() ? text : presented), key_set(), hmacs);
    EXPECT_TRUE(token);
    return *std::move(token);
}

/// The way of a request's token: by its parsed form.
std::optional<AuthenticToken> find(TokenCache& cache, const std::string& text, const KeySet& keys,
                                   AlgorithmSet allowed = hmacs) {
    const auto parsed = cache.parsed(text);
    return parsed ? cache.find(*parsed, keys, allowed) : std::nullopt;
}

/// One that gives every text the same value.
std::unique_ptr<const TextHash> worst_hash() {
    return std::make_unique<const TextHash>(TextHash::Key{});
}

class TokenCacheTest : public testing::Test {
protected:
    Verifier verifier;
    KeySet keys = key_set();
    TokenCache cache{TokenCache::min_size};

    [[nodiscard]] bool has(const std::string& text) { return find(cache, text, keys).has_value(); }
    void insert(const std::string& text) { cache.insert(authentic(verifier, text), keys); }
};

TEST_F(TokenCacheTest, FindsWhatWasInserted) {
    const std::string text = text_of("alice");
    EXPECT_FALSE(has(text));
    insert(text);
    const auto found = find(cache, text, keys);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->text(), text);
    EXPECT_EQ(found->payload().member("sub")->string(), "alice");
    EXPECT_EQ(found->algorithm(), Algorithm::hs256);
    insert(text);
    EXPECT_EQ(cache.entries(), 1U);
    EXPECT_EQ(cache.counts().hits, 1U);
    EXPECT_EQ(cache.counts().misses, 0U);
    EXPECT_FALSE(cache.find(*verifier.parse(text_of("bobby")), keys, hmacs));
    EXPECT_TRUE(cache.find(*verifier.parse(text), keys, hmacs)) << "also of a text that was parsed anew";
    EXPECT_EQ(cache.counts().hits, 2U);
    EXPECT_EQ(cache.counts().misses, 1U);
    EXPECT_EQ(cache.counts().evictions, 0U);
}

// ATTACKS 60: an entry is for all bytes of one text, whatever the hash.
TEST_F(TokenCacheTest, ComparesAllBytes) {
    TokenCache colliding(TokenCache::min_size, worst_hash());
    const std::string text = text_of("alice");
    const std::string other = text_of("bobby");
    colliding.insert(authentic(verifier, text), keys);
    colliding.insert(authentic(verifier, other), keys);
    ASSERT_EQ(find(colliding, text, keys)->payload().member("sub")->string(), "alice");
    ASSERT_EQ(find(colliding, other, keys)->payload().member("sub")->string(), "bobby");
    for (std::size_t i = 0; i < text.size(); ++i) {
        std::string changed = text;
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        EXPECT_FALSE(find(colliding, changed, keys)) << i;
        EXPECT_FALSE(colliding.parsed(changed)) << i;
        EXPECT_FALSE(find(colliding, text.substr(0, i), keys)) << i;
    }
    EXPECT_FALSE(find(colliding, text + 'A', keys));
    EXPECT_FALSE(colliding.parsed(""));
    EXPECT_FALSE(colliding.parsed(std::string(TextHash::max_size + 1, 'A')));
}

// ATTACKS 60: rotated keys, and keys of other places.
TEST_F(TokenCacheTest, BelongsToOneSetOfKeys) {
    const std::string text = text_of("alice");
    insert(text);
    ASSERT_TRUE(has(text));
    EXPECT_TRUE(find(cache, text, KeySet(keys), hmacs));
    EXPECT_FALSE(find(cache, text, key_set('x'), hmacs));
    EXPECT_FALSE(find(cache, text, key_set(), hmacs)) << "the same key, loaded again";
    EXPECT_FALSE(find(cache, text, KeySet(), hmacs));
    KeySet larger = keys;
    larger.add(hmac_key('x'));
    EXPECT_FALSE(find(cache, text, larger));
    EXPECT_TRUE(has(text));

    cache.insert(authentic(verifier, text), larger);
    EXPECT_TRUE(has(text));
    EXPECT_TRUE(find(cache, text, larger));
    EXPECT_EQ(cache.entries(), 2U);
}

TEST_F(TokenCacheTest, IsNotFooledByAnAddressThatIsUsedAgain) {
    const std::string text = text_of("alice");
    alignas(KeySet) std::array<std::byte, sizeof(KeySet)> place;
    for (int i = 0; i < 100; ++i) {
        auto* set = new (place.data()) KeySet(key_set());
        ASSERT_FALSE(find(cache, text, *set)) << i;
        cache.insert(authentic(verifier, text), *set);
        ASSERT_TRUE(find(cache, text, *set)) << i;
        set->~KeySet();
    }
}

TEST_F(TokenCacheTest, AsksForTheAlgorithmEachTime) {
    const std::string text = text_of("alice", "HS512");
    insert(text);
    EXPECT_TRUE(find(cache, text, keys, {Algorithm::hs512}));
    EXPECT_FALSE(find(cache, text, keys, {Algorithm::hs256, Algorithm::hs384}));
    EXPECT_FALSE(find(cache, text, keys, {}));
    EXPECT_TRUE(has(text));
}

TEST_F(TokenCacheTest, RemembersTheParsedFormForOtherKeys) {
    const std::string text = text_of("alice");
    EXPECT_FALSE(cache.parsed(text));
    insert(text);
    auto parsed = cache.parsed(text);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->payload().member("sub")->string(), "alice");
    EXPECT_FALSE(Verifier::authenticate(*std::move(parsed), key_set('x'), hmacs)) << "it proves nothing";
    EXPECT_EQ(cache.counts().hits, 0U);
}

TEST_F(TokenCacheTest, TellsBareAndWrappedTokensApart) {
    const std::string text = text_of("alice");
    const std::string other = text_of("bobby");
    cache.insert(authentic(verifier, text, "presented"), keys);
    EXPECT_TRUE(cache.find(*verifier.parse(text, "presented"), keys, hmacs));
    EXPECT_FALSE(cache.find(*verifier.parse(other, "presented"), keys, hmacs)) << "unwrapped by other keys";
    EXPECT_FALSE(cache.find(*verifier.parse(text), keys, hmacs)) << "it was never presented bare";
    EXPECT_FALSE(cache.parsed("presented")) << "what a wrapped token holds depends on keys";
    EXPECT_FALSE(cache.parsed("presented", &keys)) << "and nobody said which";
    EXPECT_FALSE(cache.parsed(text));

    const KeySet decrypting = key_set('d');
    cache.insert(authentic(verifier, text, "another"), keys, &decrypting);
    const auto parsed = cache.parsed("another", &decrypting);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->text(), text);
    EXPECT_TRUE(cache.find(*parsed, keys, hmacs));
    const KeySet others = key_set('d');
    EXPECT_FALSE(cache.parsed("another", &others));
    EXPECT_FALSE(cache.parsed("another"));
    cache.insert(authentic(verifier, text), keys, &decrypting);
    EXPECT_TRUE(cache.parsed(text));
    EXPECT_FALSE(cache.parsed(text, &decrypting)) << "it was never encrypted";
}

TEST_F(TokenCacheTest, EvictsTheLeastRecentlyUsed) {
    std::vector<std::string> texts;
    while (cache.counts().evictions == 0) {
        texts.push_back(text_of("user" + std::to_string(1000 + texts.size())));
        insert(texts.back());
        if (texts.size() > 1) {
            ASSERT_TRUE(has(texts[0])) << "used each time";
        }
        ASSERT_LE(cache.size(), TokenCache::min_size);
    }
    EXPECT_GT(texts.size(), 30U);
    EXPECT_EQ(cache.entries() + cache.counts().evictions, texts.size());
    EXPECT_TRUE(has(texts[0]));
    EXPECT_FALSE(has(texts[1]));
    EXPECT_TRUE(has(texts[2]));
    EXPECT_TRUE(has(texts.back()));
}

TEST_F(TokenCacheTest, LeavesTokensToThoseWhoHoldThem) {
    const std::string text = text_of("alice");
    insert(text);
    const auto held = find(cache, text, keys);
    const auto parsed = cache.parsed(text);
    for (int i = 0; i < 500; ++i) {
        insert(text_of("user" + std::to_string(i)));
    }
    EXPECT_EQ(held->payload().member("sub")->string(), "alice");
    EXPECT_FALSE(cache.find(*parsed, keys, hmacs));
    EXPECT_TRUE(Verifier::authenticate(*verifier.parse(parsed->text()), keys, hmacs));
}

// Against a list that is searched from end to end.
TEST_F(TokenCacheTest, DoesAsASimpleModelDoes) {
    struct Known {
        std::string text;
        std::size_t set;
    };
    const std::vector<KeySet> sets{key_set(), key_set(), key_set()};
    std::vector<AuthenticToken> tokens;
    for (int i = 0; i < 150; ++i) {
        tokens.push_back(authentic(verifier, text_of(std::string(static_cast<std::size_t>(i), 'a'))));
    }
    for (const bool colliding : {false, true}) {
        TokenCache tried(TokenCache::min_size, colliding ? worst_hash() : TextHash::random());
        const std::size_t empty = tried.size();
        std::list<Known> model;  // the newest first
        std::mt19937 random(42);
        for (int step = 0; step < 20000; ++step) {
            const AuthenticToken& token = tokens[random() % tokens.size()];
            const std::size_t set = random() % sets.size();
            const auto known = std::find_if(model.begin(), model.end(), [&](const Known& entry) {
                return entry.text == token.text() && entry.set == set;
            });
            ASSERT_EQ(find(tried, std::string(token.text()), sets[set]).has_value(), known != model.end()) << step;
            if (known != model.end()) {
                model.splice(model.begin(), model, known);
                continue;
            }
            tried.insert(token, sets[set]);
            model.push_front({std::string(token.text()), set});
            model.resize(std::min(model.size(), tried.entries()));
            ASSERT_EQ(model.size(), tried.entries());
            ASSERT_LE(tried.size(), TokenCache::min_size);
            ASSERT_GT(tried.size(), empty);
        }
        EXPECT_GT(tried.counts().evictions, 1000U);
        EXPECT_GT(tried.counts().hits, 1000U);
    }
}

TEST(TextHash, DependsOnEveryByteAndOnTheKey) {
    const auto hash = TextHash::random();
    const auto other = TextHash::random();
    std::vector<std::uint64_t> seen;
    for (std::size_t size = 0; size < 70; ++size) {
        const std::string text(size, 'a');
        seen.push_back((*hash)(text));
        EXPECT_EQ((*hash)(text), seen.back());
        EXPECT_NE((*other)(text), seen.back());
        seen.push_back((*hash)(text + '\0'));
        for (std::size_t i = 0; i < size; ++i) {
            std::string changed = text;
            changed[i] = 'b';
            seen.push_back((*hash)(changed));
        }
    }
    seen.push_back((*hash)(std::string(TextHash::max_size, 'a')));
    std::sort(seen.begin(), seen.end());
    EXPECT_EQ(std::adjacent_find(seen.begin(), seen.end()), seen.end());
}

// The buckets that a table of 2^12 would give to texts that differ in one number.
TEST(TextHash, SpreadsLikeTexts) {
    const auto hash = TextHash::random();
    std::vector<int> buckets(4096);
    for (int i = 0; i < 4096; ++i) {
        ++buckets[(*hash)("eyJhbGciOiJIUzI1NiJ9.user" + std::to_string(i)) >> 52U];
    }
    EXPECT_LT(*std::max_element(buckets.begin(), buckets.end()), 16);
}

}  // namespace
}  // namespace jwt
