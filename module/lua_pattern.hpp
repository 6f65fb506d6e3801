#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

struct lua_State;

namespace ngx {

/// Lua patterns (Lua 5.1 reference manual, section 5.4.1, with the frontier %f[set] and %g of later ones) matched
/// within a number of steps: a pattern can ask for a time that is exponential in its length, and no instruction hook
/// runs meanwhile. Bytes are classed as ASCII; a NUL in a pattern stands for itself.
///
/// A step is about what one instruction of the virtual machine costs. Holds nothing that needs a destructor: a Lua
/// error may unwind past it.
class PatternMatcher {
public:
    static constexpr std::size_t max_captures = 32;
    static constexpr std::size_t max_depth = 200;

    enum class Result : std::uint8_t { matched, unmatched, malformed, exhausted };

    struct Capture {
        static constexpr std::ptrdiff_t open = -1;
        static constexpr std::ptrdiff_t position = -2;
        std::size_t start;
        std::ptrdiff_t size;  // or one of the two above
    };

    /// `subject` and `pattern` must outlive the matcher.
    PatternMatcher(std::string_view subject, std::string_view pattern, std::size_t max_steps) noexcept;

    /// Tries to match at exactly that offset; a leading ^ is an ordinary character here.
    [[nodiscard]] Result match_at(std::size_t start) noexcept;
    /// Looks for the first match at or behind that offset, which is the only one tried where the pattern begins with ^.
    [[nodiscard]] Result search(std::size_t start) noexcept;

    // After `matched`: the bytes [begin, end) and the captures within.
    [[nodiscard]] std::size_t begin() const noexcept { return begin_; }
    [[nodiscard]] std::size_t end() const noexcept { return end_; }
    [[nodiscard]] std::size_t capture_count() const noexcept { return level_; }
    [[nodiscard]] Capture capture(std::size_t index) const noexcept { return captures_[index]; }

    /// After `malformed`: what is wrong with the pattern, in Lua's words.
    [[nodiscard]] const char* error() const noexcept { return error_; }
    [[nodiscard]] std::size_t steps() const noexcept { return steps_; }

private:
    const char* match(const char* s, const char* p) noexcept;
    const char* match_items(const char* s, const char* p) noexcept;
    const char* match_escape(const char* s, const char*& p) noexcept;
    const char* match_longest(const char* s, const char* item, const char* item_end) noexcept;
    const char* match_shortest(const char* s, const char* item, const char* item_end) noexcept;
    const char* open_capture(const char* s, const char* p, std::ptrdiff_t size) noexcept;
    const char* close_capture(const char* s, const char* p) noexcept;
    const char* match_balanced(const char* s, const char* p) noexcept;
    const char* match_back_reference(const char* s, char digit) noexcept;
    const char* single_end(const char* item) noexcept;
    bool single_matches(const char* s, const char* item, const char* item_end) noexcept;
    bool spend(std::size_t steps) noexcept;
    const char* fail(const char* message) noexcept;
    [[nodiscard]] bool stopped() const noexcept { return error_ != nullptr || exhausted_; }

    std::string_view subject_;
    std::string_view pattern_;
    const char* subject_end_;
    const char* pattern_end_;
    std::size_t max_steps_;
    std::size_t steps_ = 0;
    std::size_t depth_ = 0;
    std::size_t level_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    const char* error_ = nullptr;
    bool exhausted_ = false;
    std::array<Capture, max_captures> captures_;
};

/// The account that pattern functions draw on.
struct StepBudget {
    /// Steps that may still be taken.
    std::size_t (*remaining)(lua_State* L);
    /// Takes steps off; raises a Lua error where more are taken than remain.
    void (*charge)(lua_State* L, std::size_t steps);
};

/// Sets find, match, gmatch and gsub in the table on top of the stack: Lua's own functions of these names, within
/// `budget`, which must outlive the state.
void register_patterns(lua_State* L, const StepBudget* budget);

}  // namespace ngx
