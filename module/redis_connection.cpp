#include "redis_connection.hpp"

#include <array>
#include <cstring>

#include "guard.hpp"

namespace ngx {

namespace {

std::string error_text(std::string_view what, ngx_err_t error) {
    std::array<u_char, 256> text{};
    const u_char* end = ngx_strerror(error, text.data(), text.size());
    return std::string(what) + ": " +
           std::string(reinterpret_cast<const char*>(text.data()), static_cast<std::size_t>(end - text.data()));
}

}  // namespace

RedisConnection::RedisConnection(const ngx_addr_t& address, Listener& listener) noexcept
    : address_(address), listener_(listener), log_(*ngx_cycle->log) {
    // nginx would write a line for each attempt: the listener says what is to be said.
    log_.log_level = std::min<ngx_uint_t>(log_.log_level, NGX_LOG_CRIT);
}

RedisConnection::~RedisConnection() {
    if (connection_ != nullptr) {
        ngx_close_connection(connection_);
    }
}

tl::expected<std::unique_ptr<RedisConnection>, std::string> RedisConnection::open(const ngx_addr_t& address,
                                                                                  Listener& listener) {
    std::unique_ptr<RedisConnection> made(new RedisConnection(address, listener));
    if (auto connecting = made->connect(); !connecting) {
        return tl::make_unexpected(std::move(connecting.error()));
    }
    return made;
}

tl::expected<void, std::string> RedisConnection::connect() {
    ngx_peer_connection_t peer{};
    peer.sockaddr = address_.sockaddr;
    peer.socklen = address_.socklen;
    ngx_str_t name = address_.name;
    peer.name = &name;
    peer.get = ngx_event_get_peer;
    peer.log = &log_;
    peer.log_error = NGX_ERROR_INFO;
    const ngx_int_t rc = ngx_event_connect_peer(&peer);
    if (rc != NGX_OK && rc != NGX_AGAIN) {
        return tl::make_unexpected(error_text("cannot connect", ngx_socket_errno));
    }
    connection_ = peer.connection;
    connection_->data = this;
    connection_->log_error = NGX_ERROR_INFO;
    connection_->idle = 1;  // a graceful shutdown closes it at once
    connection_->read->handler = on_event;
    connection_->write->handler = on_event;
    connection_->read->cancelable = 1;
    connection_->write->cancelable = 1;
    if (rc == NGX_OK) {  // told by the event loop, as it is otherwise
        ngx_post_event(connection_->write, &ngx_posted_events);
    }
    ngx_add_timer(connection_->write, timeout);
    return {};
}

void RedisConnection::on_event(ngx_event_t* event) noexcept {
    auto* self = static_cast<RedisConnection*>(static_cast<ngx_connection_t*>(event->data)->data);
    std::string why;
    const bool goes_on = guarded(&self->log_, false, [&] {
        auto handled = self->handle(*event);
        if (!handled) {
            why = std::move(handled.error());
        }
        return handled.has_value();
    });
    if (!goes_on) {
        self->listener_.closed(why.empty() ? "no memory" : std::string_view(why));
    }
}

tl::expected<void, std::string> RedisConnection::handle(const ngx_event_t& event) {
    if (connection_->close != 0) {
        return tl::make_unexpected(std::string("this worker ends"));
    }
    if (event.timedout != 0) {
        return tl::make_unexpected((connecting_ ? "no connection within " : "no answer within ") +
                                   std::to_string(timeout) + " ms");
    }
    if (connecting_) {
        return finish_connecting();
    }
    return event.write != 0 ? write() : read();
}

tl::expected<void, std::string> RedisConnection::finish_connecting() {
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(connection_->fd, SOL_SOCKET, SO_ERROR, &error, &size) == -1) {
        error = ngx_socket_errno;
    }
    if (error != 0) {
        return tl::make_unexpected(error_text("cannot connect", error));
    }
    connecting_ = false;
    if (connection_->write->timer_set != 0) {
        ngx_del_timer(connection_->write);
    }
    const int on = 1;
    static_cast<void>(setsockopt(connection_->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
    if (ngx_handle_read_event(connection_->read, 0) != NGX_OK) {
        return tl::make_unexpected(std::string("the event loop failed"));
    }
    listener_.connected();
    return {};
}

void RedisConnection::send(std::string command) {
    unsent_ = std::move(command);
    waiting_ = true;
    ngx_add_timer(connection_->read, timeout);
    // Sent by the event loop: where that fails, it is not in the middle of whoever sends.
    ngx_post_event(connection_->write, &ngx_posted_events);
}

tl::expected<void, std::string> RedisConnection::write() {
    std::size_t done = 0;
    while (done < unsent_.size()) {
        const ssize_t sent =
            connection_->send(connection_, reinterpret_cast<u_char*>(unsent_.data()) + done, unsent_.size() - done);
        if (sent == NGX_ERROR) {
            return tl::make_unexpected(std::string("the connection broke"));
        }
        if (sent <= 0) {
            break;
        }
        done += static_cast<std::size_t>(sent);
    }
    ngx_explicit_memzero(unsent_.data(), done);  // there may be a password in it
    unsent_.erase(0, done);
    if (ngx_handle_write_event(connection_->write, 0) != NGX_OK) {
        return tl::make_unexpected(std::string("the event loop failed"));
    }
    return {};
}

tl::expected<void, std::string> RedisConnection::read() {
    std::array<u_char, 16384> buffer;
    for (;;) {
        const ssize_t got = connection_->recv(connection_, buffer.data(), buffer.size());
        if (got == NGX_AGAIN) {
            break;
        }
        if (got <= 0) {
            return tl::make_unexpected(std::string(got == 0 ? "it closed the connection" : "the connection broke"));
        }
        const std::string_view bytes(reinterpret_cast<const char*>(buffer.data()), static_cast<std::size_t>(got));
        if (auto fed = replies_.feed(bytes); !fed) {
            return fed;
        }
        for (;;) {
            auto reply = replies_.next();
            if (!reply) {
                return tl::make_unexpected(std::move(reply.error()));
            }
            if (!*reply) {
                break;
            }
            if (!std::exchange(waiting_, false)) {
                return tl::make_unexpected(std::string("an answer to no question"));
            }
            ngx_del_timer(connection_->read);
            if (auto taken = listener_.replied(**reply); !taken) {
                return taken;
            }
        }
    }
    if (ngx_handle_read_event(connection_->read, 0) != NGX_OK) {
        return tl::make_unexpected(std::string("the event loop failed"));
    }
    return {};
}

}  // namespace ngx
