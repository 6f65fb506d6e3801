#include "lua_fixture.hpp"

#include <gmock/gmock.h>

namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class LuaApiTest : public LuaTest {
protected:
    /// What a service was told when `body` ran as a handler beside `hooks`.
    std::string asked(const std::string& hooks, const std::string& body) {
        request_.done.clear();
        const auto file = load("api" + std::to_string(++files_) + ".lua",
                               "local jwt = require 'jwt'\nreturn { " + hooks +
                                   " handlers = { test = function(request) " + body + " return 'x' end } }");
        EXPECT_TRUE(file) << file.error();
        if (!host_->handle(run_, request_.r(), *file, "test")) {
            return "failed";
        }
        return request_.done.empty() ? "" : request_.done.back();
    }

    /// The members of the JSON object that issue_token was given, one a line, in the order of their names.
    std::string issued(const std::string& hooks, const std::string& body) {
        const std::string text = asked(hooks, body);
        if (text.substr(0, 6) != "issue ") {
            return text;
        }
        jwt::json::Document document;
        std::map<std::string, std::string> members;
        parsed(std::string_view(text).substr(6), document).each_member([&members](std::string_view name, auto value) {
            members.emplace(name, value.text());
        });
        std::string shown;
        for (const auto& [name, value] : members) {
            shown += (shown.empty() ? "" : " ") + name + "=" + value;
        }
        return shown;
    }
};

TEST_F(LuaApiTest, TokensAreAskedFor) {
    EXPECT_EQ(issued("", "jwt.create_access_token('alice')"), R"(claims={} headers={} identity="alice" type="access")");
    EXPECT_EQ(issued("", "jwt.create_refresh_token('alice')"),
              R"(claims={} headers={} identity="alice" type="refresh")");
    EXPECT_EQ(issued("", "jwt.create_access_token(7, { fresh = true, expires_delta = '365d' })"),
              R"(claims={} expires_delta="365d" fresh=true headers={} identity=7 type="access")");
    EXPECT_EQ(issued("", "jwt.create_access_token({ id = 1 }, { fresh = 600, expires_delta = false })"),
              R"(claims={} expires_delta=false fresh=600 headers={} identity={"id":1} type="access")");
    EXPECT_EQ(issued("", "jwt.create_access_token('a', { fresh = jwt.null, expires_delta = jwt.null })"),
              R"(claims={} headers={} identity="a" type="access")");
    EXPECT_EQ(handled("return jwt.create_access_token('a')"), "200 text/plain; charset=utf-8 a.b.c");
}

TEST_F(LuaApiTest, HooksShapeTokens) {
    const std::string hooks = R"(
        additional_claims = function(identity) return { a = "hook" } end,
        additional_headers = function(identity) return { kid = identity.name } end,
        user_identity = function(identity) return identity.name end,
        encode_key = function(identity) return "key of " .. identity.name end,)";
    EXPECT_EQ(issued(hooks,
                     "jwt.create_access_token({ name = 'n' }, { additional_claims = { a = 'option' }, "
                     "additional_headers = { kid = 'option' } })"),
              R"(claims={"a":"option"} headers={"kid":"option"} identity="n" )"
              R"(key="key of n" type="access")");
    EXPECT_EQ(issued(hooks, "jwt.create_access_token({ name = 'n' })"),
              R"(claims={"a":"hook"} headers={"kid":"n"} identity="n" key="key of n" type="access")");
    EXPECT_EQ(asked("additional_claims = function() return 1 end,", "jwt.create_access_token('a')"), "failed");
    EXPECT_THAT(last_log(), HasSubstr("hook additional_claims returned a number: return a table"));
    EXPECT_EQ(asked("additional_claims = function() return { 1 } end,", "jwt.create_access_token('a')"), "failed");
    EXPECT_EQ(asked("user_identity = function() end,", "jwt.create_access_token('a')"), "failed");
    EXPECT_EQ(asked("encode_key = function() end,", "jwt.create_access_token('a')"), "failed");
    EXPECT_EQ(issued("user_identity = function() return false end,", "jwt.create_access_token('a')"),
              R"(claims={} headers={} identity=false type="access")");
}

TEST_F(LuaApiTest, MistakesPointAtTheAuthor) {
    EXPECT_EQ(handled("\njwt.create_access_token('a', { expire = 1 })"), "failed");
    EXPECT_THAT(last_log(), HasSubstr("handler1.lua:4: create_access_token has no option \"expire\": it has "
                                      "additional_claims, additional_headers, expires_delta, fresh"));
    for (const char* call :
         {"create_access_token()", "create_access_token(jwt.null)", "create_access_token('a', 1)",
          "create_access_token('a', { fresh = 'yes' })", "create_access_token('a', { expires_delta = true })",
          "create_access_token('a', { expires_delta = -1 })", "create_access_token('a', { additional_claims = 1 })",
          "create_refresh_token('a', { fresh = true })", "decode_token()", "decode_token('a', { csrf = 'x' })",
          "set_access_cookies()", "set_access_cookies('a', { max_age = 'x' })", "unset_jwt_cookies('a')",
          "log('loud', 'x')", "log('error')", "create_access_token('a', { additional_claims = { f = print } })",
          "create_access_token('a', { expires_delta = 0/0 })"}) {
        EXPECT_EQ(handled(std::string("jwt.") + call + " return 'x'"), "failed") << call;
        EXPECT_THAT(last_log(), testing::ContainsRegex("handler[0-9]+.lua:3: ")) << call;
    }
}

TEST_F(LuaApiTest, DecodesTokens) {
    EXPECT_EQ(asked("", "jwt.decode_token('t')"), "decode t - -");
    EXPECT_EQ(asked("", "jwt.decode_token('t', { csrf_value = 'c', allow_expired = true })"),
              "decode t - c allow_expired");
    EXPECT_EQ(asked("decode_key = function(header) return 'key for ' .. header.alg end,", "jwt.decode_token('t')"),
              "decode t key for HS256 -");
    EXPECT_EQ(asked("decode_key = function() return nil end,", "jwt.decode_token('t')"), "failed");
    EXPECT_EQ(handled("local p, h = jwt.decode_token('t') return { jti = p.jti, alg = h.alg, type = p.type, fresh = "
                      "p.fresh } "),
              handled("return { jti = 'j', alg = 'HS256', type = 'access', fresh = false }"));
    EXPECT_EQ(handled("return jwt.get_jti('t') .. jwt.get_csrf_token('t') .. jwt.get_unverified_jwt_headers('t').alg"),
              "200 text/plain; charset=utf-8 jcHS256");
    EXPECT_THAT(handled("local ok, why = pcall(jwt.decode_token, 'bad') return tostring(ok) .. why"),
                testing::MatchesRegex("200 text/plain; charset=utf-8 false.*:3: Signature verification failed"));
}

TEST_F(LuaApiTest, TellsTheCurrentToken) {
    EXPECT_EQ(handled("return tostring(next(jwt.get_jwt())) .. tostring(next(jwt.get_jwt_header())) .. "
                      "tostring(jwt.get_jwt_identity()) .. tostring(jwt.get_current_user()) .. "
                      "tostring(jwt.get_jwt_request_location())"),
              "200 text/plain; charset=utf-8 nilnilnilnilnil");
    request_.payload = R"({"sub":"alice","type":"refresh"})";
    request_.header = R"({"alg":"ES256"})";
    request_.identity = R"("alice")";
    request_.user = R"({"name":"Alice"})";
    request_.location = R"("cookies")";
    EXPECT_EQ(
        handled("local p = jwt.get_jwt() return p.sub .. p.type .. tostring(p.fresh) .. jwt.get_jwt_header().alg .. "
                "jwt.get_jwt_identity() .. jwt.get_current_user().name .. jwt.get_jwt_request_location()"),
        "200 text/plain; charset=utf-8 alicerefreshfalseES256aliceAlicecookies");
}

TEST_F(LuaApiTest, Cookies) {
    EXPECT_EQ(asked("", "jwt.set_access_cookies('t')"), "set access t - -");
    EXPECT_EQ(asked("", "jwt.set_refresh_cookies('t', { max_age = 60, domain = 'a.example' })"),
              "set refresh t 60.000000 a.example");
    asked("", "jwt.unset_jwt_cookies()");
    EXPECT_THAT(request_.done, ElementsAre("unset access -", "unset refresh -"));
    EXPECT_EQ(asked("", "jwt.unset_access_cookies({ domain = 'd' })"), "unset access d");
    EXPECT_EQ(asked("", "jwt.unset_refresh_cookies()"), "unset refresh -");
}

TEST_F(LuaApiTest, Log) {
    EXPECT_EQ(handled("jwt.log('warn', 'a\\nb') return 'x'"), "200 text/plain; charset=utf-8 x");
    EXPECT_EQ(last_log(), "jwt: a\\x0ab");
}

TEST_F(LuaApiTest, Requests) {
    request_.headers["X-Foo"] = "bar";
    request_.variables["host"] = "example.org";
    request_.set(&ngx_http_request_t::args, "a=1&a=2&b=x+y%21%zz&c&=e&%41=%00");
    request_.body = "user=al%20ice&user=eve&empty=";
    EXPECT_EQ(handled("return request.method .. request.uri .. request.remote_addr .. request.headers['X-Foo'] .. "
                      "tostring(request.headers.none) .. request.var.host .. tostring(request.var.none)"),
              "200 text/plain; charset=utf-8 POST/login192.0.2.1barnilexample.orgnil");
    EXPECT_EQ(handled("local a = request.args return a.a .. a.b .. a.c .. '|' .. #a.A .. tostring(a.none)"),
              "200 text/plain; charset=utf-8 1x y!%zz|1nil");
    EXPECT_EQ(handled("local f = request:form() return f.user .. '|' .. f.empty .. '|' .. tostring(f.none)"),
              "200 text/plain; charset=utf-8 al ice||nil");
    EXPECT_EQ(handled("return request:body()"), "200 text/plain; charset=utf-8 " + request_.body);
    EXPECT_EQ(handled("return request.body()"), "failed");
    EXPECT_THAT(last_log(), HasSubstr("call it with a colon: request:body()"));
    EXPECT_EQ(handled("return request.heders.x"), "failed");
    EXPECT_THAT(last_log(), HasSubstr("a request has no \"heders\": it has method, uri,"));
}

TEST_F(LuaApiTest, TokensMayBeLate) {
    request_.signs_late = true;
    const auto answer_to = [this](const std::string& body) {
        const auto file =
            load("late" + std::to_string(++files_) + ".lua",
                 "local jwt = require 'jwt'\nreturn { handlers = { test = function(request)\n" + body + "\nend } }");
        auto answer = host_->handle(run_, request_.r(), file.value(), "test");
        int waits = 0;
        while (!answer && answer.error() == ngx::NoResult::waiting) {
            EXPECT_EQ(host_->handle(run_, request_.r(), file.value(), "test").error(), ngx::NoResult::waiting);
            request_.fetch_ended = true;
            answer = host_->handle(run_, request_.r(), file.value(), "test");
            ++waits;
        }
        return std::to_string(waits) + " " + (answer ? answer->body : "failed");
    };
    EXPECT_EQ(answer_to("return jwt.create_access_token('a')"), "1 a.b.c");
    EXPECT_EQ(answer_to("return jwt.create_access_token('a') .. jwt.create_refresh_token('a')"), "2 a.b.ca.b.c");
    EXPECT_EQ(answer_to("local ok, token = pcall(jwt.create_access_token, 'a') return token"), "1 a.b.c");
    EXPECT_EQ(answer_to("return coroutine.wrap(function() return jwt.create_access_token('a') end)()"), "0 a.b.c");
    EXPECT_EQ(
        answer_to(
            "local t table.sort({ 1, 2 }, function() t = jwt.create_access_token('a') return false end) return t"),
        "0 a.b.c");
    request_.issue_failure = "signing failed";
    EXPECT_EQ(answer_to("local token = jwt.create_access_token('a') return token"), "1 failed");
    EXPECT_THAT(last_log(), HasSubstr("late6.lua:3: signing failed"));
    EXPECT_EQ(answer_to("local ok, why = pcall(jwt.create_access_token, 'a') return tostring(ok)"), "1 false");
}

TEST_F(LuaApiTest, OneCallAtATime) {
    const auto inner = load("inner.lua", "return { handlers = { test = function() return 'inner' end } }");
    ASSERT_TRUE(inner) << inner.error();
    bool refused = false;
    ngx::LuaRun inner_run;
    request_.while_asked = [&] { refused = !host_->handle(inner_run, request_.r(), *inner, "test"); };
    EXPECT_EQ(handled("return jwt.create_access_token('a')"), "200 text/plain; charset=utf-8 a.b.c");
    EXPECT_TRUE(refused);
    EXPECT_THAT(last_log(), HasSubstr("another call is still running"));
    EXPECT_EQ(shown(host_->handle(run_, request_.r(), *inner, "test")), "200 text/plain; charset=utf-8 inner");
}

}  // namespace
