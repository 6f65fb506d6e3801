#include "publishing.hpp"

extern "C" {
#include <ngx_sha1.h>
}

#include <array>

#include "answer.hpp"
#include "content.hpp"
#include "guard.hpp"
#include "key_watch.hpp"
#include "worker.hpp"

namespace ngx {

namespace {

std::string etag_of(std::string_view body) {
    ngx_sha1_t hash;
    std::array<u_char, 20> digest;
    ngx_sha1_init(&hash);
    ngx_sha1_update(&hash, body.data(), body.size());
    ngx_sha1_final(digest.data(), &hash);
    std::array<u_char, 40> text;
    ngx_hex_dump(text.data(), digest.data(), digest.size());
    return '"' + std::string(text.begin(), text.end()) + '"';
}

/// Headers of the document; nginx makes a 304 of it where the client has it already.
void describe(ngx_http_request_t* r, const Publication& publication) {
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = static_cast<off_t>(publication.body.size());
    r->headers_out.last_modified_time = publication.made;
    // RFC 7517 §8.5.2; OpenID Connect Discovery §4.2.
    r->headers_out.content_type =
        str(location_config(r).content == Content::jwks ? "application/jwk-set+json" : "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = nullptr;
    r->headers_out.etag = &add_header(r, "ETag", publication.etag);
    add_header(r, "Cache-Control", publication.cache_control);
}

ngx_int_t serve(ngx_http_request_t* r) {
    if ((r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) == 0) {
        return not_allowed(r, "GET, HEAD");
    }
    if (const ngx_int_t rc = ngx_http_discard_request_body(r); rc != NGX_OK) {
        return rc;
    }
    // What nginx reads later must stay until the request ends.
    const auto& kept = *make_in_pool<std::shared_ptr<const Publication>>(
        r->pool, worker().publications.now(location_config(r), worker().live_keys.files()));
    const Publication& publication = *kept;
    describe(r, publication);
    const ngx_int_t rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }
    return send_text(r, str(publication.body));
}

}  // namespace

jwt::KeySet published_keys(const KeySources& sources) {
    jwt::KeySet keys;
    for (const auto& source : sources.sources) {
        for (const auto& key : source.keys.keys()) {
            keys.add(key);
        }
    }
    return keys;
}

std::shared_ptr<const Publication> Publications::now(const LocationConfig& config, const KeyWatch* files) {
    const Publication& configured = *config.publication;
    std::shared_ptr<const Publication> publication(std::shared_ptr<void>(), &configured);
    if (files == nullptr || files->changes() == 0 || config.content != Content::jwks) {
        return publication;
    }
    Made& made = made_[&configured];
    if (made.publication != nullptr && made.changes == files->changes()) {
        return made.publication;
    }
    // Where the new keys cannot be shown together, as of two with one kid, the document stays as it was.
    if (auto body = jwt::public_key_set(published_keys(files->now(*config.key_sources))); body) {
        auto changed = std::make_shared<Publication>(configured);
        set_body(*changed, std::move(*body));
        publication = std::move(changed);
    } else if (made.publication != nullptr) {
        publication = made.publication;
    }
    made = {files->changes(), publication};
    return publication;
}

void set_body(Publication& publication, std::string&& body) {
    publication.body = std::move(body);
    publication.etag = etag_of(publication.body);
    publication.cache_control = "public, max-age=" + std::to_string(publication.max_age);
    publication.made = ngx_time();
}

ngx_int_t serve_publication(ngx_http_request_t* r) noexcept {
    return guarded(r->connection->log, ngx_int_t{NGX_HTTP_INTERNAL_SERVER_ERROR}, [r] { return serve(r); });
}

}  // namespace ngx
