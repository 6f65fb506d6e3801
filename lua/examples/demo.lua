-- The example of Flask-JWT-Extended's and Quart-JWT-Extended's documents, as hooks and handlers of nginx.
local jwt = require "jwt"

local passwords = { test = "test" } -- stands for your own check: a user service, LDAP, a database

return {
  -- Called whenever an expired but otherwise good token reaches a protected location.
  expired_token = function(header, payload)
    return {
      status = 401,
      sub_status = 42,
      msg = "The " .. payload.type .. " token has expired",
    }, 401
  end,

  handlers = {
    login = function(request)
      local form = request:json()
      if type(form) ~= "table" or type(form.username) ~= "string" or form.password == nil
         or passwords[form.username] ~= form.password then
        return { msg = "Bad username or password" }, 401
      end
      return {
        access_token = jwt.create_access_token(form.username, { fresh = true }),
        refresh_token = jwt.create_refresh_token(form.username),
      }
    end,

    protected = function()
      return { hello = "world", logged_in_as = jwt.get_jwt_identity() }
    end,

    fresh = function()
      return { hello = "you have just logged in", logged_in_as = jwt.get_jwt_identity() }
    end,

    -- A refresh token buys an access token, which is not fresh: nobody typed a password for it.
    refresh = function()
      return { access_token = jwt.create_access_token(jwt.get_jwt_identity()) }
    end,

    -- A token for a developer's programs: good for a year.
    create_dev_token = function()
      return { token = jwt.create_access_token(jwt.get_jwt_identity(), { expires_delta = "365d" }) }, 201
    end,

    -- One that never expires.
    create_api_token = function()
      return { token = jwt.create_access_token(jwt.get_jwt_identity(), { expires_delta = false }) }, 201
    end,

    -- One that is over in a second, to see the hook expired_token answer.
    create_short_token = function()
      return { token = jwt.create_access_token(jwt.get_jwt_identity(), { expires_delta = 1 }) }, 201
    end,
  },
}
