#include "directives.hpp"

#include "content.hpp"
#include "guard.hpp"
#include "publishing.hpp"

// jwt_jwks and jwt_discovery: documents for those who verify our tokens.

namespace ngx {

namespace {

/// Null, and the mistake is reported, where the location has a content already.
Publication* new_publication(ngx_conf_t* cf, LocationConfig& config, Content content) {
    if (set_content(cf, config, content, serve_publication) != NGX_CONF_OK) {
        return nullptr;
    }
    config.publication = make_in_pool<Publication>(cf->pool);
    config.publication->origin = Origin::here(cf);
    return config.publication;
}

char* read_max_age(ngx_conf_t* cf, Publication& publication, std::string_view text) {
    ngx_str_t time = str(text);
    const ngx_int_t seconds = ngx_parse_time(&time, 1);
    if (seconds == NGX_ERROR) {
        return config_error(cf, quoted(text) + " is no time: write it as in max_age=10m");
    }
    publication.max_age = seconds;
    return NGX_CONF_OK;
}

constexpr std::string_view max_age = "max_age=";

}  // namespace

char* set_jwks(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    LocationConfig& config = location_config(conf);
    Publication* const publication = new_publication(cf, config, Content::jwks);
    if (publication == nullptr) {
        return failed();
    }
    for (const ngx_str_t& word : words(cf).subspan(1)) {
        if (!view(word).starts_with(max_age)) {
            return config_error(cf, "unknown word " + quoted(view(word)) + " of jwt_jwks: write max_age=TIME");
        }
        return read_max_age(cf, *publication, view(word).substr(max_age.size()));
    }
    return NGX_CONF_OK;
}

char* set_discovery(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    LocationConfig& config = location_config(conf);
    Publication* const publication = new_publication(cf, config, Content::discovery);
    if (publication == nullptr) {
        return failed();
    }
    for (const ngx_str_t& word : words(cf).subspan(1)) {
        const std::string_view text = view(word);
        if (text.starts_with(max_age)) {
            if (read_max_age(cf, *publication, text.substr(max_age.size())) != NGX_CONF_OK) {
                return failed();
            }
            continue;
        }
        const std::size_t equals = std::min(text.find('='), text.size());
        publication->members.emplace_back(text.substr(0, equals), text.substr(std::min(equals + 1, text.size())));
    }
    return NGX_CONF_OK;
}

}  // namespace ngx
