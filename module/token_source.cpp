#include "token_source.hpp"

#include "body.hpp"
#include "guard.hpp"
#include "text.hpp"
#include "worker.hpp"

// The searches and their sentences are those of Flask-JWT-Extended, whose recorded answers t/ replays.

namespace ngx {

namespace {

constexpr std::size_t max_token_body = 1024 * 1024;  // a body that carries a token is small

std::string_view in_request_memory(const ngx_http_request_t* r, std::string_view text) {
    return view(copy_to_pool(r->pool, text));
}

template <class Visit>
void each_header_line(const ngx_http_request_t* r, std::string_view name, Visit&& visit) {
    for (const ngx_list_part_t* part = &r->headers_in.headers.part; part != nullptr; part = part->next) {
        const auto* lines = static_cast<const ngx_table_elt_t*>(part->elts);
        for (ngx_uint_t i = 0; i < part->nelts; ++i) {
            if (same_name(view(lines[i].key), name)) {
                visit(view(lines[i].value));
            }
        }
    }
}

std::string_view joined_lines(const ngx_http_request_t* r, std::string_view name) {
    std::string joined;
    std::string_view between;
    each_header_line(r, name, [&](std::string_view line) {
        joined.append(between).append(line);
        between = ", ";
    });
    return in_request_memory(r, joined);
}

// --- a header -------------------------------------------------------------------------------------------------------

std::string_view without_commas_at_ends(std::string_view text) noexcept {
    const std::size_t first = text.find_first_not_of(',');
    return first == std::string_view::npos ? std::string_view{}
                                           : text.substr(first, text.find_last_not_of(',') - first + 1);
}

Search bare_token(std::string_view field, std::string_view name) {
    const std::string_view token = take_word(field);
    if (token.empty() || !field.empty()) {
        return BadToken{jwt::Reason::invalid, joined({"Bad ", name, " header. Expected '", name, ": <JWT>'"})};
    }
    return FoundToken{token, TokenLocation::headers, std::nullopt};
}

/// Among comma-separated values the one of the wanted scheme, whose name is case-insensitive (RFC 9110 §11.1). Two of
/// them could mean two tokens: none is taken.
Search typed_token(std::string_view field, std::string_view name, std::string_view wanted) {
    std::string_view credentials;
    std::size_t matches = 0;
    while (!field.empty()) {
        const std::size_t comma = std::min(field.find(','), field.size());
        std::string_view value = trimmed(field.substr(0, comma));
        field.remove_prefix(std::min(comma + 1, field.size()));
        if (same_name(take_word(value), wanted)) {
            credentials = value;
            ++matches;
        }
    }
    const std::string_view token = take_word(credentials);
    if (matches == 1 && !token.empty() && credentials.empty()) {
        return FoundToken{token, TokenLocation::headers, std::nullopt};
    }
    const std::string expected = joined({" header. Expected '", name, ": ", wanted, " <JWT>'"});
    if (matches != 1) {
        return NoToken{joined({"Missing '", wanted, "' type in '", name, "'", expected})};
    }
    return BadToken{jwt::Reason::invalid, joined({"Bad ", name, expected})};
}

/// The token of a field of one value with one token in it, which nearly all are; nothing of one to be looked at
/// closely.
std::optional<std::string_view> only_token(std::string_view field, std::string_view type) noexcept {
    if (!same_name(field.substr(0, type.size()), type)) {
        return std::nullopt;
    }
    const std::string_view rest = field.substr(type.size());
    const std::string_view token = trimmed(rest);
    const bool apart = type.empty() || rest.empty() || is_white_space(rest.front());
    return apart && !token.empty() && is_above_comma(token) ? std::optional(token) : std::nullopt;
}

Search find_in_headers(const ngx_http_request_t* r, const LocationConfig& config) {
    const std::string_view header = view(config.header_name);
    const std::string_view type = view(config.header_type);
    const auto field = header_field(r, header);
    if (const auto token = field ? only_token(*field, type) : std::nullopt) {
        return FoundToken{*token, TokenLocation::headers, std::nullopt};
    }
    const std::string_view value = field ? without_commas_at_ends(trimmed(*field)) : std::string_view{};
    if (value.empty()) {
        return NoToken{joined({"Missing ", header, " Header"})};
    }
    return type.empty() ? bare_token(value, header) : typed_token(value, header, type);
}

// --- the query string
// -------------------------------------------------------------------------------------------------

Search find_in_query_string(const ngx_http_request_t* r, const LocationConfig& config) {
    const std::string_view name = view(config.query_string_name);
    const auto missing = [name] {  // spelt as the library spells it
        return NoToken{joined({"Missing '", name, "' query paramater"})};
    };
    const auto value = form_value(view(r->args), name);
    const std::string_view text = value ? in_request_memory(r, unescaped(*value)) : std::string_view();
    if (text.empty()) {
        return missing();
    }
    const std::string_view prefix = view(config.query_string_value_prefix);
    if (!text.starts_with(prefix)) {
        return BadToken{jwt::Reason::invalid, joined({"Invalid value for query parameter '", name,
                                                      "'. Expected the value to start with '", prefix, "'"})};
    }
    if (text.size() == prefix.size()) {
        return missing();
    }
    return FoundToken{text.substr(prefix.size()), TokenLocation::query_string, std::nullopt};
}

// --- cookies
// ------------------------------------------------------------------------------------------------------------

std::optional<std::string_view> cookie_value(const ngx_http_request_t* r, std::string_view name) {
    std::optional<std::string_view> found;
    each_header_line(r, "Cookie", [&](std::string_view line) {
        while (!line.empty() && !found) {
            const std::size_t end = std::min(line.find(';'), line.size());
            const std::string_view pair = line.substr(0, end);
            const std::size_t equals = pair.find('=');
            if (equals != std::string_view::npos && trimmed(pair.substr(0, equals)) == name) {
                std::string_view value = trimmed(pair.substr(equals + 1));
                if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
                    value = value.substr(1, value.size() - 2);
                }
                found = value;
            }
            line.remove_prefix(std::min(end + 1, line.size()));
        }
    });
    return found;
}

/// A subrequest is a GET to nginx, as that of auth_request is for a POST: what its client sent decides too.
bool asks_for_csrf(const ngx_http_request_t* r, const LocationConfig& config) {
    const auto is_named = [&](const ngx_http_request_t* which) {
        return names_method(*config.csrf_methods, view(which->method_name));
    };
    return config.cookie_csrf_protect && (is_named(r) || is_named(r->main));
}

Search find_in_cookies(ngx_http_request_t* r, const LocationConfig& config, bool refresh, bool body_is_read) {
    const CookieConfig& cookie = cookie_config(config, refresh);
    const auto token = cookie_value(r, view(cookie.name));
    if (!token || token->empty()) {
        return NoToken{joined({"Missing cookie \"", view(cookie.name), "\""})};
    }
    if (!asks_for_csrf(r, config)) {
        return FoundToken{*token, TokenLocation::cookies, std::nullopt};
    }
    auto csrf = header_field(r, view(cookie.csrf_header_name));
    if ((!csrf || csrf->empty()) && config.csrf_check_form && is_form(r) && has_body(r)) {
        if (!body_is_read) {
            return NeedsBody{};
        }
        if (const auto body = body_text(r, max_token_body)) {
            const auto value = form_value(*body, view(cookie.csrf_field_name));
            csrf = value ? std::optional(in_request_memory(r, unescaped(*value))) : std::nullopt;
        }
    }
    if (!csrf || csrf->empty()) {
        return BadToken{jwt::Reason::missing, "Missing CSRF token"};
    }
    return FoundToken{*token, TokenLocation::cookies, csrf};
}

// --- a JSON body
// ----------------------------------------------------------------------------------------------------------

/// What Python calls false, which the library takes as no token.
bool is_nothing(jwt::json::Value value) {
    switch (value.type()) {
        case jwt::json::Type::null:
            return true;
        case jwt::json::Type::boolean:
            return !*value.boolean();
        case jwt::json::Type::number:
            return *value.number() == 0;
        case jwt::json::Type::string:
            return value.string()->empty();
        case jwt::json::Type::array:
        case jwt::json::Type::object:
            return value.size() == 0;
    }
    return true;
}

Search find_in_json(ngx_http_request_t* r, const LocationConfig& config, bool refresh, bool body_is_read) {
    if (!is_json(r)) {
        return NoToken{"Invalid content-type. Must be application/json."};
    }
    if (has_body(r) && !body_is_read) {
        return NeedsBody{};
    }
    const std::string_view key = view(refresh ? config.refresh_json_key : config.json_key);
    const auto body = body_text(r, max_token_body);
    jwt::json::Document document;
    const auto parsed = worker().parser.parse(body.value_or(std::string()), document);
    const auto member = parsed ? parsed->member(key) : std::nullopt;
    if (!member || is_nothing(*member)) {
        return NoToken{joined({"Missing \"", key, "\" key in json data."})};
    }
    const auto text = member->string();
    if (!text) {
        return BadToken{jwt::Reason::invalid, "Invalid token type. Token must be a string"};
    }
    return FoundToken{in_request_memory(r, *text), TokenLocation::json, std::nullopt};
}

Search find_in(ngx_http_request_t* r, const LocationConfig& config, TokenLocation location, bool refresh,
               bool body_is_read) {
    switch (location) {
        case TokenLocation::headers:
            return find_in_headers(r, config);
        case TokenLocation::cookies:
            return find_in_cookies(r, config, refresh, body_is_read);
        case TokenLocation::query_string:
            return find_in_query_string(r, config);
        case TokenLocation::json:
            return find_in_json(r, config, refresh, body_is_read);
    }
    return NoToken{};
}

/// "Missing JWT in headers, cookies or json (…; …; …)"
std::string missing_everywhere(const TokenLocations& locations, const std::string& details) {
    std::string message = "Missing JWT in ";
    for (std::size_t i = 0; i < locations.count; ++i) {
        message += i == 0 ? "" : i + 1 == locations.count ? " or " : ", ";
        message += name(locations.order[i]);
    }
    return message + " (" + details + ")";
}

}  // namespace

Search find_token(ngx_http_request_t* r, const LocationConfig& config, const TokenLocations& locations, bool refresh,
                  bool body_is_read) {
    if (locations.count == 1) {
        return find_in(r, config, locations.order.front(), refresh, body_is_read);
    }
    std::string details;
    for (const TokenLocation location : locations) {
        Search search = find_in(r, config, location, refresh, body_is_read);
        const auto* nothing = std::get_if<NoToken>(&search);
        if (nothing == nullptr) {
            return search;
        }
        details += (details.empty() ? "" : "; ") + nothing->message;
    }
    return NoToken{missing_everywhere(locations, details)};
}

std::optional<std::string_view> header_field(const ngx_http_request_t* r, std::string_view name) {
    std::optional<std::string_view> field;
    std::size_t lines = 0;
    each_header_line(r, name, [&](std::string_view line) {
        if (lines++ == 0) {
            field = line;
        }
    });
    return lines > 1 ? joined_lines(r, name) : field;
}

}  // namespace ngx
