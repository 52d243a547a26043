-- A coroutine that the scheduler resumes: it suspends itself by a yield. For
-- tasks of the library, and for hosts without threads.

local Fiber = {}
Fiber.__index = Fiber

local fiber = {}

--- The value that such a coroutine yields.
fiber.WAIT = {}

local function mark_suspended(self)
  self.co = self.coroutine[1]
  self.suspended = true
  if self.changed then
    self.changed(1)
  end
end

local function mark_running(self)
  self.co, self.suspended = nil, false
  if self.changed then
    self.changed(-1)
  end
end

--- Creates the fiber of a new coroutine, or of the running one. A fiber refers
--- to its coroutine only while that is suspended; otherwise the scheduler's
--- weak table of waiters would never release it.
function fiber.new(scheduler, co, more)
  local self = setmetatable(more or {}, Fiber)
  self.scheduler = scheduler
  self.coroutine = setmetatable({ co }, { __mode = "v" })
  if coroutine.status(co) == "suspended" then
    self.fresh = true
    mark_suspended(self)
  end
  return self
end

-- Other code may resume the coroutine as well; it then continues without wake.
function Fiber:suspend()
  mark_suspended(self)
  coroutine.yield(fiber.WAIT)
  mark_running(self)
end

-- In Lua 5.4 a suspended coroutine may be closed, and __close reports that.
if coroutine.close then -- luacheck: ignore 143
  Fiber.suspend = load([[
    local mark_suspended, mark_running, WAIT = ...
    return function(self)
      mark_suspended(self)
      local fiber <close> = self
      coroutine.yield(WAIT)
      mark_running(self)
    end
  ]])(mark_suspended, mark_running, fiber.WAIT)

  function Fiber:__close()
    if self.suspended then
      mark_running(self)
      self.scheduler.vacate(self)
    end
  end
end

function Fiber:wake()
  if self.suspended and not self.woken then
    self.woken = true
    self.scheduler.make_ready(self)
  end
end

--- Resumes it. Returns the error with a traceback, if it raised one.
function Fiber:resume()
  self.woken = false
  local co = self.co
  if not self.suspended or coroutine.status(co) ~= "suspended" then
    return nil
  end
  if self.fresh then
    self.fresh = nil
    mark_running(self)
  end
  local ok, err = coroutine.resume(co)
  if not ok then
    return debug.traceback(co, tostring(err))
  end
end

return fiber
