#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <random>

#include <lua.hpp>

#include "revocation_format.hpp"
#include "revocation_scripts.hpp"

// The script that Redis runs merges as merged() does: nodes and hash come to the same.

namespace jwt::revocation {
namespace {

struct Close {
    void operator()(lua_State* lua) const noexcept { lua_close(lua); }
};

/// What the script uses of Redis: HGET, HSET and XADD of one hash and stream.
constexpr const char* redis = R"lua(
state, stream = {}, {}
redis = {
  status_reply = function(text) return text end,
  call = function(name, key, field, value, ...)
    if name == 'HGET' then return state[field] or false end
    if name == 'HSET' then state[field] = value end
    if name == 'XADD' then stream[#stream + 1] = { ... } end
  end,
}
KEYS = { 'stream', 'hash' }
)lua";

class Script {
public:
    Script() : lua_(luaL_newstate()) {
        luaL_openlibs(lua_.get());
        EXPECT_EQ(luaL_dostring(lua_.get(), redis), 0);
        EXPECT_EQ(luaL_loadbuffer(lua_.get(), script::write.data(), script::write.size(), "write"), 0)
            << lua_tostring(lua_.get(), -1);
        lua_setglobal(lua_.get(), "script");
    }

    void write(const Id& id, const std::string& record, const std::string& origin) {
        lua_State* lua = lua_.get();
        lua_newtable(lua);
        int i = 0;
        for (const std::string& word : {std::string("1000"), text(id), record, origin}) {
            lua_pushlstring(lua, word.data(), word.size());
            lua_rawseti(lua, -2, ++i);
        }
        lua_setglobal(lua, "ARGV");
        lua_getglobal(lua, "script");
        ASSERT_EQ(lua_pcall(lua, 0, 1, 0), 0) << lua_tostring(lua, -1);
        lua_pop(lua, 1);
    }

    [[nodiscard]] std::string kept(const Id& id) {
        lua_getglobal(lua_.get(), "state");
        lua_getfield(lua_.get(), -1, text(id).c_str());
        std::string found = lua_tostring(lua_.get(), -1);
        lua_pop(lua_.get(), 2);
        return found;
    }

    [[nodiscard]] std::size_t appended() {
        lua_getglobal(lua_.get(), "stream");
        const std::size_t count = lua_objlen(lua_.get(), -1);
        lua_pop(lua_.get(), 1);
        return count;
    }

private:
    std::unique_ptr<lua_State, Close> lua_;
};

/// Few values, so that all of them meet.
Record random_record(std::mt19937& random) {
    const auto below = [&](unsigned limit) { return random() % limit; };
    const auto time = [&]() -> std::optional<Time> {
        constexpr std::array<std::int64_t, 4> times = {0, 9, 1'800'000'000'000, 9'007'199'254'740'991};
        return below(3) == 0 ? std::nullopt : std::optional(Time(std::chrono::milliseconds(times[below(4)])));
    };
    Record record;
    record.name = "x";
    record.id = id(Target{Kind::token, "x"});
    record.removed = below(3) == 0;
    record.expires = time();
    record.before = time();
    record.version = {static_cast<std::int64_t>(1'763'769'600'000 + below(3)),
                      below(2) == 0 ? 0xfedcba9876543210 : below(3)};
    return record;
}

TEST(RevocationScript, MergesAsNodesDo) {
    std::mt19937 random(1);
    for (int round = 0; round < 1000; ++round) {
        Script script;
        std::optional<Record> known;
        for (int change = 0; change < 4; ++change) {
            const Record record = random_record(random);
            const std::size_t before = script.appended();
            script.write(record.id, record_text(record), "");
            const std::optional<Record> old = known;
            known = known ? merged(*known, record) : record;
            ASSERT_EQ(script.kept(record.id), record_text(*known)) << record_text(record);
            ASSERT_EQ(script.appended() - before, old == known ? 0U : 1U);
        }
    }
}

TEST(RevocationScript, TheOriginDecidesWhatIsAppended) {
    Script script;
    std::mt19937 random(2);
    const Record record = random_record(random);
    script.write(record.id, record_text(record), "-");
    EXPECT_EQ(script.appended(), 0U);
    script.write(record.id, record_text(record), "");
    EXPECT_EQ(script.appended(), 0U);
    script.write(record.id, record_text(record), "session:1");
    EXPECT_EQ(script.appended(), 1U);
}

TEST(RevocationScript, WhatItCannotReadIsReplaced) {
    Script script;
    std::mt19937 random(3);
    const Record record = random_record(random);
    script.write(record.id, "nonsense", "-");
    script.write(record.id, record_text(record), "-");
    EXPECT_EQ(script.kept(record.id), record_text(record));
}

}  // namespace
}  // namespace jwt::revocation
