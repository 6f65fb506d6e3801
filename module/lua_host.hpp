#pragma once

#include "ngx.hpp"

#include <array>
#include <bitset>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

#include "../core/json.hpp"

namespace ngx {

/// The functions of a hooks file that the module calls, in the order of the README.
enum class Hook : std::uint8_t {
    expired_token,
    needs_fresh_token,
    revoked_token,
    token_verification_failed,
    user_lookup_error,
    invalid_token,
    unauthorized,
    token_in_blocklist,
    token_verification,
    user_lookup,
    user_identity,
    additional_claims,
    additional_headers,
    decode_key,
    encode_key,
};

inline constexpr std::size_t hook_count = 15;

[[nodiscard]] std::string_view name(Hook hook) noexcept;

/// What one call into Lua may use.
struct LuaLimits {
    std::size_t steps = 1'000'000;          // virtual machine instructions
    std::size_t memory = 16 * 1024 * 1024;  // bytes beyond what the state held before the call
    std::chrono::milliseconds time{50};     // CPU time, for what instructions do not measure
};

/// A response as Lua code made it.
struct Answer {
    ngx_uint_t status = 200;
    std::string body;
    std::string content_type;                                  // empty: none
    std::vector<std::pair<std::string, std::string>> headers;  // checked: token names, no control characters
};

/// Why a call has no result.
enum class NoResult : std::uint8_t {
    failed,       // it was logged with its traceback, and its request must be answered with 500
    unavailable,  // the same, with 503: the revocation store did not do what it asked for
    full,         // and with 507
    waiting,      // for a subrequest: to be made again, with the same LuaRun, when nginx runs the request again
};

/// What a request is answered with whose call has no result and does not wait.
[[nodiscard]] ngx_int_t status_of(NoResult why) noexcept;

struct LuaCall;  // lua_state.hpp

/// Where a request's call stays while it waits. Its end is the call's: nothing resumes it then.
class LuaRun {
public:
    LuaRun() noexcept;
    ~LuaRun();
    LuaRun(LuaRun&&) noexcept;
    LuaRun& operator=(LuaRun&&) noexcept;

private:
    friend class LuaHost;
    std::unique_ptr<LuaCall> call_;
};

/// The Lua files of a configuration, read once by the process that reads the configuration: workers load them from
/// here, so that all of them run what `nginx -t` checked, and none reads a disk.
class LuaSources {
public:
    /// The text of a file, read at the first call; an error sentence where it cannot be.
    [[nodiscard]] tl::expected<std::string_view, std::string> read(const std::string& path);
    /// Only what was read before: what workers use.
    [[nodiscard]] std::optional<std::string_view> find(const std::string& path) const;
    /// Files that were looked for and not there; they must stay so for `require` to find the same file.
    void close() noexcept { closed_ = true; }

private:
    std::map<std::string, std::optional<std::string>> texts_;
    bool closed_ = false;
};

/// A hooks file in one host.
struct LuaFile {
    std::size_t index = 0;                             // the host's own
    std::bitset<hook_count> hooks;                     // those it has
    std::vector<std::string> handlers;                 // names in its table `handlers`
    std::array<std::uint8_t, hook_count> arguments{};  // how many its hooks have names for; 255 where they take any

    [[nodiscard]] bool has(Hook hook) const noexcept { return hooks.test(static_cast<std::size_t>(hook)); }
    [[nodiscard]] std::size_t arguments_of(Hook hook) const noexcept {
        return arguments[static_cast<std::size_t>(hook)];
    }
};

class LuaState;  // lua_state.hpp

/// One Lua state with the hooks files loaded into it: one in each worker, and one that lives as long as a configuration
/// is read, to find its mistakes.
///
/// Every call runs interpreted, under LuaLimits, in an environment of its file alone; whatever the Lua code does, the
/// call comes back, though it may have to wait first: any number of calls wait, one runs. Nothing is thrown but
/// std::bad_alloc.
class LuaHost {
public:
    [[nodiscard]] static tl::expected<std::unique_ptr<LuaHost>, std::string> create(const LuaLimits& limits);
    ~LuaHost();
    LuaHost(const LuaHost&) = delete;
    LuaHost& operator=(const LuaHost&) = delete;

    /// Loads a hooks file. `search_path`: templates for `require` ("/etc/nginx/lua/?.lua;…"), looked through after the
    /// folder of the file itself. The error is a sentence with file and line, for the author of the file. The same path
    /// and search path load once.
    [[nodiscard]] tl::expected<LuaFile, std::string> load(const std::string& path, const std::string& search_path,
                                                          LuaSources& sources);

    /// Answers of hooks that are told a reason: invalid_token, unauthorized.
    [[nodiscard]] tl::expected<Answer, NoResult> answer(LuaRun& run, ngx_http_request_t* r, const LuaFile& file,
                                                        Hook hook, std::string_view reason);
    /// Answers of hooks that are told the token: the others of the first two groups.
    [[nodiscard]] tl::expected<Answer, NoResult> answer(LuaRun& run, ngx_http_request_t* r, const LuaFile& file,
                                                        Hook hook, jwt::json::Value header, jwt::json::Value payload);
    /// token_in_blocklist, token_verification.
    [[nodiscard]] tl::expected<bool, NoResult> decide(LuaRun& run, ngx_http_request_t* r, const LuaFile& file,
                                                      Hook hook, jwt::json::Value header, jwt::json::Value payload);
    /// user_lookup: the user as JSON text; nothing where it said nil.
    [[nodiscard]] tl::expected<std::optional<std::string>, NoResult> user(LuaRun& run, ngx_http_request_t* r,
                                                                          const LuaFile& file, jwt::json::Value header,
                                                                          jwt::json::Value payload);
    /// decode_key: the text of a secret, PEM or JWK; nothing where it said nil. Header and payload are not verified.
    [[nodiscard]] tl::expected<std::optional<std::string>, NoResult> decode_key(LuaRun& run, ngx_http_request_t* r,
                                                                                const LuaFile& file,
                                                                                jwt::json::Value header,
                                                                                jwt::json::Value payload);
    /// What additional_claims, additional_headers and encode_key add to a token of that identity: a JSON object
    /// {claims, headers, key} without those of them that the file does not have.
    [[nodiscard]] tl::expected<std::string, NoResult> additions(LuaRun& run, ngx_http_request_t* r, const LuaFile& file,
                                                                jwt::json::Value identity);
    /// A content handler of the file's table `handlers`, whose request body has been read. The name must outlive the
    /// call.
    [[nodiscard]] tl::expected<Answer, NoResult> handle(LuaRun& run, ngx_http_request_t* r, const LuaFile& file,
                                                        std::string_view handler);

private:
    explicit LuaHost(std::shared_ptr<LuaState> state) noexcept;
    template <class Start, class Take>
    auto call(LuaRun& run, Start&& start, Take&& take)
        -> tl::expected<decltype(take(std::declval<LuaCall&>())), NoResult>;
    [[nodiscard]] tl::expected<void, NoResult> go_on(LuaCall& call);
    void tidy();
    std::shared_ptr<LuaState> state_;
};

}  // namespace ngx
