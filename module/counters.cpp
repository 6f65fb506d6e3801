#include "counters.hpp"

#include <algorithm>
#include <cstring>

#include "config.hpp"
#include "guard.hpp"
#include "worker.hpp"

namespace ngx {

namespace {

using Cell = std::atomic<std::uint64_t>;
static_assert(Cell::is_always_lock_free, "a worker that dies must leave no lock in shared memory");

constexpr std::size_t slot_count = 32;  // workers beyond share them
constexpr std::size_t max_locations = 256;
constexpr std::size_t max_key_sources = 64;
constexpr std::int64_t never_set = std::numeric_limits<std::int64_t>::min();
constexpr std::string_view others = "(others)";  // what the last row of a table is for, once the others are taken

/// Texts in shared memory, cut to their room.
template <std::size_t size>
struct Name {
    std::array<char, size> text{};
    std::uint16_t length = 0;

    void set(std::string_view from) noexcept {
        length = static_cast<std::uint16_t>(std::min(from.size(), size));
        std::memcpy(text.data(), from.data(), length);
    }
    [[nodiscard]] std::string_view view() const noexcept { return {text.data(), length}; }
    [[nodiscard]] bool is(std::string_view other) const noexcept { return view() == other.substr(0, size); }
};

struct LuaCells {
    Cell calls, failed, nanoseconds;
};

struct FetchCells {
    Cell fetched, failed;
};

struct LocationName {
    Name<64> server;
    Name<128> location;
};

struct KeySourceState {
    Name<192> name;
    std::atomic<std::int64_t> keys, fetched_at;
};

std::size_t place(Counter counter) noexcept {
    return static_cast<std::size_t>(counter);
}

void add(Cell& cell, std::uint64_t by) noexcept {
    cell.fetch_add(by, std::memory_order_relaxed);  // workers of two generations may share a slot
}

}  // namespace

/// What one worker writes. Aligned: workers must not fight for cache lines.
struct alignas(128) CountersSlot {
    std::array<Cell, counter_count> counters;
    std::array<LuaCells, hook_count + 1> lua;
    std::array<FetchCells, max_key_sources> fetches;
    std::array<std::array<Cell, outcome_count>, max_locations> outcomes;
};

/// All of the shared memory. Names are only ever added, by the process that reads the configuration, before it counts
/// them: a worker of an earlier configuration goes on with its rows.
struct CountersBoard {
    std::array<std::atomic<std::int64_t>, gauge_count> gauges;
    std::atomic<std::uint32_t> location_count, key_source_count;
    std::array<LocationName, max_locations> locations;
    std::array<KeySourceState, max_key_sources> key_sources;
    std::array<CountersSlot, slot_count> slots;
};

/// What a configuration names, and which rows of the shared memory that became.
struct CountersConfig {
    struct Location {
        std::string server;
        std::string location;
        Row row = no_row;
    };
    struct KeySource {
        std::string name;
        Row row = no_row;
    };
    std::vector<Location> locations;
    std::vector<KeySource> key_sources;
    ngx_shm_zone_t* zone = nullptr;
    CountersBoard* board = nullptr;
};

namespace {

/// The row of a table that `is_it` knows, else the next free one, which `name_it` names; the last row where all are
/// taken.
template <class Table, class IsIt, class NameIt>
Row row_of(Table& table, std::atomic<std::uint32_t>& count, IsIt&& is_it, NameIt&& name_it) {
    const std::uint32_t taken = count.load();
    auto* const end = table.begin() + taken;
    auto* const known = std::find_if(table.begin(), end, is_it);
    if (known == end && taken < table.size()) {
        name_it(table[taken], taken + 1 == table.size());
        count.store(taken + 1);
        return static_cast<Row>(taken);
    }
    return static_cast<Row>(known == end ? table.size() - 1 : static_cast<std::size_t>(known - table.begin()));
}

void find_rows(CountersConfig& config, CountersBoard& board) {
    for (CountersConfig::Location& named : config.locations) {
        named.row = row_of(
            board.locations, board.location_count,
            [&](const LocationName& row) { return row.server.is(named.server) && row.location.is(named.location); },
            [&](LocationName& row, bool last) {
                row.server.set(last ? std::string_view() : named.server);
                row.location.set(last ? others : named.location);
            });
    }
    for (CountersConfig::KeySource& named : config.key_sources) {
        named.row = row_of(
            board.key_sources, board.key_source_count,
            [&](const KeySourceState& row) { return row.name.is(named.name); },
            [&](KeySourceState& row, bool last) { row.name.set(last ? others : named.name); });
    }
}

/// Called by nginx for each new configuration; `earlier` is the zone's data of the one before, which lives on.
ngx_int_t open_zone(ngx_shm_zone_t* zone, void* earlier) noexcept {
    auto& config = *static_cast<CountersConfig*>(zone->data);
    if (earlier != nullptr) {
        config.board = static_cast<CountersConfig*>(earlier)->board;
    } else {
        auto* pool = reinterpret_cast<ngx_slab_pool_t*>(zone->shm.addr);
        void* memory = ngx_slab_alloc(pool, sizeof(CountersBoard));
        if (memory == nullptr) {
            return NGX_ERROR;
        }
        config.board = new (memory) CountersBoard();
        for (auto& gauge : config.board->gauges) {
            gauge.store(never_set);
        }
    }
    return guarded(zone->shm.log, ngx_int_t{NGX_ERROR}, [&] {
        find_rows(config, *config.board);
        return ngx_int_t{NGX_OK};
    });
}

CountersConfig* counters_config(ngx_conf_t* cf) noexcept {
    return static_cast<MainConfig*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_jwt_module))->counters;
}

template <class List, class Same, class Entry>
Row index_of(List& list, Same&& same, Entry&& entry) {
    const auto known = std::find_if(list.begin(), list.end(), same);
    if (known != list.end()) {
        return static_cast<Row>(known - list.begin());
    }
    if (list.size() >= no_row) {
        return no_row;
    }
    list.push_back(std::forward<Entry>(entry));
    return static_cast<Row>(list.size() - 1);
}

/// As the configuration writes it.
std::string location_text(const ngx_http_core_loc_conf_t& core) {
    std::string_view sign;
#if (NGX_PCRE)
    sign = core.regex != nullptr ? "~ " : "";
#endif
    return (core.exact_match ? "= " : std::string(sign)) + std::string(view(core.name));
}

}  // namespace

bool want_counters(ngx_conf_t* cf) {
    auto& main = *static_cast<MainConfig*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_jwt_module));
    if (main.counters != nullptr) {
        return true;
    }
    auto* config = make_in_pool<CountersConfig>(cf->pool);
    constexpr std::size_t of_the_allocator = 64 * 1024;
    ngx_str_t name = str("jwt_status");
    config->zone = ngx_shared_memory_add(cf, &name, sizeof(CountersBoard) + of_the_allocator, &ngx_http_jwt_module);
    if (config->zone == nullptr) {
        return false;
    }
    config->zone->data = config;
    config->zone->init = open_zone;
    main.counters = config;
    return true;
}

Row location_row(ngx_conf_t* cf) {
    CountersConfig* config = counters_config(cf);
    if (config == nullptr) {
        return no_row;
    }
    const auto* server =
        static_cast<ngx_http_core_srv_conf_t*>(ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module));
    std::string of_server(view(server->server_name));
    std::string location = location_text(core_config(cf));
    return index_of(
        config->locations, [&](const auto& known) { return known.server == of_server && known.location == location; },
        CountersConfig::Location{of_server, location});
}

Row key_source_row(ngx_conf_t* cf, std::string_view name) {
    CountersConfig* config = counters_config(cf);
    if (config == nullptr) {
        return no_row;
    }
    return index_of(
        config->key_sources, [&](const auto& known) { return known.name == name; },
        CountersConfig::KeySource{std::string(name)});
}

Counters start_counters(const CountersConfig* config) noexcept {
    if (config == nullptr || config->board == nullptr) {
        return {};
    }
    return {config->board, &config->board->slots[ngx_worker % slot_count], config};
}

bool counts() noexcept {
    return worker().counters.slot != nullptr;
}

void count(Counter counter, std::uint64_t by) noexcept {
    if (CountersSlot* slot = worker().counters.slot) {
        add(slot->counters[place(counter)], by);
    }
}

void set(Gauge gauge, std::int64_t value) noexcept {
    if (CountersBoard* board = worker().counters.board) {
        board->gauges[static_cast<std::size_t>(gauge)].store(value, std::memory_order_relaxed);
    }
}

void count_outcome(Row location, std::optional<jwt::Reason> refused) noexcept {
    const Counters& counters = worker().counters;
    if (counters.slot == nullptr || location == no_row) {
        return;
    }
    const Row row = counters.config->locations[location].row;
    add(counters.slot->outcomes[row][refused ? 1 + static_cast<std::size_t>(*refused) : 0], 1);
}

void count_key_fetch(Row source, std::optional<std::size_t> keys) noexcept {
    const Counters& counters = worker().counters;
    if (counters.slot == nullptr || source == no_row) {
        return;
    }
    const Row row = counters.config->key_sources[source].row;
    FetchCells& cells = counters.slot->fetches[row];
    add(keys ? cells.fetched : cells.failed, 1);
    if (keys) {
        KeySourceState& state = counters.board->key_sources[row];
        state.keys.store(static_cast<std::int64_t>(*keys), std::memory_order_relaxed);
        state.fetched_at.store(ngx_time(), std::memory_order_relaxed);
    }
}

void count_lua(const LuaRunCount& run) noexcept {
    CountersSlot* slot = worker().counters.slot;
    if (slot == nullptr) {
        return;
    }
    LuaCells& cells = slot->lua[run.hook ? static_cast<std::size_t>(*run.hook) : hook_count];
    add(cells.calls, run.begun ? 1 : 0);
    add(cells.failed, run.failed ? 1 : 0);
    add(cells.nanoseconds, static_cast<std::uint64_t>(run.time.count()));
}

namespace {

void add_slot(Counts& counts, const CountersSlot& slot) {
    const auto value = [](const Cell& cell) { return cell.load(std::memory_order_relaxed); };
    for (std::size_t i = 0; i < counter_count; ++i) {
        counts.counters[i] += value(slot.counters[i]);
    }
    for (std::size_t i = 0; i < counts.lua.size(); ++i) {
        counts.lua[i].calls += value(slot.lua[i].calls);
        counts.lua[i].failed += value(slot.lua[i].failed);
        counts.lua[i].time += std::chrono::nanoseconds(value(slot.lua[i].nanoseconds));
    }
    for (std::size_t i = 0; i < counts.key_sources.size(); ++i) {
        counts.key_sources[i].fetched += value(slot.fetches[i].fetched);
        counts.key_sources[i].failed += value(slot.fetches[i].failed);
    }
    for (std::size_t i = 0; i < counts.locations.size(); ++i) {
        for (std::size_t outcome = 0; outcome < outcome_count; ++outcome) {
            counts.locations[i].outcomes[outcome] += value(slot.outcomes[i][outcome]);
        }
    }
}

}  // namespace

Counts read_counts() {
    Counts counts{};
    const CountersBoard* board = worker().counters.board;
    if (board == nullptr) {
        return counts;
    }
    for (std::size_t i = 0; i < gauge_count; ++i) {
        const std::int64_t value = board->gauges[i].load(std::memory_order_relaxed);
        counts.gauges[i] = value == never_set ? std::nullopt : std::optional(value);
    }
    for (std::size_t i = 0; i < board->location_count.load(); ++i) {
        const LocationName& name = board->locations[i];
        counts.locations.push_back({std::string(name.server.view()), std::string(name.location.view()), {}});
    }
    for (std::size_t i = 0; i < board->key_source_count.load(); ++i) {
        const KeySourceState& state = board->key_sources[i];
        const std::chrono::seconds at(state.fetched_at.load());
        counts.key_sources.push_back({std::string(state.name.view()), 0, 0, state.keys.load(),
                                      at.count() == 0 ? std::nullopt : std::optional(at)});
    }
    for (const CountersSlot& slot : board->slots) {
        add_slot(counts, slot);
    }
    return counts;
}

}  // namespace ngx
