-- What `require "jwt"` gives, on the functions of module/lua_api.cpp. Runs once in each worker, outside the sandbox:
-- nothing here may hand an author a table that other files or requests see.
local native = ...

local ipairs, next, pairs, select, type = ipairs, next, pairs, select, type
local plain_pcall, plain_tostring = pcall, tostring
local format, concat, rawget, setmetatable = string.format, table.concat, rawget, setmetatable
local null, fail = native.null, native.fail

-- Lua's own loops within C where __tostring is tostring, and no instruction is counted there.
function tostring(...)
  if select("#", ...) == 0 then fail("bad argument #1 to 'tostring' (value expected)") end
  return plain_tostring((...))
end

-- Lua's own (LuaJIT before 2023) writes past the end of the stack where it is its argument's __call; entering a Lua
-- function checks the stack.
function pcall(...)
  return plain_pcall(...)
end

-- Lua's own runs its handler inside the hook that ends a call, where nothing could end the handler. This one runs it
-- after the stack was unwound.
local function handled(handler, ok, ...)
  if ok then return true, ... end
  return false, handler((...))
end

function xpcall(f, handler, ...)
  if type(handler) ~= "function" then fail("bad argument #2 to 'xpcall' (function expected)") end
  return handled(handler, plain_pcall(f, ...))
end

-- Each call runs in a coroutine of its own, which is the module's alone to resume.
local running, plain_yield = coroutine.running, coroutine.yield

function coroutine.running()
  local thread = running()
  if native.is_call_thread(thread) then return nil end
  return thread
end

function coroutine.yield(...)
  if native.is_call_thread(running()) then fail("attempt to yield outside a coroutine") end
  return plain_yield(...)
end

local function checked(result, why)
  if result == nil then fail(why) end
  return result
end

local function described(value)
  if value == nil then return "nil" end
  if value == null then return "null" end
  if type(value) == "boolean" then return plain_tostring(value) end
  return "a " .. type(value)
end

local function check_text(value, where)
  if type(value) ~= "string" then fail(format("%s is %s: give a string", where, described(value))) end
  return value
end

-- A copy of an author's options with null as absent, so that what a client sent can be handed on as it is.
local function checked_options(caller, options, allowed)
  if options == nil or options == null then return {} end
  if type(options) ~= "table" then
    fail(format("%s: the options are %s: give a table", caller, described(options)))
  end
  local copy = {}
  for name, value in next, options do
    local check = allowed[name]
    if not check then
      local names = {}
      for known in pairs(allowed) do names[#names + 1] = known end
      table.sort(names)
      fail(format("%s has no option %q: it has %s", caller, plain_tostring(name), table.concat(names, ", ")))
    end
    if value ~= null then
      local wanted = check(value)
      if wanted then fail(format("%s: option %s is %s: give %s", caller, name, described(value), wanted)) end
      copy[name] = value
    end
  end
  return copy
end

local function is_duration(value)
  return type(value) == "number" and value >= 0 and value < 1e12
end

local function boolean_option(value)
  if type(value) ~= "boolean" then return "true or false" end
end

local function text_option(value)
  if type(value) ~= "string" then return "a string" end
end

local function table_option(value)
  if type(value) ~= "table" then return "a table" end
end

local function seconds_option(value)
  if not is_duration(value) then return "a number of seconds" end
end

local function fresh_option(value)
  if type(value) ~= "boolean" and not is_duration(value) then return "true, false or a number of seconds" end
end

local function expires_option(value)
  if value ~= false and type(value) ~= "string" and not is_duration(value) then
    return "a number of seconds, a time such as \"30d\", or false for a token that never expires"
  end
end

local refresh_options = {
  expires_delta = expires_option,
  additional_claims = table_option,
  additional_headers = table_option,
}
local access_options = { fresh = fresh_option }
for name, check in pairs(refresh_options) do access_options[name] = check end
local function text_or_table_option(value)
  if type(value) ~= "string" and type(value) ~= "table" then return "a string or a table" end
end

local fetch_options = {
  method = text_option,
  args = text_or_table_option,
  headers = table_option,
  body = text_or_table_option,
}
local decode_options = { csrf_value = text_option, allow_expired = boolean_option }
local cookie_options = { max_age = seconds_option, domain = text_option }
local unset_options = { domain = text_option }

-- What a hook of the running file returns; nothing, with false, where the file has none.
local function from_hook(name, ...)
  local hook = native.hook(name)
  if not hook then return false end
  return true, hook(...)
end

local function add_members(members, more, where)
  for name, value in next, more do
    if type(name) ~= "string" then
      fail(format("%s has the key %s: names are strings", where, plain_tostring(name)))
    end
    members[name] = value
  end
end

-- The hook's members, overridden by the option's: the order of the extensions that this follows.
local function merged(hook_name, identity, option, option_name)
  local members = {}
  local given, more = from_hook(hook_name, identity)
  if given then
    if type(more) ~= "table" then
      fail(format("hook %s returned %s: return a table", hook_name, described(more)))
    end
    add_members(members, more, "what hook " .. hook_name .. " returned")
  end
  if option then add_members(members, option, "option " .. option_name) end
  return members
end

local function own_key(identity)
  local given, key = from_hook("encode_key", identity)
  if given and type(key) ~= "string" then
    fail(format("hook encode_key returned %s: return the text of a secret, PEM or JWK", described(key)))
  end
  return given and key or nil
end

-- What the hooks add to a token whose identity is stored already: for jwt_refresh.
local function additions(identity)
  return {
    claims = merged("additional_claims", identity),
    headers = merged("additional_headers", identity),
    key = own_key(identity),
  }
end

-- To Lua 2^53 and its neighbour are one number: a token made for one user could be another's.
local function check_exact(caller, identity)
  if type(identity) == "number" and (identity >= 2^53 or identity <= -2^53) then
    fail(caller .. ": the identity is a number that Lua does not hold exactly: give a string")
  end
end

local function create(caller, kind, identity, options)
  if identity == nil or identity == null then
    fail(format("%s: the identity is %s: give whom the token is for", caller, described(identity)))
  end
  local request = {
    type = kind,
    fresh = options.fresh,
    expires_delta = options.expires_delta,
    headers = merged("additional_headers", identity, options.additional_headers, "additional_headers"),
    claims = merged("additional_claims", identity, options.additional_claims, "additional_claims"),
  }
  local given, stored = from_hook("user_identity", identity)
  if given and (stored == nil or stored == null) then
    fail("hook user_identity returned nil: return what the token shall name")
  end
  request.identity = given and stored or identity
  if given and stored == false then request.identity = false end
  check_exact(caller, request.identity)
  request.key = own_key(identity)
  return checked(native.issue(request))
end

local function with_defaults(payload)
  if payload.type == nil then payload.type = "access" end
  if payload.fresh == nil then payload.fresh = false end
  return payload
end

-- A verified token, and the same as the text of JSON.
local function decode(caller, token, options)
  check_text(token, caller .. ": the token")
  local key
  if native.hook("decode_key") then
    local unverified = native.read_unverified(token)
    local _
    _, key = from_hook("decode_key", unverified.header, unverified.payload)
    if key ~= nil and type(key) ~= "string" then
      fail(format("hook decode_key returned %s: return the text of a secret, PEM or JWK, or nil", described(key)))
    end
    if key == nil then fail("hook decode_key knows no key for this token") end
  end
  local text = checked(native.decode(token, key, options.csrf_value, options.allow_expired))
  local decoded = checked(native.decode_json(text))
  with_defaults(decoded.payload)
  return decoded, text
end

local function present(value)
  if value == null then return nil end
  return value
end

local jwt = { null = null, empty_array = native.empty_array }

function jwt.create_access_token(identity, options)
  local caller = "create_access_token"
  return create(caller, "access", identity, checked_options(caller, options, access_options))
end

function jwt.create_refresh_token(identity, options)
  local caller = "create_refresh_token"
  return create(caller, "refresh", identity, checked_options(caller, options, refresh_options))
end

-- The payload, and the header.
function jwt.decode_token(token, options)
  local caller = "decode_token"
  local decoded = decode(caller, token, checked_options(caller, options, decode_options))
  return decoded.payload, decoded.header
end

function jwt.get_jti(token)
  return present(decode("get_jti", token, {}).payload.jti)
end

function jwt.get_csrf_token(token)
  return present(decode("get_csrf_token", token, {}).payload.csrf)
end

function jwt.get_unverified_jwt_headers(token)
  check_text(token, "get_unverified_jwt_headers: the token")
  return native.read_unverified(token).header
end

function jwt.get_jwt()
  local payload = present(native.current("payload"))
  return payload and with_defaults(payload) or {}
end

function jwt.get_jwt_header()
  return present(native.current("header")) or {}
end

function jwt.get_jwt_identity()
  return present(native.current("identity"))
end

function jwt.get_current_user()
  return present(native.current("user"))
end

function jwt.get_jwt_request_location()
  return present(native.current("location"))
end

local function set_cookies(caller, kind, token, options)
  check_text(token, caller .. ": the token")
  options = checked_options(caller, options, cookie_options)
  checked(native.set_cookies(kind, token, options.max_age, options.domain))
end

local function unset_cookies(caller, options, ...)
  options = checked_options(caller, options, unset_options)
  for _, kind in ipairs({ ... }) do native.unset_cookies(kind, options.domain) end
end

function jwt.set_access_cookies(token, options)
  set_cookies("set_access_cookies", "access", token, options)
end

function jwt.set_refresh_cookies(token, options)
  set_cookies("set_refresh_cookies", "refresh", token, options)
end

function jwt.unset_jwt_cookies(options)
  unset_cookies("unset_jwt_cookies", options, "access", "refresh")
end

function jwt.unset_access_cookies(options)
  unset_cookies("unset_access_cookies", options, "access")
end

function jwt.unset_refresh_cookies(options)
  unset_cookies("unset_refresh_cookies", options, "refresh")
end

local function escaped(text)
  return (text:gsub("[^%w%-._~]", function(byte) return format("%%%02X", byte:byte()) end))
end

local function check_field(name, value, where)
  if type(name) ~= "string" then
    fail(format("fetch: %s has the key %s: names are strings", where, plain_tostring(name)))
  end
  if type(value) ~= "string" and type(value) ~= "number" then
    fail(format("fetch: %s %q is %s: give a string or a number", where, name, described(value)))
  end
end

local function query_string(args)
  if type(args) ~= "table" then return args end
  local pairs_of_it = {}
  for name, value in next, args do
    check_field(name, value, "args")
    pairs_of_it[#pairs_of_it + 1] = escaped(name) .. "=" .. escaped(plain_tostring(value))
  end
  return concat(pairs_of_it, "&")
end

local function header_lines(headers)
  local lines, names = {}, {}
  for name, value in next, headers or {} do
    check_field(name, value, "headers")
    if names[name:lower()] then fail(format("fetch: headers has %q twice", name)) end
    names[name:lower()] = true
    value = plain_tostring(value)
    if value:find("%c") then fail(format("fetch: headers %q has a control character", name)) end
    lines[#lines + 1] = name .. ": " .. value .. "\r\n"
  end
  return concat(lines), names
end

local any_case = {
  __index = function(headers, name)
    return type(name) == "string" and rawget(headers, name:lower()) or nil
  end,
  __metatable = false,
}

local response = {
  __index = function(_, name)
    if name == "json" then return function(self) return native.decode_json(self.body) end end
  end,
  __metatable = false,
}

-- The response of another location of this server, or nil and why there is none. Other requests go on meanwhile.
function jwt.fetch(uri, options)
  check_text(uri, "fetch: the URI")
  options = checked_options("fetch", options, fetch_options)
  local lines, names = header_lines(options.headers)
  local body = options.body
  if type(body) == "table" then
    body = native.encode_json(body)
    if not names["content-type"] then lines = lines .. "Content-Type: application/json\r\n" end
  end
  local method = options.method or (body and "POST" or "GET")
  local status, text, headers = native.fetch(uri, query_string(options.args), method, lines, body)
  if not status then return nil, text end
  return setmetatable({ status = status, body = text, headers = setmetatable(headers, any_case) }, response)
end

local function time_option(value)
  if type(value) ~= "number" or value ~= value or value < 0 then return "a time in seconds since 1970" end
end

local function true_option(value)
  if value ~= true then return "true" end
end

-- What revokes more than one token, and where its name stands.
local kinds = {
  { name = "subject", kind = "subject" },
  { name = "family", kind = "family" },
  { name = "kid", kind = "key" },
  { name = "all", kind = "all" },
}

local target_options = {
  subject = text_option,
  family = text_option,
  kid = text_option,
  all = true_option,
  before = time_option,
  issuer = text_option,
  exp = time_option,
}

-- One token, as its claims are, or as much of them as tells it from others.
local function token_target(caller, claims)
  local target = { kind = "token", name = check_text(claims.jti, caller .. ": jti") }
  for option, names in next, { exp = { "exp" }, issuer = { "issuer", "iss" } } do
    for _, name in ipairs(names) do
      local value = present(claims[name])
      local wanted = value ~= nil and target_options[option](value)
      if wanted then fail(format("%s: %s is %s: give %s", caller, name, described(value), wanted)) end
      if value ~= nil then target[option] = value end
    end
  end
  if target.name == "" then fail(caller .. ": jti is empty: give the text of the token") end
  return target
end

local function rule_target(caller, options)
  options = checked_options(caller, options, target_options)
  local target
  for _, known in ipairs(kinds) do
    local name = options[known.name]
    if name ~= nil and target then
      fail(format("%s: %s stands beside another: give one of jti, subject, family, kid and all", caller, known.name))
    elseif name ~= nil then
      target = { kind = known.kind, name = name ~= true and name or "", before = options.before }
    end
  end
  if not target then
    fail(caller .. ": the table names nothing: give one of jti, subject, family, kid and all, or the text of a token")
  end
  target.issuer, target.exp = options.issuer, options.exp
  return target
end

local function revocation_target(caller, what)
  if what == nil or what == null then return { current = true } end
  if type(what) == "string" then
    -- As text: a Lua number may not hold what an identity says.
    local decoded, text = decode(caller, what, { allow_expired = true })
    -- A nested token is the one in it.
    return { text = decoded.text or what, decoded = text }
  end
  if type(what) ~= "table" then
    fail(format("%s: the argument is %s: give the text of a token or a table", caller, described(what)))
  end
  if present(what.jti) ~= nil then return token_target(caller, what) end
  return rule_target(caller, what)
end

-- Revokes the token of this request, a token by its text or claims, or all that a table names. True where that was not
-- revoked before. Comes back once it is on disk.
function jwt.revoke(what)
  local target = revocation_target("revoke", what)
  target["do"] = "revoke"
  return checked(native.revoke(target, "revoke"))
end

-- Takes it back. True where it was revoked.
function jwt.unrevoke(what)
  local target = revocation_target("unrevoke", what)
  target["do"] = "unrevoke"
  return checked(native.revoke(target, "unrevoke"))
end

function jwt.is_revoked(what)
  return checked(native.is_revoked(revocation_target("is_revoked", what)))
end

function jwt.log(level, text)
  check_text(level, "log: the level")
  check_text(text, "log: the text")
  native.log(level, text)
end

return jwt, additions
