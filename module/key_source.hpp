#pragma once

#include "ngx.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "../core/key.hpp"
#include "key_fetch.hpp"
#include "key_request.hpp"
#include "key_zone.hpp"

namespace ngx {

/// A request that waits for a set of keys. Part of the request's state: ends with it, and then harms no other.
class KeyWait {
public:
    KeyWait() noexcept = default;
    ~KeyWait();
    KeyWait(const KeyWait&) = delete;
    KeyWait& operator=(const KeyWait&) = delete;

    /// How often it has waited: a request is not made to wait for ever.
    [[nodiscard]] unsigned rounds() const noexcept { return rounds_; }

private:
    friend class KeySource;
    void begin(ngx_http_request_t* r, ngx_queue_t& queue) noexcept;
    void unlink() noexcept;
    void wake() noexcept;
    void resume() noexcept;

    ngx_queue_t link_{};  // null pointers while it is in no queue
    unsigned rounds_ = 0;
    ngx_http_request_t* request_ = nullptr;
    ngx_http_event_handler_pt reading_ = nullptr;
    ngx_event_t event_{};
};

/// What a source says of a token that its keys do not verify.
enum class KeyStanding : std::uint8_t {
    settled,      // the token is none of its
    waiting,      // it is being asked: to be judged again then
    unavailable,  // nobody can tell now
};

/// A provider's keys in one worker: the set that requests use, asked for before it is needed again.
class KeySource {
public:
    explicit KeySource(const KeyRequest& request);
    ~KeySource();
    KeySource(const KeySource&) = delete;
    KeySource& operator=(const KeySource&) = delete;

    /// The set to verify with now; null where there is none that may be used. Each set that was fetched is an object of
    /// its own.
    [[nodiscard]] const std::shared_ptr<const jwt::KeySet>& current();

    /// Of a token of that kid that current() did not verify. Asks the provider where that may help, and then `wait`
    /// has the request run again.
    [[nodiscard]] KeyStanding ask(ngx_http_request_t* r, std::optional<std::string_view> kid, KeyWait& wait);

    /// Begins to ask the provider where current() is null, for whoever comes later.
    void prompt() noexcept;

    /// Seconds after which the provider is asked again.
    [[nodiscard]] unsigned retry_after() const noexcept;

private:
    static void on_begin(ngx_event_t* event) noexcept;
    static void on_timer(ngx_event_t* event) noexcept;
    static void on_poll(ngx_event_t* event) noexcept;

    [[nodiscard]] bool usable() const noexcept;
    void take_over();
    void arm() noexcept;
    [[nodiscard]] SharedKeys::Turn ask_again(SharedKeys::Need need) noexcept;
    void fetch();
    void end_fetch(FetchedKeys&& answer) noexcept;
    void take(FetchedKeys&& answer);
    void refuse(std::string_view problem);
    void adopt(jwt::KeySet&& set, const SharedKeys::Copy& copy);
    void wake_all() noexcept;
    [[nodiscard]] bool is_known_as_unknown(std::string_view kid);
    void note_unknown(std::string_view kid);

    const KeyRequest& request_;
    SharedKeys& shared_;
    std::shared_ptr<const jwt::KeySet> keys_;
    std::uint64_t version_ = 0;  // of what was last taken over, whether it could be read or not
    ngx_msec_t fetched_ = 0;
    ngx_msec_t lifetime_ = 0;
    ngx_msec_t refresh_at_ = 0;
    bool used_ = false;
    std::uint64_t ended_ = 0;  // fetches, when another worker's was waited for
    KeyFetch* fetch_ = nullptr;
    bool turn_is_ours_ = false;
    ngx_event_t begin_{};
    ngx_event_t timer_{};
    ngx_event_t poll_{};
    ngx_queue_t waiting_{};
    std::map<std::string, ngx_msec_t, std::less<>> unknown_;  // kids, and until when they are not asked for again
};

}  // namespace ngx
