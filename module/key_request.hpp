#pragma once

#include "ngx.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "counters.hpp"

namespace ngx {

class SharedKeys;

/// How long what a provider said is trusted, in milliseconds of the monotonic clock.
struct KeyTimes {
    ngx_msec_t cache = 10 * 60 * 1000;  // the most, and what counts where the provider names no time
    ngx_msec_t cache_min = 10 * 1000;   // the least, whatever the provider says
    ngx_msec_t stale = 60 * 60 * 1000;  // beyond that, while the provider fails
    ngx_msec_t timeout = 5 * 1000;      // of one fetch, and so of a request that waits for it
    ngx_msec_t unknown = 10 * 1000;     // between a fetch and one for a kid that its set does not have

    bool operator==(const KeyTimes&) const = default;
};

/// One `jwt_key_request` as one server uses it: the URI is a location of that server.
struct KeyRequest {
    std::size_t index;  // among all of a configuration
    std::string uri;    // with its query string
    KeyTimes times;
    ngx_http_core_srv_conf_t* server;
    Row counted_as;
    SharedKeys* shared = nullptr;  // from when nginx has made the zone, before workers start

    /// For the log: the server's name and the URI.
    [[nodiscard]] std::string name() const;
};

/// All of a configuration, and the shared memory where workers leave each other what they fetched.
struct KeyRequests {
    std::vector<std::unique_ptr<KeyRequest>> requests;
    std::size_t key_count = 0;  // of Keys that use some of them
    std::size_t zone_size = 0;  // 0: by their number

    /// The request of that URI and those times in a server: the same one for all its locations.
    const KeyRequest& of(ngx_http_core_srv_conf_t* server, const std::string& uri, const KeyTimes& times,
                         Row counted_as);
};

/// Asks nginx for the shared memory. To be called once all of a configuration is read.
[[nodiscard]] ngx_int_t add_key_zone(ngx_conf_t* cf, KeyRequests& requests);

}  // namespace ngx
