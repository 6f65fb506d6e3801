#include "lua_budget.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "lua_state.hpp"

namespace ngx {

namespace {

// Instructions from one look at what is left to the next.
constexpr int normal_interval = 1000;
// One instruction on a big string or table takes as long as thousands of others, a millisecond for some megabytes: look
// more often the bigger what there is.
constexpr std::size_t big_block = 256 * 1024;
constexpr std::size_t careful_interval = 50;
constexpr std::size_t least_interval = 4;
// Memory is charged as steps too, for instructions that build large values; small ones cost what their instruction
// does.
constexpr std::size_t charged_block = 4096;
constexpr std::size_t bytes_per_step = 256;
// How deep C functions and Lua functions may call each other in turn. A worker's stack is 8 MiB as a rule.
constexpr std::uintptr_t max_c_stack = 1024 * 1024;

std::uint64_t nanoseconds(clockid_t clock) noexcept {
    timespec now{};
    clock_gettime(clock, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint64_t cpu_time() noexcept {
    return nanoseconds(CLOCK_THREAD_CPUTIME_ID);
}

std::uintptr_t stack_address() noexcept {
    return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
}

void on_count(lua_State* lua, lua_Debug*) {
    budget_of(lua).tick(lua);
}

}  // namespace

const StepBudget pattern_budget{
    [](lua_State* lua) { return budget_of(lua).steps_left(); },
    [](lua_State* lua, std::size_t steps) { budget_of(lua).charge(lua, steps); },
};

LuaBudget& budget_of(lua_State* lua) noexcept {
    return LuaState::of(lua).budget;
}

void install_budget(lua_State* lua) noexcept {
    lua_sethook(lua, on_count, LUA_MASKCOUNT, normal_interval);
}

void LuaBudget::begin(lua_State* lua, std::chrono::milliseconds time) noexcept {
    resume(lua, {limits_.steps, limits_.memory, time});
}

LuaAccount LuaBudget::suspend() noexcept {
    if (deadline_ != 0) {
        const std::uint64_t now = cpu_time();
        time_ = std::chrono::nanoseconds(now < deadline_ ? deadline_ - now : 0);
    }
    end();
    return {steps_left_, memory_left(), time_};
}

void LuaBudget::resume(lua_State* lua, const LuaAccount& account) noexcept {
    time_ = account.time;
    lua_ = lua;
    active_ = true;
    exhausted_ = false;
    out_of_time_ = false;
    memory_refused_ = false;
    steps_left_ = account.steps;
    steps_since_clock_ = 0;
    deadline_ = 0;
    last_tick_ = 0;
    entry_ = stack_address();
    memory_cap_ = memory_used_ + account.memory;
    where_[0] = '\0';
    arm(wanted_interval());
}

int LuaBudget::wanted_interval() const noexcept {
    if (big_bytes_ == 0) {
        return normal_interval;
    }
    return static_cast<int>(std::clamp(careful_interval * big_block / big_bytes_, least_interval, careful_interval));
}

void LuaBudget::arm(int interval) noexcept {
    interval_ = interval;
    lua_sethook(lua_, on_count, LUA_MASKCOUNT, interval);
}

void LuaBudget::exhaust() noexcept {
    exhausted_ = true;
    arm(1);
}

bool LuaBudget::spend(std::size_t steps) noexcept {
    if (!active_) {
        return true;
    }
    if (exhausted_) {
        return false;
    }
    if (steps >= steps_left_) {
        exhaust();
        return false;
    }
    steps_left_ -= steps;
    steps_since_clock_ += steps;
    if (steps_since_clock_ < static_cast<std::size_t>(interval_)) {
        return true;
    }
    steps_since_clock_ = 0;
    if (!in_time()) {
        out_of_time_ = true;
        exhaust();
        return false;
    }
    return true;
}

bool LuaBudget::in_time() noexcept {
    // The CPU clock is a system call, this one is not: where it stands still there is no need to ask.
    const std::uint64_t tick = nanoseconds(CLOCK_MONOTONIC_COARSE);
    if (tick == last_tick_) {
        return true;
    }
    last_tick_ = tick;
    const std::uint64_t now = cpu_time();
    if (deadline_ == 0) {  // most calls end before their first look
        deadline_ = now + static_cast<std::uint64_t>(time_.count());
    }
    return now < deadline_;
}

void LuaBudget::raise(lua_State* lua) {
    if (where_[0] == '\0') {
        lua_Debug frame{};
        for (int level = 0; level < max_trace && lua_getstack(lua, level, &frame) != 0; ++level) {
            if (lua_getinfo(lua, "Sl", &frame) != 0 && frame.currentline > 0 && frame.source[0] == '@') {
                std::snprintf(where_.data(), where_.size(), "%s:%d: ", frame.short_src, frame.currentline);
                break;
            }
        }
    }
    lua_pushliteral(lua, "the budget of this call is used up");
    lua_error(lua);
}

void LuaBudget::check_stack(lua_State* lua) {
    if (active_ && entry_ > stack_address() + max_c_stack) {
        luaL_error(lua, "stack overflow");
    }
}

void LuaBudget::charge(lua_State* lua, std::size_t steps) {
    if (!spend(steps)) {
        raise(lua);
    }
    check_stack(lua);
}

void LuaBudget::tick(lua_State* lua) {
    charge(lua, static_cast<std::size_t>(interval_));
    const int wanted = wanted_interval();
    if (active_ && wanted != interval_) {
        arm(wanted);
    }
}

void* LuaBudget::allocate(void* block, std::size_t old_size, std::size_t new_size) noexcept {
    const std::size_t held = block == nullptr ? 0 : old_size;
    if (new_size > held && active_) {
        if (memory_used_ > memory_cap_ || new_size - held > memory_cap_ - memory_used_) {
            memory_refused_ = true;
            return nullptr;
        }
        if (new_size >= charged_block) {
            // Nothing may be raised from here; a spent budget makes the hook raise at the next instruction.
            static_cast<void>(spend(new_size / bytes_per_step));
        }
    }
    void* result = nullptr;
    if (new_size == 0) {
        std::free(block);
    } else {
        result = std::realloc(block, new_size);
        if (result == nullptr && new_size > held) {
            memory_refused_ = true;
            return nullptr;
        }
        if (result == nullptr) {
            result = block;  // Lua counts on smaller blocks to be had
        }
    }
    memory_used_ = memory_used_ - held + new_size;
    big_bytes_ += (new_size >= big_block ? new_size : 0) - (held >= big_block ? held : 0);
    if (active_ && !exhausted_ && interval_ > wanted_interval()) {
        arm(wanted_interval());
    }
    return result;
}

}  // namespace ngx
