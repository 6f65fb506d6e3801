#include "revocation_sync.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "revocation_format.hpp"
#include "revocation_scripts.hpp"

namespace jwt::revocation {

namespace {

using redis::Reply;

// Of one command: what a server does in about a millisecond.
constexpr std::size_t write_size = 256;
constexpr std::size_t read_size = 512;
constexpr std::size_t scan_size = 512;
constexpr std::size_t sweep_size = 512;

constexpr std::size_t max_entry = 8192;  // bytes
/// Older entries are trimmed: a node that misses more takes in everything.
constexpr std::string_view stream_length = "100000";
constexpr std::chrono::seconds sweep_every{5};
/// How often the time is written down at which all was known. Somewhat older does no harm.
constexpr std::chrono::seconds keep_every{10};

constexpr std::string_view never_append = "-";

bool is_entry_id(std::string_view text) noexcept {
    const std::size_t dash = text.find('-');
    return dash != std::string_view::npos && dash != 0 && dash + 1 != text.size() && text.size() <= 41 &&
           text.find_first_not_of("0123456789-") == std::string_view::npos &&
           text.find('-', dash + 1) == std::string_view::npos;
}

bool is_cursor(std::string_view text) noexcept {
    return !text.empty() && text.size() <= 20 && text.find_first_not_of("0123456789") == std::string_view::npos;
}

tl::unexpected<std::string> unexpected_answer(std::string_view to) {
    return tl::make_unexpected("an answer to " + std::string(to) + " that no Redis gives");
}

bool expired(const Record& record, Time now) noexcept {
    return record.expires && *record.expires < now;
}

std::string milliseconds(Time time) {
    return std::to_string(time.time_since_epoch().count());
}

}  // namespace

std::optional<Time> current_at(std::string_view position) noexcept {
    const std::string_view text = position.substr(std::min(position.find(' '), position.size()));
    std::int64_t time = 0;
    const bool known =
        text.size() > 1 && std::from_chars(text.data() + 1, text.data() + text.size(), time).ec == std::errc();
    return known ? std::optional(Time(std::chrono::milliseconds(time))) : std::nullopt;
}

namespace {

/// A transaction asks for room for all that it may need: where that is not there, less at a time may find it.
StoreResult<bool> merge(Store& store, std::span<const Record> records, std::string_view position) {
    constexpr std::size_t few = 16;
    auto merged = store.apply_remote(records, position);
    if (merged || merged.error().error != StoreError::full || records.size() <= few) {
        return merged;
    }
    const auto before = store.position();
    if (!before) {
        return tl::make_unexpected(before.error());
    }
    while (records.size() > few) {
        if (merged = store.apply_remote(records.first(few), *before); !merged) {
            return merged;
        }
        records = records.subspan(few);
    }
    return store.apply_remote(records, position);
}

/// What changes the store.
StoreResult<void> write(Store& store, const Work& work, bool& forgotten) {
    if (work.position) {
        const auto kept = merge(store, work.records, *work.position);
        if (!kept) {
            return tl::make_unexpected(kept.error());
        }
        forgotten = !*kept;
    }
    return work.drop ? store.drop_outbox(*work.drop) : StoreResult<void>();
}

}  // namespace

StoreResult<WorkResult> perform(Store& store, const Work& work) {
    WorkResult result;
    if (work.read_position) {
        auto position = store.position();
        if (!position) {
            return tl::make_unexpected(std::move(position.error()));
        }
        result.position = std::move(*position);
    }
    if (auto written = write(store, work, result.forgotten); !written) {
        result.failure = std::move(written.error());
    }
    // What was written is told, whatever fails behind it.
    if (work.page && !result.failure) {
        if (auto page = store.list(*work.page, write_size, true)) {
            result.page = std::move(*page);
        } else {
            result.failure = std::move(page.error());
        }
    }
    if (auto outbox = store.outbox(write_size)) {
        result.outbox = std::move(*outbox);
    } else {
        result.failure = std::move(outbox.error());
    }
    return result;
}

Replica::Replica(Options options, std::string session)
    : options_(std::move(options)), session_(std::move(session)), state_key_(options_.key + ":state") {}

void Replica::connected() {
    phase_ = Phase::authenticate;
    sent_ = 0;
    outgoing_.clear();
    // What was read since the position on disk is read again: of some of it Redis has not heard back yet.
    incoming_.clear();
    folds_.clear();
    whole_.reset();
    arrived_ = dropped_;
    position_ = kept_.substr(0, kept_.find(' '));
    if (position_read_ && !is_entry_id(position_)) {
        begin_whole();
    }
}

Replica::Step Replica::next(Time now) {
    for (;;) {
        if (auto step = step_of_phase(now)) {
            return std::move(*step);
        }
        if (phase_ == Phase::sweep) {
            end_round(now);
        }
        phase_ = static_cast<Phase>(static_cast<std::uint8_t>(phase_) + 1);
    }
}

/// Nothing where there is nothing to do in this phase.
std::optional<Replica::Step> Replica::step_of_phase(Time now) {
    if (stuck_ && phase_ > Phase::write && phase_ < Phase::pause) {
        return std::nullopt;
    }
    switch (phase_) {
        case Phase::authenticate: {
            std::vector<std::string_view> words = {"AUTH", options_.user, options_.password};
            if (options_.user.empty()) {
                words.erase(words.begin() + 1);
            }
            return options_.password.empty() ? std::nullopt : std::optional<Step>(Send{redis::command(words)});
        }
        case Phase::select: {
            // Also of the first database: what is wrong with a connection is told of a short command, while of one of
            // more than ten words Redis says to who has not authenticated that they are too many.
            const std::string number = std::to_string(options_.database);
            const std::array<std::string_view, 2> words = {"SELECT", number};
            return Send{redis::command(words)};
        }
        case Phase::work:
            return work(now);
        case Phase::write:
            return write(outgoing_);
        case Phase::read:
            return evaluate(script::read, options_.key,
                            std::array{position_.empty() ? std::string("-") : position_, std::to_string(read_size),
                                       std::to_string(max_entry)});
        case Phase::fold:
            return write(folds_);
        case Phase::scan:
            // Changes that are made from here on are read in the stream, which has to be held before.
            if (!whole_ || whole_->scanned || position_.empty()) {
                return std::nullopt;
            }
            return evaluate(script::scan, state_key_,
                            std::array{whole_->cursor, std::to_string(scan_size), std::to_string(max_entry)});
        case Phase::sweep:
            if (whole_ || busy_ || now - swept_at_ < sweep_every) {
                return std::nullopt;
            }
            return evaluate(script::sweep, state_key_, std::array{sweep_cursor_, std::to_string(sweep_size)});
        case Phase::pause:
            break;
    }
    phase_ = Phase::work;
    return busy_ ? work(now) : std::optional<Step>(Pause{});
}

std::optional<Replica::Step> Replica::write(const std::vector<Outgoing>& changes) const {
    if (changes.empty()) {
        return std::nullopt;
    }
    std::vector<std::string> arguments;
    arguments.reserve(changes.size() * 3 + 1);
    arguments.emplace_back(stream_length);
    for (const Outgoing& change : changes) {
        arguments.push_back(text(change.record.id));
        arguments.push_back(record_text(change.record));
        arguments.push_back(change.origin);
    }
    return evaluate(script::write, {}, arguments);
}

/// `key`: the one key of the script; empty for stream and hash.
Replica::Step Replica::evaluate(std::string_view script, std::string_view key,
                                std::span<const std::string> arguments) const {
    std::vector<std::string_view> words = {"EVAL", script};
    if (key.empty()) {
        words.insert(words.end(), {"2", options_.key, state_key_});
    } else {
        words.insert(words.end(), {"1", key});
    }
    words.insert(words.end(), arguments.begin(), arguments.end());
    return Send{redis::command(words)};
}

/// "ENTRY TIME": where to read on, and when all was known. While everything is exchanged there is no such entry.
std::string Replica::kept_position() const {
    std::string kept = whole_ || position_.empty() ? "-" : position_;
    return kept.append(" ").append(current_at_ ? milliseconds(*current_at_) : "-");
}

Work Replica::work(Time now) {
    Work work;
    if (!position_read_) {
        work.read_position = true;
        return work;
    }
    worked_at_ = now;
    // What was taken back long ago may still be in the stream, and so may that it was.
    std::copy_if(incoming_.begin(), incoming_.end(), std::back_inserter(work.records),
                 [now](const Record& record) { return record.removed || !expired(record, now); });
    keeping_ = kept_position();
    const std::string_view entry = std::string_view(keeping_).substr(0, keeping_.find(' '));
    const bool moved = entry != std::string_view(kept_).substr(0, kept_.find(' '));
    const bool aged = current_at_ && (!kept_at_ || *current_at_ - *kept_at_ >= keep_every);
    if (moved || aged || !work.records.empty()) {
        work.position = keeping_;
    } else {
        keeping_.clear();
    }
    if (arrived_ > dropped_) {
        work.drop = arrived_;
    }
    if (puts_in_store()) {
        work.page = whole_->page_from;
    }
    return work;
}

void Replica::worked(WorkResult result) {
    phase_ = Phase::write;
    busy_ = false;
    caught_up_ = false;
    if (!position_read_) {
        position_read_ = true;
        current_at_ = kept_at_ = revocation::current_at(result.position);
        kept_ = result.position;
        position_ = result.position.substr(0, result.position.find(' '));
        if (!is_entry_id(position_)) {
            begin_whole();
        }
        phase_ = Phase::work;
        return;
    }
    if (result.forgotten) {
        begin_whole();
        // Until it is written that there is none, what is on disk is no position to begin a connection at.
        kept_.clear();
        keeping_.clear();
    }
    outgoing_.clear();
    for (Unsent& unsent : result.outbox) {
        if (unsent.sequence > sent_ && unsent.sequence > arrived_) {
            outgoing_.push_back({std::move(unsent.record), session_ + ":" + std::to_string(unsent.sequence)});
            sent_ = unsent.sequence;
        }
    }
    stuck_ = result.failure.has_value();
    if (stuck_) {
        return;
    }
    if (!keeping_.empty()) {
        kept_ = std::exchange(keeping_, {});
        kept_at_ = current_at_;
    }
    dropped_ = arrived_;
    incoming_.clear();
    if (puts_in_store()) {
        for (Record& record : result.page.records) {
            if (!expired(record, worked_at_)) {  // what the stream had of it is not put in again
                outgoing_.push_back({std::move(record), {}});
            }
        }
        whole_->page_from = result.page.next;
        whole_->paged = !result.page.next;
    }
    busy_ = !outgoing_.empty();
}

tl::expected<void, std::string> Replica::answered(const Reply& reply, Time now) {
    const Phase phase = phase_;
    if (reply.is(Reply::Type::error)) {
        // An error may repeat the words of a command.
        const bool telling = !options_.password.empty() && reply.text.find(options_.password) != std::string::npos;
        return tl::make_unexpected(phase == Phase::authenticate || telling
                                       ? "refused authentication: " + reply.text.substr(0, reply.text.find(' '))
                                       : "answered: " + reply.text.substr(0, 200));
    }
    phase_ = static_cast<Phase>(static_cast<std::uint8_t>(phase) + 1);
    switch (phase) {
        case Phase::authenticate:
        case Phase::select:
            return reply.is(Reply::Type::status) ? tl::expected<void, std::string>() : unexpected_answer("a greeting");
        case Phase::write:
            counters_.sent += static_cast<std::uint64_t>(std::count_if(
                outgoing_.begin(), outgoing_.end(), [](const Outgoing& change) { return !change.origin.empty(); }));
            [[fallthrough]];
        case Phase::fold:
            (phase == Phase::write ? outgoing_ : folds_).clear();
            return reply.is(Reply::Type::status) ? tl::expected<void, std::string>() : unexpected_answer("a change");
        case Phase::read:
            return reply.is(Reply::Type::array) ? take_entries(reply.items) : unexpected_answer("a look at the stream");
        case Phase::scan:
            return take_scanned(reply);
        case Phase::sweep:
            if (!reply.is(Reply::Type::string) || !is_cursor(reply.text)) {
                return unexpected_answer("sweeping");
            }
            sweep_cursor_ = reply.text;
            swept_at_ = now;
            end_round(now);
            return {};
        case Phase::work:
        case Phase::pause:
            break;
    }
    return tl::make_unexpected(std::string("an answer to no question"));
}

tl::expected<void, std::string> Replica::take_entries(std::span<const Reply> entries) {
    for (const Reply& entry : entries) {
        if (!entry.is(Reply::Type::array) || entry.items.size() != 2 || !entry.items[0].is(Reply::Type::string) ||
            !is_entry_id(entry.items[0].text) || !entry.items[1].is(Reply::Type::array)) {
            return unexpected_answer("a look at the stream");
        }
    }
    if (!position_.empty()) {
        if (entries.empty() || entries.front().items[0].text != position_) {
            begin_whole();
            busy_ = true;
            return {};
        }
        entries = entries.subspan(1);
    } else if (entries.empty()) {
        return unexpected_answer("a look at the stream");
    }
    for (const Reply& entry : entries) {
        take_entry(entry.items[0].text, entry.items[1].items);
        position_ = entry.items[0].text;
    }
    caught_up_ = entries.size() + 1 < read_size;
    if (whole_) {
        whole_->read = whole_->read || caught_up_;
    }
    busy_ = busy_ || !entries.empty();
    return {};
}

void Replica::take_entry(std::string_view id, std::span<const Reply> words) {
    auto entry = entry_from_fields(id, words);
    if (!entry) {
        skip("entry " + std::string(id) + " of the stream", entry.error());
        return;
    }
    if (entry->from == session_) {
        arrived_ = std::max(arrived_, entry->sequence);
        return;  // it came from here
    }
    if (!entry->record) {
        return;
    }
    ++counters_.received;
    if (entry->from_application) {
        folds_.push_back({*entry->record, std::string(never_append)});
    }
    incoming_.push_back(std::move(*entry->record));
}

tl::expected<void, std::string> Replica::take_scanned(const Reply& reply) {
    if (!reply.is(Reply::Type::array) || reply.items.size() % 2 != 1 ||
        !std::all_of(reply.items.begin(), reply.items.end(),
                     [](const Reply& item) { return item.is(Reply::Type::string); }) ||
        !is_cursor(reply.items[0].text)) {
        return unexpected_answer("a look at the hash");
    }
    whole_->cursor = reply.items[0].text;
    whole_->scanned = whole_->cursor == "0";
    for (std::size_t i = 1; i < reply.items.size(); i += 2) {
        const auto id = id_from_text(reply.items[i].text);
        auto record = id ? record_from_text(*id, reply.items[i + 1].text) : std::nullopt;
        if (!record) {
            skip("field " + reply.items[i].text + " of the hash", "it is not as a node writes it");
            continue;
        }
        incoming_.push_back(std::move(*record));
    }
    return {};
}

void Replica::begin_whole() {
    if (!whole_) {
        ++counters_.exchanges;
    }
    whole_.emplace();
    position_.clear();
    sent_ = 0;
}

void Replica::end_round(Time now) {
    if (whole_ && !stuck_) {
        busy_ = true;
        if (whole_->scanned && whole_->paged && caught_up_) {
            whole_.reset();
        }
    }
    if (!whole_ && caught_up_) {
        current_at_ = now;
        ++counters_.rounds;
    }
}

void Replica::skip(std::string_view what, std::string_view why) {
    ++counters_.skipped;
    complaint_.assign(what.substr(0, 100)).append(" is skipped: ").append(why.substr(0, 300));
}

}  // namespace jwt::revocation
