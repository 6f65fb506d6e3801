#include "../../module/lua_pattern.hpp"

#include <memory>
#include <random>
#include <string>
#include <string_view>

#include <gtest/gtest.h>
#include <lua.hpp>

namespace {

constexpr const char* steps_key = "steps left";

std::size_t remaining(lua_State* L) {
    lua_getfield(L, LUA_REGISTRYINDEX, steps_key);
    const auto steps = static_cast<std::size_t>(lua_tointeger(L, -1));
    lua_pop(L, 1);
    return steps;
}

void set_remaining(lua_State* L, std::size_t steps) {
    lua_pushinteger(L, static_cast<lua_Integer>(steps));
    lua_setfield(L, LUA_REGISTRYINDEX, steps_key);
}

void charge(lua_State* L, std::size_t steps) {
    const std::size_t left = remaining(L);
    if (steps > left) {
        luaL_error(L, "budget used up");
    }
    set_remaining(L, left - steps);
}

constexpr ngx::StepBudget budget{remaining, charge};

/// Compares every function, called on the same arguments, with LuaJIT's own; a difference comes back as text.
constexpr const char* compare_chunk = R"lua(
local ours, theirs = ...

local function show(results)
  local out = {}
  for i = 1, results.n do out[i] = type(results[i]) .. ":" .. tostring(results[i]) end
  return table.concat(out, " ")
end
local function pack(ok, ...)
  if not ok then return "error" end
  return show({ n = select("#", ...), ... })
end
local function each(library, subject, pattern)
  local out = {}
  for a, b, c in library.gmatch(subject, pattern) do
    out[#out + 1] = show({ n = 3, a, b, c })
    if #out > 100 then error("endless") end
  end
  return table.concat(out, ";")
end
local function upper(a, b) return (a .. (b or "")):upper() end

return function(subject, pattern, replacement, init, limit)
  local calls = {
    find = function(library) return library.find(subject, pattern, init) end,
    plain = function(library) return library.find(subject, pattern, init, true) end,
    match = function(library) return library.match(subject, pattern, init) end,
    gmatch = function(library) return each(library, subject, pattern) end,
    gsub = function(library) return library.gsub(subject, pattern, replacement, limit) end,
    gsub_table = function(library) return library.gsub(subject, pattern, { a = "1", ab = false, [1] = 7 }) end,
    gsub_function = function(library) return library.gsub(subject, pattern, upper) end,
  }
  for name, call in pairs(calls) do
    local got, wanted = pack(pcall(call, ours)), pack(pcall(call, theirs))
    if got ~= wanted then return name .. ": " .. got .. "\n  but LuaJIT: " .. wanted end
  end
end
)lua";

class LuaPattern : public testing::Test {
protected:
    void SetUp() override {
        luaL_openlibs(L());
        set_remaining(L(), 1'000'000'000);
        ASSERT_EQ(luaL_loadstring(L(), compare_chunk), 0) << lua_tostring(L(), -1);
        lua_newtable(L());
        ngx::register_patterns(L(), &budget);
        lua_pushvalue(L(), -1);
        lua_setglobal(L(), "ours");
        lua_getglobal(L(), "string");
        ASSERT_EQ(lua_pcall(L(), 2, 1, 0), 0) << lua_tostring(L(), -1);
        lua_setglobal(L(), "compare");
    }

    lua_State* L() { return state_.get(); }

    /// What Lua's own library does otherwise; empty where nothing.
    std::string difference(const std::string& subject, const std::string& pattern,
                           const std::string& replacement = "<%0>", int init = 1, int limit = 100) {
        lua_getglobal(L(), "compare");
        lua_pushlstring(L(), subject.data(), subject.size());
        lua_pushlstring(L(), pattern.data(), pattern.size());
        lua_pushlstring(L(), replacement.data(), replacement.size());
        lua_pushinteger(L(), init);
        lua_pushinteger(L(), limit);
        return call(5);
    }

    /// The first result, or the error, of a chunk as text.
    std::string run(const std::string& chunk) {
        if (luaL_loadstring(L(), chunk.c_str()) != 0) {
            return lua_tostring(L(), -1);
        }
        return call(0);
    }

private:
    std::string call(int arguments) {
        (void)lua_pcall(L(), arguments, 1, 0);
        std::size_t size = 0;
        const char* const text = lua_tolstring(L(), -1, &size);
        std::string result = text == nullptr ? "" : std::string(text, size);
        lua_pop(L(), 1);
        return result;
    }

    std::unique_ptr<lua_State, decltype(&lua_close)> state_{luaL_newstate(), lua_close};
};

TEST_F(LuaPattern, AgreesWithLuaJitOnATableOfPatterns) {
    const std::string subject = "THE (quick) fox, key = value; 12-34 [x] a%b\t\x01\x7f\xe9 \"q\" aa bb";
    for (const char* pattern :
         {"%a+", "%A+", "%c", "%C+", "%d+", "%D+", "%g+", "%G+", "%l+", "%L+", "%p+", "%P+", "%s+", "%S+", "%u+", "%U+",
          "%w+", "%W+", "%x+", "%X+", "%Z+", "", ".", ".*", ".-", "^THE", "^quick", "bb$", "aa$", "^.*$",
          "(%a+) = (%a+)", "()fox()", "((%a)%a*)", "(%a)%1", "%b()", "%b[]", "%bxx", "%f[%a]%a+%f[%A]", "%f[%z]",
          "[a-f]+", "[^a-z]+", "[]]", "[^]]+", "[a-]+", "[-a]+", "[%a_]+", "[%]x]+", "[%^x]", "[a^]", "%.", "%%", "x*",
          "x+", "x?", "a-b", "q?u", "%d*-%d*", "a$b", "$", "^", "^^", "%$", "%(", "[(]", "fox,? ?", "z*$",
          // malformed
          "%", "a%", "[", "[a", "[^", "[]", "[a%", "(", "(a", ")", "a)", "%b", "%bx", "%f", "%fa", "%1", "(%1)", "%0",
          "(()", "%2(a)", "(a)(", "((a)"}) {
        EXPECT_EQ(difference(subject, pattern), "") << pattern;
        EXPECT_EQ(difference("", pattern), "") << pattern << " on nothing";
        EXPECT_EQ(difference(subject, pattern, "[%1%%]", -9, 2), "") << pattern << " near the end";
    }
}

TEST_F(LuaPattern, AgreesWithLuaJitOnLimitsAndReplacements) {
    const std::string many_captures(40, '(');
    EXPECT_EQ(difference(std::string(50, 'a'), many_captures), "");
    std::string captures;
    for (int i = 0; i < 32; ++i) {
        captures += "(a)";
    }
    EXPECT_EQ(difference(std::string(50, 'a'), captures), "");
    EXPECT_EQ(difference(std::string(50, 'a'), captures + "()"), "");
    for (const char* replacement : {"", "x", "%0%0", "%1", "%2", "%9", "%%", "%a", "a%1b"}) {
        for (const int limit : {-1, 0, 1, 3}) {
            EXPECT_EQ(difference("hello world", "o", replacement, 1, limit), "") << replacement;
            EXPECT_EQ(difference("hello world", "(l)(.)", replacement, 1, limit), "") << replacement;
        }
    }
    for (const int init : {-100, -11, -1, 0, 1, 11, 12, 13, 100}) {
        EXPECT_EQ(difference("hello world", "o", "", init), "") << init;
        EXPECT_EQ(difference("hello world", "", "", init), "") << init;
    }
    EXPECT_EQ(difference(std::string("a\0b\0", 4), "%z", "0"), "");
    EXPECT_EQ(difference(std::string("a\0b\0", 4), "[^%z]+", "0"), "");
}

TEST_F(LuaPattern, AgreesWithLuaJitOnRandomPatterns) {
    constexpr std::string_view pieces[] = {
        "a", "b", "A",    "1",  ".",  "%a", "%d", "%W",  "[ab]", "[^a]", "[a-c1]", "*",      "+",   "-",    "?",
        "*", "-", "(",    ")",  "()", "(",  ")",  "%1",  "%2",   "$",    "^",      "%b",     "(a)", "%f[a", "[",
        "]", "%", "%bab", "%s", " ",  "%p", "%%", "(.)", "(.-",  "%u",   "[%d",    "%f[%w]", "[]a]"};
    constexpr std::string_view letters = "aabbcA1 (-%)";
    constexpr std::string_view replacements[] = {"", "%0", "%1", "x%%", "<%2>", "%1%1"};
    std::mt19937 random(20240229);
    const auto below = [&](std::size_t limit) { return random() % limit; };
    int matched = 0;
    for (int i = 0; i < 20'000; ++i) {
        std::string pattern;
        for (std::size_t n = below(7); n != 0; --n) {
            pattern += pieces[below(std::size(pieces))];
        }
        std::string subject;
        for (std::size_t n = below(12); n != 0; --n) {
            subject += letters[below(letters.size())];
        }
        // What a range with a class at its end means, the manual leaves open.
        if (pattern.find("-%") != std::string::npos && pattern.find('[') != std::string::npos) {
            continue;
        }
        const std::string replacement(replacements[below(std::size(replacements))]);
        const int init = static_cast<int>(below(8)) - 2;
        ASSERT_EQ(difference(subject, pattern, replacement, init, static_cast<int>(below(4))), "")
            << "subject <" << subject << "> pattern <" << pattern << "> replacement <" << replacement << "> init "
            << init;
        ngx::PatternMatcher matcher(subject, pattern, 100'000);
        matched += matcher.search(0) == ngx::PatternMatcher::Result::matched ? 1 : 0;
    }
    EXPECT_GT(matched, 5'000);
}

TEST_F(LuaPattern, ChecksItsArguments) {
    EXPECT_EQ(run("return (ours.gsub('a1', '%d', 2))"), "a2");
    EXPECT_EQ(run("return (ours.gsub(121, 2, 'x'))"), "1x1");
    EXPECT_NE(run("ours.gsub('a', 'a')").find("string/function/table expected"), std::string::npos);
    EXPECT_NE(run("ours.gsub('a', 'a', true)").find("string/function/table expected"), std::string::npos);
    EXPECT_NE(run("ours.find('a')").find("string expected"), std::string::npos);
    EXPECT_NE(run("ours.match({}, 'a')").find("string expected"), std::string::npos);
    EXPECT_NE(run("ours.gmatch('a', nil)").find("string expected"), std::string::npos);
    EXPECT_NE(run("ours.gsub('a', 'a', function() return {} end)").find("invalid replacement value (a table)"),
              std::string::npos);
    EXPECT_NE(run("ours.gsub('a', 'a', 'x%')").find("invalid use of '%' in replacement string"), std::string::npos);
    EXPECT_NE(run("ours.gsub('a', 'a', function() error('within') end)").find("within"), std::string::npos);
}

TEST_F(LuaPattern, SaysWhatIsWrongWithAPattern) {
    const std::pair<const char*, const char*> cases[] = {{"%", "malformed pattern (ends with '%')"},
                                                         {"[a", "malformed pattern (missing ']')"},
                                                         {"%bx", "unbalanced pattern"},
                                                         {"%fa", "missing '[' after '%f' in pattern"},
                                                         {"a)", "invalid pattern capture"},
                                                         {"(a", "unfinished capture"},
                                                         {"%1", "invalid capture index"}};
    for (const auto& [pattern, message] : cases) {
        EXPECT_NE(run("return ours.match('a', '" + std::string(pattern) + "')").find(message), std::string::npos)
            << pattern;
    }
}

TEST_F(LuaPattern, NestingIsBounded) {
    const std::string subject(400, 'a');
    const auto optional = [&](int count) {
        std::string pattern;
        for (int i = 0; i < count; ++i) {
            pattern += "a?";
        }
        ngx::PatternMatcher matcher(subject, pattern, 100'000);
        return matcher.search(0);
    };
    EXPECT_EQ(optional(190), ngx::PatternMatcher::Result::matched);
    EXPECT_EQ(optional(300), ngx::PatternMatcher::Result::malformed);
    const std::string long_subject(1'000'000, 'a');
    ngx::PatternMatcher matcher(long_subject, "^a*$", 10'000'000);
    EXPECT_EQ(matcher.search(0), ngx::PatternMatcher::Result::matched);
}

TEST_F(LuaPattern, StopsWhenTheBudgetIsUsedUp) {
    const std::string bomb = "return ours.find(('a'):rep(600), ('.-'):rep(4) .. 'b')";
    const std::string tame = "return ours.find(('a'):rep(600) .. 'b', ('.-'):rep(4) .. 'b')";
    for (const std::string& endless :
         {bomb, std::string("return ours.match(('a'):rep(600), ('.*'):rep(4) .. 'b')"),
          std::string("return ours.gsub(('a'):rep(600), ('(a*)'):rep(5) .. 'b', '')"),
          std::string("for _ in ours.gmatch(('a'):rep(600), ('a?'):rep(40) .. ('.-'):rep(4) .. 'b') do end"),
          std::string("while true do ours.gsub('a', 'a', 'b') end"),
          std::string("while true do for _ in ours.gmatch('ab', '.') do end end"),
          std::string("while true do ours.find('a', 'a', 1, true) end"),
          std::string("return ours.find(('a'):rep(100000), '[' .. ('b'):rep(10000) .. ']')"),
          std::string("return ours.find(('('):rep(20000), '%b()')"),
          std::string("return (ours.gsub(('a'):rep(10000), 'a', ('b'):rep(10000)))"),
          std::string("return ours.match(('a'):rep(20000), '^(a*)%1c')")}) {
        set_remaining(L(), 1'000'000);
        EXPECT_NE(run(endless).find("budget used up"), std::string::npos) << endless;
    }
    set_remaining(L(), 1'000'000);
    EXPECT_EQ(run(tame), "1");
    EXPECT_LT(remaining(L()), 1'000'000u);
}

TEST_F(LuaPattern, StopsEvenWhereChargingDoesNot) {
    const auto nothing = [](lua_State*, std::size_t) {};
    const ngx::StepBudget lenient{[](lua_State*) -> std::size_t { return 100; }, nothing};
    lua_newtable(L());
    ngx::register_patterns(L(), &lenient);
    lua_setglobal(L(), "ours");
    EXPECT_EQ(run("return ours.find('aab', 'a+b')"), "1");
    EXPECT_NE(run("return ours.find(('a'):rep(600), 'a-b')").find("too many steps"), std::string::npos);
}

}  // namespace
