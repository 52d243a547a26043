-- One loop, many waiters. `collect` puts every event of the core into the inbox
-- of its operation. A waiter waits for an inbox: suspended by its fiber if
-- there is one, else by driving the loop in place.

local core = require("wrenn.core")
local errors = require("wrenn.errors")
local guard = require("wrenn.task.guard")
local hosts = require("wrenn.task.hosts")
local inbox_of = require("wrenn.task.inbox")
local Waiter = require("wrenn.task.waiter")

local scheduler = {}

local TERMINAL = {
  done = true, closed = true, fired = true, failed = true, ready = true,
}

local loop
local home -- the process that the loop belongs to
local inboxes = {} -- by operation id; false: forgotten, but not ended
local closing = 0 -- how many of them are false
local sinks = {} -- by operation id: files for what it receives
local parked = {} -- the suspended waiters
local parked_count = 0
local weak = { __mode = "k" }
local current = setmetatable({}, weak) -- waiter by coroutine
local ready, ready_first, ready_last = {}, 1, 0
local later -- functions to call after the next events, if any

-- In PUC Lua 5.1 an iterator called by a for loop cannot yield.
local rigid_iterators = _VERSION == "Lua 5.1" and not package.loaded.jit

--- The seconds of a monotonic clock.
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

-- The loop is lost (after a fork or a system error): reports that to all
-- inboxes. Not in a forked child whose host remains in the parent: there only
-- the forking coroutine continues.
local function lose(code, message)
  local lost = inboxes
  local alone = code == "forked" and hosts.stayed_behind()
  loop, inboxes, closing, sinks = nil, {}, 0, {}
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

-- What is left to do at the end of the program, and the object whose collection
-- announces that end. Finalizers run in reverse order: the object has to be
-- younger than the operations, which are over with theirs.
local last_words, herald

local function set_herald()
  local own = {}
  own.guard = guard.on_collect(function()
    if herald == own and core.pid() == home then
      herald = nil
      last_words()
    end
  end)
  herald = own
end

--- Sets what is to be done at the end of the program; nil: nothing.
function scheduler.at_end(fn)
  last_words, herald = fn, nil
  if fn then
    set_herald()
  end
end

--- Starts an operation ("http", "ws", "tunnel", "timer", "ready" or "signal")
--- with the arguments of that method of the loop. Returns it and its inbox. The
--- inbox does not keep the operation alive: an operation that nobody refers to
--- is collected and thereby cancelled. An inbox may have another one, `room`, for
--- WRITABLE: whoever sends then need not take what is received.
function scheduler.start(method, ...)
  local ok, err = hosts.can_start()
  if ok and not loop then
    ok, err = new_loop()
  end
  if not ok then
    return nil, err
  end
  local op, id, message = loop[method](loop, ...)
  if op then
    local inbox = inbox_of.new(id, pause)
    inboxes[id] = inbox
    if herald then
      set_herald()
    end
    return op, inbox
  elseif id == "forked" then -- a child cannot use its parent's loop
    lose(id, message)
    return scheduler.start(method, ...)
  end
  return nil, errors.from_core(id, message)
end

--- Forgets an operation: its further events are dropped, and its waiters woken.
function scheduler.forget(inbox)
  local id = inbox.id
  if id and inboxes[id] == inbox then
    inboxes[id], sinks[id] = false, nil
    closing = closing + 1
    hosts.watch(loop)
  end
  inbox:finish()
end

--- Has what an operation receives from now on written to a file of core.tree.
--- Its events then have the number of bytes, or false and the reason, after which
--- it is over with the file.
function scheduler.pour(inbox, file)
  local id = inbox.id
  if id and inboxes[id] == inbox then
    sinks[id] = file
  end
end

--- Closes the unused connections of the operations with these settings.
function scheduler.let_go(owner)
  if loop then
    loop:release(owner)
  end
end

--- Gives an operation a new inbox that is not paused, and finishes the old one.
function scheduler.reroute(inbox)
  local id = inbox.id
  local fresh
  if id and inboxes[id] == inbox then
    fresh = inbox_of.new(id, pause)
    fresh.plain = inbox.plain
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
    inboxes[id], sinks[id] = nil, nil
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
    local count, bytes, is_group, strings = loop:frames(id, inbox, inbox.last)
    inbox:added_group(count, bytes, strings)
    return nil, is_group
  elseif kind == "done" then -- its end wakes those who wait
    local last = inbox.last + 1
    inbox[last] = { kind = kind, status = a, head = b, body = c }
    inbox.last = last
  elseif kind == "headers" then
    inbox:put({ kind = kind, status = a, head = b })
  elseif kind == "writable" and inbox.room then
    inbox.room:put({ kind = kind })
  else
    if a == false then
      sinks[id] = nil
    end
    inbox:put({ kind = kind, a, b, c, d, e }, type(a) == "string" and #a or 0)
  end
  if ends then
    inbox:finish()
  end
end

local handed_over = 0

--- Returns the number of events so far, which shows whether a turn brought any.
function scheduler.handed_over()
  return handed_over
end

--- Calls a function after the next events. Finalizers may only do this.
function scheduler.later(callback, a, b)
  later = later or {}
  later[#later + 1] = { callback = callback, a = a, b = b }
end

local function call_all(list)
  for i = 1, #list do
    local one = list[i]
    one.callback(one.a, one.b)
  end
end

local function call_later()
  local list = later
  later = nil
  if list then
    call_all(list)
  end
end

-- Takes the events, or with `in_groups` those up to a whole group of frames: for
-- whoever comes back for the rest, which need not become Lua values before.
local function drain(in_groups)
  local callbacks
  while loop do
    local id, kind, a, b, c, d, e = loop:next(sinks)
    if not id then
      break
    end
    handed_over = handed_over + 1
    local callback, is_group = hand_over(id, inboxes[id], kind, a, b, c, d, e)
    if callback then
      callbacks = callbacks or {}
      callbacks[#callbacks + 1] = callback
    elseif is_group and in_groups then
      break
    end
  end
  if callbacks then
    call_all(callbacks)
  end
  call_later()
end

-- A forked child only loses the parent's operations and can continue.
local function step_failed(code, message)
  lose(code, message)
  if code == "forked" then
    return true
  end
  return nil, errors.from_core(code, message)
end

--- Steps the loop and distributes its events, without waiting. Runs no user
--- code.
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

local running -- the task that run_ready is resuming

--- Schedules a coroutine that the scheduler resumes for the next turn.
function scheduler.make_ready(fiber)
  ready_last = ready_last + 1
  ready[ready_last] = fiber
  hosts.run_soon()
end

local function resume(fiber)
  running = fiber.task
  return fiber:resume()
end

-- Ctrl-C may raise anywhere in the main program, including here.
local function resume_as_running(fiber)
  local outer = running
  local ok, raised = pcall(resume, fiber)
  running = outer
  if not ok then
    error(raised, 0)
  end
  return raised
end

--- Resumes the coroutines that were ready at the start. At the end, raises the
--- error of a coroutine of the host.
function scheduler.run_ready()
  local raised
  for _ = ready_first, ready_last do
    if ready_first > ready_last then
      break -- a task that drove the loop in place has resumed them
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

--- Whether a forgotten operation has not ended yet.
function scheduler.is_closing()
  return closing > 0
end

--- Whether any operation has not ended yet.
function scheduler.is_open()
  return next(inboxes) ~= nil
end

--- Whether the loop has to be stepped on behalf of a waiter.
function scheduler.is_busy()
  return parked_count > 0 or closing > 0
end

local is_held = false

local function leave(undo, ok, ...)
  if ok and undo and core.pressed() then
    undo(...)
  end
  is_held = false
  core.release()
  if not ok then
    errors.raise((...))
  end
  return ...
end

--- Calls a function that Ctrl-C may not break off between any two instructions:
--- it raises where the function waits, or at its end. What the function returns
--- is lost then, and given to `undo` before.
function scheduler.held(undo, fn, ...)
  if is_held or not hosts.here().holds or scheduler.current() then
    return fn(...) -- where a task waits, the main program holds it
  end
  is_held = true
  core.hold()
  return leave(undo, pcall(fn, ...))
end

local function turn()
  scheduler.run_ready()
  local ok, err = scheduler.collect()
  if ok then
    scheduler.run_ready()
  end
  return ok, err
end

--- Runs one turn without waiting: takes events and resumes tasks.
function scheduler.turn()
  return scheduler.held(nil, turn)
end

local function drive_on(satisfied, subject)
  while not satisfied(subject) do
    if ready_first <= ready_last then
      scheduler.run_ready()
    else
      local ok, code, message = hosts.here().block(loop, next(inboxes) ~= nil)
      if not ok then
        if errors.is_error(code) then
          return nil, code
        end
        ok, code = step_failed(code, message)
        if not ok then
          return nil, code
        end
      end
      drain(true)
    end
  end
  return true
end

-- Drives the loop in place until `satisfied(subject)`. Returns nil, err if the
-- loop is lost or the host does not allow blocking here.
local function drive(satisfied, subject)
  if parked_count == 0 and ready_first > ready_last then
    return drive_on(satisfied, subject) -- there are no tasks
  end
  return scheduler.held(nil, drive_on, satisfied, subject)
end

--- Drives the loop at the end of the program as long as is_wanted(), for at
--- most some seconds. Uses no host: its loop has ended.
function scheduler.drive_out(is_wanted, seconds)
  local deadline = core.now() + seconds
  while loop and is_wanted() and core.now() < deadline do
    if ready_first <= ready_last then
      scheduler.run_ready()
    else
      if not loop:wait(math.max(deadline - core.now(), 0)) then
        return
      end
      drain()
    end
  end
end

-- ---- waiting ---------------------------------------------------------------

--- Registers the waiter of a coroutine; nil removes it.
function scheduler.adopt(co, waiter)
  current[co] = waiter
end

-- A callback of string.gsub cannot yield, nor can a module while it is loaded
-- by require, nor a closed coroutine. Lua 5.1 does not tell.
local can_yield = coroutine.isyieldable -- luacheck: ignore 143
  or coroutine.running

--- Returns the waiter of the running coroutine; nil if a wait has to drive the
--- loop in place; or nil, err if the host forbids waiting.
function scheduler.current()
  local co, is_main = coroutine.running()
  if not co or is_main or not can_yield() then
    return nil
  end
  local waiter = current[co]
  if waiter and not (waiter.fiber.is_stale and waiter.fiber:is_stale()) then
    return waiter
  end
  -- A user's coroutine inside a task (a generator) cannot yield to the
  -- scheduler. The task's time limits apply all the same.
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

--- The task on whose behalf the code runs, also where it cannot yield.
function scheduler.owner()
  return scheduler.current() or running
end

-- Has the scopes of the main program, which waits in place.
local main = Waiter.new({ wake = function() end })

--- The waiter whose scopes count for the running code; or nil, err.
function scheduler.insider()
  local waiter, err = scheduler.current()
  if err then
    return nil, err
  end
  return waiter or running or main
end

local function is_settled(inbox)
  return inbox.first <= inbox.last or inbox.ended
end

-- Drives the loop for a task or a main program with limits of its own.
local function drive_until_due(inbox, task)
  local ok, err = drive(function()
    return is_settled(inbox) or task:interruption()
  end)
  if ok and not is_settled(inbox) then
    return nil, errors.locate(task:interruption())
  end
  return ok, err
end

-- Apart from the one above: LuaJIT compiles no function in which another one is
-- made that uses its variables.
local function drive_for(inbox)
  local task = running or main
  if task == main and not main.scopes[1] then
    return drive(is_settled, inbox)
  end
  return drive_until_due(inbox, task)
end

local function unpark(waiter)
  if parked[waiter] then
    parked[waiter] = nil
    parked_count = parked_count - 1
  end
  waiter.waiting_for = nil
end

-- Suspends the waiter until something arrives; nil, err if interrupted.
local function park(inbox, waiter)
  local interrupt = errors.locate(waiter:interruption())
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
  interrupt = errors.locate(waiter:interruption())
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

--- Waits for the next event of an inbox. Returns it, or nil, err if the wait
--- was interrupted, the loop is lost or no event will come. `of_iterator`: the
--- caller is an iterator called by a for loop.
function scheduler.next(inbox, of_iterator)
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
  return scheduler.next(inbox, of_iterator)
end

--- Like next, for an iterator called by a for loop.
function scheduler.next_of_iterator(inbox)
  return scheduler.next(inbox, true)
end

-- Removes a waiter that will never continue. Returns what it waited for.
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

--- Ends the wait of a coroutine that was closed.
function scheduler.vacate(fiber)
  for waiter in pairs(parked) do
    if waiter.fiber == fiber then
      evict(waiter)
      return call_later()
    end
  end
end

--- Ends the waits of dead coroutines, recognized by `is_gone(fiber)`: the
--- operations they waited for are cancelled unless there are other waiters.
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

--- Calls a function back after some seconds, from the code that drives the
--- loop. Returns a function that cancels this, or nil, err. Values that a
--- waiting function holds are passed as `a` and `b` instead of upvalues: open
--- upvalues are on a stack that OpenResty reuses after killing a coroutine.
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
