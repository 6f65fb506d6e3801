#pragma once

#include "ngx.hpp"

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "key_request.hpp"

namespace ngx {

/// What all workers of a node know of one provider: the text of its set, and when somebody asks it again. Lives in
/// shared memory under the one lock that nginx releases for a worker that was killed. Times are of the monotonic clock,
/// which all processes share.
class SharedKeys {
public:
    struct Copy {
        std::string text;
        std::uint64_t version = 0;
        ngx_msec_t fetched = 0;
        ngx_msec_t lifetime = 0;
        bool inherited = false;  // fetched under a configuration that was replaced: to be asked for again soon
    };
    enum class Need : std::uint8_t { keys, kid };
    enum class Turn : std::uint8_t { mine, taken, too_soon };

    explicit SharedKeys(ngx_slab_pool_t* pool) noexcept : pool_(pool) {}

    /// Counts the sets that were published; 0 while there is none.
    [[nodiscard]] std::uint64_t version() const noexcept { return version_.load(std::memory_order_acquire); }
    /// Counts fetches that have ended, well or not.
    [[nodiscard]] std::uint64_t ended() const noexcept { return ended_.load(std::memory_order_acquire); }
    /// Whether the last fetch failed.
    [[nodiscard]] bool failing() const noexcept { return failures_.load(std::memory_order_relaxed) != 0; }
    /// When a failing provider is to be asked again.
    [[nodiscard]] ngx_msec_t next_try() const noexcept { return next_try_.load(std::memory_order_relaxed); }
    [[nodiscard]] Copy copy() const;

    /// Whose turn it is to fetch. Who takes it calls publish or fail in time, or
    /// loses it.
    [[nodiscard]] Turn take_turn(Need need, const KeyTimes& times) noexcept;
    /// Whether somebody is fetching.
    [[nodiscard]] bool turn_taken() noexcept;

    /// Ends a turn with a set, which replaces the one before. Its version; 0 where the zone has no room for it.
    [[nodiscard]] std::uint64_t publish(std::string_view text, ngx_msec_t lifetime) noexcept;
    void fail() noexcept;
    /// Whether a line about this provider may be logged: once a minute.
    [[nodiscard]] bool may_complain() noexcept;

    /// Takes over what `other`, of a configuration that this one replaces, knows.
    void inherit(const SharedKeys& other) noexcept;

private:
    struct Block {
        ngx_msec_t fetched;
        ngx_msec_t lifetime;
        bool inherited;
        std::size_t size;
        [[nodiscard]] u_char* text() noexcept { return reinterpret_cast<u_char*>(this + 1); }
        [[nodiscard]] const u_char* text() const noexcept { return reinterpret_cast<const u_char*>(this + 1); }
    };

    [[nodiscard]] bool put(std::string_view text, const Block& times) noexcept;
    [[nodiscard]] bool is_taken() const noexcept;
    void end_turn() noexcept;

    ngx_slab_pool_t* pool_;
    Block* block_ = nullptr;  // swapped in one store: a worker killed amid publishing leaves the old or the new set
    std::atomic<std::uint64_t> version_{0};
    std::atomic<std::uint64_t> ended_{0};
    std::atomic<std::uint64_t> failures_{0};
    std::atomic<ngx_msec_t> next_try_{0};
    ngx_msec_t asked_ = 0;  // when the last fetch began or ended
    bool ever_asked_ = false;
    ngx_msec_t lease_end_ = 0;
    ngx_pid_t holder_ = 0;
    ngx_msec_t complained_ = 0;
    bool ever_complained_ = false;
};

/// Whether a time of the monotonic clock has come.
[[nodiscard]] inline bool is_past(ngx_msec_t time) noexcept {
    return static_cast<ngx_msec_int_t>(ngx_current_msec - time) >= 0;
}

}  // namespace ngx
