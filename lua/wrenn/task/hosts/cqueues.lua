-- cqueues: in each controller with waiters a thread steps the loop; the waiters
-- wait for condition variables. A task is a thread.

local condition = require("cqueues.condition")
local core = require("wrenn.core")
local cqueues = require("cqueues")
local poll = require("wrenn.task.hosts.poll")

local host = { name = "cqueues", block = poll.block }

-- Seconds between checks for other threads while an operation is open that
-- nobody waits for. Short at first, because a loop that could end is waiting.
local FIRST_LOOK, LONGEST = 0.01, 0.5

local scheduler
local pumps = {} -- by controller
setmetatable(pumps, { __mode = "k" })

function host.serve(one)
  scheduler = one
end

local function pump_of(controller)
  local pump = pumps[controller]
  if not pump then
    pump = { suspended = 0, idle = condition.new(), pid = core.pid() }
    pumps[controller] = pump
  end
  return pump
end

-- Returns the running controller if it can be used: one inherited by a fork
-- shares its kernel queue with the parent.
local function controller_here()
  local controller = cqueues.running()
  local pump = controller and pumps[controller]
  if pump and pump.pid ~= core.pid() then
    return nil
  end
  return controller
end

function host.stayed_behind()
  return cqueues.running() and not controller_here()
end

local Fiber = {}
Fiber.__index = Fiber

function Fiber:suspend()
  local pump = self.pump
  pump.suspended = pump.suspended + 1
  while not self.woken do
    self.cond:wait()
  end
  self.woken = false
  pump.suspended = pump.suspended - 1
  if pump.suspended == 0 then
    pump.idle:signal()
  end
end

function Fiber:wake()
  self.woken = true
  self.cond:signal()
end

local function new_fiber(controller)
  return setmetatable({
    cond = condition.new(), pump = pump_of(controller),
  }, Fiber)
end

function host.fiber()
  local controller = controller_here()
  return controller and new_fiber(controller)
end

local function is_needed(pump, controller)
  return pump.suspended > 0 or scheduler.is_closing()
    or scheduler.is_open() and controller:count() > 1
end

-- Ends with the last waiter, as the loop of cqueues runs while it has threads,
-- or with the last other thread while an operation is open.
local function run_pump(pump, loop, controller)
  local watch = { pollfd = loop:fd(), events = "r" }
  local look = FIRST_LOOK
  while pump.loop == loop and is_needed(pump, controller) do
    local somebody_waits = pump.suspended > 0
    cqueues.poll(watch, pump.idle, not somebody_waits and look or nil)
    look = somebody_waits and FIRST_LOOK or math.min(look * 4, LONGEST)
    scheduler.collect()
  end
  cqueues.cancel(watch.pollfd)
  if pump.loop == loop then
    pump.loop = nil
  end
end

function host.watch(loop)
  local controller = controller_here()
  if not controller then
    return
  end
  local pump = pump_of(controller)
  if pump.loop ~= loop then
    loop:watch()
    pump.loop = loop
    controller:wrap(run_pump, pump, loop, controller)
  end
end

function host.spawn(body)
  local controller = controller_here()
  if not controller then
    return nil
  end
  local fiber = new_fiber(controller)
  controller:wrap(body, fiber)
  return fiber
end

function host.is_wait(value)
  return value == cqueues._POLL
end

return host
