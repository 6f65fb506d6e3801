#include "lua_pattern.hpp"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include <lua.hpp>

namespace ngx {

namespace {

// A set is read anew at each byte that is compared with it, and a reference compares bytes in bulk: this many of those
// are one step.
constexpr std::size_t set_bytes_per_step = 8;
constexpr std::size_t bulk_bytes_per_step = 16;

constexpr bool between(char c, char low, char high) {
    return static_cast<unsigned char>(c) >= static_cast<unsigned char>(low) &&
           static_cast<unsigned char>(c) <= static_cast<unsigned char>(high);
}

constexpr bool is_digit(char c) {
    return between(c, '0', '9');
}
constexpr bool is_lower(char c) {
    return between(c, 'a', 'z');
}
constexpr bool is_upper(char c) {
    return between(c, 'A', 'Z');
}
constexpr bool is_alphanumeric(char c) {
    return is_digit(c) || is_lower(c) || is_upper(c);
}

/// Whether `c` is in the class that %letter names; a letter that names none stands for itself.
bool in_class(char c, char letter) {
    const bool complement = is_upper(letter);
    bool is_in;
    switch (complement ? static_cast<char>(letter - 'A' + 'a') : letter) {
        case 'a':
            is_in = is_lower(c) || is_upper(c);
            break;
        case 'c':
            is_in = between(c, '\0', '\x1f') || c == '\x7f';
            break;
        case 'd':
            is_in = is_digit(c);
            break;
        case 'g':
            is_in = between(c, '!', '~');
            break;
        case 'l':
            is_in = is_lower(c);
            break;
        case 'p':
            is_in = between(c, '!', '~') && !is_alphanumeric(c);
            break;
        case 's':
            is_in = c == ' ' || between(c, '\t', '\r');
            break;
        case 'u':
            is_in = is_upper(c);
            break;
        case 'w':
            is_in = is_alphanumeric(c);
            break;
        case 'x':
            is_in = is_digit(c) || between(c, 'a', 'f') || between(c, 'A', 'F');
            break;
        case 'z':
            is_in = c == '\0';
            break;
        default:
            return c == letter;
    }
    return is_in != complement;
}

/// `set` is at its "[" and `close` at its "]".
bool in_set(char c, const char* set, const char* close) {
    const char* p = set + 1;
    const bool complement = *p == '^';
    if (complement) {
        ++p;
    }
    while (p < close) {
        if (*p == '%') {
            if (in_class(c, p[1])) {
                return !complement;
            }
            p += 2;
        } else if (close - p > 2 && p[1] == '-' && p[2] != '%') {
            if (between(c, p[0], p[2])) {
                return !complement;
            }
            p += 3;
        } else {
            if (*p == c) {
                return !complement;
            }
            ++p;
        }
    }
    return complement;
}

}  // namespace

PatternMatcher::PatternMatcher(std::string_view subject, std::string_view pattern, std::size_t max_steps) noexcept
    : subject_(subject),
      pattern_(pattern),
      subject_end_(subject.data() + subject.size()),
      pattern_end_(pattern.data() + pattern.size()),
      max_steps_(max_steps) {}

PatternMatcher::Result PatternMatcher::match_at(std::size_t start) noexcept {
    level_ = 0;
    const char* const end = spend(1) ? match(subject_.data() + start, pattern_.data()) : nullptr;
    if (exhausted_) {
        return Result::exhausted;
    }
    if (error_ != nullptr) {
        return Result::malformed;
    }
    if (end == nullptr) {
        return Result::unmatched;
    }
    begin_ = start;
    end_ = static_cast<std::size_t>(end - subject_.data());
    return Result::matched;
}

PatternMatcher::Result PatternMatcher::search(std::size_t start) noexcept {
    if (!pattern_.empty() && pattern_.front() == '^') {
        const std::string_view whole = pattern_;
        pattern_.remove_prefix(1);
        const Result result = match_at(start);
        pattern_ = whole;
        return result;
    }
    for (; start <= subject_.size(); ++start) {
        if (const Result result = match_at(start); result != Result::unmatched) {
            return result;
        }
    }
    return Result::unmatched;
}

bool PatternMatcher::spend(std::size_t steps) noexcept {
    if (steps > max_steps_ - steps_) {
        exhausted_ = true;
        return false;
    }
    steps_ += steps;
    return true;
}

const char* PatternMatcher::fail(const char* message) noexcept {
    error_ = message;
    return nullptr;
}

/// The end of the match of everything from `p` on at `s`, or null: no match, or the matcher has stopped.
const char* PatternMatcher::match(const char* s, const char* p) noexcept {
    if (depth_ == max_depth) {
        return fail("pattern too complex");
    }
    ++depth_;
    const char* const end = match_items(s, p);
    --depth_;
    return end;
}

const char* PatternMatcher::match_items(const char* s, const char* p) noexcept {
    while (p != pattern_end_) {
        if (*p == '(') {
            const bool position = pattern_end_ - p > 1 && p[1] == ')';
            return open_capture(s, p + (position ? 2 : 1), position ? Capture::position : Capture::open);
        }
        if (*p == ')') {
            return close_capture(s, p + 1);
        }
        if (*p == '$' && p + 1 == pattern_end_) {
            return s == subject_end_ ? s : nullptr;
        }
        if (*p == '%' && pattern_end_ - p > 1 && (p[1] == 'b' || p[1] == 'f' || is_digit(p[1]))) {
            s = match_escape(s, p);
            if (s == nullptr) {
                return nullptr;
            }
            continue;
        }
        const char* const item = p;
        p = single_end(item);
        if (p == nullptr) {
            return nullptr;
        }
        const char suffix = p != pattern_end_ ? *p : '\0';
        if (suffix == '*') {
            return match_longest(s, item, p);
        }
        if (suffix == '-') {
            return match_shortest(s, item, p);
        }
        const bool matches = single_matches(s, item, p);
        if (suffix == '+') {
            return matches ? match_longest(s + 1, item, p) : nullptr;
        }
        if (suffix == '?') {
            ++p;
            if (matches) {
                if (const char* const end = match(s + 1, p); end != nullptr || stopped()) {
                    return end;
                }
            }
            continue;
        }
        if (!matches) {
            return nullptr;
        }
        ++s;
    }
    return s;
}

/// The items %bxy, %f[set] and %1 to %9; `p` moves behind the item.
const char* PatternMatcher::match_escape(const char* s, const char*& p) noexcept {
    const char kind = p[1];
    const char* const rest = p + 2;
    if (kind == 'b') {
        p += 4;
        return match_balanced(s, rest);
    }
    if (kind == 'f') {
        if (rest == pattern_end_ || *rest != '[') {
            return fail("missing '[' after '%f' in pattern");
        }
        p = single_end(rest);
        if (p == nullptr) {
            return nullptr;
        }
        // The subject counts as standing between two NULs.
        const char before = s == subject_.data() ? '\0' : s[-1];
        const char after = s == subject_end_ ? '\0' : *s;
        return !in_set(before, rest, p - 1) && in_set(after, rest, p - 1) ? s : nullptr;
    }
    p += 2;
    return match_back_reference(s, kind);
}

const char* PatternMatcher::match_longest(const char* s, const char* item, const char* item_end) noexcept {
    const char* furthest = s;
    while (single_matches(furthest, item, item_end)) {
        ++furthest;
    }
    while (!stopped()) {
        if (const char* const end = match(furthest, item_end + 1); end != nullptr) {
            return end;
        }
        if (furthest == s || !spend(1)) {
            break;
        }
        --furthest;
    }
    return nullptr;
}

const char* PatternMatcher::match_shortest(const char* s, const char* item, const char* item_end) noexcept {
    while (!stopped()) {
        if (const char* const end = match(s, item_end + 1); end != nullptr) {
            return end;
        }
        if (stopped() || !single_matches(s, item, item_end)) {
            break;
        }
        ++s;
    }
    return nullptr;
}

const char* PatternMatcher::open_capture(const char* s, const char* p, std::ptrdiff_t size) noexcept {
    if (level_ == max_captures) {
        return fail("too many captures");
    }
    captures_[level_] = {static_cast<std::size_t>(s - subject_.data()), size};
    ++level_;
    const char* const end = match(s, p);
    if (end == nullptr) {
        --level_;
    }
    return end;
}

const char* PatternMatcher::close_capture(const char* s, const char* p) noexcept {
    std::size_t index = level_;
    while (index != 0 && captures_[index - 1].size != Capture::open) {
        --index;
    }
    if (index == 0) {
        return fail("invalid pattern capture");
    }
    Capture& capture = captures_[index - 1];
    capture.size = s - (subject_.data() + capture.start);
    const char* const end = match(s, p);
    if (end == nullptr) {
        capture.size = Capture::open;
    }
    return end;
}

/// `p` is at the two delimiters of %b.
const char* PatternMatcher::match_balanced(const char* s, const char* p) noexcept {
    if (pattern_end_ - p < 2) {
        return fail("unbalanced pattern");
    }
    if (s == subject_end_ || *s != p[0]) {
        return nullptr;
    }
    for (std::size_t open = 1; ++s != subject_end_ && spend(1);) {
        if (*s == p[1]) {
            if (--open == 0) {
                return s + 1;
            }
        } else if (*s == p[0]) {
            ++open;
        }
    }
    return nullptr;
}

const char* PatternMatcher::match_back_reference(const char* s, char digit) noexcept {
    const auto index = static_cast<std::size_t>(digit - '0');
    if (index == 0 || index > level_ || captures_[index - 1].size == Capture::open) {
        return fail("invalid capture index");
    }
    const Capture& capture = captures_[index - 1];
    if (capture.size == Capture::position) {
        return nullptr;
    }
    const auto size = static_cast<std::size_t>(capture.size);
    if (static_cast<std::size_t>(subject_end_ - s) < size || !spend(1 + size / bulk_bytes_per_step) ||
        std::memcmp(subject_.data() + capture.start, s, size) != 0) {
        return nullptr;
    }
    return s + size;
}

/// Behind a class of single bytes: a byte, %letter or [set].
const char* PatternMatcher::single_end(const char* item) noexcept {
    const char* p = item + 1;
    if (*item == '%') {
        return p != pattern_end_ ? p + 1 : fail("malformed pattern (ends with '%')");
    }
    if (*item != '[') {
        return p;
    }
    if (p != pattern_end_ && *p == '^') {
        ++p;
    }
    // The first member is one whatever it is, so that []] holds a bracket.
    do {
        p += p != pattern_end_ && *p == '%' ? 2 : 1;
        if (p >= pattern_end_) {
            return fail("malformed pattern (missing ']')");
        }
    } while (*p != ']');
    ++p;
    return spend(static_cast<std::size_t>(p - item) / set_bytes_per_step) ? p : nullptr;
}

bool PatternMatcher::single_matches(const char* s, const char* item, const char* item_end) noexcept {
    if (s == subject_end_ || !spend(1 + static_cast<std::size_t>(item_end - item) / set_bytes_per_step)) {
        return false;
    }
    switch (*item) {
        case '.':
            return true;
        case '%':
            return in_class(*s, item[1]);
        case '[':
            return in_set(*s, item, item_end - 1);
        default:
            return *item == *s;
    }
}

namespace {

using Result = PatternMatcher::Result;

static_assert(std::is_trivially_destructible_v<PatternMatcher>);

// Any Lua function called below may raise an error, which unwinds or jumps over these frames: they hold nothing that
// has a destructor.

constexpr int budget_upvalue = 1;

const StepBudget& budget(lua_State* L) {
    return *static_cast<const StepBudget*>(lua_touserdata(L, lua_upvalueindex(budget_upvalue)));
}

std::string_view string_argument(lua_State* L, int index) {
    std::size_t size = 0;
    const char* const text = luaL_checklstring(L, index, &size);
    return {text, size};
}

/// Charges what a matcher did and says whether it matched; its errors become Lua's.
bool settle(lua_State* L, const PatternMatcher& matcher, Result result, std::size_t granted) {
    if (result == Result::exhausted) {
        budget(L).charge(L, granted + 1);
        luaL_error(L, "pattern matching takes too many steps");
    }
    budget(L).charge(L, matcher.steps());
    if (result == Result::malformed) {
        luaL_error(L, "%s", matcher.error());
    }
    return result == Result::matched;
}

void push_capture(lua_State* L, const PatternMatcher& matcher, std::string_view subject, std::size_t index) {
    if (index >= matcher.capture_count()) {
        if (index != 0) {
            luaL_error(L, "invalid capture index");
        }
        lua_pushlstring(L, subject.data() + matcher.begin(), matcher.end() - matcher.begin());
        return;
    }
    const PatternMatcher::Capture capture = matcher.capture(index);
    if (capture.size == PatternMatcher::Capture::open) {
        luaL_error(L, "unfinished capture");
    }
    if (capture.size == PatternMatcher::Capture::position) {
        lua_pushinteger(L, static_cast<lua_Integer>(capture.start + 1));
    } else {
        lua_pushlstring(L, subject.data() + capture.start, static_cast<std::size_t>(capture.size));
    }
}

/// All captures; the whole match where the pattern has none and `whole` is set.
int push_captures(lua_State* L, const PatternMatcher& matcher, std::string_view subject, bool whole) {
    const std::size_t count = matcher.capture_count() == 0 && whole ? 1 : matcher.capture_count();
    luaL_checkstack(L, static_cast<int>(count), "too many captures");
    for (std::size_t index = 0; index < count; ++index) {
        push_capture(L, matcher, subject, index);
    }
    return static_cast<int>(count);
}

/// The offset for argument `init`: 1-based, negative from the end, brought into the subject.
std::size_t start_offset(lua_State* L, int index, std::size_t size) {
    const lua_Integer init = luaL_optinteger(L, index, 1);
    const auto length = static_cast<lua_Integer>(size);
    const lua_Integer offset = init > 0 ? init - 1 : init < 0 ? length + init : 0;
    return static_cast<std::size_t>(std::clamp<lua_Integer>(offset, 0, length));
}

int find_plain(lua_State* L, std::string_view subject, std::string_view text, std::size_t start) {
    budget(L).charge(L, 1 + (subject.size() - start + text.size()) / bulk_bytes_per_step);
    // memmem takes linear time, which std::search does not promise.
    const void* const found = memmem(subject.data() + start, subject.size() - start, text.data(), text.size());
    if (found == nullptr) {
        lua_pushnil(L);
        return 1;
    }
    const std::ptrdiff_t offset = static_cast<const char*>(found) - subject.data();
    lua_pushinteger(L, offset + 1);
    lua_pushinteger(L, offset + static_cast<lua_Integer>(text.size()));
    return 2;
}

int find_or_match(lua_State* L, bool find) {
    const std::string_view subject = string_argument(L, 1);
    const std::string_view pattern = string_argument(L, 2);
    const std::size_t start = start_offset(L, 3, subject.size());
    if (find && (lua_toboolean(L, 4) != 0 || pattern.find_first_of("^$*+?.([%-") == std::string_view::npos)) {
        return find_plain(L, subject, pattern, start);
    }
    const std::size_t granted = budget(L).remaining(L);
    PatternMatcher matcher(subject, pattern, granted);
    if (!settle(L, matcher, matcher.search(start), granted)) {
        lua_pushnil(L);
        return 1;
    }
    if (!find) {
        return push_captures(L, matcher, subject, true);
    }
    lua_pushinteger(L, static_cast<lua_Integer>(matcher.begin() + 1));
    lua_pushinteger(L, static_cast<lua_Integer>(matcher.end()));
    return 2 + push_captures(L, matcher, subject, false);
}

int string_find(lua_State* L) {
    return find_or_match(L, true);
}

int string_match(lua_State* L) {
    return find_or_match(L, false);
}

/// The iterator of gmatch; upvalues: budget, subject, pattern, offset to go on from.
int gmatch_next(lua_State* L) {
    constexpr int subject_upvalue = 2;
    constexpr int pattern_upvalue = 3;
    constexpr int offset_upvalue = 4;
    const std::string_view subject = string_argument(L, lua_upvalueindex(subject_upvalue));
    const std::string_view pattern = string_argument(L, lua_upvalueindex(pattern_upvalue));
    const auto offset = static_cast<std::size_t>(lua_tointeger(L, lua_upvalueindex(offset_upvalue)));
    const std::size_t granted = budget(L).remaining(L);
    PatternMatcher matcher(subject, pattern, granted);
    // An anchor would match over and over at the same place: as in Lua, ^ is an ordinary character here.
    Result result = Result::unmatched;
    for (std::size_t start = offset; start <= subject.size() && result == Result::unmatched; ++start) {
        result = matcher.match_at(start);
    }
    if (!settle(L, matcher, result, granted)) {
        return 0;
    }
    const std::size_t next = matcher.end() + (matcher.end() == matcher.begin() ? 1 : 0);
    lua_pushinteger(L, static_cast<lua_Integer>(next));
    lua_replace(L, lua_upvalueindex(offset_upvalue));
    return push_captures(L, matcher, subject, true);
}

int string_gmatch(lua_State* L) {
    (void)string_argument(L, 1);
    (void)string_argument(L, 2);
    lua_pushvalue(L, lua_upvalueindex(budget_upvalue));
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, gmatch_next, 4);
    return 1;
}

constexpr int replacement_argument = 3;

/// Appends the replacement string with %0 to %9 filled in; % before anything else stands for that.
void add_expanded(lua_State* L, luaL_Buffer* out, const PatternMatcher& matcher, std::string_view subject) {
    std::size_t size = 0;
    const char* const text = lua_tolstring(L, replacement_argument, &size);
    std::string_view rest(text, size);
    for (;;) {
        const std::size_t percent = std::min(rest.find('%'), rest.size());
        luaL_addlstring(out, rest.data(), percent);
        rest.remove_prefix(percent);
        if (rest.empty()) {
            return;
        }
        if (rest.size() == 1) {
            luaL_error(L, "invalid use of '%%' in replacement string");
        }
        if (!is_digit(rest[1])) {
            luaL_addlstring(out, rest.data() + 1, 1);
        } else if (rest[1] == '0') {
            luaL_addlstring(out, subject.data() + matcher.begin(), matcher.end() - matcher.begin());
        } else {
            push_capture(L, matcher, subject, static_cast<std::size_t>(rest[1] - '1'));
            budget(L).charge(L, 1 + lua_objlen(L, -1) / bulk_bytes_per_step);
            luaL_addvalue(out);
        }
        rest.remove_prefix(2);
    }
}

/// Appends what stands for one match in the result of gsub.
void add_replacement(lua_State* L, luaL_Buffer* out, const PatternMatcher& matcher, std::string_view subject) {
    switch (lua_type(L, replacement_argument)) {
        case LUA_TFUNCTION:
            lua_pushvalue(L, replacement_argument);
            lua_call(L, push_captures(L, matcher, subject, true), 1);
            break;
        case LUA_TTABLE:
            push_capture(L, matcher, subject, 0);
            lua_gettable(L, replacement_argument);
            break;
        default:
            budget(L).charge(
                L, (lua_objlen(L, replacement_argument) + matcher.end() - matcher.begin()) / bulk_bytes_per_step);
            add_expanded(L, out, matcher, subject);
            return;
    }
    if (lua_toboolean(L, -1) == 0) {
        lua_pop(L, 1);
        lua_pushlstring(L, subject.data() + matcher.begin(), matcher.end() - matcher.begin());
    } else if (lua_isstring(L, -1) == 0) {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    }
    budget(L).charge(L, lua_objlen(L, -1) / bulk_bytes_per_step);
    luaL_addvalue(out);
}

int string_gsub(lua_State* L) {
    const std::string_view subject = string_argument(L, 1);
    std::string_view pattern = string_argument(L, 2);
    const int kind = lua_type(L, replacement_argument);
    luaL_argcheck(L, kind == LUA_TNUMBER || kind == LUA_TSTRING || kind == LUA_TFUNCTION || kind == LUA_TTABLE,
                  replacement_argument, "string/function/table expected");
    if (kind == LUA_TNUMBER) {
        (void)lua_tolstring(L, replacement_argument, nullptr);
    }
    const lua_Integer limit = luaL_optinteger(L, 4, static_cast<lua_Integer>(subject.size() + 1));
    const bool anchored = !pattern.empty() && pattern.front() == '^';
    if (anchored) {
        pattern.remove_prefix(1);
    }
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    lua_Integer count = 0;
    std::size_t copied = 0;
    std::size_t at = 0;
    while (count < limit && at <= subject.size()) {
        const std::size_t granted = budget(L).remaining(L);
        PatternMatcher matcher(subject, pattern, granted);
        Result result = matcher.match_at(at);
        while (result == Result::unmatched && !anchored && at < subject.size()) {
            result = matcher.match_at(++at);
        }
        if (!settle(L, matcher, result, granted)) {
            break;
        }
        ++count;
        luaL_addlstring(&out, subject.data() + copied, at - copied);
        add_replacement(L, &out, matcher, subject);
        copied = matcher.end();
        at = matcher.end() + (matcher.end() == matcher.begin() ? 1 : 0);
        if (anchored) {
            break;
        }
    }
    budget(L).charge(L, 1 + subject.size() / bulk_bytes_per_step);
    luaL_addlstring(&out, subject.data() + copied, subject.size() - copied);
    luaL_pushresult(&out);
    lua_pushinteger(L, count);
    return 2;
}

}  // namespace

void register_patterns(lua_State* L, const StepBudget* budget) {
    constexpr luaL_Reg functions[] = {
        {"find", string_find}, {"match", string_match}, {"gmatch", string_gmatch}, {"gsub", string_gsub}};
    for (const luaL_Reg& function : functions) {
        // Lua takes no pointer to const; nobody writes through it.
        lua_pushlightuserdata(L, const_cast<StepBudget*>(budget));
        lua_pushcclosure(L, function.func, 1);
        lua_setfield(L, -2, function.name);
    }
}

}  // namespace ngx
