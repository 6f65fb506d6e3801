#pragma once

#include "ngx.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../core/revocation_sync.hpp"
#include "config.hpp"
#include "redis_connection.hpp"
#include "revocation.hpp"
#include "task.hpp"

// The revocations of many nodes, through Redis: jwt_revocation_sync.

namespace ngx {

/// In shared memory, for all workers.
struct ReplicationState {
    std::atomic<std::int64_t> current_at{0};  // ms since 1970 when this node knew all that Redis knew; 0: never
};

/// `jwt_revocation_sync`.
struct ReplicationConfig {
    jwt::revocation::Replica::Options options;
    std::vector<ngx_addr_t> addresses;  // of one name: tried in turn
    std::string shown;                  // the URL without user and password
    ngx_shm_zone_t* zone = nullptr;
    Origin origin;

    ~ReplicationConfig();
    /// Null before shared memory is made.
    [[nodiscard]] ReplicationState* state() const noexcept { return static_cast<ReplicationState*>(zone->data); }
};

/// Finds mistakes of jwt_revocation_sync once the configuration is read, and has the store keep what is to be sent.
/// NGX_CONF_OK or NGX_CONF_ERROR.
[[nodiscard]] char* finish_replication(ngx_conf_t* cf) noexcept;

/// A lock between the processes of a machine, on a file that is there. It ends with its process, however that ends.
class ProcessLock {
public:
    explicit ProcessLock(std::string path) noexcept : path_(std::move(path)) {}
    ~ProcessLock() { release(); }
    ProcessLock(const ProcessLock&) = delete;
    ProcessLock& operator=(const ProcessLock&) = delete;

    /// False where another process has it, or there is no such file; does not wait.
    [[nodiscard]] bool try_take() noexcept;
    void release() noexcept;

private:
    std::string path_;
    int file_ = -1;
};

/// At most one line a minute.
class SeldomLog {
public:
    void write(ngx_uint_t level, std::string_view text) noexcept;

private:
    std::optional<ngx_msec_t> last_;
};

/// A worker's part: one process of a machine holds the connection, the others wait to take over.
class Replication final : RedisConnection::Listener {
public:
    /// All of them outlive it. `folder`: of the store.
    Replication(const ReplicationConfig& config, const Revocations& revocations, const std::string& folder);
    ~Replication();
    Replication(const Replication&) = delete;
    Replication& operator=(const Replication&) = delete;

    /// Whether what is known of other nodes is too old for this location.
    [[nodiscard]] bool too_stale(const LocationConfig& config) const noexcept;

private:
    enum class Role : std::uint8_t { standing_by, away, connecting, connected, exchanging, ended };

    void connected() noexcept override;
    [[nodiscard]] tl::expected<void, std::string> replied(const jwt::redis::Reply& reply) override;
    void closed(std::string_view why) noexcept override;

    static void on_timer(ngx_event_t* event) noexcept;
    void act();
    void stand_by();
    void connect();
    void step();
    void start(jwt::revocation::Work work);
    void worked(jwt::revocation::StoreResult<jwt::revocation::WorkResult> result);
    void publish();
    [[nodiscard]] std::int64_t age() const noexcept;
    void show() const;
    void end() noexcept;
    void schedule(ngx_msec_t delay) noexcept;

    const ReplicationConfig& config_;
    ReplicationState& state_;
    const Revocations& revocations_;
    jwt::revocation::Replica replica_;
    jwt::revocation::Replica::Counters published_;
    ProcessLock lock_;
    Role role_ = Role::standing_by;
    std::unique_ptr<RedisConnection> connection_;
    std::size_t next_address_ = 0;
    ngx_msec_t delay_;
    ngx_event_t timer_{};
    std::optional<Task> task_;
    bool told_of_failure_ = false;
    SeldomLog failures_;
    SeldomLog exchanges_;
    SeldomLog store_failures_;
    SeldomLog complaints_;
};

}  // namespace ngx
