#include "revocation_lmdb.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "random.hpp"

namespace jwt::revocation {

namespace {

constexpr std::uint64_t format = 1;
constexpr unsigned most_databases = 5;
// One for each process and for each thread that lists, at 64 bytes; those of workers that are on their way out count.
constexpr unsigned most_readers = 2048;
constexpr off_t lock_file_size = off_t{64} * (most_readers + 64);
constexpr mdb_mode_t file_mode = 0600;

StoreError error_of(int rc) noexcept {
    switch (rc) {
        case MDB_MAP_FULL:
        case ENOSPC:
        case EDQUOT:
        case EFBIG:
            return StoreError::full;
        case EROFS:
        case EACCES:
        case EPERM:
            return StoreError::read_only;
        case MDB_CORRUPTED:
        case MDB_PAGE_NOTFOUND:
        case MDB_INVALID:
        case MDB_VERSION_MISMATCH:
        case MDB_INCOMPATIBLE:
            return StoreError::damaged;
        default:
            return StoreError::unavailable;
    }
}

std::uint64_t random_number() {
    const std::string random = random_bytes(sizeof(std::uint64_t));
    std::uint64_t number = 0;
    std::memcpy(&number, random.data(), sizeof(number));
    return number;
}

std::string data_file(const std::string& folder) {
    return folder + "/data.mdb";
}

/// LMDB writes to its lock file through a mapping, where a full disk would be the end of the process (SIGBUS): its
/// blocks are taken beforehand. To be done while this process has the file not open, or its locks end here.
int reserve_lock_file(const std::string& folder) noexcept {
    const int fd = open((folder + "/lock.mdb").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, file_mode);
    if (fd < 0) {
        return errno;
    }
    const int rc = posix_fallocate(fd, 0, lock_file_size);
    close(fd);
    return rc;
}

}  // namespace

StoreFailure failure_of(int rc) {
    const std::string why = mdb_strerror(rc);
    const StoreError error = error_of(rc);
    switch (error) {
        case StoreError::full:
            return {error, rc == MDB_MAP_FULL ? "is full: give it a larger size=" : "has no room on its disk: " + why};
        case StoreError::read_only:
            return {error, "cannot be written: " + why};
        case StoreError::damaged:
            return {error, "is damaged: " + why};
        case StoreError::unavailable:
            break;
    }
    return {error, "cannot be used: " + why};
}

int get_text(MDB_txn* txn, MDB_dbi meta, std::string_view name, std::string_view& text) noexcept {
    MDB_val key = bytes(name);
    MDB_val found{};
    const int rc = mdb_get(txn, meta, &key, &found);
    text = rc == 0 ? view(found) : std::string_view();
    return rc;
}

int get_number(MDB_txn* txn, MDB_dbi meta, std::string_view name, std::uint64_t& number) noexcept {
    std::string_view text;
    const int rc = get_text(txn, meta, name, text);
    if (rc == 0 && text.size() != sizeof(number)) {
        return MDB_CORRUPTED;
    }
    if (rc == 0) {
        std::memcpy(&number, text.data(), sizeof(number));
    }
    return rc;
}

int put_text(MDB_txn* txn, MDB_dbi meta, std::string_view name, std::string_view text) noexcept {
    MDB_val key = bytes(name);
    MDB_val value = bytes(text);
    return mdb_put(txn, meta, &key, &value, 0);
}

int put_number(MDB_txn* txn, MDB_dbi meta, std::string_view name, std::uint64_t number) noexcept {
    return put_text(txn, meta, name, {reinterpret_cast<const char*>(&number), sizeof(number)});
}

int get_record(MDB_txn* txn, MDB_dbi database, const Id& id, std::optional<Record>& record) {
    MDB_val key = bytes(id);
    MDB_val value{};
    record.reset();
    const int rc = mdb_get(txn, database, &key, &value);
    if (rc != 0) {
        return rc == MDB_NOTFOUND ? 0 : rc;
    }
    record = decoded(id, view(value));
    return record ? 0 : MDB_CORRUPTED;
}

int count_free(MDB_txn* txn, std::size_t& pages) noexcept {
    constexpr MDB_dbi free_list = 0;
    MDB_cursor* raw = nullptr;
    int rc = mdb_cursor_open(txn, free_list, &raw);
    const Cursor cursor(raw);
    MDB_val key{};
    MDB_val value{};
    pages = 0;
    while (rc == 0 && (rc = mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT)) == 0) {
        std::size_t count = 0;
        std::memcpy(&count, value.mv_data, std::min(sizeof(count), value.mv_size));
        pages += count;
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

std::size_t page_size(MDB_env* env) noexcept {
    MDB_stat stat{};
    return mdb_env_stat(env, &stat) == 0 ? stat.ms_psize : std::size_t{4096};
}

int Store::State::begin(unsigned flags, Transaction& txn) noexcept {
    if (env == nullptr || pid != getpid()) {
        return MDB_PANIC;
    }
    MDB_txn* raw = nullptr;
    const int rc = mdb_txn_begin(env.get(), nullptr, flags, &raw);
    txn.reset(raw);
    if (rc == MDB_MAP_RESIZED || rc == MDB_PANIC) {
        broken = true;
    }
    return rc;
}

int Store::State::open_environment(std::size_t size, unsigned flags) noexcept {
    MDB_env* raw = nullptr;
    int rc = mdb_env_create(&raw);
    env.reset(raw);
    if (rc != 0) {
        return rc;
    }
    // These fail for wrong arguments alone.
    static_cast<void>(mdb_env_set_maxdbs(raw, most_databases));
    static_cast<void>(mdb_env_set_maxreaders(raw, most_readers));
    static_cast<void>(mdb_env_set_mapsize(raw, size));
    // The reader's place belongs to its transaction: threads of nginx's pool come and go.
    rc = mdb_env_open(raw, options.folder.c_str(), flags | MDB_NOTLS, file_mode);
    if (rc != 0) {
        env.reset();
    }
    return rc;
}

int Store::State::make_databases(MDB_txn* txn, unsigned flags) noexcept {
    int rc = mdb_dbi_open(txn, "tokens", flags, &databases.tokens);
    rc = rc == 0 ? mdb_dbi_open(txn, "marks", flags | MDB_INTEGERKEY | MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP,
                                &databases.marks)
                 : rc;
    rc = rc == 0 ? mdb_dbi_open(txn, "rules", flags, &databases.rules) : rc;
    rc = rc == 0 ? mdb_dbi_open(txn, "outbox", flags | MDB_INTEGERKEY, &databases.outbox) : rc;
    return rc == 0 ? mdb_dbi_open(txn, "meta", flags, &databases.meta) : rc;
}

int Store::State::open_databases() noexcept {
    Transaction txn;
    int rc = begin(MDB_RDONLY, txn);
    rc = rc == 0 ? make_databases(txn.get(), 0) : rc;
    if (rc == MDB_NOTFOUND && !read_only) {  // new, or broken off before its first transaction
        txn.reset();
        rc = begin(0, txn);
        rc = rc == 0 ? make_databases(txn.get(), MDB_CREATE) : rc;
        std::uint64_t found = 0;
        const int known = rc == 0 ? get_number(txn.get(), databases.meta, meta::format, found) : rc;
        if (known == MDB_NOTFOUND) {
            rc = put_number(txn.get(), databases.meta, meta::format, format);
            rc = rc == 0 ? put_number(txn.get(), databases.meta, meta::node, random_number()) : rc;
        }
    }
    std::uint64_t found = 0;
    rc = rc == 0 ? get_number(txn.get(), databases.meta, meta::format, found) : rc;
    rc = rc == 0 && found != format ? MDB_VERSION_MISMATCH : rc;
    rc = rc == 0 ? get_number(txn.get(), databases.meta, meta::node, node) : rc;
    return rc == 0 ? mdb_txn_commit(txn.release()) : rc;  // which also keeps the handles of a read-only one
}

int Store::State::open_reader() noexcept {
    int rc = begin(MDB_RDONLY, reader);
    MDB_cursor* raw = nullptr;
    rc = rc == 0 ? mdb_cursor_open(reader.get(), databases.tokens, &raw) : rc;
    tokens.reset(raw);
    raw = nullptr;
    rc = rc == 0 ? mdb_cursor_open(reader.get(), databases.marks, &raw) : rc;
    marks.reset(raw);
    raw = nullptr;
    rc = rc == 0 ? mdb_cursor_open(reader.get(), databases.rules, &raw) : rc;
    rules.reset(raw);
    if (rc == 0) {
        mdb_txn_reset(reader.get());
    }
    return rc;
}

int Store::State::open(std::size_t size) noexcept {
    opened = std::chrono::steady_clock::now();
    read_only = false;
    broken = false;
    int rc = reserve_lock_file(options.folder);
    rc = rc == 0 ? open_environment(size, 0) : rc;
    if (rc == EROFS || rc == EACCES) {
        read_only = true;
        rc = open_environment(size, MDB_RDONLY);
    }
    int dead = 0;
    rc = rc == 0 ? mdb_reader_check(env.get(), &dead) : rc;
    rc = rc == 0 ? open_databases() : rc;
    rc = rc == 0 ? open_reader() : rc;
    if (rc != 0) {
        close();
        broken = true;
    }
    return rc;
}

void Store::State::close() noexcept {
    tokens.reset();
    marks.reset();
    rules.reset();
    reader.reset();
    if (pid == getpid()) {
        env.reset();
    } else {
        static_cast<void>(env.release());  // of the process that opened it
    }
}

bool Store::State::open_again() noexcept {
    constexpr std::chrono::seconds pause{1};
    if (env == nullptr && std::chrono::steady_clock::now() - opened < pause) {
        return false;
    }
    const std::unique_lock<std::shared_mutex> alone(in_use, std::try_to_lock);
    if (!alone.owns_lock()) {
        return false;
    }
    close();
    return open(0) == 0;
}

/// 0 where some record of `tokens` may be of that name.
int Store::State::find_mark(const Id& id) noexcept {
    const Mark mark = mark_of(id);
    MDB_val key = bytes(marks_key);
    MDB_val value = bytes(mark);
    return mdb_cursor_get(marks.get(), &key, &value, MDB_GET_BOTH);
}

Verdict Store::State::look_up(const Id& id, std::int64_t issued_at) noexcept {
    const bool of_token = databases.of(id) == databases.tokens;
    if (const int rc = of_token ? find_mark(id) : 0; rc != 0) {
        return rc == MDB_NOTFOUND ? Verdict::live : Verdict::unavailable;
    }
    MDB_cursor* cursor = of_token ? tokens.get() : rules.get();
    Id wanted = of_any_issuer(id);
    const bool of_whoever = wanted == id;
    MDB_val key = bytes(wanted);
    MDB_val value{};
    Id found{};
    // The record of any issuer's is the first of its name, and mostly there is none of that name at all.
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0) {
        if (!read_id(key, found)) {
            return Verdict::unavailable;
        }
        if (!same_name(found, id)) {
            return Verdict::live;
        }
        if (of_whoever || found == id || found == wanted) {
            const Verdict said = verdict(found, view(value), issued_at);
            if (said != Verdict::live) {
                return said;
            }
        }
        if (!of_whoever && found >= id) {
            return Verdict::live;
        }
        if (of_whoever) {
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        } else {
            key = bytes(id);
            rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
        }
    }
    return rc == MDB_NOTFOUND ? Verdict::live : Verdict::unavailable;
}

Store::Store(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}

Store::~Store() = default;

StoreResult<std::unique_ptr<Store>> Store::open(const Options& options) {
    auto state = std::make_unique<State>(options);
    if (const int rc = state->open(options.size); rc != 0) {
        return failed(rc);
    }
    return std::unique_ptr<Store>(new Store(std::move(state)));
}

std::optional<StoreFailure> Store::find_damage(const std::string& folder) {
    struct stat file {};
    if (stat(data_file(folder).c_str(), &file) != 0) {
        return errno == ENOENT || errno == EACCES ? std::nullopt : std::optional(failure_of(errno));
    }
    if (!S_ISREG(file.st_mode)) {
        return failure_of(MDB_INVALID);
    }
    if (file.st_size == 0) {
        return std::nullopt;  // made, and broken off
    }
    // Without locks and transactions it is nothing that a fork, or another process, could be hurt by.
    MDB_env* raw = nullptr;
    int rc = mdb_env_create(&raw);
    const Environment env(raw);
    rc = rc == 0 ? mdb_env_open(raw, folder.c_str(), MDB_RDONLY | MDB_NOLOCK, file_mode) : rc;
    if (rc == EACCES) {
        return std::nullopt;  // whoever asks is not whoever will use it
    }
    MDB_envinfo info{};
    rc = rc == 0 ? mdb_env_info(raw, &info) : rc;
    rc = rc == 0 && stat(data_file(folder).c_str(), &file) != 0 ? errno : rc;
    if (rc != 0) {
        return failure_of(rc);
    }
    // Reading behind the end of a file that was cut short would end the process. Writer::start keeps it long enough.
    if (static_cast<std::uint64_t>(file.st_size) < (info.me_last_pgno + 1) * page_size(raw)) {
        return failure_of(MDB_CORRUPTED);
    }
    return std::nullopt;
}

Verdict Store::check(const Fingerprint& fingerprint) noexcept {
    State& state = *state_;
    int rc = state.broken ? MDB_PANIC : mdb_txn_renew(state.reader.get());
    if (rc == MDB_MAP_RESIZED || rc == MDB_PANIC) {
        state.broken = true;
        rc = state.open_again() ? mdb_txn_renew(state.reader.get()) : rc;
    }
    if (rc != 0) {
        return Verdict::unavailable;
    }
    const Snapshot snapshot{state.opened, mdb_txn_id(state.reader.get())};
    if (fingerprint.live_in == snapshot) {
        mdb_txn_reset(state.reader.get());
        return Verdict::live;
    }
    rc = mdb_cursor_renew(state.reader.get(), state.tokens.get());
    rc = rc == 0 ? mdb_cursor_renew(state.reader.get(), state.marks.get()) : rc;
    rc = rc == 0 ? mdb_cursor_renew(state.reader.get(), state.rules.get()) : rc;
    Verdict result = rc == 0 ? Verdict::live : Verdict::unavailable;
    for (const Id& id : fingerprint.ids) {
        if (result == Verdict::live && id[0] != 0) {
            result = state.look_up(id, fingerprint.issued_at);
        }
    }
    mdb_txn_reset(state.reader.get());
    if (result == Verdict::live) {
        fingerprint.live_in = snapshot;
    }
    return result;
}

StoreResult<std::optional<Record>> Store::find(const Id& id) {
    std::optional<Record> record;
    const int rc = state_->read([&](MDB_txn* txn) { return get_record(txn, state_->databases.of(id), id, record); });
    if (rc != 0) {
        return failed(rc);
    }
    return record;
}

StoreResult<Page> Store::list(const std::optional<Id>& from, std::size_t limit, bool removed) {
    Page page;
    const int rc = state_->read([&](MDB_txn* txn) {
        Id start = from.value_or(Id{});
        const auto add = [&](const Id& id, std::string_view value) -> int {
            auto record = decoded(id, value);
            if (!record) {
                return MDB_CORRUPTED;
            }
            if (record->removed && !removed) {
                return 0;
            }
            if (page.records.size() == limit) {
                page.next = id;
                return MDB_KEYEXIST;
            }
            page.records.push_back(std::move(*record));
            return 0;
        };
        const int walked = walk(txn, state_->databases, start, add);
        return walked == MDB_KEYEXIST ? 0 : walked;
    });
    if (rc != 0) {
        return failed(rc);
    }
    return page;
}

StoreResult<Statistics> Store::statistics() {
    Statistics result;
    const int rc = state_->read([&](MDB_txn* txn) {
        MDB_envinfo info{};
        MDB_stat tokens{};
        MDB_stat rules{};
        MDB_stat outbox{};
        std::size_t free_pages = 0;
        int problem = mdb_env_info(state_->env.get(), &info);
        problem = problem == 0 ? mdb_stat(txn, state_->databases.tokens, &tokens) : problem;
        problem = problem == 0 ? mdb_stat(txn, state_->databases.rules, &rules) : problem;
        problem = problem == 0 ? mdb_stat(txn, state_->databases.outbox, &outbox) : problem;
        problem = problem == 0 ? count_free(txn, free_pages) : problem;
        const std::size_t page = page_size(state_->env.get());
        result.tokens = tokens.ms_entries;
        result.rules = rules.ms_entries;
        result.outbox = outbox.ms_entries;
        result.map_size = info.me_mapsize;
        result.used_size = (info.me_last_pgno + 1) * page;
        result.free_size = free_pages * page;
        return problem;
    });
    if (rc != 0) {
        return failed(rc);
    }
    result.read_only = state_->read_only;
    if (const auto oldest = outbox(1); oldest && !oldest->empty()) {
        result.oldest_unsent = Time(std::chrono::milliseconds(oldest->front().record.version.time));
    }
    return result;
}

StoreResult<void> Store::verify(bool (*go_on)() noexcept) {
    constexpr std::size_t asked_each = 1024;
    std::size_t seen = 0;
    const int rc = state_->read([&](MDB_txn* txn) {
        const Databases& databases = state_->databases;
        std::uint64_t expected = 0;
        std::uint64_t sum = 0;
        int problem = get_number(txn, databases.meta, meta::sum, expected);
        problem = problem == MDB_NOTFOUND ? 0 : problem;
        MDB_cursor* raw = nullptr;
        problem = problem == 0 ? mdb_cursor_open(txn, databases.marks, &raw) : problem;
        const Cursor marks(raw);
        const auto add = [&](const Id& id, std::string_view value) {
            if (go_on != nullptr && ++seen % asked_each == 0 && !go_on()) {
                return MDB_KEYEXIST;
            }
            sum += content_hash(id, value);
            const Mark mark = mark_of(id);
            MDB_val key = bytes(marks_key);
            MDB_val of_id = bytes(mark);
            // A token without its mark is not found.
            const bool marked =
                databases.of(id) != databases.tokens || mdb_cursor_get(marks.get(), &key, &of_id, MDB_GET_BOTH) == 0;
            return marked && decoded(id, value) ? 0 : MDB_CORRUPTED;
        };
        problem = problem == 0 ? walk(txn, databases, Id{}, add) : problem;
        return problem == 0 && sum != expected ? MDB_CORRUPTED : problem;
    });
    if (rc != 0 && rc != MDB_KEYEXIST) {
        return failed(rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc);
    }
    return {};
}

std::size_t Store::check_readers() noexcept {
    const std::shared_lock<std::shared_mutex> lock(state_->in_use);
    int dead = 0;
    if (state_->env == nullptr || mdb_reader_check(state_->env.get(), &dead) != 0) {
        return 0;
    }
    return static_cast<std::size_t>(std::max(dead, 0));
}

std::uint64_t Store::node() const noexcept {
    return state_->node;
}

StoreResult<std::string> Store::position() {
    std::string position;
    const int rc = state_->read([&](MDB_txn* txn) {
        std::string_view text;
        const int problem = get_text(txn, state_->databases.meta, meta::position, text);
        position = text;
        return problem;
    });
    if (rc != 0 && rc != MDB_NOTFOUND) {
        return failed(rc);
    }
    return position;
}

StoreResult<std::uint64_t> Store::outbox_size() {
    MDB_stat outbox{};
    const int rc = state_->read([&](MDB_txn* txn) { return mdb_stat(txn, state_->databases.outbox, &outbox); });
    if (rc != 0) {
        return failed(rc);
    }
    return std::uint64_t{outbox.ms_entries};
}

StoreResult<std::vector<Unsent>> Store::outbox(std::size_t limit) {
    std::vector<Unsent> changes;
    const int rc = state_->read([&](MDB_txn* txn) {
        MDB_cursor* raw = nullptr;
        int problem = mdb_cursor_open(txn, state_->databases.outbox, &raw);
        const Cursor cursor(raw);
        MDB_val key{};
        MDB_val value{};
        while (problem == 0 && changes.size() < limit &&
               (problem = mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT)) == 0) {
            Id id{};
            Sequence sequence = 0;
            const std::string_view text = view(value);
            if (key.mv_size != sizeof(sequence) || !read_id({std::min(text.size(), id.size()), value.mv_data}, id)) {
                return MDB_CORRUPTED;
            }
            std::memcpy(&sequence, key.mv_data, sizeof(sequence));
            auto record = decoded(id, text.substr(id.size()));
            if (!record) {
                return MDB_CORRUPTED;
            }
            changes.push_back({sequence, std::move(*record)});
        }
        return problem;
    });
    if (rc != 0 && rc != MDB_NOTFOUND) {
        return failed(rc);
    }
    return changes;
}

}  // namespace jwt::revocation
