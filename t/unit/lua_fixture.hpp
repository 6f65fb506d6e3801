#pragma once

#include "fake_nginx.hpp"

#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/json.hpp"
#include "module/lua_host.hpp"

/// A folder of Lua files, a host that loads them, and calls into it.
class LuaTest : public testing::Test {
protected:
    LuaTest() {
        std::string name = (std::filesystem::temp_directory_path() / "lua_test_XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) {
            throw std::runtime_error("no temporary folder");
        }
        folder_ = name + "/";
        restart({});
    }
    ~LuaTest() override {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

    void restart(const ngx::LuaLimits& limits) {
        host_.reset();
        sources_ = std::make_unique<ngx::LuaSources>();
        host_ = std::move(ngx::LuaHost::create(limits).value());
    }

    std::string write(const std::string& name, std::string_view text) const {
        std::filesystem::create_directories(std::filesystem::path(folder_ + name).parent_path());
        std::ofstream(folder_ + name, std::ios::binary) << text;
        return folder_ + name;
    }

    tl::expected<ngx::LuaFile, std::string> load(const std::string& name, std::string_view text,
                                                 const std::string& search_path = {}) {
        return host_->load(write(name, text), search_path, *sources_);
    }

    /// Why a file is refused, without the name of its folder; empty where it is not.
    std::string refusal(std::string_view text) {
        const auto file = load("refused" + std::to_string(++files_) + ".lua", text);
        return file ? "" : without_folder(file.error());
    }

    /// What `body`, the inside of a handler, answers: "STATUS TYPE BODY", or "failed".
    std::string handled(std::string_view body) {
        const std::string text = "local jwt = require 'jwt'\nreturn { handlers = { test = function(request)\n" +
                                 std::string(body) + "\nend } }";
        const auto file = load("handler" + std::to_string(++files_) + ".lua", text);
        if (!file) {
            return "not loaded: " + without_folder(file.error());
        }
        return shown(host_->handle(run_, request_.r(), *file, "test"));
    }

    static std::string shown(const tl::expected<ngx::Answer, ngx::NoResult>& answer) {
        return answer ? std::to_string(answer->status) + " " + answer->content_type + " " + answer->body : "failed";
    }

    /// The last line of the log, without the name of the folder.
    std::string last_log() const { return request_.log.empty() ? "" : without_folder(request_.log.back()); }

    std::string without_folder(std::string text) const {
        for (std::size_t at = text.find(folder_); at != std::string::npos; at = text.find(folder_)) {
            text.erase(at, folder_.size());
        }
        return text;
    }

    jwt::json::Value parsed(std::string_view text, jwt::json::Document& document) {
        return parser_.parse(text, document).value();
    }

    tl::expected<bool, ngx::NoResult> decision(const ngx::LuaFile& file, std::string_view payload = "{}") {
        jwt::json::Document header;
        jwt::json::Document claims;
        const auto header_value = parsed("{}", header);
        return host_->decide(run_, request_.r(), file, ngx::Hook::token_in_blocklist, header_value,
                             parsed(payload, claims));
    }

    std::string folder_;
    std::unique_ptr<ngx::LuaSources> sources_;
    std::unique_ptr<ngx::LuaHost> host_;
    FakeRequest request_;
    ngx::LuaRun run_;
    jwt::json::Parser parser_;
    int files_ = 0;
};
