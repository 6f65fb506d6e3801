#include "cookies.hpp"

#include <cmath>
#include <string>

#include "answer.hpp"
#include "text.hpp"

namespace ngx {

namespace {

constexpr std::string_view a_year = "31540000";  // the library's, for jwt_session_cookie off

struct Cookie {
    std::string_view name;
    std::string_view value;
    std::string_view path;
    bool http_only;
};

std::string attributes(const LocationConfig& config, const Cookie& cookie, std::optional<std::string_view> domain,
                       std::string_view lifetime) {
    std::string text;
    const std::string_view of_domain = domain.value_or(view(config.cookie_domain));
    if (!of_domain.empty()) {
        text.append("; Domain=").append(of_domain);
    }
    text.append(lifetime);
    if (config.cookie_secure) {
        text += "; Secure";
    }
    if (cookie.http_only) {
        text += "; HttpOnly";
    }
    text.append("; Path=").append(cookie.path);
    if (config.cookie_samesite.len != 0) {
        text.append("; SameSite=").append(view(config.cookie_samesite));
    }
    return text;
}

void add_cookie(ngx_http_request_t* r, const LocationConfig& config, const Cookie& cookie,
                std::optional<std::string_view> domain, std::string_view lifetime) {
    std::string line(cookie.name);
    line.append("=").append(cookie.value).append(attributes(config, cookie, domain, lifetime));
    add_header(r, "Set-Cookie", line);
}

std::string lifetime_text(const LocationConfig& config, std::optional<double> max_age) {
    if (max_age) {
        return "; Max-Age=" + std::to_string(static_cast<long long>(std::floor(*max_age)));
    }
    return config.session_cookie ? std::string() : "; Max-Age=" + std::string(a_year);
}

}  // namespace

bool has_csrf_cookie(const LocationConfig& config) noexcept {
    return config.cookie_csrf_protect && config.csrf_in_cookies;
}

void set_token_cookies(ngx_http_request_t* r, const LocationConfig& config, bool refresh, std::string_view token,
                       std::string_view csrf, std::optional<double> max_age, std::optional<std::string_view> domain) {
    const CookieConfig& names = cookie_config(config, refresh);
    const std::string lifetime = lifetime_text(config, max_age);
    add_cookie(r, config, {view(names.name), token, view(names.path), true}, domain, lifetime);
    if (has_csrf_cookie(config)) {
        add_cookie(r, config, {view(names.csrf_cookie_name), csrf, view(names.csrf_cookie_path), false}, domain,
                   lifetime);
    }
}

void unset_token_cookies(ngx_http_request_t* r, const LocationConfig& config, bool refresh,
                         std::optional<std::string_view> domain) {
    constexpr std::string_view at_once = "; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
    const CookieConfig& names = cookie_config(config, refresh);
    add_cookie(r, config, {view(names.name), "", view(names.path), true}, domain, at_once);
    if (has_csrf_cookie(config)) {
        add_cookie(r, config, {view(names.csrf_cookie_name), "", view(names.csrf_cookie_path), false}, domain, at_once);
    }
}

bool sets_cookie(ngx_http_request_t* r, std::string_view name) noexcept {
    bool found = false;
    each_answer_line(r, "Set-Cookie", [&](ngx_table_elt_t& line) {
        const std::string_view value = view(line.value);
        found = found || (line.hash != 0 && value.substr(0, value.find('=')) == name);
    });
    return found;
}

void forget_cookies(ngx_http_request_t* r) noexcept {
    each_answer_line(r, "Set-Cookie", [](ngx_table_elt_t& line) { line.hash = 0; });  // nginx leaves such a line out
}

}  // namespace ngx
