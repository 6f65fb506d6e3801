#include "directives.hpp"
#include "guard.hpp"
#include "issuers.hpp"

// Issuers with keys of their own, and who trusts them.

namespace ngx {

namespace {

char* set_once(ngx_conf_t* cf, std::vector<std::string>& texts) {
    if (!texts.empty()) {
        return config_error(cf, quoted(view(words(cf)[0])) + " is there twice: write all its values in one line");
    }
    for (const ngx_str_t& word : words(cf).subspan(1)) {
        if (word.len == 0) {
            return config_error(cf, "empty word of " + quoted(view(words(cf)[0])) + ": leave it out");
        }
        texts.emplace_back(view(word));
    }
    return NGX_CONF_OK;
}

char* set_algorithms(ngx_conf_t* cf, jwt::AlgorithmSet& algorithms) {
    if (!algorithms.empty()) {
        return config_error(cf, "\"algorithms\" is there twice: write all its values in one line");
    }
    for (const ngx_str_t& word : words(cf).subspan(1)) {
        const auto algorithm = jwt::algorithm_named(view(word));
        if (!algorithm || jwt::is_hmac(*algorithm)) {
            return config_error(
                cf, quoted(view(word)) + " is no algorithm for public keys: write \"algorithms\" as in RS256 ES256");
        }
        algorithms.add(*algorithm);
    }
    return NGX_CONF_OK;
}

char* set_leeway(ngx_conf_t* cf, std::optional<std::chrono::seconds>& leeway) {
    const auto seconds = ngx_parse_time(&words(cf)[1], 1);
    if (leeway || words(cf).size() != 2 || seconds == NGX_ERROR) {
        return config_error(cf, "\"leeway\" takes one time, once, as in 10s");
    }
    leeway = std::chrono::seconds(seconds);
    return NGX_CONF_OK;
}

char* read_line(ngx_conf_t* cf, IssuerBlock& block) {
    const std::string_view name = view(words(cf)[0]);
    if (words(cf).size() < 2) {
        return config_error(cf, quoted(name) + " has no value");
    }
    if (name == "issuer") {
        return set_once(cf, block.issuers);
    }
    if (name == "audience") {
        return set_once(cf, block.audiences);
    }
    if (name == "algorithms") {
        return set_algorithms(cf, block.algorithms);
    }
    if (name == "leeway") {
        return set_leeway(cf, block.leeway);
    }
    if (name == "key_request") {
        return read_key_request(cf, block.keys);
    }
    if (name == "public_key" && words(cf).size() == 2) {
        return read_key_file(cf, block.keys, KeySources::Kind::public_key, view(words(cf)[1]));
    }
    return config_error(cf, "unknown line " + quoted(name) +
                                " of jwt_issuer: write issuer IDENTIFIER …, key_request URI, public_key FILE, "
                                "audience NAME …, algorithms ALG … or leeway TIME");
}

char* on_line(ngx_conf_t* cf, ngx_command_t*, void* block) noexcept {
    return guarded(cf->log, failed(), [&] { return read_line(cf, *static_cast<IssuerBlock*>(block)); });
}

char* check(ngx_conf_t* cf, const Origin& origin, IssuerBlock& block) {
    const std::string called = "jwt_issuer " + block.name;
    if (block.issuers.empty()) {
        return config_error(cf, origin, called + " has no \"issuer\": write what its tokens have as \"iss\"");
    }
    if (block.keys.sources.empty()) {
        return config_error(cf, origin, called + " has no keys: write key_request URI or public_key FILE");
    }
    if (block.algorithms.empty()) {
        block.algorithms = {jwt::Algorithm::rs256, jwt::Algorithm::es256};
    }
    return NGX_CONF_OK;
}

}  // namespace

char* set_issuer(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    auto& main = *static_cast<MainConfig*>(conf);
    if (main.issuers == nullptr) {
        main.issuers = make_in_pool<IssuerBlocks>(cf->pool);
    }
    const Origin origin = Origin::here(cf);
    const std::string name(view(words(cf)[1]));
    if (main.issuers->find(name) != nullptr) {
        return config_error(cf, "a second jwt_issuer " + name + ": give each its own name");
    }
    auto block = std::make_unique<IssuerBlock>();
    block->name = name;
    ngx_conf_t inside = *cf;
    inside.handler = on_line;
    inside.handler_conf = block.get();
    char* const read = ngx_conf_parse(&inside, nullptr);
    if (read != NGX_CONF_OK) {
        return read;
    }
    if (check(cf, origin, *block) != NGX_CONF_OK) {
        return failed();
    }
    // Revocations of its tokens are kept for as long as those are taken.
    main.longest_leeway =
        std::max(main.longest_leeway, static_cast<time_t>(block->leeway.value_or(std::chrono::seconds(0)).count()));
    main.issuers->blocks.push_back(std::move(block));
    return NGX_CONF_OK;
}

char* set_trust(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    KeySources& keys = key_sources(cf, location_config(conf));
    for (const ngx_str_t& word : words(cf).subspan(1)) {
        keys.sources.push_back({KeySources::Kind::issuer, std::string(view(word)), {}, {}, Origin::here(cf)});
    }
    return NGX_CONF_OK;
}

}  // namespace ngx
