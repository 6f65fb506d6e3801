#include "inflate.hpp"

#include <zlib.h>

#include <algorithm>

namespace jwt::command {

std::optional<std::string> inflated(std::string_view compressed) {
    constexpr std::size_t most = std::size_t{256} * 1024;
    constexpr std::size_t most_times = 10;
    // zlib asks for room behind the last byte before it says that it was the last.
    std::string text(std::min(most, compressed.size() * most_times) + 1, '\0');
    z_stream stream{};
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) {  // negative: no header before it (RFC 7516 §4.1.3)
        return std::nullopt;
    }
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
    stream.avail_in = static_cast<uInt>(compressed.size());
    stream.next_out = reinterpret_cast<Bytef*>(text.data());
    stream.avail_out = static_cast<uInt>(text.size());
    const int result = inflate(&stream, Z_FINISH);
    const std::size_t size = stream.total_out;
    const bool whole = result == Z_STREAM_END && stream.avail_in == 0 && size < text.size();
    inflateEnd(&stream);
    if (!whole) {
        return std::nullopt;
    }
    text.resize(size);
    return text;
}

}  // namespace jwt::command
