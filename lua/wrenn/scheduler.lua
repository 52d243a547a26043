-- One loop, many waiters. Every event of the core passes through `drain` into
-- the inbox of its operation; whoever needs it waits for that inbox, by
-- yielding inside a task and by driving the loop anywhere else.

local core = require("wrenn.core")
local errors = require("wrenn.errors")

local scheduler = {}

-- An operation whose inbox holds more stops reading until it is empty.
local HIGH = 256 * 1024

local TERMINAL = { done = true, closed = true, fired = true, failed = true }

local loop
local host
local inboxes = {} -- by operation id
local current = {} -- task by coroutine
setmetatable(current, { __mode = "k" })
local ready, ready_first, ready_last = {}, 1, 0

-- PUC Lua 5.1 cannot yield out of an iterator that a for loop calls.
local rigid_iterators = _VERSION == "Lua 5.1" and not rawget(_G, "jit")

--- Seconds on a clock that only goes forward.
scheduler.now = core.now

--- Chooses the host: a table as in host/poll.lua.
function scheduler.use(chosen)
  host = chosen
end

local function the_host()
  if not host then
    host = require("wrenn.host.poll")
  end
  return host
end

-- ---- operations ------------------------------------------------------------

local function new_loop()
  local made, code, message = core.loop()
  if not made then
    return nil, errors.from_core(code, message)
  end
  loop, inboxes = made, {}
  return loop
end

-- Starts an operation by a method of the loop. A forked child finds that the
-- loop is its parent's and makes one of its own.
local function start(method, options)
  if not loop then
    local ok, err = new_loop()
    if not ok then
      return nil, err
    end
  end
  local op, code, message = loop[method](loop, options)
  if code == "forked" then
    loop = nil
    return start(method, options)
  elseif not op then
    return nil, errors.from_core(code, message)
  end
  return op
end

local Inbox = {}
Inbox.__index = Inbox

function scheduler.inbox()
  return setmetatable({ first = 1, last = 0, bytes = 0, id = false }, Inbox)
end

--- Starts an operation ("http", "ws" or "timer") and returns it with its
--- inbox. The inbox does not hold the operation: when nobody does any more,
--- the operation is collected, and cancelled by that.
function scheduler.start(method, options)
  local op, err = start(method, options)
  if not op then
    return nil, err
  end
  local inbox = scheduler.inbox()
  inbox.id = op:id()
  inboxes[inbox.id] = inbox
  return op, inbox
end

--- Forgets an operation: what still comes of it is dropped.
function scheduler.forget(inbox)
  if inbox.id then
    inboxes[inbox.id] = nil
  end
end

--- Gives an operation a new inbox, read at full speed; the old one is ended.
function scheduler.reroute(inbox)
  local fresh = scheduler.inbox()
  if inbox.id and inboxes[inbox.id] == inbox then
    inboxes[inbox.id] = fresh
    fresh.id = inbox.id
    if inbox.paused then
      loop:pause(inbox.id, false)
    end
  else
    fresh:finish()
  end
  inbox.id = false
  inbox:finish()
  return fresh
end

-- ---- inboxes ---------------------------------------------------------------

-- What an event weighs besides its bytes.
local WEIGHT = 64

local function wake(inbox)
  local waiters = inbox.waiters
  local task = waiters and table.remove(waiters, 1)
  if task then
    ready_last = ready_last + 1
    ready[ready_last] = task
  end
end

-- Takes note of events that have been put behind the last one.
local function added(self, count, bytes)
  self.last = self.last + count
  bytes = self.bytes + bytes + count * WEIGHT
  self.bytes = bytes
  if bytes > HIGH and not self.paused and self.id then
    self.paused = true
    loop:pause(self.id, true)
  end
  if self.waiters then
    for _ = 1, math.min(count, #self.waiters) do
      wake(self)
    end
  end
end

--- Puts an event into an inbox: a frame's own table, or {kind = ..., ...}.
function Inbox:put(event, bytes)
  self[self.last + 1] = event
  added(self, 1, bytes or 0)
end

--- Ends the inbox: whoever waits for its next event gets nil, and no error,
--- once it is empty.
function Inbox:finish()
  self.finished = true
  while self.waiters and self.waiters[1] do
    wake(self)
  end
end

--- Takes the oldest event; nil when there is none.
function Inbox:take()
  local first = self.first
  if first > self.last then
    return nil
  end
  local event = self[first]
  self[first] = nil
  if first < self.last then
    self.first = first + 1
    return event
  end
  self.first, self.last, self.bytes = 1, 0, 0
  if self.paused then
    self.paused = false
    if self.id then
      loop:pause(self.id, false)
    end
  end
  return event
end

local function drain()
  local callbacks
  while loop do
    local id, kind, a, b, c, d = loop:next()
    if not id then
      break
    end
    local inbox = inboxes[id]
    if inbox then
      if TERMINAL[kind] then
        inboxes[id] = nil
        inbox.paused = false
        inbox.ended = true
      end
      if inbox.callback then
        callbacks = callbacks or {}
        callbacks[#callbacks + 1] = inbox.callback
      elseif kind == "frame" then
        inbox:put(a, b)
        added(inbox, loop:frames(id, inbox, inbox.last))
      else
        inbox:put({ kind = kind, a, b, c, d }, type(a) == "string" and #a or 0)
      end
    end
  end
  for i = 1, callbacks and #callbacks or 0 do
    callbacks[i]()
  end
end

-- ---- driving ---------------------------------------------------------------

-- Resumes the tasks that were ready at the beginning.
local function run_ready()
  for _ = ready_first, ready_last do
    if ready_first > ready_last then
      break -- a task that drove the loop in place has run them
    end
    local task = ready[ready_first]
    ready[ready_first] = nil
    ready_first = ready_first + 1
    task:resume()
  end
  if ready_first > ready_last then
    ready_first, ready_last = 1, 0
  end
end

local function step_failed(code, message)
  if code == "forked" then
    loop = nil
  end
  return nil, errors.from_core(code, message)
end

--- One turn without waiting: events in, ready tasks on.
function scheduler.turn()
  run_ready()
  if loop then
    local ok, code, message = loop:step()
    if not ok then
      return step_failed(code, message)
    end
    drain()
    run_ready()
  end
  return true
end

-- Drives everything until `satisfied(subject)`; nil, err when the loop is lost.
local function drive(satisfied, subject)
  while not satisfied(subject) do
    if ready_first <= ready_last then
      run_ready()
    elseif not loop then
      return nil, errors.new("ConnectionError", "nothing is left to wait for")
    else
      local ok, code, message = the_host().wait(loop)
      if not ok then
        return step_failed(code, message)
      end
      drain()
    end
  end
  return true
end
scheduler.drive = drive

local running -- the task that is being resumed, if any

--- Says which task is being resumed from here on; returns the one before.
function scheduler.enter(task)
  local outer = running
  running = task
  return outer
end

local function has_event(inbox)
  return inbox.first <= inbox.last or inbox.finished
end

-- A coroutine of the user's inside a task (a generator, say) cannot yield to
-- the scheduler: it drives the loop in place. The task's limits hold there too.
local function drive_for(inbox)
  local task = running
  if not task then
    return drive(has_event, inbox)
  end
  local ok, err = drive(function()
    return has_event(inbox) or task:interruption()
  end)
  if ok and not has_event(inbox) then
    return nil, task:interruption()
  end
  return ok, err
end

--- The task whose own coroutine runs now, or nil.
function scheduler.current()
  local co = coroutine.running()
  return co and current[co]
end

--- Says which task a coroutine is.
function scheduler.adopt(co, task)
  current[co] = task
end

--- Has a task resumed in the next turn.
function scheduler.make_ready(task)
  ready_last = ready_last + 1
  ready[ready_last] = task
end

-- Waits in a task; nil, err when the task was interrupted meanwhile.
local function park(inbox, task)
  local interrupt = task:interruption()
  if interrupt then
    return nil, interrupt
  end
  local waiters = inbox.waiters
  if not waiters then
    waiters = {}
    inbox.waiters = waiters
  end
  waiters[#waiters + 1] = task
  task.waiting_for = inbox
  coroutine.yield()
  task.waiting_for = nil
  if has_event(inbox) then
    return true
  end
  for i = #waiters, 1, -1 do
    if waiters[i] == task then
      table.remove(waiters, i)
    end
  end
  interrupt = task:interruption()
  if interrupt then
    return nil, interrupt
  end
  return true
end

--- Waits for the next event of an inbox. Returns it; nil when the inbox was
--- ended; or nil, err when the waiting was interrupted or the loop is lost.
function scheduler.next(inbox, in_place)
  while true do
    local event = inbox:take()
    if event or inbox.finished then
      return event
    end
    local task = not in_place and scheduler.current()
    local ok, err
    if task then
      ok, err = park(inbox, task)
    else
      ok, err = drive_for(inbox)
    end
    if not ok then
      return nil, err
    end
  end
end

--- As next, for an iterator that a for loop calls.
function scheduler.next_of_iterator(inbox)
  return scheduler.next(inbox, rigid_iterators)
end

--- pcall that waits may be made in, on every Lua: where pcall itself cannot be
--- yielded from, the function gets a coroutine that passes yields on.
scheduler.protect = pcall
if rigid_iterators then
  local function relay(co, ok, ...)
    if not ok or coroutine.status(co) == "dead" then
      return ok, ...
    end
    return relay(co, coroutine.resume(co, coroutine.yield(...)))
  end

  function scheduler.protect(fn, ...)
    local co = coroutine.create(fn)
    current[co] = scheduler.current()
    return relay(co, coroutine.resume(co, ...))
  end
end

-- ---- time ------------------------------------------------------------------

--- Waits for some seconds. Returns true, or nil, err.
function scheduler.sleep(seconds)
  local op, inbox = scheduler.start("timer", seconds)
  if not op then
    return nil, inbox
  end
  local event, err = scheduler.next(inbox)
  op:cancel()
  return event and true, err
end

--- Calls back once some seconds have passed, from the driver; returns a
--- function that takes the order back, or nil, err.
function scheduler.after(seconds, callback)
  local op, inbox = scheduler.start("timer", seconds)
  if not op then
    return nil, inbox
  end
  inbox.callback = callback
  return function()
    scheduler.forget(inbox)
    op:cancel()
  end
end

return scheduler
