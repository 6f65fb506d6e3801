#include <new>

#include "lua_state.hpp"

namespace ngx {

namespace {

struct Found {
    const char* path;  // null: not found, and LuaState::error says where it was looked for
    std::string_view text;
};

/// Letters, digits, `_`, `-` and dots between them: a name cannot leave the folders that are searched.
bool good_module_name(std::string_view name) noexcept {
    bool dot = true;
    for (const char c : name) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (c != '.' && c != '_' && c != '-' && !letter) {
            return false;
        }
        if (c == '.' && dot) {
            return false;
        }
        dot = c == '.';
    }
    return !dot;
}

std::string replaced(std::string_view text, char from, std::string_view to) {
    std::string result;
    for (const char c : text) {
        if (c == from) {
            result += to;
        } else {
            result += c;
        }
    }
    return result;
}

std::vector<std::string> candidates(const LuaSource& source, std::string_view name) {
    const std::string relative = replaced(name, '.', "/");
    const std::size_t slash = source.path.rfind('/');
    const std::string folder = slash == std::string::npos ? std::string() : source.path.substr(0, slash + 1);
    std::vector<std::string> paths{folder + relative + ".lua"};
    std::string_view rest = source.search_path;
    while (!rest.empty()) {
        const std::size_t end = rest.find(';');
        const std::string_view part = rest.substr(0, end);
        rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
        if (!part.empty()) {
            paths.push_back(replaced(part, '?', relative));
        }
    }
    return paths;
}

Found find_module(LuaState& state, std::size_t file, std::string_view name) noexcept {
    try {
        state.error.clear();
        for (std::string& path : candidates(state.sources[file], name)) {
            const auto text = state.texts->read(path);
            if (text) {
                state.error = std::move(path);
                return {state.error.c_str(), *text};
            }
            state.error += (state.error.empty() ? "" : ", ") + text.error();
        }
    } catch (const std::bad_alloc&) {
        state.error.clear();
    }
    return {nullptr, {}};
}

}  // namespace

int require_module(lua_State* lua) {
    LuaState& state = LuaState::of(lua);
    const std::string_view name = [lua] {
        std::size_t size = 0;
        const char* text = luaL_checklstring(lua, 1, &size);
        return std::string_view(text, size);
    }();
    const auto file = static_cast<std::size_t>(lua_tointeger(lua, lua_upvalueindex(1)));
    lua_settop(lua, 1);
    push_file_slot(lua, file, static_cast<int>(FileSlot::modules));
    lua_pushvalue(lua, 1);
    lua_rawget(lua, 2);
    if (is_null(lua, 3)) {
        return luaL_error(lua, "module \"%s\" requires itself", name.data());
    }
    if (!lua_isnil(lua, 3)) {
        return 1;
    }
    if (!state.loading) {
        return luaL_error(lua, "module \"%s\" was not loaded: require it at the top of the file, not in a function",
                          name.data());
    }
    if (!good_module_name(name)) {
        return luaL_error(lua, "no module can be named \"%s\": use letters, digits, _ and -, with dots for folders",
                          name.data());
    }
    const Found found = find_module(state, file, name);
    if (found.path == nullptr) {
        return luaL_error(lua, "module \"%s\" was not found: %s", name.data(), state.error.c_str());
    }
    push_chunk(lua, file, found.text, found.path);
    lua_pushvalue(lua, 1);
    push_null(lua);  // marks it as being loaded
    lua_rawset(lua, 2);
    lua_pushvalue(lua, 1);
    lua_call(lua, 1, 1);
    if (lua_isnil(lua, -1)) {
        lua_pop(lua, 1);
        lua_pushboolean(lua, 1);
    }
    lua_pushvalue(lua, 1);
    lua_pushvalue(lua, -2);
    lua_rawset(lua, 2);
    return 1;
}

}  // namespace ngx
