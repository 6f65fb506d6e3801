#include "directives.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "../core/base64url.hpp"
#include "guard.hpp"
#include "key_files.hpp"
#include "text.hpp"

// Secrets and key files, read and checked at their own line.

namespace ngx {

std::string full_path(ngx_conf_t* cf, std::string_view path) {
    ngx_str_t full = copy_to_pool(cf->pool, path);
    full.data = static_cast<u_char*>(ngx_pnalloc(cf->pool, path.size() + 1));
    if (full.data == nullptr) {
        throw std::bad_alloc();
    }
    *ngx_cpymem(full.data, path.data(), path.size()) = '\0';
    if (ngx_conf_full_name(cf->cycle, &full, 1) != NGX_OK) {
        throw std::bad_alloc();
    }
    return std::string(view(full));
}

KeySources& key_sources(ngx_conf_t* cf, LocationConfig& config) {
    if (config.key_sources == nullptr) {
        config.key_sources = make_in_pool<KeySources>(cf->pool);
    }
    return *config.key_sources;
}

namespace {

/// The place of a file among those that are looked after.
std::size_t note_file(KeyFiles& files, KeyFile&& file) {
    const auto [place, is_new] = files.index.emplace(std::pair(file.kind, file.path), files.files.size());
    if (is_new) {
        files.files.push_back(std::move(file));
    }
    return place->second;
}

std::optional<std::string> decode_hex(std::string_view text) {
    const auto digit = [](char c) {
        return c >= '0' && c <= '9'   ? c - '0'
               : c >= 'a' && c <= 'f' ? c - 'a' + 10
               : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                      : -1;
    };
    if (text.size() % 2 != 0) {
        return std::nullopt;
    }
    std::string bytes;
    for (std::size_t i = 0; i < text.size(); i += 2) {
        if (digit(text[i]) < 0 || digit(text[i + 1]) < 0) {
            return std::nullopt;
        }
        bytes.push_back(static_cast<char>(digit(text[i]) * 16 + digit(text[i + 1])));
    }
    return bytes;
}

/// "ENV:", "file=" or "base64:".
bool has_mistaken_prefix(std::string_view word) noexcept {
    constexpr std::array<std::string_view, 5> names{"file", "env", "hex", "base64", "base64url"};
    const std::string_view name = word.substr(0, word.find_first_of(":="));
    return name.size() < word.size() &&
           std::any_of(names.begin(), names.end(), [name](std::string_view known) { return same_name(name, known); });
}

/// "$name", "${name}", also amid a text: what a template leaves where nobody filled it in.
bool has_variable(std::string_view word) noexcept {
    if (word.starts_with('$') && word.find_first_not_of(variable_letters, 1) == std::string_view::npos) {
        return true;
    }
    const std::size_t start = word.find("${");
    const std::size_t end = start == std::string_view::npos ? start : word.find('}', start);
    return end != std::string_view::npos && end == word.find_first_not_of(variable_letters, start + 2);
}

/// "/a/b.c": base64 has slashes, and none of these other signs.
bool reads_as_path(std::string_view word) noexcept {
    constexpr std::string_view signs = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";
    return word.starts_with('/') && word.find('/', 1) != std::string_view::npos &&
           word.find_first_of("._-") != std::string_view::npos &&
           word.find_first_not_of(signs) == std::string_view::npos;
}

/// A file that is there, a name in a folder that is there, or what can hardly be anything else.
bool is_path(ngx_conf_t* cf, std::string_view word) {
    if (reads_as_path(word)) {
        return true;
    }
    const std::size_t slash = word.rfind('/');
    const std::string path = full_path(cf, word);
    struct stat found {};
    return !word.empty() && (stat(path.c_str(), &found) == 0 ||
                             (slash != std::string_view::npos && word.find_first_not_of('/') < slash &&
                              stat(path.substr(0, path.rfind('/')).c_str(), &found) == 0));
}

/// Why a word is no secret, though long enough for one: what anybody can guess signs anything.
std::optional<std::string> misread_secret(ngx_conf_t* cf, std::string_view word) {
    if (has_mistaken_prefix(word)) {
        return "jwt_secret_key has a prefix that it does not know: write file:PATH, env:NAME, base64url:… or hex:…";
    }
    if (has_variable(word)) {
        return "jwt_secret_key knows no variables, and would take the name of one as the secret: write env:NAME for "
               "one of the environment, or file:PATH";
    }
    if (is_path(cf, word)) {
        return "jwt_secret_key would take the name of a file as the secret: write \"file:\" before it";
    }
    return std::nullopt;
}

/// The secret that a word stands for; an error sentence, which never repeats it.
tl::expected<std::string, std::string> read_secret(ngx_conf_t* cf, std::string_view word) {
    if (word.starts_with("file:")) {
        const std::string path = full_path(cf, word.substr(5));
        auto contents = read_key_file_contents(KeySources::Kind::secret, path);
        return contents ? tl::expected<std::string, std::string>(std::move(contents->secret))
                        : tl::make_unexpected("secret file " + quoted(path) + " " + contents.error());
    }
    if (word.starts_with("env:")) {
        const std::string variable(word.substr(4));
        const char* value = std::getenv(variable.c_str());
        if (value == nullptr) {
            return tl::make_unexpected(
                "environment variable " + quoted(variable) +
                " of jwt_secret_key is not set: set it where nginx is started, and write \"env " + variable +
                ";\" at the top of nginx.conf for binary upgrades");
        }
        return std::string(value);
    }
    if (word.starts_with("base64url:")) {
        auto bytes = jwt::base64url::decode(word.substr(10));
        if (!bytes) {
            return tl::make_unexpected(
                std::string("the secret behind \"base64url:\" is not base64url without padding (RFC 7515 §2)"));
        }
        return *bytes;
    }
    if (word.starts_with("hex:")) {
        auto bytes = decode_hex(word.substr(4));
        if (!bytes) {
            return tl::make_unexpected(std::string("the secret behind \"hex:\" is not pairs of hexadecimal digits"));
        }
        return *bytes;
    }
    if (const auto problem = misread_secret(cf, word)) {
        return tl::make_unexpected(*problem);
    }
    return std::string(word);
}

}  // namespace

char* set_secret_key(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    KeySources& keys = key_sources(cf, location_config(conf));
    const std::string_view word = view(words(cf)[1]);
    const std::string path = word.starts_with("file:") ? full_path(cf, word.substr(5)) : std::string();
    auto stamp = file_stamp(path);
    auto secret = read_secret(cf, word);
    if (!secret) {
        return config_error(cf, secret.error());
    }
    // What no algorithm takes is found here, at its line; which algorithms it is for is known when all is read.
    if (const auto key = jwt::Key::from_secret(*secret, {jwt::Algorithm::hs256}); !key) {
        return config_error(cf, "jwt_secret_key " + key.error().message);
    }
    keys.sources.push_back({KeySources::Kind::secret, "jwt_secret_key", std::move(*secret), {}, Origin::here(cf)});
    if (!path.empty()) {
        keys.sources.back().file = note_file(
            key_files(cf), {KeySources::Kind::secret, "jwt_secret_key " + quoted("file:" + path), path, stamp, {}});
    }
    return NGX_CONF_OK;
}

char* set_key_file(ngx_conf_t* cf, ngx_command_t* cmd, void* conf) {
    const bool is_private = directive(cmd) == "jwt_private_key";
    return read_key_file(cf, key_sources(cf, location_config(conf)),
                         is_private ? KeySources::Kind::private_key : KeySources::Kind::public_key, view(words(cf)[1]));
}

char* read_key_file(ngx_conf_t* cf, KeySources& keys, KeySources::Kind kind, std::string_view file) {
    if (file.find("://") != std::string_view::npos) {
        return config_error(cf, std::string(view(words(cf)[0])) + " takes a file, and " + quoted(file) +
                                    " is a URL: write jwt_key_request with a location that passes to it");
    }
    const std::string path = full_path(cf, file);
    const std::string called = std::string(view(words(cf)[0])) + " " + quoted(path);
    KeyFiles& files = key_files(cf);
    if (const auto known = files.index.find({kind, path}); known != files.index.end()) {
        keys.sources.push_back({kind, called, {}, files.files[known->second].keys, Origin::here(cf)});
        keys.sources.back().file = known->second;
        return NGX_CONF_OK;
    }
    auto stamp = file_stamp(path);
    std::vector<std::string> complaints;
    auto contents = read_key_file_contents(kind, path, &complaints);
    if (!contents) {
        return config_error(cf, called + " " + contents.error());
    }
    for (const std::string& complaint : complaints) {
        log(cf->log, NGX_LOG_WARN, called + ": ", complaint);
    }
    keys.sources.push_back({kind, called, {}, contents->keys, Origin::here(cf)});
    keys.sources.back().file = note_file(files, {kind, called, path, stamp, std::move(contents->keys)});
    return NGX_CONF_OK;
}

char* set_key_file_check(ngx_conf_t* cf, ngx_command_t*, void*) {
    KeyFiles& files = key_files(cf);
    if (files.pause) {
        return is_duplicate();
    }
    ngx_str_t& word = words(cf)[1];
    const ngx_int_t pause = view(word) == "off" ? 0 : ngx_parse_time(&word, 0);
    if (pause == NGX_ERROR || (pause == 0 && view(word) != "off")) {
        return config_error(cf, quoted(view(word)) + " is no time: write it as in 10s, or \"off\"");
    }
    files.pause = static_cast<ngx_msec_t>(pause);
    return NGX_CONF_OK;
}

}  // namespace ngx
