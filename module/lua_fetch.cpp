#include "lua_state.hpp"

// What stands under jwt.fetch, and where a call may wait.

namespace ngx {

namespace {

// What a response costs beside its bytes.
constexpr std::size_t response_slack = 4096;

std::string_view take_line(std::string_view& lines) noexcept {
    const std::size_t end = lines.find("\r\n");
    const std::string_view line = lines.substr(0, end);
    lines = end == std::string_view::npos ? std::string_view() : lines.substr(end + 2);
    return line;
}

void push_headers(lua_State* lua, std::string_view lines) {
    lua_newtable(lua);
    while (!lines.empty()) {
        const std::string_view line = take_line(lines);
        const std::size_t colon = line.find(": ");
        push_text(lua, line.substr(0, colon));
        push_text(lua, line.substr(colon + 2));
        lua_rawset(lua, -3);
    }
}

std::optional<std::string_view> optional_text(lua_State* lua, int index) {
    return lua_isnoneornil(lua, index) ? std::nullopt : std::optional(text_at(lua, index));
}

}  // namespace

int push_response(lua_State* lua, const FetchedResponse& response) {
    if (!response.ok) {
        lua_pushnil(lua);
        push_text(lua, view(response.reason));
        return 2;
    }
    if (response.body.len + 2 * response.headers.len + response_slack > budget_of(lua).memory_left()) {
        lua_pushnil(lua);
        push_text(lua, "the response is larger than what jwt_lua_limit memory= leaves");
        return 2;
    }
    lua_pushinteger(lua, static_cast<lua_Integer>(response.status));
    push_text(lua, view(response.body));
    push_headers(lua, view(response.headers));
    return 3;
}

bool may_wait(lua_State* lua) noexcept {
    return lua == LuaState::of(lua).call->thread.lua && lua_isyieldable(lua) != 0;
}

LuaCall& call_that_waits(lua_State* lua, const char* function) {
    LuaCall& call = *LuaState::of(lua).call;
    if (lua != call.thread.lua) {
        lua_pushfstring(lua, "%s cannot wait in a coroutine: call it outside of coroutine.create and coroutine.wrap",
                        function);
        raise_at_author(lua, text_at(lua, -1));
    }
    if (lua_isyieldable(lua) == 0) {
        lua_pushfstring(lua, "%s cannot wait here, in a function that table.sort or the like calls", function);
        raise_at_author(lua, text_at(lua, -1));
    }
    return call;
}

int fetch(lua_State* lua) {
    ngx_http_request_t* r = current_request(lua);
    LuaCall& call = call_that_waits(lua, "fetch");
    const FetchStart start =
        start_fetch(r, {text_at(lua, 1), text_at(lua, 2), text_at(lua, 3), text_at(lua, 4), optional_text(lua, 5)});
    if (start.subrequest == nullptr && start.mistake) {
        raise_at_author(lua, view(start.reason));
    }
    if (start.subrequest == nullptr) {
        lua_pushnil(lua);
        push_text(lua, view(start.reason));
        return 2;
    }
    call.subrequest = start.subrequest;
    return lua_yield(lua, 0);
}

int is_call_thread(lua_State* lua) {
    const LuaCall* call = LuaState::of(lua).call;
    lua_pushboolean(lua, call != nullptr && lua_isthread(lua, 1) && lua_tothread(lua, 1) == call->thread.lua ? 1 : 0);
    return 1;
}

int encode_json(lua_State* lua) {
    LuaState& state = LuaState::of(lua);
    state.text.clear();
    append_json(lua, 1);
    push_text(lua, state.text);
    return 1;
}

int decode_json(lua_State* lua) {
    const char* error = push_json_text(lua, text_at(lua, 1));
    if (error == nullptr) {
        return 1;
    }
    lua_pushnil(lua);
    lua_pushstring(lua, error);
    return 2;
}

}  // namespace ngx
