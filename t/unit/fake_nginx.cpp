#include "fake_nginx.hpp"

#include <cstdarg>
#include <cstdlib>
#include <utility>

#include "module/counters.hpp"
#include "module/lua_services.hpp"

namespace {

/// What nginx has in main(): a cycle whose log nobody reads.
struct FakeCycle {
    FakeCycle() { cycle.log = &log; }
    ngx_log_t log{};
    ngx_cycle_t cycle{};
};

FakeCycle fake_cycle;

std::string shown(std::optional<std::string_view> text) {
    return text ? std::string(*text) : "-";
}

ngx::ServiceResult good(FakeRequest& request, std::string text) {
    return {true, request.keep(std::move(text))};
}

}  // namespace

extern "C" {

volatile ngx_cycle_t* ngx_cycle = &fake_cycle.cycle;

// Called for lines of the form "%V" alone.
void ngx_log_error_core(ngx_uint_t level, ngx_log_t* log, ngx_err_t error, const char* format, ...) {
    static_cast<void>(level);
    static_cast<void>(error);
    std::va_list arguments;
    va_start(arguments, format);
    const ngx_str_t* text = va_arg(arguments, ngx_str_t*);
    va_end(arguments);
    static_cast<FakeRequest*>(log->data)->log.emplace_back(ngx::view(*text));
}

void* ngx_pnalloc(ngx_pool_t* pool, size_t size) {
    static_cast<void>(pool);
    static_cast<void>(size);
    std::abort();  // nothing under test allocates from a pool
}
}

FakeRequest::FakeRequest() {
    log_.log_level = NGX_LOG_DEBUG;
    log_.data = this;
    connection_.log = &log_;
    connection_.data = this;
    connection_.addr_text = keep("192.0.2.1");
    request_.connection = &connection_;
    request_.method_name = keep("POST");
    request_.uri = keep("/login");
}

FakeRequest& FakeRequest::of(ngx_http_request_t* r) {
    return *static_cast<FakeRequest*>(r->connection->data);
}

ngx_str_t FakeRequest::keep(std::string text) {
    return ngx::str(kept_.emplace_back(std::move(text)));
}

void FakeRequest::set(ngx_str_t ngx_http_request_t::*field, std::string text) {
    request_.*field = keep(std::move(text));
}

namespace ngx {

class LateResult {
public:
    FakeRequest* request;
};

void LateResultEnd::operator()(LateResult* late) const noexcept {
    delete late;
}

bool result_is_there(const LateResult& late) noexcept {
    return late.request->fetch_ended;
}

ServiceResult take_result(ngx_http_request_t* r, LateResult& late) noexcept {
    static_cast<void>(r);
    const std::string& why = late.request->issue_failure;
    return why.empty() ? good(*late.request, "a.b.c") : ServiceResult{false, str(why)};
}

ServiceStart issue_token(ngx_http_request_t* r, std::string_view request, bool may_be_late) noexcept {
    FakeRequest& fake = FakeRequest::of(r);
    fake.done.push_back("issue " + std::string(request));
    if (fake.while_asked) {
        fake.while_asked();
    }
    LateResult result{&fake};
    if (!fake.signs_late || !may_be_late) {
        return {nullptr, take_result(r, result)};
    }
    fake.fetch_ended = false;
    return {new LateResult{&fake}, {}};
}

ServiceStart decode_token(ngx_http_request_t* r, std::string_view token, const Decoding& how,
                          bool may_be_late) noexcept {
    static_cast<void>(may_be_late);
    FakeRequest& request = FakeRequest::of(r);
    request.done.push_back("decode " + std::string(token) + " " + shown(how.key) + " " + shown(how.csrf) +
                           (how.allow_expired ? " allow_expired" : ""));
    if (token == "bad") {
        return {nullptr, {false, request.keep("Signature verification failed")}};
    }
    return {nullptr, good(request, request.decoded)};
}

ServiceResult read_unverified_token(ngx_http_request_t* r, std::string_view token) noexcept {
    FakeRequest::of(r).done.push_back("read " + std::string(token));
    return good(FakeRequest::of(r), FakeRequest::of(r).decoded);
}

ServiceResult current_header(ngx_http_request_t* r) noexcept {
    return good(FakeRequest::of(r), FakeRequest::of(r).header);
}

ServiceResult current_payload(ngx_http_request_t* r) noexcept {
    return good(FakeRequest::of(r), FakeRequest::of(r).payload);
}

ServiceResult current_identity(ngx_http_request_t* r) noexcept {
    return good(FakeRequest::of(r), FakeRequest::of(r).identity);
}

ServiceResult current_user(ngx_http_request_t* r) noexcept {
    return good(FakeRequest::of(r), FakeRequest::of(r).user);
}

ServiceResult current_location(ngx_http_request_t* r) noexcept {
    return good(FakeRequest::of(r), FakeRequest::of(r).location);
}

ServiceStart set_cookies(ngx_http_request_t* r, CookieKind kind, std::string_view token, const CookieOptions& options,
                         bool may_be_late) noexcept {
    static_cast<void>(may_be_late);
    FakeRequest::of(r).done.push_back(
        (kind == CookieKind::access ? "set access " : "set refresh ") + std::string(token) + " " +
        (options.max_age ? std::to_string(*options.max_age) : "-") + " " + shown(options.domain));
    return {nullptr, good(FakeRequest::of(r), "")};
}

ServiceResult unset_cookies(ngx_http_request_t* r, CookieKind kind, std::optional<std::string_view> domain) noexcept {
    FakeRequest::of(r).done.push_back((kind == CookieKind::access ? "unset access " : "unset refresh ") +
                                      shown(domain));
    return good(FakeRequest::of(r), "");
}

std::optional<ngx_str_t> request_header(ngx_http_request_t* r, std::string_view name) noexcept {
    const auto found = FakeRequest::of(r).headers.find(std::string(name));
    return found == FakeRequest::of(r).headers.end() ? std::nullopt : std::optional(str(found->second));
}

std::optional<ngx_str_t> request_variable(ngx_http_request_t* r, std::string_view name) noexcept {
    const auto found = FakeRequest::of(r).variables.find(std::string(name));
    return found == FakeRequest::of(r).variables.end() ? std::nullopt : std::optional(str(found->second));
}

bool request_is_json(ngx_http_request_t* r) noexcept {
    return FakeRequest::of(r).is_json;
}

ServiceResult request_body(ngx_http_request_t* r) noexcept {
    return {true, str(FakeRequest::of(r).body)};
}

class RevocationWrite {
public:
    FakeRequest* request;
};

void RevocationWriteEnd::operator()(RevocationWrite* write) const noexcept {
    delete write;
}

RevocationStart start_revocation(ngx_http_request_t* r, std::string_view request) noexcept {
    FakeRequest& fake = FakeRequest::of(r);
    fake.done.push_back("write " + std::string(request));
    fake.fetch_ended = false;
    return {new RevocationWrite{&fake}, ngx_null_string};
}

bool revocation_ended(const RevocationWrite& write) noexcept {
    return write.request->fetch_ended;
}

RevocationResult revocation_result(ngx_http_request_t* r, const RevocationWrite& write) noexcept {
    static_cast<void>(r);
    const std::string& why = write.request->write_failure;
    return {why.empty(), true, why == "is full", str(why)};
}

RevocationAnswer ask_revocation(ngx_http_request_t* r, std::string_view request) noexcept {
    FakeRequest& fake = FakeRequest::of(r);
    fake.done.push_back("ask " + std::string(request));
    return {fake.write_failure.empty(), false, true, str(fake.write_failure)};
}

FetchStart start_fetch(ngx_http_request_t* r, const FetchRequest& request) noexcept {
    FakeRequest& parent = FakeRequest::of(r);
    parent.done.push_back("fetch " + std::string(request.method) + " " + std::string(request.uri) + " " +
                          std::string(request.args) + " " + std::string(request.headers) + " " + shown(request.body));
    parent.fetch_ended = false;
    return {r, false, ngx_null_string};
}

bool fetch_ended(const ngx_http_request_t* subrequest) noexcept {
    return static_cast<FakeRequest*>(subrequest->connection->data)->fetch_ended;
}

FetchedResponse fetched_response(ngx_http_request_t* subrequest) noexcept {
    return {true, ngx_null_string, 200, str("content-type: text/plain\r\n"), str(FakeRequest::of(subrequest).fetched)};
}

bool counts() noexcept {
    return false;
}

void count_lua(const LuaRunCount&) noexcept {}

}  // namespace ngx
