#include "key_source.hpp"

#include <algorithm>

#include "guard.hpp"

namespace ngx {

namespace {

constexpr ngx_msec_t poll_pause = 20;
constexpr ngx_msec_t least_pause = 100;
constexpr std::size_t max_unknown_kids = 256;
constexpr std::size_t max_remembered_kid = 128;
constexpr unsigned max_rounds = 8;

const std::shared_ptr<const jwt::KeySet> no_keys;

void make_event(ngx_event_t& event, void* data, ngx_event_handler_pt handler) noexcept {
    event.data = data;
    event.handler = handler;
    event.log = ngx_cycle->log;
}

void drop_event(ngx_event_t& event) noexcept {
    if (event.timer_set) {
        ngx_del_timer(&event);
    }
    if (event.posted) {
        ngx_delete_posted_event(&event);
    }
}

void set_timer(ngx_event_t& event, ngx_msec_t delay, bool cancelable) noexcept {
    event.cancelable = cancelable ? 1U : 0U;
    ngx_add_timer(&event, delay);
}

ngx_msec_t until(ngx_msec_t time) noexcept {
    return is_past(time) ? 0 : time - ngx_current_msec;
}

}  // namespace

KeyWait::~KeyWait() {
    unlink();
    drop_event(event_);
}

void KeyWait::begin(ngx_http_request_t* r, ngx_queue_t& queue) noexcept {
    if (link_.next != nullptr || event_.posted) {
        return;  // nginx ran the request for another reason
    }
    request_ = r;
    make_event(event_, this, [](ngx_event_t* event) { static_cast<KeyWait*>(event->data)->resume(); });
    reading_ = std::exchange(r->read_event_handler, ngx_http_test_reading);  // notes that the client has left
    ngx_queue_insert_tail(&queue, &link_);
    ++rounds_;
}

void KeyWait::unlink() noexcept {
    if (link_.next != nullptr) {
        ngx_queue_remove(&link_);
        link_ = {};
    }
}

void KeyWait::wake() noexcept {
    unlink();
    ngx_post_event(&event_, &ngx_posted_events);  // not from within what ended the fetch
}

void KeyWait::resume() noexcept {
    ngx_http_request_t* r = request_;
    ngx_connection_t* c = r->connection;
    r->read_event_handler = reading_;
    if (ngx_http_post_request(r, nullptr) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
    ngx_http_run_posted_requests(c);
}

KeySource::KeySource(const KeyRequest& request) : request_(request), shared_(*request.shared) {
    make_event(begin_, this, on_begin);
    make_event(timer_, this, on_timer);
    make_event(poll_, this, on_poll);
    ngx_queue_init(&waiting_);
}

KeySource::~KeySource() {
    drop_event(begin_);
    drop_event(timer_);
    drop_event(poll_);
    if (fetch_ != nullptr) {
        fetch_->forget();
    }
}

bool KeySource::usable() const noexcept {
    if (keys_ == nullptr) {
        return false;
    }
    // Another worker may have fetched them at a time that this one's clock comes to with its next turn.
    const ngx_msec_t end = fetched_ + lifetime_;
    return !is_past(end) || (shared_.failing() && !is_past(end + request_.times.stale));
}

const std::shared_ptr<const jwt::KeySet>& KeySource::current() {
    if (shared_.version() != version_) {
        take_over();
    }
    used_ = true;
    if (!usable()) {
        return no_keys;
    }
    if (timer_.timer_set == 0) {
        arm();
    }
    return keys_;
}

void KeySource::arm() noexcept {
    const ngx_msec_t pause = shared_.failing() ? until(shared_.next_try()) : 0;
    set_timer(timer_, std::max({until(refresh_at_), pause, least_pause}), true);
}

KeyStanding KeySource::ask(ngx_http_request_t* r, std::optional<std::string_view> kid, KeyWait& wait) {
    const bool has_keys = current() != nullptr;
    const bool is_new = has_keys && kid && !keys_->names(*kid);
    if (has_keys && (!is_new || is_known_as_unknown(*kid))) {
        return KeyStanding::settled;
    }
    const bool is_on_its_way = turn_is_ours_ || poll_.timer_set != 0;
    // A request that has waited has the provider's word for its kid.
    const bool has_heard = wait.rounds() >= max_rounds || (is_new && wait.rounds() != 0 && !is_on_its_way);
    const auto turn =
        has_heard ? SharedKeys::Turn::too_soon : ask_again(is_new ? SharedKeys::Need::kid : SharedKeys::Need::keys);
    if (turn == SharedKeys::Turn::too_soon) {
        if (!has_keys || shared_.failing()) {
            return KeyStanding::unavailable;
        }
        note_unknown(*kid);
        return KeyStanding::settled;
    }
    wait.begin(r, waiting_);
    return KeyStanding::waiting;
}

void KeySource::prompt() noexcept {
    if (!usable()) {
        static_cast<void>(ask_again(SharedKeys::Need::keys));
    }
}

unsigned KeySource::retry_after() const noexcept {
    const ngx_msec_t pause = shared_.failing() ? until(shared_.next_try()) : 0;
    return static_cast<unsigned>(pause / 1000 + 1);
}

/// Takes the turn to ask the provider, or watches who has it.
SharedKeys::Turn KeySource::ask_again(SharedKeys::Need need) noexcept {
    if (turn_is_ours_) {
        return SharedKeys::Turn::taken;
    }
    const auto turn = shared_.take_turn(need, request_.times);
    if (turn == SharedKeys::Turn::mine) {
        turn_is_ours_ = true;
        ngx_post_event(&begin_, &ngx_posted_events);  // not within the request that asks
    } else if (turn == SharedKeys::Turn::taken && poll_.timer_set == 0) {
        ended_ = shared_.ended();
        set_timer(poll_, poll_pause, false);  // requests wait for it: a worker that shuts down serves them first
    }
    return turn;
}

void KeySource::on_begin(ngx_event_t* event) noexcept {
    auto& source = *static_cast<KeySource*>(event->data);
    const bool went = guarded(event->log, false, [&] {
        source.fetch();
        return true;
    });
    if (!went) {
        source.end_fetch({{}, "cannot be asked: no memory is free", std::nullopt});
    }
}

void KeySource::on_timer(ngx_event_t* event) noexcept {
    auto& source = *static_cast<KeySource*>(event->data);
    const bool is_newer = source.shared_.version() != source.version_;
    if (!source.used_ || is_newer || ngx_exiting != 0) {
        return;  // the next request that uses it sets the timer
    }
    source.used_ = false;
    static_cast<void>(source.ask_again(SharedKeys::Need::keys));
}

void KeySource::on_poll(ngx_event_t* event) noexcept {
    auto& source = *static_cast<KeySource*>(event->data);
    if (source.shared_.ended() != source.ended_ || !source.shared_.turn_taken()) {
        source.wake_all();
    } else if (!ngx_queue_empty(&source.waiting_)) {
        set_timer(source.poll_, poll_pause, false);
    }
}

void KeySource::fetch() {
    std::string problem;
    fetch_ = KeyFetch::start(
        request_, [this](FetchedKeys&& answer) { end_fetch(std::move(answer)); }, problem);
    if (fetch_ == nullptr) {
        end_fetch({{}, std::move(problem), std::nullopt});
    } else {
        fetch_->run();
    }
}

void KeySource::end_fetch(FetchedKeys&& answer) noexcept {
    fetch_ = nullptr;
    const bool settled = guarded(ngx_cycle->log, false, [&] {
        take(std::move(answer));
        return true;
    });
    if (!settled) {
        shared_.fail();
    }
    turn_is_ours_ = false;
    wake_all();
}

void KeySource::take(FetchedKeys&& answer) {
    std::vector<std::string> complaints;
    if (!answer.problem.empty()) {
        refuse(" " + answer.problem);
    } else if (auto set = jwt::KeySet::from_published(answer.text, &complaints); !set) {
        refuse("'s answer " + set.error().message);
    } else {
        const auto& times = request_.times;
        const ngx_msec_t lifetime = std::clamp(answer.max_age.value_or(times.cache), times.cache_min, times.cache);
        const std::uint64_t version = shared_.publish(answer.text, lifetime);
        count_key_fetch(request_.counted_as, set->keys().size());
        if (!complaints.empty() && shared_.may_complain()) {
            log(ngx_cycle->log, NGX_LOG_WARN, "jwt: keys of " + request_.name() + ": ", complaints.front());
        }
        if (version == 0 && shared_.may_complain()) {
            log(ngx_cycle->log, NGX_LOG_ERR,
                "jwt: no room for the keys of " + request_.name() +
                    ": each worker fetches its own; write jwt_key_zone with a larger size");
        }
        adopt(std::move(*set), {{}, version == 0 ? version_ : version, ngx_current_msec, lifetime, false});
    }
}

void KeySource::refuse(std::string_view problem) {
    shared_.fail();
    count_key_fetch(request_.counted_as, std::nullopt);
    if (shared_.may_complain()) {
        log(ngx_cycle->log, NGX_LOG_ERR, "jwt: keys of " + request_.name() + " are not taken: the provider", problem);
    }
}

/// Takes what another worker has published.
void KeySource::take_over() {
    const SharedKeys::Copy copy = shared_.copy();
    version_ = copy.version;
    if (auto set = jwt::KeySet::from_published(copy.text)) {
        adopt(std::move(*set), copy);
    }
}

void KeySource::adopt(jwt::KeySet&& set, const SharedKeys::Copy& copy) {
    keys_ = std::make_shared<const jwt::KeySet>(std::move(set));
    version_ = copy.version;
    fetched_ = copy.fetched;
    lifetime_ = copy.lifetime;
    // Between 3/4 and 9/10 of its life, so that workers and nodes do not all come at once.
    const ngx_msec_t part = 750 + static_cast<ngx_msec_t>(ngx_random()) % 150;
    refresh_at_ =
        copy.inherited ? ngx_current_msec : fetched_ + lifetime_ / 1000 * part + lifetime_ % 1000 * part / 1000;
    used_ = false;
    unknown_.clear();
    drop_event(timer_);
}

void KeySource::wake_all() noexcept {
    drop_event(poll_);
    while (!ngx_queue_empty(&waiting_)) {
        ngx_queue_t* first = ngx_queue_head(&waiting_);
        KeyWait* wait = ngx_queue_data(first, KeyWait, link_);
        wait->wake();
    }
}

bool KeySource::is_known_as_unknown(std::string_view kid) {
    const auto found = unknown_.find(kid);
    return found != unknown_.end() && !is_past(found->second);
}

void KeySource::note_unknown(std::string_view kid) {
    if (kid.size() > max_remembered_kid) {
        return;
    }
    if (unknown_.size() >= max_unknown_kids) {
        unknown_.clear();
    }
    unknown_.insert_or_assign(std::string(kid), ngx_current_msec + request_.times.unknown);
}

}  // namespace ngx
