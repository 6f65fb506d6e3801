#include "lua_fixture.hpp"

#include <ctime>

#include <gmock/gmock.h>

namespace {

using testing::HasSubstr;

double cpu_milliseconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

// Sanitizers make everything slower, so that only an endless call is told from an ended one there.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool sanitized = true;
#elif defined(__has_feature)
constexpr bool sanitized = __has_feature(address_sanitizer);
#else
constexpr bool sanitized = false;
#endif
constexpr double most_milliseconds = sanitized ? 5000 : 250;

std::size_t resident_bytes() {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages >> pages;
    return pages * 4096;
}

struct Endless {
    const char* name;
    const char* body;
};

class LuaBudgetTest : public LuaTest, public testing::WithParamInterface<Endless> {};

TEST_P(LuaBudgetTest, Ends) {
    for (int round = 0; round < 2; ++round) {
        const double begin = cpu_milliseconds();
        EXPECT_EQ(handled(GetParam().body), "failed");
        EXPECT_LT(cpu_milliseconds() - begin, most_milliseconds);
        EXPECT_THAT(last_log(), testing::MatchesRegex(".*(stopped after|overflow|needs more than|not enough).*"));
        EXPECT_EQ(handled("local n = 0 for i = 1, 10000 do n = n + i end return tostring(n)"),
                  "200 text/plain; charset=utf-8 50005000");
    }
}

constexpr Endless endless[] = {
    {"loop", "while true do end"},
    {"repeat_loop", "repeat until false"},
    {"goto_loop", "::again:: goto again"},
    {"for_loop", "for i = 1, math.huge do end"},
    {"tail_calls", "local function f() return f() end f()"},
    {"pcall_loop", "while true do pcall(function() while true do end end) end"},
    {"pcall_of_pcall", "local function f() while true do pcall(f) end end f()"},
    {"returned_pcall", "return pcall(function() while true do end end)"},
    {"pcall_recursion", "local function f() pcall(f) pcall(f) pcall(f) end while true do f() end"},
    {"pcall_of_error", "while true do pcall(error) end"},
    {"xpcall_loop", "while true do xpcall(function() while true do end end, function(e) return e end) end"},
    {"xpcall_handler", "xpcall(function() while true do end end, function() while true do end end)"},
    {"xpcall_error_handler", "while true do xpcall(error, function() while true do end end) end"},
    {"coroutine_wrap", "while true do pcall(coroutine.wrap(function() while true do end end)) end"},
    {"coroutine_resume", "while true do coroutine.resume(coroutine.create(function() while true do end end)) end"},
    {"coroutine_yields",
     "local f = coroutine.wrap(function() while true do coroutine.yield() end end) "
     "while true do f() end"},
    {"coroutine_recursion", "local function f() coroutine.wrap(f)() end while true do pcall(f) end"},
    {"index_loop",
     "local t = setmetatable({}, {}) getmetatable(t).__index = function(s, k) return s[k] end return t.x"},
    {"index_endless",
     "local t = setmetatable({}, {__index = function() while true do end end}) "
     "while true do pcall(function() return t.x end) end"},
    {"newindex", "local t = setmetatable({}, {__newindex = function() while true do end end}) t.x = 1"},
    {"tostring_of_tostring", "local t = setmetatable({}, {__tostring = tostring}) return tostring(t)"},
    {"tostring_of_print", "local t = setmetatable({}, {__tostring = print}) while true do pcall(print, t) end"},
    {"call_of_pcall", "local t = setmetatable({}, {__call = pcall}) while true do t() end"},
    {"call_of_xpcall", "local t = setmetatable({}, {__call = xpcall}) while true do t(print) end"},
    {"call_of_resume",
     "local t = setmetatable({}, {}) getmetatable(t).__call = function(s, ...) return "
     "coroutine.wrap(s)(...) end while true do pcall(t) end"},
    {"pcall_of_call_of_pcall", "local t = setmetatable({}, {__call = pcall}) while true do pcall(pcall, pcall, t) end"},
    {"format_recursion",
     "local t = setmetatable({}, {__tostring = function(s) return string.format('%s', s) end}) "
     "while true do pcall(tostring, t) end"},
    {"sort_comparator",
     "local t = {} for i = 1, 1000 do t[i] = i end while true do "
     "pcall(table.sort, t, function() while true do end end) end"},
    {"sort_recursion", "local function f() table.sort({1, 2, 3}, f) end while true do pcall(f) end"},
    {"sort_big",
     "local t = {} for i = 1, 150000 do t[i] = i * 7919 % 150001 end "
     "while true do table.sort(t, nil) end"},
    {"gsub_callback", "while true do pcall(string.gsub, 'abc', '.', function() while true do end end) end"},
    {"gsub_recursion", "local function f() ('abc'):gsub('.', f) end while true do pcall(f) end"},
    {"pattern_bomb", "return ('a'):rep(600):find(('.-'):rep(4) .. 'b')"},
    {"pattern_bomb_in_pcall", "while true do pcall(string.find, ('a'):rep(600), ('.-'):rep(4) .. 'b') end"},
    {"gmatch_bomb", "for _ in ('a'):rep(600):gmatch(('.-'):rep(4) .. 'b') do end"},
    {"rep_loop", "while true do local s = ('x'):rep(7e6) end"},
    {"rep_refused", "while true do pcall(string.rep, 'x', 1e9) end"},
    {"rep_with_separator", "while true do pcall(string.rep, '', 1e9, 'ab') end"},
    {"concat_loop", "local s = ('x'):rep(5e6) while true do local t = s .. 'y' end"},
    {"upper_loop", "local s = ('x'):rep(5e6) while true do local t = s:upper() end"},
    {"compare_loop", "local a = ('x'):rep(3e6) local b = a .. 'y' while true do local c = a < b end"},
    {"sub_loop", "local s = ('x'):rep(3e6) local t = s:sub(2) while true do local u = s:sub(2) end"},
    {"tonumber_loop", "local s = ('0'):rep(7e6) while true do tonumber(s) end"},
    {"text_as_number",
     "local s = ('0'):rep(7e6) while true do local n = s + 1 n = s + 1 n = s + 1 n = s + 1 n = s + 1 n = s + 1 "
     "n = s + 1 n = s + 1 n = s + 1 n = s + 1 n = s + 1 n = s + 1 n = s + 1 n = s + 1 end"},
    {"sort_long_strings",
     "local p = ('x'):rep(200000) local t = {} for i = 1, 70 do t[i] = p .. i end while true do table.sort(t) end"},
    {"format_of_thousands",
     "local t = {} for i = 1, 7900 do t[i] = 1e308 end while true do "
     "pcall(string.format, ('%99.99f'):rep(7900), unpack(t)) end"},
    {"format_loop", "while true do local s = ('%99.99f%99.99f%99.99f'):format(1e308, 1e308, 1e308) end"},
    {"date_of_thousands", "while true do os.date(('%c'):rep(200000)) end"},
    {"concat_of_numbers", "local t = {} for i = 1, 200000 do t[i] = 1e-300 / i end while true do table.concat(t) end"},
    {"sort_by_a_function_of_c",
     "local t = {} for i = 1, 1000 do t[i] = i end while true do table.sort(t, rawequal) end"},
    {"next_over_empty",
     "local t = {} for i = 1, 200000 do t[i] = i end for i = 1, 200000 do t[i] = nil end "
     "while true do next(t) end"},
    {"insert_at_front", "local t = {} while true do table.insert(t, 1, 1) end"},
    {"remove_at_front",
     "local t = {} for i = 1, 200000 do t[i] = i end while true do table.remove(t, 1) "
     "t[#t + 1] = 1 end"},
    {"table_concat_loop", "local t = {} for i = 1, 100000 do t[i] = 'x' end while true do table.concat(t) end"},
    {"unpack_loop", "local t = {} for i = 1, 7000 do t[i] = 1 end while true do select('#', unpack(t)) end"},
    {"services", "while true do jwt.create_access_token('x') end"},
    {"headers", "while true do local x = request.headers.a end"},
    {"form", "while true do request:form() end"},
    {"print_loop", "while true do print('x') end"},
    {"memory", "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end"},
    {"memory_in_pcall", "local t = {} while true do pcall(function() t[#t + 1] = ('x'):rep(1e5) .. #t end) end"},
    {"recursion", "local function f() return 1 + f() end while true do pcall(f) end"},
};

INSTANTIATE_TEST_SUITE_P(Endless, LuaBudgetTest, testing::ValuesIn(endless),
                         [](const auto& parameter) { return std::string(parameter.param.name); });

using LuaLimitsTest = LuaTest;

TEST_F(LuaLimitsTest, ASwallowedErrorIsNoDecision) {
    // pcall's false would say that the token is not on the blocklist.
    const auto file = load(
        "f.lua", "return { token_in_blocklist = function() return (pcall(function() while true do end end)) end }");
    ASSERT_TRUE(file) << file.error();
    EXPECT_FALSE(decision(*file).has_value());
    const auto tail = load("g.lua",
                           "local function one(f) return pcall(f) end return { token_in_blocklist = function() return "
                           "one(function() while true do end end) end }");
    EXPECT_FALSE(decision(*tail).has_value());
    const auto control = load("h.lua", "return { token_in_blocklist = function() return (pcall(error)) end }");
    EXPECT_EQ(decision(*control), false);
}

TEST_F(LuaLimitsTest, SaysWhichLimitAndWhere) {
    restart({.time = std::chrono::seconds(5)});
    EXPECT_EQ(handled("while true do end"), "failed");
    EXPECT_THAT(last_log(),
                HasSubstr("jwt: handler test of \"handler1.lua\" failed: handler1.lua:3: stopped after 1000000 steps"));
    EXPECT_EQ(handled("return ('x'):rep(1e8)"), "failed");
    EXPECT_THAT(last_log(), HasSubstr("stopped after"));
    EXPECT_EQ(handled("local t = {} for i = 1, 1e5 do t[i] = ('x'):rep(500) .. i end"), "failed");
    EXPECT_THAT(last_log(), HasSubstr("it needs more than 16777216 bytes of memory (jwt_lua_limit memory=)"));
}

TEST_F(LuaLimitsTest, SmallLimits) {
    restart({.steps = 20'000, .memory = 200'000, .time = std::chrono::milliseconds(50)});
    EXPECT_EQ(handled("for i = 1, 1000 do end return ('x'):rep(10)"), "200 text/plain; charset=utf-8 xxxxxxxxxx");
    EXPECT_EQ(handled("for i = 1, 100000 do end return 'x'"), "failed");
    EXPECT_EQ(handled("return ('x'):rep(60000):sub(1, 1)"), "200 text/plain; charset=utf-8 x");
    EXPECT_EQ(handled("return ('x'):rep(250000):sub(1, 1)"), "failed");
}

TEST_F(LuaLimitsTest, TimeIsLimited) {
    restart({.steps = 1'000'000'000, .time = std::chrono::milliseconds(20)});
    EXPECT_EQ(handled("while true do end"), "failed");
    EXPECT_THAT(last_log(), HasSubstr("handler1.lua:3: stopped after 20 ms of CPU time (jwt_lua_limit time=)"));
    EXPECT_EQ(handled("for i = 1, 100000 do end return 'x'"), "200 text/plain; charset=utf-8 x");
}

TEST_F(LuaLimitsTest, LoadingIsLimited) {
    restart({.time = std::chrono::seconds(5)});
    EXPECT_THAT(refusal("while true do end"), HasSubstr("refused1.lua:1: stopped after 1000000 steps"));
    EXPECT_THAT(refusal("local t = {} for i = 1, 1e5 do t[i] = ('x'):rep(500) .. i end return {}"),
                HasSubstr("it needs more than"));
    EXPECT_EQ(refusal("return {}"), "");
}

TEST_F(LuaLimitsTest, EveryComparisonOfASortCounts) {
    // M. D. McIlroy, A Killer Adversary for Quicksort (1999): decides while it is compared, so as to make it worst.
    restart({.steps = 1'000'000'000, .memory = 100'000'000, .time = std::chrono::seconds(60)});
    const auto made = load("adversary.lua", R"(
        return { handlers = { test = function()
          local count = 3000
          local value, order, solid, candidate, gas = {}, {}, 0, 0, count + 1
          for i = 1, count do value[i], order[i] = gas, i end
          table.sort(order, function(x, y)
            if value[x] == gas and value[y] == gas then
              solid = solid + 1
              value[x == candidate and x or y] = solid
            end
            if value[x] == gas then candidate = x elseif value[y] == gas then candidate = y end
            return value[x] < value[y]
          end)
          return value
        end } })");
    ASSERT_TRUE(made) << made.error();
    const auto worst = host_->handle(run_, request_.r(), *made, "test");
    ASSERT_TRUE(worst) << last_log();

    restart({});
    const std::string sorted = "local list = request:json({ force = true }) table.sort(list) return tostring(list[1])";
    request_.body = worst->body;
    const double begin = cpu_milliseconds();
    EXPECT_EQ(handled(sorted), "failed");
    EXPECT_LT(cpu_milliseconds() - begin, most_milliseconds);
    EXPECT_THAT(last_log(), HasSubstr("stopped after"));
    request_.body = "[3000";
    for (int i = 1; i < 3000; ++i) {
        request_.body += "," + std::to_string(i * 7919 % 3001);
    }
    request_.body += "]";
    EXPECT_EQ(handled(sorted), "200 text/plain; charset=utf-8 1");
    EXPECT_EQ(handled("local t = { 'b', 'a', 'ab', 'c' } table.sort(t) return table.concat(t)"),
              "200 text/plain; charset=utf-8 aabbc");
    EXPECT_EQ(handled("local t = { 1, 3, 2 } table.sort(t, function(a, b) return a > b end) return table.concat(t)"),
              "200 text/plain; charset=utf-8 321");
    EXPECT_EQ(handled("table.sort({ 1, 'a' })"), "failed");
    EXPECT_THAT(last_log(), HasSubstr("attempt to compare string with number"));
    EXPECT_EQ(handled("table.sort({ 2, 1 }, 5)"), "failed");
    EXPECT_THAT(last_log(), HasSubstr("function expected, got number"));
}

TEST_F(LuaLimitsTest, ManyNamesAreNotEvenCompared) {
    const auto object = [](std::size_t names) {
        std::string text = "{";
        for (std::size_t i = 0; i < names; ++i) {
            text += "\"" + std::to_string(i * 2654435761 % 4294967296) + "\":0,";
        }
        return text + "\"last\":1}";
    };
    const std::string last = "return tostring(request:json({ force = true }).last)";
    request_.body = object(500'000);
    const double begin = cpu_milliseconds();
    EXPECT_EQ(handled(last), "failed");
    EXPECT_LT(cpu_milliseconds() - begin, sanitized ? 1000 : 50);
    EXPECT_THAT(last_log(), HasSubstr("stopped after 1000000 steps"));
    request_.body = object(5000);
    EXPECT_EQ(handled(last), "200 text/plain; charset=utf-8 1");
}

TEST_F(LuaLimitsTest, MemoryIsGivenBack) {
    const auto file = load("f.lua", R"(
        return { handlers = {
          eat = function() local t = {} for i = 1, 1e6 do t[i] = ("x"):rep(50000) .. i end end,
          work = function() return "fine" end,
        } })");
    ASSERT_TRUE(file) << file.error();
    std::size_t after_some = 0;
    for (int i = 0; i < 400; ++i) {
        ASSERT_FALSE(host_->handle(run_, request_.r(), *file, "eat"));
        ASSERT_EQ(shown(host_->handle(run_, request_.r(), *file, "work")), "200 text/plain; charset=utf-8 fine");
        request_.log.clear();
        if (i == 100) {
            after_some = resident_bytes();
        }
    }
    // Sanitizers keep freed memory for a while.
    EXPECT_LT(resident_bytes(), after_some + (sanitized ? 512 : 8) * std::size_t{1024 * 1024});
}

TEST_F(LuaLimitsTest, WhatIsKeptBetweenCallsIsBounded) {
    restart({.steps = 1'000'000, .memory = 1024 * 1024, .time = std::chrono::milliseconds(100)});
    const auto file = load("f.lua", R"(
        local kept = {}
        return { handlers = {
          keep = function() kept[#kept + 1] = ("x"):rep(200000) .. #kept return tostring(#kept) end,
        } })");
    ASSERT_TRUE(file) << file.error();
    sources_->close();
    bool started_anew = false;
    std::string last;
    for (int i = 0; i < 40; ++i) {
        const auto answer = host_->handle(run_, request_.r(), *file, "keep");
        ASSERT_TRUE(answer);
        started_anew = started_anew || answer->body.size() < last.size() || (answer->body == "1" && i > 0);
        last = answer->body;
    }
    EXPECT_TRUE(started_anew);
    EXPECT_LT(std::stoi(last), 30);
}

}  // namespace
