#include "revocation.hpp"

#include <algorithm>
#include <string>

#include "counters.hpp"
#include "guard.hpp"
#include "replication.hpp"
#include "worker.hpp"

namespace ngx {

namespace {

using jwt::revocation::Change;
using jwt::revocation::Outcome;
using jwt::revocation::Store;
using jwt::revocation::StoreError;
using jwt::revocation::StoreFailure;
using jwt::revocation::StoreResult;
using jwt::revocation::Verdict;

constexpr ngx_msec_t tick_interval = 1000;
// Records that one sweep looks at, a fraction of a millisecond in a thread.
constexpr std::size_t swept_at_once = 10'000;
constexpr ngx_msec_t busy_sweep_interval = 100;
constexpr ngx_msec_t readers_interval = 60'000;
constexpr ngx_msec_t complaint_interval = 60'000;
// Only one process writes at a time: where another hangs in the middle of it, requests are told so.
constexpr ngx_msec_t longest_write = 5000;
constexpr std::size_t most_changes = 1000;
// Clocks of other nodes may be behind.
constexpr std::chrono::seconds clock_slack{60};
// A wall clock that leaps by more than this may leap back: what it says has expired is not deleted yet.
constexpr std::int64_t greatest_leap = 60;
constexpr ngx_msec_t leap_pause = 600'000;

template <void (Revocations::*handler)()>
void set_up(ngx_event_t& event, Revocations& revocations) noexcept {
    event.data = &revocations;
    event.log = ngx_cycle->log;
    event.cancelable = 1;
    event.handler = [](ngx_event_t* ev) {
        static_cast<void>(guarded(ev->log, 0, [ev] {
            (static_cast<Revocations*>(ev->data)->*handler)();
            return 0;
        }));
    };
}

/// Whether this worker is to stay; asked by a thread, which a worker that ends waits for.
bool goes_on() noexcept {
    return ngx_quit == 0 && ngx_terminate == 0 && ngx_exiting == 0;
}

void stop(ngx_event_t& event) noexcept {
    if (event.timer_set) {
        ngx_del_timer(&event);
    }
    if (event.posted) {
        ngx_delete_posted_event(&event);
    }
}

tl::unexpected<StoreFailure> unavailable(const char* why) {
    return tl::unexpected<StoreFailure>({StoreError::unavailable, why});
}

}  // namespace

Revocations::Revocations(const RevocationConfig& config) : config_(config) {
    set_up<&Revocations::pump>(pump_event_, *this);
    set_up<&Revocations::give_up>(stuck_event_, *this);
    set_up<&Revocations::tick>(tick_event_, *this);
    wall_ = ngx_time();
    monotonic_ = ngx_current_msec;
    open();
    ngx_add_timer(&tick_event_, tick_interval);
}

Revocations::~Revocations() {
    stop(pump_event_);
    stop(stuck_event_);
    stop(tick_event_);
}

void Revocations::open() {
    auto opened = Store::open(config_.store);
    if (opened) {
        store_ = std::move(*opened);
    } else {
        complain(opened.error());
    }
}

Verdict Revocations::check(const jwt::revocation::Fingerprint& fingerprint) noexcept {
    return store_ == nullptr ? Verdict::unavailable : store_->check(fingerprint);
}

Revocations::Write Revocations::apply(Changes changes, Done done) {
    auto pending = std::make_shared<Pending>(Pending{std::move(changes), std::move(done)});
    queue_.push_back(pending);
    ngx_post_event(&pump_event_, &ngx_posted_events);
    return Write(std::move(pending));
}

/// Starts the next write, with all that waits for one.
void Revocations::pump() {
    if (queue_.empty() || (write_.waiting() && !stuck_)) {
        return;
    }
    if (stuck_ || store_ == nullptr) {
        tell(std::exchange(queue_, {}),
             store_ == nullptr ? unavailable("could not be opened") : unavailable("is busy: another process writes"));
        return;
    }
    Changes changes;
    while (!queue_.empty() && (changes.empty() || changes.size() + queue_.front()->changes.size() <= most_changes)) {
        const Changes& more = queue_.front()->changes;
        changes.insert(changes.end(), more.begin(), more.end());
        writing_.splice(writing_.end(), queue_, queue_.begin());
    }
    auto task =
        Task::post([store = store_, changes = std::move(changes)] { return store->apply(changes, precise_now()); },
                   [this](const Result& result) { finish(result); });
    if (!task) {
        finish(unavailable("cannot be written: nginx's thread pool is full"));
        return;
    }
    write_ = std::move(*task);
    ngx_add_timer(&stuck_event_, longest_write);
}

void Revocations::finish(const Result& result) {
    stop(stuck_event_);
    stuck_ = false;
    if (!result) {
        complain(result.error());
    }
    const Batch batch = std::exchange(writing_, {});
    ngx_post_event(&pump_event_, &ngx_posted_events);  // for those that came meanwhile
    tell(batch, result);
}

/// The write may still be made: it is not acknowledged.
void Revocations::give_up() {
    stuck_ = true;
    const Result busy = unavailable("is busy: another process writes");
    complain(busy.error());
    tell(std::exchange(writing_, {}), busy);
}

/// Each its part of the outcomes. Whoever is told may write again, or end what others wait for.
void Revocations::tell(const Batch& batch, const Result& result) {
    std::size_t first = 0;
    for (const std::shared_ptr<Pending>& pending : batch) {
        const std::size_t count = pending->changes.size();
        ngx::count(result ? Counter::revocation_writes : Counter::revocation_write_failures, count);
        const Done done = std::exchange(pending->done, nullptr);
        if (done != nullptr && result) {
            const auto part = result->begin() + static_cast<std::ptrdiff_t>(first);
            done(std::vector<Outcome>(part, part + static_cast<std::ptrdiff_t>(count)));
        } else if (done != nullptr) {
            done(tl::unexpected<StoreFailure>(result.error()));
        }
        first += count;
    }
}

jwt::Time Revocations::kept_until(jwt::Time expires) const noexcept {
    return expires + config_.leeway + clock_slack;
}

void Revocations::tick() {
    if (store_ == nullptr) {
        open();
    } else {
        static_cast<void>(store_->check({}));  // opens it anew where it must be
        if (ngx_worker == 0 && clock_is_sane()) {
            sweep();
        }
    }
    if (!tick_event_.timer_set) {
        ngx_add_timer(&tick_event_, tick_interval);
    }
}

bool Revocations::clock_is_sane() noexcept {
    const std::time_t wall = ngx_time();
    const ngx_msec_t monotonic = ngx_current_msec;
    const auto passed = static_cast<std::int64_t>((monotonic - monotonic_) / 1000);
    if (wall - wall_ - passed > greatest_leap) {
        no_sweep_until_ = monotonic + leap_pause;
    }
    wall_ = wall;
    monotonic_ = monotonic;
    return static_cast<ngx_msec_int_t>(monotonic - no_sweep_until_) >= 0;
}

void Revocations::sweep() {
    if (sweep_.waiting() || ngx_exiting) {
        return;
    }
    const bool check_readers = ngx_current_msec - readers_checked_ >= readers_interval;
    if (check_readers) {
        readers_checked_ = ngx_current_msec;
    }
    using Looked = std::pair<StoreResult<Store::Swept>, StoreResult<jwt::revocation::Statistics>>;
    auto task = Task::post(
        // `at`: the time that was found sane, whatever the clock says once the thread comes to it.
        [store = store_, check_readers, at = now(), verify = !std::exchange(verified_, true)]() -> Looked {
            if (auto good = verify ? store->verify(goes_on) : StoreResult<void>(); !good) {
                return {tl::unexpected<StoreFailure>(good.error()), store->statistics()};
            }
            if (check_readers) {
                store->check_readers();
            }
            return {store->sweep(swept_at_once, at), store->statistics()};
        },
        [this](const Looked& done) {
            const auto& [swept, statistics] = done;
            if (statistics) {
                set(Gauge::revocation_entries, static_cast<std::int64_t>(statistics->tokens + statistics->rules));
                set(Gauge::revocation_bytes, static_cast<std::int64_t>(statistics->used_size - statistics->free_size));
            }
            if (!swept) {
                complain(swept.error());
            } else if (swept->deleted != 0 && !swept->wrapped && tick_event_.timer_set) {
                ngx_add_timer(&tick_event_, busy_sweep_interval);  // there is more
            }
        });
    if (task) {
        sweep_ = std::move(*task);
    }
}

void Revocations::complain(const StoreFailure& failure) noexcept {
    if (complained_ != 0 && ngx_current_msec - complained_ < complaint_interval) {
        return;
    }
    complained_ = ngx_current_msec;
    static_cast<void>(guarded(ngx_cycle->log, 0, [&] {
        log(ngx_cycle->log, NGX_LOG_ERR, "jwt: the revocation store \"" + config_.store.folder + "\" ",
            failure.message);
        return 0;
    }));
}

jwt::Time precise_now() noexcept {
    return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

bool is_checked(const LocationConfig& config, const jwt::Claims& claims) noexcept {
    const std::string_view type = jwt::token_type(claims);
    const ngx_uint_t checks = config.revocation_checks;
    // What is neither is checked wherever anything is: nobody named it to be left out.
    const bool left_out = (type == "access" && (checks & check_access_tokens) == 0) ||
                          (type == "refresh" && (checks & check_refresh_tokens) == 0);
    return checks != check_no_tokens && !left_out;
}

Verdict revocation_of(const LocationConfig& config, const jwt::VerifiedToken& token) {
    Revocations* revocations = worker().revocations.get();
    if (revocations == nullptr) {
        return Verdict::live;
    }
    const Verdict verdict =
        revocations->check(revocations->fingerprint(token.authentic(), config.policy->identity_claim));
    const bool in_doubt = worker().replication != nullptr && worker().replication->too_stale(config);
    return verdict == Verdict::live && in_doubt ? Verdict::unavailable : verdict;
}

std::optional<Objection> objection_to(Verdict verdict) {
    switch (verdict) {
        case Verdict::live:
            break;
        case Verdict::revoked:
            return Objection{jwt::Reason::revoked, "Token has been revoked"};
        case Verdict::unavailable:
            return Objection{jwt::Reason::unavailable, "Token cannot be verified now"};
    }
    return std::nullopt;
}

ngx_int_t status_of(StoreError error) noexcept {
    return error == StoreError::full ? NGX_HTTP_INSUFFICIENT_STORAGE : NGX_HTTP_SERVICE_UNAVAILABLE;
}

}  // namespace ngx
