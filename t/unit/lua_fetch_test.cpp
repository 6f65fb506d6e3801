#include <gmock/gmock.h>

#include "lua_fixture.hpp"

namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class LuaFetchTest : public LuaTest {
protected:
    /// A handler `test` with that inside.
    ngx::LuaFile file(std::string_view body) {
        return load("fetch" + std::to_string(++files_) + ".lua",
                    "local jwt = require 'jwt'\nlocal calls = 0\nreturn { handlers = { test = function(request)\n" +
                        std::string(body) + "\nend } }")
            .value();
    }

    bool waits(ngx::LuaRun& run, FakeRequest& request, const ngx::LuaFile& of) {
        const auto answer = host_->handle(run, request.r(), of, "test");
        return !answer && answer.error() == ngx::NoResult::waiting;
    }

    std::string ended(ngx::LuaRun& run, FakeRequest& request, const ngx::LuaFile& of) {
        request.fetch_ended = true;
        return shown(host_->handle(run, request.r(), of, "test"));
    }
};

TEST_F(LuaFetchTest, CallsWaitAtTheSameTime) {
    const auto echo = file("calls = calls + 1; local mine = calls; return mine .. jwt.fetch('/a').body .. request.uri");
    FakeRequest first;
    FakeRequest second;
    first.set(&ngx_http_request_t::uri, "/first");
    second.set(&ngx_http_request_t::uri, "/second");
    first.fetched = "one";
    second.fetched = "two";
    ngx::LuaRun first_run;
    ngx::LuaRun second_run;
    EXPECT_TRUE(waits(first_run, first, echo));
    EXPECT_TRUE(waits(second_run, second, echo));
    EXPECT_TRUE(waits(first_run, first, echo)) << "run again before its subrequest has ended";
    EXPECT_EQ(handled("return 'not held up'"), "200 text/plain; charset=utf-8 not held up");
    EXPECT_EQ(ended(second_run, second, echo), "200 text/plain; charset=utf-8 2two/second");
    EXPECT_EQ(ended(first_run, first, echo), "200 text/plain; charset=utf-8 1one/first");
    EXPECT_THAT(first.done, ElementsAre("fetch GET /a   -"));
}

TEST_F(LuaFetchTest, CoroutinesGoFromCallToCall) {
    const auto echo = file("local mine = request.uri; return mine .. jwt.fetch('/a').body .. request.uri");
    std::vector<std::unique_ptr<FakeRequest>> requests;
    std::vector<ngx::LuaRun> runs(40);
    for (std::size_t i = 0; i < runs.size(); ++i) {
        requests.push_back(std::make_unique<FakeRequest>());
        requests[i]->set(&ngx_http_request_t::uri, "/" + std::to_string(i));
        requests[i]->fetched = "-";
    }
    // Each begins where another has just ended, or was given up, while others wait.
    for (std::size_t i = 0; i < runs.size(); ++i) {
        ASSERT_TRUE(waits(runs[i], *requests[i], echo)) << i;
        if (i % 4 == 1) {
            runs[i - 1] = ngx::LuaRun();
        }
        if (i % 4 == 3) {
            for (const std::size_t j : {i, i - 1, i - 2}) {
                const std::string uri = "/" + std::to_string(j);
                EXPECT_EQ(ended(runs[j], *requests[j], echo), "200 text/plain; charset=utf-8 " + uri + "-" + uri);
            }
            EXPECT_EQ(handled("return 'good'"), "200 text/plain; charset=utf-8 good");
        }
    }
}

TEST_F(LuaFetchTest, ACallEndsWithItsRequest) {
    restart({.memory = 2'000'000});
    const auto again = file("local big = ('x'):rep(300000) .. #jwt.fetch('/a').body; return tostring(#big)");
    for (int i = 0; i < 200; ++i) {
        FakeRequest gone;
        ngx::LuaRun run;
        ASSERT_TRUE(waits(run, gone, again)) << i;
    }
    ngx::LuaRun run;
    ASSERT_TRUE(waits(run, request_, again));
    EXPECT_EQ(ended(run, request_, again), "200 text/plain; charset=utf-8 300001");
}

TEST_F(LuaFetchTest, OneBudgetSpansAllWaits) {
    restart({.steps = 100'000});
    const auto loop = file("for i = 1, 10 do jwt.fetch('/a') for j = 1, 20000 do end end return 'done'");
    ngx::LuaRun run;
    int waited = 0;
    for (; waits(run, request_, loop); ++waited) {
        request_.fetch_ended = true;
    }
    EXPECT_GT(waited, 2);
    EXPECT_LT(waited, 10);
    EXPECT_THAT(last_log(), HasSubstr("stopped after 100000 steps"));

    const auto once = file("for j = 1, 20000 do end return jwt.fetch('/a').body");
    ASSERT_TRUE(waits(run, request_, once));
    EXPECT_EQ(ended(run, request_, once), "200 text/plain; charset=utf-8 fetched");
}

TEST_F(LuaFetchTest, AResponseBeyondTheMemoryLimitIsNone) {
    restart({.memory = 500'000});
    const auto size = file("local r, why = jwt.fetch('/a') return r and tostring(#r.body) or why");
    ngx::LuaRun run;
    request_.fetched = std::string(100'000, 'x');
    ASSERT_TRUE(waits(run, request_, size));
    EXPECT_EQ(ended(run, request_, size), "200 text/plain; charset=utf-8 100000");
    request_.fetched = std::string(600'000, 'x');
    ASSERT_TRUE(waits(run, request_, size));
    EXPECT_THAT(ended(run, request_, size), HasSubstr("the response is larger than what jwt_lua_limit memory="));
}

TEST_F(LuaFetchTest, WhileCallsWaitTheStateMayBeMadeAnew) {
    restart({.memory = 1'000'000});
    const auto hoard = load("hoard.lua",
                            "local kept, jwt = {}, require 'jwt'\nreturn { handlers = {"
                            "keep = function() kept[#kept + 1] = ('x'):rep(200000) .. #kept return tostring(#kept) end,"
                            "test = function() return jwt.fetch('/a').body .. #kept end } }")
                           .value();
    FakeRequest early;
    ngx::LuaRun early_run;
    ASSERT_TRUE(waits(early_run, early, hoard));
    bool anew = false;
    for (int i = 0; i < 100 && !anew; ++i) {
        ngx::LuaRun run;
        const std::string kept = shown(host_->handle(run, request_.r(), hoard, "keep"));
        anew = kept == "200 text/plain; charset=utf-8 1" && i > 0;
    }
    EXPECT_TRUE(anew);
    EXPECT_THAT(ended(early_run, early, hoard), HasSubstr("200 text/plain; charset=utf-8 fetched"));
}

TEST_F(LuaFetchTest, TheCallsCoroutineIsTheModulesAlone) {
    EXPECT_EQ(handled("return tostring(coroutine.running())"), "200 text/plain; charset=utf-8 nil");
    EXPECT_EQ(handled("return tostring(pcall(coroutine.yield))"), "200 text/plain; charset=utf-8 false");
    EXPECT_EQ(handled("coroutine.yield()"), "failed");
    EXPECT_THAT(last_log(), HasSubstr("attempt to yield outside a coroutine"));
    EXPECT_EQ(handled("return coroutine.wrap(function() coroutine.yield('mine') end)()"),
              "200 text/plain; charset=utf-8 mine");
    EXPECT_EQ(handled("return type(coroutine.wrap(function() return coroutine.running() end)())"),
              "200 text/plain; charset=utf-8 thread");
    EXPECT_EQ(handled("coroutine.wrap(function() jwt.fetch('/a') end)()"), "failed");
    EXPECT_THAT(last_log(), HasSubstr("fetch cannot wait in a coroutine"));
}

}  // namespace
