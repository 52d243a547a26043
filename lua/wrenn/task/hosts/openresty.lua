-- OpenResty: waiters wait for semaphores, each in its own request; a pump steps
-- the loop beside them. A task is a light thread of the request that spawned
-- it.

local errors = require("wrenn.errors")
local ngx = require("ngx")
local pump = require("wrenn.task.hosts.openresty_pump")
local semaphore = require("ngx.semaphore")

local host = { name = "openresty", kills = true }

local FOREVER = 3600 -- seconds
-- The interval at which a request that steps the loop itself polls it.
local PAUSE = 0.001

local may_wait = {
  rewrite = true, server_rewrite = true, access = true, content = true,
  timer = true, preread = true, ssl_cert = true, ssl_session_fetch = true,
  ssl_client_hello = true,
}

local scheduler

function host.configure(opts)
  for name in pairs(opts) do
    if name ~= "relay" then
      error(("bad option '%s' to 'use' (there is no such option)")
        :format(tostring(name)), 3)
    end
  end
  pump.configure(opts.relay ~= false)
end

function host.can_start()
  local phase = ngx.get_phase()
  if may_wait[phase] then
    return true
  end
  return nil, errors.new("ConfigurationError",
    ("nothing can be waited for in OpenResty's '%s' phase: use rewrite,"
      .. " access, content or a timer (ngx.timer.at)"):format(phase))
end

-- ---- fibers -----------------------------------------------------------------

local Fiber = {}
Fiber.__index = Fiber

local function request_number()
  return ngx.var.connection .. "/" .. ngx.var.connection_requests
end

-- Records the request of the running coroutine; timers have no number.
local function note_request(self)
  local ok, number = pcall(request_number)
  self.context, self.request = ngx.ctx, ok and number
end

function Fiber:suspend()
  while not self.woken do
    if pump.is_running() then
      self.semaphore:wait(FOREVER)
    else
      -- A worker that is shutting down cannot start a pump.
      self.in_place = true
      scheduler.collect()
      ngx.sleep(PAUSE)
      self.in_place = false
    end
  end
  self.woken, self.suspect = false, false
end

--- Whether nginx has reused the coroutine, as it does after killing a request.
--- A request may also have been given another context.
function Fiber:is_stale()
  if self.context == ngx.ctx then
    return false
  end
  local ok, number = pcall(request_number)
  return not ok or number ~= self.request
end

function Fiber:wake()
  if not self.woken then
    self.woken = true
    if self.semaphore:count() < 0 then
      self.semaphore:post(1)
    end
  end
end

local function new_fiber()
  return setmetatable({ semaphore = semaphore.new(0) }, Fiber)
end

-- A killed light thread leaves the queue of its semaphore. One that was woken
-- has left it too, but is not there at the next check.
local function is_gone(fiber)
  if fiber.in_place or fiber.semaphore:count() < 0 then
    return false
  end
  local gone = not fiber.woken or fiber.suspect
  fiber.suspect = true
  return gone
end

function host.fiber()
  local ok, err = host.can_start()
  if not ok then
    return nil, err
  end
  local fiber = new_fiber()
  note_request(fiber)
  return fiber
end

-- ---- what the scheduler asks for -------------------------------------------

function host.serve(one)
  scheduler = one
  pump.serve(one, is_gone)
end

host.watch, host.watch_timer = pump.watch, pump.watch

-- Only phases without yielding wait in place.
function host.block()
  local ok, err = host.can_start()
  if ok then
    err = errors.new("ConfigurationError", "calls cannot wait here")
  end
  return nil, err
end

local function live(body, fiber, ended)
  note_request(fiber)
  body(fiber)
  if ended then
    ended[#ended + 1] = coroutine.running()
  end
end

-- nginx keeps light threads that have ended until their parent waits for them
-- or the request ends. A pump may run for ever, so it waits for them.
local function begin(body, fiber)
  local ended = pump.ended()
  for i = ended and #ended or 0, 1, -1 do
    ngx.thread.kill(ended[i])
    ended[i] = nil
  end
  ngx.thread.spawn(live, body, fiber, ended)
end

-- A thread that has to outlive the request is started by the pump.
function host.spawn(body, outlives)
  local fiber = new_fiber()
  if not (outlives and scheduler.after(0, begin, body, fiber)) then
    begin(body, fiber)
  end
  return fiber
end

function host.is_wait()
  return false -- OpenResty's own coroutines pass waits through
end

function host.report(err)
  ngx.log(ngx.ERR, "wrenn: a task failed: ", tostring(err))
end

return host
