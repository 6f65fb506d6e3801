#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "revocation.hpp"
#include "revocation_redis.hpp"

// Revocations as they are written in Redis: by nodes, and by applications. README.md tells the latter how.

namespace jwt::revocation {

/// The text of a record: "revoke TIME NODE EXPIRES BEFORE KIND ISSUER NAME", or unrevoke. Times are milliseconds since
/// 1970, the node 16 hexadecimal digits; `-` is no time, and `*` and `-` are any issuer and none. None of the words is
/// empty or has white space in it.
[[nodiscard]] std::string record_text(const Record& record);
/// Strict: nothing where it is not what record_text makes.
[[nodiscard]] std::optional<Record> record_from_text(const Id& id, std::string_view text);

/// One entry of the stream.
struct Entry {
    std::optional<Record> record{};     // nothing: the entry that begins a stream
    bool from_application = false;      // what the hash has of it is not known
    std::optional<std::string> from{};  // the session of the node that sent it
    std::uint64_t sequence = 0;         // with `from`: of the change in that node's outbox
};

/// `id`: "MILLISECONDS-NUMBER"; `words`: fields and values in turn. An error completes "the entry …": it says nothing
/// that is secret.
[[nodiscard]] tl::expected<Entry, std::string> entry_from_fields(std::string_view id,
                                                                 std::span<const redis::Reply> words);

}  // namespace jwt::revocation
