#include "lua_fixture.hpp"

#include <gmock/gmock.h>

namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using LuaLoadTest = LuaTest;

struct Refused {
    const char* text;
    const char* why;
};

class LuaRefusedFileTest : public LuaTest, public testing::WithParamInterface<Refused> {};

TEST_P(LuaRefusedFileTest, SaysWhatToWrite) {
    EXPECT_THAT(refusal(GetParam().text), HasSubstr(GetParam().why));
}

INSTANTIATE_TEST_SUITE_P(
    Files, LuaRefusedFileTest,
    testing::Values(
        Refused{"local x = \n\n= 1", "refused1.lua:3: unexpected symbol near '='"},
        Refused{"local t = nil\nreturn t.x", "refused1.lua:2: attempt to index local 't' (a nil value)"},
        Refused{"error({})", "\"refused1.lua\": the error is a table"},
        Refused{"", "\"refused1.lua\": returned no value: return one table of hooks"},
        Refused{"return nil", "returned nil: return one table of hooks"}, Refused{"return 1", "returned a number"},
        Refused{"return {}, {}", "returned several values"},
        Refused{"return { 1 }", "the table has a key that is no name"},
        Refused{"return { expired_token = 'x' }", "hook expired_token is a string: give a function"},
        Refused{"return { handlers = 1 }", "handlers is a number: give a table of functions"},
        Refused{"return { handlers = { print } }", "handlers has a key that is no name"},
        Refused{"return { handlers = { login = {} } }", "handler \"login\" is a table: give a function"},
        Refused{"return { expired_tokn = print }", "unknown hook \"expired_tokn\": did you mean \"expired_token\"?"},
        Refused{"return { expired_token_loader = print }", "did you mean \"expired_token\"?"},
        Refused{"return { token_in_blacklist = print }", "did you mean \"token_in_blocklist\"?"},
        Refused{"return { token_in_blacklist_loader = print }", "did you mean \"token_in_blocklist\"?"},
        Refused{"return { claims_verification = print }", "did you mean \"token_verification\"?"},
        Refused{"return { claims_verification_failed_loader = print }", "did you mean \"token_verification_failed\"?"},
        Refused{"return { user_loader_callback = print }", "did you mean \"user_lookup\"?"},
        Refused{"return { user_loader_callback_loader = print }", "did you mean \"user_lookup\"?"},
        Refused{"return { user_loader_error_loader = print }", "did you mean \"user_lookup_error\"?"},
        Refused{"return { user_claims = print }", "did you mean \"additional_claims\"?"},
        Refused{"return { handler = {} }", "did you mean \"handlers\"?"},
        Refused{"return { zebra = print }",
                "unknown hook \"zebra\": a hooks file has expired_token, needs_fresh_token,"},
        Refused{"require('jwt').create_access_token('x') return {}",
                "refused1.lua:1: this function works on a request"}));

TEST_F(LuaLoadTest, SaysWhatAFileHas) {
    const auto file = load("f.lua", R"(
        return {
          expired_token = function() end,
          encode_key = function() end,
          handlers = { logout = function() end, login = function() end },
        })");
    ASSERT_TRUE(file) << file.error();
    EXPECT_TRUE(file->has(ngx::Hook::expired_token));
    EXPECT_TRUE(file->has(ngx::Hook::encode_key));
    EXPECT_EQ(file->hooks.count(), 2U);
    EXPECT_THAT(file->handlers, ElementsAre("login", "logout"));
}

TEST_F(LuaLoadTest, LoadsAPathOnce) {
    const std::string path = write("f.lua", "return {}");
    const auto first = host_->load(path, "", *sources_);
    const auto again = host_->load(path, "", *sources_);
    const auto other = host_->load(path, "/lib/?.lua", *sources_);
    ASSERT_TRUE(first && again && other);
    EXPECT_EQ(first->index, again->index);
    EXPECT_NE(first->index, other->index);
}

TEST_F(LuaLoadTest, SaysWhyAFileCannotBeRead) {
    EXPECT_THAT(without_folder(host_->load(folder_ + "absent.lua", "", *sources_).error()),
                HasSubstr("\"absent.lua\" cannot be read (2: No such file or directory)"));
    EXPECT_THAT(host_->load("/dev/zero", "", *sources_).error(), HasSubstr("is no regular file"));
    EXPECT_THAT(host_->load("/tmp", "", *sources_).error(), HasSubstr("is no regular file"));
}

TEST_F(LuaLoadTest, ARefusedFileLeavesTheOthersAlone) {
    const auto good = load("good.lua", "return { handlers = { test = function() return 'good' end } }");
    EXPECT_FALSE(load("bad.lua", "return { nothing = 1 }"));
    const auto next = load("next.lua", "return { handlers = { test = function() return 'next' end } }");
    ASSERT_TRUE(good && next);
    EXPECT_EQ(shown(host_->handle(run_, request_.r(), *good, "test")), "200 text/plain; charset=utf-8 good");
    EXPECT_EQ(shown(host_->handle(run_, request_.r(), *next, "test")), "200 text/plain; charset=utf-8 next");
}

TEST_F(LuaLoadTest, TheTableIsReadOnce) {
    const auto file = load("f.lua", R"(
        local hooks = { handlers = {} }
        hooks.handlers.test = function() hooks.handlers.test = nil return "first" end
        return hooks)");
    EXPECT_EQ(shown(host_->handle(run_, request_.r(), *file, "test")), "200 text/plain; charset=utf-8 first");
    EXPECT_EQ(shown(host_->handle(run_, request_.r(), *file, "test")), "200 text/plain; charset=utf-8 first");
}

}  // namespace
