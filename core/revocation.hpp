#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "digest.hpp"
#include "json.hpp"
#include "policy.hpp"
#include "token.hpp"

/// What was revoked, kept on disk and shared by the processes of a machine.
namespace jwt::revocation {

/// What a revocation is about.
enum class Kind : std::uint8_t {
    token = 1,  // one token, by its `jti`
    digest,     // one token that has no `jti`, by what was signed: a second signature over the same is the same token
    family,     // tokens of one login, by their claim `sid`
    subject,    // by `sub`
    key,        // by the `kid` of the key that verified them, also where the token names none
    all,
};

[[nodiscard]] std::string_view word(Kind kind) noexcept;
[[nodiscard]] std::optional<Kind> kind_named(std::string_view word) noexcept;

/// Whose tokens: two issuers may choose the same `jti`, `sub` or `kid`.
struct Issuer {
    enum class Scope : std::uint8_t { any, none, named };  // `none`: tokens without `iss`
    Scope scope = Scope::any;
    std::string name{};

    [[nodiscard]] static Issuer named(std::string name) { return {Scope::named, std::move(name)}; }
    /// The claim `iss` of a token, or that it has none.
    [[nodiscard]] static Issuer of(json::Value payload);
    bool operator==(const Issuer&) const = default;
};

/// What to revoke. `name`: jti, digest (digest_name), sid, sub or kid; empty for `all`.
struct Target {
    Kind kind;
    std::string name{};
    Issuer issuer{};

    /// The token itself: by its `jti`, else by its digest.
    [[nodiscard]] static Target of(json::Value payload, std::string_view signing_input);
};

/// SHA-256 of a signing input in base64url.
[[nodiscard]] std::string digest_name(std::string_view signing_input);

/// What a record is found by: a hash of kind and name (16 bytes), and one of the issuer (8; zeros: any). The same on
/// all machines.
using Id = std::array<unsigned char, 24>;

[[nodiscard]] Id id(const Target& target);
/// 48 hexadecimal digits.
[[nodiscard]] std::string text(const Id& id);
[[nodiscard]] std::optional<Id> id_from_text(std::string_view text) noexcept;

/// Orders the changes of one record, from whatever node: the later one wins, ties go to the higher node.
struct Version {
    std::int64_t time = 0;  // milliseconds since 1970, never behind the version that it replaces
    std::uint64_t node = 0;
    bool operator==(const Version&) const = default;
    [[nodiscard]] bool operator>(const Version& other) const noexcept {
        return time != other.time ? time > other.time : node > other.node;
    }
};

/// One revocation as it is kept and sent to other nodes.
struct Record {
    Id id{};
    Kind kind = Kind::token;
    Issuer issuer{};  // for people, as the name: cut where they are longer than max_label
    std::string name{};
    std::optional<Time> expires{};  // kept until then; nothing: for ever
    std::optional<Time> before{};   // of tokens issued before then; nothing: whenever they were issued
    bool removed = false;           // unrevoked: kept so that an older revocation does not come back from another node
    Version version{};

    bool operator==(const Record&) const = default;
};

inline constexpr std::size_t max_label = 128;

/// Two states of one record become one: the later version decides whether it is revoked (a tie is revoked), and of two
/// revocations the longest `expires` and the widest `before` stay. Commutative and idempotent.
[[nodiscard]] Record merged(const Record& one, const Record& other);

/// One local change. A target of any issuer's revokes whoever issued it, and unrevokes every record of that name.
struct Change {
    Target target;
    std::optional<Time> expires{};  // the token's `exp` and what keeps it alive beyond (leeway); nothing: never
    std::optional<Time> before{};
    bool remove = false;
    /// Only where the change before it in the batch found its record revoked already. For a refresh token that is
    /// used twice, whose family then ends in the same transaction.
    bool if_previous_known = false;
};

enum class Outcome : std::uint8_t {
    added,    // it was not revoked before: of any number of processes that revoke at once, one is told so
    known,    // it was
    removed,  // unrevoked
    absent,   // there was nothing to unrevoke
    skipped,  // by if_previous_known
};

enum class StoreError : std::uint8_t {
    full,         // the map (size=) or the disk: 507
    read_only,    // the file system or its permissions: 503
    damaged,      // 503
    unavailable,  // anything else: 503
};

/// Completes the sentence "the revocation store …".
struct [[nodiscard]] StoreFailure {
    StoreError error;
    std::string message;
};

template <class T>
using StoreResult = tl::expected<T, StoreFailure>;

/// One state of a store, of this process's alone.
struct Snapshot {
    std::chrono::steady_clock::time_point opened{};
    std::uint64_t transaction = 0;

    bool operator==(const Snapshot&) const = default;
};

/// All that one token is looked up by.
struct Fingerprint {
    std::array<Id, 5> ids{};  // token, family, subject, key, all; of zeros where the token has none
    /// In milliseconds since 1970. A token that does not say counts as issued before any moment.
    std::int64_t issued_at = INT64_MIN;
    /// Where Store::check found it live last: until somebody writes, it need not look again.
    mutable Snapshot live_in{};
};

/// The one that was made last of a token, beside it in a TokenCache.
struct FingerprintMemo {
    Fingerprint fingerprint;
    std::array<char, 31> subject_claim{};  // that it was made with; longer names are not remembered
    std::uint8_t subject_claim_size = 0;   // 0: none was made
};

/// `kid`: of the key that verified the token. `subject_claim`: where its subject is, a string or other JSON.
[[nodiscard]] Fingerprint fingerprint(json::Value payload, std::optional<std::string_view> kid,
                                      std::string_view signing_input, std::string_view subject_claim = "sub");
/// To ask for one target alone. One of any issuer's is revoked where some issuer's is.
[[nodiscard]] Fingerprint fingerprint(const Target& target);

/// Makes fingerprints for one thread: hashes with one context, and what the last token's issuer and key had too but
/// once. Throws std::runtime_error where OpenSSL has no SHA-256.
class Fingerprints {
public:
    /// As fingerprint() does.
    [[nodiscard]] Fingerprint of(json::Value payload, std::optional<std::string_view> kid,
                                 std::string_view signing_input, std::string_view subject_claim = "sub");
    /// Made once of a token that has room for it, and as long as that is there; of others until the next one is made.
    [[nodiscard]] const Fingerprint& of(const AuthenticToken& token, std::string_view subject_claim = "sub");

private:
    struct Last {
        std::optional<char> first;  // byte of what was hashed; nothing: no hash is known
        std::string name;           // behind it
        Sha256::Hash hash;
    };
    [[nodiscard]] const Sha256::Hash& hash_of(Last& last, char first, std::string_view name);

    Sha256 sha256_;
    Last issuer_{};
    Last key_{};
    Last all_{};
    Fingerprint made_;
};

enum class Verdict : std::uint8_t {
    live,
    revoked,
    unavailable,  // the store cannot be read: not to be let through, and not the token's fault
};

struct Page {
    std::vector<Record> records;
    std::optional<Id> next;  // hand it in for the page after; nothing: that was the last
};

struct Statistics {
    std::uint64_t tokens = 0;  // records by jti or digest, tombstones included
    std::uint64_t rules = 0;   // all others
    std::uint64_t outbox = 0;  // local changes that were not sent
    std::optional<Time> oldest_unsent{};
    std::uint64_t map_size = 0;   // bytes that the store may take
    std::uint64_t used_size = 0;  // bytes of its file in use, free pages inside it included
    std::uint64_t free_size = 0;  // bytes of these that are free for reuse
    bool read_only = false;
};

/// A change that has not been sent to other nodes.
struct Unsent {
    std::uint64_t sequence;
    Record record;
};

/// The store: a folder with an LMDB environment, for any number of processes of a machine at once. Opened by the
/// process that uses it, never before a fork.
///
/// `check` is for one thread, the event loop's: it waits for nothing. All else may be called by any thread and waits
/// for the disk, and for the one writer that there can be. An acknowledged write is on disk (fdatasync); one that
/// failed changed nothing.
class Store {
public:
    struct Options {
        std::string folder;
        std::uint64_t size = std::uint64_t{1} << 30;
        bool outbox = false;  // keep local changes for other nodes until drop_outbox
    };

    /// Makes the files where there are none. A folder on a read-only file system is opened for checks alone.
    [[nodiscard]] static StoreResult<std::unique_ptr<Store>> open(const Options& options);
    /// Says what is wrong with a store before it is used, without opening it: also for the process that forks.
    [[nodiscard]] static std::optional<StoreFailure> find_damage(const std::string& folder);
    ~Store();
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    /// One read transaction, about a microsecond, and a fraction of that where nobody wrote since; allocates nothing.
    /// Where another process made the map larger, or a write found the disk broken, it opens the store anew: call it
    /// now and then also without a fingerprint.
    [[nodiscard]] Verdict check(const Fingerprint& fingerprint) noexcept;

    /// Makes all changes in one transaction, or none. One Outcome for each.
    [[nodiscard]] StoreResult<std::vector<Outcome>> apply(std::span<const Change> changes, Time now);
    /// Unrevokes what a list showed.
    [[nodiscard]] StoreResult<Outcome> remove(const Id& id, Time now);

    [[nodiscard]] StoreResult<std::optional<Record>> find(const Id& id);
    /// Up to `limit` records in the order of their ids, from the first or from a page's `next`. `removed`: tombstones
    /// too, as another node needs them.
    [[nodiscard]] StoreResult<Page> list(const std::optional<Id>& from, std::size_t limit, bool removed = false);
    [[nodiscard]] StoreResult<Statistics> statistics();

    /// Looks through up to `limit` records from where it was last, and deletes those that expired. How many it deleted;
    /// `wrapped` where it came to the end.
    struct Swept {
        std::size_t deleted = 0;
        bool wrapped = false;
    };
    [[nodiscard]] StoreResult<Swept> sweep(std::size_t limit, Time now);
    /// Reads the whole store: `damaged` where its records are not those that were written. Seconds for millions, unless
    /// `go_on` says no.
    [[nodiscard]] StoreResult<void> verify(bool (*go_on)() noexcept = nullptr);
    /// Gives back the places of readers that died. How many.
    std::size_t check_readers() noexcept;

    // For replication.

    /// Tells this store's node from others; chosen at random when the store was made.
    [[nodiscard]] std::uint64_t node() const noexcept;
    /// Merges records of other nodes, and keeps `position` for the next start, in one transaction. They do not go into
    /// the outbox. Whether a position was kept before: a store that is used without an outbox loses it by a change.
    [[nodiscard]] StoreResult<bool> apply_remote(std::span<const Record> records, std::string_view position);
    /// What apply_remote kept last; empty before that.
    [[nodiscard]] StoreResult<std::string> position();
    /// The oldest unsent changes, in the order in which they were made.
    [[nodiscard]] StoreResult<std::vector<Unsent>> outbox(std::size_t limit);
    /// How many there are. One read transaction.
    [[nodiscard]] StoreResult<std::uint64_t> outbox_size();
    /// Forgets those up to and including `sequence`.
    [[nodiscard]] StoreResult<void> drop_outbox(std::uint64_t sequence);

    struct State;  // what revocation_lmdb*.cpp work with

private:
    explicit Store(std::unique_ptr<State> state) noexcept;
    std::unique_ptr<State> state_;
};

}  // namespace jwt::revocation
