#include "guard.hpp"

#include <array>
#include <cstring>

namespace ngx {

namespace {

constexpr std::size_t max_log_text = 1800;  // nginx cuts a line at 2048 bytes and adds its own words

/// Fills a fixed buffer: a log line must not need memory, since it may be about having none.
class LogText {
public:
    void append(std::string_view text) noexcept {
        constexpr std::string_view digits = "0123456789abcdef";
        for (const char c : text) {
            const auto byte = static_cast<unsigned char>(c);
            if (size_ + 4 > buffer_.size()) {
                return;
            }
            if (byte >= 0x20 && byte != 0x7f) {
                buffer_[size_++] = c;
                continue;
            }
            buffer_[size_++] = '\\';
            buffer_[size_++] = 'x';
            buffer_[size_++] = digits[byte >> 4];
            buffer_[size_++] = digits[byte & 15];
        }
    }
    [[nodiscard]] ngx_str_t text() noexcept { return str({buffer_.data(), size_}); }

private:
    std::array<char, max_log_text> buffer_;
    std::size_t size_ = 0;
};

}  // namespace

void log(ngx_log_t* to, ngx_uint_t level, std::initializer_list<std::string_view> texts) noexcept {
    if (to->log_level < level) {
        return;
    }
    LogText line;
    for (const std::string_view text : texts) {
        line.append(text);
    }
    ngx_str_t escaped = line.text();
    ngx_log_error(level, to, 0, "%V", &escaped);
}

ngx_str_t copy_to_pool(ngx_pool_t* pool, std::string_view text) {
    auto* data = static_cast<u_char*>(ngx_pnalloc(pool, text.empty() ? 1 : text.size()));
    if (data == nullptr) {
        throw std::bad_alloc();
    }
    if (!text.empty()) {
        std::memcpy(data, text.data(), text.size());
    }
    return {text.size(), data};
}

}  // namespace ngx
