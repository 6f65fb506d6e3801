#include "content.hpp"
#include "directives.hpp"
#include "merge.hpp"
#include "publishing.hpp"

// The documents that a location publishes, made once all of its keys are known.

namespace ngx {

char* prepare_publication(ngx_conf_t* cf, LocationConfig& conf) {
    if (conf.publication == nullptr) {
        return NGX_CONF_OK;
    }
    Publication& publication = *conf.publication;
    const bool is_jwks = conf.content == Content::jwks;
    const std::string called(name(conf.content));
    if (conf.key_sources == nullptr) {
        return config_error(
            cf, publication.origin,
            called + " has no keys to show: write jwt_private_key or " + "jwt_public_key here or around it");
    }
    auto keys = jwt::public_key_set(published_keys(*conf.key_sources));
    if (!keys) {
        return config_error(cf, publication.origin, "the keys of " + called + " " + keys.error().message);
    }
    if (is_jwks) {
        set_body(publication, std::move(*keys));
        return NGX_CONF_OK;
    }
    if (conf.encode_issuer.len == 0) {
        return config_error(cf, publication.origin, "jwt_discovery names no issuer: write jwt_encode_issuer");
    }
    const auto algorithm = static_cast<jwt::Algorithm>(conf.algorithm);
    if (is_hmac(algorithm)) {
        return config_error(cf, publication.origin,
                            "jwt_discovery is of tokens that others verify, and jwt_algorithm " +
                                std::string(jwt::name(algorithm)) +
                                " needs the secret for it: write jwt_algorithm with that of jwt_private_key");
    }
    auto document = jwt::discovery_document(view(conf.encode_issuer), algorithm, publication.members);
    if (!document) {
        return config_error(cf, publication.origin, "jwt_discovery: " + document.error());
    }
    set_body(publication, std::move(*document));
    return NGX_CONF_OK;
}

}  // namespace ngx
