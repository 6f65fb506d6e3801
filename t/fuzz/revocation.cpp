#include <string>

#include "check.hpp"
#include "revocation_format.hpp"
#include "revocation_redis.hpp"

using namespace jwt::revocation;
using jwt::redis::Reply;

namespace {

/// What is taken for a record reads back as the same.
void look_at(const Record& record) {
    const std::string text = record_text(record);
    check(text.size() <= 1024 && text.find('\n') == std::string::npos);
    const auto again = record_from_text(record.id, text);
    check(again && *again == record);
}

void look_at(const Reply& reply) {
    if (const auto record = record_from_text(Id{}, reply.text)) {
        check(record_text(*record) == reply.text);
    }
    if (const auto entry = entry_from_fields("1763769600123-0", reply.items); entry && entry->record) {
        look_at(*entry->record);
    }
    for (const Reply& item : reply.items) {
        look_at(item);
    }
}

}  // namespace

/// What Redis sends, in two pieces: the first byte says where it is cut.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const std::string_view bytes = text_of(data + 1, size - 1);
    const std::size_t cut = bytes.size() * data[0] / 256;
    jwt::redis::ReplyReader reader;
    for (const std::string_view piece : {bytes.substr(0, cut), bytes.substr(cut)}) {
        if (!reader.feed(piece)) {
            return 0;
        }
        for (;;) {
            const auto reply = reader.next();
            if (!reply) {
                return 0;
            }
            if (!*reply) {
                break;
            }
            look_at(**reply);
        }
    }
    return 0;
}
