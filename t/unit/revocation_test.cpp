#include "revocation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>

#include "revocation_record.hpp"

namespace jwt::revocation {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;

const Time now{seconds(1'700'000'000)};

/// A folder that ends with its test.
class Folder {
public:
    Folder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "revocation-XXXXXX").string();
        path_ = mkdtemp(pattern.data());
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string data() const { return path_ + "/data.mdb"; }

private:
    std::string path_;
};

std::unique_ptr<Store> opened(const Folder& folder, std::uint64_t size = 16 << 20, bool outbox = false) {
    auto store = Store::open({folder.path(), size, outbox});
    if (!store) {
        throw std::runtime_error(store.error().message);
    }
    return *std::move(store);
}

class Claims {
public:
    explicit Claims(const std::string& text) {
        if (!parser_.parse(text, document_)) {
            throw std::runtime_error("no JSON: " + text);
        }
    }
    [[nodiscard]] json::Value value() const { return document_.root(); }

private:
    json::Parser parser_;
    json::Document document_;
};

Fingerprint of(const std::string& claims, std::optional<std::string_view> kid = std::nullopt,
               std::string_view signing_input = "a.b") {
    const Claims parsed(claims);
    return fingerprint(parsed.value(), kid, signing_input);
}

Target token(std::string jti, Issuer issuer = {}) {
    return {Kind::token, std::move(jti), std::move(issuer)};
}

Outcome applied(Store& store, Change change, Time when = now) {
    const auto outcome = store.apply({&change, 1}, when);
    if (!outcome) {
        throw std::runtime_error(outcome.error().message);
    }
    return outcome->front();
}

TEST(Revocation, RevokesATokenAndNoOther) {
    const Folder folder;
    const auto store = opened(folder);
    EXPECT_EQ(store->check(of(R"({"jti":"one"})")), Verdict::live);
    EXPECT_EQ(applied(*store, {token("one")}), Outcome::added);
    EXPECT_EQ(store->check(of(R"({"jti":"one"})")), Verdict::revoked);
    EXPECT_EQ(store->check(of(R"({"jti":"two"})")), Verdict::live);
    EXPECT_EQ(applied(*store, {token("one")}), Outcome::known);
}

TEST(Revocation, KeepsIssuersApart) {
    const Folder folder;
    const auto store = opened(folder);
    EXPECT_EQ(applied(*store, {token("one", Issuer::named("a"))}), Outcome::added);
    EXPECT_EQ(store->check(of(R"({"jti":"one","iss":"a"})")), Verdict::revoked);
    EXPECT_EQ(store->check(of(R"({"jti":"one","iss":"b"})")), Verdict::live);
    EXPECT_EQ(store->check(of(R"({"jti":"one"})")), Verdict::live);
    EXPECT_EQ(applied(*store, {token("two", {Issuer::Scope::none})}), Outcome::added);
    EXPECT_EQ(store->check(of(R"({"jti":"two"})")), Verdict::revoked);
    EXPECT_EQ(store->check(of(R"({"jti":"two","iss":"a"})")), Verdict::live);
    EXPECT_EQ(applied(*store, {token("three")}), Outcome::added);
    EXPECT_EQ(store->check(of(R"({"jti":"three"})")), Verdict::revoked);
    EXPECT_EQ(store->check(of(R"({"jti":"three","iss":"a"})")), Verdict::revoked);
    EXPECT_EQ(applied(*store, {token("three", Issuer::named("a"))}), Outcome::known) << "any issuer's was";
}

// What is remembered of the token before must be nobody else's.
TEST(Revocation, MakesTheSameFingerprintAfterAnyOther) {
    struct Case {
        std::string claims;
        std::optional<std::string_view> kid;
    };
    std::vector<Case> cases;
    for (const char* const issuer :
         {"", R"("iss":"",)", R"("iss":"a",)", R"("iss":"b",)", R"("iss":"ab",)", R"("iss":1,)"}) {
        for (const std::optional<std::string_view> kid :
             {std::optional<std::string_view>(), std::optional<std::string_view>(""),
              std::optional<std::string_view>("a"), std::optional<std::string_view>("ab")}) {
            for (const char* const rest : {R"("jti":"a","sub":"a","sid":"a")", R"("sub":["a"],"iat":1700000000)"}) {
                cases.push_back({std::string("{") + issuer + rest + "}", kid});
            }
        }
    }
    std::set<std::array<Id, 5>> seen;
    for (const Case& one : cases) {
        seen.insert(of(one.claims, one.kid).ids);
    }
    EXPECT_EQ(seen.size(), 5U * 4 * 2) << "an issuer that is no string is none";
    Fingerprints fingerprints;
    const auto expect_same = [&](const Case& given) {
        const Claims parsed(given.claims);
        const Fingerprint made = fingerprints.of(parsed.value(), given.kid, "a.b");
        const Fingerprint expected = of(given.claims, given.kid);
        ASSERT_EQ(made.ids, expected.ids) << given.claims;
        ASSERT_EQ(made.issued_at, expected.issued_at) << given.claims;
    };
    for (const Case& one : cases) {
        for (const Case& other : cases) {
            expect_same(one);
            expect_same(other);
        }
    }
}

// A fingerprint that was found live is looked up again after every write, be it of whomever, and in every other store.
TEST(Revocation, LooksAgainWhereSomebodyWrote) {
    const Fingerprint one = of(R"({"jti":"one","sub":"bob"})");
    const Folder folder;
    {
        const auto store = opened(folder);
        for (const Target& target : {token("one"), Target{Kind::subject, "bob", {}}, Target{Kind::all, "", {}}}) {
            EXPECT_EQ(store->check(one), Verdict::live);
            EXPECT_EQ(store->check(one), Verdict::live);
            EXPECT_EQ(applied(*store, {token("two")}), target.kind == Kind::token ? Outcome::added : Outcome::known);
            EXPECT_EQ(store->check(one), Verdict::live);
            EXPECT_EQ(applied(*store, {target}), Outcome::added);
            EXPECT_EQ(store->check(one), Verdict::revoked);
            EXPECT_EQ(store->check(one), Verdict::revoked);
            EXPECT_EQ(applied(*store, {.target = target, .remove = true}), Outcome::removed);
        }
        EXPECT_EQ(store->check(one), Verdict::live);
    }
    // As many transactions each, so that these alone do not tell the stores apart.
    const Folder with;
    const Folder without;
    for (const bool revoked : {false, true, false, true}) {
        const Folder& place = revoked ? with : without;
        const bool is_new = !std::filesystem::exists(place.data());
        const auto store = opened(place);
        if (is_new) {
            EXPECT_EQ(applied(*store, {token(revoked ? "one" : "two")}), Outcome::added);
        }
        EXPECT_EQ(store->check(one), revoked ? Verdict::revoked : Verdict::live);
    }
}

TEST(Revocation, AsksForWhateverIssuer) {
    const Folder folder;
    const auto store = opened(folder);
    EXPECT_EQ(applied(*store, {token("one", Issuer::named("a"))}), Outcome::added);
    EXPECT_EQ(applied(*store, {token("one", Issuer::named("b"))}), Outcome::added);
    EXPECT_EQ(store->check(fingerprint(token("one"))), Verdict::revoked);
    EXPECT_EQ(store->check(fingerprint(token("one", Issuer::named("b")))), Verdict::revoked);
    EXPECT_EQ(store->check(fingerprint(token("one", Issuer::named("c")))), Verdict::live);
    EXPECT_EQ(store->check(fingerprint(token("two"))), Verdict::live);
    EXPECT_EQ(applied(*store, {.target = token("one"), .remove = true}), Outcome::removed);
    EXPECT_EQ(store->check(of(R"({"jti":"one","iss":"a"})")), Verdict::live);
    EXPECT_EQ(store->check(of(R"({"jti":"one","iss":"b"})")), Verdict::live);
    EXPECT_EQ(applied(*store, {.target = token("one"), .remove = true}), Outcome::absent);
}

TEST(Revocation, KnowsATokenWithoutJtiByWhatWasSigned) {
    const Folder folder;
    const auto store = opened(folder);
    const Claims claims(R"({"sub":"bob"})");
    EXPECT_EQ(applied(*store, {Target::of(claims.value(), "head.body")}), Outcome::added);
    EXPECT_EQ(store->check(fingerprint(claims.value(), std::nullopt, "head.body")), Verdict::revoked);
    EXPECT_EQ(store->check(fingerprint(claims.value(), std::nullopt, "head.bodz")), Verdict::live);
    EXPECT_EQ(store->check(of(R"({"jti":""})", std::nullopt, "head.body")), Verdict::revoked) << "an empty jti is none";
    EXPECT_EQ(store->check(of(R"({"jti":"x"})", std::nullopt, "head.body")), Verdict::live);
    EXPECT_EQ(applied(*store, {token(digest_name("c.d"))}), Outcome::added);
    EXPECT_EQ(store->check(of("{}", std::nullopt, "c.d")), Verdict::live) << "a jti that looks like a digest is a jti";
}

TEST(Revocation, EndsWhatWasIssuedBeforeAMoment) {
    const Folder folder;
    const auto store = opened(folder);
    const Time moment = now + milliseconds(500);
    EXPECT_EQ(applied(*store, {.target = {Kind::subject, "bob"}, .before = moment}), Outcome::added);
    EXPECT_EQ(store->check(of(R"({"sub":"bob","iat":1700000000,"jti":"a"})")), Verdict::revoked);
    EXPECT_EQ(store->check(of(R"({"sub":"bob","iat":1700000001,"jti":"a"})")), Verdict::live);
    EXPECT_EQ(store->check(of(R"({"sub":"bob","iat":1700000000.5,"jti":"a"})")), Verdict::live);
    EXPECT_EQ(store->check(of(R"({"sub":"bob","iat":1700000000.4999,"jti":"a"})")), Verdict::revoked);
    EXPECT_EQ(store->check(of(R"({"sub":"bob","jti":"a"})")), Verdict::revoked) << "it does not say when";
    EXPECT_EQ(store->check(of(R"({"sub":"bob","iat":1e300,"jti":"a"})")), Verdict::revoked) << "nor does that";
    EXPECT_EQ(store->check(of(R"({"sub":"amy","iat":1700000000,"jti":"a"})")), Verdict::live);
    EXPECT_EQ(applied(*store, {.target = {Kind::subject, "bob"}, .before = now}), Outcome::known);
    EXPECT_EQ(store->check(of(R"({"sub":"bob","iat":1700000000,"jti":"a"})")), Verdict::revoked)
        << "the later one stays";
    EXPECT_EQ(applied(*store, {.target = {Kind::all}, .before = now + hours(1)}), Outcome::added);
    EXPECT_EQ(store->check(of(R"({"sub":"amy","iat":1700000000,"jti":"a"})")), Verdict::revoked);
    EXPECT_EQ(store->check(of(R"({"sub":"amy","iat":1700003600,"jti":"a"})")), Verdict::live);
}

TEST(Revocation, EndsFamiliesAndKeys) {
    const Folder folder;
    const auto store = opened(folder);
    EXPECT_EQ(applied(*store, {.target = {Kind::family, "login"}}), Outcome::added);
    EXPECT_EQ(store->check(of(R"({"sid":"login","jti":"a"})")), Verdict::revoked);
    EXPECT_EQ(store->check(of(R"({"sid":"other","jti":"a"})")), Verdict::live);
    EXPECT_EQ(applied(*store, {.target = {Kind::key, "k1", Issuer::named("a")}}), Outcome::added);
    EXPECT_EQ(store->check(of(R"({"jti":"a","iss":"a"})", "k1")), Verdict::revoked);
    EXPECT_EQ(store->check(of(R"({"jti":"a","iss":"a"})", "k2")), Verdict::live);
    EXPECT_EQ(store->check(of(R"({"jti":"a","iss":"b"})", "k1")), Verdict::live);
    EXPECT_EQ(store->check(of(R"({"jti":"a","iss":"a"})")), Verdict::live);
}

TEST(Revocation, FindsSubjectsWhereTheConfigurationHasThem) {
    const Folder folder;
    const auto store = opened(folder);
    EXPECT_EQ(applied(*store, {.target = {Kind::subject, "42"}}), Outcome::added);
    const Claims claims(R"({"user":42,"sub":"bob","jti":"a"})");
    EXPECT_EQ(store->check(fingerprint(claims.value(), std::nullopt, "", "user")), Verdict::revoked);
    EXPECT_EQ(store->check(fingerprint(claims.value(), std::nullopt, "")), Verdict::live);
}

TEST(Revocation, ActsOnAReuseInOneTransaction) {
    const Folder folder;
    const auto store = opened(folder);
    const std::array<Change, 2> rotation{
        Change{.target = token("refresh"), .expires = now + hours(1)},
        Change{.target = {Kind::family, "login"}, .expires = now + hours(1), .if_previous_known = true}};
    EXPECT_THAT(*store->apply(rotation, now), ElementsAre(Outcome::added, Outcome::skipped));
    EXPECT_EQ(store->check(of(R"({"jti":"new","sid":"login"})")), Verdict::live);
    EXPECT_THAT(*store->apply(rotation, now), ElementsAre(Outcome::known, Outcome::added));
    EXPECT_EQ(store->check(of(R"({"jti":"new","sid":"login"})")), Verdict::revoked);
}

TEST(Revocation, IsThereAfterClosing) {
    const Folder folder;
    std::uint64_t node = 0;
    {
        const auto store = opened(folder);
        node = store->node();
        EXPECT_EQ(applied(*store, {token("one")}), Outcome::added);
    }
    const auto store = opened(folder);
    EXPECT_EQ(store->node(), node);
    EXPECT_EQ(store->check(of(R"({"jti":"one"})")), Verdict::revoked);
    EXPECT_EQ(store->check(of(R"({"jti":"two"})")), Verdict::live);
}

TEST(Revocation, SweepsWhatExpired) {
    const Folder folder;
    const auto store = opened(folder);
    std::vector<Change> changes;
    for (int i = 0; i < 1000; ++i) {
        changes.push_back({.target = token("short" + std::to_string(i)), .expires = now + seconds(1)});
    }
    ASSERT_TRUE(store->apply(changes, now));
    EXPECT_EQ(applied(*store, {.target = token("long"), .expires = now + hours(1)}), Outcome::added);
    EXPECT_EQ(applied(*store, {token("never")}), Outcome::added);
    EXPECT_EQ(applied(*store, {.target = {Kind::family, "short"}, .expires = now + seconds(1)}), Outcome::added);
    EXPECT_EQ(store->sweep(10000, now)->deleted, 0U);
    std::size_t deleted = 0;
    std::size_t calls = 0;
    for (bool wrapped = false; !wrapped; ++calls) {
        const auto swept = store->sweep(100, now + seconds(1));
        ASSERT_TRUE(swept);
        deleted += swept->deleted;
        wrapped = swept->wrapped;
    }
    EXPECT_EQ(deleted, 1001U);
    EXPECT_GE(calls, 10U);
    EXPECT_EQ(store->check(of(R"({"jti":"long"})")), Verdict::revoked);
    EXPECT_EQ(store->check(of(R"({"jti":"never"})")), Verdict::revoked);
    EXPECT_EQ(store->check(of(R"({"jti":"short1"})")), Verdict::live);
    const auto statistics = store->statistics();
    EXPECT_EQ(statistics->tokens, 2U);
    EXPECT_EQ(statistics->rules, 0U);
}

TEST(Revocation, ListsInPages) {
    const Folder folder;
    const auto store = opened(folder);
    for (int i = 0; i < 25; ++i) {
        EXPECT_EQ(applied(*store, {token("t" + std::to_string(i))}), Outcome::added);
    }
    EXPECT_EQ(applied(*store, {.target = {Kind::subject, "bob", Issuer::named("me")}, .before = now}), Outcome::added);
    EXPECT_EQ(applied(*store, {.target = token("t3"), .remove = true}), Outcome::removed);
    std::vector<std::string> names;
    std::optional<Id> from;
    do {
        const auto page = store->list(from, 10);
        ASSERT_TRUE(page);
        EXPECT_LE(page->records.size(), 10U);
        for (const Record& record : page->records) {
            names.push_back(record.name);
        }
        from = page->next;
    } while (from);
    EXPECT_EQ(names.size(), 25U);
    EXPECT_EQ(names.back(), "bob");
    EXPECT_THAT(names, ::testing::Not(::testing::Contains("t3")));
    const auto with_tombstones = store->list(std::nullopt, 100, true);
    EXPECT_EQ(with_tombstones->records.size(), 26U);
    EXPECT_FALSE(with_tombstones->next);
    const Record& rule = with_tombstones->records.back();
    EXPECT_EQ(rule.issuer, Issuer::named("me"));
    EXPECT_EQ(rule.before, now);
    EXPECT_EQ(store->remove(rule.id, now), Outcome::removed);
    EXPECT_EQ(store->remove(rule.id, now), Outcome::absent);
}

TEST(Revocation, KeepsAnOutboxUntilItIsSent) {
    const Folder folder;
    const auto store = opened(folder, 16 << 20, true);
    EXPECT_EQ(applied(*store, {token("one")}), Outcome::added);
    EXPECT_EQ(applied(*store, {.target = token("one"), .remove = true}), Outcome::removed);
    EXPECT_EQ(applied(*store, {token("two")}), Outcome::added);
    auto unsent = store->outbox(2);
    ASSERT_TRUE(unsent);
    ASSERT_EQ(unsent->size(), 2U);
    EXPECT_FALSE((*unsent)[0].record.removed);
    EXPECT_TRUE((*unsent)[1].record.removed);
    EXPECT_EQ((*unsent)[0].record.name, "one");
    EXPECT_GT((*unsent)[1].record.version, (*unsent)[0].record.version) << "in one millisecond";
    EXPECT_TRUE(store->drop_outbox((*unsent)[1].sequence));
    EXPECT_EQ(store->statistics()->outbox, 1U);
    EXPECT_EQ(store->statistics()->oldest_unsent, now);
    unsent = store->outbox(10);
    ASSERT_EQ(unsent->size(), 1U);
    const std::uint64_t last = unsent->front().sequence;
    EXPECT_TRUE(store->drop_outbox(last));
    EXPECT_EQ(applied(*store, {token("three")}), Outcome::added);
    EXPECT_GT(store->outbox(1)->front().sequence, last) << "numbers are not used twice";
}

TEST(Revocation, TakesOverWhatOtherNodesSay) {
    const Folder here;
    const Folder there;
    const auto one = opened(here, 16 << 20, true);
    const auto other = opened(there, 16 << 20, true);
    EXPECT_NE(one->node(), other->node());
    EXPECT_EQ(applied(*one, {.target = token("x"), .expires = now + hours(1)}), Outcome::added);
    EXPECT_EQ(applied(*other, {.target = token("x"), .expires = now + hours(2)}), Outcome::added);
    EXPECT_EQ(one->position(), "");
    const Record from_one = one->outbox(1)->front().record;
    const Record from_other = other->outbox(1)->front().record;
    EXPECT_TRUE(one->apply_remote({&from_other, 1}, "7-0"));
    EXPECT_TRUE(other->apply_remote({&from_one, 1}, "8-0"));
    EXPECT_EQ(one->position(), "7-0");
    const Id id_of_x = id(token("x"));
    EXPECT_EQ(*one->find(id_of_x), *other->find(id_of_x));
    EXPECT_EQ((*one->find(id_of_x))->expires, now + hours(2));
    EXPECT_EQ(one->statistics()->outbox, 1U) << "what came from others is not sent back";
}

TEST(Revocation, LetsTheLastWordDecide) {
    Record revoked;
    revoked.expires = now;
    revoked.version = {10, 1};
    Record removed = revoked;
    removed.removed = true;
    removed.version = {11, 0};
    EXPECT_TRUE(merged(revoked, removed).removed);
    EXPECT_TRUE(merged(removed, revoked).removed);
    removed.version = {10, 0};
    EXPECT_FALSE(merged(revoked, removed).removed);
    EXPECT_FALSE(merged(removed, revoked).removed);
    removed.version = revoked.version;
    EXPECT_FALSE(merged(revoked, removed).removed) << "a tie is revoked";
    EXPECT_FALSE(merged(removed, revoked).removed);
    Record for_ever = revoked;
    for_ever.expires.reset();
    for_ever.version = {5, 5};
    EXPECT_EQ(merged(revoked, for_ever), merged(for_ever, revoked));
    EXPECT_FALSE(merged(revoked, for_ever).expires);
    EXPECT_EQ(merged(revoked, for_ever).version, revoked.version);
    EXPECT_EQ(merged(revoked, revoked), revoked);
}

TEST(Revocation, WritesIdsAsText) {
    const Id one = id(token("one", Issuer::named("a")));
    EXPECT_EQ(text(one).size(), 48U);
    EXPECT_EQ(id_from_text(text(one)), one);
    EXPECT_FALSE(id_from_text(text(one) + "0"));
    EXPECT_FALSE(id_from_text(std::string(48, 'g')));
    EXPECT_FALSE(id_from_text(""));
    for (const Kind kind : {Kind::token, Kind::digest, Kind::family, Kind::subject, Kind::key, Kind::all}) {
        EXPECT_EQ(kind_named(word(kind)), kind);
    }
    EXPECT_FALSE(kind_named("jti"));
}

}  // namespace
}  // namespace jwt::revocation
