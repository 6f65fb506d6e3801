#pragma once

#include "ngx.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "../core/publish.hpp"
#include "config.hpp"

namespace ngx {

/// What jwt_jwks or jwt_discovery serve: a document that is made when configuration is read, not for each request.
struct Publication {
    time_t max_age = 10 * 60;  // seconds that a client may keep it
    std::vector<jwt::DiscoveryMember> members;
    Origin origin;

    std::string body;
    std::string etag;  // quoted, of the body alone: nodes that serve the same agree
    std::string cache_control;
    time_t made = 0;
};

class KeyWatch;

/// The documents of a worker, which are made again when key files have changed.
class Publications {
public:
    /// The document of a location that has one. `files` may be null.
    [[nodiscard]] std::shared_ptr<const Publication> now(const LocationConfig& config, const KeyWatch* files);

private:
    struct Made {
        std::size_t changes;
        std::shared_ptr<const Publication> publication;
    };
    std::map<const Publication*, Made> made_;
};

/// Every key file of a location, private or public, for jwt::public_key_set.
[[nodiscard]] jwt::KeySet published_keys(const KeySources& sources);

/// Puts a new body in place, with what depends on it.
void set_body(Publication& publication, std::string&& body);

/// The content handler of both.
ngx_int_t serve_publication(ngx_http_request_t* r) noexcept;

}  // namespace ngx
