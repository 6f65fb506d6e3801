#include "lua_fixture.hpp"

#include <gmock/gmock.h>

namespace {

using testing::HasSubstr;

using LuaJsonTest = LuaTest;

/// The text as a handler sends it back that decoded it.
class LuaRoundTripTest : public LuaTest, public testing::WithParamInterface<const char*> {};

TEST_P(LuaRoundTripTest, ComesBackAsItWas) {
    request_.body = std::string("{\"v\":") + GetParam() + "}";
    EXPECT_EQ(handled("return request:json()"), "200 application/json " + request_.body);
}

INSTANTIATE_TEST_SUITE_P(Values, LuaRoundTripTest,
                         testing::Values("null", "true", "false", "0", "-1", "1.5", "9007199254740992",
                                         "-9007199254740992", "9007199254740991", "0.1", "1e+300", "-0.001", "\"\"",
                                         "\"a\"", "\"\\u0000\"", "\"\\n\\\"\\\\\"", "\"ä€😀\"", "[]", "{}", "[[]]",
                                         "[{}]", "[null]", "[null,null,1]", "[1,2,3]", "{\"a\":[]}", "{\"\":1}",
                                         "{\"1\":1}", "[[[[[[[[[[1]]]]]]]]]]", "1735689600"));

TEST_F(LuaJsonTest, ArraysStayArrays) {
    request_.body = R"({"list":[]})";
    EXPECT_EQ(handled("local j = request:json() j.list[1] = 'a' return j"), R"(200 application/json {"list":["a"]})");
    request_.body = R"({"list":["a"]})";
    EXPECT_EQ(handled("local j = request:json() table.remove(j.list) return j"), R"(200 application/json {"list":[]})");
    EXPECT_EQ(handled("return { a = jwt.empty_array, b = {}, c = jwt.null }, 200").size(),
              std::string(R"(200 application/json {"a":[],"b":{},"c":null})").size());
    EXPECT_EQ(handled("return jwt.empty_array"), "200 application/json []");
    EXPECT_EQ(handled("return {}"), "200 application/json {}");
    EXPECT_EQ(handled("return { 1, 2, { x = 3 } }"), R"(200 application/json [1,2,{"x":3}])");
}

TEST_F(LuaJsonTest, BodiesThatAreNoJson) {
    for (const char* text : {"", "{", "{\"a\":1,\"a\":2}", "[1,]", "\"\xff\"", "nul"}) {
        request_.body = text;
        EXPECT_THAT(handled("local j, why = request:json() return tostring(j) .. ' ' .. type(why)"),
                    "200 text/plain; charset=utf-8 nil string");
    }
    request_.body = std::string(65, '[') + std::string(65, ']');
    EXPECT_EQ(handled("return tostring((request:json()))"), "200 text/plain; charset=utf-8 nil");
    request_.body = std::string(60, '[') + std::string(60, ']');
    EXPECT_EQ(handled("return request:json()"), "200 application/json " + request_.body);
}

TEST_F(LuaJsonTest, BodiesOfAnotherType) {
    request_.body = "[1]";
    request_.is_json = false;
    const char* const refused = "200 text/plain; charset=utf-8 nil the Content-Type is not application/json";
    EXPECT_EQ(handled("local j, why = request:json() return tostring(j) .. ' ' .. why"), refused);
    EXPECT_EQ(handled("local j, why = request:json({}) return tostring(j) .. ' ' .. why"), refused);
    EXPECT_EQ(handled("return request:json({ force = true })"), "200 application/json [1]");
    request_.is_json = true;
    EXPECT_EQ(handled("return request:json({ force = false })"), "200 application/json [1]");
    EXPECT_THAT(handled("return tostring(pcall(request.json, request, true))"), testing::HasSubstr("false"));
}

struct Refused {
    const char* value;
    const char* why;
};

class LuaNoJsonTest : public LuaTest, public testing::WithParamInterface<Refused> {};

TEST_P(LuaNoJsonTest, SaysWhere) {
    EXPECT_EQ(handled("return " + std::string(GetParam().value)), "failed");
    EXPECT_THAT(last_log(), HasSubstr(GetParam().why));
}

INSTANTIATE_TEST_SUITE_P(
    Values, LuaNoJsonTest,
    testing::Values(Refused{"{ a = { b = print } }", "the value at \"a.b\" is a function, which JSON has no form for"},
                    Refused{"{ a = { 1, 2, coroutine.create(print) } }", "the value at \"a[3]\" is a coroutine"},
                    Refused{"{ a = request }", "the value at \"a\" is a request"},
                    Refused{"{ a = 0/0 }", "the value at \"a\" is a number that is not finite"},
                    Refused{"{ a = 1/0 }", "the value at \"a\" is a number that is not finite"},
                    Refused{"{ a = '\\255' }", "the value at \"a\" is a string that is not UTF-8"},
                    Refused{"{ [1] = 1, x = 2 }", "the value is a table with other keys beside 1 to n"},
                    Refused{"{ a = { [1] = 1, [5] = 2 } }", "the value at \"a\" is a table with gaps"},
                    Refused{"{ a = { [1.5] = 1 } }", "the value at \"a\" is a table with gaps"},
                    Refused{"{ a = { [0] = 1 } }", "the value at \"a\" is a table with gaps"},
                    Refused{"{ a = { [true] = 1 } }", "keys that are neither strings nor numbers"},
                    Refused{"(function() local t = {} t.t = t return t end)()", "holds itself"},
                    Refused{"(function() local t = {} t[1] = t return t end)()", "holds itself"},
                    Refused{"(function() local t = {} for i = 1, 64 do t = { t } end return t end)()", "64 levels"}));

TEST_F(LuaJsonTest, DepthLimitHasAPositiveControl) {
    EXPECT_EQ(handled("local t = {} for i = 1, 63 do t = { t } end return t"),
              "200 application/json " + std::string(63, '[') + "{}" + std::string(63, ']'));
}

TEST_F(LuaJsonTest, BillionLaughs) {
    EXPECT_EQ(handled("local t = {} for i = 1, 60 do t = { t, t } end return t"), "failed");
    EXPECT_EQ(handled("local s = ('x'):rep(1e6) local t = {} for i = 1, 100 do t[i] = s end return t"), "failed");
    EXPECT_EQ(handled("local t = {} for i = 1, 6 do t = { t, t } end return #t > 0 and { ok = true }"),
              R"(200 application/json {"ok":true})");
}

TEST_F(LuaJsonTest, MetamethodsAreNotAsked) {
    EXPECT_EQ(handled("return setmetatable({ a = 1 }, { __index = function() error('x') end, __len = function() "
                      "error('y') end, __pairs = function() error('z') end })"),
              R"(200 application/json {"a":1})");
}

}  // namespace
