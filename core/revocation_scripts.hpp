#pragma once

#include <string_view>

// What Redis runs as one step each. Every script names its one or two keys: KEYS[1] is the stream, or the hash, as
// said.

namespace jwt::revocation::script {

/// Stream and hash; how long the stream may become, then for each change: id, text, origin. Merges as merged() does.
/// The change is appended to the stream, with the field `from`, where it has an origin; where that is empty, if it said
/// something new; and never where it is "-".
inline constexpr std::string_view write = R"lua(
local function parsed(text)
  local deed, time, node, expires, before, rest =
    string.match(text or '', '^(%a+) (%d+) (%x+) ([%d-]+) ([%d-]+) (.+)$')
  return deed and { deed = deed, time = tonumber(time), node = node, stamp = time .. ' ' .. node,
                    expires = expires, before = before, rest = rest }
end
local function later(a, b)
  if a.time ~= b.time then return a.time > b.time end
  if a.node ~= b.node then return a.node > b.node end
  return a.deed == 'revoke'
end
local function longest(a, b)
  if a == '-' or b == '-' then return '-' end
  return tonumber(a) < tonumber(b) and b or a
end
local function merged(old, new)
  local a, b = parsed(new), parsed(old)
  if not b then return new end
  if not later(a, b) then a, b = b, a end
  if a.deed == b.deed then
    a.expires, a.before = longest(a.expires, b.expires), longest(a.before, b.before)
  end
  return table.concat({ a.deed, a.stamp, a.expires, a.before, a.rest }, ' ')
end
for i = 2, #ARGV, 3 do
  local id, text, origin = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local old = redis.call('HGET', KEYS[2], id)
  local new = merged(old, text)
  if new ~= old then redis.call('HSET', KEYS[2], id, new) end
  if origin ~= '' and origin ~= '-' then
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'id', id, 'record', text, 'from', origin)
  elseif origin == '' and new ~= old then
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'id', id, 'record', text)
  end
end
return redis.status_reply('OK')
)lua";

/// Stream; from which entry on ("-": the first), how many, and the size past which an entry comes without its fields. A
/// stream without such entries gets one, to be read on from. PERSIST asks whether this server takes writes at all, and
/// undoes an EXPIRE.
inline constexpr std::string_view read = R"lua(
redis.call('PERSIST', KEYS[1])
local function entries() return redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2]) end
local found = entries()
if #found == 0 then
  redis.call('XADD', KEYS[1], '*', 'kind', 'start')
  found = entries()
end
for _, entry in ipairs(found) do
  local size = 0
  for _, text in ipairs(entry[2]) do size = size + #text end
  if size > tonumber(ARGV[3]) then entry[2] = {} end
end
return found
)lua";

/// Hash; cursor, how many, and the size past which a value is left out. The next cursor, then ids and values in turn.
inline constexpr std::string_view scan = R"lua(
redis.call('PERSIST', KEYS[1])
local found = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local answer = { found[1] }
for i = 1, #found[2], 2 do
  if #found[2][i] == 48 and #found[2][i + 1] <= tonumber(ARGV[3]) then
    answer[#answer + 1] = found[2][i]
    answer[#answer + 1] = found[2][i + 1]
  end
end
return answer
)lua";

/// Hash; cursor, and how many: deletes what expired. The next cursor.
inline constexpr std::string_view sweep = R"lua(
local now = redis.call('TIME')[1] * 1000
local found = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
for i = 1, #found[2], 2 do
  local expires = string.match(found[2][i + 1], '^%a+ %d+ %x+ (%d+) ')
  if expires and tonumber(expires) < now then redis.call('HDEL', KEYS[1], found[2][i]) end
end
return found[1]
)lua";

}  // namespace jwt::revocation::script
