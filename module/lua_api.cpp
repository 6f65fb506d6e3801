#include <optional>

#include "guard.hpp"
#include "lua_state.hpp"

// The functions under lua/jwt.lua. Authors reach them only through it, so their arguments have the right types.

namespace ngx {

namespace {

// What a call into the module costs beside its bytes: more than any of them takes in instructions.
constexpr std::size_t service_steps = 1000;

}  // namespace

ngx_http_request_t* current_request(lua_State* lua) {
    LuaCall* call = LuaState::of(lua).call;
    budget_of(lua).charge(lua, service_steps);
    if (call == nullptr || call->r == nullptr) {
        raise_at_author(lua,
                        "this function works on a request: call it in a hook or handler, not while the file loads");
    }
    return call->r;
}

namespace {

/// A string argument; nothing where it is nil.
std::optional<std::string_view> optional_text(lua_State* lua, int index) {
    if (lua_isnoneornil(lua, index)) {
        return std::nullopt;
    }
    return text_at(lua, index);
}

void check(lua_State* lua, const ServiceResult& result) {
    if (!result.ok) {
        raise_at_author(lua, view(result.text));
    }
}

int push_decoded(lua_State* lua, const ServiceResult& result) {
    check(lua, result);
    if (push_json_text(lua, view(result.text)) != nullptr) {
        raise_at_author(lua, "the module made no JSON of it");
    }
    return 1;
}

int push_start(lua_State* lua, const ServiceStart& start) {
    if (start.late == nullptr) {
        return push_result(lua, start.result);
    }
    LuaState::of(lua).call->late.reset(start.late);
    return lua_yield(lua, 0);
}

int fail(lua_State* lua) {
    raise_at_author(lua, text_at(lua, 1));
}

int hook(lua_State* lua) {
    LuaCall* call = LuaState::of(lua).call;
    const std::string_view wanted = text_at(lua, 1);
    for (std::size_t i = 0; call != nullptr && i < hook_count; ++i) {
        if (name(static_cast<Hook>(i)) == wanted) {
            push_file_slot(lua, call->file, static_cast<int>(i) + 1);
            return 1;
        }
    }
    lua_pushnil(lua);
    return 1;
}

int issue(lua_State* lua) {
    ngx_http_request_t* r = current_request(lua);
    LuaState& state = LuaState::of(lua);
    state.text.clear();
    append_json(lua, 1);
    return push_start(lua, issue_token(r, state.text, may_wait(lua)));
}

int read_unverified(lua_State* lua) {
    ngx_http_request_t* r = current_request(lua);
    return push_decoded(lua, read_unverified_token(r, text_at(lua, 1)));
}

int decode(lua_State* lua) {
    ngx_http_request_t* r = current_request(lua);
    const Decoding how{optional_text(lua, 2), optional_text(lua, 3), lua_toboolean(lua, 4) != 0};
    return push_start(lua, decode_token(r, text_at(lua, 1), how, may_wait(lua)));
}

int current(lua_State* lua) {
    ngx_http_request_t* r = current_request(lua);
    const std::string_view what = text_at(lua, 1);
    if (what == "payload") {
        return push_decoded(lua, current_payload(r));
    }
    if (what == "header") {
        return push_decoded(lua, current_header(r));
    }
    if (what == "identity") {
        return push_decoded(lua, current_identity(r));
    }
    if (what == "user") {
        return push_decoded(lua, current_user(r));
    }
    return push_decoded(lua, current_location(r));
}

CookieKind cookie_kind(lua_State* lua) {
    return text_at(lua, 1) == "refresh" ? CookieKind::refresh : CookieKind::access;
}

int set_token_cookies(lua_State* lua) {
    ngx_http_request_t* r = current_request(lua);
    const auto max_age = lua_isnumber(lua, 3) != 0 ? std::optional<double>(lua_tonumber(lua, 3)) : std::nullopt;
    return push_start(
        lua, set_cookies(r, cookie_kind(lua), text_at(lua, 2), {max_age, optional_text(lua, 4)}, may_wait(lua)));
}

int unset_token_cookies(lua_State* lua) {
    ngx_http_request_t* r = current_request(lua);
    check(lua, unset_cookies(r, cookie_kind(lua), optional_text(lua, 2)));
    return 0;
}

int log_text(lua_State* lua) {
    struct Level {
        std::string_view name;
        ngx_uint_t level;
    };
    constexpr Level levels[] = {{"error", NGX_LOG_ERR},
                                {"warn", NGX_LOG_WARN},
                                {"notice", NGX_LOG_NOTICE},
                                {"info", NGX_LOG_INFO},
                                {"debug", NGX_LOG_DEBUG}};
    budget_of(lua).charge(lua, 200);
    for (const Level& level : levels) {
        if (level.name == text_at(lua, 1)) {
            write_log_line(lua, level.level, text_at(lua, 2));
            return 0;
        }
    }
    raise_at_author(lua, "log: the level is none of error, warn, notice, info, debug");
}

constexpr luaL_Reg functions[] = {
    {"fail", fail},
    {"hook", hook},
    {"issue", issue},
    {"read_unverified", read_unverified},
    {"decode", decode},
    {"current", current},
    {"set_cookies", set_token_cookies},
    {"unset_cookies", unset_token_cookies},
    {"log", log_text},
    {"fetch", fetch},
    {"revoke", revoke},
    {"is_revoked", is_revoked},
    {"is_call_thread", is_call_thread},
    {"encode_json", encode_json},
    {"decode_json", decode_json},
};

}  // namespace

void write_log_line(lua_State* lua, ngx_uint_t level, std::string_view text) noexcept {
    log(LuaState::of(lua).log(), level, "jwt: ", text);
}

void raise_at_author(lua_State* lua, std::string_view message) {
    lua_Debug frame{};
    push_text(lua, "");
    for (int level = 0; level < max_trace && lua_getstack(lua, level, &frame) != 0; ++level) {
        if (lua_getinfo(lua, "Sl", &frame) != 0 && frame.currentline > 0 && frame.source[0] == '@') {
            lua_pop(lua, 1);
            lua_pushfstring(lua, "%s:%d: ", frame.short_src, frame.currentline);
            break;
        }
    }
    push_text(lua, message);
    lua_concat(lua, 2);
    lua_error(lua);
    std::abort();
}

const char* type_with_article(lua_State* lua, int index) noexcept {
    switch (lua_type(lua, index)) {
        case LUA_TNONE:
            return "no value";
        case LUA_TNIL:
            return "nil";
        case LUA_TBOOLEAN:
            return lua_toboolean(lua, index) != 0 ? "true" : "false";
        case LUA_TNUMBER:
            return "a number";
        case LUA_TSTRING:
            return "a string";
        case LUA_TTABLE:
            return "a table";
        case LUA_TFUNCTION:
            return "a function";
        case LUA_TTHREAD:
            return "a coroutine";
        case LUA_TLIGHTUSERDATA:
            return is_null(lua, index) ? "null" : "an empty array";
        default:
            return "a request";
    }
}

int push_result(lua_State* lua, const ServiceResult& result) {
    const int count = result.ok ? 1 : 2;
    if (!result.ok) {
        lua_pushnil(lua);
    }
    push_text(lua, view(result.text));
    return count;
}

void open_api(lua_State* lua) {
    const std::string_view text = prelude();
    if (luaL_loadbufferx(lua, text.data(), text.size(), "=jwt", "t") != 0) {
        lua_error(lua);
    }
    lua_newtable(lua);
    for (const luaL_Reg& function : functions) {
        lua_pushcfunction(lua, function.func);
        lua_setfield(lua, -2, function.name);
    }
    push_null(lua);
    lua_setfield(lua, -2, "null");
    push_empty_array(lua);
    lua_setfield(lua, -2, "empty_array");
    lua_call(lua, 1, 2);
    lua_rawseti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::additions));
    lua_rawseti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::api));
}

}  // namespace ngx
