#include "key_watch.hpp"

#include <algorithm>

#include "guard.hpp"

namespace ngx {

namespace {

constexpr std::size_t files_a_look = 64;  // a look costs a microsecond or two a file
constexpr ngx_msec_t second_look_pause = 1000;

void drop(ngx_event_t& event) noexcept {
    if (event.timer_set) {
        ngx_del_timer(&event);
    }
}

void make(ngx_event_t& event, void* data, ngx_event_handler_pt handler) noexcept {
    event.data = data;
    event.handler = handler;
    event.log = ngx_cycle->log;
    event.cancelable = 1;
}

}  // namespace

KeyWatch::KeyWatch(const KeyFiles& files)
    : files_(files),
      pause_(files.pause.value_or(KeyFiles::default_pause)),
      states_(files.files.size()),
      made_(files.recipes.size()),
      users_(files.files.size()) {
    make(look_, this, on_look);
    make(second_look_, this, on_second_look);
    for (std::size_t recipe = 0; recipe < files.recipes.size(); ++recipe) {
        for (const auto& source : files.recipes[recipe].sources->sources) {
            if (source.file != no_file) {
                users_[source.file].push_back(recipe);
            }
        }
    }
    for (std::size_t file = 0; file < states_.size(); ++file) {
        states_[file].taken = files.files[file].stamp;
        // A worker that takes the place of another begins with what that had taken in.
        if (pause_ != 0 && file_stamp(files.files[file].path) != states_[file].taken) {
            states_[file].seen = file_stamp(files.files[file].path);
            take(file);
        }
    }
    set_timers();
}

KeyWatch::~KeyWatch() {
    drop(look_);
    drop(second_look_);
}

void KeyWatch::set_timers() noexcept {
    if (pause_ == 0 || states_.empty()) {
        return;
    }
    const std::size_t looks = (states_.size() + files_a_look - 1) / files_a_look;
    if (look_.timer_set == 0) {
        ngx_add_timer(&look_, std::max<ngx_msec_t>(pause_ / looks, 1));
    }
    if (second_look_.timer_set == 0 && !waiting_.empty()) {
        ngx_add_timer(&second_look_, std::min(pause_, second_look_pause));
    }
}

void KeyWatch::on_look(ngx_event_t* event) noexcept {
    auto& watch = *static_cast<KeyWatch*>(event->data);
    static_cast<void>(guarded(event->log, 0, [&] {
        watch.look_at_some();
        return 0;
    }));
    watch.set_timers();
}

void KeyWatch::on_second_look(ngx_event_t* event) noexcept {
    auto& watch = *static_cast<KeyWatch*>(event->data);
    static_cast<void>(guarded(event->log, 0, [&] {
        watch.look_again();
        return 0;
    }));
    watch.set_timers();
}

void KeyWatch::look_at_some() {
    const std::size_t count = std::min(files_a_look, states_.size());
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t file = next_;
        next_ = (next_ + 1) % states_.size();
        State& state = states_[file];
        if (state.waits) {
            continue;
        }
        if (const auto stamp = file_stamp(files_.files[file].path); stamp != state.taken) {
            state.refused = state.refused && stamp == state.seen;
            state.seen = stamp;
            waiting_.push_back(file);
            state.waits = true;
        } else {
            state.refused = false;
        }
    }
}

void KeyWatch::look_again() {
    std::vector<std::size_t> waiting;
    waiting.swap(waiting_);
    for (const std::size_t file : waiting) {  // also of those behind one for which there is no memory
        states_[file].waits = false;
    }
    for (const std::size_t file : waiting) {
        State& state = states_[file];
        const auto stamp = file_stamp(files_.files[file].path);
        if (stamp != state.seen) {  // still being written
            state.refused = false;
            state.seen = stamp;
            waiting_.push_back(file);
            state.waits = true;
            continue;
        }
        if (stamp != state.taken) {
            take(file);
        }
    }
}

/// Takes a changed file in, or says why not, once. What is refused is tried again with each look: it may be this worker
/// that had no descriptor or memory left to read it, or another file that did not go with it.
void KeyWatch::take(std::size_t file) {
    State& state = states_[file];
    const std::string problem = try_to_take(file);
    if (problem.empty()) {
        state.taken = state.seen;
    }
    const bool was_said = std::exchange(state.refused, !problem.empty()) && state.refused;
    if (ngx_worker != 0 || was_said) {
        return;  // all see the same, one says so
    }
    const std::string& called = files_.files[file].called;
    if (problem.empty()) {
        log(ngx_cycle->log, NGX_LOG_NOTICE, "jwt: ", called + " has changed: its new keys are in use");
    } else {
        log(ngx_cycle->log, NGX_LOG_ERR, "jwt: ", called + " has changed, and its old keys stay in use: " + problem);
    }
}

std::string KeyWatch::try_to_take(std::size_t file) {
    const KeyFile& named = files_.files[file];
    if (!states_[file].seen) {
        return "there is no such file";
    }
    auto contents = read_key_file_contents(named.kind, named.path);
    if (!contents) {
        return "it " + contents.error();
    }
    if (file_stamp(named.path) != states_[file].seen) {
        return "it was written while it was read";
    }
    auto before = std::exchange(states_[file].contents, std::make_shared<const KeyFileContents>(std::move(*contents)));
    std::vector<Made> made;
    for (const std::size_t recipe : users_[file]) {
        auto keys = make_keys(files_.recipes[recipe], now(*files_.recipes[recipe].sources));
        if (!keys) {
            states_[file].contents = std::move(before);
            return keys.error();
        }
        made.push_back({std::make_shared<const jwt::KeySet>(std::move(keys->verifying)), std::move(keys->signer),
                        std::make_shared<const jwt::KeySet>(std::move(keys->decrypting)), std::move(keys->encrypter)});
    }
    for (std::size_t i = 0; i < made.size(); ++i) {
        made_[users_[file][i]] = std::move(made[i]);
    }
    ++changes_;
    return {};
}

KeySources KeyWatch::now(const KeySources& sources) const {
    KeySources result = sources;
    for (auto& source : result.sources) {
        if (source.file != no_file && states_[source.file].contents != nullptr) {
            source.keys = states_[source.file].contents->keys;
            source.secret = states_[source.file].contents->secret;
        }
    }
    return result;
}

}  // namespace ngx
