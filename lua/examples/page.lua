-- The session of lua/examples/page, in cookies.
local jwt = require "jwt"

local passwords = { test = "test" } -- stands for your own check: a user service, LDAP, a database

-- No script can read the token, so the page is told for how many seconds it is good.
local function give_access(identity, fresh)
  local token = jwt.create_access_token(identity, { fresh = fresh })
  local payload = jwt.decode_token(token)
  jwt.set_access_cookies(token)
  return { user = identity, expires_in = payload.exp - payload.iat }
end

return {
  handlers = {
    login = function(request)
      -- A page of another origin can send a form, but no application/json without asking first: it logs nobody in as
      -- somebody else.
      local form, why = request:json()
      if not form then return { msg = why }, 400 end
      if type(form) ~= "table" or type(form.username) ~= "string" or form.password == nil
         or passwords[form.username] ~= form.password then
        return { msg = "Bad username or password" }, 401
      end
      jwt.set_refresh_cookies(jwt.create_refresh_token(form.username))
      return give_access(form.username, true)
    end,

    refresh = function()
      return give_access(jwt.get_jwt_identity(), false)
    end,

    logout = function()
      jwt.unset_jwt_cookies()
      return { msg = "Logged out" }
    end,

    profile = function()
      local payload = jwt.get_jwt()
      return { user = payload.sub, fresh = payload.fresh, expires_in = payload.exp - os.time() }
    end,
  },
}
