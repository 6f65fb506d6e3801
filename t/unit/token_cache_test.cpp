#include "token_cache.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base64url.hpp"
#include "revocation.hpp"
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

AuthenticToken authentic(Verifier& verifier, const std::string& text, const std::string& presented = {},
                         const KeySet& decrypting = {}) {
    auto parsed = verifier.parse(text, presented.empty() ? text : presented, decrypting.identity());
    auto token = Verifier::authenticate(*std::move(parsed), key_set(), hmacs);
    EXPECT_TRUE(token);
    return *std::move(token);
}

/// The way of a request's token.
std::optional<AuthenticToken> find(TokenCache& cache, const std::string& text, const KeySet& keys,
                                   AlgorithmSet allowed = hmacs) {
    Verifier verifier;
    const auto parsed = cache.parse(text, verifier);
    return parsed ? cache.find(*parsed, keys, allowed) : std::nullopt;
}

/// Whether a text is parsed no more.
bool is_remembered(TokenCache& cache, const std::string& text) {
    Verifier verifier;
    Verifier other;
    const auto once = cache.parse(text, verifier);
    const auto twice = cache.parse(text, other);
    return once && twice && once->text().data() == twice->text().data();
}

void keep(TokenCache& cache, AuthenticToken token, const KeySet& keys) {
    const std::string text(token.text());
    EXPECT_EQ(cache.insert(std::move(token), keys).text(), text);
}

/// One that gives every text the same value.
std::unique_ptr<const TextHash> worst_hash() {
    return std::make_unique<const TextHash>(TextHash::Key{});
}

/// One that is the same in every run, and so are the tokens that a small cache has buckets for.
std::unique_ptr<const TextHash> known_hash() {
    TextHash::Key key;
    std::mt19937_64 random(4418);
    std::generate(key.begin(), key.end(), [&] { return random(); });
    return std::make_unique<const TextHash>(key);
}

class TokenCacheTest : public testing::Test {
protected:
    Verifier verifier;
    KeySet keys = key_set();
    TokenCache cache{{TokenCache::min_size}, known_hash()};

    [[nodiscard]] bool has(const std::string& text) { return find(cache, text, keys).has_value(); }
    void insert(const std::string& text) { keep(cache, authentic(verifier, text), keys); }
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
    EXPECT_EQ(cache.counts().misses, 1U);
    EXPECT_FALSE(cache.find(*verifier.parse(text_of("bobby")), keys, hmacs));
    EXPECT_TRUE(cache.find(*verifier.parse(text), keys, hmacs)) << "also of a text that was parsed anew";
    EXPECT_EQ(cache.counts().hits, 2U);
    EXPECT_EQ(cache.counts().misses, 2U);
    EXPECT_EQ(cache.counts().evictions, 0U);
}

// ATTACKS 60: an entry is for all bytes of one text, whatever the hash.
TEST_F(TokenCacheTest, ComparesAllBytes) {
    TokenCache colliding({TokenCache::min_size}, worst_hash());
    const std::string text = text_of("alice");
    const std::string other = text_of("bobby");
    keep(colliding, authentic(verifier, text), keys);
    keep(colliding, authentic(verifier, other), keys);
    ASSERT_EQ(find(colliding, text, keys)->payload().member("sub")->string(), "alice");
    ASSERT_EQ(find(colliding, other, keys)->payload().member("sub")->string(), "bobby");
    for (std::size_t i = 0; i < text.size(); ++i) {
        std::string changed = text;
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        EXPECT_FALSE(find(colliding, changed, keys)) << i;
        EXPECT_FALSE(is_remembered(colliding, changed)) << i;
        EXPECT_FALSE(find(colliding, text.substr(0, i), keys)) << i;
    }
    EXPECT_FALSE(find(colliding, text + 'A', keys));
    EXPECT_TRUE(is_remembered(colliding, text));
    EXPECT_EQ(colliding.parse("", verifier).error().error, Error::segments);
    EXPECT_EQ(colliding.parse(std::string(TextHash::max_size + 1, 'A'), verifier).error().error, Error::too_long);
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

    keep(cache, authentic(verifier, text), larger);
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
        keep(cache, authentic(verifier, text), *set);
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
    EXPECT_FALSE(is_remembered(cache, text));
    insert(text);
    EXPECT_TRUE(is_remembered(cache, text));
    auto parsed = cache.parse(text, verifier);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->payload().member("sub")->string(), "alice");
    EXPECT_FALSE(Verifier::authenticate(*std::move(parsed), key_set('x'), hmacs)) << "it proves nothing";
    EXPECT_EQ(cache.counts().hits, 0U);
}

// A token that is known by one set of keys, and verified by another meanwhile.
TEST_F(TokenCacheTest, KeepsOneCopyForEachSetOfKeys) {
    const std::string text = text_of("alice");
    insert(text);
    KeySet larger = keys;
    larger.add(hmac_key('x'));
    auto again = Verifier::authenticate(*cache.parse(text, verifier), larger, hmacs);
    ASSERT_TRUE(again);
    const AuthenticToken kept = cache.insert(*std::move(again), larger);
    EXPECT_NE(kept.text().data(), find(cache, text, keys)->text().data());
    EXPECT_EQ(kept.text().data(), find(cache, text, larger)->text().data());
    EXPECT_EQ(cache.entries(), 2U);
}

TEST_F(TokenCacheTest, KnowsTheKidOfTheKeyWhereTheTokenNamesNone) {
    const std::string jwk =
        R"({"kty":"oct","alg":"HS256","kid":"mine","k":")" + base64url::encode(std::string(64, 's')) + "\"}";
    const std::string text = text_of("alice");
    {
        auto named = KeySet::from_text(jwk);
        ASSERT_TRUE(named);
        keep(cache, *Verifier::authenticate(*verifier.parse(text), *named, hmacs), *named);
        keys = *std::move(named);
    }
    const auto found = find(cache, text, keys);
    ASSERT_TRUE(found);
    keys = key_set();
    EXPECT_EQ(found->kid(), "mine");
    insert(text);
    EXPECT_FALSE(find(cache, text, keys)->kid());
}

// One that was made for other keys, or with another claim, would be another token's.
TEST_F(TokenCacheTest, RemembersFingerprints) {
    const auto same = [](const revocation::Fingerprint& one, const revocation::Fingerprint& other) {
        return one.ids == other.ids && one.issued_at == other.issued_at;
    };
    const std::string text = text_of("alice");
    AuthenticToken bare = authentic(verifier, text);
    TokenCache remembering({TokenCache::min_size, true});
    revocation::Fingerprints fingerprints;
    auto named = KeySet::from_text(R"({"kty":"oct","alg":"HS256","kid":"mine","k":")" +
                                   base64url::encode(std::string(64, 's')) + "\"}");
    ASSERT_TRUE(named);
    for (int round = 0; round < 2; ++round) {
        keep(remembering, bare, keys);
        keep(remembering, *Verifier::authenticate(*remembering.parse(text, verifier), *named, hmacs), *named);
        for (const KeySet* const set : {&keys, &*named}) {
            const AuthenticToken known = *find(remembering, text, *set);
            const auto kid = set == &keys ? std::nullopt : std::optional<std::string_view>("mine");
            ASSERT_NE(known.fingerprint_memo(), nullptr);
            for (const std::string& claim :
                 {std::string("sub"), std::string("alg"), std::string(), std::string("su"), std::string("sub"),
                  std::string(31, 's'), std::string(32, 's'), std::string("sub")}) {
                const auto made = revocation::fingerprint(known.payload(), kid, known.signing_input(), claim);
                EXPECT_TRUE(same(fingerprints.of(known, claim), made)) << claim;
                EXPECT_TRUE(same(fingerprints.of(known, claim), made)) << claim;
            }
            EXPECT_EQ(known.payload().member("sub")->string(), "alice");
        }
        for (int i = 0; i < 300; ++i) {
            keep(remembering, authentic(verifier, text_of("user" + std::to_string(i))), keys);
        }
    }
    EXPECT_EQ(bare.fingerprint_memo(), nullptr);
    keep(cache, bare, keys);
    EXPECT_EQ(find(cache, text, keys)->fingerprint_memo(), nullptr);
}

TEST_F(TokenCacheTest, TellsBareAndWrappedTokensApart) {
    const std::string text = text_of("alice");
    const std::string other = text_of("bobby");
    const KeySet decrypting = key_set('d');
    keep(cache, authentic(verifier, text, "presented"), keys);
    EXPECT_TRUE(cache.find(*verifier.parse(text, "presented"), keys, hmacs));
    EXPECT_FALSE(cache.find(*verifier.parse(other, "presented"), keys, hmacs)) << "unwrapped by other keys";
    EXPECT_FALSE(cache.find(*verifier.parse(text), keys, hmacs)) << "it was never presented bare";
    EXPECT_FALSE(cache.parse("presented", verifier)) << "what a wrapped token holds depends on keys";
    EXPECT_FALSE(cache.parsed_nested("presented", keys)) << "and nobody said which";
    EXPECT_FALSE(cache.parsed_nested("presented", decrypting));
    EXPECT_FALSE(is_remembered(cache, text));

    keep(cache, authentic(verifier, text, "another", decrypting), keys);
    const auto parsed = cache.parsed_nested("another", decrypting);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->text(), text);
    EXPECT_EQ(parsed->presented(), "another");
    EXPECT_TRUE(cache.find(*parsed, keys, hmacs));
    const KeySet others = key_set('d');
    EXPECT_FALSE(cache.parsed_nested("another", others));
    EXPECT_FALSE(cache.parse("another", verifier));
    keep(cache, authentic(verifier, text), keys);
    EXPECT_TRUE(is_remembered(cache, text));
    EXPECT_FALSE(cache.parsed_nested(text, decrypting)) << "it was never encrypted";

    // Keys may change between the one and the other.
    KeySet verifying = key_set('v');
    verifying.add(hmac_key());
    keep(cache, *Verifier::authenticate(*cache.parsed_nested("another", decrypting), verifying, hmacs), verifying);
    EXPECT_TRUE(cache.find(*cache.parsed_nested("another", decrypting), verifying, hmacs));
    EXPECT_FALSE(cache.parsed_nested("another", others)) << "who decrypted it then, stays";
    EXPECT_FALSE(cache.find(*verifier.parse(text, "another", others.identity()), keys, hmacs));
    keep(cache, authentic(verifier, text, "another", others), keys);
    EXPECT_TRUE(cache.parsed_nested("another", others)) << "as others do";
    EXPECT_TRUE(cache.parsed_nested("another", decrypting));
}

TEST_F(TokenCacheTest, EvictsTheLeastRecentlyUsed) {
    std::vector<std::string> texts;
    while (cache.counts().evictions < 5) {
        texts.push_back(text_of("user" + std::to_string(1000 + texts.size())));
        insert(texts.back());
        ASSERT_TRUE(texts.size() <= 3 || has(texts[3])) << "used each time";
        ASSERT_LE(cache.size(), TokenCache::min_size);
    }
    EXPECT_GT(texts.size(), 30U);
    EXPECT_EQ(cache.entries() + cache.counts().evictions, texts.size());
    const std::vector<std::size_t> evicted{0, 1, 2, 4, 5};
    for (std::size_t i = 0; i < texts.size(); ++i) {
        EXPECT_EQ(has(texts[i]), std::find(evicted.begin(), evicted.end(), i) == evicted.end()) << i;
    }
}

// A bucket has room for 16: the newest are found, and each of the others is checked again, and found then.
TEST_F(TokenCacheTest, ForgetsTheOldestOfAFullBucket) {
    TokenCache colliding({TokenCache::min_size}, worst_hash());
    std::vector<std::string> texts;
    for (int i = 0; i < 20; ++i) {
        texts.push_back(text_of("user" + std::to_string(i)));
        keep(colliding, authentic(verifier, texts.back()), keys);
    }
    for (std::size_t i = 0; i < texts.size(); ++i) {
        EXPECT_EQ(find(colliding, texts[i], keys).has_value(), i >= 4) << i;
    }
    for (int round = 0; round < 20; ++round) {
        for (const std::string& text : texts) {
            keep(colliding, authentic(verifier, text), keys);
            ASSERT_TRUE(find(colliding, text, keys));
        }
    }
    EXPECT_GT(colliding.counts().evictions, 100U);
    EXPECT_LE(colliding.size(), TokenCache::min_size);
}

TEST_F(TokenCacheTest, LeavesTokensToThoseWhoHoldThem) {
    const std::string text = text_of("alice");
    const std::string bobby = text_of("bobby");
    insert(text);
    insert(bobby);
    const auto held = find(cache, text, keys);
    const auto parsed = cache.parse(bobby, verifier);
    for (int i = 0; i < 500; ++i) {
        insert(text_of("user" + std::to_string(i)));
    }
    EXPECT_GT(cache.counts().evictions, 300U);
    EXPECT_EQ(held->payload().member("sub")->string(), "alice");
    EXPECT_EQ(held->text(), text);
    EXPECT_EQ(parsed->payload().member("sub")->string(), "bobby");
    EXPECT_TRUE(has(bobby));
}

// As many as there is room for, as where each of many connections waits for its answer.
TEST_F(TokenCacheTest, KeepsNoMoreWhereAllIsHeld) {
    std::vector<AuthenticToken> held;
    std::vector<std::string> texts;
    for (int i = 0; i < 500; ++i) {
        texts.push_back(text_of("user" + std::to_string(i)));
        held.push_back(cache.insert(authentic(verifier, texts.back()), keys));
    }
    const std::size_t most = cache.entries();
    EXPECT_GT(most, 30U);
    EXPECT_LT(most, 500U);
    EXPECT_EQ(cache.counts().evictions, 0U);
    ASSERT_LE(cache.size(), TokenCache::min_size);
    for (std::size_t i = 0; i < held.size(); ++i) {
        EXPECT_EQ(held[i].text(), texts[i]);
        EXPECT_EQ(held[i].payload().member("sub")->string(), "user" + std::to_string(i));
        EXPECT_EQ(has(texts[i]), i < most) << i;
    }
    held.clear();
    insert(texts.back());
    EXPECT_TRUE(has(texts.back()));
}

TEST_F(TokenCacheTest, EndsBeforeItsTokens) {
    auto other = std::make_unique<TokenCache>(TokenCache::Options{TokenCache::min_size});
    // Never freed, as is the memory that it is in: a cache that is gone cannot wait for it.
    static const auto* const held = new AuthenticToken(other->insert(authentic(verifier, text_of("alice")), keys));
    keep(*other, authentic(verifier, text_of("bobby")), keys);
    other.reset();
    EXPECT_EQ(held->payload().member("sub")->string(), "alice");
}

TEST_F(TokenCacheTest, KeepsNoTokenThatIsTooLarge) {
    const std::string small = text_of("alice");
    const std::string large = text_of(std::string(8000, 'x'));
    insert(small);
    insert(large);
    EXPECT_TRUE(has(small));
    EXPECT_FALSE(has(large));
    TokenCache roomy({16 * TokenCache::min_size});
    keep(roomy, authentic(verifier, large), keys);
    EXPECT_TRUE(find(roomy, large, keys));
}

// Tokens of all sizes, some of them held for a while, against what was inserted; and a list of the least recently used,
// which has no slots to fill.
TEST_F(TokenCacheTest, FindsWhatAListOfTheLeastRecentlyUsedFinds) {
    const std::vector<KeySet> sets{key_set(), key_set(), key_set()};
    std::vector<AuthenticToken> tokens;
    for (std::size_t i = 0; i < 400; ++i) {
        tokens.push_back(authentic(verifier, text_of(std::string(i % 50 * 20, 'a') + std::to_string(i))));
    }
    for (const bool colliding : {false, true}) {
        TokenCache tried({TokenCache::min_size}, colliding ? worst_hash() : known_hash());
        const std::size_t empty = tried.size();
        std::list<std::pair<std::size_t, std::size_t>> model;  // token and set, the newest first
        std::set<std::pair<std::size_t, std::size_t>> inserted;
        std::list<std::pair<AuthenticToken, std::size_t>> held;
        std::size_t model_hits = 0;
        std::mt19937 random(42);
        for (int step = 0; step < 20000; ++step) {
            // Few are asked for often, as of users.
            const std::size_t number = std::min(random() % tokens.size(), random() % tokens.size());
            const std::pair asked{std::min(number, random() % tokens.size()), random() % sets.size()};
            const AuthenticToken& token = tokens[asked.first];
            const auto found = find(tried, std::string(token.text()), sets[asked.second]);
            ASSERT_TRUE(!found || inserted.contains(asked)) << step;
            ASSERT_TRUE(!found || found->text() == token.text()) << step;
            if (!found) {
                AuthenticToken kept = tried.insert(AuthenticToken(token), sets[asked.second]);
                inserted.insert(asked);
                ASSERT_TRUE(find(tried, std::string(token.text()), sets[asked.second])) << step;
                held.emplace_back(std::move(kept), asked.first);
            }
            while (held.size() > random() % 8) {
                ASSERT_EQ(held.front().first.payload().text(), tokens[held.front().second].payload().text()) << step;
                held.pop_front();
            }
            const auto known = std::find(model.begin(), model.end(), asked);
            model_hits += known != model.end() ? 1U : 0U;
            if (known != model.end()) {
                model.erase(known);
            }
            model.push_front(asked);
            model.resize(std::min(model.size(), std::max<std::size_t>(tried.entries(), 1)));
            ASSERT_LE(tried.size(), TokenCache::min_size);
            ASSERT_GT(tried.size(), empty);
        }
        EXPECT_GT(tried.counts().evictions, 1000U);
        // Few places are left where all have one hash.
        EXPECT_GT(tried.counts().hits - tried.counts().evictions - tried.entries(),
                  model_hits * (colliding ? 5 : 9) / 10)
            << "of those that were not inserted just before";
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
