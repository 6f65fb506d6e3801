#include "lua_host.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "counters.hpp"
#include "guard.hpp"
#include "lua_state.hpp"

namespace ngx {

namespace {

// How much Lua code may hold on to between calls, in calls' worth, before its state is made anew.
constexpr std::size_t kept_calls = 4;
// Nobody waits while a file is loaded, and it may make its tables.
constexpr int load_time = 20;

void* allocate(void* state, void* block, std::size_t old_size, std::size_t new_size) {
    return static_cast<LuaState*>(state)->budget.allocate(block, old_size, new_size);
}

int slot(LuaSlot which) noexcept {
    return static_cast<int>(which);
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
    lua_xmove(lua, call.thread, call.arguments);  // a handful, for which every stack has room
}

int start_call(lua_State* lua) {
    LuaCall& call = *LuaState::of(lua).call;
    lua_rawgeti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::threads));
    lua_State* thread = lua_newthread(lua);
    call.anchor = luaL_ref(lua, 1);
    call.thread = thread;
    // The coroutine runs xpcall, which may wait, and calls the handler where the frames are still there.
    lua_rawgeti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::xpcall));
    call.push(lua, call);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::report_error));
    lua_insert(lua, 4);
    hand_over(lua, call, 1);
    --call.arguments;  // the first is the function
    return 0;
}

int resume_call(lua_State* lua) {
    LuaCall& call = *LuaState::of(lua).call;
    if (call.write != nullptr) {
        push_written(lua, call);
        call.write.reset();
    } else {
        push_response(lua, fetched_response(call.subrequest));
        call.subrequest = nullptr;
    }
    hand_over(lua, call, 0);
    return 0;
}

int take_results(lua_State* lua) {
    LuaCall& call = *LuaState::of(lua).call;
    const int count = lua_gettop(call.thread);
    luaL_checkstack(lua, count, "too many values");
    lua_xmove(call.thread, lua, count);
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

void push_hook(lua_State* lua, const LuaCall& call) {
    push_file_slot(lua, call.file, static_cast<int>(call.hook) + 1);
}

void push_reason(lua_State* lua, LuaCall& call) {
    push_hook(lua, call);
    push_text(lua, call.reason);
}

/// What a token leaves out is told to hooks as what it means.
void set_default(lua_State* lua, const char* name, const char* text) {
    lua_getfield(lua, -1, name);
    const bool absent = lua_isnil(lua, -1);
    lua_pop(lua, 1);
    if (!absent) {
        return;
    }
    if (text == nullptr) {
        lua_pushboolean(lua, 0);
    } else {
        lua_pushstring(lua, text);
    }
    lua_setfield(lua, -2, name);
}

void push_token(lua_State* lua, LuaCall& call) {
    const JsonNode* nodes = LuaState::of(lua).nodes.data();
    push_hook(lua, call);
    push_json(lua, nodes);
    push_json(lua, nodes + call.payload_node);
    if (call.hook != Hook::decode_key && lua_istable(lua, -1)) {
        set_default(lua, "type", "access");
        set_default(lua, "fresh", nullptr);
    }
}

void push_additions(lua_State* lua, LuaCall&) {
    lua_rawgeti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::additions));
    push_json(lua, LuaState::of(lua).nodes.data());
}

void push_handler(lua_State* lua, LuaCall& call) {
    push_file_slot(lua, call.file, static_cast<int>(FileSlot::handlers));
    push_text(lua, call.name);
    lua_rawget(lua, -2);
    lua_remove(lua, -2);
    if (!lua_isfunction(lua, -1)) {
        luaL_error(lua, "there is no such handler");
    }
    push_request(lua);
}

void begin_hook(LuaCall& call, ngx_http_request_t* r, const LuaFile& file, Hook hook) {
    call.r = r;
    call.file = file.index;
    call.kind = "hook";
    call.name = name(hook);
    call.hook = hook;
}

void begin_token_hook(LuaCall& call, ngx_http_request_t* r, const LuaFile& file, Hook hook, jwt::json::Value header,
                      jwt::json::Value payload) {
    begin_hook(call, r, file, hook);
    LuaState& state = *call.state;
    state.nodes.clear();
    append_nodes(state.nodes, header);
    call.payload_node = state.nodes.size();
    append_nodes(state.nodes, payload);
    call.push = push_token;
}

/// "hook NAME of "FILE" failed: …", with the way there.
void log_failure(const LuaState& state, const LuaCall& call) {
    const std::string_view message = state.report.message.data();
    std::string line = "jwt: ";
    line += call.kind;
    line += ' ';
    line += call.name;
    line += " of \"" + (call.file < state.sources.size() ? state.sources[call.file].path : std::string()) + "\" ";
    line += call.returned && message.substr(0, 8) == "returned" ? "" : "failed: ";
    line += message;
    if (state.report.trace[0] != '\0') {
        line += ", traceback: ";
        line += state.report.trace.data();
    }
    log(call.r->connection->log, NGX_LOG_ERR, line);
}

/// The error of a write that nobody caught has a status of its own.
NoResult failure_of(const LuaState& state, const LuaCall& call) noexcept {
    const std::string_view message = state.report.message.data();
    return message.find(store_failed) == std::string_view::npos ? NoResult::failed : call.failure;
}

}  // namespace

ngx_int_t status_of(NoResult why) noexcept {
    switch (why) {
        case NoResult::unavailable:
            return NGX_HTTP_SERVICE_UNAVAILABLE;
        case NoResult::full:
            return NGX_HTTP_INSUFFICIENT_STORAGE;
        case NoResult::failed:
        case NoResult::waiting:
            break;
    }
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}

std::string_view name(Hook hook) noexcept {
    switch (hook) {
        case Hook::expired_token:
            return "expired_token";
        case Hook::needs_fresh_token:
            return "needs_fresh_token";
        case Hook::revoked_token:
            return "revoked_token";
        case Hook::token_verification_failed:
            return "token_verification_failed";
        case Hook::user_lookup_error:
            return "user_lookup_error";
        case Hook::invalid_token:
            return "invalid_token";
        case Hook::unauthorized:
            return "unauthorized";
        case Hook::token_in_blocklist:
            return "token_in_blocklist";
        case Hook::token_verification:
            return "token_verification";
        case Hook::user_lookup:
            return "user_lookup";
        case Hook::user_identity:
            return "user_identity";
        case Hook::additional_claims:
            return "additional_claims";
        case Hook::additional_headers:
            return "additional_headers";
        case Hook::decode_key:
            return "decode_key";
        case Hook::encode_key:
            return "encode_key";
    }
    std::abort();
}

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
    if (lua != nullptr) {
        lua_close(lua);
        lua = nullptr;
    }
}

LuaCall::~LuaCall() {
    if (anchor != 0 && state != nullptr && state->lua != nullptr) {
        lua_rawgeti(state->lua, LUA_REGISTRYINDEX, slot(LuaSlot::threads));
        luaL_unref(state->lua, -1, anchor);
        lua_pop(state->lua, 1);
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
    status = protect(next.thread == nullptr ? LuaSlot::start_call : LuaSlot::resume_call);
    if (status != 0) {
        return Outcome::failed;
    }
    status = lua_resume(next.thread, next.arguments);
    if (status == LUA_YIELD) {
        status = 0;
        if ((next.subrequest != nullptr || next.write != nullptr) && !budget.exhausted()) {
            return Outcome::waiting;
        }
        report.set_message("attempt to yield outside a coroutine");
        return Outcome::failed;
    }
    if (status == 0 && lua_toboolean(next.thread, 1) == 0) {
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
    if (next.thread == nullptr) {
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

LuaRun::LuaRun() noexcept = default;

LuaRun::~LuaRun() = default;

LuaRun::LuaRun(LuaRun&&) noexcept = default;

LuaRun& LuaRun::operator=(LuaRun&&) noexcept = default;

LuaHost::LuaHost(std::shared_ptr<LuaState> state) noexcept : state_(std::move(state)) {}

LuaHost::~LuaHost() = default;

tl::expected<std::unique_ptr<LuaHost>, std::string> LuaHost::create(const LuaLimits& limits) {
    auto state = std::make_shared<LuaState>(limits);
    if (!state->open()) {
        return tl::unexpected(std::string(state->report.message.data()));
    }
    return std::unique_ptr<LuaHost>(new LuaHost(std::move(state)));
}

tl::expected<LuaFile, std::string> LuaHost::load(const std::string& path, const std::string& search_path,
                                                 LuaSources& sources) {
    for (const LuaSource& known : state_->sources) {
        if (known.path == path && known.search_path == search_path) {
            return known.file;
        }
    }
    const std::size_t index = state_->sources.size();
    state_->texts = &sources;
    state_->sources.push_back({path, search_path, {}});
    state_->sources[index].file.index = index;
    if (!state_->load(index)) {
        state_->sources.pop_back();
        return tl::unexpected(std::string(state_->report.message.data()));
    }
    return state_->sources[index].file;
}

/// Makes a call, or goes on with the one that waits in `run`.
template <class Start, class Take>
auto LuaHost::call(LuaRun& run, Start&& start, Take&& take)
    -> tl::expected<decltype(take(std::declval<LuaCall&>())), NoResult> {
    if (run.call_ == nullptr) {
        auto call = std::make_unique<LuaCall>();
        call->state = state_;
        start(*call);
        run.call_ = std::move(call);
    }
    const LuaCall& known = *run.call_;
    if ((known.subrequest != nullptr && !fetch_ended(known.subrequest)) ||
        (known.write != nullptr && !revocation_ended(*known.write))) {
        return tl::make_unexpected(NoResult::waiting);
    }
    const auto gone_on = go_on(*run.call_);
    if (!gone_on && gone_on.error() == NoResult::waiting) {
        return tl::make_unexpected(NoResult::waiting);
    }
    const std::unique_ptr<LuaCall> call = std::move(run.call_);
    if (!gone_on) {
        return tl::make_unexpected(gone_on.error());
    }
    return take(*call);
}

tl::expected<void, NoResult> LuaHost::go_on(LuaCall& call) {
    LuaState& state = *call.state;
    const bool begun = call.thread == nullptr;
    const bool timed = counts();
    const auto start = timed ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point();
    const LuaState::Outcome outcome = state.run(call);
    if (timed) {
        count_lua({call.kind == "hook" ? std::optional(call.hook) : std::nullopt, begun,
                   outcome == LuaState::Outcome::failed, std::chrono::steady_clock::now() - start});
    }
    if (outcome == LuaState::Outcome::waiting) {
        return tl::make_unexpected(NoResult::waiting);
    }
    if (outcome == LuaState::Outcome::failed) {
        log_failure(state, call);
    }
    const NoResult failure = failure_of(state, call);
    tidy();
    if (outcome == LuaState::Outcome::failed) {
        return tl::make_unexpected(failure);
    }
    return {};
}

void LuaHost::tidy() {
    if (!state_->overfull()) {
        return;
    }
    ngx_log_t* log = ngx_cycle->log;
    ngx::log(log, NGX_LOG_WARN, "jwt: Lua code keeps more and more memory: its files are loaded anew");
    auto fresh = std::make_shared<LuaState>(state_->limits);
    fresh->sources = state_->sources;
    fresh->texts = state_->texts;
    bool good = fresh->open();
    for (std::size_t i = 0; good && i < fresh->sources.size(); ++i) {
        good = fresh->load(i);
    }
    if (!good) {
        ngx::log(log, NGX_LOG_ERR, "jwt: Lua files cannot be loaded anew: ", fresh->report.message.data());
        fresh->close();  // every later call fails
    }
    state_ = std::move(fresh);  // calls that wait keep the old one
}

tl::expected<Answer, NoResult> LuaHost::answer(LuaRun& run, ngx_http_request_t* r, const LuaFile& file, Hook hook,
                                               std::string_view reason) {
    return call(
        run,
        [&](LuaCall& call) {
            begin_hook(call, r, file, hook);
            call.reason = reason;
            call.push = push_reason;
            call.take = take_answer;
        },
        [](LuaCall& call) { return std::move(call.answer); });
}

tl::expected<Answer, NoResult> LuaHost::answer(LuaRun& run, ngx_http_request_t* r, const LuaFile& file, Hook hook,
                                               jwt::json::Value header, jwt::json::Value payload) {
    return call(
        run,
        [&](LuaCall& call) {
            begin_token_hook(call, r, file, hook, header, payload);
            call.take = take_answer;
        },
        [](LuaCall& call) { return std::move(call.answer); });
}

tl::expected<bool, NoResult> LuaHost::decide(LuaRun& run, ngx_http_request_t* r, const LuaFile& file, Hook hook,
                                             jwt::json::Value header, jwt::json::Value payload) {
    return call(
        run,
        [&](LuaCall& call) {
            begin_token_hook(call, r, file, hook, header, payload);
            call.take = take_decision;
        },
        [](const LuaCall& call) { return call.decision; });
}

tl::expected<std::optional<std::string>, NoResult> LuaHost::user(LuaRun& run, ngx_http_request_t* r,
                                                                 const LuaFile& file, jwt::json::Value header,
                                                                 jwt::json::Value payload) {
    return call(
        run,
        [&](LuaCall& call) {
            begin_token_hook(call, r, file, Hook::user_lookup, header, payload);
            call.take = take_user;
        },
        [](LuaCall& call) { return std::move(call.text); });
}

tl::expected<std::optional<std::string>, NoResult> LuaHost::decode_key(LuaRun& run, ngx_http_request_t* r,
                                                                       const LuaFile& file, jwt::json::Value header,
                                                                       jwt::json::Value payload) {
    return call(
        run,
        [&](LuaCall& call) {
            begin_token_hook(call, r, file, Hook::decode_key, header, payload);
            call.take = take_key;
        },
        [](LuaCall& call) { return std::move(call.text); });
}

tl::expected<std::string, NoResult> LuaHost::additions(LuaRun& run, ngx_http_request_t* r, const LuaFile& file,
                                                       jwt::json::Value identity) {
    return call(
        run,
        [&](LuaCall& call) {
            call.r = r;
            call.file = file.index;
            call.kind = "directive";
            call.name = "jwt_refresh";
            call.state->nodes.clear();
            append_nodes(call.state->nodes, identity);
            call.push = push_additions;
            call.take = take_user;
        },
        [](LuaCall& call) { return call.text.value_or("{}"); });
}

tl::expected<Answer, NoResult> LuaHost::handle(LuaRun& run, ngx_http_request_t* r, const LuaFile& file,
                                               std::string_view handler) {
    return call(
        run,
        [&](LuaCall& call) {
            call.r = r;
            call.file = file.index;
            call.kind = "handler";
            call.name = handler;
            call.push = push_handler;
            call.take = take_answer;
        },
        [](LuaCall& call) { return std::move(call.answer); });
}

}  // namespace ngx
