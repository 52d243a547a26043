-- The common part of a client's resources (client.capsules and so on).

local check = require("wrenn.check")
local http = require("wrenn.wire.http")
local url = require("wrenn.wire.url")

local resource = {}

--- Creates a class of resources; `name` is what its objects are printed as,
--- `flag` the field that identifies them.
function resource.class(name, flag)
  local class = { [flag] = true }
  class.__index = class
  function class:__tostring()
    return ("%s (%s)"):format(name, self.client.settings.base_url)
  end
  return class
end

-- A table that is made with room for what the request becomes need not grow.
local function with(request, method, path)
  if not request then
    return { method = method, path = path, timeout = nil, deadline = nil }
  end
  request.method, request.path = method, path
  return request
end

--- Sends a request. Returns the decoded answer, which has the given shape; or
--- nil, err.
function resource.call(self, shape, method, path, request)
  request = with(request, method, path)
  local value, err = http.call(self.client, request, shape)
  if not value then
    return nil, err
  end
  return value
end

--- Like call, for answers without content.
function resource.order(self, method, path, request)
  return http.order(self.client, with(request, method, path))
end

--- Builds a path with a checked value; `name` is the name of the argument.
function resource.path(template, value, name, fname)
  return url.path(template, check.text(value, name, fname, 3))
end

return resource
