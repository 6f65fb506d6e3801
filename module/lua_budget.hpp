#pragma once

#include "ngx.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <lua.hpp>

#include "lua_host.hpp"
#include "lua_pattern.hpp"

namespace ngx {

/// How many frames are looked at to find an author's line: reaching the n-th costs n steps.
inline constexpr int max_trace = 50;

/// What is left to a call while it waits.
struct LuaAccount {
    std::size_t steps = 0;
    std::size_t memory = 0;
    std::chrono::nanoseconds time{};
};

/// What one call into Lua may still use. The allocator and the count hook of its state draw on it.
///
/// Once steps or time are used up they stay so until the call ends: the hook then raises at every instruction, so that
/// neither pcall nor a coroutine can go on, and the call counts as failed whatever it returned. Memory is refused block
/// by block, as Lua code may recover from that.
class LuaBudget {
public:
    explicit LuaBudget(const LuaLimits& limits) noexcept : limits_(limits) {}

    /// Opens the account of one call; `lua` is not running.
    void begin(lua_State* lua, std::chrono::milliseconds time) noexcept;
    void end() noexcept { active_ = false; }
    /// Closes the account of a call that waits, and opens it again: other calls run in between.
    [[nodiscard]] LuaAccount suspend() noexcept;
    void resume(lua_State* lua, const LuaAccount& account) noexcept;

    /// Takes steps off; raises a Lua error where there are not enough.
    void charge(lua_State* lua, std::size_t steps);
    [[nodiscard]] std::size_t steps_left() const noexcept { return exhausted_ ? 0 : steps_left_; }

    [[nodiscard]] bool exhausted() const noexcept { return exhausted_; }
    /// Exhausted by time, not by steps.
    [[nodiscard]] bool out_of_time() const noexcept { return out_of_time_; }
    [[nodiscard]] bool memory_refused() const noexcept { return memory_refused_; }
    /// Bytes that the running call may still take.
    [[nodiscard]] std::size_t memory_left() const noexcept {
        return memory_cap_ > memory_used_ ? memory_cap_ - memory_used_ : 0;
    }
    /// Bytes that the state holds now.
    [[nodiscard]] std::size_t memory_used() const noexcept { return memory_used_; }
    /// Where the code was when steps or time ran out: "FILE:LINE: "; may be empty.
    [[nodiscard]] std::string_view where() const noexcept { return where_.data(); }

    /// lua_Alloc.
    void* allocate(void* block, std::size_t old_size, std::size_t new_size) noexcept;
    /// The count hook.
    void tick(lua_State* lua);

private:
    bool spend(std::size_t steps) noexcept;
    bool in_time() noexcept;
    [[nodiscard]] int wanted_interval() const noexcept;
    void exhaust() noexcept;
    void arm(int interval) noexcept;
    void check_stack(lua_State* lua);
    void raise(lua_State* lua);

    LuaLimits limits_;
    lua_State* lua_ = nullptr;
    bool active_ = false;
    bool exhausted_ = false;
    bool out_of_time_ = false;
    bool memory_refused_ = false;
    int interval_ = 0;
    std::size_t steps_left_ = 0;
    std::size_t steps_since_clock_ = 0;
    std::chrono::nanoseconds time_{};
    std::uint64_t deadline_ = 0;   // nanoseconds of thread CPU time; 0: the clock was not read yet
    std::uint64_t last_tick_ = 0;  // of the coarse clock, when it was
    std::uintptr_t entry_ = 0;     // address in the C stack where the call began
    std::size_t memory_used_ = 0;
    std::size_t memory_cap_ = static_cast<std::size_t>(-1);
    std::size_t big_bytes_ = 0;  // in blocks that make single instructions slow
    std::array<char, 160> where_{};
};

/// The budget of the state that `lua` belongs to.
[[nodiscard]] LuaBudget& budget_of(lua_State* lua) noexcept;

/// Installs the hook on a new state.
void install_budget(lua_State* lua) noexcept;

/// As the pattern functions want it.
extern const StepBudget pattern_budget;

}  // namespace ngx
