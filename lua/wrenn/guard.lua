-- What is left to tidy up of a coroutine that never gets there: one that its
-- host has killed while it waited, or that nobody resumes any more.

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

--- Has `on_gone` called should the running coroutine be killed or collected
--- before the returned function is called, which it alone must hold. `waiter`:
--- who it is, if anybody.
function guard.set(waiter, on_gone)
  local gone = false
  local function once()
    if not gone then
      gone = true
      on_gone()
    end
  end
  local proxy = guard.on_collect(once)
  if waiter then
    waiter:hold(once)
  end
  return function()
    gone = true
    if waiter then
      waiter:release(once)
    end
    return proxy -- which this function so holds
  end
end

return guard
