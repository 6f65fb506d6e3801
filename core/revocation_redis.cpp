#include "revocation_redis.hpp"

#include <new>

#include <hiredis/hiredis.h>

namespace jwt::redis {

namespace {

/// An array is allocated before its elements are there: its count is a server's word.
constexpr auto max_elements = 100'000;

/// hiredis's own functions, but for arrays. Count is `int` in hiredis 0.14 and `size_t` later.
struct Functions : redisReplyObjectFunctions {
    template <class Count>
    using CreateArray = void* (*)(const redisReadTask*, Count);

    explicit Functions(const redisReplyObjectFunctions& original) noexcept
        : redisReplyObjectFunctions(original), create_any_array(original.createArray) {
        bound(createArray);
    }

    decltype(redisReplyObjectFunctions::createArray) create_any_array;

private:
    template <class Count>
    static void bound(CreateArray<Count>& function) noexcept {
        function = [](const redisReadTask* task, Count count) -> void* {
            const auto& self = *static_cast<const Functions*>(task->privdata);
            return count > Count{max_elements} ? nullptr : self.create_any_array(task, count);
        };
    }
};

struct FreeReply {
    void operator()(void* reply) const noexcept { freeReplyObject(reply); }
};

Reply converted(const redisReply& reply) {
    Reply result;
    switch (reply.type) {
        case REDIS_REPLY_INTEGER:
            result.type = Reply::Type::integer;
            result.integer = reply.integer;
            break;
        case REDIS_REPLY_STRING:
            result.type = Reply::Type::string;
            result.text.assign(reply.str, reply.len);
            break;
        case REDIS_REPLY_STATUS:
            result.type = Reply::Type::status;
            result.text.assign(reply.str, reply.len);
            break;
        case REDIS_REPLY_ARRAY:
            result.type = Reply::Type::array;
            result.items.reserve(reply.elements);
            for (std::size_t i = 0; i < reply.elements; ++i) {
                result.items.push_back(converted(*reply.element[i]));
            }
            break;
        case REDIS_REPLY_ERROR:
            result.type = Reply::Type::error;
            result.text.assign(reply.str, reply.len);
            break;
        default:  // types of RESP3, which is not asked for, are as good as nothing
            break;
    }
    return result;
}

}  // namespace

struct ReplyReader::Hiredis {
    struct Free {
        void operator()(redisReader* made) const noexcept { redisReaderFree(made); }
    };
    std::unique_ptr<redisReader, Free> reader;
    Functions functions;

    explicit Hiredis(std::unique_ptr<redisReader, Free> made) noexcept
        : reader(std::move(made)), functions(*reader->fn) {
        reader->fn = &functions;
        reader->privdata = &functions;
    }
};

ReplyReader::ReplyReader() {
    std::unique_ptr<redisReader, Hiredis::Free> reader(redisReaderCreate());
    if (reader == nullptr) {
        throw std::bad_alloc();
    }
    hiredis_ = std::make_unique<Hiredis>(std::move(reader));
}

ReplyReader::~ReplyReader() = default;

tl::expected<void, std::string> ReplyReader::feed(std::string_view bytes) {
    pending_ += bytes.size();
    if (pending_ > max_reply_size) {
        return tl::make_unexpected("an answer of more than " + std::to_string(max_reply_size) + " bytes");
    }
    redisReader* reader = hiredis_->reader.get();
    if (redisReaderFeed(reader, bytes.data(), bytes.size()) != REDIS_OK) {
        return tl::make_unexpected(std::string(reader->errstr));
    }
    return {};
}

tl::expected<std::optional<Reply>, std::string> ReplyReader::next() {
    redisReader* reader = hiredis_->reader.get();
    void* got = nullptr;
    if (redisReaderGetReply(reader, &got) != REDIS_OK) {
        return tl::make_unexpected("no Redis protocol: " + std::string(reader->errstr));
    }
    if (got == nullptr) {
        return std::nullopt;
    }
    const std::unique_ptr<void, FreeReply> owner(got);
    pending_ = reader->len - reader->pos;
    return converted(*static_cast<const redisReply*>(got));
}

std::string command(std::span<const std::string_view> words) {
    std::string text = "*" + std::to_string(words.size()) + "\r\n";
    for (const std::string_view word : words) {
        text.append("$").append(std::to_string(word.size())).append("\r\n").append(word).append("\r\n");
    }
    return text;
}

}  // namespace jwt::redis
