#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

// The protocol of Redis and Valkey (RESP2), by hiredis. Bytes in, bytes out: whose socket they go through is not its
// business.

namespace jwt::redis {

/// What a server answers. Nothing in it is trusted: an answer of an unexpected type is as good as garbage.
struct Reply {
    enum class Type : std::uint8_t { nil, integer, string, status, error, array };

    Type type = Type::nil;
    std::int64_t integer = 0;
    std::string text;          // of a string, status or error
    std::vector<Reply> items;  // of an array

    [[nodiscard]] bool is(Type wanted) const noexcept { return type == wanted; }
};

/// The longest answer that is read, in bytes.
inline constexpr std::size_t max_reply_size = std::size_t{8} * 1024 * 1024;

/// Takes answers out of what a server sends. After an error it is of no more use, and so is the connection.
class ReplyReader {
public:
    ReplyReader();
    ~ReplyReader();
    ReplyReader(const ReplyReader&) = delete;
    ReplyReader& operator=(const ReplyReader&) = delete;

    /// An error sentence where an answer grows past max_reply_size. Throws std::bad_alloc.
    [[nodiscard]] tl::expected<void, std::string> feed(std::string_view bytes);
    /// The next whole answer; nothing where more bytes are needed; an error sentence where they are no RESP.
    [[nodiscard]] tl::expected<std::optional<Reply>, std::string> next();

private:
    struct Hiredis;
    std::unique_ptr<Hiredis> hiredis_;
    std::size_t pending_ = 0;  // bytes that no answer has used up
};

/// A command as it is sent, binary safe: no word can end it. Throws std::bad_alloc.
[[nodiscard]] std::string command(std::span<const std::string_view> words);

}  // namespace jwt::redis
