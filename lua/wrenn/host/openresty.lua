-- OpenResty: nothing in it waits for a foreign descriptor, so a timer of each
-- worker looks at the loop, at first every millisecond, then less and less
-- often while nothing happens. Those who wait do so on semaphores, each in
-- its own request. A task is a light thread of the request that spawned it.

local errors = require("wrenn.errors")
local ngx = require("ngx")
local semaphore = require("ngx.semaphore")

local host = { name = "openresty" }

-- Seconds between two looks: the shortest and the longest.
local SHORTEST, LONGEST = 0.001, 0.02
-- How often to look for requests that were killed while they waited.
local SWEEP = 0.25
local FOREVER = 3600

local may_wait = {
  rewrite = true, server_rewrite = true, access = true, content = true,
  timer = true, preread = true, ssl_cert = true, ssl_session_fetch = true,
  ssl_client_hello = true,
}

local scheduler
local longest = LONGEST
local pumping = false -- the worker in which a timer does
local idle -- a semaphore that ends the pause between two looks

function host.serve(one)
  scheduler = one
end

local LIMITS = { longest_pause = true }

function host.configure(opts)
  for name in pairs(opts) do
    if not LIMITS[name] then
      error(("bad option '%s' to 'use' (there is no such option)")
        :format(tostring(name)), 3)
    end
  end
  longest = opts.longest_pause or LONGEST
end

function host.admit()
  local phase = ngx.get_phase()
  if may_wait[phase] then
    return true
  end
  return nil, errors.new("ConfigurationError",
    ("nothing can be waited for in OpenResty's '%s' phase: use rewrite,"
      .. " access, content or a timer (ngx.timer.at)"):format(phase))
end

-- ---- seats -----------------------------------------------------------------

local Seat = {}
Seat.__index = Seat

function Seat:suspend()
  while not self.woken do
    if pumping == ngx.worker.pid() then
      self.semaphore:wait(FOREVER)
    else
      -- A worker that is shutting down starts no timers.
      self.in_place = true
      scheduler.collect()
      ngx.sleep(SHORTEST)
      self.in_place = false
    end
  end
  self.woken = false
end

function Seat:wake()
  if not self.woken then
    self.woken = true
    if self.semaphore:count() < 0 then
      self.semaphore:post(1)
    end
  end
end

local function new_seat()
  return setmetatable({ semaphore = semaphore.new(0) }, Seat)
end

-- A killed light thread leaves the queue of the semaphore it waited on.
local function is_gone(seat)
  return not seat.woken and not seat.in_place and seat.semaphore:count() >= 0
end

function host.seat()
  local ok, err = host.admit()
  if not ok then
    return nil, err
  end
  return new_seat()
end

-- ---- the pump --------------------------------------------------------------

local function look_around(loop)
  local pause, swept = SHORTEST, scheduler.now()
  while scheduler.is_busy() do
    local before = scheduler.handed_over()
    scheduler.collect()
    pause = scheduler.handed_over() ~= before and SHORTEST
      or math.min(pause * 2, longest)
    local now = scheduler.now()
    if now - swept > SWEEP then
      swept = now
      scheduler.release(is_gone)
    end
    local due = math.min(pause, loop:timeout() or pause)
    if idle:wait(math.max(due, SHORTEST)) then
      pause = SHORTEST
    end
  end
end

local function pump(premature, loop)
  if not premature then
    local ok, err = pcall(look_around, loop)
    if not ok then
      ngx.log(ngx.ERR, "wrenn: ", err)
    end
  end
  pumping = false
end

function host.attach(loop)
  local pid = ngx.worker.pid()
  if pumping == pid then
    if idle:count() < 0 then
      idle:post(1) -- something was just begun: look soon
    end
    return
  end
  idle = semaphore.new(0)
  pumping = ngx.timer.at(0, pump, loop) and pid
end

-- Waiting in place is for coroutines of no phase that can wait.
function host.block()
  local ok, err = host.admit()
  if ok then
    err = errors.new("ConfigurationError", "this cannot be waited for here")
  end
  return nil, err
end

function host.spawn(body)
  local seat = new_seat()
  ngx.thread.spawn(body, seat)
  return seat
end

function host.is_wait()
  return false -- OpenResty's own coroutines let waits through
end

function host.report(err)
  ngx.log(ngx.ERR, "wrenn: a task failed: ", tostring(err))
end

return host
