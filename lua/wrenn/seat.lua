-- A seat that is a coroutine of nobody else's: it yields to sit, and the
-- scheduler resumes it. For hosts without threads of their own.

local Seat = {}
Seat.__index = Seat

local seat = {}

--- What such a seat yields.
seat.WAIT = {}

local function sit(self)
  self.co = self.coroutine[1]
  self.sitting = true
  if self.changed then
    self.changed(1)
  end
end

local function rise(self)
  self.co, self.sitting = nil, false
  if self.changed then
    self.changed(-1)
  end
end

--- Of a coroutine that has yet to be started, or of one that runs. What sits
--- is held, what does not is not: a table that knows waiters by their
--- coroutines must not keep them alive.
function seat.new(scheduler, co, more)
  local self = setmetatable(more or {}, Seat)
  self.scheduler = scheduler
  self.coroutine = setmetatable({ co }, { __mode = "v" })
  if coroutine.status(co) == "suspended" then
    self.fresh = true
    sit(self)
  end
  return self
end

-- Somebody else may resume it as well: then it is up without being woken.
function Seat:suspend()
  sit(self)
  coroutine.yield(seat.WAIT)
  rise(self)
end

-- In 5.4 a coroutine that waits may be closed, and says so.
if coroutine.close then -- luacheck: ignore 143
  Seat.suspend = load([[
    local sit, rise, WAIT = ...
    return function(self)
      sit(self)
      local seat <close> = self
      coroutine.yield(WAIT)
      rise(self)
    end
  ]])(sit, rise, seat.WAIT)

  function Seat:__close()
    if self.sitting then
      rise(self)
      self.scheduler.vacate(self)
    end
  end
end

function Seat:wake()
  if self.sitting and not self.woken then
    self.woken = true
    self.scheduler.make_ready(self)
  end
end

--- Lets it go on. Returns what was raised, with where that was.
function Seat:resume()
  self.woken = false
  local co = self.co
  if not self.sitting or coroutine.status(co) ~= "suspended" then
    return nil
  end
  if self.fresh then
    self.fresh = nil
    rise(self)
  end
  local ok, err = coroutine.resume(co)
  if not ok then
    return debug.traceback(co, tostring(err))
  end
end

return seat
