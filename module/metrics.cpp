#include "metrics.hpp"

// What the counters are called.

namespace ngx {

namespace {

using Type = Family::Type;

double seconds(std::chrono::nanoseconds time) {
    return std::chrono::duration<double>(time).count();
}

class Families {
public:
    Family& add(std::string_view name, Type type, std::string_view help, std::vector<std::string_view> labels = {}) {
        list_.push_back({name, type, help, std::move(labels), {}});
        return list_.back();
    }
    void add_value(std::string_view name, Type type, std::string_view help, double value) {
        add(name, type, help).samples.push_back({{}, value});
    }
    [[nodiscard]] std::vector<Family> take() {
        std::erase_if(list_, [](const Family& family) { return family.samples.empty(); });
        return std::move(list_);
    }

private:
    std::vector<Family> list_;
};

std::string outcome_word(std::size_t outcome) {
    return outcome == 0 ? "ok" : std::string(word(static_cast<jwt::Reason>(outcome - 1)));
}

void add_requests(Families& families, const Counts& counts) {
    Family& requests = families.add("requests_total", Type::counter, "Requests judged, by location and $jwt_status.",
                                    {"server", "location", "outcome"});
    for (const LocationCounts& location : counts.locations) {
        for (std::size_t outcome = 0; outcome < outcome_count; ++outcome) {
            requests.samples.push_back({{location.server, location.location, outcome_word(outcome)},
                                        static_cast<double>(location.outcomes[outcome])});
        }
    }
}

void add_keys(Families& families, const Counts& counts) {
    Family fetches{"key_fetches_total", Type::counter, "Times that keys were asked for.", {"source", "result"}, {}};
    Family keys{"keys", Type::gauge, "Keys of the last good fetch.", {"source"}, {}};
    Family fetched{"keys_fetched_timestamp_seconds", Type::gauge, "When keys were last fetched.", {"source"}, {}};
    for (const KeySourceCounts& source : counts.key_sources) {
        fetches.samples.push_back({{source.name, "ok"}, static_cast<double>(source.fetched)});
        fetches.samples.push_back({{source.name, "failed"}, static_cast<double>(source.failed)});
        if (source.fetched_at) {
            keys.samples.push_back({{source.name}, static_cast<double>(source.keys)});
            fetched.samples.push_back({{source.name}, seconds(*source.fetched_at)});
        }
    }
    for (Family* family : {&fetches, &keys, &fetched}) {
        families.add(family->name, family->type, family->help, family->labels).samples = std::move(family->samples);
    }
}

void add_lua(Families& families, const Counts& counts) {
    Family calls{"lua_calls_total", Type::counter, "Calls of hooks and handlers.", {"hook"}, {}};
    Family failed{"lua_errors_total", Type::counter, "Calls that failed, each answered with 500.", {"hook"}, {}};
    Family time{"lua_seconds_total", Type::counter, "Time in Lua code, waits left out.", {"hook"}, {}};
    for (std::size_t i = 0; i < counts.lua.size(); ++i) {
        const LuaCounts& lua = counts.lua[i];
        if (lua.calls == 0) {
            continue;
        }
        const std::string called = i == hook_count ? "(handlers)" : std::string(name(static_cast<Hook>(i)));
        calls.samples.push_back({{called}, static_cast<double>(lua.calls)});
        failed.samples.push_back({{called}, static_cast<double>(lua.failed)});
        time.samples.push_back({{called}, seconds(lua.time)});
    }
    for (Family* family : {&calls, &failed, &time}) {
        families.add(family->name, family->type, family->help, family->labels).samples = std::move(family->samples);
    }
}

void add_revocation(Families& families, const Counts& counts) {
    const auto counter = [&](Counter which) {
        return static_cast<double>(counts.counters[static_cast<std::size_t>(which)]);
    };
    const auto gauge = [&](std::string_view name, std::string_view help, Gauge which, double unit = 1) {
        if (const auto value = counts.gauges[static_cast<std::size_t>(which)]) {
            families.add_value(name, Type::gauge, help, static_cast<double>(*value) * unit);
        }
    };
    gauge("revocation_entries", "Revocations in the store.", Gauge::revocation_entries);
    gauge("revocation_store_bytes", "Size of the store.", Gauge::revocation_bytes);
    families
        .add("revocation_writes_total", Type::counter, "Revocations written, or answered with an error.", {"result"})
        .samples = {{{"ok"}, counter(Counter::revocation_writes)},
                    {{"failed"}, counter(Counter::revocation_write_failures)}};
    gauge("revocation_sync_connected", "Whether the other nodes can be reached.", Gauge::sync_connected);
    gauge("revocation_sync_lag_seconds", "Since this node was known to hold what the others do.",
          Gauge::sync_lag_milliseconds, 0.001);
    gauge("revocation_sync_queue", "Revocations that wait to be sent.", Gauge::sync_queue);
    if (counts.gauges[static_cast<std::size_t>(Gauge::sync_connected)]) {
        families.add_value("revocation_sync_sent_total", Type::counter, "Revocations sent to the other nodes.",
                           counter(Counter::sync_sent));
        families.add_value("revocation_sync_received_total", Type::counter, "Revocations taken over from them.",
                           counter(Counter::sync_received));
        families.add_value("revocation_sync_connects_total", Type::counter, "Connections made for it.",
                           counter(Counter::sync_connects));
    }
}

}  // namespace

std::vector<Family> families(const Counts& counts) {
    const auto counter = [&](Counter which) {
        return static_cast<double>(counts.counters[static_cast<std::size_t>(which)]);
    };
    Families families;
    add_requests(families, counts);
    families.add_value("cache_hits_total", Type::counter, "Tokens found in the cache of verified tokens.",
                       counter(Counter::cache_hits));
    families.add_value("cache_misses_total", Type::counter, "Tokens that were not.", counter(Counter::cache_misses));
    families.add_value("cache_evictions_total", Type::counter, "Tokens that made room for others.",
                       counter(Counter::cache_evictions));
    add_keys(families, counts);
    add_lua(families, counts);
    add_revocation(families, counts);
    families.add("responses_closed_total", Type::counter, "Responses ended by jwt_close_on_expiry.", {"reason"})
        .samples = {{{"expired"}, counter(Counter::closed_expired)}, {{"revoked"}, counter(Counter::closed_revoked)}};
    return families.take();
}

}  // namespace ngx
