#include "file.hpp"
#include "lua_host.hpp"

namespace ngx {

namespace {

constexpr std::size_t max_file_size = 16 * 1024 * 1024;

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
    auto text = file_contents(path, max_file_size);
    if (!text) {
        texts_.emplace(path, std::nullopt);
        return tl::unexpected("\"" + path + "\" " + text.error());
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
