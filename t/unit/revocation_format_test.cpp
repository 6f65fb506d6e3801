#include "revocation_format.hpp"

#include <gtest/gtest.h>

#include <initializer_list>

namespace jwt::revocation {
namespace {

using redis::Reply;

constexpr std::string_view entry_id = "1763769600123-4";

Time at(std::int64_t milliseconds) {
    return Time(std::chrono::milliseconds(milliseconds));
}

tl::expected<Entry, std::string> entry(std::initializer_list<std::string_view> words, std::string_view id = entry_id) {
    std::vector<Reply> replies;
    for (const std::string_view word : words) {
        Reply reply;
        reply.type = Reply::Type::string;
        reply.text = std::string(word);
        replies.push_back(std::move(reply));
    }
    return entry_from_fields(id, replies);
}

/// Why an entry is not taken; empty where it is.
std::string problem(std::initializer_list<std::string_view> words) {
    const auto read = entry(words);
    return read ? std::string() : read.error();
}

Record sample() {
    Record record;
    record.kind = Kind::token;
    record.name = "a b%\n\xc3\xa4";
    record.issuer = Issuer::named("https://a.example/");
    record.id = id(Target{record.kind, record.name, record.issuer});
    record.expires = at(1'800'000'000'000);
    record.version = {1'763'769'600'000, 0xfedcba9876543210};
    return record;
}

TEST(RevocationFormat, ATextReadsBackAsItsRecord) {
    Record record = sample();
    EXPECT_EQ(record_text(record),
              "revoke 1763769600000 fedcba9876543210 1800000000000 - token =https://a.example/ =a%20b%25%0A%C3%A4");
    const auto reads_back = [&] { return record_from_text(record.id, record_text(record)) == record; };
    EXPECT_TRUE(reads_back());
    record.version.node = 1;
    EXPECT_TRUE(reads_back());
    record.removed = true;
    record.expires.reset();
    EXPECT_TRUE(reads_back());
    record.before = at(0);
    EXPECT_TRUE(reads_back());
    record.kind = Kind::all;
    record.name.clear();
    for (const Issuer& issuer : {Issuer{}, Issuer{Issuer::Scope::none, {}}, Issuer::named(""), Issuer::named("-"),
                                 Issuer::named("*"), Issuer::named(std::string(max_label, '\xff'))}) {
        record.issuer = issuer;
        EXPECT_TRUE(reads_back()) << record_text(record);
    }
}

TEST(RevocationFormat, ATextIsReadStrictly) {
    const Record record = sample();
    const std::string good = "revoke 1 00000000000000ff 2 3 token * =x";
    ASSERT_TRUE(record_from_text(record.id, good));
    for (std::size_t size = 0; size + 1 < good.size(); ++size) {
        EXPECT_FALSE(record_from_text(record.id, good.substr(0, size))) << size;
    }
    for (const std::string_view bad : {"revoke 1 00000000000000ff 2 3 token * =x ",
                                       " revoke 1 00000000000000ff 2 3 token * =x",
                                       "revoke 1  00000000000000ff 2 3 token * =x",
                                       "REVOKE 1 00000000000000ff 2 3 token * =x",
                                       "revoke -1 00000000000000ff 2 3 token * =x",
                                       "revoke 01 00000000000000ff 2 3 token * =x",
                                       "revoke 9007199254740992 00000000000000ff 2 3 token * =x",
                                       "revoke 1 00000000000000FF 2 3 token * =x",
                                       "revoke 1 ff 2 3 token * =x",
                                       "revoke 1 00000000000000ff 2.5 3 token * =x",
                                       "revoke 1 00000000000000ff 2 3 tokens * =x",
                                       "revoke 1 00000000000000ff 2 3 token x =x",
                                       "revoke 1 00000000000000ff 2 3 token * x",
                                       "revoke 1 00000000000000ff 2 3 token * =%",
                                       "revoke 1 00000000000000ff 2 3 token * =%4",
                                       "revoke 1 00000000000000ff 2 3 token * =%41",
                                       "revoke 1 00000000000000ff 2 3 token * =%c3",
                                       "revoke 1 00000000000000ff 2 3 token * =\t",
                                       "revoke 1 00000000000000ff 2 3 token * =x y",
                                       ""}) {
        EXPECT_FALSE(record_from_text(record.id, bad)) << bad;
    }
    EXPECT_FALSE(record_from_text(record.id, "revoke 1 00000000000000ff 2 3 token * =" + std::string(129, 'x')));
}

TEST(RevocationFormat, AnEntryOfANode) {
    const Record record = sample();
    const auto read = entry({"id", text(record.id), "record", record_text(record), "from", "abc:42"});
    ASSERT_TRUE(read);
    EXPECT_EQ(read->record, record);
    EXPECT_EQ(read->from, "abc");
    EXPECT_EQ(read->sequence, 42U);
    EXPECT_FALSE(read->from_application);
    EXPECT_TRUE(entry({"record", record_text(record), "id", text(record.id)}));
    for (const auto& from : {"", "abc", "abc:", "abc:-1", "abc:1x"}) {
        EXPECT_FALSE(entry({"id", text(record.id), "record", record_text(record), "from", from})) << from;
    }
    EXPECT_FALSE(entry({"record", record_text(record)}));
    EXPECT_FALSE(entry({"id", text(record.id).substr(1), "record", record_text(record)}));
    EXPECT_FALSE(entry({"id", text(record.id), "record", "revoke"}));
}

TEST(RevocationFormat, TheFirstEntrySaysNothing) {
    const auto read = entry({"kind", "start"});
    ASSERT_TRUE(read);
    EXPECT_FALSE(read->record);
}

TEST(RevocationFormat, AnEntryOfAnApplication) {
    const auto read = entry({"kind", "token", "jti", "j1", "iss", "me", "exp", "1800000000"});
    ASSERT_TRUE(read) << read.error();
    const Record& record = read->record.value();
    EXPECT_TRUE(read->from_application);
    EXPECT_FALSE(record.removed);
    EXPECT_EQ(record.id, id(Target{Kind::token, "j1", Issuer::named("me")}));
    EXPECT_EQ(record.kind, Kind::token);
    EXPECT_EQ(record.name, "j1");
    EXPECT_EQ(record.issuer, Issuer::named("me"));
    EXPECT_EQ(record.expires, at(1'800'003'600'000));
    EXPECT_EQ(record.version, (Version{1'763'769'600'123, 0}));
    EXPECT_EQ(record_from_text(record.id, record_text(record)), record);
}

TEST(RevocationFormat, EveryKindHasItsField) {
    const auto found = [](std::initializer_list<std::string_view> words) {
        return entry(words).value().record.value();
    };
    EXPECT_EQ(found({"kind", "family", "sid", "x"}).id, id(Target{Kind::family, "x"}));
    EXPECT_EQ(found({"kind", "key", "kid", "x"}).id, id(Target{Kind::key, "x"}));
    EXPECT_EQ(found({"kind", "digest", "digest", "x"}).id, id(Target{Kind::digest, "x"}));
    EXPECT_EQ(found({"kind", "all"}).id, id(Target{Kind::all}));
    EXPECT_EQ(found({"kind", "subject", "sub", "x", "iss", ""}).id,
              id(Target{Kind::subject, "x", {Issuer::Scope::none, {}}}));
    const Record everywhere = found({"kind", "subject", "sub", "x", "before", "1763769600"});
    EXPECT_EQ(everywhere.before, at(1'763'769'600'000));
    EXPECT_FALSE(everywhere.expires);
    EXPECT_EQ(found({"kind", "subject", "sub", "x"}).before, at(1'763'769'600'123));
    EXPECT_EQ(found({"kind", "all"}).before, at(1'763'769'600'123));
    EXPECT_FALSE(found({"kind", "family", "sid", "x"}).before);
    const Record undone = found({"kind", "subject", "sub", "x", "action", "unrevoke"});
    EXPECT_TRUE(undone.removed);
    EXPECT_EQ(undone.id, everywhere.id);
    EXPECT_EQ(undone.expires, at(1'763'769'600'123) + std::chrono::hours(720));
}

TEST(RevocationFormat, WhatAnApplicationGotWrongIsNotGuessed) {
    EXPECT_EQ(problem({"kind", "token", "jti", "x"}), "");
    EXPECT_EQ(problem({"kind", "tokens", "jti", "x"}), "its kind is missing or unknown");
    EXPECT_EQ(problem({"jti", "x"}), "its kind is missing or unknown");
    EXPECT_EQ(problem({"kind", "token"}), "its jti is missing, empty or too long");
    EXPECT_EQ(problem({"kind", "token", "jti", ""}), "its jti is missing, empty or too long");
    EXPECT_EQ(problem({"kind", "token", "sub", "x"}), "its jti is missing, empty or too long");
    EXPECT_EQ(problem({"kind", "all", "befor", "1"}), "nobody knows its field befor");
    EXPECT_EQ(problem({"kind", "all", "kid", "1"}), "nobody knows its field kid");
    EXPECT_EQ(problem({"kind", "token", "jti", "x", "exp", "soon"}), "its exp is no number of seconds");
    EXPECT_EQ(problem({"kind", "token", "jti", "x", "exp", "-1"}), "its exp is no number of seconds");
    EXPECT_EQ(problem({"kind", "token", "jti", "x", "exp", ""}), "its exp is no number of seconds");
    EXPECT_EQ(problem({"kind", "token", "jti", "x", "exp", "9007199254740991"}), "its exp is no number of seconds");
    EXPECT_EQ(problem({"kind", "all", "before", "1.5"}), "its before is no number of seconds");
    EXPECT_EQ(problem({"kind", "all", "action", "delete"}), "its action is neither revoke nor unrevoke");
    EXPECT_EQ(problem({"kind", "token", "jti", "x", "jti", "y"}), "it has the field jti twice");
    EXPECT_EQ(problem({"kind"}), "it is too long");
    EXPECT_EQ(problem({}), "it is too long");
    EXPECT_EQ(problem({"kind", "start", "x", "y"}), "its kind is missing or unknown");
}

}  // namespace
}  // namespace jwt::revocation
