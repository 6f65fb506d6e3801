#pragma once

#include "ngx.hpp"

#include <functional>
#include <optional>
#include <string>

#include "key_request.hpp"

// Asks a provider for its keys: a subrequest to a location, on behalf of no client.

namespace ngx {

struct FetchedKeys {
    std::string text;
    std::string problem;                // why there is no text; empty where all went well. Completes `NAME …`
    std::optional<ngx_msec_t> max_age;  // what the provider says of its text's life
};

/// A fetch on its way. nginx needs a request for whatever it does, and this one has a connection of its own: it goes on
/// when the clients that wait for it are gone.
class KeyFetch {
public:
    static constexpr std::size_t max_size = 1024 * 1024;
    using Ended = std::function<void(FetchedKeys&&)>;

    /// Makes one, or says why not. The fetch is nginx's, and gone once `ended` was called.
    [[nodiscard]] static KeyFetch* start(const KeyRequest& request, Ended ended, std::string& problem);

    /// Begins, and may end before it returns.
    void run() noexcept;
    /// Nobody waits any more: `ended` is not called.
    void forget() noexcept { ended_ = nullptr; }

    explicit KeyFetch(ngx_http_request_t* request) noexcept : request_(request) {}
    ~KeyFetch();
    KeyFetch(const KeyFetch&) = delete;
    KeyFetch& operator=(const KeyFetch&) = delete;

private:
    friend struct KeyFetchSteps;
    void tell() noexcept;

    Ended ended_;
    FetchedKeys result_;
    bool complete_ = false;
    ngx_http_request_t* request_ = nullptr;     // ours, that stands for a client's
    ngx_http_request_t* subrequest_ = nullptr;  // that runs the location
    ngx_event_t deadline_{};
    int other_end_ = -1;  // of the connection
};

/// Whether a subrequest is a fetch of keys: it is not judged.
[[nodiscard]] bool is_key_fetch(const ngx_http_request_t* r) noexcept;

/// Body filter's part: takes a fetch's body. Must only be called with one.
[[nodiscard]] ngx_int_t take_key_body(ngx_http_request_t* r, ngx_chain_t* in) noexcept;

}  // namespace ngx
