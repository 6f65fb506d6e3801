#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "revocation.hpp"

/// Records as the store keeps them. In two parts, as LMDB has them: the id is the key, the rest the value.
namespace jwt::revocation {

inline constexpr std::size_t name_prefix = 16;  // of an id: all but the issuer

[[nodiscard]] std::string encoded(const Record& record);
/// Nothing for bytes that encoded() did not make.
[[nodiscard]] std::optional<Record> decoded(const Id& id, std::string_view value);

/// What one record says of a token that was issued then; `unavailable` for a damaged one.
[[nodiscard]] Verdict verdict(const Id& id, std::string_view value, std::int64_t issued_at) noexcept;

/// When it may be forgotten, in milliseconds since 1970; INT64_MAX: never, or it is damaged.
[[nodiscard]] std::int64_t expiry(std::string_view value) noexcept;

/// One number for a record: the sum of all tells a damaged store.
[[nodiscard]] std::uint64_t content_hash(const Id& id, std::string_view value) noexcept;

}  // namespace jwt::revocation
