-- Protected calls and generators that run inside a waiter and may wait.

local errors = require("wrenn.errors")
local hosts = require("wrenn.task.hosts")
local scheduler = require("wrenn.task.scheduler")

local nested = {}

local unpack = table.unpack or unpack

--- Like coroutine.wrap, for a coroutine that waits: its waits become those of
--- its caller.
function nested.wrap(fn)
  local co = coroutine.create(fn)
  local function relay(ok, ...)
    if not ok then
      error((...), 0)
    elseif coroutine.status(co) ~= "dead" and hosts.is_wait(...) then
      return relay(coroutine.resume(co, coroutine.yield(...)))
    end
    return ...
  end
  return function(...)
    scheduler.adopt(co, scheduler.current())
    return relay(coroutine.resume(co, ...))
  end
end

--- pcall for functions that wait, on every Lua: where pcall cannot be yielded
--- across, the function gets its own coroutine, whose yields are passed on.
nested.call = pcall

--- xpcall for the same. The handler gets what was raised and its traceback.
function nested.try(fn, handler)
  return xpcall(fn, function(raised)
    return handler(raised, debug.traceback(tostring(raised), 2))
  end)
end

if _VERSION == "Lua 5.1" and not package.loaded.jit then
  local function go_on(call, ...)
    if call.results then
      return true, unpack(call.results, 1, call.results.n)
    end
    return coroutine.resume(call.co, ...)
  end

  local function relay(call, ok, ...)
    if not ok and call.handler then
      return false, call.handler((...),
        debug.traceback(call.co, tostring((...))))
    elseif not ok or call.results or coroutine.status(call.co) == "dead" then
      errors.locate((select(2, ...)))
      return ok, ...
    end
    return relay(call, go_on(call, coroutine.yield(...)))
  end

  -- A wait for something of the host's is resumed by the host, while the caller
  -- is still inside relay.
  local function leave(call, ...)
    if coroutine.status(call.caller) == "suspended" then
      call.results = { n = select("#", ...), ... }
      local ok, err = coroutine.resume(call.caller)
      if not ok then
        error(err, 0)
      end
    end
    return ...
  end

  local function begin(waiter, handler, fn, ...)
    local call = { caller = coroutine.running(), handler = handler }
    call.co = coroutine.create(function(...)
      return leave(call, fn(...)) -- this also keeps its caller alive
    end)
    scheduler.adopt(call.co, waiter)
    return relay(call, coroutine.resume(call.co, ...))
  end

  function nested.call(fn, ...)
    local waiter = scheduler.current()
    if not waiter then
      return pcall(fn, ...)
    end
    return begin(waiter, nil, fn, ...)
  end

  local try = nested.try

  function nested.try(fn, handler)
    local waiter = scheduler.current()
    if not waiter then
      return try(fn, handler)
    end
    return begin(waiter, handler, fn)
  end
end

return nested
