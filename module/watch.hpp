#pragma once

#include "ngx.hpp"

#include <memory>

// `jwt_close_on_expiry`: responses end with the token that let them in.

namespace ngx {

class RequestState;

/// The requests of a worker whose tokens may end before they do.
class Watches {
public:
    Watches() noexcept;
    ~Watches();
    Watches(const Watches&) = delete;
    Watches& operator=(const Watches&) = delete;

    /// Watches a request until its end, where its location wants that and its token may end at all. The request has
    /// just been let in.
    void watch(ngx_http_request_t* r, const RequestState& state);

    struct Entry;

private:
    [[nodiscard]] static bool is_revoked(const Entry& entry) noexcept;
    static void tick(ngx_event_t* event) noexcept;
    void look();

    ngx_queue_t entries_{};  // in the order in which they were looked at
    std::size_t count_ = 0;
    ngx_event_t timer_{};
};

}  // namespace ngx
