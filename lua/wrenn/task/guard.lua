-- What is left to tidy up of a coroutine that never gets there: one that its
-- host has killed while it waited, or that nobody resumes any more.

local core = require("wrenn.core")

local guard = {}

--- Has a function called when the returned object is collected.
function guard.on_collect(fn)
  local new = rawget(_G, "newproxy")
  if new then -- 5.1 and LuaJIT: tables are not told of their collection
    local proxy = new(true)
    getmetatable(proxy).__gc = fn
    return proxy
  end
  return setmetatable({}, { __gc = fn })
end

--- Has `on_gone` called should one of some waiters be killed, or the running
--- coroutine be collected, before the returned function is called, which that
--- alone must hold. A forked child leaves it to its parent.
function guard.set(waiters, on_gone)
  local gone, home = false, core.pid()
  local function once()
    if not gone and core.pid() == home then
      gone = true
      on_gone()
    end
  end
  local proxy = guard.on_collect(once)
  for _, waiter in ipairs(waiters) do
    waiter:hold(once)
  end
  return function()
    gone = true
    for _, waiter in ipairs(waiters) do
      waiter:release(once)
    end
    return proxy -- which this function so holds
  end
end

return guard
