#include "directives.hpp"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "guard.hpp"
#include "revocation.hpp"
#include "task.hpp"

// jwt_revocation_store, jwt_revocation_checks.

namespace ngx {

namespace {

constexpr off_t least_size = off_t{1} << 20;
constexpr off_t greatest_size = off_t{1} << 40;  // all of it is mapped into each worker

std::string quoted_folder(const std::string& folder) {
    return "revocation store " + quoted(folder);
}

std::string parent_of(const std::string& folder) {
    const std::size_t slash = folder.find_last_of('/');
    return slash == 0 || slash == std::string::npos ? "/" : folder.substr(0, slash);
}

/// LMDB shares memory among processes through its files, which these do not.
bool is_on_network(const std::string& folder) noexcept {
    constexpr std::array<unsigned long, 4> magic_numbers{0x6969, 0x517b, 0xff534d42,
                                                         0xfe534d42};  // NFS, SMB, CIFS, SMB2
    struct statfs system {};
    if (statfs(folder.c_str(), &system) != 0) {
        return false;
    }
    for (const unsigned long magic : magic_numbers) {
        if (static_cast<std::uint32_t>(system.f_type) == magic) {
            return true;
        }
    }
    return false;
}

/// Whether a folder has other files than a store's: nginx is about to make it the workers' own.
bool has_strangers(const std::string& folder) {
    const std::unique_ptr<DIR, decltype([](DIR* open) { closedir(open); })> listing(opendir(folder.c_str()));
    while (const dirent* entry = listing == nullptr ? nullptr : readdir(listing.get())) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != ".." && name != "data.mdb" && name != "lock.mdb") {
            return true;
        }
    }
    return false;
}

/// What is wrong with a folder, as a sentence; empty where nothing is.
std::string problem_of(const std::string& folder) {
    struct stat found {};
    const bool exists = stat(folder.c_str(), &found) == 0;
    const int error = errno;
    if (!exists && error != ENOENT) {
        return error == EACCES ? std::string() : quoted_folder(folder) + " cannot be used: " + std::strerror(error);
    }
    const std::string parent = parent_of(folder);
    if (!exists && (stat(parent.c_str(), &found) != 0 || !S_ISDIR(found.st_mode))) {
        return quoted_folder(folder) + " cannot be made: there is no folder " + quoted(parent);
    }
    if (!S_ISDIR(found.st_mode)) {
        return quoted_folder(folder) + " is no folder: give it one of its own, which need not exist yet";
    }
    if (is_on_network(exists ? folder : parent)) {
        return quoted_folder(folder) + " is on a network file system: give it a folder on a disk of this machine";
    }
    if (exists && has_strangers(folder)) {
        return quoted_folder(folder) + " has other files in it: give it a folder of its own, which need not exist yet";
    }
    if (const auto damage = jwt::revocation::Store::find_damage(folder)) {
        return quoted_folder(folder) + " " + damage->message + ": restore it from a backup, or move it away";
    }
    return {};
}

/// Has nginx make the folder, and the workers' user its owner, once the configuration is found good: not for nginx -t.
bool add_folder(ngx_conf_t* cf, RevocationConfig& config) {
    if (ngx_test_config != 0) {
        return true;
    }
    auto* path = static_cast<ngx_path_t*>(ngx_pcalloc(cf->pool, sizeof(ngx_path_t)));
    if (path == nullptr) {
        return false;
    }
    path->name = copy_to_pool(cf->pool, config.store.folder + '\0');
    --path->name.len;
    path->data = &config;
    path->conf_file = config.origin.file.data;
    path->line = config.origin.line;
    return ngx_add_path(cf, &path) == NGX_OK;
}

}  // namespace

char* set_revocation_store(ngx_conf_t* cf, ngx_command_t* cmd, void* conf) {
    auto& main = *static_cast<MainConfig*>(conf);
    if (main.revocation != nullptr) {
        return is_duplicate();
    }
    auto* config = make_in_pool<RevocationConfig>(cf->pool);
    config->origin = Origin::here(cf);
    if (view(words(cf)[1]) == "off" || words(cf)[1].len == 0) {
        return config_error(cf, "jwt_revocation_store takes a folder: remove the line where nothing is to be kept");
    }
    config->store.folder = full_path(cf, view(words(cf)[1]));
    while (config->store.folder.size() > 1 && config->store.folder.ends_with('/')) {
        config->store.folder.pop_back();
    }
    for (const ngx_str_t& word : words(cf).subspan(2)) {
        const std::string_view option = view(word);
        if (!option.starts_with("size=")) {
            return config_error(cf, "unknown word " + quoted(option) + " of jwt_revocation_store: write size=SIZE");
        }
        ngx_str_t value = str(option.substr(5));
        const off_t size = ngx_parse_offset(&value);
        if (size < least_size || size > greatest_size) {
            return config_error(cf, "\"size=\" takes a size from 1m to 1024g");
        }
        config->store.size = static_cast<std::uint64_t>(size);
    }
    if (need_threads(cf, directive(cmd)) != NGX_CONF_OK) {
        return failed();
    }
    main.revocation = config;
    return NGX_CONF_OK;
}

char* set_revocation_checks(ngx_conf_t* cf, ngx_command_t*, void* conf) {
    LocationConfig& config = location_config(conf);
    if (config.revocation_checks != NGX_CONF_UNSET_UINT) {
        return is_duplicate();
    }
    config.revocation_checks = check_no_tokens;
    for (const ngx_str_t& word : words(cf).subspan(1)) {
        const std::string_view type = view(word);
        if (type == "off" && words(cf).size() == 2) {
            return NGX_CONF_OK;
        }
        if (type != "access" && type != "refresh") {
            return config_error(cf, "unknown word " + quoted(type) +
                                        " of jwt_revocation_checks: write access, refresh or both, or off");
        }
        config.revocation_checks |= type == "access" ? check_access_tokens : check_refresh_tokens;
    }
    return NGX_CONF_OK;
}

char* finish_revocation(ngx_conf_t* cf) noexcept {
    return guarded(cf->log, failed(), [&]() -> char* {
        auto& main = *static_cast<MainConfig*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_jwt_module));
        if (main.revocation == nullptr) {
            return NGX_CONF_OK;
        }
        RevocationConfig& config = *main.revocation;
        config.leeway = std::chrono::seconds(main.longest_leeway);
        if (const std::string problem = problem_of(config.store.folder); !problem.empty()) {
            return config_error(cf, config.origin, problem);
        }
        return add_folder(cf, config) ? NGX_CONF_OK : failed();
    });
}

void hand_over_store(ngx_cycle_t* cycle) noexcept {
    const auto* http = reinterpret_cast<ngx_http_conf_ctx_t*>(ngx_get_conf(cycle->conf_ctx, ngx_http_module));
    const auto* core = reinterpret_cast<ngx_core_conf_t*>(ngx_get_conf(cycle->conf_ctx, ngx_core_module));
    if (http == nullptr || ngx_test_config != 0 || geteuid() != 0) {
        return;
    }
    const auto& main = *static_cast<MainConfig*>(http->main_conf[ngx_http_jwt_module.ctx_index]);
    if (main.revocation == nullptr || core->user == static_cast<ngx_uid_t>(NGX_CONF_UNSET_UINT)) {
        return;
    }
    static_cast<void>(guarded(cycle->log, 0, [&] {
        for (const char* name : {"/data.mdb", "/lock.mdb"}) {
            const std::string file = main.revocation->store.folder + name;
            struct stat found {};
            // A link would hand over what it points to.
            if (lstat(file.c_str(), &found) == 0 && S_ISREG(found.st_mode) && found.st_uid != core->user &&
                lchown(file.c_str(), core->user, static_cast<gid_t>(-1)) != 0) {
                log(cycle->log, NGX_LOG_ERR, "jwt: cannot hand over \"" + file + "\": ", std::strerror(errno));
            }
        }
        return 0;
    }));
}

}  // namespace ngx
