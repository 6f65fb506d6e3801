#pragma once

#include "ngx.hpp"

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "../core/revocation.hpp"
#include "config.hpp"
#include "task.hpp"

namespace ngx {

/// jwt_revocation_store. http{} alone.
struct RevocationConfig {
    jwt::revocation::Store::Options store;
    Origin origin;
    /// The longest jwt_decode_leeway of all locations: expired tokens are let in for as long.
    std::chrono::seconds leeway{0};
    /// The longest life that some location gives a token; nothing: tokens that never end.
    std::optional<std::chrono::seconds> lifetime{std::chrono::seconds(0)};
};

/// Which tokens jwt_revocation_checks names.
enum RevocationChecks : ngx_uint_t { check_no_tokens = 0, check_access_tokens = 1, check_refresh_tokens = 2 };

/// The revocation store in a worker: checks on the event loop, writes in nginx's threads.
class Revocations {
public:
    using Changes = std::vector<jwt::revocation::Change>;
    using Result = jwt::revocation::StoreResult<std::vector<jwt::revocation::Outcome>>;
    using Done = std::function<void(const Result&)>;

private:
    struct Pending {
        Changes changes;
        Done done;  // empty: nobody waits
    };

public:
    /// A write on its way. Where this ends first, the write is made all the same, but nobody is told.
    class Write {
    public:
        Write() noexcept = default;
        ~Write() { forget(); }
        Write(Write&&) noexcept = default;
        Write& operator=(Write&& other) noexcept {
            forget();
            pending_ = std::move(other.pending_);
            return *this;
        }
        [[nodiscard]] bool waiting() const noexcept { return pending_ != nullptr && pending_->done != nullptr; }

    private:
        friend class Revocations;
        explicit Write(std::shared_ptr<Pending> pending) noexcept : pending_(std::move(pending)) {}
        void forget() noexcept {
            if (pending_ != nullptr) {
                pending_->done = nullptr;
            }
            pending_.reset();
        }
        std::shared_ptr<Pending> pending_;
    };

    explicit Revocations(const RevocationConfig& config);
    ~Revocations();
    Revocations(const Revocations&) = delete;
    Revocations& operator=(const Revocations&) = delete;

    /// What a token is looked up by; to be copied by whoever keeps it.
    [[nodiscard]] const jwt::revocation::Fingerprint& fingerprint(const jwt::AuthenticToken& token,
                                                                  std::string_view subject_claim) {
        return fingerprints_.of(token, subject_claim);
    }

    /// Whether a token was revoked. On the event loop, about a microsecond.
    [[nodiscard]] jwt::revocation::Verdict check(const jwt::revocation::Fingerprint& fingerprint) noexcept;

    /// Makes changes in one transaction; `done` is told once they are on disk, or why they are not, on the event loop
    /// and never before this returns. What several requests write at once shares a transaction.
    [[nodiscard]] Write apply(Changes changes, Done done);

    /// For threads that list and count; null while the store cannot be opened.
    [[nodiscard]] std::shared_ptr<jwt::revocation::Store> store() const noexcept { return store_; }

    /// Until when the revocation of a token must be kept that expires then.
    [[nodiscard]] jwt::Time kept_until(jwt::Time expires) const noexcept;

    /// RevocationConfig::lifetime.
    [[nodiscard]] const std::optional<std::chrono::seconds>& lifetime() const noexcept { return config_.lifetime; }

private:
    using Batch = std::list<std::shared_ptr<Pending>>;

    void open();
    void pump();
    void finish(const Result& result);
    void give_up();
    void tick();
    void sweep();
    [[nodiscard]] bool clock_is_sane() noexcept;
    void complain(const jwt::revocation::StoreFailure& failure) noexcept;
    static void tell(const Batch& batch, const Result& result);

    const RevocationConfig& config_;
    std::shared_ptr<jwt::revocation::Store> store_;
    jwt::revocation::Fingerprints fingerprints_;
    Batch queue_;
    Batch writing_;
    Task write_;
    Task sweep_;
    bool verified_ = false;  // the whole store, once
    bool stuck_ = false;     // the write that is being made takes longer than anybody waits
    ngx_event_t pump_event_{};
    ngx_event_t stuck_event_{};
    ngx_event_t tick_event_{};
    std::time_t wall_ = 0;  // at the last tick
    ngx_msec_t monotonic_ = 0;
    ngx_msec_t no_sweep_until_ = 0;
    ngx_msec_t readers_checked_ = 0;
    ngx_msec_t complained_ = 0;
};

/// The wall clock itself, where now() is that of the event loop's turn: for threads, and for moments that tokens are
/// compared with.
[[nodiscard]] jwt::Time precise_now() noexcept;

/// Whether this location asks the store about a token of that payload.
[[nodiscard]] bool is_checked(const LocationConfig& config, const jwt::Claims& claims) noexcept;

/// What the store says of a verified token; `live` where there is no store.
[[nodiscard]] jwt::revocation::Verdict revocation_of(const LocationConfig& config, const jwt::VerifiedToken& token);

/// Why a token is not taken of which the store says so; nothing where it is live.
struct Objection {
    jwt::Reason reason;
    std::string message;
};
[[nodiscard]] std::optional<Objection> objection_to(jwt::revocation::Verdict verdict);

/// 503, or 507 for a store that is full.
[[nodiscard]] ngx_int_t status_of(jwt::revocation::StoreError error) noexcept;

/// Finds mistakes of jwt_revocation_store once the configuration is read. NGX_CONF_OK or NGX_CONF_ERROR.
[[nodiscard]] char* finish_revocation(ngx_conf_t* cf) noexcept;
/// Hands the store's files to the user that workers run as, where `user` changed.
void hand_over_store(ngx_cycle_t* cycle) noexcept;

}  // namespace ngx
