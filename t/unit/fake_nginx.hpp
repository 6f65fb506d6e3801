#pragma once

#include "module/ngx.hpp"

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

/// A request without nginx: what module/lua_*.cpp ask of nginx and of lua_services.hpp is answered from its members,
/// and what they log and do is kept.
class FakeRequest {
public:
    FakeRequest();
    FakeRequest(const FakeRequest&) = delete;
    FakeRequest& operator=(const FakeRequest&) = delete;

    [[nodiscard]] static FakeRequest& of(ngx_http_request_t* r);
    [[nodiscard]] ngx_http_request_t* r() { return &request_; }
    void set(ngx_str_t ngx_http_request_t::*field, std::string text);
    ngx_str_t keep(std::string text);

    std::map<std::string, std::string> headers;
    std::map<std::string, std::string> variables;
    std::string body;
    bool is_json = true;  // its Content-Type
    std::string payload = "null";
    std::string header = "null";
    std::string identity = "null";
    std::string user = "null";
    std::string location = "null";
    std::string decoded = R"({"header":{"alg":"HS256"},"payload":{"jti":"j","csrf":"c"}})";
    std::string fetched = "fetched";  // the body that jwt.fetch gets
    std::string write_failure;        // of jwt.revoke and jwt.is_revoked
    std::string issue_failure;        // of issue_token
    bool signs_late = false;          // issue_token, where it may
    bool fetch_ended = true;          // and the write to the revocation store, and the late result
    std::vector<std::string> log;
    std::vector<std::string> done;      // what services were asked for
    std::function<void()> while_asked;  // runs within issue_token

private:
    ngx_http_request_t request_{};
    ngx_connection_t connection_{};
    ngx_log_t log_{};
    std::deque<std::string> kept_;
};
