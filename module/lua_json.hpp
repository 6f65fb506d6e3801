#pragma once

#include "ngx.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <lua.hpp>

#include "../core/json.hpp"

namespace ngx {

/// One value of a JSON document in the order of its text: an array is followed by its elements, an object by a string
/// and a value for each member. Trivial, so that Lua errors may unwind past whoever walks over them.
struct JsonNode {
    jwt::json::Type type;
    bool boolean;
    double number;
    std::string_view text;
    std::size_t size;  // elements or members
};

/// Appends the nodes of a value, whose strings stay the document's. Throws std::bad_alloc.
void append_nodes(std::vector<JsonNode>& nodes, jwt::json::Value value);

/// Pushes the value that begins at `node`, and says where it ends. Arrays are marked, so that an empty one is an array
/// still when it is encoded. May raise.
const JsonNode* push_json(lua_State* lua, const JsonNode* node);

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
