#pragma once

#include <lmdb.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>

#include "revocation.hpp"
#include "revocation_record.hpp"

/// What the files revocation_lmdb*.cpp share: the only ones that know LMDB. Its functions return 0, an errno or one of
/// its own negative numbers; `rc` is one of those here.
namespace jwt::revocation {

struct EnvironmentCloser {
    void operator()(MDB_env* env) const noexcept { mdb_env_close(env); }
};
struct TransactionAborter {
    void operator()(MDB_txn* txn) const noexcept { mdb_txn_abort(txn); }
};
struct CursorCloser {
    void operator()(MDB_cursor* cursor) const noexcept { mdb_cursor_close(cursor); }
};
using Environment = std::unique_ptr<MDB_env, EnvironmentCloser>;
using Transaction = std::unique_ptr<MDB_txn, TransactionAborter>;
using Cursor = std::unique_ptr<MDB_cursor, CursorCloser>;

[[nodiscard]] inline MDB_val bytes(std::string_view text) noexcept {
    return {text.size(), const_cast<char*>(text.data())};
}

[[nodiscard]] inline MDB_val bytes(const Id& id) noexcept {
    return {id.size(), const_cast<unsigned char*>(id.data())};
}

[[nodiscard]] inline std::string_view view(const MDB_val& value) noexcept {
    return {static_cast<const char*>(value.mv_data), value.mv_size};
}

[[nodiscard]] inline bool read_id(const MDB_val& key, Id& id) noexcept {
    if (key.mv_size != id.size()) {
        return false;
    }
    std::memcpy(id.data(), key.mv_data, id.size());
    return true;
}

[[nodiscard]] inline bool same_name(const Id& one, const Id& other) noexcept {
    return std::memcmp(one.data(), other.data(), name_prefix) == 0;
}

/// The first id of that name: the one of any issuer's.
[[nodiscard]] inline Id of_any_issuer(const Id& id) noexcept {
    Id any{};
    std::copy_n(id.begin(), name_prefix, any.begin());
    return any;
}

[[nodiscard]] StoreFailure failure_of(int rc);

[[nodiscard]] inline tl::unexpected<StoreFailure> failed(int rc) {
    return tl::unexpected<StoreFailure>(failure_of(rc));
}

/// Sequences of the outbox are native integers, as MDB_INTEGERKEY has them.
using Sequence = std::size_t;

/// The first bytes of a token's name. Every record of `tokens` has one: all but a few tokens that are asked about have
/// none, and a tree of nothing else is small enough to stay in a processor's caches and in memory, which a tree of
/// millions of records is not.
using Mark = std::size_t;

[[nodiscard]] inline Mark mark_of(const Id& id) noexcept {
    Mark mark = 0;
    std::memcpy(&mark, id.data() + 1, sizeof(mark));
    return mark;
}

struct Databases {
    MDB_dbi tokens = 0;
    MDB_dbi marks = 0;  // of `tokens`, as the duplicates of one key
    MDB_dbi rules = 0;
    MDB_dbi outbox = 0;
    MDB_dbi meta = 0;

    /// Ids begin with their kind: those of tokens are the first.
    [[nodiscard]] MDB_dbi of(const Id& id) const noexcept {
        return id[0] <= static_cast<unsigned char>(Kind::digest) ? tokens : rules;
    }
};

namespace meta {
inline constexpr std::string_view format = "format";
inline constexpr std::string_view node = "node";
inline constexpr std::string_view position = "position";
inline constexpr std::string_view sequence = "sequence";
inline constexpr std::string_view sum = "sum";  // of the content_hash of all records
}  // namespace meta

/// The one key of `marks`.
inline constexpr std::size_t marks_key = 0;

[[nodiscard]] inline MDB_val bytes(const std::size_t& number) noexcept {
    return {sizeof(number), const_cast<std::size_t*>(&number)};
}

[[nodiscard]] int get_text(MDB_txn* txn, MDB_dbi meta, std::string_view name, std::string_view& text) noexcept;
[[nodiscard]] int get_number(MDB_txn* txn, MDB_dbi meta, std::string_view name, std::uint64_t& number) noexcept;
[[nodiscard]] int put_text(MDB_txn* txn, MDB_dbi meta, std::string_view name, std::string_view text) noexcept;
[[nodiscard]] int put_number(MDB_txn* txn, MDB_dbi meta, std::string_view name, std::uint64_t number) noexcept;

[[nodiscard]] int get_record(MDB_txn* txn, MDB_dbi database, const Id& id, std::optional<Record>& record);
/// Pages inside the file that hold nothing.
[[nodiscard]] int count_free(MDB_txn* txn, std::size_t& pages) noexcept;
[[nodiscard]] std::size_t page_size(MDB_env* env) noexcept;

/// Calls visit(id, value) for the records from `start` on, in the order of their ids, until it returns other than 0.
template <class Visit>
[[nodiscard]] int walk(MDB_txn* txn, const Databases& databases, const Id& start, Visit&& visit) {
    for (const MDB_dbi database : {databases.tokens, databases.rules}) {
        if (database == databases.tokens && databases.of(start) == databases.rules) {
            continue;
        }
        MDB_cursor* raw = nullptr;
        int rc = mdb_cursor_open(txn, database, &raw);
        const Cursor cursor(raw);
        MDB_val key = bytes(start);
        MDB_val value{};
        Id id{};
        for (MDB_cursor_op step = MDB_SET_RANGE; rc == 0; step = MDB_NEXT) {
            rc = mdb_cursor_get(cursor.get(), &key, &value, step);
            rc = rc == 0 && !read_id(key, id) ? MDB_CORRUPTED : rc;
            rc = rc == 0 ? visit(id, view(value)) : rc;
        }
        if (rc != MDB_NOTFOUND) {
            return rc;
        }
    }
    return 0;
}

struct Store::State {
    explicit State(const Options& wanted) : options(wanted) {}
    ~State() { close(); }
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    /// `size` 0: what the file says.
    [[nodiscard]] int open(std::size_t size) noexcept;
    void close() noexcept;
    /// Where another process made the map larger, or a write broke the environment for this one. Only while no other
    /// thread uses it, at most once a second.
    [[nodiscard]] bool open_again() noexcept;
    [[nodiscard]] Verdict look_up(const Id& id, std::int64_t issued_at) noexcept;
    [[nodiscard]] int find_mark(const Id& id) noexcept;

    /// A transaction of a thread's own, which holds `in_use` for as long.
    template <class Body>
    [[nodiscard]] int read(Body&& body) {
        const std::shared_lock<std::shared_mutex> lock(in_use);
        Transaction txn;
        const int rc = begin(MDB_RDONLY, txn);
        return rc == 0 ? body(txn.get()) : rc;
    }
    /// Notes what only opening anew can mend.
    [[nodiscard]] int begin(unsigned flags, Transaction& txn) noexcept;

    Options options;
    Environment env;
    Databases databases;
    bool read_only = false;
    std::uint64_t node = 0;
    pid_t pid = getpid();

    // Of check alone.
    Transaction reader;
    Cursor tokens;
    Cursor marks;
    Cursor rules;
    std::chrono::steady_clock::time_point opened{};

    std::shared_mutex in_use;
    std::atomic<bool> broken = false;
    std::mutex sweeping;
    Id swept{};  // where the next sweep begins

private:
    [[nodiscard]] int open_environment(std::size_t size, unsigned flags) noexcept;
    [[nodiscard]] int open_databases() noexcept;
    [[nodiscard]] int make_databases(MDB_txn* txn, unsigned flags) noexcept;
    [[nodiscard]] int open_reader() noexcept;
};

}  // namespace jwt::revocation
