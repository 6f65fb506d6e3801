#include "lua_fixture.hpp"

#include <gmock/gmock.h>

namespace {

using testing::HasSubstr;

using LuaSandboxTest = LuaTest;

TEST_F(LuaSandboxTest, HasWhatAuthorsNeedAndNothingElse) {
    EXPECT_EQ(handled(R"(
        local absent = {}
        for _, name in ipairs({"assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "print", "rawequal",
                               "rawget", "require", "select", "setmetatable", "tonumber", "tostring", "type", "unpack",
                               "xpcall"}) do
            local value = ({assert = assert, error = error, getmetatable = getmetatable, ipairs = ipairs, next = next,
                pairs = pairs, pcall = pcall, print = print, rawequal = rawequal, rawget = rawget, require = require,
                select = select, setmetatable = setmetatable, tonumber = tonumber, tostring = tostring, type = type,
                unpack = unpack, xpcall = xpcall})[name]
            if type(value) ~= "function" then absent[#absent + 1] = name end
        end
        for _, value in ipairs({string.format, string.find, table.concat, math.floor, bit.band, coroutine.wrap, os.time,
                                os.date, os.clock, os.difftime, string.gmatch, table.move or table.insert}) do
            if type(value) ~= "function" then absent[#absent + 1] = tostring(value) end
        end
        return "absent:" .. table.concat(absent, ","))"),
              "200 text/plain; charset=utf-8 absent:");
    EXPECT_EQ(handled(R"(
        local present = {}
        local function check(name, value) if value ~= nil then present[#present + 1] = name end end
        check("_G", _G) check("collectgarbage", collectgarbage) check("debug", debug) check("dofile", dofile)
        check("ffi", ffi) check("getfenv", getfenv) check("io", io) check("jit", jit) check("load", load)
        check("loadfile", loadfile) check("loadstring", loadstring) check("module", module)
        check("newproxy", newproxy) check("package", package) check("rawset", rawset) check("setfenv", setfenv)
        check("string.dump", string.dump) check("string.gfind", string.gfind)
        check("math.randomseed", math.randomseed) check("gcinfo", gcinfo)
        check("os.execute", os.execute) check("os.exit", os.exit) check("os.getenv", os.getenv)
        check("os.remove", os.remove) check("os.rename", os.rename) check("os.setlocale", os.setlocale)
        check("os.tmpname", os.tmpname) check("dump of a string", ("").dump)
        return "present:" .. table.concat(present, ","))"),
              "200 text/plain; charset=utf-8 present:");
}

TEST_F(LuaSandboxTest, GlobalsCannotBeWritten) {
    EXPECT_THAT(
        refusal("answer = 1 return {}"),
        HasSubstr("refused1.lua:1: a global \"answer\" would be shared by all requests: write \"local answer\""));
    EXPECT_THAT(refusal("function helper() end return {}"), HasSubstr("write \"local helper\""));
    EXPECT_THAT(refusal("string = 1 return {}"), HasSubstr("write \"local string\""));
    EXPECT_EQ(refusal("local answer = 1 return {}"), "");
    EXPECT_EQ(handled("\nleak = 1 return 'x'"), "failed");
    EXPECT_THAT(last_log(), HasSubstr(":4: a global \"leak\""));
}

struct Write {
    const char* name;
    const char* code;
};

class LuaWriteTest : public LuaTest, public testing::WithParamInterface<Write> {};

TEST_P(LuaWriteTest, IsRefused) {
    const std::string code = GetParam().code;
    EXPECT_EQ(handled("local ok, why = pcall(function() " + code + " end) return ok and 'written' or 'refused'"),
              "200 text/plain; charset=utf-8 refused");
}

constexpr Write writes[] = {
    {"library", "string.format = 1"},
    {"library_field", "table.extra = 1"},
    {"os", "os.execute = print"},
    {"jwt", "jwt.create_access_token = print"},
    {"method_of_strings", "getmetatable('').__index = {}"},
    {"metatable_of_strings", "getmetatable('').__add = print"},
    {"metatable_of_library", "setmetatable(string, {})"},
    {"metatable_of_jwt", "getmetatable(jwt).__index.x = 1"},
    {"metatable_of_arrays", "getmetatable(request:json()).x = 1"},
    {"metatable_of_request", "getmetatable(request).x = 1"},
    {"metatable_of_decoded_array", "setmetatable(request:json(), {})"},
    {"request", "request.method = 'GET'"},
    {"request_headers", "request.headers.x = 'GET'"},
    {"empty_array", "jwt.empty_array[1] = 1"},
    {"append_to_empty_array", "table.insert(jwt.empty_array, 1)"},
    {"null", "jwt.null.x = 1"},
};

INSTANTIATE_TEST_SUITE_P(Writes, LuaWriteTest, testing::ValuesIn(writes),
                         [](const auto& parameter) { return std::string(parameter.param.name); });

TEST_F(LuaSandboxTest, FilesDoNotSeeEachOther) {
    const auto writer = load("writer.lua", R"(
        local shared = require "shared"
        return { handlers = { test = function()
            shared.value = "seen"
            pcall(table.insert, string, "seen")
            pcall(table.insert, require "jwt", "seen")
            return tostring(shared.value)
        end } })");
    EXPECT_FALSE(writer) << "the module is not there yet";
    write("shared.lua", "return {}");
    restart({});
    const auto loaded = load("writer.lua", R"(
        local shared = require "shared"
        return { handlers = { test = function()
            shared.value = "seen"
            pcall(table.insert, string, "seen")
            pcall(table.insert, require "jwt", "seen")
            return tostring(shared.value)
        end } })");
    const auto reader = load("reader.lua", R"(
        local shared = require "shared"
        return { handlers = { test = function()
            return tostring(shared.value) .. " " .. tostring(string[1]) .. " " .. tostring((require "jwt")[1])
        end } })");
    ASSERT_TRUE(loaded && reader);
    EXPECT_EQ(shown(host_->handle(run_, request_.r(), *loaded, "test")), "200 text/plain; charset=utf-8 seen");
    EXPECT_EQ(shown(host_->handle(run_, request_.r(), *reader, "test")), "200 text/plain; charset=utf-8 nil nil nil");
}

TEST_F(LuaSandboxTest, ModulesAreFoundBesideTheFileFirst) {
    write("site/greeting.lua", "return 'beside'");
    write("lib/greeting.lua", "return 'far'");
    write("lib/deep/other.lua", "local name = ... return name .. ' ' .. require('greeting')");
    const auto file = load("site/hooks.lua", R"(
        local greeting, other = require "greeting", require "deep.other"
        return { handlers = { test = function() return greeting .. ", " .. other .. ", " .. require("greeting") end } })",
                           "/nowhere/?.lua;;" + folder_ + "lib/?.lua");
    ASSERT_TRUE(file) << file.error();
    EXPECT_EQ(shown(host_->handle(run_, request_.r(), *file, "test")),
              "200 text/plain; charset=utf-8 beside, deep.other beside, beside");
}

TEST_F(LuaSandboxTest, ModulesThatCannotBeRequired) {
    write("selfish.lua", "return require 'selfish'");
    write("broken.lua", "local x = \n= 3");
    EXPECT_THAT(refusal("require 'absent' return {}"),
                testing::AllOf(
                    HasSubstr("refused1.lua:1: module \"absent\" was not found: \"absent.lua\" cannot be read (2:")));
    EXPECT_THAT(refusal("require 'selfish' return {}"), HasSubstr("module \"selfish\" requires itself"));
    EXPECT_THAT(refusal("require 'broken' return {}"), HasSubstr("broken.lua:2: "));
    for (const char* name : {"../etc", "a/b", ".hidden", "a..b", "a.", "", "a\\0b", "/etc/passwd", "a b"}) {
        EXPECT_THAT(refusal("require '" + std::string(name) + "' return {}"), HasSubstr("no module can be named"));
    }
    EXPECT_EQ(handled("require 'selfish'"), "failed");
    EXPECT_THAT(last_log(), HasSubstr("require it at the top of the file"));
}

TEST_F(LuaSandboxTest, ByteCodeIsNeverLoaded) {
    EXPECT_THAT(refusal("\x1bLJ\x02"), HasSubstr("refused1.lua"));
    EXPECT_THAT(refusal("#!/usr/bin/lua\n\x1bLJ\x02"), HasSubstr("refused2.lua"));
    EXPECT_EQ(refusal("#!/usr/bin/lua\nreturn {}"), "");
}

TEST_F(LuaSandboxTest, WorkersLoadWhatWasChecked) {
    write("part.lua", "return 'first'");
    const std::string text = "local part = require 'part' return { handlers = { test = function() return part end } }";
    ASSERT_TRUE(load("hooks.lua", text));
    sources_->close();
    write("part.lua", "return 'second'");
    write("hooks.lua", "return 1");
    auto worker = std::move(ngx::LuaHost::create({}).value());
    const auto file = worker->load(folder_ + "hooks.lua", "", *sources_);
    ASSERT_TRUE(file) << file.error();
    EXPECT_EQ(shown(worker->handle(run_, request_.r(), *file, "test")), "200 text/plain; charset=utf-8 first");
    const auto other = worker->load(folder_ + "part.lua", "/x/?.lua", *sources_);
    EXPECT_FALSE(other);
    write("new.lua", "return {}");
    EXPECT_THAT(worker->load(folder_ + "new.lua", "", *sources_).error(),
                HasSubstr("was not read with the configuration"));
}

TEST_F(LuaSandboxTest, PrintWritesToTheLog) {
    EXPECT_EQ(handled("print('a', 1, nil, setmetatable({}, {__tostring = function() return 'b\\nc' end})) return 'x'"),
              "200 text/plain; charset=utf-8 x");
    EXPECT_EQ(last_log(), "jwt: a\\x091\\x09nil\\x09b\\x0ac");
}

TEST_F(LuaSandboxTest, RequestsEnd) {
    const auto file = load("f.lua", R"(
        local kept, kept_headers
        return { handlers = {
          keep = function(request) kept, kept_headers = request, request.headers return request.method end,
          use = function() return kept.method end,
          use_headers = function() return kept_headers.Host end,
          use_body = function() return kept:body() end,
        } })");
    ASSERT_TRUE(file) << file.error();
    EXPECT_EQ(shown(host_->handle(run_, request_.r(), *file, "use")), "failed");
    EXPECT_EQ(shown(host_->handle(run_, request_.r(), *file, "keep")), "200 text/plain; charset=utf-8 POST");
    for (const char* name : {"use", "use_headers", "use_body"}) {
        EXPECT_EQ(shown(host_->handle(run_, request_.r(), *file, name)), "failed");
        EXPECT_THAT(last_log(), HasSubstr("this request has ended"));
    }
}

TEST_F(LuaSandboxTest, YieldsAreFailures) {
    EXPECT_EQ(handled("coroutine.yield(1) return 'x'"), "failed");
    EXPECT_EQ(handled("local f = coroutine.wrap(function() coroutine.yield('y') end) return f()"),
              "200 text/plain; charset=utf-8 y");
}

}  // namespace
