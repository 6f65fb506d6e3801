#pragma once

#include "ngx.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <lua.hpp>

#include "../core/json.hpp"
#include "lua_budget.hpp"
#include "lua_host.hpp"
#include "lua_json.hpp"
#include "lua_services.hpp"

// What the files lua_*.cpp share.
//
// A Lua error unwinds every C++ frame between lua_error and lua_pcall. On x86-64 it runs destructors, elsewhere it
// jumps past them; where it meets a noexcept function it ends the process. So: a function that calls Lua and may raise
// is not noexcept and holds only trivial locals; work that needs C++ objects is done by noexcept functions that leave
// their results in LuaState; and nothing catches `...` around a call into Lua.

namespace ngx {

/// Keys of the registry: small integers, which cost no memory to look up.
enum class LuaSlot : int {
    array_mark = 1,
    report_error,
    start_call,
    resume_call,
    take_results,
    threads,
    xpcall,
    api,
    additions,
    libraries,
    library_mark,
    globals_mark,
    request_mark,
    getinfo,
    first_file
};

[[nodiscard]] constexpr int slot(LuaSlot which) noexcept {
    return static_cast<int>(which);
}

/// Slots of a file's table in the registry: its hooks are at 1 + Hook.
enum class FileSlot : int { handlers = hook_count + 1, environment, modules };

class LuaState;

/// A coroutine that a call runs in.
struct LuaThread {
    lua_State* lua = nullptr;
    int anchor = 0;  // keeps it alive: its place in LuaSlot::threads
};

/// One call into Lua, from the module's side: a coroutine of its own, which waits where the call does. Arguments are
/// pushed and results taken in protected calls.
struct LuaCall {
    LuaCall() = default;
    ~LuaCall();
    LuaCall(const LuaCall&) = delete;
    LuaCall& operator=(const LuaCall&) = delete;

    [[nodiscard]] bool waits() const noexcept { return subrequest != nullptr || write != nullptr || late != nullptr; }

    std::shared_ptr<LuaState> state;           // outlives the host's own where that is made anew while the call waits
    LuaThread thread;                          // null before the call starts
    int arguments = 0;                         // on the thread, for the next resume
    ngx_http_request_t* subrequest = nullptr;  // that it waits for
    std::unique_ptr<RevocationWrite, RevocationWriteEnd> write;  // or that
    std::unique_ptr<LateResult, LateResultEnd> late;             // or that
    NoResult failure = NoResult::failed;                         // of the last write: where nobody catches its error
    std::uint64_t generation = 0;                                // tells it from calls before and after it
    LuaAccount account;                                          // while it waits
    ngx_http_request_t* r = nullptr;                             // null while a file is loaded
    std::size_t file = 0;
    std::string_view kind;  // "hook" or "handler", or "load"
    std::string_view name;
    void (*push)(lua_State* lua, LuaCall& call) = nullptr;             // the function and its arguments
    void (*take)(lua_State* lua, LuaCall& call, int first) = nullptr;  // its results, from `first` to the top
    Hook hook = Hook::expired_token;
    std::string_view reason;
    jwt::json::Value header;       // of the hooks that are told a token
    jwt::json::Value payload;      // of the same; or the identity, of who asks for additions
    ServiceResult request_body{};  // read once: it may have to come from a file
    bool request_body_read = false;
    bool returned = false;  // what fails now is its result
    // results
    Answer answer;
    bool decision = false;
    std::optional<std::string> text;
};

/// What went wrong in a call. Of fixed size, since it may be about having no memory.
struct LuaReport {
    std::array<char, 1024> message{};
    std::array<char, 1024> trace{};

    void clear() noexcept { message[0] = trace[0] = '\0'; }
    void set_message(std::string_view text) noexcept;
};

struct LuaSource {
    std::string path;
    std::string search_path;
    LuaFile file;
};

class LuaState : public std::enable_shared_from_this<LuaState> {
public:
    enum class Outcome : std::uint8_t { done, failed, waiting };

    explicit LuaState(const LuaLimits& limits_of_calls) : limits(limits_of_calls), budget(limits_of_calls) {}
    ~LuaState() { close(); }
    LuaState(const LuaState&) = delete;
    LuaState& operator=(const LuaState&) = delete;

    /// The state that `lua`, or the coroutine `lua`, belongs to.
    [[nodiscard]] static LuaState& of(lua_State* lua) noexcept;

    /// Makes the Lua state; false where it cannot.
    [[nodiscard]] bool open();
    void close() noexcept;

    /// Starts a call, or goes on with one whose subrequest has ended, under its budget. Where it failed, `report` says
    /// why.
    [[nodiscard]] Outcome run(LuaCall& call);
    /// After a call: collects what a failed one left. True where Lua code holds on to too much.
    [[nodiscard]] bool overfull() noexcept;
    /// Loads `sources[index]`. False where it failed: `report` says why.
    [[nodiscard]] bool load(std::size_t index);
    /// A coroutine for a call, which must be put back. May raise.
    [[nodiscard]] LuaThread take_thread();
    /// `ended`: its function returned, so that it can run another.
    void put_back(LuaThread thread, bool ended) noexcept;

    [[nodiscard]] ngx_log_t* log() const noexcept;

    lua_State* lua = nullptr;
    LuaLimits limits;
    LuaBudget budget;
    LuaCall* call = nullptr;       // that runs now
    std::uint64_t generation = 0;  // of the call that started last
    LuaReport report;
    std::vector<LuaSource> sources;
    LuaSources* texts = nullptr;
    bool loading = false;
    std::size_t memory_after_load = 0;

    // Scratch for work between Lua frames.
    std::string text;
    std::string error;
    jwt::json::Parser parser;
    jwt::json::Document document;

private:
    [[nodiscard]] Outcome advance(LuaCall& call, int& status);
    [[nodiscard]] int protect(LuaSlot function);

    LuaThread idle_;  // of a call before; the next one takes it
};

/// How the errors of writes to the revocation store begin.
inline constexpr std::string_view store_failed = "the revocation store ";

/// Appends to LuaState::text; raises "not enough memory" where it would grow beyond the limit.
void append_text(lua_State* lua, std::string_view text);

/// Raises an error that points at the line of the author's file that led here, past our own Lua code.
[[noreturn]] void raise_at_author(lua_State* lua, std::string_view message);

[[nodiscard]] inline std::string_view text_at(lua_State* lua, int index) noexcept {
    std::size_t size = 0;
    const char* text = lua_tolstring(lua, index, &size);
    return text == nullptr ? std::string_view() : std::string_view(text, size);
}

inline void push_text(lua_State* lua, std::string_view text) {
    lua_pushlstring(lua, text.data(), text.size());
}

/// "a string", "no value": for error sentences.
[[nodiscard]] const char* type_with_article(lua_State* lua, int index) noexcept;

/// Writes to the error log of the request, or of the cycle where there is none.
void write_log_line(lua_State* lua, ngx_uint_t level, std::string_view text) noexcept;

// lua_require.cpp
/// `require` of the file whose number is its upvalue.
int require_module(lua_State* lua);

// lua_sandbox.cpp
/// Opens the libraries that authors get, in the state's own globals. May raise.
void open_libraries(lua_State* lua);
/// `print`, which writes to the log; after `tostring` got its last form. May raise.
void open_print(lua_State* lua);
/// Makes the tables of a file in the registry: environment, modules, hooks. May raise.
void make_file_tables(lua_State* lua, std::size_t file);
/// Compiles a text as a chunk of a file's environment; raises its error. Never byte code.
void push_chunk(lua_State* lua, std::size_t file, std::string_view text, const char* path);
/// Pushes a slot of a file's table.
void push_file_slot(lua_State* lua, std::size_t file, int slot);
/// A read-only view of the table on top of the stack takes its place. May raise.
void make_read_only(lua_State* lua);

// lua_load.cpp
void push_file(lua_State* lua, LuaCall& call);
void take_file(lua_State* lua, LuaCall& call, int first);

// lua_api.cpp, lua_request.cpp
/// The request of the running call; raises where there is none.
ngx_http_request_t* current_request(lua_State* lua);
void open_api(lua_State* lua);
void open_request(lua_State* lua);
void push_request(lua_State* lua);

// lua_fetch.cpp
/// Pushes what `jwt.fetch` goes on with: status, body and headers, or nil and a reason.
int push_response(lua_State* lua, const FetchedResponse& response);
/// Whether the call can wait here: not in a coroutine of the author's, nor below a C function.
[[nodiscard]] bool may_wait(lua_State* lua) noexcept;
/// Raises where it cannot.
LuaCall& call_that_waits(lua_State* lua, const char* function);
// lua_api.cpp
/// Pushes the text that a service made, or nil and why there is none.
int push_result(lua_State* lua, const ServiceResult& result);
// lua_revoke.cpp
/// Pushes what `jwt.revoke` goes on with: whether it changed something, or nil and why not.
int push_written(lua_State* lua, LuaCall& call);
/// Functions of the native API.
int fetch(lua_State* lua);
int revoke(lua_State* lua);
int is_revoked(lua_State* lua);
int is_call_thread(lua_State* lua);
int encode_json(lua_State* lua);
int decode_json(lua_State* lua);

// lua_prelude.cpp
/// The text of lua/jwt.lua.
[[nodiscard]] std::string_view prelude() noexcept;

// lua_answer.cpp
void take_answer(lua_State* lua, LuaCall& call, int first);
void take_decision(lua_State* lua, LuaCall& call, int first);
void take_user(lua_State* lua, LuaCall& call, int first);
void take_key(lua_State* lua, LuaCall& call, int first);

}  // namespace ngx
