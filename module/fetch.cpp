#include "fetch.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <string>

#include "guard.hpp"
#include "lua_services.hpp"
#include "text.hpp"

// Subrequests of jwt.fetch. They share the connection of the request that they are made for, and nothing that its
// client sent: neither headers nor body nor variables.

namespace ngx {

namespace {

struct Method {
    std::string_view name;
    ngx_uint_t bit;
};

constexpr Method methods[] = {{"GET", NGX_HTTP_GET},        {"HEAD", NGX_HTTP_HEAD},   {"POST", NGX_HTTP_POST},
                              {"PUT", NGX_HTTP_PUT},        {"PATCH", NGX_HTTP_PATCH}, {"DELETE", NGX_HTTP_DELETE},
                              {"OPTIONS", NGX_HTTP_OPTIONS}};

struct Fetch {
    bool broken_off;
    bool too_large;
};

FetchStart mistake(std::string_view reason) noexcept {
    return {nullptr, true, str(reason)};
}

FetchStart failure(std::string_view reason) noexcept {
    return {nullptr, false, str(reason)};
}

template <class T>
T* zeroed(ngx_pool_t* pool, std::size_t count = 1) {
    void* memory = ngx_pcalloc(pool, count * sizeof(T));
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    return static_cast<T*>(memory);
}

bool client_is_gone(const ngx_connection_t* c) noexcept {
    return c->read->eof || c->read->pending_eof || c->read->error || c->write->error || c->timedout;
}

/// A response that overflows its buffer is an error of an output filter, and nginx takes every such error for one of
/// the client's connection.
bool overflows(const ngx_http_request_t* r, ngx_int_t rc) noexcept {
    const ngx_connection_t* c = r->connection;
#if (NGX_HTTP_V2)
    if (r->stream != nullptr && r->stream->out_closed) {
        return false;  // the client has reset it
    }
#endif
    const auto* core = static_cast<ngx_http_core_loc_conf_t*>(ngx_http_get_module_loc_conf(r, ngx_http_core_module));
    const bool long_by_header =
        r->headers_out.content_length_n > static_cast<off_t>(core->subrequest_output_buffer_size);
    const bool filter_failed = rc == NGX_ERROR || (r->upstream != nullptr && r->upstream->pipe != nullptr &&
                                                   r->upstream->pipe->downstream_error);
    return filter_failed && c->error && !client_is_gone(c) && (r->out != nullptr || long_by_header);
}

/// nginx does not wake the parent of a background subrequest. To be done once, when `rc` ends it.
void wake_parent(ngx_http_request_t* r, ngx_int_t rc) noexcept {
    const bool page_follows = rc >= NGX_HTTP_SPECIAL_RESPONSE || rc == NGX_HTTP_CREATED || rc == NGX_HTTP_NO_CONTENT;
    if (r->background && !page_follows && !r->buffered && r->postponed == nullptr) {
        static_cast<void>(ngx_http_post_request(r->parent, nullptr));
    }
}

/// nginx calls this each time that the subrequest is finalized: also before the page of its error is made.
ngx_int_t end_fetch(ngx_http_request_t* r, void* data, ngx_int_t rc) noexcept {
    const bool broken = rc == NGX_ERROR || rc == NGX_HTTP_REQUEST_TIME_OUT || rc == NGX_HTTP_CLOSE;
    Fetch& fetch = *static_cast<Fetch*>(data);
    if (overflows(r, rc)) {
        fetch.too_large = true;
        r->connection->error = 0;
    } else if (!broken || r->connection->error != 0) {
        wake_parent(r, rc);
        return rc;
    }
    // nginx would end the whole request for any of these.
    fetch.broken_off = true;
    r->buffered = 0;
    wake_parent(r, NGX_OK);
    return NGX_OK;
}

const Method* method_named(std::string_view name) noexcept {
    for (const Method& method : methods) {
        if (method.name == name) {
            return &method;
        }
    }
    return nullptr;
}

/// What an own header list's line means to nginx: the field of headers_in that points to it.
void index_header(ngx_http_request_t* r, ngx_http_headers_in_t& headers, ngx_table_elt_t& line) {
    auto* core = static_cast<ngx_http_core_main_conf_t*>(ngx_http_get_module_main_conf(r, ngx_http_core_module));
    const auto* known = static_cast<const ngx_http_header_t*>(
        ngx_hash_find(&core->headers_in_hash, line.hash, line.lowcase_key, line.key.len));
    if (known == nullptr) {
        return;
    }
    auto* field = reinterpret_cast<u_char*>(&headers) + known->offset;
#if (nginx_version < 1023000)
    if (known->offset == offsetof(ngx_http_headers_in_t, cookies) ||
        known->offset == offsetof(ngx_http_headers_in_t, x_forwarded_for)) {
        auto* lines = reinterpret_cast<ngx_array_t*>(field);
        if (ngx_array_init(lines, r->pool, 1, sizeof(ngx_table_elt_t*)) != NGX_OK) {
            throw std::bad_alloc();
        }
        *static_cast<ngx_table_elt_t**>(ngx_array_push(lines)) = &line;
        return;
    }
#endif
    *reinterpret_cast<ngx_table_elt_t**>(field) = &line;
}

ngx_table_elt_t& push_header(ngx_http_request_t* r, ngx_http_headers_in_t& headers, std::string_view name,
                             std::string_view value) {
    auto* line = static_cast<ngx_table_elt_t*>(ngx_list_push(&headers.headers));
    if (line == nullptr) {
        throw std::bad_alloc();
    }
    *line = ngx_table_elt_t{};
    line->key = copy_to_pool(r->pool, name);
    line->value = copy_to_pool(r->pool, std::string(value) + '\0');  // nginx ends the values of headers with NUL
    --line->value.len;
    line->lowcase_key = copy_to_pool(r->pool, name).data;
    line->hash = ngx_hash_strlow(line->lowcase_key, line->lowcase_key, name.size());
    return *line;
}

/// The headers of the subrequest. False where one of them is not for the author to set.
bool make_headers(ngx_http_request_t* r, std::string_view lines, ngx_http_headers_in_t& headers) {
    if (ngx_list_init(&headers.headers, r->pool, 8, sizeof(ngx_table_elt_t)) != NGX_OK) {
        throw std::bad_alloc();
    }
    headers.content_length_n = -1;
    headers.keep_alive_n = -1;
    headers.server = r->headers_in.server;
    if (r->headers_in.host != nullptr) {
        headers.host = &push_header(r, headers, "Host", view(r->headers_in.host->value));
    }
    while (!lines.empty()) {
        const std::size_t end = lines.find("\r\n");
        const std::string_view line = lines.substr(0, end);
        lines = end == std::string_view::npos ? std::string_view() : lines.substr(end + 2);
        const std::string_view name = line.substr(0, line.find(": "));
        const std::string_view value = line.substr(std::min(name.size() + 2, line.size()));
        const bool own = is_of_connection(name) || same_name(name, "Host");
        if (own || !is_token(name) || has_control_character(value)) {
            return false;
        }
        index_header(r, headers, push_header(r, headers, name, value));
    }
    return true;
}

/// A body in memory. Where there is none it is empty all the same, so that nothing reads the client's.
ngx_http_request_body_t* make_body(ngx_http_request_t* r, std::optional<std::string_view> text) {
    auto* body = zeroed<ngx_http_request_body_t>(r->pool);
    if (!text || text->empty()) {
        return body;
    }
    auto* buffer = zeroed<ngx_buf_t>(r->pool);
    buffer->start = buffer->pos = copy_to_pool(r->pool, *text).data;
    buffer->end = buffer->last = buffer->pos + text->size();
    buffer->memory = 1;
    buffer->last_buf = 1;
    auto* link = zeroed<ngx_chain_t>(r->pool);
    link->buf = buffer;
    body->bufs = link;
    return body;
}

bool unsafe(std::string_view text) noexcept {
    return has_control_character(text) || text.find_first_of(" #") != std::string_view::npos;
}

/// All that may fail comes first: once it is made, nginx runs the subrequest.
FetchStart make_subrequest(ngx_http_request_t* r, const Method& method, ngx_str_t uri, ngx_str_t args,
                           std::string_view path, const ngx_http_headers_in_t& headers, ngx_http_request_body_t* body) {
    const auto* core = static_cast<ngx_http_core_main_conf_t*>(ngx_http_get_module_main_conf(r, ngx_http_core_module));
    auto* variables = zeroed<ngx_http_variable_value_t>(r->pool, core->variables.nelts);
    auto* end = zeroed<ngx_http_post_subrequest_t>(r->pool);
    end->handler = end_fetch;
    end->data = zeroed<Fetch>(r->pool);
    // $request_uri, which may be a cache's key or part of an upstream's URI: not unescaped, as a client's.
    const ngx_str_t asked =
        copy_to_pool(r->pool, std::string(path) + (args.len != 0 ? "?" : "") + std::string(view(args)));
    const ngx_str_t method_name = copy_to_pool(r->pool, method.name);

    // Whose turn to output it is not, may never have one, for which its subrequests would wait: one in the background
    // (mirror), or one that lua-nginx-module captures.
    const bool has_its_turn = r->connection->data == r;
    const ngx_uint_t waited = has_its_turn ? NGX_HTTP_SUBREQUEST_WAITED : NGX_HTTP_SUBREQUEST_BACKGROUND;
    ngx_http_request_t* subrequest = nullptr;
    if (ngx_http_subrequest(r, &uri, &args, &subrequest, end, NGX_HTTP_SUBREQUEST_IN_MEMORY | waited) != NGX_OK) {
        return failure("nginx cannot make a subrequest now: its log says why");
    }
    subrequest->method = method.bit;
    subrequest->method_name = method_name;
    subrequest->header_only = method.bit == NGX_HTTP_HEAD ? 1U : 0U;
    subrequest->headers_in = headers;
    // The list's last part points into the list itself, until it is full.
    if (headers.headers.last == &headers.headers.part) {
        subrequest->headers_in.headers.last = &subrequest->headers_in.headers.part;
    }
    subrequest->unparsed_uri = asked;
    subrequest->request_body = body;
    subrequest->discard_body = 0;  // what is left of the client's, by whose length nginx reads it
    subrequest->variables = variables;
    subrequest->keepalive = 1;  // see is_cut_off
    // One in memory can have no subrequests, and until its answer begins nginx may want one: proxy_cache's, which
    // updates in the background, or auth_request's. One that has no turn could not end after that.
    subrequest->subrequest_in_memory = has_its_turn ? 0 : 1;
    return {subrequest, false, ngx_null_string};
}

FetchStart start(ngx_http_request_t* r, const FetchRequest& request) {
    const Method* method = method_named(request.method);
    if (method == nullptr) {
        return mistake("fetch: the method is one of GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS");
    }
    if (r->subrequest_in_memory || is_fetch(r)) {
        return mistake("fetch: a location that is fetched cannot fetch");
    }
    if (!request.uri.starts_with('/')) {
        return mistake("fetch: the URI begins with /: it is a location of this server");
    }
    ngx_str_t uri = copy_to_pool(r->pool, request.uri);
    ngx_str_t args = ngx_null_string;
    ngx_uint_t flags = 0;
    if (unsafe(request.uri) || unsafe(request.args) || ngx_http_parse_unsafe_uri(r, &uri, &args, &flags) != NGX_OK) {
        return failure("the URI is unsafe: it has .., or a space or control character that is not escaped");
    }
    const bool both = args.len != 0 && !request.args.empty();
    args = copy_to_pool(r->pool, std::string(view(args)) + (both ? "&" : "") + std::string(request.args));

    ngx_http_headers_in_t headers{};
    if (!make_headers(r, request.headers, headers)) {
        return mistake(
            "fetch: a header's name is no token, its value has a control character, or it is one that nginx sets "
            "itself (Host, Content-Length, Connection and their kin: use proxy_set_header in the location)");
    }
    if (request.body || method->bit == NGX_HTTP_POST || method->bit == NGX_HTTP_PUT || method->bit == NGX_HTTP_PATCH) {
        headers.content_length_n = static_cast<off_t>(request.body.value_or(std::string_view()).size());
    }
    return make_subrequest(r, *method, uri, args, request.uri.substr(0, request.uri.find('?')), headers,
                           make_body(r, request.body));
}

/// nginx takes a subrequest's keepalive away where its upstream broke off after the header; nothing else tells.
bool is_cut_off(const ngx_http_request_t* subrequest) noexcept {
    return subrequest->upstream != nullptr && subrequest->upstream->header_sent && !subrequest->keepalive;
}

std::string lower_case(std::string_view text) {
    std::string lower(text);
    for (char& c : lower) {
        c = static_cast<char>(ngx_tolower(static_cast<u_char>(c)));
    }
    return lower;
}

std::string header_lines(const ngx_http_request_t* subrequest) {
    std::map<std::string, std::string> fields;
    const auto& out = subrequest->headers_out;
    if (out.content_type.len != 0) {
        fields["content-type"] = view(out.content_type);
    }
    for (const ngx_list_part_t* part = &out.headers.part; part != nullptr; part = part->next) {
        const auto* lines = static_cast<const ngx_table_elt_t*>(part->elts);
        for (ngx_uint_t i = 0; i < part->nelts; ++i) {
            if (lines[i].hash == 0) {
                continue;
            }
            auto [field, is_new] = fields.emplace(lower_case(view(lines[i].key)), view(lines[i].value));
            if (!is_new) {
                field->second.append(", ").append(view(lines[i].value));
            }
        }
    }
    std::string text;
    for (const auto& [name, value] : fields) {
        text.append(name).append(": ").append(value).append("\r\n");
    }
    return text;
}

FetchedResponse no_response(std::string_view reason) noexcept {
    return {false, str(reason), 0, ngx_null_string, ngx_null_string};
}

FetchedResponse response_of(const ngx_http_request_t* subrequest) {
    const auto* fetch = static_cast<const Fetch*>(subrequest->post_subrequest->data);
    if (fetch->too_large) {
        return no_response("the response is larger than subrequest_output_buffer_size of its location");
    }
    if (fetch->broken_off || is_cut_off(subrequest)) {
        return no_response("the response was broken off");
    }
    if (subrequest->headers_out.status == 0) {
        return no_response("there is no response");
    }
    FetchedResponse response{true, ngx_null_string, subrequest->headers_out.status,
                             copy_to_pool(subrequest->pool, header_lines(subrequest)), ngx_null_string};
    if (subrequest->out != nullptr && subrequest->out->buf != nullptr) {
        const ngx_buf_t& buffer = *subrequest->out->buf;
        response.body = {static_cast<std::size_t>(buffer.last - buffer.pos), buffer.pos};
    }
    return response;
}

}  // namespace

bool is_fetch(const ngx_http_request_t* r) noexcept {
    return r->post_subrequest != nullptr && r->post_subrequest->handler == end_fetch;
}

void take_in_memory(ngx_http_request_t* r) noexcept {
    if (is_fetch(r)) {
        r->subrequest_in_memory = 1;
    }
}

FetchStart start_fetch(ngx_http_request_t* r, const FetchRequest& request) noexcept {
    return guarded(r->connection->log, failure("out of memory"), [&] { return start(r, request); });
}

bool fetch_ended(const ngx_http_request_t* subrequest) noexcept {
    return subrequest->done != 0;
}

FetchedResponse fetched_response(ngx_http_request_t* subrequest) noexcept {
    return guarded(subrequest->connection->log, no_response("out of memory"), [&] { return response_of(subrequest); });
}

}  // namespace ngx
