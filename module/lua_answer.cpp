#include <cmath>
#include <new>

#include "lua_state.hpp"
#include "text.hpp"

// What hooks and handlers return, checked: the module uses nothing that is not exactly one of the forms of the README.

namespace ngx {

namespace {

constexpr const char* wanted_answer = "return body [, status [, headers]], such as { msg = \"No\" }, 401";

/// Raises "returned WHAT: ADVICE".
[[noreturn]] void refuse(lua_State* lua, const char* what, const char* advice) {
    luaL_error(lua, "returned %s: %s", what, advice);
    std::abort();
}

void take_json(std::string& to, LuaState& state) noexcept {
    to.swap(state.text);
    state.text.clear();
}

bool copy_text(std::string& to, std::string_view text) noexcept {
    try {
        to.assign(text);
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

bool add_header(Answer& answer, std::string_view name, std::string_view value) noexcept {
    try {
        if (same_name(name, "Content-Type")) {
            answer.content_type.assign(value);
        } else {
            answer.headers.emplace_back(name, value);
        }
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

void check_memory(lua_State* lua, bool had) {
    if (!had) {
        luaL_error(lua, "not enough memory");
    }
}

void take_body(lua_State* lua, Answer& answer, int index, bool status_given) {
    LuaState& state = LuaState::of(lua);
    switch (lua_type(lua, index)) {
        case LUA_TSTRING:
            check_memory(lua, copy_text(answer.body, text_at(lua, index)) &&
                                  copy_text(answer.content_type, "text/plain; charset=utf-8"));
            return;
        case LUA_TNIL:
            if (!status_given) {
                refuse(lua, "nil", wanted_answer);
            }
            return;
        case LUA_TTABLE:
            break;
        case LUA_TLIGHTUSERDATA:
            if (!is_null(lua, index)) {
                break;
            }
            [[fallthrough]];
        default:
            lua_pushfstring(lua, "%s as body", type_with_article(lua, index));
            refuse(lua, lua_tostring(lua, -1), wanted_answer);
    }
    state.text.clear();
    append_json(lua, index);
    take_json(answer.body, state);
    check_memory(lua, copy_text(answer.content_type, "application/json"));
}

void take_status(lua_State* lua, Answer& answer, int index) {
    const double status = lua_type(lua, index) == LUA_TNUMBER ? lua_tonumber(lua, index) : 0;
    if (!(status >= 200 && status <= 599) || status != std::floor(status)) {
        const bool number = lua_type(lua, index) == LUA_TNUMBER;
        lua_pushfstring(lua, "%s as status", number ? lua_tostring(lua, index) : type_with_article(lua, index));
        refuse(lua, lua_tostring(lua, -1), "return an integer from 200 to 599");
    }
    answer.status = static_cast<ngx_uint_t>(status);
}

/// `index` holds a string or number, and must be no key of a table that is being walked through.
void take_header(lua_State* lua, Answer& answer, std::string_view name, int index) {
    const int type = lua_type(lua, index);
    if (type != LUA_TSTRING && type != LUA_TNUMBER) {
        lua_pushfstring(lua, "%s as header \"%s\"", type_with_article(lua, index), name.data());
        refuse(lua, lua_tostring(lua, -1), "return a string, a number or an array of strings");
    }
    const std::string_view value = text_at(lua, index);
    if (has_control_character(value)) {
        lua_pushfstring(lua, "a control character in header \"%s\"", name.data());
        refuse(lua, lua_tostring(lua, -1), "leave it out, or encode it");
    }
    check_memory(lua, add_header(answer, name, value));
}

void check_header_name(lua_State* lua, std::string_view name) {
    if (!is_token(name)) {
        refuse(lua, "a header whose name is no token", "use letters, digits and -");
    }
    if (is_of_connection(name) || same_name(name, "Date") || same_name(name, "Server")) {
        lua_pushfstring(lua, "header \"%s\"", name.data());
        refuse(lua, lua_tostring(lua, -1), "leave it to nginx");
    }
}

void take_headers(lua_State* lua, Answer& answer, int index) {
    if (lua_type(lua, index) != LUA_TTABLE) {
        lua_pushfstring(lua, "%s as headers", type_with_article(lua, index));
        refuse(lua, lua_tostring(lua, -1), "return a table such as { [\"X-Name\"] = \"value\" }");
    }
    lua_pushnil(lua);
    while (lua_next(lua, index) != 0) {
        budget_of(lua).charge(lua, 50);
        const int value = lua_gettop(lua);
        if (lua_type(lua, value - 1) != LUA_TSTRING) {
            refuse(lua, "headers with a key that is no string", "return a table such as { [\"X-Name\"] = \"value\" }");
        }
        const std::string_view name = text_at(lua, value - 1);
        check_header_name(lua, name);
        if (lua_type(lua, value) != LUA_TTABLE) {
            take_header(lua, answer, name, value);
        } else {
            const auto count = static_cast<int>(lua_objlen(lua, value));
            for (int i = 1; i <= count; ++i) {
                budget_of(lua).charge(lua, 50);
                lua_rawgeti(lua, value, i);
                take_header(lua, answer, name, value + 1);
                lua_settop(lua, value);
            }
        }
        lua_settop(lua, value - 1);
    }
}

void check_count(lua_State* lua, int first, int most, const char* advice) {
    if (lua_gettop(lua) - first + 1 > most) {
        lua_pushfstring(lua, "%d values", lua_gettop(lua) - first + 1);
        refuse(lua, lua_tostring(lua, -1), advice);
    }
    luaL_checkstack(lua, 8, "too many values");
}

}  // namespace

void take_answer(lua_State* lua, LuaCall& call, int first) {
    check_count(lua, first, 3, wanted_answer);
    lua_settop(lua, first + 2);
    const bool status_given = !lua_isnil(lua, first + 1);
    take_body(lua, call.answer, first, status_given);
    if (status_given) {
        take_status(lua, call.answer, first + 1);
    }
    if (!lua_isnil(lua, first + 2)) {
        take_headers(lua, call.answer, first + 2);
    }
}

void take_decision(lua_State* lua, LuaCall& call, int first) {
    constexpr const char* advice = "return true or false";
    check_count(lua, first, 1, advice);
    if (lua_type(lua, first) != LUA_TBOOLEAN) {
        refuse(lua, type_with_article(lua, first), advice);
    }
    call.decision = lua_toboolean(lua, first) != 0;
}

void take_user(lua_State* lua, LuaCall& call, int first) {
    check_count(lua, first, 1, "return the user, or nil");
    if (lua_isnoneornil(lua, first) || is_null(lua, first)) {
        return;
    }
    LuaState& state = LuaState::of(lua);
    state.text.clear();
    append_json(lua, first);
    call.text.emplace();
    take_json(*call.text, state);
}

void take_key(lua_State* lua, LuaCall& call, int first) {
    constexpr const char* advice = "return the text of a secret, PEM or JWK, or nil";
    check_count(lua, first, 1, advice);
    if (lua_isnoneornil(lua, first)) {
        return;
    }
    if (lua_type(lua, first) != LUA_TSTRING) {
        refuse(lua, type_with_article(lua, first), advice);
    }
    call.text.emplace();
    check_memory(lua, copy_text(*call.text, text_at(lua, first)));
}

}  // namespace ngx
