#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "revocation_lmdb.hpp"

namespace jwt::revocation {

namespace {

// A map that is full to the last page could not even be swept: deleting copies pages first. What a transaction copies
// it gives back; by this much a change may make the store grow.
constexpr std::size_t reserved_pages = 64;
constexpr std::size_t pages_per_change = 1;
// By how much the file grows at least, with a hole.
constexpr std::size_t growth = std::size_t{1} << 20;
// How many records one sweep deletes: others wait for its transaction.
constexpr std::size_t most_deleted = 256;
// A tombstone outlives the messages of a node that was away for less.
constexpr std::chrono::hours tombstone_life{24 * 30};

/// What a tombstone is kept for: as long as the revocation would have been, though not for ever.
std::optional<Time> tombstone_end(const std::optional<Time>& expires, Time now) {
    const Time longest = now + tombstone_life;
    return expires ? std::min(*expires, longest) : longest;
}

std::int64_t milliseconds(Time time) noexcept {
    return time.time_since_epoch().count();
}

/// The one write transaction that there can be.
class Writer {
public:
    explicit Writer(Store::State& state) noexcept : state_(state) {}

    /// `changes`: how many records may come to it; 0 where it only takes away.
    [[nodiscard]] int start(std::size_t changes) noexcept;
    [[nodiscard]] int commit() noexcept;

    [[nodiscard]] int apply(const Change& change, Time now, Outcome& outcome);
    [[nodiscard]] int unrevoke(const Id& id, Time now, Outcome& outcome);
    [[nodiscard]] int merge(const Record& record);
    [[nodiscard]] int erase_expired(const Id& id, Time now, std::size_t& erased);
    [[nodiscard]] int keep_position(std::string_view position, bool& known) noexcept;
    [[nodiscard]] int drop_outbox(Sequence sequence) noexcept;

private:
    [[nodiscard]] int keep_file_long(const MDB_envinfo& info, std::size_t pages) const noexcept;
    [[nodiscard]] int find_room(const MDB_envinfo& info, std::size_t pages) const noexcept;
    [[nodiscard]] int get(const Id& id, std::optional<Record>& record) const {
        return get_record(txn_.get(), state_.databases.of(id), id, record);
    }
    [[nodiscard]] int put(const Record& record);
    [[nodiscard]] int erase_mark(const Id& id) noexcept;
    [[nodiscard]] int put_local(Record record);
    [[nodiscard]] int forget_position() noexcept;
    [[nodiscard]] int revoke(const Change& change, Time now, Outcome& outcome);
    [[nodiscard]] int unrevoke_all(const Id& any, Time now, Outcome& outcome);
    [[nodiscard]] Version next_version(const std::optional<Record>& old, Time now) const noexcept;

    Store::State& state_;
    Transaction txn_;
    std::uint64_t sum_ = 0;
    std::uint64_t sequence_ = 0;
    std::uint64_t old_sequence_ = 0;
};

int Writer::start(std::size_t changes) noexcept {
    if (state_.read_only) {
        return EROFS;
    }
    int rc = state_.begin(0, txn_);
    MDB_envinfo info{};
    rc = rc == 0 ? mdb_env_info(state_.env.get(), &info) : rc;
    const std::size_t pages = reserved_pages + changes * pages_per_change;
    rc = rc == 0 ? keep_file_long(info, pages) : rc;
    rc = rc == 0 && changes != 0 ? find_room(info, pages) : rc;
    const auto number = [&](std::string_view name, std::uint64_t& value) {
        const int problem = get_number(txn_.get(), state_.databases.meta, name, value);
        return problem == MDB_NOTFOUND ? 0 : problem;
    };
    rc = rc == 0 ? number(meta::sum, sum_) : rc;
    rc = rc == 0 ? number(meta::sequence, sequence_) : rc;
    old_sequence_ = sequence_;
    return rc;
}

/// Pages that a transaction takes and gives back are never written: without this the file of a good store could be
/// shorter than what it says of itself, as one that was cut short is.
int Writer::keep_file_long(const MDB_envinfo& info, std::size_t pages) const noexcept {
    int fd = -1;
    struct stat file {};
    if (mdb_env_get_fd(state_.env.get(), &fd) != 0 || fstat(fd, &file) != 0) {
        return errno;
    }
    const std::size_t page = page_size(state_.env.get());
    const std::size_t needed = std::min((info.me_last_pgno + 1 + pages) * page, info.me_mapsize);
    if (static_cast<std::size_t>(file.st_size) >= needed) {
        return 0;
    }
    const std::size_t size = std::min((needed / growth + 1) * growth, info.me_mapsize);
    return ftruncate(fd, static_cast<off_t>(size)) == 0 ? 0 : errno;
}

int Writer::find_room(const MDB_envinfo& info, std::size_t pages) const noexcept {
    const std::size_t all = info.me_mapsize / page_size(state_.env.get());
    std::size_t unused = all - std::min(all, info.me_last_pgno + 1);
    if (unused >= pages) {
        return 0;
    }
    std::size_t free = 0;
    Transaction reader;  // LMDB shows its list of free pages to no other
    int rc = state_.begin(MDB_RDONLY, reader);
    rc = rc == 0 ? count_free(reader.get(), free) : rc;
    return rc == 0 && unused + free < pages ? MDB_MAP_FULL : rc;
}

int Writer::commit() noexcept {
    int rc = put_number(txn_.get(), state_.databases.meta, meta::sum, sum_);
    if (rc == 0 && sequence_ != old_sequence_) {
        rc = put_number(txn_.get(), state_.databases.meta, meta::sequence, sequence_);
    }
    return rc == 0 ? mdb_txn_commit(txn_.release()) : rc;
}

int Writer::put(const Record& record) {
    const MDB_dbi database = state_.databases.of(record.id);
    MDB_val key = bytes(record.id);
    MDB_val old{};
    int rc = mdb_get(txn_.get(), database, &key, &old);
    if (rc == 0) {
        sum_ -= content_hash(record.id, view(old));
    } else if (rc != MDB_NOTFOUND) {
        return rc;
    }
    const std::string text = encoded(record);
    MDB_val value = bytes(text);
    rc = mdb_put(txn_.get(), database, &key, &value, 0);
    sum_ += content_hash(record.id, text);
    if (rc != 0 || database != state_.databases.tokens) {
        return rc;
    }
    const Mark name = mark_of(record.id);
    key = bytes(marks_key);
    value = bytes(name);
    rc = mdb_put(txn_.get(), state_.databases.marks, &key, &value, MDB_NODUPDATA);
    return rc == MDB_KEYEXIST ? 0 : rc;
}

/// Takes the mark of a record away that was erased, unless another has the same: of another issuer, or by chance.
int Writer::erase_mark(const Id& id) noexcept {
    const Mark name = mark_of(id);
    MDB_cursor* raw = nullptr;
    int rc = mdb_cursor_open(txn_.get(), state_.databases.tokens, &raw);
    const Cursor cursor(raw);
    for (const Kind kind : {Kind::token, Kind::digest}) {
        Id first{};
        first[0] = static_cast<unsigned char>(kind);
        std::memcpy(first.data() + 1, &name, sizeof(name));
        MDB_val key = bytes(first);
        MDB_val value{};
        rc = rc == 0 ? mdb_cursor_get(cursor.get(), &key, &value, MDB_SET_RANGE) : rc;
        if (rc == 0 && std::memcmp(key.mv_data, first.data(), 1 + sizeof(name)) == 0) {
            return 0;
        }
        rc = rc == MDB_NOTFOUND ? 0 : rc;
    }
    MDB_val key = bytes(marks_key);
    MDB_val value = bytes(name);
    rc = rc == 0 ? mdb_del(txn_.get(), state_.databases.marks, &key, &value) : rc;
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int Writer::put_local(Record record) {
    const int rc = put(record);
    if (rc != 0 || !state_.options.outbox) {
        return rc == 0 ? forget_position() : rc;
    }
    Sequence sequence = ++sequence_;
    std::string text(reinterpret_cast<const char*>(record.id.data()), record.id.size());
    text += encoded(record);
    MDB_val key{sizeof(sequence), &sequence};
    MDB_val value = bytes(text);
    return mdb_put(txn_.get(), state_.databases.outbox, &key, &value, MDB_APPEND);
}

/// Of a change that is in no outbox other nodes learn where all is exchanged, as it is without a position.
int Writer::forget_position() noexcept {
    MDB_val key = bytes(meta::position);
    const int rc = mdb_del(txn_.get(), state_.databases.meta, &key, nullptr);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/// `known`: whether there was one.
int Writer::keep_position(std::string_view position, bool& known) noexcept {
    std::string_view before;
    const int rc = get_text(txn_.get(), state_.databases.meta, meta::position, before);
    known = !before.empty();
    return rc == 0 || rc == MDB_NOTFOUND ? put_text(txn_.get(), state_.databases.meta, meta::position, position) : rc;
}

Version Writer::next_version(const std::optional<Record>& old, Time now) const noexcept {
    // Behind what it replaces, whatever the clocks of two nodes say.
    const std::int64_t time = milliseconds(now);
    return {old ? std::max(time, old->version.time + 1) : time, state_.node};
}

int Writer::revoke(const Change& change, Time now, Outcome& outcome) {
    Record record;
    record.id = id(change.target);
    record.kind = change.target.kind;
    record.issuer = change.target.issuer;
    record.name = change.target.name;
    record.expires = change.expires;
    record.before = change.before;
    std::optional<Record> old;
    std::optional<Record> of_any;
    const Id any = of_any_issuer(record.id);
    int rc = get(record.id, old);
    rc = rc == 0 && any != record.id ? get(any, of_any) : rc;
    if (rc != 0) {
        return rc;
    }
    record.version = next_version(old, now);
    outcome = (old && !old->removed) || (of_any && !of_any->removed) ? Outcome::known : Outcome::added;
    return put_local(old && !old->removed ? merged(record, *old) : std::move(record));
}

int Writer::unrevoke(const Id& id, Time now, Outcome& outcome) {
    std::optional<Record> record;
    const int rc = get(id, record);
    outcome = record && !record->removed ? Outcome::removed : Outcome::absent;
    if (rc != 0 || outcome == Outcome::absent) {
        return rc;
    }
    record->version = next_version(record, now);
    record->removed = true;
    record->expires = tombstone_end(record->expires, now);
    record->before.reset();
    return put_local(std::move(*record));
}

int Writer::unrevoke_all(const Id& any, Time now, Outcome& outcome) {
    std::vector<Id> ids;
    int rc = walk(txn_.get(), state_.databases, any, [&](const Id& id, std::string_view) {
        if (!same_name(id, any)) {
            return MDB_NOTFOUND;
        }
        ids.push_back(id);
        return 0;
    });
    outcome = Outcome::absent;
    for (const Id& id : ids) {
        Outcome one = Outcome::absent;
        rc = rc == 0 ? unrevoke(id, now, one) : rc;
        outcome = one == Outcome::removed ? one : outcome;
    }
    return rc;
}

int Writer::apply(const Change& change, Time now, Outcome& outcome) {
    if (!change.remove) {
        return revoke(change, now, outcome);
    }
    const Id wanted = id(change.target);
    return change.target.issuer.scope == Issuer::Scope::any ? unrevoke_all(wanted, now, outcome)
                                                            : unrevoke(wanted, now, outcome);
}

int Writer::merge(const Record& record) {
    std::optional<Record> old;
    const int rc = get(record.id, old);
    if (rc != 0) {
        return rc;
    }
    const Record result = old ? merged(*old, record) : record;
    return old == result ? 0 : put(result);
}

int Writer::erase_expired(const Id& id, Time now, std::size_t& erased) {
    const MDB_dbi database = state_.databases.of(id);
    MDB_val key = bytes(id);
    MDB_val value{};
    int rc = mdb_get(txn_.get(), database, &key, &value);
    if (rc != 0 || expiry(view(value)) > milliseconds(now)) {  // meanwhile gone, or revoked for longer
        return rc == MDB_NOTFOUND ? 0 : rc;
    }
    sum_ -= content_hash(id, view(value));
    rc = mdb_del(txn_.get(), database, &key, nullptr);
    erased += rc == 0 ? 1 : 0;
    return rc == 0 && database == state_.databases.tokens ? erase_mark(id) : rc;
}

int Writer::drop_outbox(Sequence sequence) noexcept {
    MDB_cursor* raw = nullptr;
    int rc = mdb_cursor_open(txn_.get(), state_.databases.outbox, &raw);
    const Cursor cursor(raw);
    MDB_val key{};
    MDB_val value{};
    while (rc == 0 && (rc = mdb_cursor_get(cursor.get(), &key, &value, MDB_FIRST)) == 0) {
        Sequence first = 0;
        std::memcpy(&first, key.mv_data, std::min(sizeof(first), key.mv_size));
        if (first > sequence) {
            return 0;
        }
        rc = mdb_cursor_del(cursor.get(), 0);
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/// A disk with room for a part of a write makes LMDB say EIO.
bool has_no_room(const std::string& folder) noexcept {
    struct statvfs disk {};
    return statvfs(folder.c_str(), &disk) == 0 && disk.f_bavail * disk.f_frsize < growth;
}

/// One transaction: all that `body` writes, or nothing.
template <class Body>
int write(Store::State& state, std::size_t changes, Body&& body) {
    const std::shared_lock<std::shared_mutex> lock(state.in_use);
    Writer writer(state);
    int rc = writer.start(changes);
    rc = rc == 0 ? body(writer) : rc;
    rc = rc == 0 ? writer.commit() : rc;
    return rc == EIO && has_no_room(state.options.folder) ? ENOSPC : rc;
}

}  // namespace

StoreResult<std::vector<Outcome>> Store::apply(std::span<const Change> changes, Time now) {
    std::vector<Outcome> outcomes(changes.size(), Outcome::skipped);
    const auto adding = std::count_if(changes.begin(), changes.end(), [](const Change& one) { return !one.remove; });
    const int rc = write(*state_, static_cast<std::size_t>(adding), [&](Writer& writer) {
        int problem = 0;
        for (std::size_t i = 0; i < changes.size() && problem == 0; ++i) {
            if (!changes[i].if_previous_known || (i > 0 && outcomes[i - 1] == Outcome::known)) {
                problem = writer.apply(changes[i], now, outcomes[i]);
            }
        }
        return problem;
    });
    if (rc != 0) {
        return failed(rc);
    }
    return outcomes;
}

StoreResult<Outcome> Store::remove(const Id& id, Time now) {
    Outcome outcome = Outcome::absent;
    const int rc = write(*state_, 0, [&](Writer& writer) { return writer.unrevoke(id, now, outcome); });
    if (rc != 0) {
        return failed(rc);
    }
    return outcome;
}

StoreResult<Store::Swept> Store::sweep(std::size_t limit, Time now) {
    const std::lock_guard<std::mutex> alone(state_->sweeping);
    Swept result;
    std::vector<Id> expired;
    std::size_t seen = 0;
    std::optional<Id> next;
    int rc = state_->read([&](MDB_txn* txn) {
        return walk(txn, state_->databases, state_->swept, [&](const Id& id, std::string_view value) {
            if (seen == limit || expired.size() == most_deleted) {
                next = id;
                return MDB_KEYEXIST;
            }
            ++seen;
            if (expiry(value) <= milliseconds(now)) {
                expired.push_back(id);
            }
            return 0;
        });
    });
    rc = rc == MDB_KEYEXIST ? 0 : rc;
    if (rc == 0 && !expired.empty()) {
        rc = write(*state_, 0, [&](Writer& writer) {
            int problem = 0;
            for (const Id& id : expired) {
                problem = problem == 0 ? writer.erase_expired(id, now, result.deleted) : problem;
            }
            return problem;
        });
    }
    if (rc != 0) {
        return failed(rc);
    }
    result.wrapped = !next;
    state_->swept = next.value_or(Id{});
    return result;
}

StoreResult<bool> Store::apply_remote(std::span<const Record> records, std::string_view position) {
    bool known = false;
    const int rc = write(*state_, records.size(), [&](Writer& writer) {
        int problem = 0;
        for (const Record& record : records) {
            problem = problem == 0 ? writer.merge(record) : problem;
        }
        return problem == 0 ? writer.keep_position(position, known) : problem;
    });
    if (rc != 0) {
        return failed(rc);
    }
    return known;
}

StoreResult<void> Store::drop_outbox(std::uint64_t sequence) {
    const int rc = write(*state_, 0, [&](Writer& writer) { return writer.drop_outbox(sequence); });
    if (rc != 0) {
        return failed(rc);
    }
    return {};
}

}  // namespace jwt::revocation
