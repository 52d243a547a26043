--- Tasks: functions that run concurrently in one thread. A call of this library
--- yields while it waits if it is made in a task or in a coroutine of the host;
--- elsewhere it blocks.

local check = require("wrenn.check")
local errors = require("wrenn.errors")
local guard = require("wrenn.task.guard")
local hosts = require("wrenn.task.hosts")
local nested = require("wrenn.task.nested")
local scheduler = require("wrenn.task.scheduler")
local fibers = require("wrenn.task.fiber")
local Waiter = require("wrenn.task.waiter")

---@class wrenn.task
local task = {}

--- A function that runs at the same time as others.
---@class wrenn.Task
local Task = setmetatable({ is_task = true }, Waiter)
Task.__index = Task

function Task:__tostring()
  local state = not self.done and (self.begun and "running" or "not begun yet")
    or self.raised and "failed" or "done"
  return ("wrenn.Task (%s)"):format(state)
end

local function pack(...)
  return { n = select("#", ...), ... }
end

local unpack = table.unpack or unpack

-- Results that mean failure: nil and an error of this library.
local function failure(results)
  if results[1] == nil and errors.is_error(results[2]) then
    return results[2]
  end
end

-- ---- life ------------------------------------------------------------------

-- Tasks belong to the run in which they were spawned; `loose` has those of
-- none.
local loose

-- The tasks that tidy up, see task.tidy, and who waits for the last of them.
local tidying, tidying_count, tidied = {}, 0, {}

-- Seconds that what tidies up gets when the program is about to end: a little
-- more than its own limit, so that its failure is told.
local LAST = 5.5

-- The error of a loose task that nobody waits for: reported by the host, or
-- kept for task.update and, at the latest, the end of the program.
local function tell(self)
  local host = hosts.here()
  if host.report and #self.watchers == 0 then
    host.report(self.raised)
    return true
  end
end

-- The group of a task, or the group that it was merged into.
local function group_of(self)
  local group = self.group
  while group.joined do
    group = group.joined
  end
  return group
end

-- The tasks left by an interrupted run belong to the enclosing run.
local function join(group, outer)
  group.joined = outer
  outer.live = outer.live + group.live
  for _, failed in ipairs(group.failed) do
    outer.failed[#outer.failed + 1] = failed
  end
  for one in pairs(group.tasks) do
    outer.tasks[one] = true
  end
end

-- Whether a task raised anything but the effect of its own cancellation.
local function has_failed(self)
  return self.raised and self.raised ~= self.cancelled
end

local function end_tidying(self)
  tidying[self] = nil
  tidying_count = tidying_count - 1
  if tidying_count == 0 then
    scheduler.at_end(nil)
    for inbox in pairs(tidied) do
      inbox:put({ kind = "end" })
    end
  end
end

local function close(self)
  self.done = true
  if tidying[self] then
    end_tidying(self)
  end
  local group = group_of(self)
  group.live = group.live - 1
  group.tasks[self] = nil
  if has_failed(self) and not (group == loose and tell(self)) then
    group.failed[#group.failed + 1] = self
  end
  if group.inbox then
    group.inbox:put({ kind = "end" })
  end
  for _, inbox in ipairs(self.watchers) do
    inbox:put({ kind = "end", self })
  end
end

-- The tasks of a group that may be cancelled: those that do not tidy up, and do
-- not create something.
local function workers_of(group)
  local list = {}
  for one in pairs(group.tasks) do
    if not tidying[one] and not one.is_maker then
      list[#list + 1] = one
    end
  end
  return list
end

-- What lua and luajit raise for Ctrl-C.
local function is_interrupt(raised)
  return tostring(raised.message):find("interrupted!$") ~= nil
end

local function finish(self, ok, ...)
  if self.done then
    return
  end
  if ok then
    self.results = pack(...)
  else
    self.raised = errors.wrap((...))
  end
  close(self)
  local group = group_of(self)
  if self.raised and group ~= loose and is_interrupt(self.raised) then
    group.interrupt = group.interrupt or self.raised
    for _, one in ipairs(workers_of(group)) do
      one:cancel()
    end
  end
end

local function call(fn, args)
  return nested.try(function()
    return fn(unpack(args, 1, args.n))
  end, errors.wrap)
end

-- The loose tasks that have not begun, with the places where they were spawned.
local waiting = {}

-- The body of a task's coroutine. It detects the end of the task itself, since
-- anybody may resume the coroutine: a task can yield to other code.
local function live(self, fn, args)
  local co = coroutine.running()
  self.begun = true
  if waiting[self] then
    waiting[self] = nil
  end
  scheduler.adopt(co, self)
  finish(self, call(fn, args))
  scheduler.adopt(co, nil)
end

--- Ends a task whose coroutine was killed from outside.
---@internal
function Task:abandon()
  self.cancelled = errors.new("CancelledError", "the task was killed",
    { where = false })
  finish(self, false, self.cancelled)
end

local function new_group()
  return { live = 0, failed = {}, tasks = {} }
end

-- At the end of the program, the errors of loose tasks are reported.
local function tell_rest()
  for _, one in ipairs(loose and loose.failed or {}) do
    io.stderr:write("wrenn: a task failed: ", tostring(one.raised), "\n")
  end
  for one, place in pairs(waiting) do
    if not one.cancelled then
      io.stderr:write("wrenn: a task spawned at ", place, " has never run: wait"
        .. " for it, or spawn it inside wrenn.task.run\n")
    end
  end
end

local function loose_group()
  if not loose then
    loose = new_group()
    loose.guard = guard.on_collect(tell_rest)
  end
  return loose
end

-- Starts a thread of the host, or a coroutine.
local function start(self, outlives, fn, args)
  local host = hosts.here()
  if host.spawn then
    self.fiber = host.spawn(function(fiber)
      fiber:suspend()
      live(self, fn, args)
    end, outlives)
  end
  if not self.fiber then
    local co = coroutine.create(function()
      live(self, fn, args)
    end)
    local fiber = host.fiber and host.fiber(co)
    self.fiber = fiber or fibers.new(scheduler, co, { may_drive = true })
    self.fiber.task = self
    scheduler.adopt(co, self)
  end
  self.fiber:wake()
end

local function new_task(group)
  group.live = group.live + 1
  local self =
    Waiter.init(setmetatable({ group = group, watchers = {} }, Task))
  group.tasks[self] = true
  return self
end

-- `outlives`: the task continues when the host ends its spawner's context.
local function spawn_in(group, outlives, fn, ...)
  local self = new_task(group)
  start(self, outlives, fn, pack(...))
  return self
end

-- The group for new tasks of the caller, which may be a generator in a task.
local function current_group()
  local here = scheduler.owner()
  return here and here.group and group_of(here) or loose_group()
end

--- Starts a function concurrently; it first runs when the caller next waits.
---@param fn function  what it runs
---@param ... any  its arguments
---@return wrenn.Task task  to wait for it, or to cancel it
function task.spawn(fn, ...)
  check.arg(fn, "fn", "spawn", "function")
  local group = current_group()
  local self = spawn_in(group, false, fn, ...)
  if group == loose and not self.begun then
    waiting[self] = errors.here() or "?"
  end
  return self
end

--- Starts a task that no task.run waits for, for the library's own use.
---@internal
function task.background(fn, ...)
  return spawn_in(loose_group(), true, fn, ...)
end

local function nothing() end

-- At the end of the program. What waits for the loop of a host that has ended
-- cannot go on.
local function has_resumable()
  for one in pairs(tidying) do
    if one.fiber and one.fiber.resume then
      return true
    end
  end
end

local function tidy_at_end()
  scheduler.drive_out(has_resumable, LAST)
end

-- Marks a task as one that tidies up: it is not cancelled with its run, and the
-- program does not end before it unless it takes long.
local function mark_tidying(self)
  if not self.done and not tidying[self] then
    tidying[self], self.tidies = true, true
    tidying_count = tidying_count + 1
    scheduler.at_end(tidy_at_end)
  end
  return self
end

--- Starts a task that tidies up, for the library's own use: the run that it is
--- started in waits for it, but does not cancel it.
---@internal
function task.tidy(fn, ...)
  return mark_tidying(spawn_in(current_group(), true, fn, ...))
end

local function guard_for(waiters, tidy_up, ...)
  local args = pack(...)
  return guard.set(waiters, function()
    scheduler.later(function()
      mark_tidying(task.background(tidy_up, unpack(args, 1, args.n)))
    end)
  end)
end

--- Calls a function, in a loose task, if the running coroutine is killed by its
--- host or collected. Returns a function that cancels this, which only the
--- coroutine may hold. Values of the coroutine are passed as arguments, for the
--- same reason as in scheduler.after.
---@internal
function task.guard(tidy_up, ...)
  local co, is_main = coroutine.running()
  if not co or is_main then
    return nothing
  end
  return guard_for({ (scheduler.current()) }, tidy_up, ...)
end

local function end_watch(inbox, tidy_up, ...)
  inbox:finish()
  tidy_up(...)
end

--- Like task.guard, for code that may wait for anything. Where the host kills
--- the threads of a request, another task waits for that.
---@internal
function task.guard_beside(tidy_up, ...)
  local here = hosts.here().kills and scheduler.current()
  if not here then
    return task.guard(tidy_up, ...)
  end
  local inbox = scheduler.inbox()
  local beside = new_task(new_group())
  hosts.here().spawn(function(fiber) -- it waits before spawn returns
    beside.fiber = fiber
    live(beside, scheduler.next, pack(inbox))
  end)
  local lift = guard_for({ here, beside }, end_watch, inbox, tidy_up, ...)
  return function()
    lift()
    inbox:finish()
  end
end

-- Marks the end of a task as seen.
local function observe(self)
  local failed = group_of(self).failed
  for i = self.raised and #failed or 0, 1, -1 do
    if failed[i] == self then
      table.remove(failed, i)
    end
  end
end

local function outcome(self)
  if self.raised then
    observe(self)
    return nil, errors.locate(self.raised)
  end
  errors.locate(failure(self.results))
  return unpack(self.results, 1, self.results.n)
end

--- Waits for the end of the task.
---@return any ...  what its function returned; nil, err when it raised
function Task:wait()
  check.self(self, "is_task", "wait")
  if scheduler.owner() == self then
    error("bad argument 'self' to 'wait' (a task cannot wait for itself)", 2)
  end
  if not self.done then
    local inbox = scheduler.inbox()
    self.watchers[#self.watchers + 1] = inbox
    local event, err = scheduler.next(inbox)
    if not event then
      for i = #self.watchers, 1, -1 do
        if self.watchers[i] == inbox then
          table.remove(self.watchers, i)
        end
      end
      return nil, err
    end
  end
  return outcome(self)
end

--- Cancels the task: the call in which it waits, and all later ones, return
--- nil, CancelledError. Does nothing if the task has ended.
function Task:cancel()
  check.self(self, "is_task", "cancel")
  if self.done or self.cancelled then
    return
  end
  self.cancelled = errors.new("CancelledError", "the task was cancelled",
    { where = false })
  self:interrupt()
end

-- ---- groups ----------------------------------------------------------------

-- Returns an unseen error of a task that nobody waits for.
local function lost_error(group)
  for _, failed in ipairs(group.failed) do
    if #failed.watchers == 0 then
      return failed.raised
    end
  end
end

local function cancel_all(tasks)
  for _, one in ipairs(tasks) do
    one:cancel()
  end
end

-- Waits until all have ended, even if the waiter is interrupted: a cancelled
-- task may still have to clean up. Not for ever: what is shielded may hang.
local function await_all(tasks)
  task.shield(function()
    task.with_timeout(LAST, function()
      for _, one in ipairs(tasks) do
        one:wait()
      end
    end)
  end)
end

-- Waits until nothing is left to tidy up, for a short time.
local function await_tidying()
  if tidying_count == 0 then
    return
  end
  local inbox = scheduler.inbox()
  local stop = scheduler.after(LAST, inbox.put, inbox, { kind = "late" })
  tidied[inbox] = true
  scheduler.next(inbox)
  tidied[inbox] = nil
  if stop then
    stop()
  end
end

-- Ends tasks after Ctrl-C, which raises in the main program wherever that is.
local function break_off(tasks)
  cancel_all(tasks)
  await_all(tasks)
  await_tidying()
end

local function await_group(group)
  local ok, err
  repeat
    ok, err = scheduler.next(group.inbox)
  until not ok or group.live == 0
  return ok, err
end

--- Runs a function as a task, and everything it spawns, to the end. Raises the
--- error of the function, or of a task that nobody waited for. If the calling
--- task is cancelled, spawned tasks continue in the enclosing run. After Ctrl-C
--- all are cancelled, and get some seconds to tidy up.
---@generic A, R
---@param fn fun(...: A...): R...
---@param ... A...  its arguments
---@return R... results  what it returned
function task.run(fn, ...)
  check.arg(fn, "fn", "run", "function")
  local here, refused = scheduler.current()
  if refused then
    return nil, refused
  end
  local group, outer = new_group(), current_group()
  group.inbox = scheduler.inbox() -- of the ends of its tasks
  local root = spawn_in(group, false, fn, ...)
  local called, ok, err = nested.call(await_group, group)
  if not called or not ok and not here then
    break_off(workers_of(group))
  end
  if not called or not ok then
    root:cancel()
    join(group, outer)
    if not called then
      errors.raise(ok)
    end
    return nil, err
  end
  if group.interrupt then -- which LuaJIT raises in any coroutine
    errors.raise(group.interrupt)
  elseif root.raised then
    errors.raise(root.raised)
  end
  local lost = lost_error(group)
  if lost then
    errors.raise(lost)
  end
  return unpack(root.results, 1, root.results.n)
end

--- Runs one turn without waiting, for programs with their own loop (games).
--- Raises the error of a task that nobody waited for.
function task.update()
  local ok, err = scheduler.turn()
  if not ok then
    errors.raise(err)
  end
  local lost = loose and lost_error(loose)
  if lost then
    loose.failed = {}
    errors.raise(lost)
  end
end

-- Starts fn(1) .. fn(count), at most `limit` at a time, and collects results.
local function collect(running, count, limit, fn)
  local results, by_task = {}, {}
  local inbox = scheduler.inbox()
  local started, ended = 0, 0
  while ended < count do
    while started < count and started - ended < limit do
      started = started + 1
      local one = task.spawn(fn, started)
      by_task[one] = started
      running[#running + 1] = one
      one.watchers[#one.watchers + 1] = inbox
    end
    local event, err = scheduler.next(inbox)
    if event then
      local one = event[1]
      ended = ended + 1
      observe(one)
      err = errors.locate(one.raised or failure(one.results))
      results[by_task[one]] = one.results and one.results[1]
    end
    if err then
      return nil, err
    end
  end
  return results
end

-- Returns the results in order, or nil and the first failure after cancelling
-- the others. This also happens if the wait itself raises, as after Ctrl-C.
local function all(count, limit, fn)
  local running = {}
  local ok, results, err =
    nested.call(collect, running, count, limit, fn)
  if ok and results then
    return results
  end
  if not ok then
    break_off(running)
    errors.raise(results)
  end
  cancel_all(running)
  await_all(running)
  return nil, err
end

--- Runs functions concurrently.
---@param fns function[]
---@return any[]|nil results  the first result of each, in order
---@return wrenn.Error? err  the first failure (raised, or nil, err); the
---  others are cancelled then
function task.gather(fns)
  check.arg(fns, "fns", "gather", "table")
  for i = 1, #fns do
    check.arg(fns[i], "fns[" .. i .. "]", "gather", "function")
  end
  return all(#fns, math.huge, function(i)
    return fns[i]()
  end)
end

--- Calls a function for each item of a list, some of them at the same time.
---@generic T
---@param list T[]
---@param fn fun(item: T, index: integer): any...
---@param opts? {concurrency: integer}  16
---@return any[]|nil results  in the list's order
---@return wrenn.Error? err  the first failure; the others are cancelled then
function task.map(list, fn, opts)
  check.arg(list, "list", "map", "table")
  check.arg(fn, "fn", "map", "function")
  opts = check.options(opts, "map", { concurrency = "positive" })
  return all(#list, opts.concurrency or 16, function(i)
    return fn(list[i], i)
  end)
end

-- ---- time ------------------------------------------------------------------

--- Waits for a time. Outside a task this blocks the process.
---@param seconds number
---@return true|nil
---@return wrenn.Error? err  when the task was cancelled meanwhile
function task.sleep(seconds)
  check.arg(seconds, "seconds", "sleep", "number")
  return scheduler.sleep(seconds)
end

-- Calls a function, and another one afterwards in any case.
local function finally(fn, after)
  local function pass(ok, ...)
    after()
    if not ok then
      errors.raise((...))
    end
    return ...
  end
  return pass(nested.call(fn))
end

--- A scope that waits can be cut in; see task.within.
---@internal
function task.scope()
  return { depth = setmetatable({}, { __mode = "k" }) }
end

--- The waits inside of a scope, and all later ones, return nil and this error.
---@internal
function task.cut(scope, err)
  scope.expired = scope.expired or err
  for waiter in pairs(scope.depth) do
    waiter:interrupt()
  end
end

--- Enters a scope. Returns the waiter to leave it with, or nil, err. For the
--- library's own use.
---@internal
function task.enter(scope)
  local waiter, err = scheduler.insider()
  if waiter then
    waiter:enter(scope)
  end
  return waiter, err
end

--- Calls a function inside of a scope. For the library's own use.
---@internal
function task.within(scope, fn)
  local waiter, err = task.enter(scope)
  if not waiter then
    return nil, err
  end
  return finally(fn, function()
    waiter:leave(scope)
  end)
end

local function expire(scope)
  task.cut(scope, errors.new("TimeoutError",
    ("not finished within %g s"):format(scope.seconds), { where = false }))
end

--- Calls a function with a time limit. After the limit, the call in which it
--- waits, and all later ones, return nil, TimeoutError; what has to be tidied
--- up then (a command, a temporary file, a capsule that was being created) goes
--- on in the background. Tasks that it has spawned continue; those of gather
--- and map are cancelled. Limits can be nested: the earliest one counts.
---@param seconds number
---@param fn function
---@return any ...  what the function returned
function task.with_timeout(seconds, fn)
  check.arg(seconds, "seconds", "with_timeout", "number")
  check.arg(fn, "fn", "with_timeout", "function")
  local scope = task.scope()
  scope.seconds, scope.due, scope.expire = seconds, scheduler.now() + seconds,
    expire
  local stop, err = scheduler.after(seconds, expire, scope)
  if not stop then
    return nil, err
  end
  local waiter
  waiter, err = task.enter(scope)
  if not waiter then
    stop()
    return nil, err
  end
  return finally(fn, function()
    waiter:leave(scope)
    stop()
  end)
end

--- Calls a function that must not be interrupted, such as the cleanup after a
--- cancelled or timed-out call. Its waits need their own limits.
---@param fn function
---@return any ...
function task.shield(fn)
  local here = scheduler.current()
  if not here then
    return fn()
  end
  here.shielded = here.shielded + 1
  return finally(fn, function()
    here.shielded = here.shielded - 1
  end)
end

local function make(state, fn, undo, ...)
  local results = pack(fn(...))
  state.made = results[1]
  if state.abandoned and state.made ~= nil then
    undo(state.made, ...)
  end
  return unpack(results, 1, results.n)
end

local function abandon(state, undo, ...)
  state.abandoned = true
  mark_tidying(state.making)
  if state.made ~= nil then
    undo(state.made, ...)
  end
end

--- Calls a function that creates something on the server and must not be
--- interrupted half-way. If the caller is interrupted, the function continues
--- in the background, and `undo` is called with what it has created.
---@internal
---@param fn fun(...): any
---@param undo fun(made: any, ...)
---@param ... any  arguments of both instead of upvalues, see scheduler.after
---@return any ...  what `fn` returned; nil, err if the wait was interrupted
function task.complete(fn, undo, ...)
  local _, refused = scheduler.current()
  local owner = scheduler.owner()
  local interrupt = refused
    or owner and errors.locate(owner:interruption())
  if interrupt then
    return nil, interrupt
  end
  local state = {}
  local making = spawn_in(current_group(), true, make, state, fn, undo, ...)
  making.is_maker, state.making = true, making
  local lift = task.guard(abandon, state, undo, ...)
  local results = pack(nested.call(making.wait, making))
  lift()
  if results[1] and making.done then
    if making.raised then
      errors.raise(making.raised)
    end
    return unpack(results, 2, results.n)
  end
  if making.done then -- Ctrl-C just after that
    task.tidy(abandon, state, undo, ...)
  else
    abandon(state, undo, ...)
  end
  if not results[1] then
    errors.raise(results[2])
  end
  return nil, results[3]
end

-- ---- host ------------------------------------------------------------------

--- Selects the host: the event loop of the program. It is detected for Neovim,
--- OpenResty, inside a cqueues controller, and inside a loop of copas 3 or
--- later; otherwise it is "poll", for programs without a loop.
---@param name "poll"|"uv"|"cqueues"|"copas"|"openresty"
---@param opts? {relay: boolean}  "openresty": whether each worker may have a
---  thread that waits for the network (true); else it polls every 20 ms
function task.use(name, opts)
  check.arg(name, "host", "use", "string")
  check.arg(opts, "opts", "use", "table|nil")
  if not hosts.use(name, opts) then
    error(("bad argument 'host' to 'use' (unknown host '%s')"):format(name), 2)
  end
end

--- Like coroutine.wrap, for generators that call this library: their waits
--- become waits of the caller.
---@param fn function
---@return function
function task.wrap(fn)
  check.arg(fn, "fn", "wrap", "function")
  return nested.wrap(fn)
end

return task
