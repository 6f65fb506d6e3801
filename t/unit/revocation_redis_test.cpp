#include "revocation_redis.hpp"

#include <gtest/gtest.h>

namespace jwt::redis {
namespace {

using Type = Reply::Type;

/// All replies in `bytes`, fed in pieces of `size`; the error sentence last, where one ends them.
std::pair<std::vector<Reply>, std::string> replies(std::string_view bytes, std::size_t size) {
    ReplyReader reader;
    std::vector<Reply> found;
    for (; !bytes.empty(); bytes.remove_prefix(std::min(size, bytes.size()))) {
        if (const auto fed = reader.feed(bytes.substr(0, size)); !fed) {
            return {std::move(found), fed.error()};
        }
        for (;;) {
            auto next = reader.next();
            if (!next) {
                return {std::move(found), next.error()};
            }
            if (!*next) {
                break;
            }
            found.push_back(std::move(**next));
        }
    }
    return {std::move(found), ""};
}

TEST(RevocationRedis, CommandsAreBinarySafe) {
    const std::vector<std::string_view> words = {"SET", "a b\r\nDEL x", std::string_view("\0", 1), ""};
    EXPECT_EQ(command(words), std::string_view("*4\r\n$3\r\nSET\r\n$10\r\na b\r\nDEL x\r\n$1\r\n\0\r\n$0\r\n\r\n", 43));
}

TEST(RevocationRedis, EveryTypeIsReadHoweverItIsCut) {
    constexpr std::string_view bytes =
        "+OK\r\n-ERR no\r\n:42\r\n$-1\r\n$3\r\na\nb\r\n*2\r\n$1\r\nx\r\n*1\r\n:7\r\n*-1\r\n*0\r\n";
    for (std::size_t size = 1; size <= bytes.size(); ++size) {
        const auto [found, problem] = replies(bytes, size);
        EXPECT_EQ(problem, "");
        ASSERT_EQ(found.size(), 8U) << size;
        EXPECT_TRUE(found[0].is(Type::status) && found[0].text == "OK");
        EXPECT_TRUE(found[1].is(Type::error) && found[1].text == "ERR no");
        EXPECT_TRUE(found[2].is(Type::integer) && found[2].integer == 42);
        EXPECT_TRUE(found[3].is(Type::nil));
        EXPECT_TRUE(found[4].is(Type::string) && found[4].text == "a\nb");
        ASSERT_TRUE(found[5].is(Type::array) && found[5].items.size() == 2);
        EXPECT_EQ(found[5].items[0].text, "x");
        EXPECT_EQ(found[5].items[1].items.at(0).integer, 7);
        EXPECT_TRUE(found[6].is(Type::nil));
        EXPECT_TRUE(found[7].is(Type::array) && found[7].items.empty());
    }
}

TEST(RevocationRedis, GarbageIsAnErrorNotACrash) {
    for (const std::string_view bytes : {"HTTP/1.1 400 Bad Request\r\n\r\n", "\r\n", "?", "*99999999\r\n",
                                         "*100001\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
                                         "$99999999999999999999\r\n", "$-2\r\n", "*-2\r\n", ":x\r\n"}) {
        const auto [found, problem] = replies(bytes, 7);
        EXPECT_TRUE(found.empty()) << bytes;
        EXPECT_NE(problem, "") << bytes;
    }
    EXPECT_EQ(replies("+fine\r\n", 7).second, "");
}

TEST(RevocationRedis, AnAnswerIsBounded) {
    ReplyReader reader;
    const std::string block(64 * 1024, 'x');
    ASSERT_TRUE(reader.feed("$500000000\r\n"));
    std::size_t fed = 0;
    while (reader.feed(block)) {
        const auto next = reader.next();
        ASSERT_TRUE(next && !*next);
        ASSERT_LE(fed += block.size(), max_reply_size);
    }
    EXPECT_GT(fed, max_reply_size - 2 * block.size());
}

TEST(RevocationRedis, TheBoundIsOfOneAnswer) {
    ReplyReader reader;
    const std::string answer = "$65536\r\n" + std::string(65536, 'x') + "\r\n";
    for (std::size_t fed = 0; fed < 2 * max_reply_size; fed += answer.size()) {
        ASSERT_TRUE(reader.feed(answer));
        const auto next = reader.next();
        ASSERT_TRUE(next && *next);
    }
}

}  // namespace
}  // namespace jwt::redis
