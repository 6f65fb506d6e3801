-- wrk's part of t/bench/run: asks PATH with the tokens of FILE in turn, one a line, and prints what it saw as JSON.
-- wrk -s replay.lua URL -- PATH FILE WHERE LIMIT. WHERE: header, cookie, query, json or none. LIMIT: requests after which it stops; 0:
-- none.
local ffi = require "ffi"
ffi.cdef "typedef struct { long seconds, micros; } bench_time; int gettimeofday(bench_time *, void *);"

local kept_in_memory = 50000
local clock = ffi.new("bench_time")
local function now()
  ffi.C.gettimeofday(clock, nil)
  return tonumber(clock.seconds) + tonumber(clock.micros) / 1e6
end

local forms = {
  header = { "GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ", "\r\n\r\n" },
  cookie = { "GET %s HTTP/1.1\r\nHost: localhost\r\nCookie: access_token_cookie=", "\r\n\r\n" },
  query = { "GET %s?jwt=", " HTTP/1.1\r\nHost: localhost\r\n\r\n" },
  none = { "GET %s HTTP/1.1\r\nHost: localhost\r\nX-Padding: ", "\r\n\r\n" },
}

local function form_of(where, path, token)
  if where == "json" then
    local body = '{"access_token":"' .. token .. '"}'
    local head = "GET %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head:format(path, #body) .. '{"access_token":"', '"}'
  end
  return forms[where][1]:format(path), forms[where][2]
end

local path, file, where, limit, requests, lines, before, after
local sent = 0

function init(arguments)
  path, file, where, limit = arguments[1], arguments[2], arguments[3], tonumber(arguments[4])
  local stream = assert(io.open(file))
  local first = stream:read("*l")
  before, after = form_of(where, path, first)
  requests = { before .. first .. after }
  for line in stream:lines() do
    requests[#requests + 1] = before .. line .. after
    if #requests > kept_in_memory then
      requests, lines = nil, assert(io.open(file)):lines()
      break
    end
  end
  stream:close()
end

function request()
  if sent == 0 then began = now() end
  sent = sent + 1
  if sent % 64 == 0 or sent == limit then ended = now() end
  if sent == limit then wrk.thread:stop() end
  if requests then return requests[(sent - 1) % #requests + 1] end
  local line = lines()
  if not line then
    lines = assert(io.open(file)):lines()
    line = lines()
  end
  return before .. line .. after
end

local threads = {}
function setup(thread) threads[#threads + 1] = thread end

function done(summary, latency)
  local elapsed = 0
  for _, thread in ipairs(threads) do
    elapsed = math.max(elapsed, (thread:get("ended") or 0) - (thread:get("began") or 0))
  end
  print(("RESULT {\"requests\": %d, \"seconds\": %.6f, \"refused\": %d, \"broken\": %d, \"p50\": %d, \"p99\": %d}"):format(
    summary.requests, elapsed, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
