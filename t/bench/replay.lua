-- wrk's part of t/bench/run: asks PATH with the tokens of FILE in turn, one a line, and prints what it saw as JSON.
-- wrk -s replay.lua URL -- PATH FILE WHERE LIMIT DEPTH. WHERE: header, cookie, query, json or none. LIMIT: requests after
-- which it stops; 0: none. DEPTH: requests that a connection sends at once.
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

local path, file, where, limit, depth, batches, stream, before, after
local turn, sent = 0, 0

-- The next so many requests of the file, which begins anew at its end.
local function read_batch()
  local batch = {}
  for i = 1, depth do
    local line = stream:read("*l")
    if not line then
      stream:seek("set")
      line = stream:read("*l")
    end
    batch[i] = before .. line .. after
  end
  return table.concat(batch)
end

local function count_lines()
  local count = 0
  for _ in io.lines(file) do count = count + 1 end
  return count
end

function init(arguments)
  path, file, where, limit = arguments[1], arguments[2], arguments[3], tonumber(arguments[4])
  depth = tonumber(arguments[5])
  stream = assert(io.open(file))
  before, after = form_of(where, path, stream:read("*l"))
  stream:seek("set")
  local count = count_lines()
  if count <= kept_in_memory then
    batches = {}
    for i = 1, math.ceil(count / depth) do batches[i] = read_batch() end
  end
end

function request()
  if sent == 0 then began = now() end
  sent = sent + depth
  ended = now()
  if limit > 0 and sent >= limit then wrk.thread:stop() end
  if not batches then return read_batch() end
  turn = turn % #batches + 1
  return batches[turn]
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
