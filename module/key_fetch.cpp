#include "key_fetch.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <charconv>

#include "guard.hpp"
#include "text.hpp"

namespace ngx {

namespace {

template <class T>
T* zeroed(ngx_pool_t* pool) {
    void* memory = ngx_pcalloc(pool, sizeof(T));
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    return static_cast<T*>(memory);
}

/// What nginx adds to each line of its log that concerns a connection.
u_char* log_line_end(ngx_log_t* log, u_char* buf, std::size_t len) noexcept {
    u_char* p = ngx_snprintf(buf, len, ", while fetching keys");
    auto* context = static_cast<ngx_http_log_ctx_t*>(log->data);
    ngx_http_request_t* r = context->request;
    return r == nullptr ? p : r->log_handler(r, context->current_request, p, len - static_cast<std::size_t>(p - buf));
}

/// As nginx does with events of a client's connection.
void on_event(ngx_event_t* event) noexcept {
    auto* c = static_cast<ngx_connection_t*>(event->data);
    auto* r = static_cast<ngx_http_request_t*>(c->data);
    if (c->close) {  // worker_shutdown_timeout has passed
        ngx_http_finalize_request(r->main, NGX_ERROR);
    } else if (event->write != 0) {
        r->write_event_handler(r);
    } else {
        r->read_event_handler(r);
    }
    ngx_http_run_posted_requests(c);
}

void set_log(ngx_connection_t* c, ngx_pool_t* pool) {
    auto* log = zeroed<ngx_log_t>(pool);
    auto* context = zeroed<ngx_http_log_ctx_t>(pool);
    *log = *ngx_cycle->log;
    context->connection = c;
    log->connection = c->number;
    log->handler = log_line_end;
    log->data = context;
    log->action = nullptr;
    c->log = c->read->log = c->write->log = pool->log = log;
}

/// The connection's part of a request: what nginx's own listening would have filled in.
void fill_connection(ngx_connection_t* c, ngx_http_core_srv_conf_t* server) {
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    set_log(c, c->pool);
    c->start_time = ngx_current_msec;
    c->type = SOCK_STREAM;
    c->recv = ngx_recv;
    c->send = ngx_send;
    c->recv_chain = ngx_recv_chain;
    c->send_chain = ngx_send_chain;
    c->sockaddr = zeroed<struct sockaddr>(c->pool);
    c->sockaddr->sa_family = AF_UNIX;
    c->socklen = sizeof(sa_family_t);
    c->addr_text = ngx_string("unix:");
    c->read->handler = on_event;
    c->write->handler = on_event;
    c->write->ready = 1;
    c->buffer = zeroed<ngx_buf_t>(c->pool);
    auto* http = zeroed<ngx_http_connection_t>(c->pool);
    http->conf_ctx = server->ctx;
    http->addr_conf = zeroed<ngx_http_addr_conf_t>(c->pool);
    http->addr_conf->default_server = server;
    c->data = http;
}

/// A connection to ourselves, on which nothing is ever sent. Its other end is for the caller to close.
ngx_connection_t* connect(ngx_http_core_srv_conf_t* server, int& other_end) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == -1) {
        return nullptr;
    }
    ngx_connection_t* c = ngx_get_connection(ends[0], ngx_cycle->log);
    if (c == nullptr) {
        close(ends[0]);
        close(ends[1]);
        return nullptr;
    }
    c->pool = ngx_create_pool(1024, ngx_cycle->log);
    try {
        if (c->pool == nullptr) {
            throw std::bad_alloc();
        }
        fill_connection(c, server);
    } catch (const std::bad_alloc&) {
        ngx_pool_t* pool = c->pool;
        c->log = ngx_cycle->log;
        ngx_close_connection(c);
        close(ends[1]);
        if (pool != nullptr) {
            ngx_destroy_pool(pool);
        }
        return nullptr;
    }
#if (NGX_STAT_STUB)
    static_cast<void>(ngx_atomic_fetch_add(ngx_stat_active, 1));
#endif
    other_end = ends[1];
    return c;
}

void push_header(ngx_http_request_t* r, std::string_view name, std::string_view value) {
    auto* line = static_cast<ngx_table_elt_t*>(ngx_list_push(&r->headers_in.headers));
    if (line == nullptr) {
        throw std::bad_alloc();
    }
    *line = ngx_table_elt_t{};
    line->key = str(name);
    line->value = str(value);
    line->lowcase_key = copy_to_pool(r->pool, name).data;
    line->hash = ngx_hash_strlow(line->lowcase_key, line->lowcase_key, name.size());
}

/// What a client's GET would have filled in.
void fill_request(ngx_http_request_t* r, const KeyRequest& request) {
    if (ngx_list_init(&r->headers_in.headers, r->pool, 4, sizeof(ngx_table_elt_t)) != NGX_OK) {
        throw std::bad_alloc();
    }
    push_header(r, "Accept", "application/jwk-set+json, application/json");
    push_header(r, "User-Agent", "nginx");
    r->method = NGX_HTTP_GET;
    r->method_name = str("GET");
    r->http_version = NGX_HTTP_VERSION_11;
    r->http_protocol = str("HTTP/1.1");
    r->request_line = copy_to_pool(r->pool, "GET " + request.uri + " HTTP/1.1");
    r->unparsed_uri = copy_to_pool(r->pool, request.uri);
    r->uri = copy_to_pool(r->pool, request.uri.substr(0, request.uri.find('?')));
    r->headers_in.server = request.server->server_name;
    r->internal = 1;
}

std::optional<ngx_msec_t> seconds_after(std::string_view text, std::string_view name) {
    const std::size_t at = text.find(name);
    if (at == std::string_view::npos) {
        return std::nullopt;
    }
    text.remove_prefix(at + name.size());
    unsigned seconds = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), seconds);
    return read.ec == std::errc() ? std::optional<ngx_msec_t>(ngx_msec_t{seconds} * 1000) : std::nullopt;
}

std::string lower_case(std::string_view text) {
    std::string lower(text);
    for (char& c : lower) {
        c = static_cast<char>(ngx_tolower(static_cast<u_char>(c)));
    }
    return lower;
}

/// RFC 9111 §5.2.2: how long the answer is fresh, less the time it has spent in caches before us (§5.1).
std::optional<ngx_msec_t> freshness(const ngx_http_request_t* r) {
    std::optional<ngx_msec_t> max_age;
    ngx_msec_t age = 0;
    for (const ngx_list_part_t* part = &r->headers_out.headers.part; part != nullptr; part = part->next) {
        const auto* lines = static_cast<const ngx_table_elt_t*>(part->elts);
        for (ngx_uint_t i = 0; i < part->nelts; ++i) {
            if (lines[i].hash == 0) {
                continue;
            }
            if (same_name(view(lines[i].key), "Age")) {
                age = seconds_after(view(lines[i].value), "").value_or(0);
            } else if (same_name(view(lines[i].key), "Cache-Control")) {
                const std::string value = lower_case(view(lines[i].value));
                const bool never =
                    value.find("no-store") != std::string::npos || value.find("no-cache") != std::string::npos;
                const auto given = never ? std::optional<ngx_msec_t>(0) : seconds_after(value, "max-age=");
                max_age = given && max_age ? std::min(*given, *max_age) : given ? given : max_age;
            }
        }
    }
    return max_age ? std::optional<ngx_msec_t>(*max_age - std::min(age, *max_age)) : std::nullopt;
}

ngx_int_t end_subrequest(ngx_http_request_t* r, void* data, ngx_int_t rc) noexcept;

}  // namespace

/// The steps of a fetch that nginx calls.
struct KeyFetchSteps {
    static void give_up(ngx_event_t* event) noexcept {
        auto& fetch = *static_cast<KeyFetch*>(event->data);
        ngx_connection_t* c = fetch.request_->connection;
        if (fetch.result_.problem.empty()) {
            static_cast<void>(guarded(c->log, 0, [&] {
                fetch.result_.problem = "is late";
                return 0;
            }));
        }
        ngx_http_finalize_request(fetch.request_, NGX_ERROR);  // ends the subrequest and its upstream
        ngx_http_run_posted_requests(c);
    }

    /// nginx wakes the parent of a subrequest that has ended.
    static void on_wake(ngx_http_request_t* r) noexcept {
        auto& fetch = *static_cast<KeyFetch*>(ngx_http_get_module_ctx(r, ngx_http_jwt_filter_module));
        if (fetch.subrequest_ == nullptr || fetch.subrequest_->done == 0) {
            return;
        }
        ngx_http_finalize_request(r, NGX_ERROR);  // nginx closes what is ours, and ~KeyFetch tells
    }

    static ngx_int_t take_body(ngx_http_request_t* r, ngx_chain_t* in) {
        auto& fetch = *static_cast<KeyFetch*>(r->post_subrequest->data);
        for (; in != nullptr; in = in->next) {
            ngx_buf_t& buffer = *in->buf;
            const bool in_memory = ngx_buf_in_memory(&buffer);
            const auto size = static_cast<std::size_t>(in_memory ? buffer.last - buffer.pos : 0);
            if (fetch.result_.problem.empty() && fetch.result_.text.size() + size > KeyFetch::max_size) {
                fetch.result_.problem = "answers with more than 1 MB";
                ngx_post_event(&fetch.deadline_, &ngx_posted_events);  // the rest is not worth waiting for
            }
            if (in_memory) {
                if (fetch.result_.problem.empty()) {
                    fetch.result_.text.append(reinterpret_cast<const char*>(buffer.pos), size);
                }
                buffer.pos = buffer.last;
            } else if (buffer.in_file) {
                fetch.result_.problem = "answers from a file that is not read into memory";
                buffer.file_pos = buffer.file_last;
            }
        }
        return NGX_OK;
    }

    static void note_end(ngx_http_request_t* r, KeyFetch& fetch, ngx_int_t rc) {
        FetchedKeys& result = fetch.result_;
        const ngx_uint_t status = rc >= NGX_HTTP_SPECIAL_RESPONSE ? static_cast<ngx_uint_t>(rc) : r->headers_out.status;
        if (!result.problem.empty()) {
            return;
        }
        if (rc == NGX_ERROR || rc == NGX_HTTP_REQUEST_TIME_OUT || rc == NGX_HTTP_CLIENT_CLOSED_REQUEST) {
            result.problem = "breaks off its answer";
        } else if (status != NGX_HTTP_OK) {
            result.problem = "answers with status " + std::to_string(status);
        } else if (r->headers_out.content_encoding != nullptr && r->headers_out.content_encoding->hash != 0 &&
                   r->headers_out.content_encoding->value.len != 0) {
            result.problem = "answers in an encoding that was not asked for";
        } else {
            result.max_age = freshness(r);
            fetch.complete_ = true;
        }
    }

    static ngx_int_t prepare(KeyFetch& fetch, const KeyRequest& request) {
        ngx_http_request_t* r = fetch.request_;
        auto* end = zeroed<ngx_http_post_subrequest_t>(r->pool);
        end->handler = end_subrequest;
        end->data = &fetch;
        ngx_str_t uri = r->uri;
        const std::size_t question = request.uri.find('?');
        ngx_str_t args = question == std::string::npos
                             ? ngx_str_t{}
                             : copy_to_pool(r->pool, std::string_view(request.uri).substr(question + 1));
        if (ngx_http_subrequest(r, &uri, &args, &fetch.subrequest_, end, NGX_HTTP_SUBREQUEST_WAITED) != NGX_OK) {
            return NGX_ERROR;
        }
        fetch.subrequest_->filter_need_in_memory = 1;
        fetch.deadline_.data = &fetch;
        fetch.deadline_.handler = give_up;
        fetch.deadline_.log = r->connection->log;
        ngx_add_timer(&fetch.deadline_, request.times.timeout);
        return NGX_OK;
    }
};

namespace {

ngx_int_t end_subrequest(ngx_http_request_t* r, void* data, ngx_int_t rc) noexcept {
    auto& fetch = *static_cast<KeyFetch*>(data);
    static_cast<void>(guarded(r->connection->log, 0, [&] {
        KeyFetchSteps::note_end(r, fetch, rc);
        return 0;
    }));
    // Whatever went wrong: no page is wanted, and nothing but the fetch is to end.
    return NGX_OK;
}

}  // namespace

KeyFetch::~KeyFetch() {
    if (deadline_.timer_set) {
        ngx_del_timer(&deadline_);
    }
    if (deadline_.posted) {
        ngx_delete_posted_event(&deadline_);
    }
    if (other_end_ != -1) {
        close(other_end_);
    }
    tell();
}

void KeyFetch::tell() noexcept {
    if (ended_ == nullptr) {
        return;
    }
    static_cast<void>(guarded(ngx_cycle->log, 0, [&] {
        if (!complete_ && result_.problem.empty()) {
            result_.problem = "breaks off its answer";
        }
        if (!result_.problem.empty()) {
            result_.text.clear();
        }
        const Ended ended = std::exchange(ended_, nullptr);
        ended(std::move(result_));
        return 0;
    }));
}

KeyFetch* KeyFetch::start(const KeyRequest& request, Ended ended, std::string& problem) {
    problem = "cannot be asked: no connection or no memory is free";
    int other_end = -1;
    ngx_connection_t* c = connect(request.server, other_end);
    if (c == nullptr) {
        return nullptr;
    }
    ngx_http_request_t* r = ngx_http_create_request(c);
    if (r == nullptr) {
        close(other_end);
        ngx_http_close_connection(c);
        return nullptr;
    }
    c->data = r;
    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = KeyFetchSteps::on_wake;
    r->logged = 1;  // no client asked
    r->post_action = 1;
    r->uri_changes = 0;  // no redirects of it, nor a post_action
    KeyFetch* fetch = guarded(c->log, static_cast<KeyFetch*>(nullptr), [&] {
        auto* made = make_in_pool<KeyFetch>(r->pool, r);
        made->other_end_ = std::exchange(other_end, -1);
        ngx_http_set_ctx(r, made, ngx_http_jwt_filter_module);
        fill_request(r, request);
        if (KeyFetchSteps::prepare(*made, request) != NGX_OK) {
            return static_cast<KeyFetch*>(nullptr);
        }
        made->ended_ = std::move(ended);
        return made;
    });
    if (fetch == nullptr) {
        if (other_end != -1) {
            close(other_end);
        }
        ngx_http_finalize_request(r, NGX_ERROR);
        ngx_http_run_posted_requests(c);
        return nullptr;
    }
    problem.clear();
    return fetch;
}

void KeyFetch::run() noexcept {
    ngx_http_run_posted_requests(request_->connection);
}

bool is_key_fetch(const ngx_http_request_t* r) noexcept {
    return r->post_subrequest != nullptr && r->post_subrequest->handler == end_subrequest;
}

ngx_int_t take_key_body(ngx_http_request_t* r, ngx_chain_t* in) noexcept {
    return guarded(r->connection->log, ngx_int_t{NGX_ERROR}, [&] { return KeyFetchSteps::take_body(r, in); });
}

}  // namespace ngx
