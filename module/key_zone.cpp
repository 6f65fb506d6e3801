#include "key_zone.hpp"

#include <cerrno>
#include <csignal>
#include <map>
#include <new>

#include "guard.hpp"

namespace ngx {

namespace {

constexpr ngx_msec_t lease_reserve = 1000;  // after a fetch's time is up
constexpr ngx_msec_t complaint_pause = 60 * 1000;
constexpr std::uint64_t max_backoff_step = 6;  // 2^6 s and more: the last step is 60 s

class ZoneLock {
public:
    explicit ZoneLock(ngx_slab_pool_t* pool) noexcept : pool_(pool) { ngx_shmtx_lock(&pool_->mutex); }
    ~ZoneLock() { ngx_shmtx_unlock(&pool_->mutex); }
    ZoneLock(const ZoneLock&) = delete;
    ZoneLock& operator=(const ZoneLock&) = delete;

private:
    ngx_slab_pool_t* pool_;
};

/// Between a half and all of 2, 4, … 60 s, so that nodes that lost their provider together do not come back together.
ngx_msec_t backoff(std::uint64_t failures) noexcept {
    const ngx_msec_t whole =
        failures >= max_backoff_step ? 60 * 1000 : (ngx_msec_t{1000} << static_cast<unsigned>(failures));
    return whole / 2 + static_cast<ngx_msec_t>(ngx_random()) % (whole / 2 + 1);
}

std::string zone_key(const KeyRequest& request) {
    return std::string(view(request.server->server_name)) + " " + request.uri;
}

/// The names of those whose name is theirs alone: two servers of one name may ask different providers, and none may
/// inherit the other's keys.
std::map<std::string, SharedKeys*> unmistakable(const KeyRequests& requests) {
    std::map<std::string, SharedKeys*> found;
    for (const auto& request : requests.requests) {
        const auto [place, is_new] = found.emplace(zone_key(*request), request->shared);
        if (!is_new) {
            place->second = nullptr;
        }
    }
    return found;
}

constexpr std::string_view zone_name = "jwt_keys";

/// The zone of the configuration that is replaced; null where it had none. Its workers still use it.
const ngx_shm_zone_t* replaced_zone() noexcept {
    // While nginx makes a new cycle, this is the one that runs.
    const ngx_cycle_t* running = const_cast<const ngx_cycle_t*>(ngx_cycle);
    for (const ngx_list_part_t* part = &running->shared_memory.part; part != nullptr; part = part->next) {
        const auto* zones = static_cast<const ngx_shm_zone_t*>(part->elts);
        for (ngx_uint_t i = 0; i < part->nelts; ++i) {
            if (zones[i].tag == &ngx_http_jwt_module && view(zones[i].shm.name) == zone_name &&
                zones[i].shm.addr != nullptr) {
                return &zones[i];
            }
        }
    }
    return nullptr;
}

/// Whether the master got the lock. It must not wait for it: a worker that was killed with it is the master's to find.
bool try_lock(ngx_slab_pool_t* pool) noexcept {
    for (int tries = 0; tries < 1000; ++tries) {
        if (ngx_shmtx_trylock(&pool->mutex) != 0) {
            return true;
        }
        ngx_sched_yield();
    }
    return false;
}

void inherit_all(const KeyRequests& requests, const ngx_shm_zone_t& old_zone) {
    auto* old_pool = reinterpret_cast<ngx_slab_pool_t*>(old_zone.shm.addr);
    const auto known = unmistakable(*static_cast<const KeyRequests*>(old_zone.data));
    if (!try_lock(old_pool)) {
        return;
    }
    for (const auto& [name, shared] : unmistakable(requests)) {
        const auto found = known.find(name);
        if (shared != nullptr && found != known.end() && found->second != nullptr) {
            shared->inherit(*found->second);
        }
    }
    ngx_shmtx_unlock(&old_pool->mutex);
}

ngx_int_t fill_zone(ngx_shm_zone_t* zone, ngx_log_t* log_to) {
    auto& requests = *static_cast<KeyRequests*>(zone->data);
    auto* pool = reinterpret_cast<ngx_slab_pool_t*>(zone->shm.addr);
    pool->log_nomem = 0;  // we say it ourselves, with the provider's name
    for (const auto& request : requests.requests) {
        void* memory = ngx_slab_calloc(pool, sizeof(SharedKeys));
        if (memory == nullptr) {
            log(log_to, NGX_LOG_EMERG, "jwt_key_zone is too small for all of jwt_key_request: write a larger size");
            return NGX_ERROR;
        }
        request->shared = new (memory) SharedKeys(pool);
    }
    return NGX_OK;
}

ngx_int_t init_zone(ngx_shm_zone_t* zone, void* /*kept*/) noexcept {
    ngx_log_t* log_to = zone->shm.log;
    return guarded(log_to, ngx_int_t{NGX_ERROR}, [&]() -> ngx_int_t {
        if (fill_zone(zone, log_to) != NGX_OK) {
            return NGX_ERROR;
        }
        if (const ngx_shm_zone_t* old_zone = replaced_zone()) {
            inherit_all(*static_cast<const KeyRequests*>(zone->data), *old_zone);
        }
        return NGX_OK;
    });
}

}  // namespace

SharedKeys::Copy SharedKeys::copy() const {
    Copy result;
    const ZoneLock lock(pool_);
    if (block_ != nullptr) {
        result.text.assign(reinterpret_cast<const char*>(block_->text()), block_->size);
        result.fetched = block_->fetched;
        result.lifetime = block_->lifetime;
        result.inherited = block_->inherited;
        result.version = version();
    }
    return result;
}

bool SharedKeys::is_taken() const noexcept {
    return holder_ != 0 && !is_past(lease_end_) && (kill(holder_, 0) == 0 || errno != ESRCH);
}

bool SharedKeys::turn_taken() noexcept {
    const ZoneLock lock(pool_);
    return is_taken();
}

SharedKeys::Turn SharedKeys::take_turn(Need need, const KeyTimes& times) noexcept {
    const ZoneLock lock(pool_);
    if (is_taken()) {
        return Turn::taken;
    }
    if ((failing() && !is_past(next_try())) || (need == Need::kid && ever_asked_ && !is_past(asked_ + times.unknown))) {
        return Turn::too_soon;
    }
    holder_ = ngx_pid;
    lease_end_ = ngx_current_msec + times.timeout + lease_reserve;
    asked_ = ngx_current_msec;
    ever_asked_ = true;
    return Turn::mine;
}

void SharedKeys::end_turn() noexcept {
    holder_ = 0;
    asked_ = ngx_current_msec;
    ended_.fetch_add(1, std::memory_order_release);
}

bool SharedKeys::put(std::string_view text, const Block& times) noexcept {
    auto* block = static_cast<Block*>(ngx_slab_alloc_locked(pool_, sizeof(Block) + text.size()));
    if (block == nullptr) {
        return false;
    }
    *block = times;
    block->size = text.size();
    ngx_memcpy(block->text(), text.data(), text.size());
    Block* before = std::exchange(block_, block);
    version_.fetch_add(1, std::memory_order_release);
    if (before != nullptr) {
        ngx_slab_free_locked(pool_, before);
    }
    return true;
}

std::uint64_t SharedKeys::publish(std::string_view text, ngx_msec_t lifetime) noexcept {
    const ZoneLock lock(pool_);
    failures_ = 0;
    const bool fits = put(text, {ngx_current_msec, lifetime, false, 0});
    end_turn();
    return fits ? version() : 0;
}

void SharedKeys::fail() noexcept {
    const ZoneLock lock(pool_);
    next_try_ = ngx_current_msec + backoff(++failures_);
    end_turn();
}

bool SharedKeys::may_complain() noexcept {
    const ZoneLock lock(pool_);
    if (ever_complained_ && !is_past(complained_ + complaint_pause)) {
        return false;
    }
    ever_complained_ = true;
    complained_ = ngx_current_msec;
    return true;
}

void SharedKeys::inherit(const SharedKeys& other) noexcept {
    if (other.block_ == nullptr) {
        return;
    }
    const Block& block = *other.block_;
    const std::string_view text(reinterpret_cast<const char*>(block.text()), block.size);
    static_cast<void>(put(text, {block.fetched, block.lifetime, true, 0}));
}

ngx_int_t add_key_zone(ngx_conf_t* cf, KeyRequests& requests) {
    constexpr std::size_t least = 4 * 1024 * 1024;
    constexpr std::size_t for_each = 64 * 1024;  // a set of a few keys with their certificates, and its successor
    ngx_str_t name = str(zone_name);
    const std::size_t size = requests.zone_size != 0 ? requests.zone_size : least + requests.requests.size() * for_each;
    ngx_shm_zone_t* zone = ngx_shared_memory_add(cf, &name, size, &ngx_http_jwt_module);
    if (zone == nullptr) {
        return NGX_ERROR;
    }
    zone->init = init_zone;
    zone->data = &requests;
    // Each configuration has its own: what shutting workers fetch by an old one must not be taken for keys of the new.
    zone->noreuse = 1;
    return NGX_OK;
}

std::string KeyRequest::name() const {
    return zone_key(*this);
}

const KeyRequest& KeyRequests::of(ngx_http_core_srv_conf_t* server, const std::string& uri, const KeyTimes& times,
                                  Row counted_as) {
    for (const auto& known : requests) {
        if (known->server == server && known->uri == uri && known->times == times) {
            return *known;
        }
    }
    requests.push_back(std::make_unique<KeyRequest>(KeyRequest{requests.size(), uri, times, server, counted_as}));
    return *requests.back();
}

}  // namespace ngx
