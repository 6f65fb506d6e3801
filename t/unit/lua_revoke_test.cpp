#include <gmock/gmock.h>

#include "lua_fixture.hpp"

namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class LuaRevokeTest : public LuaTest {
protected:
    ngx::LuaFile file(std::string_view body) {
        return load("revoke" + std::to_string(++files_) + ".lua",
                    "local jwt = require 'jwt'\nreturn { handlers = { test = function(request)\n" + std::string(body) +
                        "\nend } }")
            .value();
    }

    /// The end of a handler, whose writes take effect at once or fail with `why`.
    tl::expected<ngx::Answer, ngx::NoResult> ended(std::string_view body, std::string why = {}) {
        const ngx::LuaFile of = file(body);
        ngx::LuaRun run;
        request_.done.clear();
        request_.write_failure = std::move(why);
        auto answer = host_->handle(run, request_.r(), of, "test");
        while (!answer && answer.error() == ngx::NoResult::waiting) {
            request_.fetch_ended = true;
            answer = host_->handle(run, request_.r(), of, "test");
        }
        return answer;
    }

    int files_ = 0;
};

TEST_F(LuaRevokeTest, SaysWhatToRevoke) {
    struct Case {
        const char* call;
        const char* wanted;
    };
    const Case cases[] = {
        {"jwt.revoke()", R"("current":true)"},
        {"jwt.revoke{ jti = 'a', exp = 5 }", R"("name":"a")"},
        {"jwt.revoke{ jti = 'a', iss = 'me', sub = 'b', iat = 1 }", R"("issuer":"me")"},
        {"jwt.revoke{ jti = 'a', issuer = 'me', exp = jwt.null }", R"("issuer":"me")"},
        {"jwt.revoke{ subject = 'bob', before = 7 }", R"("kind":"subject")"},
        {"jwt.revoke{ family = 'f' }", R"("kind":"family")"},
        {"jwt.revoke{ kid = 'k' }", R"("kind":"key")"},
        {"jwt.revoke{ all = true }", R"("kind":"all")"},
        {"jwt.unrevoke{ kid = 'k' }", R"("do":"unrevoke")"},
        {"jwt.revoke('a.b.c')", R"("text":"a.b.c")"},
        {"jwt.is_revoked{ jti = 'a' }", R"(ask {)"},
    };
    for (const Case& one : cases) {
        const auto answer = ended("return tostring(" + std::string(one.call) + ")");
        ASSERT_TRUE(answer) << one.call << last_log();
        EXPECT_EQ(answer->body, "true") << one.call;
        ASSERT_FALSE(request_.done.empty());
        EXPECT_THAT(request_.done.back(), HasSubstr(one.wanted));
    }
}

TEST_F(LuaRevokeTest, ANestedTokenIsTheOneInIt) {
    request_.decoded = R"({"header":{},"payload":{"sub":"alice"},"kid":"k","text":"x.y.z"})";
    for (const char* const call : {"jwt.revoke('a.b.c.d.e')", "jwt.is_revoked('a.b.c.d.e')"}) {
        ASSERT_TRUE(ended("return tostring(" + std::string(call) + ")")) << last_log();
        EXPECT_THAT(request_.done.back(), HasSubstr(R"("text":"x.y.z")"));
        EXPECT_THAT(request_.done.back(), HasSubstr(R"(\"kid\":\"k\")")) << "which verified it";
    }
    EXPECT_EQ(ended("return tostring(select('#', jwt.decode_token('a.b.c.d.e')))")->body, "2");
}

TEST_F(LuaRevokeTest, AFailureHasAStatusOfItsOwn) {
    EXPECT_EQ(ended("jwt.revoke() return 'x'", "is full").error(), ngx::NoResult::full);
    EXPECT_THAT(last_log(), HasSubstr("the revocation store is full"));
    EXPECT_EQ(ended("jwt.revoke() return 'x'", "is damaged").error(), ngx::NoResult::unavailable);
    EXPECT_EQ(ended("return tostring(jwt.is_revoked())", "cannot be read").error(), ngx::NoResult::unavailable);
    EXPECT_EQ(ended("pcall(jwt.revoke) return 'caught'", "is full")->body, "caught");
    EXPECT_EQ(ended("pcall(jwt.revoke) error('other')", "is full").error(), ngx::NoResult::failed);
    EXPECT_EQ(ended("local ok, why = pcall(jwt.revoke) error(why, 0)", "is full").error(), ngx::NoResult::full);
}

TEST_F(LuaRevokeTest, AuthorsMistakesAreErrors) {
    const std::pair<const char*, const char*> cases[] = {
        {"jwt.revoke(5)", "the argument is a number: give the text of a token or a table"},
        {"jwt.revoke{}", "the table names nothing"},
        {"jwt.revoke{ kid = 'a', subject = 'b' }", "stands beside another"},
        {"jwt.revoke{ kid = 5 }", "option kid is a number: give a string"},
        {"jwt.revoke{ all = false }", "option all is false: give true"},
        {"jwt.revoke{ subject = 'a', before = 'now' }", "option before is a string: give a time in seconds since 1970"},
        {"jwt.revoke{ jti = 'a', exp = 'soon' }", "exp is a string: give a time in seconds since 1970"},
        {"jwt.revoke{ jti = '' }", "jti is empty"},
        {"coroutine.wrap(function() jwt.revoke() end)()", "revoke cannot wait in a coroutine"},
        {"table.sort({ 2, 1 }, function() jwt.unrevoke() end)", "unrevoke cannot wait here"},
    };
    for (const auto& [call, why] : cases) {
        const auto answer = ended(call);
        ASSERT_FALSE(answer) << call;
        EXPECT_EQ(answer.error(), ngx::NoResult::failed) << call;
        EXPECT_THAT(last_log(), HasSubstr(why)) << call;
        EXPECT_THAT(request_.done, testing::IsEmpty()) << call;
    }
}

}  // namespace
