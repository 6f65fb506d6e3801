#include "lua_fixture.hpp"

#include <gmock/gmock.h>

namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class LuaAnswerTest : public LuaTest {
protected:
    tl::expected<ngx::LuaFile, std::string> hook(const std::string& name, const std::string& body) {
        return load("hook" + std::to_string(++files_) + ".lua",
                    "return { " + name + " = function(header, payload) " + body + " end }");
    }
};

TEST_F(LuaAnswerTest, Bodies) {
    EXPECT_EQ(handled("return { msg = 'No' }, 401"), R"(401 application/json {"msg":"No"})");
    EXPECT_EQ(handled("return 'text'"), "200 text/plain; charset=utf-8 text");
    EXPECT_EQ(handled("return '', 404"), "404 text/plain; charset=utf-8 ");
    EXPECT_EQ(handled("return nil, 204"), "204  ");
    EXPECT_EQ(handled("return { a = 1 }, nil, nil"), R"(200 application/json {"a":1})");
}

struct Refused {
    const char* results;
    const char* why;
};

class LuaRefusedAnswerTest : public LuaTest, public testing::WithParamInterface<Refused> {};

TEST_P(LuaRefusedAnswerTest, SaysWhatToReturn) {
    EXPECT_EQ(handled("return " + std::string(GetParam().results)), "failed");
    EXPECT_EQ(request_.log.size(), 1U);
    EXPECT_THAT(last_log(), HasSubstr(std::string("jwt: handler test of \"handler1.lua\" ") + GetParam().why));
}

INSTANTIATE_TEST_SUITE_P(
    Answers, LuaRefusedAnswerTest,
    testing::Values(Refused{"", "returned nil: return body [, status [, headers]]"}, Refused{"nil", "returned nil"},
                    Refused{"nil, nil, {}", "returned nil"}, Refused{"true", "returned true as body"},
                    Refused{"1", "returned a number as body"}, Refused{"print", "returned a function as body"},
                    Refused{"jwt.null", "returned null as body"}, Refused{"'x', '200'", "returned a string as status"},
                    Refused{"'x', 199", "returned 199 as status: return an integer from 200 to 599"},
                    Refused{"'x', 600", "returned 600 as status"}, Refused{"'x', 200.5", "returned 200.5 as status"},
                    Refused{"'x', 0/0", "returned "}, Refused{"'x', true", "returned true as status"},
                    Refused{"'x', 200, 'h'", "returned a string as headers"},
                    Refused{"'x', 200, { 'h' }", "returned headers with a key that is no string"},
                    Refused{"'x', 200, { ['a b'] = 'h' }", "returned a header whose name is no token"},
                    Refused{"'x', 200, { ['a\\r\\nb'] = 'h' }", "returned a header whose name is no token"},
                    Refused{"'x', 200, { [''] = 'h' }", "returned a header whose name is no token"},
                    Refused{"'x', 200, { a = 'b\\r\\nc: d' }", "returned a control character in header \"a\""},
                    Refused{"'x', 200, { a = 'b\\0' }", "returned a control character in header \"a\""},
                    Refused{"'x', 200, { a = { 'b', 'c\\n' } }", "returned a control character in header \"a\""},
                    Refused{"'x', 200, { a = true }", "returned true as header \"a\""},
                    Refused{"'x', 200, { a = { {} } }", "returned a table as header \"a\""},
                    Refused{"'x', 200, { ['content-length'] = 1 }", "returned header \"content-length\": leave it"},
                    Refused{"'x', 200, { ['Transfer-Encoding'] = 'chunked' }", "returned header"},
                    Refused{"'x', 200, { Connection = 'close' }", "returned header \"Connection\""},
                    Refused{"'x', 200, {}, 1", "returned 4 values"}));

TEST_F(LuaAnswerTest, Headers) {
    const auto file = load("f.lua", R"(return { handlers = { test = function()
        return "<p>", 200, { ["content-type"] = "text/html", ["X-Number"] = 5, Link = { "</a>", "</b>" } }
    end } })");
    const auto answer = host_->handle(run_, request_.r(), *file, "test");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->content_type, "text/html");
    EXPECT_THAT(answer->headers,
                testing::UnorderedElementsAre(Pair("X-Number", "5"), Pair("Link", "</a>"), Pair("Link", "</b>")));
}

TEST_F(LuaAnswerTest, HooksAreToldTheToken) {
    jwt::json::Document header;
    jwt::json::Document payload;
    const auto header_value = parsed(R"({"alg":"HS256"})", header);
    const auto file = hook("expired_token",
                           "local seen = payload.type .. tostring(payload.fresh) .. header.alg payload.type = 'x' "
                           "header.alg = nil return { seen = seen, sub = payload.sub }, 401");
    const auto answer = [&](const char* claims) {
        return shown(
            host_->answer(run_, request_.r(), *file, ngx::Hook::expired_token, header_value, parsed(claims, payload)));
    };
    EXPECT_THAT(answer(R"({"sub":"alice"})"), HasSubstr(R"("seen":"accessfalseHS256")"));
    EXPECT_THAT(answer(R"({"sub":"alice"})"), HasSubstr(R"("seen":"accessfalseHS256")"));
    EXPECT_THAT(answer(R"({"type":"refresh","fresh":17})"), HasSubstr(R"("seen":"refresh17HS256")"));
    const auto reason = load("r.lua", "return { invalid_token = function(reason) return { why = reason }, 422 end }");
    EXPECT_EQ(shown(host_->answer(run_, request_.r(), *reason, ngx::Hook::invalid_token, "Not enough segments")),
              R"(422 application/json {"why":"Not enough segments"})");
}

TEST_F(LuaAnswerTest, HooksAreToldWhatTheyTake) {
    jwt::json::Document header;
    jwt::json::Document payload;
    const auto header_value = parsed(R"({"kid":"k"})", header);
    const auto payload_value = parsed(R"({"sub":"alice"})", payload);
    const auto user = [&](const char* function) {
        const auto file = load("takes" + std::to_string(++files_) + ".lua",
                               std::string("local function both(h, p) return h.kid .. p.sub .. p.type end return { "
                                           "user_lookup = ") +
                                   function + " }");
        const auto found = host_->user(run_, request_.r(), *file, header_value, payload_value);
        return !found ? "failed" : found->value_or("nobody");
    };
    EXPECT_EQ(user("function() return 'nothing' end"), R"("nothing")");
    EXPECT_EQ(user("function(header) return header.kid end"), R"("k")");
    EXPECT_EQ(user("function(_, payload) return payload.sub end"), R"("alice")");
    EXPECT_EQ(user("function(header, payload, more) return header.kid .. payload.sub .. type(more) end"),
              R"("kalicenil")");
    EXPECT_EQ(user("function(...) return select('#', ...) .. both(...) end"), R"("2kaliceaccess")");
    EXPECT_EQ(user("function(header, ...) return select('#', ...) .. both(header, ...) end"), R"("1kaliceaccess")");
    EXPECT_EQ(user("coroutine.wrap(function(...) return select('#', ...) .. both(...) end)"), R"("2kaliceaccess")");
    EXPECT_EQ(user("rawequal"), "false") << "a function of Lua's own, which fails with fewer than two";
}

TEST_F(LuaAnswerTest, ACallKnowsNothingOfThoseBefore) {
    // They share a coroutine, where the one before has returned.
    const auto file = load("shared.lua", R"(
        local kept
        return { user_lookup = function(header, payload)
          local a, b, c
          if a ~= nil or b ~= nil or c ~= nil then return "a local has a value" end
          a, b, c = header, payload, { payload }
          if payload.more ~= nil or header.more ~= nil then return "a table was seen before" end
          header.more, payload.more = a, b
          if payload.n == 1 then error("on purpose") end
          if payload.n == 2 then while true do end end
          if payload.n == 3 then return coroutine.yield() end
          if payload.n == 4 then return print end
          if payload.n == 5 then local function deep(n) return n == 0 and 0 or 1 + deep(n - 1) end deep(5000) end
          if payload.n == 6 then kept = coroutine.create(function() coroutine.yield(a) return payload end) coroutine.resume(kept) end
          return payload.n
        end })");
    ASSERT_TRUE(file) << file.error();
    for (int i = 0; i < 70; ++i) {
        jwt::json::Document header;
        jwt::json::Document payload;
        const std::string n = std::to_string(i % 7);
        const auto header_value = parsed("{}", header);
        const auto found = host_->user(run_, request_.r(), *file, header_value, parsed("{\"n\":" + n + "}", payload));
        const bool fails = i % 7 >= 1 && i % 7 <= 4;
        EXPECT_EQ(found ? found->value_or("nobody") : "failed", fails ? "failed" : n) << last_log();
    }
}

TEST_F(LuaAnswerTest, Decisions) {
    EXPECT_EQ(decision(*hook("token_in_blocklist", "return payload.jti == 'x'"), R"({"jti":"x"})"), true);
    EXPECT_EQ(decision(*hook("token_in_blocklist", "return payload.jti == 'x'"), R"({"jti":"y"})"), false);
    for (const char* result : {"", "nil", "1", "'false'", "{}", "true, true", "false, nil", "require('jwt').null"}) {
        EXPECT_FALSE(decision(*hook("token_in_blocklist", std::string("return ") + result))) << result;
    }
    EXPECT_FALSE(decision(*hook("token_in_blocklist", "")));
    EXPECT_EQ(last_log(), "jwt: hook token_in_blocklist of \"hook11.lua\" returned no value: return true or false");
}

TEST_F(LuaAnswerTest, Users) {
    jwt::json::Document header;
    jwt::json::Document payload;
    const auto header_value = parsed("{}", header);
    const auto payload_value = parsed(R"({"sub":"alice"})", payload);
    const auto user = [&](const char* result) {
        const auto file = hook("user_lookup", std::string("return ") + result);
        const auto found = host_->user(run_, request_.r(), *file, header_value, payload_value);
        return !found ? "failed" : found->value_or("nobody");
    };
    EXPECT_EQ(user("{ name = payload.sub }"), R"({"name":"alice"})");
    EXPECT_EQ(user("'alice'"), R"("alice")");
    EXPECT_EQ(user("false"), "false");
    EXPECT_EQ(user("7"), "7");
    EXPECT_EQ(user(""), "nobody");
    EXPECT_EQ(user("nil"), "nobody");
    EXPECT_EQ(user("print"), "failed");
    EXPECT_EQ(user("{}, 1"), "failed");
}

TEST_F(LuaAnswerTest, Keys) {
    jwt::json::Document header;
    jwt::json::Document payload;
    const auto header_value = parsed(R"({"kid":"a"})", header);
    const auto payload_value = parsed("{}", payload);
    const auto key = [&](const char* result) {
        const auto file = hook("decode_key", std::string("return ") + result);
        const auto found = host_->decode_key(run_, request_.r(), *file, header_value, payload_value);
        return !found ? "failed" : found->value_or("none");
    };
    EXPECT_EQ(key("header.kid .. tostring(payload.type)"), "anil") << "what is not verified is told as it is";
    EXPECT_EQ(key("nil"), "none");
    EXPECT_EQ(key("1"), "failed");
    EXPECT_EQ(key("{}"), "failed");
}

TEST_F(LuaAnswerTest, FailuresAreLoggedOnceWithTheWayThere) {
    EXPECT_EQ(handled("local function inner(x)\nreturn x.y.z\nend\nlocal r = inner({})\nreturn r"), "failed");
    ASSERT_EQ(request_.log.size(), 1U);
    EXPECT_EQ(last_log(),
              "jwt: handler test of \"handler1.lua\" failed: handler1.lua:4: attempt to index field 'y' (a nil value), "
              "traceback: handler1.lua:4 in inner < handler1.lua:6");
    EXPECT_EQ(handled("error('a\\nb\\27[31m' .. ('x'):rep(5000))"), "failed");
    EXPECT_THAT(last_log(), HasSubstr("a\\x0ab\\x1b[31mxxx"));
    EXPECT_LT(last_log().size(), 2500U);
    EXPECT_EQ(handled("error()"), "failed");
    EXPECT_EQ(handled("error(setmetatable({}, { __tostring = function() while true do end end }))"), "failed");
    EXPECT_EQ(handled("return 'fine'"), "200 text/plain; charset=utf-8 fine");
}

}  // namespace
