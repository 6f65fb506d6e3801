#include <algorithm>
#include <array>
#include <cstdint>
#include <new>
#include <numeric>

#include "lua_state.hpp"

// Loading a hooks file: its text is run, and the table that it returns is checked and taken apart.

namespace ngx {

namespace {

constexpr std::uint8_t any_number = 255;

struct OldName {
    std::string_view old;
    Hook hook;
};

// What earlier versions of the extensions call them.
constexpr OldName old_names[] = {
    {"claims_verification", Hook::token_verification},
    {"claims_verification_failed", Hook::token_verification_failed},
    {"claims_verification_loader", Hook::token_verification},
    {"token_in_blacklist", Hook::token_in_blocklist},
    {"user_claims", Hook::additional_claims},
    {"user_loader", Hook::user_lookup},
    {"user_loader_callback", Hook::user_lookup},
    {"user_loader_error", Hook::user_lookup_error},
    {"user_identity_lookup", Hook::user_identity},
    {"needs_fresh", Hook::needs_fresh_token},
};

std::optional<Hook> hook_named(std::string_view text) noexcept {
    for (std::size_t i = 0; i < hook_count; ++i) {
        if (name(static_cast<Hook>(i)) == text) {
            return static_cast<Hook>(i);
        }
    }
    return std::nullopt;
}

std::string_view without_suffix(std::string_view text, std::string_view suffix) noexcept {
    return text.size() > suffix.size() && text.substr(text.size() - suffix.size()) == suffix
               ? text.substr(0, text.size() - suffix.size())
               : text;
}

/// Insertions, deletions and replacements that make one of the other.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i + 1;
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t above = row[j + 1];
            row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (a[i] == b[j] ? 0 : 1)});
            diagonal = above;
        }
    }
    return row.back();
}

std::string_view nearest_name(std::string_view unknown) {
    const std::string_view stem = without_suffix(without_suffix(unknown, "_loader"), "_callback");
    for (const OldName& old : old_names) {
        if (old.old == unknown || old.old == stem) {
            return name(old.hook);
        }
    }
    if (unknown == "handler") {
        return "handlers";
    }
    std::string_view best;
    std::size_t least = 4;
    for (std::size_t i = 0; i < hook_count; ++i) {
        const std::string_view candidate = name(static_cast<Hook>(i));
        const std::size_t distance = edit_distance(stem.substr(0, 64), candidate);
        if (distance < least) {
            least = distance;
            best = candidate;
        }
    }
    return best;
}

/// Leaves the sentence in LuaState::error.
void describe_unknown_key(LuaState& state, std::string_view key) noexcept {
    try {
        state.error = "unknown hook \"" + std::string(key.substr(0, 100)) + "\": ";
        const std::string_view nearest = nearest_name(key);
        if (!nearest.empty()) {
            state.error += "did you mean \"" + std::string(nearest) + "\"?";
            return;
        }
        state.error += "a hooks file has";
        for (std::size_t i = 0; i < hook_count; ++i) {
            state.error += " " + std::string(name(static_cast<Hook>(i))) + ",";
        }
        state.error += " and handlers";
    } catch (const std::bad_alloc&) {
        state.error.clear();
    }
}

bool add_handler(LuaFile& file, std::string_view name) noexcept {
    try {
        file.handlers.emplace_back(name);
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

void take_handlers(lua_State* lua, LuaFile& file, int index) {
    if (lua_type(lua, index) != LUA_TTABLE) {
        luaL_error(lua, "handlers is %s: give a table of functions", type_with_article(lua, index));
    }
    push_file_slot(lua, file.index, static_cast<int>(FileSlot::handlers));
    const int handlers = lua_gettop(lua);
    lua_pushnil(lua);
    while (lua_next(lua, index) != 0) {
        budget_of(lua).charge(lua, 10);
        if (lua_type(lua, -2) != LUA_TSTRING || lua_objlen(lua, -2) == 0) {
            luaL_error(lua, "handlers has a key that is no name: write NAME = function(request) ... end");
        }
        if (!lua_isfunction(lua, -1)) {
            luaL_error(lua, "handler \"%s\" is %s: give a function", lua_tostring(lua, -2), type_with_article(lua, -1));
        }
        if (!add_handler(file, text_at(lua, -2))) {
            luaL_error(lua, "not enough memory");
        }
        lua_pushvalue(lua, -2);
        lua_insert(lua, -2);
        lua_rawset(lua, handlers);
    }
    lua_settop(lua, handlers - 1);
    std::sort(file.handlers.begin(), file.handlers.end());
}

/// How many arguments the function on top of the stack has names for; 255 where it takes any number.
std::uint8_t count_arguments(lua_State* lua) {
    lua_rawgeti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::getinfo));
    lua_pushvalue(lua, -2);
    lua_pushliteral(lua, "u");
    lua_call(lua, 2, 1);
    lua_getfield(lua, -1, "isvararg");
    lua_getfield(lua, -2, "nparams");
    // An older LuaJIT says neither.
    const bool known = lua_isboolean(lua, -2) && lua_toboolean(lua, -2) == 0 && lua_isnumber(lua, -1) != 0;
    const auto count = known ? static_cast<std::uint8_t>(lua_tointeger(lua, -1)) : any_number;
    lua_pop(lua, 3);
    return count;
}

void take_hook(lua_State* lua, LuaFile& file, std::string_view key) {
    const std::optional<Hook> hook = hook_named(key);
    if (!hook) {
        LuaState& state = LuaState::of(lua);
        describe_unknown_key(state, key);
        luaL_error(lua, "%s", state.error.c_str());
        return;
    }
    if (!lua_isfunction(lua, -1)) {
        luaL_error(lua, "hook %s is %s: give a function", key.data(), type_with_article(lua, -1));
    }
    const auto position = static_cast<std::size_t>(*hook);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::first_file) + static_cast<int>(file.index));
    lua_pushvalue(lua, -2);
    lua_rawseti(lua, -2, static_cast<int>(position) + 1);
    lua_pop(lua, 1);
    file.hooks.set(position);
    file.arguments[position] = count_arguments(lua);
}

}  // namespace

void push_file(lua_State* lua, LuaCall& call) {
    LuaState& state = LuaState::of(lua);
    make_file_tables(lua, call.file);
    push_chunk(lua, call.file, call.reason, state.sources[call.file].path.c_str());
}

void take_file(lua_State* lua, LuaCall& call, int first) {
    LuaFile& file = LuaState::of(lua).sources[call.file].file;
    if (lua_gettop(lua) != first || lua_type(lua, first) != LUA_TTABLE) {
        const bool several = lua_gettop(lua) > first;
        luaL_error(lua, "returned %s: return one table of hooks",
                   several ? "several values" : type_with_article(lua, first));
    }
    file.hooks.reset();
    file.handlers.clear();
    lua_pushnil(lua);
    while (lua_next(lua, first) != 0) {
        budget_of(lua).charge(lua, 10);
        if (lua_type(lua, -2) != LUA_TSTRING) {
            luaL_error(lua, "the table has a key that is no name: write HOOK = function(...) ... end");
        }
        const std::string_view key = text_at(lua, -2);
        if (key == "handlers") {
            take_handlers(lua, file, lua_gettop(lua));
        } else {
            take_hook(lua, file, key);
        }
        lua_pop(lua, 1);
    }
}

}  // namespace ngx
