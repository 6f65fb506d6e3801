#pragma once

#include "ngx.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "../core/error.hpp"
#include "lua_host.hpp"

// What `jwt_status` shows. Counters live in shared memory, where they outlive reloads and dead workers: a worker adds
// to a slot of its own without a lock, and who reads sums the slots. Without a `jwt_status` in the configuration there
// is no such memory, and counting does nothing.

namespace ngx {

/// Events of the node.
enum class Counter : std::uint8_t {
    cache_hits,
    cache_misses,
    cache_evictions,
    revocation_writes,          // acknowledged
    revocation_write_failures,  // answered with an error
    sync_sent,                  // revocations handed to the other nodes
    sync_received,              // and taken over from them
    sync_connects,
    closed_expired,  // jwt_close_on_expiry ended a response: its token had expired
    closed_revoked,
};

inline constexpr std::size_t counter_count = 10;

/// States of the node; whoever sets one last decides. One that was never set is not shown.
enum class Gauge : std::uint8_t {
    revocation_entries,
    revocation_bytes,
    sync_connected,         // 0 or 1
    sync_lag_milliseconds,  // since this node was last known to hold all that the others do
    sync_queue,             // revocations that wait to be sent
};

inline constexpr std::size_t gauge_count = 5;

/// `ok`, then the members of jwt::Reason.
inline constexpr std::size_t outcome_count = 1 + static_cast<std::size_t>(jwt::Reason::error) + 1;

/// Adds to a counter of this node; from any thread of a worker, at the price of an uncontended atomic addition.
void count(Counter counter, std::uint64_t by = 1) noexcept;
void set(Gauge gauge, std::int64_t value) noexcept;

/// A line of a table of shared memory, as a configuration knows it.
using Row = std::uint16_t;
inline constexpr Row no_row = std::numeric_limits<Row>::max();

/// A request was judged in a location; nothing for an accepted token.
void count_outcome(Row location, std::optional<jwt::Reason> refused) noexcept;

/// A key source was asked for its keys; `keys` is how many it has, nothing where it could not be read.
void count_key_fetch(Row source, std::optional<std::size_t> keys) noexcept;

/// Lua code ran for so long; a call that waits runs several times, and begins once. No hook: a handler.
struct LuaRunCount {
    std::optional<Hook> hook;
    bool begun;
    bool failed;
    std::chrono::nanoseconds time;
};
void count_lua(const LuaRunCount& run) noexcept;
[[nodiscard]] bool counts() noexcept;

// While a configuration is read:

struct CountersConfig;

/// Makes room for counters; what `jwt_status` asks for. False where it cannot be had.
[[nodiscard]] bool want_counters(ngx_conf_t* cf);
/// The row of a location by its name and that of its server; no_row where nothing is counted. To be asked for once all
/// directives are read, when configurations are merged.
[[nodiscard]] Row location_row(ngx_conf_t* cf);
/// The row of a key source by a name that is no secret, as "jwt_key_request /keys".
[[nodiscard]] Row key_source_row(ngx_conf_t* cf, std::string_view name);

// For those who show them:

struct LocationCounts {
    std::string server;
    std::string location;
    std::array<std::uint64_t, outcome_count> outcomes;
};

struct KeySourceCounts {
    std::string name;
    std::uint64_t fetched;
    std::uint64_t failed;
    std::int64_t keys;
    std::optional<std::chrono::seconds> fetched_at;  // since the epoch
};

struct LuaCounts {
    std::uint64_t calls;
    std::uint64_t failed;
    std::chrono::nanoseconds time;
};

struct Counts {
    std::array<std::uint64_t, counter_count> counters;
    std::array<std::optional<std::int64_t>, gauge_count> gauges;
    std::vector<LocationCounts> locations;
    std::vector<KeySourceCounts> key_sources;
    std::array<LuaCounts, hook_count + 1> lua;  // by Hook, then handlers
};

[[nodiscard]] Counts read_counts();

struct CountersBoard;
struct CountersSlot;

/// Where a worker counts.
struct Counters {
    CountersBoard* board = nullptr;  // in shared memory; null where nothing is counted
    CountersSlot* slot = nullptr;
    const CountersConfig* config = nullptr;
};

/// Of a worker that starts; null where none is configured.
[[nodiscard]] Counters start_counters(const CountersConfig* config) noexcept;

}  // namespace ngx
