#pragma once

#include "ngx.hpp"

#include <exception>
#include <initializer_list>
#include <new>
#include <string_view>
#include <utility>

namespace ngx {

/// The one way to nginx's log. Control characters are escaped, long texts cut: what comes from a client cannot pose as
/// a log line. Never pass token text or key bytes.
void log(ngx_log_t* to, ngx_uint_t level, std::initializer_list<std::string_view> texts) noexcept;

inline void log(ngx_log_t* to, ngx_uint_t level, std::string_view text, std::string_view more = {}) noexcept {
    log(to, level, {text, more});
}

/// Runs the body of a function that nginx calls: an exception through nginx's frames would end the worker. What is
/// caught here is memory that ran out or an invariant that broke: logged, and answered with `failure`, which must
/// refuse.
template <class Result, class Body>
[[nodiscard]] Result guarded(ngx_log_t* to, Result failure, Body&& body) noexcept {
    try {
        return std::forward<Body>(body)();
    } catch (const std::exception& problem) {
        log(to, NGX_LOG_ERR, "jwt: ", problem.what());
        return failure;
    }
}

/// Makes a T that ends with the pool. Throws std::bad_alloc.
template <class T, class... Arguments>
T* make_in_pool(ngx_pool_t* pool, Arguments&&... arguments) {
    ngx_pool_cleanup_t* cleanup = ngx_pool_cleanup_add(pool, sizeof(T));
    if (cleanup == nullptr) {
        throw std::bad_alloc();
    }
    T* object = new (cleanup->data) T(std::forward<Arguments>(arguments)...);
    // Set after construction: the pool must not destroy what was never made.
    cleanup->handler = [](void* data) { static_cast<T*>(data)->~T(); };
    return object;
}

/// Bytes in a pool, for nginx to read. Throws std::bad_alloc.
[[nodiscard]] ngx_str_t copy_to_pool(ngx_pool_t* pool, std::string_view text);

}  // namespace ngx
