#include "config.hpp"

#include <openssl/crypto.h>

#include "guard.hpp"

namespace ngx {

Origin Origin::here(const ngx_conf_t* cf) noexcept {
    if (cf->conf_file == nullptr) {
        return {};
    }
    return {cf->conf_file->file.name, cf->conf_file->line};
}

namespace {

/// nginx cuts a line at 2048 bytes, and with it the place: a quote that is missing makes words of many lines.
constexpr std::size_t longest_sentence = 1200;

void say(ngx_conf_t* cf, ngx_uint_t level, const Origin& origin, std::string_view sentence) noexcept {
    ngx_str_t text = str(sentence.substr(0, longest_sentence));
    const char* const rest = sentence.size() > longest_sentence ? "..." : "";
    if (origin.line == 0) {  // from the command line
        ngx_log_error(level, cf->log, 0, "%V%s in command line", &text, rest);
    } else {
        ngx_str_t file = origin.file;
        ngx_log_error(level, cf->log, 0, "%V%s in %V:%ui", &text, rest, &file, origin.line);
    }
}

}  // namespace

char* config_error(ngx_conf_t* cf, const Origin& origin, std::string_view sentence) noexcept {
    say(cf, NGX_LOG_EMERG, origin, sentence);
    return static_cast<char*>(NGX_CONF_ERROR);
}

void config_warning(ngx_conf_t* cf, const Origin& origin, std::string_view sentence) noexcept {
    say(cf, NGX_LOG_WARN, origin, sentence);
}

char* config_error(ngx_conf_t* cf, std::string_view sentence) noexcept {
    return config_error(cf, Origin::here(cf), sentence);
}

void config_warning(ngx_conf_t* cf, std::string_view sentence) noexcept {
    config_warning(cf, Origin::here(cf), sentence);
}

std::string_view name(TokenLocation location) noexcept {
    switch (location) {
        case TokenLocation::headers:
            return "headers";
        case TokenLocation::cookies:
            return "cookies";
        case TokenLocation::query_string:
            return "query_string";
        case TokenLocation::json:
            return "json";
    }
    return {};
}

}  // namespace ngx
