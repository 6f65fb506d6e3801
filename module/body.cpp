#include "body.hpp"

#include "text.hpp"

namespace ngx {

namespace {

std::string_view media_type(const ngx_http_request_t* r) noexcept {
    if (r->headers_in.content_type == nullptr) {
        return {};
    }
    const std::string_view value = view(r->headers_in.content_type->value);
    return trimmed(value.substr(0, value.find(';')));
}

/// Appends a buffer's bytes; false where its file cannot be read.
bool append_buffer(const ngx_buf_t& buffer, std::string& text) {
    if (!buffer.in_file) {
        text.append(reinterpret_cast<const char*>(buffer.pos), static_cast<std::size_t>(buffer.last - buffer.pos));
        return true;
    }
    // nginx has just written this file: it is read from memory, not from a disk that could block the worker.
    const auto size = static_cast<std::size_t>(buffer.file_last - buffer.file_pos);
    const std::size_t before = text.size();
    text.resize(before + size);
    auto* data = reinterpret_cast<u_char*>(text.data() + before);
    return ngx_read_file(buffer.file, data, size, buffer.file_pos) == static_cast<ssize_t>(size);
}

}  // namespace

bool has_body(const ngx_http_request_t* r) noexcept {
    return r->headers_in.content_length_n > 0 || r->headers_in.chunked;
}

std::optional<std::string> body_text(ngx_http_request_t* r, std::size_t limit) {
    std::string text;
    if (r->request_body == nullptr) {
        return text;
    }
    for (const ngx_chain_t* link = r->request_body->bufs; link != nullptr; link = link->next) {
        if (static_cast<std::size_t>(ngx_buf_size(link->buf)) > limit - text.size() ||
            !append_buffer(*link->buf, text)) {
            return std::nullopt;
        }
    }
    return text;
}

bool is_json(const ngx_http_request_t* r) noexcept {
    const std::string_view type = media_type(r);
    constexpr std::string_view prefix = "application/";
    constexpr std::string_view suffix = "+json";
    return same_name(type, "application/json") ||
           (type.size() > prefix.size() + suffix.size() && same_name(type.substr(0, prefix.size()), prefix) &&
            same_name(type.substr(type.size() - suffix.size()), suffix));
}

bool is_form(const ngx_http_request_t* r) noexcept {
    return same_name(media_type(r), "application/x-www-form-urlencoded");
}

}  // namespace ngx
