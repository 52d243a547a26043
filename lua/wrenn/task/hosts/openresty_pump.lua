-- Steps the loop in OpenResty: a timer in each worker, which exists while there
-- are waiters. nginx cannot watch a foreign descriptor, so a relay (a thread of
-- the core) waits for it and tells the timer through a cosocket. Without a
-- relay the timer polls the loop.

local ngx = require("ngx")
local semaphore = require("ngx.semaphore")

local pump = {}

-- Milliseconds that a cosocket may wait. nginx logs its time-outs as errors.
local A_DAY = 24 * 3600 * 1000
-- Seconds between checks for requests that were killed while they waited; the
-- interval grows while nothing happens.
local SWEEP_FIRST, SWEEP_LAST = 0.25, 4
-- Seconds between polls of the loop without a relay.
local LOOK_FIRST, LOOK_LAST = 0.001, 0.02

local scheduler
local is_gone -- whether the coroutine of a fiber was killed
local relayed = true
-- The running pump, if any: the number of its worker, a semaphore that
-- interrupts its pause (nudge), whether it has to poll the loop (looking), and
-- whether it has ended (over).
local current

--- `gone`: see `is_gone` in scheduler.release.
function pump.serve(one, gone)
  scheduler, is_gone = one, gone
end

--- Sets whether to use a relay.
function pump.configure(with_relay)
  relayed = with_relay
end

function pump.is_running()
  return current ~= nil and current.worker == ngx.worker.pid()
end

--- The table in which a pump's coroutine keeps its finished light threads; nil
--- if the running coroutine is not a pump's.
function pump.ended()
  return pump.is_running() and current.ended[coroutine.running()] or nil
end

-- Waits between two polls; returns the next interval.
local function rest(self, pause, first, last)
  local before = scheduler.handed_over()
  local nudged = self.nudge:wait(pause)
  if nudged or scheduler.handed_over() ~= before then
    return first
  end
  return math.min(pause * 2, last)
end

-- ---- with a relay ----------------------------------------------------------

local function connect(relay)
  local socket = ngx.socket.tcp()
  socket:settimeouts(1000, 1000, A_DAY)
  return socket:connect("unix:" .. relay:path()) and socket
end

local function follow(self, socket)
  self.ended[coroutine.running()] = {}
  while not self.over and socket:send("?") do
    local ok, err
    repeat
      ok, err = socket:receive(1)
    until err ~= "timeout"
    if not ok then
      break
    end
    scheduler.collect()
  end
  socket:close()
  self.ended[coroutine.running()] = nil -- nginx reuses it
end

-- Returns the relay; nil if there cannot be one.
local function start_relay(self, loop)
  local relay = relayed and loop:relay() or nil
  local socket = relay and connect(relay)
  if not socket then
    return nil
  end
  ngx.thread.spawn(function()
    follow(self, socket)
    self.looking = true
    self.nudge:post(1)
  end)
  return relay
end

-- ---- the rest of it --------------------------------------------------------

-- Operations that nobody waits for do not keep a worker from ending.
local function is_needed()
  return scheduler.is_busy()
    or scheduler.is_open() and not ngx.worker.exiting()
end

-- Remains for a moment without waiters: the next call may be imminent.
local function keep(self)
  local pause = SWEEP_FIRST
  repeat
    pause = rest(self, pause, SWEEP_FIRST, SWEEP_LAST)
    scheduler.release(is_gone)
  until self.looking or not is_needed()
end

local function look_around(self, loop)
  local pause, swept = LOOK_FIRST, scheduler.now()
  while is_needed() do
    scheduler.collect()
    if scheduler.now() - swept > SWEEP_FIRST then
      swept = scheduler.now()
      scheduler.release(is_gone)
    end
    local due = math.min(pause, loop:timeout() or pause)
    pause = rest(self, math.max(due, LOOK_FIRST), LOOK_FIRST, LOOK_LAST)
  end
end

-- ---- its life --------------------------------------------------------------

local function run(self, loop)
  self.ended[coroutine.running()] = {}
  local relay = start_relay(self, loop)
  if relay then
    keep(self)
  end
  self.looking = self.looking or not relay
  if self.looking then
    look_around(self, loop)
  end
  return relay
end

local function start(premature, self, loop)
  local ok, relay
  if not premature then
    ok, relay = pcall(run, self, loop)
    if not ok then
      ngx.log(ngx.ERR, "wrenn: ", relay)
    end
  end
  current, self.over = nil, true
  if ok and relay then
    relay:stop()
  end
end

--- Makes sure that a pump runs. A worker that is shutting down starts no
--- timers; then nothing steps the loop.
function pump.watch(loop)
  if not pump.is_running() then
    local self = {
      worker = ngx.worker.pid(), nudge = semaphore.new(0), ended = {},
    }
    current = ngx.timer.at(0, start, self, loop) and self
  elseif current.looking and current.nudge:count() < 0 then
    current.nudge:post(1) -- something has been started: poll soon
  end
end

return pump
