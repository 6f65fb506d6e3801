#include "lua_state.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include "guard.hpp"

// How a call runs: in a coroutine of its own, under a budget, and on from where it waited.

namespace ngx {

namespace {

// How much Lua code may hold on to between calls, in calls' worth, before its state is made anew.
constexpr std::size_t kept_calls = 2;
// Nobody waits while a file is loaded, and it may make its tables.
constexpr int load_time = 20;

void* allocate(void* state, void* block, std::size_t old_size, std::size_t new_size) {
    return static_cast<LuaState*>(state)->budget.allocate(block, old_size, new_size);
}

/// The message handler of every call: the frames are still there.
int report_error(lua_State* lua) {
    LuaReport& report = LuaState::of(lua).report;
    if (lua_type(lua, 1) == LUA_TSTRING || lua_type(lua, 1) == LUA_TNUMBER) {
        report.set_message(text_at(lua, 1));
    } else {
        std::snprintf(report.message.data(), report.message.size(), "the error is %s", type_with_article(lua, 1));
    }
    lua_Debug frame{};
    std::size_t size = 0;
    for (int level = 1; level < max_trace && lua_getstack(lua, level, &frame) != 0; ++level) {
        if (lua_getinfo(lua, "Sln", &frame) == 0 || frame.currentline <= 0 || frame.source[0] != '@') {
            continue;  // C, and our own Lua code
        }
        const int written = std::snprintf(report.trace.data() + size, report.trace.size() - size, "%s%s:%d%s%s",
                                          size == 0 ? "" : " < ", frame.short_src, frame.currentline,
                                          frame.name == nullptr ? "" : " in ", frame.name == nullptr ? "" : frame.name);
        size += written > 0 ? static_cast<std::size_t>(written) : 0;
        if (size + 1 >= report.trace.size()) {
            break;
        }
    }
    return 1;
}

/// Moves what lies above `base` to the call's coroutine.
void hand_over(lua_State* lua, LuaCall& call, int base) {
    call.arguments = lua_gettop(lua) - base;
    lua_xmove(lua, call.thread.lua, call.arguments);  // a handful, for which every stack has room
}

int start_call(lua_State* lua) {
    LuaState& state = LuaState::of(lua);
    LuaCall& call = *state.call;
    call.thread = state.take_thread();
    // The coroutine runs xpcall, which may wait, and calls the handler where the frames are still there.
    lua_rawgeti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::xpcall));
    call.push(lua, call);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::report_error));
    lua_insert(lua, 3);
    hand_over(lua, call, 0);
    --call.arguments;  // the first is the function
    return 0;
}

int resume_call(lua_State* lua) {
    LuaCall& call = *LuaState::of(lua).call;
    if (call.write != nullptr) {
        push_written(lua, call);
        call.write.reset();
    } else if (call.late != nullptr) {
        push_result(lua, take_result(call.r, *call.late));
        call.late.reset();
    } else {
        push_response(lua, fetched_response(call.subrequest));
        call.subrequest = nullptr;
    }
    hand_over(lua, call, 0);
    return 0;
}

int take_results(lua_State* lua) {
    LuaCall& call = *LuaState::of(lua).call;
    const int count = lua_gettop(call.thread.lua);
    luaL_checkstack(lua, count, "too many values");
    lua_xmove(call.thread.lua, lua, count);
    lua_remove(lua, 1);  // xpcall's true
    call.take(lua, call, 1);
    return 0;
}

int set_up(lua_State* lua) {
    lua_pushcfunction(lua, report_error);
    lua_rawseti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::report_error));
    lua_pushcfunction(lua, start_call);
    lua_rawseti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::start_call));
    lua_pushcfunction(lua, resume_call);
    lua_rawseti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::resume_call));
    lua_pushcfunction(lua, take_results);
    lua_rawseti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::take_results));
    lua_newtable(lua);
    lua_pushboolean(lua, 1);
    luaL_unref(lua, -1, luaL_ref(lua, -2));  // makes the list of free places: later ones need no memory to be freed
    lua_rawseti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::threads));
    open_libraries(lua);
    lua_getglobal(lua, "xpcall");
    lua_rawseti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::xpcall));
    open_json(lua);
    open_request(lua);
    open_api(lua);
    open_print(lua);
    lua_gc(lua, LUA_GCCOLLECT, 0);  // or the first call that collects has more than its limit
    return 0;
}

int collect_garbage(lua_State* lua) {
    lua_gc(lua, LUA_GCCOLLECT, 0);
    return 0;
}

}  // namespace

void LuaReport::set_message(std::string_view text) noexcept {
    const std::size_t size = std::min(text.size(), message.size() - 1);
    std::memcpy(message.data(), text.data(), size);
    message[size] = '\0';
}

LuaState& LuaState::of(lua_State* lua) noexcept {
    void* state = nullptr;
    static_cast<void>(lua_getallocf(lua, &state));
    return *static_cast<LuaState*>(state);
}

ngx_log_t* LuaState::log() const noexcept {
    return call != nullptr && call->r != nullptr ? call->r->connection->log : ngx_cycle->log;
}

bool LuaState::open() {
    close();
    lua = lua_newstate(allocate, this);
    if (lua == nullptr) {
        report.set_message("Lua cannot be started: not enough memory");
        return false;
    }
    // Compiled code runs no hooks, so nothing could stop it.
    luaJIT_setmode(lua, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    install_budget(lua);
    if (lua_cpcall(lua, set_up, nullptr) != 0) {
        report.set_message(text_at(lua, -1));
        close();
        return false;
    }
    memory_after_load = budget.memory_used();
    return true;
}

void LuaState::close() noexcept {
    idle_ = {};
    if (lua != nullptr) {
        lua_close(lua);
        lua = nullptr;
    }
}

LuaThread LuaState::take_thread() {
    if (idle_.lua != nullptr) {
        return std::exchange(idle_, {});
    }
    lua_rawgeti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::threads));
    LuaThread thread;
    thread.lua = lua_newthread(lua);
    thread.anchor = luaL_ref(lua, -2);
    lua_pop(lua, 1);
    return thread;
}

void LuaState::put_back(LuaThread thread, bool ended) noexcept {
    if (thread.lua == nullptr || lua == nullptr) {
        return;
    }
    if (ended && idle_.lua == nullptr) {
        lua_settop(thread.lua, 0);
        idle_ = thread;
        return;
    }
    lua_rawgeti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::threads));
    luaL_unref(lua, -1, thread.anchor);
    lua_pop(lua, 1);
}

LuaCall::~LuaCall() {
    if (state != nullptr) {
        state->put_back(thread, returned);
    }
}

int LuaState::protect(LuaSlot function) {
    lua_settop(lua, 0);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::report_error));
    lua_rawgeti(lua, LUA_REGISTRYINDEX, slot(function));
    const int status = lua_pcall(lua, 0, 0, 1);
    lua_settop(lua, 0);
    return status;
}

LuaState::Outcome LuaState::advance(LuaCall& next, int& status) {
    status = protect(next.thread.lua == nullptr ? LuaSlot::start_call : LuaSlot::resume_call);
    if (status != 0) {
        return Outcome::failed;
    }
    status = lua_resume(next.thread.lua, next.arguments);
    if (status == LUA_YIELD) {
        status = 0;
        if (next.waits() && !budget.exhausted()) {
            return Outcome::waiting;
        }
        report.set_message("attempt to yield outside a coroutine");
        return Outcome::failed;
    }
    if (status == 0 && lua_toboolean(next.thread.lua, 1) == 0) {
        // Where memory ran out, or the handler failed itself, there is no report.
        status = report.message[0] != '\0' ? LUA_ERRRUN : budget.memory_refused() ? LUA_ERRMEM : LUA_ERRERR;
    }
    if (status != 0) {
        return Outcome::failed;
    }
    next.returned = true;
    status = protect(LuaSlot::take_results);
    return status == 0 ? Outcome::done : Outcome::failed;
}

LuaState::Outcome LuaState::run(LuaCall& next) {
    report.clear();
    if (call != nullptr || lua == nullptr) {
        report.set_message(lua == nullptr ? "Lua could not be started anew" : "another call is still running");
        return Outcome::failed;
    }
    call = &next;
    const std::chrono::milliseconds time = loading ? load_time * limits.time : limits.time;
    if (next.thread.lua == nullptr) {
        next.generation = ++generation;
        budget.begin(lua, time);
    } else {
        budget.resume(lua, next.account);
    }
    int status = 0;
    const Outcome outcome = advance(next, status);
    call = nullptr;
    if (outcome == Outcome::waiting) {
        next.account = budget.suspend();
        return outcome;
    }
    budget.end();
    if (budget.exhausted()) {
        // Whatever came back: an author's pcall may have turned the error into a result.
        std::snprintf(report.message.data(), report.message.size(),
                      budget.out_of_time() ? "%.*sstopped after %zu ms of CPU time (jwt_lua_limit time=)"
                                           : "%.*sstopped after %zu steps (jwt_lua_limit steps=)",
                      static_cast<int>(budget.where().size()), budget.where().data(),
                      budget.out_of_time() ? static_cast<std::size_t>(time.count()) : limits.steps);
        return Outcome::failed;
    }
    if (status == LUA_ERRMEM) {
        std::snprintf(report.message.data(), report.message.size(),
                      "it needs more than %zu bytes of memory (jwt_lua_limit memory=)", limits.memory);
    } else if (status == LUA_ERRERR && report.message[0] == '\0') {
        report.set_message("stack overflow");
    }
    return outcome;
}

bool LuaState::overfull() noexcept {
    const std::size_t ceiling = memory_after_load + kept_calls * limits.memory;
    if (call != nullptr || lua == nullptr || (!budget.memory_refused() && budget.memory_used() <= ceiling)) {
        return false;
    }
    static_cast<void>(lua_cpcall(lua, collect_garbage, nullptr));
    lua_settop(lua, 0);
    return budget.memory_used() > ceiling;
}

bool LuaState::load(std::size_t index) {
    LuaSource& source = sources[index];
    const auto contents = texts->read(source.path);
    if (!contents) {
        report.set_message(contents.error());
        return false;
    }
    LuaCall load_call;
    load_call.state = shared_from_this();
    load_call.file = index;
    load_call.reason = *contents;
    load_call.push = push_file;
    load_call.take = take_file;
    loading = true;
    const bool good = run(load_call) == Outcome::done;
    loading = false;
    if (good) {
        memory_after_load = budget.memory_used();
    } else if (load_call.returned || report.message[0] != source.path[0]) {
        const std::string message = "\"" + source.path + "\": " + report.message.data();
        report.set_message(message);
    }
    return good;
}

}  // namespace ngx
