-- copas: a thread steps the loop, which it watches through a table that looks
-- like a socket. So do those who wait: their tables are on a descriptor that
-- stays silent, and say by themselves when they have something. A task is a
-- thread.

local copas = require("copas")
local core = require("wrenn.core")
local poll = require("wrenn.task.hosts.poll")

local host = { name = "copas", block = poll.block }

local scheduler
-- Seconds between looks at whether other threads are left, while something is
-- open that nobody waits for: soon at first, as a loop that could end waits.
local FIRST_LOOK, LONGEST = 0.01, 0.5

local watch -- what the thread that steps the loop waits on; nil: there is none
local suspended = 0
local silent = assert(core.loop()) -- nothing ever happens in it

function host.serve(one)
  scheduler = one
end

local function nothing() end

local Fiber = { close = nothing, settimeout = nothing }
Fiber.__index = Fiber

local function new_fiber()
  return setmetatable({ woken = false }, Fiber)
end

function Fiber.getfd()
  return silent:fd()
end

function Fiber:dirty()
  return self.woken
end

function Fiber:receive()
  if not self.woken then
    return nil, "timeout"
  end
  self.woken = false
  return true
end

local Watch = { close = nothing, settimeout = nothing }
Watch.__index = Watch

function Fiber:suspend()
  suspended = suspended + 1
  copas.receive(self)
  suspended = suspended - 1
  if suspended == 0 and watch then
    watch.woken = true
  end
end

function Fiber:wake()
  self.woken = true
end

function host.fiber()
  return new_fiber()
end

function Watch:getfd()
  return self.loop:fd()
end

function Watch:dirty()
  return self.woken
end

-- Called once to see what is there, and again when there is something.
function Watch:receive()
  if not self.asked and not self.woken then
    self.asked = true
    return nil, "timeout"
  end
  self.asked, self.woken = false, false
  return true
end

-- Whether copas has threads that go on beside the pump. The oldest do not end by
-- themselves; those after them do, and do not tell.
local function has_others()
  if not copas.finished then
    return true
  end
  local state = copas.status and copas.status()
  return state ~= nil -- one timer is copas's own
    and state.read + state.write + state.active + state.timer > 1
end

local function is_needed()
  return suspended > 0 or scheduler.is_closing()
    or scheduler.is_open() and has_others()
end

-- Ends with the last who waits, so that copas can come to an end, or with the
-- last other thread while something is open.
local function run_pump(own)
  local look = FIRST_LOOK
  repeat
    local somebody_waits = suspended > 0
    if copas.settimeouts then
      copas.settimeouts(own, nil, nil, somebody_waits and -1 or look)
    end
    copas.receive(own)
    look = somebody_waits and FIRST_LOOK or math.min(look * 4, LONGEST)
    scheduler.collect()
  until watch ~= own or not is_needed()
  if watch == own then
    watch = nil
  end
end

function host.watch(loop)
  local co, is_main = coroutine.running()
  if watch and watch.loop == loop or not co or is_main then
    return
  end
  loop:watch()
  local own = setmetatable({ loop = loop, woken = false }, Watch)
  watch = own
  copas.addthread(function() -- its arguments differ between versions
    run_pump(own)
  end)
end

function host.spawn(body)
  local fiber = new_fiber()
  copas.addthread(function()
    body(fiber)
  end)
  return fiber
end

-- What yields to copas names the queue it waits in.
function host.is_wait(_, queue)
  return type(queue) == "table" and queue.insert ~= nil and queue.push ~= nil
end

return host
