-- Cleans up for coroutines that never finish: those killed by their host while
-- they waited, and those that nobody resumes any more.

local core = require("wrenn.core")

local guard = {}

-- In a finalizer, LuaJIT leaves compiled code as soon as something is new to it,
-- but compiles nothing new. Its older versions then enter a compiled loop over
-- `pairs` at the same place again, for ever. A loop is interpreted from the time
-- on when its `pairs` gave it an iterator that is not `next`.
local function without_compiled_pairs(fn)
  local usual = pairs
  local function step(list, key)
    return next(list, key)
  end
  local function unusual(...)
    local iterator, list, key = usual(...)
    return iterator == next and step or iterator, list, key
  end
  return function()
    usual = pairs
    rawset(_G, "pairs", unusual)
    local ok, raised = pcall(fn)
    rawset(_G, "pairs", usual)
    if not ok then
      error(raised, 0)
    end
  end
end

--- Calls a function when the returned object is collected.
function guard.on_collect(fn)
  local new = rawget(_G, "newproxy")
  if new then -- 5.1 and LuaJIT have no __gc for tables
    local proxy = new(true)
    getmetatable(proxy).__gc = package.loaded.jit
      and without_compiled_pairs(fn) or fn
    return proxy
  end
  return setmetatable({}, { __gc = fn })
end

--- Calls `on_gone` if one of the waiters is killed or the running coroutine is
--- collected before the returned function is called. Only the coroutine may
--- hold that function. Does nothing in a forked child.
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
    return proxy -- keeps the proxy alive until here
  end
end

return guard
