#pragma once

#include "ngx.hpp"

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace ngx {

/// For the setter of a directive that needs threads: has nginx make its thread pool "default", as `aio threads` does.
/// NGX_CONF_OK, or the error of a nginx that was built without threads.
[[nodiscard]] char* need_threads(ngx_conf_t* cf, std::string_view directive) noexcept;

/// Work that a thread of nginx's pool does, and what the event loop does once it is done. Owned by whoever waits: where
/// that ends first, as a request whose client left, the work is still done, but nobody is told.
class Task {
public:
    Task() noexcept = default;
    ~Task() { hold(nullptr); }
    Task(Task&& other) noexcept { *this = std::move(other); }
    Task& operator=(Task&& other) noexcept {
        if (this != &other) {
            hold(std::exchange(other.job_, nullptr));
        }
        return *this;
    }

    /// Hands `work` to a thread; on the event loop, `done(result of work)` follows. Both must not throw, and own what
    /// they use: the thread may outlive the request and its pool. Nothing where the pool's queue is full, or nginx has
    /// none. `done` runs at most once, never before this returns; a worker that ends may leave it out. A graceful
    /// shutdown waits for it.
    template <class Work, class Done>
    [[nodiscard]] static std::optional<Task> post(Work work, Done done) {
        using Result = std::invoke_result_t<Work&>;
        struct Both final : Job {
            Both(Work w, Done d) : work_(std::move(w)), done_(std::move(d)) {}
            void work() noexcept override { result_.emplace(work_()); }
            void done() noexcept override { done_(std::move(*result_)); }
            Work work_;
            Done done_;
            std::optional<Result> result_;
        };
        auto job = std::make_unique<Both>(std::move(work), std::move(done));
        Job* started = job.get();
        if (!start(std::move(job))) {
            return std::nullopt;
        }
        Task task;
        task.hold(started);
        return task;
    }

    /// Whether `done` is still to come.
    [[nodiscard]] bool waiting() const noexcept { return job_ != nullptr; }

private:
    struct Job {
        Job() noexcept = default;
        virtual ~Job() = default;
        Job(const Job&) = delete;
        Job& operator=(const Job&) = delete;
        virtual void work() noexcept = 0;
        virtual void done() noexcept = 0;

        Task* owner = nullptr;  // null: nobody waits
#if (NGX_THREADS)
        ngx_thread_task_t task{};
        ngx_event_t keep_alive{};
#endif
    };

    static bool start(std::unique_ptr<Job> job) noexcept;
    static void finish(Job* job) noexcept;
    /// Takes a job's end for its own, in place of the one that it had.
    void hold(Job* job) noexcept {
        if (job_ != nullptr) {
            job_->owner = nullptr;
        }
        job_ = job;
        if (job_ != nullptr) {
            job_->owner = this;
        }
    }

    Job* job_ = nullptr;
};

/// From the event loop, outside of the request's own handlers: has nginx run `r` again, as it does when a subrequest of
/// it ended. `r` may be gone afterwards.
void wake(ngx_http_request_t* r) noexcept;

}  // namespace ngx
