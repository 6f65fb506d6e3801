#pragma once

#include "ngx.hpp"

#include <string_view>

#include <lua.hpp>

#include "../core/json.hpp"

namespace ngx {

/// Pushes a value. Arrays are marked, so that an empty one is an array still when it is encoded. May raise.
void push_json(lua_State* lua, jwt::json::Value value);

/// Pushes the value of a JSON text; says what is wrong with the text, having pushed nothing, where it is none. May
/// raise.
[[nodiscard]] const char* push_json_text(lua_State* lua, std::string_view text);

/// Appends the value at `index` to LuaState::text as JSON. Raises where it has none: a table that is neither 1..n nor
/// string keys, a function, a number that is not finite, bytes that are not UTF-8, a cycle; the error names the keys
/// that lead there. `index` must be absolute.
void append_json(lua_State* lua, int index);

/// jwt.null and jwt.empty_array.
void push_null(lua_State* lua);
void push_empty_array(lua_State* lua);
[[nodiscard]] bool is_null(lua_State* lua, int index) noexcept;

/// Makes the metatable that marks arrays. May raise.
void open_json(lua_State* lua);

}  // namespace ngx
