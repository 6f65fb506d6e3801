#include "lua_json.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <new>

#include "lua_state.hpp"

namespace ngx {

namespace {

using jwt::json::Type;

// Addresses that stand for values: no Lua code can make or change them.
const char empty_array_address = 0;

void* empty_array_value() noexcept {
    return const_cast<char*>(&empty_array_address);
}

bool marked_as_array(lua_State* lua, int index) {
    if (lua_getmetatable(lua, index) == 0) {
        return false;
    }
    lua_rawgeti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::array_mark));
    const bool same = lua_rawequal(lua, -1, -2) != 0;
    lua_pop(lua, 2);
    return same;
}

/// Parses a text into LuaState::document.
const char* decode(LuaState& state, std::string_view text) noexcept {
    try {
        const auto value = state.parser.parse(text, state.document);
        return value ? nullptr : jwt::json::text(value.error()).data();
    } catch (const std::bad_alloc&) {
        return "not enough memory";
    }
}

/// Writes one value. Trivial: a Lua error may unwind past it.
class Encoder {
public:
    explicit Encoder(lua_State* lua) noexcept : lua_(lua), limit_(LuaState::of(lua).limits.memory) {}

    void value(int index);

private:
    struct Step {
        const char* name;  // null: an element
        std::size_t size;
        lua_Integer element;
    };

    void number(double number);
    void string(int index);
    void table(int index);
    void array(int index, lua_Integer size);
    void object(int index);
    /// Whether the keys are 1..size, for a size above 0, or none at all.
    void check_array_keys(int index, lua_Integer size);
    void append(std::string_view text);
    [[noreturn]] void refuse(const char* what);

    lua_State* lua_;
    std::size_t limit_;
    std::size_t depth_ = 0;
    std::array<Step, jwt::json::max_depth> path_{};
};

enum class Written : std::uint8_t { yes, too_large, no_utf8 };

Written write_string(std::string& out, std::string_view text, std::size_t limit) noexcept {
    if (!jwt::json::valid_utf8(text)) {
        return Written::no_utf8;
    }
    if (text.size() > limit || out.size() > limit - text.size()) {
        return Written::too_large;
    }
    try {
        jwt::json::append_string(out, text);
        return Written::yes;
    } catch (const std::bad_alloc&) {
        return Written::too_large;
    }
}

Written write_number(std::string& out, double number) noexcept {
    try {
        jwt::json::append_number(out, number);
        return Written::yes;
    } catch (const std::bad_alloc&) {
        return Written::too_large;
    }
}

Written write(std::string& out, std::string_view text, std::size_t limit) noexcept {
    if (text.size() > limit || out.size() > limit - text.size()) {
        return Written::too_large;
    }
    try {
        out.append(text);
        return Written::yes;
    } catch (const std::bad_alloc&) {
        return Written::too_large;
    }
}

void Encoder::append(std::string_view text) {
    append_text(lua_, text);
}

void Encoder::refuse(const char* what) {
    std::array<char, 256> path{};
    std::size_t size = 0;
    for (std::size_t i = 0; i < depth_ && size + 1 < path.size(); ++i) {
        const Step& step = path_[i];
        const int written = step.name == nullptr
                                ? std::snprintf(path.data() + size, path.size() - size, "[%td]", step.element)
                                : std::snprintf(path.data() + size, path.size() - size, "%s%.*s", i == 0 ? "" : ".",
                                                static_cast<int>(step.size < 100 ? step.size : 100), step.name);
        size += written > 0 ? static_cast<std::size_t>(written) : 0;
    }
    if (path[0] == '\0') {
        lua_pushfstring(lua_, "the value %s", what);
    } else {
        lua_pushfstring(lua_, "the value at \"%s\" %s", path.data(), what);
    }
    raise_at_author(lua_, text_at(lua_, -1));
}

void Encoder::value(int index) {
    budget_of(lua_).charge(lua_, 1);
    switch (lua_type(lua_, index)) {
        case LUA_TBOOLEAN:
            return append(lua_toboolean(lua_, index) != 0 ? "true" : "false");
        case LUA_TNUMBER:
            return number(lua_tonumber(lua_, index));
        case LUA_TSTRING:
            return string(index);
        case LUA_TTABLE:
            return table(index);
        case LUA_TLIGHTUSERDATA:
            if (lua_touserdata(lua_, index) == nullptr) {
                return append("null");
            }
            if (lua_touserdata(lua_, index) == empty_array_value()) {
                return append("[]");
            }
            break;
        default:
            break;
    }
    lua_pushfstring(lua_, "is %s, which JSON has no form for", type_with_article(lua_, index));
    refuse(lua_tostring(lua_, -1));
}

void Encoder::number(double number) {
    if (!std::isfinite(number)) {
        refuse("is a number that is not finite, which JSON has no form for");
    }
    if (write_number(LuaState::of(lua_).text, number) != Written::yes) {
        luaL_error(lua_, "not enough memory");
    }
}

void Encoder::string(int index) {
    const std::string_view text = text_at(lua_, index);
    budget_of(lua_).charge(lua_, text.size() / 32);
    switch (write_string(LuaState::of(lua_).text, text, limit_)) {
        case Written::yes:
            return;
        case Written::too_large:
            luaL_error(lua_, "not enough memory");
            return;
        case Written::no_utf8:
            refuse("is a string that is not UTF-8");
    }
}

void Encoder::table(int index) {
    if (depth_ == path_.size()) {
        depth_ = 8;  // enough to find it
        refuse("holds itself, or tables nested deeper than 64 levels");
    }
    luaL_checkstack(lua_, 6, "a table is nested too deep");
    const auto size = static_cast<lua_Integer>(lua_objlen(lua_, index));
    ++depth_;
    if (size > 0) {
        array(index, size);
    } else {
        object(index);
    }
    --depth_;
}

void Encoder::check_array_keys(int index, lua_Integer size) {
    lua_pushnil(lua_);
    while (lua_next(lua_, index) != 0) {
        budget_of(lua_).charge(lua_, 1);
        lua_pop(lua_, 1);
        const bool number = lua_type(lua_, -1) == LUA_TNUMBER;
        const double key = number ? lua_tonumber(lua_, -1) : 0;
        if (number && key >= 1 && key <= static_cast<double>(size) && key == std::floor(key)) {
            continue;
        }
        --depth_;
        refuse(number ? "is a table with gaps: an array has the keys 1 to n"
                      : "is a table with other keys beside 1 to n: JSON has arrays and objects, nothing in between");
    }
}

void Encoder::array(int index, lua_Integer size) {
    check_array_keys(index, size);
    append("[");
    for (lua_Integer i = 1; i <= size; ++i) {
        if (i > 1) {
            append(",");
        }
        path_[depth_ - 1] = {nullptr, 0, i};
        lua_rawgeti(lua_, index, static_cast<int>(i));
        value(lua_gettop(lua_));
        lua_pop(lua_, 1);
    }
    append("]");
}

void Encoder::object(int index) {
    bool first = true;
    lua_pushnil(lua_);
    while (lua_next(lua_, index) != 0) {
        const int member = lua_gettop(lua_);
        if (lua_type(lua_, member - 1) != LUA_TSTRING) {
            --depth_;
            const bool number = lua_type(lua_, member - 1) == LUA_TNUMBER;
            refuse(number ? "is a table with gaps: an array has the keys 1 to n"
                          : "is a table with keys that are neither strings nor numbers");
        }
        const std::string_view name = text_at(lua_, member - 1);
        append(first ? "{" : ",");
        first = false;
        path_[depth_ - 1] = {name.data(), name.size(), 0};
        string(member - 1);
        append(":");
        value(member);
        lua_pop(lua_, 1);
    }
    if (!first) {
        return append("}");
    }
    append(marked_as_array(lua_, index) ? "[]" : "{}");
}

}  // namespace

void append_text(lua_State* lua, std::string_view text) {
    LuaState& state = LuaState::of(lua);
    if (write(state.text, text, state.limits.memory) != Written::yes) {
        luaL_error(lua, "not enough memory");
    }
}

void push_json(lua_State* lua, jwt::json::Value value) {
    const Type type = value.type();
    switch (type) {
        case Type::null:
            return push_null(lua);
        case Type::boolean:
            return lua_pushboolean(lua, value.boolean() == true ? 1 : 0);
        case Type::number:
            return lua_pushnumber(lua, value.number().value_or(0));
        case Type::string:
            return push_text(lua, value.string().value_or(std::string_view()));
        case Type::array:
        case Type::object:
            break;
    }
    // Preallocation is bounded, as sizes are the client's; the budget pays for what is really there.
    const std::size_t count = value.size();
    const int size = count < 4096 ? static_cast<int>(count) : 4096;
    const bool array = type == Type::array;
    budget_of(lua).charge(lua, 1 + count);
    luaL_checkstack(lua, 6, "a document is nested too deep");
    lua_createtable(lua, array ? size : 0, array ? 0 : size);
    int position = 0;
    for (jwt::json::Items items(value); items.next();) {
        if (array) {
            push_json(lua, items.value());
            lua_rawseti(lua, -2, ++position);
        } else {
            push_text(lua, items.name());
            push_json(lua, items.value());
            lua_rawset(lua, -3);
        }
    }
    if (array) {
        lua_rawgeti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::array_mark));
        lua_setmetatable(lua, -2);
    }
}

const char* push_json_text(lua_State* lua, std::string_view text) {
    LuaState& state = LuaState::of(lua);
    // Names are what takes time: each is compared with the others of its object.
    const auto names = static_cast<std::size_t>(std::count(text.begin(), text.end(), ':'));
    budget_of(lua).charge(lua, text.size() / 32 + 3 * names);
    const char* error = decode(state, text);
    if (error == nullptr) {
        push_json(lua, state.document.root());
    }
    return error;
}

void append_json(lua_State* lua, int index) {
    Encoder encoder(lua);
    encoder.value(index);
}

void push_null(lua_State* lua) {
    lua_pushlightuserdata(lua, nullptr);
}

void push_empty_array(lua_State* lua) {
    lua_pushlightuserdata(lua, empty_array_value());
}

bool is_null(lua_State* lua, int index) noexcept {
    return lua_type(lua, index) == LUA_TLIGHTUSERDATA && lua_touserdata(lua, index) == nullptr;
}

void open_json(lua_State* lua) {
    lua_newtable(lua);
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
    lua_rawseti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::array_mark));
}

}  // namespace ngx
