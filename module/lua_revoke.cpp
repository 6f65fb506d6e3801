#include "lua_state.hpp"

// What stands under jwt.revoke, jwt.unrevoke and jwt.is_revoked.

namespace ngx {

namespace {

/// "the revocation store is full: …", raised where the author's code stands.
int push_failure(lua_State* lua, std::string_view why) {
    lua_pushnil(lua);
    push_text(lua, store_failed);
    push_text(lua, why);
    lua_concat(lua, 2);
    return 2;
}

std::string_view request_text(lua_State* lua) {
    LuaState& state = LuaState::of(lua);
    state.text.clear();
    append_json(lua, 1);
    return state.text;
}

}  // namespace

int push_written(lua_State* lua, LuaCall& call) {
    const RevocationResult result = revocation_result(call.r, *call.write);
    if (!result.ok) {
        call.failure = result.full ? NoResult::full : NoResult::unavailable;
        return push_failure(lua, view(result.text));
    }
    lua_pushboolean(lua, result.changed ? 1 : 0);
    return 1;
}

int revoke(lua_State* lua) {
    ngx_http_request_t* r = current_request(lua);
    LuaCall& call = call_that_waits(lua, lua_tostring(lua, 2));
    const RevocationStart start = start_revocation(r, request_text(lua));
    if (start.write == nullptr) {
        raise_at_author(lua, view(start.reason));
    }
    call.write.reset(start.write);
    return lua_yield(lua, 0);
}

int is_revoked(lua_State* lua) {
    ngx_http_request_t* r = current_request(lua);
    const RevocationAnswer answer = ask_revocation(r, request_text(lua));
    if (answer.mistake) {
        raise_at_author(lua, view(answer.text));
    }
    if (!answer.ok) {
        LuaState::of(lua).call->failure = NoResult::unavailable;
        return push_failure(lua, view(answer.text));
    }
    lua_pushboolean(lua, answer.revoked ? 1 : 0);
    return 1;
}

}  // namespace ngx
