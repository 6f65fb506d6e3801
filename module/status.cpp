#include "status.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include "answer.hpp"
#include "config.hpp"
#include "content.hpp"
#include "counters.hpp"
#include "directives.hpp"
#include "guard.hpp"
#include "metrics.hpp"
#include "text.hpp"
#include "token_source.hpp"

namespace ngx {

namespace {

struct Offer {
    StatusFormat format;
    std::string_view type;
    std::string_view content_type;
};

// The first is what a client gets that does not care.
constexpr std::array offers{
    Offer{StatusFormat::prometheus, "text/plain", "text/plain; version=0.0.4; charset=utf-8"},
    Offer{StatusFormat::json, "application/json", "application/json"},
    Offer{StatusFormat::html, "text/html", "text/html; charset=utf-8"},
};

const Offer& offer_of(StatusFormat format) noexcept {
    return *std::find_if(offers.begin(), offers.end(), [&](const Offer& offer) { return offer.format == format; });
}

/// RFC 9110 §12.5.1: the most specific range that matches decides.
double quality(std::string_view accept, std::string_view type) {
    double found = 0;
    int specific = -1;
    while (!accept.empty()) {
        std::string_view entry = accept.substr(0, accept.find(','));
        accept.remove_prefix(std::min(entry.size() + 1, accept.size()));
        const std::string_view range = trimmed(entry.substr(0, entry.find(';')));
        const bool of_kind =
            range.ends_with("/*") && same_name(range.substr(0, range.size() - 1), type.substr(0, type.find('/') + 1));
        const int fit = same_name(range, type) ? 2 : of_kind ? 1 : range == "*/*" ? 0 : -1;
        if (fit <= specific) {
            continue;
        }
        specific = fit;
        const std::size_t q = entry.find("q=");
        const std::string number(q == std::string_view::npos ? "1" : entry.substr(q + 2));
        found = std::clamp(std::strtod(number.c_str(), nullptr), 0.0, 1.0);
    }
    return found;
}

const Offer& best_offer(const ngx_http_request_t* r) {
    const std::string accept(header_field(r, "Accept").value_or("*/*"));
    return *std::max_element(offers.begin(), offers.end(), [&](const Offer& a, const Offer& b) {
        return quality(accept, a.type) < quality(accept, b.type);
    });
}

std::string body_of(StatusFormat format) {
    const std::vector<Family> all = families(read_counts());
    switch (format) {
        case StatusFormat::json:
            return json_text(all);
        case StatusFormat::html:
            return html_text(all);
        case StatusFormat::by_accept:
        case StatusFormat::prometheus:
            break;
    }
    return prometheus_text(all);
}

ngx_int_t show(ngx_http_request_t* r) {
    if ((r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) == 0) {
        return not_allowed(r, "GET, HEAD");
    }
    const StatusFormat format = location_config(r).status_format;
    const Offer& offer = format == StatusFormat::by_accept ? best_offer(r) : offer_of(format);
    Answer answer;
    answer.body = body_of(offer.format);
    answer.content_type = offer.content_type;
    answer.headers = {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}};
    if (format == StatusFormat::by_accept) {
        answer.headers.emplace_back("Vary", "Accept");
    }
    if (offer.format == StatusFormat::html) {
        answer.headers.emplace_back("Content-Security-Policy", html_policy());
    }
    return send_answer(r, answer);
}

}  // namespace

ngx_int_t show_status(ngx_http_request_t* r) noexcept {
    return guarded(r->connection->log, ngx_int_t{NGX_HTTP_INTERNAL_SERVER_ERROR}, [r] { return show(r); });
}

char* set_status(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    LocationConfig& config = location_config(conf);
    if (words(cf).size() == 2) {
        const std::string_view word = view(words(cf)[1]);
        constexpr std::array formats{"prometheus", "json", "html"};
        const auto* found = std::find(formats.begin(), formats.end(), word);
        if (found == formats.end()) {
            return config_error(cf, "unknown format " + quoted(word) +
                                        " of jwt_status: write prometheus, json or html, or none of them to follow the "
                                        "client's Accept");
        }
        config.status_format = static_cast<StatusFormat>(1 + (found - formats.begin()));
    }
    if (!want_counters(cf)) {
        return failed();
    }
    return set_content(cf, config, Content::status, show_status);
}

}  // namespace ngx
