#include "task.hpp"

#include <string>

#include "config.hpp"
#include "guard.hpp"

namespace ngx {

#if (NGX_THREADS)

namespace {

// A graceful shutdown waits for timers, not for threads: this long at most.
constexpr ngx_msec_t longest_wait = 60'000;

ngx_thread_pool_t* default_pool() noexcept {
    static constexpr std::string_view name = "default";
    ngx_str_t wanted = str(name);
    return ngx_thread_pool_get(const_cast<ngx_cycle_t*>(ngx_cycle), &wanted);
}

}  // namespace

char* need_threads(ngx_conf_t* cf, std::string_view) noexcept {
    return ngx_thread_pool_add(cf, nullptr) == nullptr ? static_cast<char*>(NGX_CONF_ERROR) : NGX_CONF_OK;
}

bool Task::start(std::unique_ptr<Job> job) noexcept {
    ngx_thread_pool_t* pool = default_pool();
    if (pool == nullptr) {
        return false;
    }
    job->task.ctx = job.get();
    job->task.handler = [](void* data, ngx_log_t*) { static_cast<Job*>(data)->work(); };
    job->task.event.data = job.get();
    job->task.event.log = ngx_cycle->log;
    job->task.event.handler = [](ngx_event_t* event) { finish(static_cast<Job*>(event->data)); };
    job->keep_alive.data = job.get();
    job->keep_alive.log = ngx_cycle->log;
    job->keep_alive.handler = [](ngx_event_t*) {};
    if (ngx_thread_task_post(pool, &job->task) != NGX_OK) {
        return false;
    }
    ngx_add_timer(&job->keep_alive, longest_wait);
    static_cast<void>(job.release());  // until finish
    return true;
}

void Task::finish(Job* job) noexcept {
    const std::unique_ptr<Job> ended(job);
    if (job->keep_alive.timer_set) {
        ngx_del_timer(&job->keep_alive);
    }
    if (job->owner != nullptr) {
        job->owner->job_ = nullptr;
        job->done();
    }
}

#else

char* need_threads(ngx_conf_t* cf, std::string_view directive) noexcept {
    return guarded(cf->log, static_cast<char*>(NGX_CONF_ERROR), [&] {
        return config_error(cf, std::string(directive) +
                                    " works in threads, and this nginx was built without: build it with "
                                    "--with-threads");
    });
}

bool Task::start(std::unique_ptr<Job>) noexcept {
    return false;
}

void Task::finish(Job*) noexcept {}

#endif

void wake(ngx_http_request_t* r) noexcept {
    ngx_connection_t* c = r->connection;
    ngx_http_set_log_request(c->log, r);
    if (ngx_http_post_request(r, nullptr) != NGX_OK) {
        return;  // no memory: the request goes on when its client leaves
    }
    ngx_http_run_posted_requests(c);
}

}  // namespace ngx
