#pragma once

#include "ngx.hpp"

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "../core/key.hpp"
#include "../core/token_cache.hpp"
#include "../core/verifier.hpp"
#include "counters.hpp"
#include "live_keys.hpp"
#include "lua_host.hpp"
#include "publishing.hpp"
#include "replication.hpp"
#include "revocation.hpp"
#include "watch.hpp"

namespace ngx {

/// Keys that hooks choose by their text: parsed once, since a PEM costs more than the signature it checks. Holds the
/// last so many; a flood of different keys costs parsing, not memory.
class HookKeys {
public:
    /// The keys of a secret, PEM or JWK text: PEM and JSON are recognised by how they begin. A secret serves the HS
    /// algorithms of `wanted`.
    [[nodiscard]] tl::expected<std::shared_ptr<const jwt::KeySet>, std::string> find(std::string_view text,
                                                                                     jwt::AlgorithmSet wanted);

private:
    static constexpr std::size_t capacity = 256;
    std::map<std::string, std::shared_ptr<const jwt::KeySet>, std::less<>> keys_;
};

/// What a worker process has of its own, made once it runs.
struct Worker {
    jwt::Verifier verifier;
    jwt::json::Parser parser;
    std::unique_ptr<jwt::TokenCache> cache;  // null where it is off
    HookKeys hook_keys;
    Counters counters;
    Watches watches;
    std::unique_ptr<LuaHost> lua;              // null where no hooks file is configured
    std::unique_ptr<Revocations> revocations;  // null without jwt_revocation_store
    LiveKeys live_keys;
    Publications publications;
    std::unique_ptr<Replication> replication;  // null without jwt_revocation_sync
};

/// The worker of this process: made by start_worker, ended by stop_worker. Never null while requests are served.
[[nodiscard]] Worker& worker() noexcept;

ngx_int_t start_worker(ngx_cycle_t* cycle) noexcept;
void stop_worker(ngx_cycle_t* cycle) noexcept;

/// nginx's wall clock, which it reads once an event loop turn.
[[nodiscard]] jwt::Time now() noexcept;

}  // namespace ngx
