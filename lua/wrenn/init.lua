--- wrenn: capsules (microVMs) for Lua.

-- Whatever the C module needs of its Lua is missing in another one, which the
-- system's message does not say.
local function load_core()
  local ok, why = pcall(require, "wrenn.core")
  if ok then
    return
  end
  local path = type(why) == "string" and why:match("from file '([^']+)'")
  local file = path and io.open(path, "rb")
  local lua = file and file:read("*a")
    :match("wrenn%.core was built for ([%w. ]+)")
  if file then
    file:close()
  end
  local here = package.loaded.jit and "Lua 5.1" or _VERSION
  if lua and lua ~= here then
    why = ("%s was built for %s, and this is %s: build it for this one, or put"
      .. " another folder first in LUA_CPATH"):format(path, lua, _VERSION)
  end
  error(why, 0)
end
load_core()

local check = require("wrenn.check")
local core = require("wrenn.core")
local errors = require("wrenn.errors")
local nested = require("wrenn.task.nested")
local scheduler = require("wrenn.task.scheduler")
local task = require("wrenn.task")

---@class wrenn
---@field _VERSION string  of the library
---@field Capsule wrenn.Capsule  the class; to call it is the same as `create`
---@field errors wrenn.errors  errors, as results and as values to compare with
---@field task wrenn.task  running several functions at the same time
---@field code_runner wrenn.code_runner  Python code in capsules
local wrenn = {
  _VERSION = require("wrenn.version"),
  errors = errors,
  task = task,
  Capsule = require("wrenn.capsule"),
}

--- Creates a low-level client.
---@param opts? wrenn.ClientOptions
---@return wrenn.Client|nil
---@return wrenn.Error? err  ConfigurationError
function wrenn.Client(opts)
  check.dot(opts, "Capsule", "Client")
  local client, err = require("wrenn.client").new(opts, 3)
  return client, err
end

--- assert for every Lua: raises the second value if the first is nil or false,
--- and returns all values otherwise. (assert of PUC Lua 5.1 rejects error
--- objects that are not strings.)
---@generic T, R
---@overload fun<T, R>(value?: T, ...: R...): std.NotNull<T>, R...
---@param value? T  what a call returned
---@param ... R...  what else it returned
---@return T value  the same
---@return R... more
function wrenn.check(value, ...)
  if not value then
    local err = ...
    if errors.is_error(err) then
      errors.raise(errors.locate(err))
    end
    error(err == nil and "check failed" or err, 2)
  end
  return value, ...
end

local function leave_held(close, resource, lift, ok, ...)
  close(resource, not ok and (...) or nil)
  lift()
  if not ok then
    errors.raise((...))
  end
  return ...
end

local function leave(...)
  return scheduler.held(nil, leave_held, ...)
end

--- Calls a function with a resource and closes the resource afterwards in any
--- case: `local r <close>` of Lua 5.4 for every Lua. A capsule made by create
--- is destroyed. This also happens if the coroutine is killed by its host (a
--- request in OpenResty) or collected.
---@generic T, R
---@param resource T  a capsule, a client, a stream or whatever has a `__close`
---@param fn fun(resource: T): R...  what to do with it
---@return R... results  what the function returned
function wrenn.with(resource, fn)
  local close = (getmetatable(resource) or {}).__close
  if not close then
    error("bad argument 'resource' to 'with' (something to close expected)", 2)
  end
  check.arg(fn, "fn", "with", "function")
  local lift = scheduler.held(function()
    close(resource)
  end, task.guard_beside, close, resource)
  return leave(close, resource, lift, nested.call(fn, resource))
end

--- Decodes base64, in which a code runner's `png`, `jpeg` and `pdf` are, and an
--- answer of the API may be. Python breaks it into lines.
---@param text string
---@return string|nil bytes  nil: it is no base64
function wrenn.base64_decode(text)
  check.arg(text, "text", "base64_decode", "string")
  return core.base64_decode((text:gsub("%s+", "")))
end

--- Runs one turn of the network without waiting, for programs with their own
--- loop such as games. Raises the error of a task that nobody waits for.
function wrenn.update()
  return task.update()
end

local function warn_deprecated(text)
  io.stderr:write("wrenn: ", text, "\n")
end

-- Loaded on first use.
local lazy = { code_runner = true, code_interpreter = true }

-- Old names, which print a warning once.
setmetatable(wrenn, {
  __index = function(_, name)
    if lazy[name] then
      local module = require("wrenn." .. name)
      rawset(wrenn, name, module)
      return module
    end
    if name == "Sandbox" then
      warn_deprecated("wrenn.Sandbox is deprecated, use wrenn.Capsule")
      rawset(wrenn, "Sandbox", wrenn.Capsule)
      return wrenn.Capsule
    end
  end,
})

return wrenn
