#include "directives.hpp"

#include "content.hpp"
#include "guard.hpp"
#include "publishing.hpp"

// jwt_jwks and jwt_discovery: documents for those who verify our tokens.

namespace ngx {

namespace {

/// The document of the location that is being read, which has no content yet.
char* add_publication(ngx_conf_t* cf, LocationConfig& config, Content content) {
    if (char* const problem = set_content(cf, config, content, serve_publication); problem != NGX_CONF_OK) {
        return problem;  // may be the rest of a sentence that nginx begins
    }
    config.publication = make_in_pool<Publication>(cf->pool);
    config.publication->origin = Origin::here(cf);
    return NGX_CONF_OK;
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
    if (char* const problem = add_publication(cf, config, Content::jwks); problem != NGX_CONF_OK) {
        return problem;
    }
    Publication& publication = *config.publication;
    for (const ngx_str_t& word : words(cf).subspan(1)) {
        if (!view(word).starts_with(max_age)) {
            return config_error(cf, "unknown word " + quoted(view(word)) + " of jwt_jwks: write max_age=TIME");
        }
        return read_max_age(cf, publication, view(word).substr(max_age.size()));
    }
    return NGX_CONF_OK;
}

char* set_discovery(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    LocationConfig& config = location_config(conf);
    if (char* const problem = add_publication(cf, config, Content::discovery); problem != NGX_CONF_OK) {
        return problem;
    }
    Publication& publication = *config.publication;
    for (const ngx_str_t& word : words(cf).subspan(1)) {
        const std::string_view text = view(word);
        if (text.starts_with(max_age)) {
            if (read_max_age(cf, publication, text.substr(max_age.size())) != NGX_CONF_OK) {
                return failed();
            }
            continue;
        }
        const std::size_t equals = std::min(text.find('='), text.size());
        publication.members.emplace_back(text.substr(0, equals), text.substr(std::min(equals + 1, text.size())));
    }
    return NGX_CONF_OK;
}

}  // namespace ngx
