#include "file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace ngx {

namespace {

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

tl::unexpected<std::string> unreadable(int code) {
    return tl::unexpected("cannot be read (" + std::to_string(code) + ": " + std::strerror(code) + ")");
}

}  // namespace

tl::expected<std::string, std::string> file_contents(const std::string& path, std::size_t limit) {
    const File file(path);
    struct stat info {};
    if (file.descriptor() == -1 || fstat(file.descriptor(), &info) == -1) {
        return unreadable(errno);
    }
    if (!S_ISREG(info.st_mode)) {
        return tl::unexpected(std::string("is no regular file"));
    }
    if (static_cast<std::size_t>(info.st_size) > limit) {
        return tl::unexpected("is larger than " + std::to_string(limit / (1024 * 1024)) + " MiB");
    }
    std::string text(static_cast<std::size_t>(info.st_size), '\0');
    std::size_t size = 0;
    while (size < text.size()) {
        const ssize_t count = read(file.descriptor(), text.data() + size, text.size() - size);
        if (count == -1 && errno == EINTR) {
            continue;
        }
        if (count == -1) {
            return unreadable(errno);
        }
        if (count == 0) {  // it became shorter meanwhile
            break;
        }
        size += static_cast<std::size_t>(count);
    }
    text.resize(size);
    return text;
}

}  // namespace ngx
