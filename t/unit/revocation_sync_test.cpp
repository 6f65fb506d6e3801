#include "revocation_sync.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "revocation_format.hpp"

namespace jwt::revocation {
namespace {

using redis::Reply;
using testing::HasSubstr;
using testing::Not;
using Send = Replica::Send;
using Pause = Replica::Pause;

Time at(std::int64_t seconds) {
    return Time(std::chrono::seconds(seconds));
}

Reply text_reply(std::string text, Reply::Type type = Reply::Type::string) {
    Reply reply;
    reply.type = type;
    reply.text = std::move(text);
    return reply;
}

Reply list(std::vector<Reply> items) {
    Reply reply;
    reply.type = Reply::Type::array;
    reply.items = std::move(items);
    return reply;
}

Reply strings(std::initializer_list<std::string> texts) {
    std::vector<Reply> items;
    for (const std::string& text : texts) {
        items.push_back(text_reply(text));
    }
    return list(std::move(items));
}

const Reply ok = text_reply("OK", Reply::Type::status);

Reply entry(const std::string& id, std::initializer_list<std::string> words) {
    return list({text_reply(id), strings(words)});
}

Record record(const std::string& jti) {
    Record made;
    made.name = jti;
    made.id = id(Target{Kind::token, jti});
    made.version = {1'763'769'600'000, 7};
    return made;
}

/// A replica, and what would be around it.
class Exchange {
public:
    explicit Exchange(Replica::Options options = {})
        : has_password_(!options.password.empty()), replica_(std::move(options), "me") {
        connect();
    }

    /// To where the exchange begins; to the very beginning where there is a password.
    void connect() {
        replica_.connected();
        if (!has_password_) {
            EXPECT_EQ(sent(), "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n");
            EXPECT_EQ(problem(ok), "");
        }
    }

    [[nodiscard]] std::string sent() {
        auto step = replica_.next(now_);
        const auto* send = std::get_if<Send>(&step);
        EXPECT_NE(send, nullptr) << "no command but " << step.index();
        return send == nullptr ? std::string() : send->bytes;
    }
    [[nodiscard]] Work work() {
        auto step = replica_.next(now_);
        const auto* work = std::get_if<Work>(&step);
        EXPECT_NE(work, nullptr) << "no work but " << step.index();
        return work == nullptr ? Work() : *work;
    }
    [[nodiscard]] bool pauses() {
        auto step = replica_.next(now_);
        return std::holds_alternative<Pause>(step);
    }
    [[nodiscard]] std::string problem(const Reply& reply) {
        const auto taken = replica_.answered(reply, now_);
        return taken ? std::string() : taken.error();
    }
    void worked(WorkResult result = {}) { replica_.worked(std::move(result)); }

    /// On from where it was, to the reading of the stream.
    void resume(const std::string& position) {
        EXPECT_TRUE(work().read_position);
        WorkResult result;
        result.position = position;
        worked(std::move(result));
    }
    /// A round in which the stream answers this, from where the replica gives work to where it does again or pauses.
    Work round(WorkResult result, const Reply& stream) {
        Work given = work();
        worked(std::move(result));
        read(stream);
        return given;
    }
    void read(const Reply& stream) {
        EXPECT_THAT(sent(), HasSubstr("XRANGE"));
        EXPECT_EQ(problem(stream), "");
    }

    Replica& replica() { return replica_; }
    void pass(std::chrono::seconds time) { now_ += time; }

private:
    bool has_password_;
    Replica replica_;
    Time now_ = at(1'763'769'600);
};

WorkResult unsent(std::initializer_list<std::uint64_t> sequences) {
    WorkResult result;
    for (const std::uint64_t sequence : sequences) {
        result.outbox.push_back({sequence, record("unsent" + std::to_string(sequence))});
    }
    return result;
}

const std::string position = "1763769599000-0";
const Reply nothing_new = list({entry("1763769599000-0", {"kind", "start"})});

TEST(RevocationSync, AGreetingFirst) {
    Exchange exchange({"me", "s3cret", 3, "key"});
    EXPECT_EQ(exchange.sent(), "*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$6\r\ns3cret\r\n");
    EXPECT_EQ(exchange.problem(ok), "");
    EXPECT_EQ(exchange.sent(), "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n");
    EXPECT_EQ(exchange.problem(ok), "");
    EXPECT_TRUE(exchange.work().read_position);
    Exchange nameless({"", "s3cret", 0, "key"});
    EXPECT_EQ(nameless.sent(), "*2\r\n$4\r\nAUTH\r\n$6\r\ns3cret\r\n");
}

TEST(RevocationSync, WhoGivesNoPasswordIsToldThatOneIsAskedForWhateverThereIsToSend) {
    Replica replica({}, "me");
    replica.connected();
    const auto step = replica.next(at(1));
    ASSERT_TRUE(std::holds_alternative<Send>(step));
    EXPECT_EQ(std::get<Send>(step).bytes, "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n")
        << "of more than ten words Redis would say that they are too many";
    const auto refused = replica.answered(text_reply("NOAUTH Authentication required.", Reply::Type::error), at(1));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), "answered: NOAUTH Authentication required.");
}

TEST(RevocationSync, ErrorsAreToldWithoutThePassword) {
    Exchange exchange({"", "s3cret", 1, "key"});
    static_cast<void>(exchange.sent());
    EXPECT_EQ(exchange.problem(text_reply("WRONGPASS s3cret", Reply::Type::error)),
              "refused authentication: WRONGPASS");
    exchange.connect();
    static_cast<void>(exchange.sent());
    EXPECT_EQ(exchange.problem(ok), "");
    static_cast<void>(exchange.sent());
    EXPECT_THAT(exchange.problem(text_reply("ERR not s3cret", Reply::Type::error)), Not(HasSubstr("s3cret")));
    exchange.connect();
    static_cast<void>(exchange.sent());
    EXPECT_EQ(exchange.problem(ok), "");
    static_cast<void>(exchange.sent());
    EXPECT_EQ(exchange.problem(text_reply("ERR no such database", Reply::Type::error)),
              "answered: ERR no such database");
}

TEST(RevocationSync, AQuietRoundReadsAndPauses) {
    Exchange exchange;
    exchange.resume(position + " 1763769000000");
    EXPECT_EQ(exchange.replica().current_at(), at(1'763'769'000));
    const Work work = exchange.round({}, nothing_new);
    EXPECT_FALSE(work.position || work.drop || work.page);
    EXPECT_THAT(exchange.sent(), HasSubstr("HDEL")) << "what expired is swept, now and then";
    EXPECT_EQ(exchange.problem(text_reply("0")), "");
    EXPECT_TRUE(exchange.pauses());
    EXPECT_EQ(exchange.replica().counters().rounds, 1U);
    static_cast<void>(exchange.round({}, nothing_new));
    EXPECT_TRUE(exchange.pauses());
    EXPECT_EQ(exchange.replica().counters().rounds, 2U);
    exchange.pass(std::chrono::seconds(20));
    static_cast<void>(exchange.round({}, nothing_new));
    EXPECT_THAT(exchange.sent(), HasSubstr("HDEL"));
    EXPECT_EQ(exchange.problem(text_reply("0")), "");
    EXPECT_TRUE(exchange.pauses());
    EXPECT_EQ(exchange.work().position, position + " 1763769620000") << "how old its knowledge is outlives a restart";
}

TEST(RevocationSync, WhatOthersChangedIsMergedWithThePosition) {
    Exchange exchange;
    exchange.resume(position + " 1763769600000");
    const Record theirs = record("theirs");
    static_cast<void>(exchange.round(
        {},
        list({entry(position, {"kind", "start"}),
              entry("1763769599001-0", {"id", text(theirs.id), "record", record_text(theirs), "from", "them:1"})})));
    const Work work = exchange.work();
    EXPECT_THAT(work.records, testing::ElementsAre(theirs));
    EXPECT_THAT(work.position.value_or(""), HasSubstr("1763769599001-0 "));
    const Work again = exchange.work();
    EXPECT_EQ(again.records, work.records) << "as long as the store did not take it";
    EXPECT_EQ(again.position, work.position);
}

TEST(RevocationSync, AChangeLeavesTheOutboxWhenItIsReadInTheStream) {
    Exchange exchange;
    exchange.resume(position + " 1763769600000");
    static_cast<void>(exchange.work());
    exchange.worked(unsent({5, 6}));
    const std::string sent = exchange.sent();
    EXPECT_THAT(sent, HasSubstr("me:5"));
    EXPECT_THAT(sent, HasSubstr("me:6"));
    EXPECT_EQ(exchange.problem(ok), "");
    const auto own = [](const std::string& id, const std::string& from) {
        const Record mine = record("unsent");
        return entry(id, {"id", text(mine.id), "record", record_text(mine), "from", from});
    };
    exchange.read(
        list({entry(position, {"kind", "start"}), own("1763769599001-0", "me:5"), own("1763769599001-1", "other:9")}));
    EXPECT_EQ(exchange.replica().counters().sent, 2U);
    const Work work = exchange.work();
    EXPECT_EQ(work.drop, 5U) << "that Redis took it is not enough: it may fail before others have it";
    exchange.worked(unsent({6}));
    EXPECT_THAT(exchange.sent(), HasSubstr("XRANGE")) << "it is not sent twice over one connection";
    exchange.connect();
    static_cast<void>(exchange.work());
    exchange.worked(unsent({6}));
    EXPECT_THAT(exchange.sent(), HasSubstr("me:6")) << "but over the next";
}

TEST(RevocationSync, AChangeOfItsOwnThatWasReadAndNotNotedIsSentAgain) {
    Exchange exchange;
    exchange.resume(position + " 1763769600000");
    static_cast<void>(exchange.work());
    exchange.worked(unsent({5}));
    EXPECT_THAT(exchange.sent(), HasSubstr("me:5"));
    EXPECT_EQ(exchange.problem(ok), "");
    const Record mine = record("unsent5");
    exchange.read(list({entry(position, {"kind", "start"}),
                        entry("1763769599001-0", {"id", text(mine.id), "record", record_text(mine), "from", "me:5"}),
                        entry("1763769599001-1", {"kind", "token", "jti", "x"})}));
    static_cast<void>(exchange.sent());
    exchange.connect();  // another server takes over, which has the entry before alone
    EXPECT_FALSE(exchange.work().drop) << "nobody has it but this node";
    exchange.worked(unsent({5}));
    EXPECT_THAT(exchange.sent(), HasSubstr("me:5"));
}

TEST(RevocationSync, AnApplicationsEntryIsInTheHashBeforeItIsPassedOver) {
    Exchange exchange;
    exchange.resume(position + " 1763769600000");
    const Reply stream =
        list({entry(position, {"kind", "start"}), entry("1763769599001-0", {"kind", "token", "jti", "x"})});
    static_cast<void>(exchange.round({}, stream));
    EXPECT_THAT(exchange.sent(), HasSubstr("\r\n-\r\n")) << "written, and not appended";
    exchange.connect();  // no answer came
    const Work work = exchange.work();
    EXPECT_FALSE(work.position && work.position->starts_with("1763769599001-0"));
    exchange.worked();
    EXPECT_THAT(exchange.sent(), HasSubstr(position)) << "it is read again";
    EXPECT_EQ(exchange.problem(stream), "");
    static_cast<void>(exchange.sent());
    EXPECT_EQ(exchange.problem(ok), "");
    EXPECT_THAT(exchange.work().position.value_or(""), HasSubstr("1763769599001-0 "));
}

TEST(RevocationSync, AStoreThatTakesNothingIsEmptiedAllTheSame) {
    Exchange exchange;
    exchange.resume(position + " 1763769600000");
    const Record theirs = record("theirs");
    static_cast<void>(
        exchange.round({}, list({entry(position, {"kind", "start"}),
                                 entry("1763769599001-0", {"id", text(theirs.id), "record", record_text(theirs)})})));
    static_cast<void>(exchange.work());
    const auto rounds = exchange.replica().counters().rounds;
    WorkResult result = unsent({5});
    result.failure = StoreFailure{StoreError::full, "is full"};
    exchange.worked(std::move(result));
    EXPECT_TRUE(exchange.replica().stuck());
    EXPECT_THAT(exchange.sent(), HasSubstr("me:5"));
    EXPECT_EQ(exchange.problem(ok), "");
    EXPECT_TRUE(exchange.pauses()) << "more is not read";
    EXPECT_EQ(exchange.replica().counters().rounds, rounds);
    const Work work = exchange.work();
    EXPECT_THAT(work.records, testing::ElementsAre(theirs));
    EXPECT_THAT(work.position.value_or(""), HasSubstr("1763769599001-0 "));
    exchange.worked(unsent({5}));
    EXPECT_FALSE(exchange.replica().stuck());
    EXPECT_THAT(exchange.sent(), HasSubstr("XRANGE"));
}

TEST(RevocationSync, AStoreWithLittleRoomTakesLittleAtATime) {
    const std::string folder = testing::TempDir() + "revocation_sync_" + std::to_string(getpid());
    ASSERT_EQ(mkdir(folder.c_str(), 0700), 0);
    auto store = Store::open({folder, 1 << 20, true});
    ASSERT_TRUE(store);
    Work work;
    work.position = "1-0 1";
    for (int i = 0; i < 500; ++i) {
        work.records.push_back(record(std::to_string(i)));
    }
    const auto done = perform(**store, work);
    ASSERT_TRUE(done);
    EXPECT_FALSE(done->failure) << done->failure->message;
    EXPECT_EQ((*store)->position(), "1-0 1");
    EXPECT_EQ((*store)->find(work.records.front().id), work.records.front());
    EXPECT_EQ((*store)->find(work.records.back().id), work.records.back());
    std::filesystem::remove_all(folder);
}

/// A store in a folder of its own.
class Kept {
public:
    Kept() { EXPECT_EQ(mkdir(folder_.c_str(), 0700), 0); }
    ~Kept() { std::filesystem::remove_all(folder_); }
    Kept(const Kept&) = delete;
    Kept& operator=(const Kept&) = delete;

    [[nodiscard]] std::unique_ptr<Store> open(bool outbox) const {
        return std::move(Store::open({folder_, 1 << 20, outbox}).value());
    }

private:
    std::string folder_ = testing::TempDir() + "revocation_kept_" + std::to_string(getpid());
};

TEST(RevocationSync, WhatWasTakenBackLongAgoDoesNotComeBackWithTheStream) {
    Exchange exchange;
    exchange.resume("");
    Record revoked = record("taken back");
    revoked.version.time -= std::chrono::milliseconds(std::chrono::hours(24 * 40)).count();
    Record taken_back = revoked;
    taken_back.removed = true;
    ++taken_back.version.time;
    taken_back.expires = at(1'763'769'600 - 1);
    Record ended = record("ended");
    ended.expires = taken_back.expires;
    const auto of = [](const std::string& id, const Record& change) {
        return entry(id, {"id", text(change.id), "record", record_text(change)});
    };
    static_cast<void>(exchange.round(
        {}, list({of("1-0", revoked), of("2-0", taken_back), of("3-0", record("lasting")), of("4-0", ended)})));
    static_cast<void>(exchange.sent());
    EXPECT_EQ(exchange.problem(strings({"0"})), "");
    const Kept kept;
    const auto store = kept.open(true);
    ASSERT_TRUE(perform(*store, exchange.work()));
    EXPECT_EQ(store->check(fingerprint(Target{Kind::token, "lasting"})), Verdict::revoked);
    EXPECT_EQ(store->check(fingerprint(Target{Kind::token, "taken back"})), Verdict::live);
    EXPECT_EQ(store->find(ended.id).value(), std::nullopt) << "what is past needs no room";
}

TEST(RevocationSync, WhatTheStreamTakesBackIsNotPutInAgain) {
    Exchange exchange;
    exchange.resume("");
    std::vector<Reply> entries;
    for (int i = 0; i < 512; ++i) {
        entries.push_back(entry(std::to_string(i + 1) + "-0", {"kind", "start"}));
    }
    EXPECT_FALSE(exchange.round({}, list(entries)).page) << "of what is revoked there may be more to read";
    static_cast<void>(exchange.sent());
    EXPECT_EQ(exchange.problem(strings({"0"})), "");
    const Reply last = list({entries.back()});
    EXPECT_FALSE(exchange.round({}, last).page);
    EXPECT_TRUE(exchange.round({}, last).page);
    EXPECT_FALSE(exchange.work().page);
    EXPECT_FALSE(exchange.replica().exchanges_all());
}

TEST(RevocationSync, WhatHasExpiredInTheStoreIsNotPutIn) {
    Exchange exchange;
    exchange.resume("");
    const Reply nothing = list({entry("1-0", {"kind", "start"})});
    static_cast<void>(exchange.round({}, nothing));
    static_cast<void>(exchange.sent());
    EXPECT_EQ(exchange.problem(strings({"0"})), "");
    EXPECT_TRUE(exchange.work().page);
    WorkResult result;
    result.page.records = {record("lasting"), record("past")};
    result.page.records.back().expires = at(1'763'769'599);
    const auto ids = std::array{text(result.page.records.front().id), text(result.page.records.back().id)};
    exchange.worked(std::move(result));
    const std::string sent = exchange.sent();
    EXPECT_THAT(sent, HasSubstr(ids.front()));
    EXPECT_THAT(sent, Not(HasSubstr(ids.back())));
}

TEST(RevocationSync, WhatWasRevokedWhileNobodyExchangedIsSentLater) {
    const Kept kept;
    auto store = kept.open(true);
    ASSERT_TRUE(store->apply_remote({}, position + " 1763769600000"));
    ASSERT_TRUE(store->apply(std::array{Change{{Kind::token, "sent"}}}, at(1'763'769'600)));
    EXPECT_EQ(store->position(), position + " 1763769600000");
    store.reset();
    ASSERT_TRUE(kept.open(false)->apply(std::array{Change{{Kind::token, "unsent"}}}, at(1'763'769'601)));
    store = kept.open(true);
    Exchange exchange;
    exchange.resume(store->position().value());
    EXPECT_TRUE(exchange.replica().exchanges_all());
}

TEST(RevocationSync, WhatAnotherProcessDoesNotSendIsNoticed) {
    const Kept kept;
    auto store = kept.open(true);
    Exchange exchange;
    exchange.resume(position + " 1763769000000");
    ASSERT_TRUE(store->apply_remote({}, position + " 1763769000000"));
    static_cast<void>(exchange.round({}, nothing_new));
    const auto pass_round = [&] {
        EXPECT_THAT(exchange.sent(), HasSubstr("HDEL"));
        EXPECT_EQ(exchange.problem(text_reply("0")), "");
        EXPECT_TRUE(exchange.pauses());
        exchange.pass(std::chrono::seconds(20));
        auto done = perform(*store, exchange.work());
        ASSERT_TRUE(done);
        exchange.worked(std::move(*done));
    };
    pass_round();
    EXPECT_FALSE(exchange.replica().exchanges_all());
    exchange.read(nothing_new);
    store.reset();
    ASSERT_TRUE(kept.open(false)->apply(std::array{Change{{Kind::token, "unsent"}}}, at(1'763'769'601)));
    store = kept.open(true);
    pass_round();
    EXPECT_TRUE(exchange.replica().exchanges_all());
    exchange.connect();
    EXPECT_TRUE(exchange.replica().exchanges_all()) << "also on another connection";
    const Work work = exchange.work();
    EXPECT_TRUE(work.position && work.position->starts_with("- ")) << "and after a restart";
}

TEST(RevocationSync, WhereItsEntryIsGoneEverythingIsExchanged) {
    Exchange exchange;
    exchange.resume(position + " 1763769600000");
    static_cast<void>(exchange.round({}, list({entry("1763769599002-0", {"kind", "start"})})));
    EXPECT_TRUE(exchange.replica().exchanges_all());
    const Work first = exchange.work();
    EXPECT_FALSE(first.page) << "what it has is put in once it is known what Redis has";
    EXPECT_TRUE(first.position && first.position->starts_with("- ")) << "a restart must begin anew";
    exchange.worked();
    const Reply stream = list({entry("1763769599002-0", {"kind", "start"})});
    exchange.read(stream);
    EXPECT_THAT(exchange.sent(), HasSubstr("HSCAN"));
    const Record theirs = record("theirs");
    EXPECT_EQ(exchange.problem(strings({"17", text(theirs.id), record_text(theirs)})), "");
    const Work second = exchange.work();
    ASSERT_TRUE(second.page.has_value());
    EXPECT_FALSE(*second.page) << "from the beginning";
    EXPECT_THAT(second.records, testing::ElementsAre(theirs));
    EXPECT_TRUE(second.position && second.position->starts_with("- "));
    WorkResult page;
    page.page.records = {record("mine")};
    page.page.next = record("mine").id;
    exchange.worked(std::move(page));
    EXPECT_THAT(exchange.sent(), HasSubstr(text(record("mine").id)));
    EXPECT_EQ(exchange.problem(ok), "");
    exchange.read(stream);
    EXPECT_THAT(exchange.sent(), HasSubstr("\r\n17\r\n"));
    EXPECT_EQ(exchange.problem(strings({"0"})), "");
    const Work third = exchange.round({}, stream);
    EXPECT_EQ(third.page, std::optional(std::optional(record("mine").id)));
    const Work last = exchange.work();
    EXPECT_FALSE(exchange.replica().exchanges_all());
    EXPECT_TRUE(last.position && last.position->starts_with("1763769599002-0 "));
}

TEST(RevocationSync, AnExchangeOfEverythingBeginsAnewWithItsConnection) {
    Exchange exchange;
    exchange.resume("");
    const auto read_all = [&] {
        static_cast<void>(exchange.round({}, nothing_new));
        EXPECT_THAT(exchange.sent(), HasSubstr("\r\n0\r\n"));
        EXPECT_EQ(exchange.problem(strings({"17"})), "");
        const Work work = exchange.work();
        EXPECT_TRUE(work.page && !*work.page) << "from the beginning";
    };
    read_all();
    WorkResult page;
    page.page.records = {record("mine")};
    page.page.next = record("mine").id;
    exchange.worked(std::move(page));
    exchange.connect();
    read_all();
}

TEST(RevocationSync, AnswersOfNoRedisEndTheConnection) {
    const std::vector<Reply> answers = {ok,
                                        Reply(),
                                        list({}),
                                        list({ok}),
                                        list({strings({"1-0"})}),
                                        list({strings({"1-0", "x"})}),
                                        list({list({text_reply("no id"), list({})})}),
                                        list({list({text_reply("1-0-0"), list({})})}),
                                        list({list({text_reply(""), list({})})})};
    for (const Reply& answer : answers) {
        Exchange exchange;
        exchange.resume("");
        static_cast<void>(exchange.work());
        exchange.worked();
        static_cast<void>(exchange.sent());
        EXPECT_NE(exchange.problem(answer), "");
    }
    for (const Reply& answer :
         {ok, Reply(), list({}), strings({"x"}), strings({"1", "x"}), strings({""}), list({ok})}) {
        Exchange exchange;
        exchange.resume("");
        static_cast<void>(exchange.work());
        exchange.worked();
        exchange.read(nothing_new);
        EXPECT_THAT(exchange.sent(), HasSubstr("HSCAN"));
        EXPECT_NE(exchange.problem(answer), "");
    }
}

TEST(RevocationSync, WhatCannotBeReadIsSkipped) {
    Exchange exchange;
    exchange.resume(position + " 1763769600000");
    static_cast<void>(exchange.round(
        {}, list({entry(position, {}), entry("1763769599001-0", {}), entry("1763769599001-1", {"kind", "nonsense"}),
                  entry("1763769599001-2", {"kind", "token", "jti", "x"})})));
    EXPECT_EQ(exchange.replica().counters().skipped, 2U);
    EXPECT_EQ(exchange.replica().counters().received, 1U);
    EXPECT_EQ(exchange.replica().take_complaint(),
              "entry 1763769599001-1 of the stream is skipped: its kind is missing or unknown");
    EXPECT_EQ(exchange.replica().take_complaint(), "");
}

}  // namespace
}  // namespace jwt::revocation
