#include "lua_host.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace ngx {

namespace {

constexpr off_t max_file_size = 16 * 1024 * 1024;

/// A descriptor that is closed.
class File {
public:
    explicit File(const std::string& path) noexcept
        : descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
    ~File() {
        if (descriptor_ != -1) {
            close(descriptor_);
        }
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

private:
    int descriptor_;
};

std::string system_error(const std::string& path, int code) {
    return "\"" + path + "\" cannot be read (" + std::to_string(code) + ": " + std::strerror(code) + ")";
}

tl::expected<std::string, std::string> contents(const std::string& path) {
    const File file(path);
    struct stat info {};
    if (file.descriptor() == -1 || fstat(file.descriptor(), &info) == -1) {
        return tl::unexpected(system_error(path, errno));
    }
    if (!S_ISREG(info.st_mode) || info.st_size > max_file_size) {
        return tl::unexpected("\"" + path + "\" is no regular file of at most 16 MiB");
    }
    std::string text(static_cast<std::size_t>(info.st_size), '\0');
    std::size_t size = 0;
    while (size < text.size()) {
        const ssize_t count = read(file.descriptor(), text.data() + size, text.size() - size);
        if (count == -1 && errno != EINTR) {
            return tl::unexpected(system_error(path, errno));
        }
        if (count == 0) {
            break;
        }
        size += count > 0 ? static_cast<std::size_t>(count) : 0;
    }
    text.resize(size);
    return text;
}

}  // namespace

tl::expected<std::string_view, std::string> LuaSources::read(const std::string& path) {
    const auto known = texts_.find(path);
    if (known != texts_.end() && known->second) {
        return std::string_view(*known->second);
    }
    if (known != texts_.end()) {
        return tl::unexpected("\"" + path + "\" cannot be read");
    }
    if (closed_) {
        return tl::unexpected("\"" + path + "\" was not read with the configuration");
    }
    auto text = contents(path);
    if (!text) {
        texts_.emplace(path, std::nullopt);
        return tl::unexpected(std::move(text.error()));
    }
    return std::string_view(*texts_.emplace(path, std::move(*text)).first->second);
}

std::optional<std::string_view> LuaSources::find(const std::string& path) const {
    const auto known = texts_.find(path);
    if (known == texts_.end() || !known->second) {
        return std::nullopt;
    }
    return std::string_view(*known->second);
}

}  // namespace ngx
