-- One loop, many waiters. Every event of the core passes through `collect`
-- into the inbox of its operation; whoever needs it waits for that inbox: on
-- the host's fiber where there is one, else by driving the loop in place.

local core = require("wrenn.core")
local errors = require("wrenn.errors")
local hosts = require("wrenn.task.hosts")
local inbox_of = require("wrenn.task.inbox")
local Waiter = require("wrenn.task.waiter")

local scheduler = {}

local TERMINAL = { done = true, closed = true, fired = true, failed = true }

local loop
local home -- the process the loop is of
local inboxes = {} -- by operation id; false: forgotten, but not over yet
local closing = 0 -- how many of them are false
local parked = {} -- the waiters that are suspended
local parked_count = 0
local weak = { __mode = "k" }
local current = setmetatable({}, weak) -- waiter by coroutine
local ready, ready_first, ready_last = {}, 1, 0
local later -- functions to call after the next events, if any

-- PUC Lua 5.1 cannot yield out of an iterator that a for loop calls.
local rigid_iterators = _VERSION == "Lua 5.1" and not package.loaded.jit

--- Seconds on a clock that only goes forward.
scheduler.now = core.now

-- ---- operations ------------------------------------------------------------

local function pause(id, on)
  if loop then
    loop:pause(id, on)
  end
end

function scheduler.inbox()
  return inbox_of.new()
end

-- The loop is no more (a fork, or the system failed): everybody hears of it. Not
-- in a forked child whose host has stayed behind with the parent: nobody goes
-- on there but the one that has forked.
local function lose(code, message)
  local lost = inboxes
  local alone = code == "forked" and hosts.stayed_behind()
  loop, inboxes, closing = nil, {}, 0
  if alone then
    current, parked, parked_count = setmetatable({}, weak), {}, 0
    ready, ready_first, ready_last = {}, 1, 0
  end
  for _, inbox in pairs(lost) do
    if inbox then
      inbox.waiters = not alone and inbox.waiters or nil
      inbox.id, inbox.pause = false, nil
      inbox:put({ kind = "failed", code, message })
      inbox:finish()
    end
  end
end

local function new_loop()
  local made, code, message = core.loop()
  if not made then
    return nil, errors.from_core(code, message)
  end
  loop, inboxes, closing = made, {}, 0
  home = core.pid()
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
    lose(code, message)
    return start(method, options)
  elseif not op then
    return nil, errors.from_core(code, message)
  end
  return op
end

--- Starts an operation ("http", "ws" or "timer") and returns it with its
--- inbox. The inbox does not hold the operation: when nobody does any more,
--- the operation is collected, and cancelled by that.
function scheduler.start(method, options)
  local ok, err = hosts.can_start()
  if not ok then
    return nil, err
  end
  local op
  op, err = start(method, options)
  if not op then
    return nil, err
  end
  local id = op:id()
  local inbox = inbox_of.new(id, pause)
  inboxes[id] = inbox
  return op, inbox
end

--- Forgets an operation: what still comes of it is dropped, and nobody waits
--- for it any more.
function scheduler.forget(inbox)
  local id = inbox.id
  if id and inboxes[id] == inbox then
    inboxes[id] = false
    closing = closing + 1
    hosts.watch(loop)
  end
  inbox:finish()
end

--- Closes the connections that nobody uses and that these settings' operations
--- have left behind.
function scheduler.let_go(owner)
  if loop then
    loop:release(owner)
  end
end

--- Gives an operation a new inbox, read at full speed; the old one is ended.
function scheduler.reroute(inbox)
  local id = inbox.id
  local fresh
  if id and inboxes[id] == inbox then
    fresh = inbox_of.new(id, pause)
    inboxes[id] = fresh
    if inbox.paused then
      pause(id, false)
    end
  else
    fresh = scheduler.inbox()
    fresh:finish()
  end
  inbox.id = false
  inbox:finish()
  return fresh
end

-- ---- events ----------------------------------------------------------------

local function hand_over(id, inbox, kind, a, b, c, d, e)
  local ends = TERMINAL[kind]
  if ends then
    inboxes[id] = nil
    if inbox == false then
      closing = closing - 1
    end
  end
  if not inbox then
    return nil
  elseif inbox.callback then
    return inbox
  elseif kind == "frame" then
    inbox:put(a, b)
    inbox:added(loop:frames(id, inbox, inbox.last))
  else
    inbox:put({ kind = kind, a, b, c, d, e }, type(a) == "string" and #a or 0)
  end
  if ends then
    inbox:finish()
  end
end

local handed_over = 0

--- How many events there have been: whether a turn brought any.
function scheduler.handed_over()
  return handed_over
end

--- Has a function called after the next events; what a collector calls may do
--- no more than that.
function scheduler.later(callback, a, b)
  later = later or {}
  later[#later + 1] = { callback = callback, a = a, b = b }
end

local function call_all(list)
  for i = 1, list and #list or 0 do
    local one = list[i]
    one.callback(one.a, one.b)
  end
end

local function call_later()
  local list = later
  later = nil
  call_all(list)
end

local function drain()
  local callbacks
  while loop do
    local id, kind, a, b, c, d, e = loop:next()
    if not id then
      break
    end
    handed_over = handed_over + 1
    local callback = hand_over(id, inboxes[id], kind, a, b, c, d, e)
    if callback then
      callbacks = callbacks or {}
      callbacks[#callbacks + 1] = callback
    end
  end
  call_all(callbacks)
  call_later()
end

-- A forked child only loses what is its parent's, and can go on.
local function step_failed(code, message)
  lose(code, message)
  if code == "forked" then
    return true
  end
  return nil, errors.from_core(code, message)
end

--- Lets the loop do what is due and hands its events over, without waiting.
--- Runs no code of the user's.
function scheduler.collect()
  if loop then
    local ok, code, message = loop:step()
    if not ok then
      return step_failed(code, message)
    end
    drain()
  end
  return true
end

-- ---- fibers and turns -------------------------------------------------------

local running -- the task that run_ready resumes, if any

--- Has a coroutine that the scheduler resumes itself go on in the next turn.
function scheduler.make_ready(fiber)
  ready_last = ready_last + 1
  ready[ready_last] = fiber
  hosts.run_soon()
end

local function resume(fiber)
  running = fiber.task
  return fiber:resume()
end

-- Ctrl-C may raise anywhere in the main program, and so also in here.
local function resume_as_running(fiber)
  local outer = running
  local ok, raised = pcall(resume, fiber)
  running = outer
  if not ok then
    error(raised, 0)
  end
  return raised
end

--- Resumes what was ready at the beginning. Raises, at the end, what came out
--- of a coroutine of the host's.
function scheduler.run_ready()
  local raised
  for _ = ready_first, ready_last do
    if ready_first > ready_last then
      break -- a task that drove the loop in place has run them
    end
    local fiber = ready[ready_first]
    ready[ready_first] = nil
    ready_first = ready_first + 1
    raised = resume_as_running(fiber) or raised
  end
  if ready_first > ready_last then
    ready_first, ready_last = 1, 0
  end
  if raised then
    error(raised, 0)
  end
end

function scheduler.has_ready()
  return ready_first <= ready_last
end

--- Whether something that nobody waits for is still being closed.
function scheduler.is_closing()
  return closing > 0
end

--- Whether there is something that comes or goes by itself.
function scheduler.is_open()
  return next(inboxes) ~= nil
end

--- Whether the loop has to be stepped for somebody's sake.
function scheduler.is_busy()
  return parked_count > 0 or closing > 0
end

--- One turn without waiting: events in, ready tasks on.
function scheduler.turn()
  scheduler.run_ready()
  local ok, err = scheduler.collect()
  if ok then
    scheduler.run_ready()
  end
  return ok, err
end

-- Drives everything in place until `satisfied(subject)`; nil, err when the
-- loop is lost or the host cannot wait here.
local function drive(satisfied, subject)
  while not satisfied(subject) do
    if ready_first <= ready_last then
      scheduler.run_ready()
    else
      local ok, code, message = hosts.block(loop, next(inboxes) ~= nil)
      if not ok then
        if errors.is_error(code) then
          return nil, code
        end
        ok, code = step_failed(code, message)
        if not ok then
          return nil, code
        end
      end
      drain()
    end
  end
  return true
end

-- ---- waiting ---------------------------------------------------------------

--- Says which waiter a coroutine is; nil: none any more.
function scheduler.adopt(co, waiter)
  current[co] = waiter
end

-- A callback of string.gsub's cannot yield, nor can a module that require
-- loads, nor what a closed coroutine has left to close. 5.1 cannot tell.
local can_yield = coroutine.isyieldable -- luacheck: ignore 143
  or coroutine.running

--- Who the running coroutine is: a task, a coroutine of the host's, or nil:
--- then a wait drives the loop in place. nil, err where the host forbids it.
function scheduler.current()
  local co, is_main = coroutine.running()
  if not co or is_main or not can_yield() then
    return nil
  end
  local waiter = current[co]
  if waiter and not (waiter.fiber.is_stale and waiter.fiber:is_stale()) then
    return waiter
  end
  -- A coroutine of the user's inside a task (a generator, say) cannot yield
  -- to the scheduler. The task's limits hold there too.
  if running then
    return nil
  end
  local fiber, err = hosts.fiber(co)
  if not fiber then
    return nil, err
  end
  waiter = Waiter.new(fiber)
  current[co] = waiter
  return waiter
end

--- The task that this is done for, also where it cannot yield.
function scheduler.owner()
  return scheduler.current() or running
end

local function is_settled(inbox)
  return inbox.first <= inbox.last or inbox.ended
end

local function drive_for(inbox)
  local task = running
  if not task then
    return drive(is_settled, inbox)
  end
  local ok, err = drive(function()
    return is_settled(inbox) or task:interruption()
  end)
  if ok and not is_settled(inbox) then
    return nil, task:interruption()
  end
  return ok, err
end

local function unpark(waiter)
  if parked[waiter] then
    parked[waiter] = nil
    parked_count = parked_count - 1
  end
  waiter.waiting_for = nil
end

-- Sits down until something comes; nil, err when interrupted meanwhile.
local function park(inbox, waiter)
  local interrupt = waiter:interruption()
  if interrupt then
    return nil, interrupt
  end
  inbox:add_waiter(waiter)
  waiter.waiting_for = inbox
  if not parked[waiter] then -- from a wait that could not yield
    parked[waiter] = true
    parked_count = parked_count + 1
  end
  hosts.watch(loop)
  waiter.fiber:suspend()
  unpark(waiter)
  inbox:remove_waiter(waiter)
  if is_settled(inbox) then
    return true
  end
  interrupt = waiter:interruption()
  return not interrupt, interrupt
end

local wait_for
function wait_for(inbox, of_iterator)
  local waiter, err = scheduler.current()
  if err then
    return nil, err
  elseif not waiter then
    return drive_for(inbox)
  elseif loop and core.pid() ~= home then
    lose("forked", "the loop belongs to another process")
    return is_settled(inbox) or wait_for(inbox, of_iterator)
  elseif of_iterator and rigid_iterators then
    if not waiter.fiber.may_drive then
      return nil, errors.new("ConfigurationError",
        "a for loop cannot wait in this host on Lua 5.1: call :read() instead")
    end
    return drive_for(inbox)
  end
  return park(inbox, waiter)
end

local function next_event(inbox, of_iterator)
  while true do
    local event = inbox:take()
    if event then
      return event
    elseif inbox.ended then
      return nil, inbox_of.gone()
    end
    local ok, err = wait_for(inbox, of_iterator)
    if not ok then
      return nil, err
    end
  end
end

--- Waits for the next event of an inbox. Returns it, or nil, err when the
--- waiting was interrupted, the loop is lost or nothing will come.
function scheduler.next(inbox)
  return next_event(inbox, false)
end

--- As next, for an iterator that a for loop calls.
function scheduler.next_of_iterator(inbox)
  return next_event(inbox, true)
end

-- Has a waiter that will never go on wait no more; for what it waited.
local function evict(waiter)
  local inbox = waiter.waiting_for
  unpark(waiter)
  inbox:remove_waiter(waiter)
  inbox:pass_on()
  if waiter.abandon then
    waiter:abandon()
  end
  waiter:let_go()
  return inbox
end

--- Ends the wait of one whose coroutine was closed.
function scheduler.vacate(fiber)
  for waiter in pairs(parked) do
    if waiter.fiber == fiber then
      evict(waiter)
      return call_later()
    end
  end
end

--- Ends the waits of those whose coroutine is gone for good, as `is_gone`
--- tells of their fibers: what they waited for is cancelled, unless others
--- wait for it too.
function scheduler.release(is_gone)
  for waiter in pairs(parked) do
    if is_gone(waiter.fiber) then
      local inbox = evict(waiter)
      if inbox.id and loop and #(inbox.waiters or {}) == 0 then
        loop:cancel(inbox.id)
        scheduler.forget(inbox)
      end
    end
  end
  call_later()
end

-- ---- time ------------------------------------------------------------------

--- Waits for some seconds. Returns true, or nil, err.
function scheduler.sleep(seconds)
  local op, inbox = scheduler.start("timer", seconds)
  if not op then
    return nil, inbox
  end
  local event, err = scheduler.next(inbox)
  if event then
    return true
  end
  scheduler.forget(inbox)
  op:cancel()
  return nil, err
end

--- Calls back once some seconds have passed, from the driver; returns a
--- function that takes the order back, or nil, err. What the callback needs and
--- a function that waits holds goes in `a` and `b`, not in upvalues: those are
--- on a stack that OpenResty uses again once the coroutine was killed.
function scheduler.after(seconds, callback, a, b)
  local op, inbox = scheduler.start("timer", seconds)
  if not op then
    return nil, inbox
  end
  inbox.callback, inbox.a, inbox.b = callback, a, b
  hosts.watch_timer(loop)
  return function()
    scheduler.forget(inbox)
    op:cancel()
  end
end

hosts.serve(scheduler)

return scheduler
