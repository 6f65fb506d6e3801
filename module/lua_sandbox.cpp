#include "lua_pattern.hpp"
#include "lua_state.hpp"

#include <sys/random.h>

#include <algorithm>
#include <cstdint>

namespace ngx {

namespace {

// What an author may use. All else of Lua's libraries reaches files, processes, machine code or other people's state.
constexpr const char* base_names[] = {"assert", "error",  "getmetatable", "ipairs",   "next",   "pairs",
                                      "pcall",  "print",  "rawequal",     "rawget",   "select", "setmetatable",
                                      "type",   "unpack", "tonumber",     "tostring", "xpcall"};
constexpr const char* library_names[] = {"string", "table", "math", "bit", "coroutine", "os"};
constexpr const char* os_names[] = {"time", "date", "clock", "difftime"};

// Functions of Lua's libraries that work long without an instruction: charged before they run.

/// Lua's own moves what lies between the end and a position, also one far below 1. What is no 32-bit integer becomes
/// the least one.
double steps_to_insert(lua_State* lua) {
    if (lua_gettop(lua) <= 2 || !lua_istable(lua, 1)) {
        return 0;
    }
    const double position = lua_tonumber(lua, 2);
    const double first = position > INT32_MIN && position <= INT32_MAX ? position : INT32_MIN;
    return std::max(0.0, (static_cast<double>(lua_objlen(lua, 1)) - first) / 2);
}

double steps_to_remove(lua_State* lua) {
    return lua_gettop(lua) > 1 && lua_istable(lua, 1) ? static_cast<double>(lua_objlen(lua, 1)) / 2 : 0;
}

double steps_to_concat(lua_State* lua) {
    return lua_istable(lua, 1) ? 4 * static_cast<double>(lua_objlen(lua, 1)) : 0;  // numbers have to be written out
}

double steps_to_format(lua_State* lua) {
    // "%99.99f" of 1e308 takes 50 µs, and there may be thousands of them.
    constexpr int many = 100;
    const int count = lua_gettop(lua);
    return count * (count > many ? 1000.0 : 20.0);
}

double steps_to_date(lua_State* lua) {
    return lua_isstring(lua, 1) != 0 ? 8 * static_cast<double>(lua_objlen(lua, 1)) : 0;
}

double steps_to_repeat(lua_State* lua) {
    const double count = lua_tonumber(lua, 2);
    return count > 0 ? count * static_cast<double>(lua_objlen(lua, 1) + lua_objlen(lua, 3)) / 32 : 0;
}

double steps_to_copy(lua_State* lua) {
    return lua_isstring(lua, 1) != 0 ? static_cast<double>(lua_objlen(lua, 1)) / 32 : 0;
}

template <double (*steps)(lua_State*)>
int charged(lua_State* lua) {
    const double wanted = steps(lua);
    budget_of(lua).charge(lua, wanted < 1e15 ? static_cast<std::size_t>(wanted) : static_cast<std::size_t>(1e15));
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    lua_call(lua, lua_gettop(lua) - 1, LUA_MULTRET);
    return lua_gettop(lua);
}

/// The order of `table.sort` where the author gives none, or one of C: its upvalue, nil for <.
int charged_less(lua_State* lua) {
    const bool strings = lua_type(lua, 1) == LUA_TSTRING && lua_type(lua, 2) == LUA_TSTRING;
    budget_of(lua).charge(lua, strings ? 1 + std::min(lua_objlen(lua, 1), lua_objlen(lua, 2)) / 256 : 1);
    if (lua_isnil(lua, lua_upvalueindex(1))) {
        lua_pushboolean(lua, lua_lessthan(lua, 1, 2));
        return 1;
    }
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    lua_call(lua, lua_gettop(lua) - 1, 1);
    return 1;
}

/// Lua's own takes n * n steps for what is put in the worst order for it, which a client can do: each counts.
int sort(lua_State* lua) {
    lua_settop(lua, 2);
    if (lua_isnil(lua, 2) || lua_iscfunction(lua, 2) != 0) {
        lua_pushcclosure(lua, charged_less, 1);
    }
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    lua_call(lua, 2, 0);
    return 0;
}

/// Wraps a function of the table on top of the stack.
void charge_for(lua_State* lua, const char* name, lua_CFunction wrapper) {
    lua_getfield(lua, -1, name);
    lua_pushcclosure(lua, wrapper, 1);
    lua_setfield(lua, -2, name);
}

void remove_field(lua_State* lua, const char* name) {
    lua_pushnil(lua);
    lua_setfield(lua, -2, name);
}

int print(lua_State* lua) {
    luaL_Buffer line;
    const int count = lua_gettop(lua);
    lua_pushvalue(lua, lua_upvalueindex(1));  // tostring
    budget_of(lua).charge(lua, 200);
    for (int i = 1; i <= count; ++i) {
        lua_pushvalue(lua, count + 1);
        lua_pushvalue(lua, i);
        lua_call(lua, 1, 1);
        if (lua_type(lua, -1) != LUA_TSTRING) {
            return luaL_error(lua, "'tostring' must return a string to 'print'");
        }
        lua_replace(lua, i);
    }
    luaL_buffinit(lua, &line);
    for (int i = 1; i <= count; ++i) {
        if (i > 1) {
            luaL_addchar(&line, '\t');
        }
        lua_pushvalue(lua, i);
        luaL_addvalue(&line);
    }
    luaL_pushresult(&line);
    write_log_line(lua, NGX_LOG_NOTICE, text_at(lua, -1));
    return 0;
}

int refuse_global(lua_State* lua) {
    const char* name = lua_type(lua, 2) == LUA_TSTRING ? lua_tostring(lua, 2) : "?";
    return luaL_error(lua, "a global \"%s\" would be shared by all requests: write \"local %s\"", name, name);
}

int refuse_write(lua_State* lua) {
    const char* name = lua_type(lua, 2) == LUA_TSTRING ? lua_tostring(lua, 2) : "?";
    return luaL_error(lua, "\"%s\" cannot be set here: this table is read-only", name);
}

void open_library(lua_State* lua, lua_CFunction open, const char* name) {
    lua_pushcfunction(lua, open);
    lua_pushstring(lua, name);
    lua_call(lua, 1, 0);
}

/// The one function of the library `debug` that the module needs, out of authors' reach.
void keep_getinfo(lua_State* lua) {
    open_library(lua, luaopen_debug, LUA_DBLIBNAME);
    lua_getglobal(lua, LUA_DBLIBNAME);
    lua_getfield(lua, -1, "getinfo");
    lua_rawseti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::getinfo));
    lua_pop(lua, 1);
    lua_pushnil(lua);
    lua_setglobal(lua, LUA_DBLIBNAME);
}

void restrict_libraries(lua_State* lua) {
    lua_getglobal(lua, "string");
    remove_field(lua, "dump");
    remove_field(lua, "gfind");
    register_patterns(lua, &pattern_budget);
    charge_for(lua, "format", charged<steps_to_format>);
    charge_for(lua, "rep", charged<steps_to_repeat>);
    charge_for(lua, "upper", charged<steps_to_copy>);
    charge_for(lua, "lower", charged<steps_to_copy>);
    charge_for(lua, "reverse", charged<steps_to_copy>);
    lua_pop(lua, 1);

    lua_getglobal(lua, "table");
    charge_for(lua, "insert", charged<steps_to_insert>);
    charge_for(lua, "remove", charged<steps_to_remove>);
    charge_for(lua, "sort", sort);
    charge_for(lua, "concat", charged<steps_to_concat>);
    // Both take time by what the caller names, not by what it holds.
    remove_field(lua, "maxn");
    remove_field(lua, "foreach");
    remove_field(lua, "foreachi");
    remove_field(lua, "getn");
    lua_pop(lua, 1);

    lua_getglobal(lua, "os");
    lua_newtable(lua);
    for (const char* name : os_names) {
        lua_getfield(lua, -2, name);
        lua_setfield(lua, -2, name);
    }
    charge_for(lua, "date", charged<steps_to_date>);
    lua_setglobal(lua, "os");
    lua_pop(lua, 1);

    // Strings share one metatable, which no author may reach.
    lua_pushliteral(lua, "");
    lua_getmetatable(lua, -1);
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
    lua_pop(lua, 2);
}

/// Numbers that differ from worker to worker; not for secrets, as Lua's generator is not made for them.
void seed_random(lua_State* lua) {
    std::uint32_t seed = 0;
    if (getentropy(&seed, sizeof seed) != 0) {
        seed = static_cast<std::uint32_t>(ngx_random());
    }
    lua_getglobal(lua, "math");
    lua_getfield(lua, -1, "randomseed");
    lua_pushnumber(lua, seed);
    lua_call(lua, 1, 0);
    remove_field(lua, "randomseed");
    lua_pop(lua, 1);
}

void make_view_metatable(lua_State* lua, lua_CFunction refuse) {
    lua_newtable(lua);
    lua_insert(lua, -2);
    lua_setfield(lua, -2, "__index");
    lua_pushcfunction(lua, refuse);
    lua_setfield(lua, -2, "__newindex");
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
}

}  // namespace

void open_libraries(lua_State* lua) {
    open_library(lua, luaopen_base, "");
    open_library(lua, luaopen_string, LUA_STRLIBNAME);
    open_library(lua, luaopen_table, LUA_TABLIBNAME);
    open_library(lua, luaopen_math, LUA_MATHLIBNAME);
    open_library(lua, luaopen_bit, LUA_BITLIBNAME);
    open_library(lua, luaopen_os, LUA_OSLIBNAME);
    keep_getinfo(lua);
    seed_random(lua);
    restrict_libraries(lua);
}

void open_print(lua_State* lua) {
    lua_getglobal(lua, "tostring");
    lua_pushcclosure(lua, print, 1);
    lua_setglobal(lua, "print");
}

void make_read_only(lua_State* lua) {
    make_view_metatable(lua, refuse_write);
    lua_newtable(lua);
    lua_insert(lua, -2);
    lua_setmetatable(lua, -2);
}

void push_file_slot(lua_State* lua, std::size_t file, int slot) {
    lua_rawgeti(lua, LUA_REGISTRYINDEX, static_cast<int>(LuaSlot::first_file) + static_cast<int>(file));
    lua_rawgeti(lua, -1, slot);
    lua_remove(lua, -2);
}

void make_file_tables(lua_State* lua, std::size_t file) {
    lua_newtable(lua);
    const int tables = lua_gettop(lua);

    // What stands in the environment's own table could be set by an author: it stays empty, and its names are looked up
    // behind it. Each file has views of its own, since table.insert gets past them.
    lua_newtable(lua);
    for (const char* name : base_names) {
        lua_getglobal(lua, name);
        lua_setfield(lua, -2, name);
    }
    for (const char* name : library_names) {
        lua_getglobal(lua, name);
        make_read_only(lua);
        lua_setfield(lua, -2, name);
    }
    lua_pushinteger(lua, static_cast<lua_Integer>(file));
    lua_pushcclosure(lua, require_module, 1);
    lua_setfield(lua, -2, "require");
    make_view_metatable(lua, refuse_global);
    lua_newtable(lua);
    lua_insert(lua, -2);
    lua_setmetatable(lua, -2);
    lua_rawseti(lua, tables, static_cast<int>(FileSlot::environment));

    lua_newtable(lua);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, static_cast<int>(LuaSlot::api));
    make_read_only(lua);
    lua_setfield(lua, -2, "jwt");
    lua_rawseti(lua, tables, static_cast<int>(FileSlot::modules));

    lua_newtable(lua);
    lua_rawseti(lua, tables, static_cast<int>(FileSlot::handlers));
    lua_rawseti(lua, LUA_REGISTRYINDEX, static_cast<int>(LuaSlot::first_file) + static_cast<int>(file));
}

void push_chunk(lua_State* lua, std::size_t file, std::string_view text, const char* path) {
    lua_pushfstring(lua, "@%s", path);
    // "t": byte code is not checked by LuaJIT and can do anything.
    if (luaL_loadbufferx(lua, text.data(), text.size(), lua_tostring(lua, -1), "t") != 0) {
        lua_error(lua);
    }
    lua_remove(lua, -2);
    push_file_slot(lua, file, static_cast<int>(FileSlot::environment));
    lua_setfenv(lua, -2);
}

}  // namespace ngx
