#include "watch.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <string_view>

#include "config.hpp"
#include "counters.hpp"
#include "guard.hpp"
#include "issuers.hpp"
#include "request_state.hpp"
#include "revocation.hpp"
#include "worker.hpp"

namespace ngx {

namespace {

// Each request is looked at about once a second: a tenth of them at a time, so that many do not hold up the others. By
// the wall clock each time, however that was set meanwhile.
constexpr ngx_msec_t tick_length = 100;
constexpr std::size_t ticks_a_round = 10;

constexpr double never = std::numeric_limits<double>::infinity();

double seconds_now() noexcept {
    return std::chrono::duration<double>(now().time_since_epoch()).count();
}

}  // namespace

/// Lives in the pool of its request.
struct Watches::Entry {
    Entry(Watches& watches, ngx_http_request_t* request, double end,
          const std::optional<jwt::revocation::Fingerprint>& print) noexcept
        : owner(&watches), main(request), ends_at(end), fingerprint(print) {
        ngx_queue_insert_tail(&owner->entries_, &link);
        ++owner->count_;
    }
    ~Entry() { forget(); }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    void forget() noexcept {
        if (watched) {
            watched = false;
            ngx_queue_remove(&link);
            --owner->count_;
        }
    }

    Watches* owner;
    ngx_queue_t link{};
    ngx_http_request_t* main;
    double ends_at;                                           // seconds since 1970
    std::optional<jwt::revocation::Fingerprint> fingerprint;  // where the store is asked about it
    bool watched = true;
};

namespace {

/// Ends a request as nginx does when a worker's time to shut down is over: what is behind it ends too, and of HTTP/2
/// its stream alone. The request is gone afterwards.
void end_request(ngx_http_request_t* r) noexcept {
    ngx_connection_t* c = r->connection;
    if (r->headers_out.status == 0) {
        r->headers_out.status = NGX_HTTP_UNAUTHORIZED;  // for the access log: nothing was sent
    }
    c->close = 1;
    c->read->handler(c->read);
}

}  // namespace

Watches::Watches() noexcept {
    ngx_queue_init(&entries_);
    timer_.data = this;
    timer_.log = ngx_cycle->log;
    timer_.handler = tick;
    timer_.cancelable = 1;
}

Watches::~Watches() {
    if (timer_.timer_set) {
        ngx_del_timer(&timer_);
    }
}

void Watches::watch(ngx_http_request_t* r, const RequestState& state) {
    const LocationConfig* config = state.let_in_by();
    // An open location behind a redirect shows the token too: it was watched where it was judged.
    if (config == nullptr || config != &location_config(r) || config->close_on_expiry == 0) {
        return;
    }
    const auto exp = state.accepted()->claims()[jwt::Claim::exp];
    std::optional<jwt::revocation::Fingerprint> fingerprint;
    if (worker().revocations != nullptr && config->required->check_revocation &&
        is_checked(*config, state.accepted()->claims())) {
        fingerprint = worker().revocations->fingerprint(state.accepted()->authentic(), config->policy->identity_claim);
    }
    const auto policy = policy_for(*config, state.accepted()->authentic());
    const double leeway = policy ? static_cast<double>((*policy)->leeway.count()) : 0;
    const double end = exp ? *exp->number() + leeway : never;
    if (end == never && !fingerprint) {
        return;
    }
    make_in_pool<Entry>(r->pool, *this, r->main, end, fingerprint);
    if (!timer_.timer_set) {
        ngx_add_timer(&timer_, tick_length);
    }
}

/// A store that cannot be read ends no response: it may be read again in a moment.
bool Watches::is_revoked(const Entry& entry) noexcept {
    return entry.fingerprint && worker().revocations->check(*entry.fingerprint) == jwt::revocation::Verdict::revoked;
}

void Watches::tick(ngx_event_t* event) noexcept {
    auto& watches = *static_cast<Watches*>(event->data);
    watches.look();
    if (watches.count_ != 0) {
        ngx_add_timer(&watches.timer_, tick_length);
    }
}

void Watches::look() {
    const double time = seconds_now();
    // Ending one request may end others: the first one is fetched anew each time.
    for (std::size_t left = (count_ + ticks_a_round - 1) / ticks_a_round; left != 0 && count_ != 0; --left) {
        ngx_queue_t* first = ngx_queue_head(&entries_);
        Entry& entry = *ngx_queue_data(first, Entry, link);
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a queue that is not empty has no null in it
        ngx_queue_remove(first);
        ngx_queue_insert_tail(&entries_, first);
        ngx_http_request_t* r = entry.main;
        const bool expired = time >= entry.ends_at;
        // Of what is done, the last bytes are on their way; what closes has ended by another of its tokens.
        if (r->done || r->connection->close || (!expired && !is_revoked(entry))) {
            continue;
        }
        entry.forget();
        count(expired ? Counter::closed_expired : Counter::closed_revoked);
        log(r->connection->log, NGX_LOG_INFO,
            expired ? "jwt: the response ends: its token has expired"
                    : "jwt: the response ends: its token has been revoked");
        end_request(r);
    }
}

}  // namespace ngx
