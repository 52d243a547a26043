-- copas: a thread steps the loop, watching it through a table that imitates a
-- socket. Waiters do the same with tables of their own, on a descriptor that is
-- never ready: the table itself says when it is readable. A task is a thread.

local copas = require("copas")
local core = require("wrenn.core")
local poll = require("wrenn.task.hosts.poll")

local host = { name = "copas", block = poll.block }

local scheduler
-- Seconds between checks for other threads while an operation is open that
-- nobody waits for. Short at first, because a loop that could end is waiting.
local FIRST_LOOK, LONGEST = 0.01, 0.5

local watch -- what the stepping thread waits for; nil: no such thread
local suspended = 0
local silent = assert(core.loop()) -- never has an event

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

-- Called once to check, and again when there is something.
function Watch:receive()
  if not self.asked and not self.woken then
    self.asked = true
    return nil, "timeout"
  end
  self.asked, self.woken = false, false
  return true
end

-- Whether copas has threads besides the pump. Its oldest own threads never end;
-- newer ones end without notice.
local function has_others()
  if not copas.finished then
    return true
  end
  local state = copas.status and copas.status()
  return state ~= nil -- one timer belongs to copas
    and state.read + state.write + state.active + state.timer > 1
end

local function is_needed()
  return suspended > 0 or scheduler.is_closing()
    or scheduler.is_open() and has_others()
end

-- Ends with the last waiter, so that copas can finish, or with the last other
-- thread while an operation is open.
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
  copas.addthread(function() -- copas versions pass different arguments
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

-- A yield to copas names the queue that the thread waits in.
function host.is_wait(_, queue)
  return type(queue) == "table" and queue.insert ~= nil and queue.push ~= nil
end

return host
