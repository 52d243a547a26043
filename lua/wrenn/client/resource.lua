-- What the resources of a client (client.capsules and so on) have in common.

local check = require("wrenn.check")
local http = require("wrenn.wire.http")
local url = require("wrenn.wire.url")

local resource = {}

--- A class of resources; `flag` is the field that tells its objects.
function resource.class(flag)
  local class = { [flag] = true }
  class.__index = class
  return class
end

--- Sends a request of a resource's client. Returns the decoded answer, which
--- is of that shape; or nil, err.
function resource.call(self, shape, method, path, request)
  request = request or {}
  request.method, request.path = method, path
  local value, err = http.call(self.client, request, shape)
  if not value then
    return nil, err
  end
  return value
end

--- As call, where success is all that the answer tells.
function resource.order(self, method, path, request)
  request = request or {}
  request.method, request.path = method, path
  return http.order(self.client, request)
end

--- A path with a checked value in it; `name` is the argument's.
function resource.path(template, value, name, fname)
  return url.path(template, check.text(value, name, fname, 3))
end

return resource
