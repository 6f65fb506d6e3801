#include <new>

#include "lua_state.hpp"
#include "text.hpp"

// The argument of a handler.

namespace ngx {

namespace {

constexpr std::size_t lookup_steps = 100;

/// A full userdata. It names the call that it was made for: it can be kept in an upvalue, the request behind it cannot.
struct RequestObject {
    enum class Part : std::uint8_t { request, headers, variables };
    std::uint64_t generation;
    Part part;
};

LuaCall& call_of(lua_State* lua, const RequestObject& object) {
    LuaState& state = LuaState::of(lua);
    budget_of(lua).charge(lua, lookup_steps);
    if (state.call == nullptr || state.call->r == nullptr || state.call->generation != object.generation) {
        raise_at_author(lua, "this request has ended: a request cannot be kept for a later call");
    }
    return *state.call;
}

const RequestObject* object_at(lua_State* lua, int index) {
    const auto* object = static_cast<const RequestObject*>(lua_touserdata(lua, index));
    if (object == nullptr || lua_type(lua, index) != LUA_TUSERDATA || lua_getmetatable(lua, index) == 0) {
        return nullptr;
    }
    lua_rawgeti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::request_mark));
    const bool same = lua_rawequal(lua, -1, -2) != 0;
    lua_pop(lua, 2);
    return same ? object : nullptr;
}

void push_object(lua_State* lua, RequestObject::Part part) {
    auto* object = static_cast<RequestObject*>(lua_newuserdata(lua, sizeof(RequestObject)));
    *object = {LuaState::of(lua).call->generation, part};
    lua_newtable(lua);
    lua_setfenv(lua, -2);  // a place for what was decoded once
    lua_rawgeti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::request_mark));
    lua_setmetatable(lua, -2);
}

/// The request of a method's first argument.
LuaCall& checked_self(lua_State* lua, const char* method) {
    const RequestObject* object = object_at(lua, 1);
    if (object == nullptr || object->part != RequestObject::Part::request) {
        luaL_error(lua, "call it with a colon: request:%s()", method);
    }
    return call_of(lua, *object);
}

std::string_view body_of(lua_State* lua, LuaCall& call) {
    if (!call.request_body_read) {
        call.request_body = request_body(call.r);
        call.request_body_read = true;
    }
    budget_of(lua).charge(lua, call.request_body.text.len / 64);
    if (!call.request_body.ok) {
        raise_at_author(lua, view(call.request_body.text));
    }
    return view(call.request_body.text);
}

int body(lua_State* lua) {
    push_text(lua, body_of(lua, checked_self(lua, "body")));
    return 1;
}

bool forced(lua_State* lua, int options) {
    if (lua_isnoneornil(lua, options)) {
        return false;
    }
    if (!lua_istable(lua, options)) {
        luaL_error(lua, "bad argument #1 to 'json': give options such as { force = true }");
    }
    lua_getfield(lua, options, "force");
    const bool force = lua_toboolean(lua, -1) != 0;
    lua_pop(lua, 1);
    return force;
}

int json(lua_State* lua) {
    LuaCall& call = checked_self(lua, "json");
    // Any page may have a browser send a text; for this type it asks first (Fetch standard, CORS preflight).
    if (!forced(lua, 2) && !request_is_json(call.r)) {
        lua_pushnil(lua);
        lua_pushliteral(lua, "the Content-Type is not application/json");
        return 2;
    }
    const char* error = push_json_text(lua, body_of(lua, call));
    if (error == nullptr) {
        return 1;
    }
    lua_pushnil(lua);
    lua_pushstring(lua, error);
    return 2;
}

/// Leaves the bytes in LuaState::text.
bool unescape(LuaState& state, std::string_view text) noexcept {
    try {
        state.text = unescaped(text);
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

/// Pushes a name or value of application/x-www-form-urlencoded.
void push_unescaped(lua_State* lua, std::string_view text) {
    LuaState& state = LuaState::of(lua);
    if (!unescape(state, text)) {
        luaL_error(lua, "not enough memory");
    }
    push_text(lua, state.text);
}

/// Pushes a table of names and values. The first value of a name wins, as where a token is looked for.
void push_form(lua_State* lua, std::string_view text) {
    budget_of(lua).charge(lua, text.size() / 4);
    lua_newtable(lua);
    while (!text.empty()) {
        const std::size_t end = text.find('&');
        const std::string_view pair = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
        if (pair.empty()) {
            continue;
        }
        const std::size_t equals = pair.find('=');
        push_unescaped(lua, pair.substr(0, equals));
        lua_pushvalue(lua, -1);
        lua_rawget(lua, -3);
        const bool known = !lua_isnil(lua, -1);
        lua_pop(lua, 1);
        if (known) {
            lua_pop(lua, 1);
            continue;
        }
        push_unescaped(lua, equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1));
        lua_rawset(lua, -3);
    }
}

int form(lua_State* lua) {
    push_form(lua, body_of(lua, checked_self(lua, "form")));
    return 1;
}

/// Pushes what `make` pushes, once for each request object.
template <class Make>
int push_cached(lua_State* lua, const char* name, Make make) {
    lua_getfenv(lua, 1);
    lua_getfield(lua, -1, name);
    if (lua_isnil(lua, -1)) {
        lua_pop(lua, 1);
        make();
        lua_pushvalue(lua, -1);
        lua_setfield(lua, -3, name);
    }
    return 1;
}

int push_found(lua_State* lua, const std::optional<ngx_str_t>& value) {
    if (value) {
        push_text(lua, view(*value));
    } else {
        lua_pushnil(lua);
    }
    return 1;
}

int request_field(lua_State* lua, const LuaCall& call, std::string_view field) {
    const ngx_http_request_t* r = call.r;
    if (field == "method") {
        push_text(lua, view(r->method_name));
        return 1;
    }
    if (field == "uri") {
        push_text(lua, view(r->uri));
        return 1;
    }
    if (field == "remote_addr") {
        push_text(lua, view(r->connection->addr_text));
        return 1;
    }
    if (field == "args") {
        return push_cached(lua, "args", [lua, r] { push_form(lua, view(r->args)); });
    }
    if (field == "headers") {
        return push_cached(lua, "headers", [lua] { push_object(lua, RequestObject::Part::headers); });
    }
    if (field == "var") {
        return push_cached(lua, "var", [lua] { push_object(lua, RequestObject::Part::variables); });
    }
    lua_CFunction method = field == "body" ? body : field == "json" ? json : field == "form" ? form : nullptr;
    if (method != nullptr) {
        lua_pushcfunction(lua, method);
        return 1;
    }
    return luaL_error(
        lua,
        "a request has no \"%s\": it has method, uri, args, headers, remote_addr, var, body(), json() and "
        "form()",
        field.data());
}

int index(lua_State* lua) {
    const RequestObject* object = object_at(lua, 1);
    if (object == nullptr) {
        return luaL_error(lua, "a request expected");
    }
    LuaCall& call = call_of(lua, *object);
    std::size_t size = 0;
    const char* text = luaL_checklstring(lua, 2, &size);
    const std::string_view field(text, size);
    switch (object->part) {
        case RequestObject::Part::headers:
            return push_found(lua, request_header(call.r, field));
        case RequestObject::Part::variables:
            return push_found(lua, request_variable(call.r, field));
        case RequestObject::Part::request:
            break;
    }
    return request_field(lua, call, field);
}

int refuse_write(lua_State* lua) {
    return luaL_error(lua, "a request is read-only");
}

}  // namespace

void push_request(lua_State* lua) {
    push_object(lua, RequestObject::Part::request);
}

void open_request(lua_State* lua) {
    lua_newtable(lua);
    lua_pushcfunction(lua, index);
    lua_setfield(lua, -2, "__index");
    lua_pushcfunction(lua, refuse_write);
    lua_setfield(lua, -2, "__newindex");
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
    lua_rawseti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::request_mark));
}

}  // namespace ngx
