#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <tl/expected.hpp>

#include "revocation.hpp"
#include "revocation_redis.hpp"

// How nodes exchange revocations through Redis. A stream holds changes in their order, a hash what they amount to. Each
// node reads the stream on from the entry that it read last. Where that entry is gone (trimmed, flushed, another
// server, a restored dump), nobody knows what else is, on either side: the node takes in the whole hash and the whole
// stream, and puts in its whole store. Everything may be sent or read twice: records merge.

namespace jwt::revocation {

/// What a thread does with the store between commands, since it waits for the disk.
struct Work {
    std::vector<Record> records;            // to merge
    std::optional<std::string> position;    // to keep, and always with records
    std::optional<std::uint64_t> drop;      // the outbox up to there is in Redis
    std::optional<std::optional<Id>> page;  // of the store, from its start or from there on
    bool read_position = false;
};

struct WorkResult {
    std::optional<StoreFailure>
        failure{};  // nothing was merged, kept or dropped; what others need is there all the same
    std::vector<Unsent> outbox;
    Page page;
    std::string position;
    bool forgotten = false;  // the position kept before: somebody has written what is in no outbox
};

/// When all was known that Redis knew, of a position as it is kept.
[[nodiscard]] std::optional<Time> current_at(std::string_view position) noexcept;

/// An error where the store cannot even be read.
[[nodiscard]] StoreResult<WorkResult> perform(Store& store, const Work& work);

/// An exchange of everything: the store is put in page by page, the hash taken in.
struct WholeExchange {
    std::string cursor = "0";
    bool scanned = false;
    bool read = false;  // the stream, to its end
    std::optional<Id> page_from{};
    bool paged = false;
};

/// One node's side of the exchange, over one connection after the other. It knows no socket, thread or clock: it is
/// told what came, and says what is next.
class Replica {
public:
    struct Options {
        std::string user{};
        std::string password{};
        std::uint32_t database = 0;
        std::string key = "jwt:revocations";
    };

    struct Send {
        std::string bytes;  // a command, whose answer goes to `answered`
    };
    struct Pause {};  // nothing is new: to be asked again in a while
    using Step = std::variant<Send, Work, Pause>;

    struct Counters {
        std::uint64_t received = 0;   // changes of other nodes and applications
        std::uint64_t sent = 0;       // local changes
        std::uint64_t skipped = 0;    // what could not be read
        std::uint64_t exchanges = 0;  // of everything
        std::uint64_t rounds = 0;     // after which all was known
    };

    /// `session`: names this run of this node, and no other.
    Replica(Options options, std::string session);

    /// A connection is there.
    void connected();
    [[nodiscard]] Step next(Time now);
    /// The answer to what was sent last. An error sentence, without secrets, where the connection is of no use.
    [[nodiscard]] tl::expected<void, std::string> answered(const redis::Reply& reply, Time now);
    /// What the last Work brought. Where there was an error this is left out, and `next` gives it again.
    void worked(WorkResult result);

    /// When this node last knew all that Redis knew, restarts included; nothing: never.
    [[nodiscard]] std::optional<Time> current_at() const noexcept { return current_at_; }
    [[nodiscard]] bool exchanges_all() const noexcept { return whole_.has_value(); }
    /// Whether the store takes nothing: local changes are sent, and nothing is read until it does.
    [[nodiscard]] bool stuck() const noexcept { return stuck_; }
    [[nodiscard]] const Counters& counters() const noexcept { return counters_; }
    /// What to tell people, at most the last of its kind; empty where there is nothing.
    [[nodiscard]] std::string take_complaint() { return std::exchange(complaint_, {}); }

private:
    /// The commands of a connection, then those of each round, in this order.
    enum class Phase : std::uint8_t { authenticate, select, work, write, read, fold, scan, sweep, pause };

    struct Outgoing {
        Record record;
        std::string origin;  // as the script for writing takes it
    };

    [[nodiscard]] std::optional<Step> step_of_phase(Time now);
    [[nodiscard]] std::optional<Step> write(const std::vector<Outgoing>& changes) const;
    [[nodiscard]] Step evaluate(std::string_view script, std::string_view key,
                                std::span<const std::string> arguments) const;
    [[nodiscard]] Work work(Time now);
    [[nodiscard]] std::string kept_position() const;
    [[nodiscard]] tl::expected<void, std::string> take_entries(std::span<const redis::Reply> entries);
    void take_entry(std::string_view id, std::span<const redis::Reply> words);
    [[nodiscard]] tl::expected<void, std::string> take_scanned(const redis::Reply& reply);
    void begin_whole();
    /// What the stream takes back must not be put in again: the store is, once that is read.
    [[nodiscard]] bool puts_in_store() const noexcept { return whole_ && whole_->read && !whole_->paged; }
    void end_round(Time now);
    void skip(std::string_view what, std::string_view why);

    Options options_;
    std::string session_;
    std::string state_key_;
    Phase phase_ = Phase::authenticate;

    std::string position_;  // id of the entry read last; empty: none
    bool position_read_ = false;
    std::string kept_;  // the position on disk
    std::string keeping_;
    std::optional<Time> current_at_;
    std::optional<Time> kept_at_;

    std::vector<Record> incoming_;    // to merge into the store
    std::vector<Outgoing> outgoing_;  // to write
    std::vector<Outgoing> folds_;     // what applications put into the stream alone
    std::uint64_t sent_ = 0;          // last of the outbox that was sent by this connection
    std::uint64_t arrived_ = 0;       // last that was read in the stream
    std::uint64_t dropped_ = 0;
    bool caught_up_ = false;
    bool busy_ = false;  // no pause after this round
    bool stuck_ = false;
    std::optional<WholeExchange> whole_;
    Time worked_at_{};

    std::string sweep_cursor_ = "0";
    Time swept_at_{};
    Counters counters_;
    std::string complaint_;
};

}  // namespace jwt::revocation
