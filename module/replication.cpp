#include "replication.hpp"

#include <algorithm>
#include <array>
#include <type_traits>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "../core/base64url.hpp"
#include "../core/random.hpp"
#include "counters.hpp"
#include "guard.hpp"
#include "worker.hpp"

namespace ngx {

using jwt::revocation::Replica;
using jwt::revocation::StoreResult;
using jwt::revocation::Work;
using jwt::revocation::WorkResult;

namespace {

constexpr ngx_msec_t try_every = 250;  // for the lock
constexpr ngx_msec_t pause_time = 100;
constexpr ngx_msec_t store_pause = 1000;  // when it failed
constexpr ngx_msec_t first_delay = 100;
constexpr ngx_msec_t longest_delay = 2000;
constexpr ngx_msec_t log_every = 60'000;

std::int64_t milliseconds(jwt::Time time) noexcept {
    return time.time_since_epoch().count();
}

/// All nodes lose Redis at the same time, and must not come back at the same time.
ngx_msec_t jittered(ngx_msec_t delay) noexcept {
    return delay / 2 + static_cast<ngx_msec_t>(ngx_random()) % (delay / 2 + 1);
}

template <class Number>
void raise(std::atomic<Number>& to, Number value) noexcept {
    Number known = to.load(std::memory_order_relaxed);
    while (known < value && !to.compare_exchange_weak(known, value, std::memory_order_relaxed)) {
    }
}

}  // namespace

ReplicationConfig::~ReplicationConfig() {
    ngx_explicit_memzero(options.password.data(), options.password.size());
}

bool ProcessLock::try_take() noexcept {
    if (file_ == -1) {
        file_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    }
    return file_ != -1 && flock(file_, LOCK_EX | LOCK_NB) == 0;
}

void ProcessLock::release() noexcept {
    if (file_ != -1) {
        close(file_);
        file_ = -1;
    }
}

void SeldomLog::write(ngx_uint_t level, std::string_view text) noexcept {
    if (!last_ || ngx_current_msec - *last_ >= log_every) {
        last_ = ngx_current_msec;
        ngx::log(ngx_cycle->log, level, text);
    }
}

Replication::Replication(const ReplicationConfig& config, const Revocations& revocations, const std::string& folder)
    : config_(config),
      state_(*config.state()),
      revocations_(revocations),
      replica_(config.options, jwt::base64url::encode(jwt::random_bytes(16))),
      lock_(folder + "/data.mdb"),
      delay_(first_delay) {
    timer_.handler = on_timer;
    timer_.data = this;
    timer_.log = ngx_cycle->log;
    timer_.cancelable = 1;
    schedule(1);
}

Replication::~Replication() {
    end();
}

/// Milliseconds since this node knew all; a node that never did is as old as the clock.
std::int64_t Replication::age() const noexcept {
    return milliseconds(now()) - state_.current_at.load(std::memory_order_relaxed);
}

bool Replication::too_stale(const LocationConfig& config) const noexcept {
    const Staleness* staleness = config.max_staleness;
    return staleness != nullptr && staleness->closes && age() > std::int64_t{staleness->seconds} * 1000;
}

void Replication::schedule(ngx_msec_t delay) noexcept {
    ngx_add_timer(&timer_, delay);
}

void Replication::on_timer(ngx_event_t* event) noexcept {
    auto* self = static_cast<Replication*>(event->data);
    const bool acted = guarded(ngx_cycle->log, false, [self] {
        self->act();
        return true;
    });
    if (!acted) {
        self->schedule(store_pause);
    }
}

void Replication::act() {
    if (ngx_exiting != 0) {
        end();
        return;
    }
    switch (role_) {
        case Role::standing_by:
            stand_by();
            break;
        case Role::away:
            connect();
            break;
        case Role::connected:
            role_ = Role::exchanging;
            replica_.connected();
            [[fallthrough]];
        case Role::exchanging:
            step();
            break;
        case Role::connecting:
        case Role::ended:
            break;
    }
}

/// Another process holds the connection, of this nginx or, during an upgrade, of another, whose shared memory is not
/// ours: the store tells how it does.
void Replication::stand_by() {
    const auto store = revocations_.store();
    if (store != nullptr && age() > 2 * std::int64_t{store_pause}) {
        if (const auto kept = store->position()) {
            if (const auto time = jwt::revocation::current_at(*kept)) {
                raise(state_.current_at, milliseconds(*time));
            }
        }
    }
    if (store == nullptr || !lock_.try_take()) {
        schedule(try_every);
        return;
    }
    role_ = Role::away;
    connect();
}

void Replication::connect() {
    if (task_ && task_->waiting()) {  // of the connection before: what it brings belongs to the state that it began in
        schedule(pause_time);
        return;
    }
    const ngx_addr_t& address = config_.addresses[next_address_++ % config_.addresses.size()];
    auto connection = RedisConnection::open(address, *this);
    if (!connection) {
        closed(connection.error());
        return;
    }
    role_ = Role::connecting;
    connection_ = std::move(*connection);
}

void Replication::connected() noexcept {
    count(Counter::sync_connects);
    role_ = Role::connected;
    schedule(1);
}

tl::expected<void, std::string> Replication::replied(const jwt::redis::Reply& reply) {
    auto taken = replica_.answered(reply, now());
    if (taken) {
        step();
    }
    return taken;
}

void Replication::closed(std::string_view why) noexcept {
    connection_.reset();
    if (timer_.timer_set != 0) {
        ngx_del_timer(&timer_);
    }
    if (ngx_exiting != 0) {
        end();
        return;
    }
    role_ = Role::away;
    set(Gauge::sync_connected, 0);
    schedule(jittered(delay_));
    delay_ = std::min(delay_ * 2, longest_delay);
    told_of_failure_ = true;
    static_cast<void>(guarded(ngx_cycle->log, false, [&] {
        show();
        const std::string known =
            state_.current_at.load() == 0 ? "not known" : "known as of " + std::to_string(age() / 1000) + " s ago";
        failures_.write(NGX_LOG_ERR, "jwt: Redis at " + config_.shown + ": " + std::string(why) +
                                         "; revocations of other nodes are " + known +
                                         ", those of this node are kept until Redis is back");
        return true;
    }));
}

void Replication::step() {
    publish();
    Replica::Step step = replica_.next(now());
    if (auto* send = std::get_if<Replica::Send>(&step)) {
        connection_->send(std::move(send->bytes));
    } else if (auto* work = std::get_if<Work>(&step)) {
        start(std::move(*work));
    } else {
        schedule(replica_.stuck() ? store_pause : pause_time);
    }
}

void Replication::start(Work work) {
    auto store = revocations_.store();
    if (store == nullptr) {
        schedule(store_pause);
        return;
    }
    auto posted = Task::post(
        [store = std::move(store), work = std::move(work)]() noexcept {
            return guarded(ngx_cycle->log,
                           StoreResult<WorkResult>(tl::make_unexpected(jwt::revocation::StoreFailure{
                               jwt::revocation::StoreError::unavailable, "has no memory"})),
                           [&] { return perform(*store, work); });
        },
        [this](StoreResult<WorkResult> result) noexcept {
            const bool went_on = guarded(ngx_cycle->log, false, [&] {
                worked(std::move(result));
                return true;
            });
            if (!went_on && role_ != Role::ended) {
                schedule(store_pause);
            }
        });
    if (!posted) {
        schedule(pause_time);  // the queue is full: asked again, the replica gives the same work
        return;
    }
    task_ = std::move(*posted);
}

void Replication::worked(StoreResult<WorkResult> result) {
    const auto failure = result ? result->failure : std::optional(result.error());
    if (failure) {
        store_failures_.write(NGX_LOG_ERR,
                              "jwt: revocations of other nodes wait: the revocation store " + failure->message);
    }
    if (result) {
        replica_.worked(std::move(*result));
    }
    if (role_ == Role::exchanging && connection_ != nullptr) {
        result ? step() : schedule(store_pause);
    }
}

void Replication::publish() {
    const Replica::Counters counters = replica_.counters();
    count(Counter::sync_received, counters.received - published_.received);
    count(Counter::sync_sent, counters.sent - published_.sent);
    const bool exchanges = counters.exchanges != published_.exchanges;
    const bool knows_all = counters.rounds != published_.rounds;
    published_ = counters;
    if (const std::string complaint = replica_.take_complaint(); !complaint.empty()) {
        complaints_.write(NGX_LOG_WARN, "jwt: Redis at " + config_.shown + ": " + complaint);
    }
    if (exchanges) {
        exchanges_.write(NGX_LOG_NOTICE, "jwt: all revocations are exchanged with Redis at " + config_.shown +
                                             ", which does not have the entry that this node read last");
    }
    if (!knows_all) {
        show();
        return;
    }
    state_.current_at.store(milliseconds(*replica_.current_at()), std::memory_order_relaxed);
    set(Gauge::sync_connected, 1);
    show();
    delay_ = first_delay;
    if (std::exchange(told_of_failure_, false)) {
        log(ngx_cycle->log, NGX_LOG_NOTICE, "jwt: revocations are exchanged again with Redis at ", config_.shown);
    }
}

/// For jwt_status.
void Replication::show() const {
    set(Gauge::sync_lag_milliseconds, age());
    const auto store = revocations_.store();
    if (store == nullptr) {
        return;
    }
    if (const auto queue = store->outbox_size()) {
        set(Gauge::sync_queue, static_cast<std::int64_t>(*queue));
    }
}

void Replication::end() noexcept {
    if (timer_.timer_set != 0) {
        ngx_del_timer(&timer_);
    }
    connection_.reset();
    role_ = Role::ended;
    lock_.release();
}

}  // namespace ngx
