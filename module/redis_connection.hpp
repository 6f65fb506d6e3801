#pragma once

#include "ngx.hpp"

#include <memory>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "../core/revocation_redis.hpp"

extern "C" {
#include <ngx_event_connect.h>
}

namespace ngx {

/// One connection to Redis in nginx's event loop: one command at a time, none of which it waits for. It holds up no
/// graceful shutdown.
class RedisConnection {
public:
    /// Who uses it. In none of these may the connection be destroyed, but in the last.
    class Listener {
    public:
        virtual void connected() noexcept = 0;
        /// The answer to the last command; an error sentence ends the connection.
        [[nodiscard]] virtual tl::expected<void, std::string> replied(const jwt::redis::Reply& reply) = 0;
        /// Why it is no more. The last that is heard of it.
        virtual void closed(std::string_view why) noexcept = 0;

    protected:
        ~Listener() = default;
    };

    /// For connecting, and for each answer. Requests do not wait for Redis, so this is for slow networks too.
    static constexpr ngx_msec_t timeout = 1000;

    /// `address` and `listener` outlive it. An error sentence where not even an attempt can be made.
    [[nodiscard]] static tl::expected<std::unique_ptr<RedisConnection>, std::string> open(const ngx_addr_t& address,
                                                                                          Listener& listener);
    ~RedisConnection();
    RedisConnection(const RedisConnection&) = delete;
    RedisConnection& operator=(const RedisConnection&) = delete;

    /// Only when connected, and after the answer to the command before.
    void send(std::string command);

private:
    RedisConnection(const ngx_addr_t& address, Listener& listener) noexcept;

    static void on_event(ngx_event_t* event) noexcept;
    [[nodiscard]] tl::expected<void, std::string> handle(const ngx_event_t& event);
    [[nodiscard]] tl::expected<void, std::string> connect();
    [[nodiscard]] tl::expected<void, std::string> finish_connecting();
    [[nodiscard]] tl::expected<void, std::string> read();
    [[nodiscard]] tl::expected<void, std::string> write();

    const ngx_addr_t& address_;
    Listener& listener_;
    ngx_log_t log_;
    ngx_connection_t* connection_ = nullptr;
    bool connecting_ = true;
    bool waiting_ = false;  // for an answer
    std::string unsent_;
    jwt::redis::ReplyReader replies_;
};

}  // namespace ngx
