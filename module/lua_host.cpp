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

void push_hook(lua_State* lua, const LuaCall& call) {
    push_file_slot(lua, call.file, static_cast<int>(call.hook) + 1);
}

void push_reason(lua_State* lua, LuaCall& call) {
    push_hook(lua, call);
    push_text(lua, call.reason);
}

/// What a token leaves out is told to hooks as what it means.
void push_payload(lua_State* lua, const LuaCall& call) {
    push_json(lua, call.payload);
    if (call.hook == Hook::decode_key) {
        return;
    }
    if (!call.payload.member("type")) {
        lua_pushliteral(lua, "access");
        lua_setfield(lua, -2, "type");
    }
    if (!call.payload.member("fresh")) {
        lua_pushboolean(lua, 0);
        lua_setfield(lua, -2, "fresh");
    }
}

/// No table is made of what the hook has no name for.
void push_token(lua_State* lua, LuaCall& call) {
    push_hook(lua, call);
    const std::size_t taken = LuaState::of(lua).sources[call.file].file.arguments_of(call.hook);
    if (taken > 0) {
        push_json(lua, call.header);
    }
    if (taken > 1) {
        push_payload(lua, call);
    }
}

void push_additions(lua_State* lua, LuaCall& call) {
    lua_rawgeti(lua, LUA_REGISTRYINDEX, slot(LuaSlot::additions));
    push_json(lua, call.payload);
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
    call.header = header;
    call.payload = payload;
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
        (known.write != nullptr && !revocation_ended(*known.write)) ||
        (known.late != nullptr && !result_is_there(*known.late))) {
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
    const bool begun = call.thread.lua == nullptr;
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
            call.payload = identity;
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
