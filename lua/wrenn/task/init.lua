--- Tasks: functions that run at the same time in one thread. Inside a task, and
--- in a coroutine of the host's, a call of this library yields while it waits;
--- elsewhere it blocks.

local check = require("wrenn.check")
local errors = require("wrenn.errors")
local guard = require("wrenn.task.guard")
local hosts = require("wrenn.task.hosts")
local nested = require("wrenn.task.nested")
local scheduler = require("wrenn.task.scheduler")
local fibers = require("wrenn.task.fiber")
local Waiter = require("wrenn.task.waiter")

local task = {}

---@class wrenn.Task
local Task = setmetatable({ is_task = true }, Waiter)
Task.__index = Task

local function pack(...)
  return { n = select("#", ...), ... }
end

local unpack = table.unpack or unpack

-- Results that mean failure: nil and one of our errors.
local function failure(results)
  if results[1] == nil and errors.is_error(results[2]) then
    return results[2]
  end
end

-- ---- life ------------------------------------------------------------------

-- Tasks belong to the run they were spawned in; `loose` are those of none.
local loose

-- An error of a loose task that nobody waits for: the host shows it, or it
-- stays for task.update and, at the latest, for the end of the program.
local function tell(self)
  local host = hosts.here()
  if host.report and #self.watchers == 0 then
    host.report(self.raised)
    return true
  end
end

-- The group of a task, or the one that it has joined.
local function group_of(self)
  local group = self.group
  while group.joined do
    group = group.joined
  end
  return group
end

-- What is left of a run that was broken off belongs to the one around it.
local function join(group, outer)
  group.joined = outer
  outer.live = outer.live + group.live
  for _, failed in ipairs(group.failed) do
    outer.failed[#outer.failed + 1] = failed
  end
end

-- Whether it raised anything but that it was cancelled, which somebody wanted.
local function has_failed(self)
  return self.raised and self.raised ~= self.cancelled
end

local function close(self)
  self.done = true
  local group = group_of(self)
  group.live = group.live - 1
  if has_failed(self) and not (group == loose and tell(self)) then
    group.failed[#group.failed + 1] = self
  end
  group.inbox:put({ kind = "end" })
  for _, inbox in ipairs(self.watchers) do
    inbox:put({ kind = "end", self })
  end
end

local function finish(self, ok, ...)
  if self.done then
    return
  end
  if ok then
    self.results = pack(...)
  else
    self.raised = errors.wrap((...), debug.traceback(tostring((...))))
  end
  close(self)
end

-- A handler that keeps what was raised and adds where that was.
local function with_traceback(raised)
  return errors.wrap(raised, debug.traceback(tostring(raised), 2))
end

local function call(fn, args)
  if nested.call ~= pcall then -- PUC 5.1: no waiting inside xpcall
    return nested.call(fn, unpack(args, 1, args.n))
  end
  return xpcall(function()
    return fn(unpack(args, 1, args.n))
  end, with_traceback)
end

-- The whole of a task's coroutine. That it ends is seen in here, whoever
-- resumes it: a task may yield to something else than this library.
local function live(self, fn, args)
  local co = coroutine.running()
  scheduler.adopt(co, self)
  finish(self, call(fn, args))
  scheduler.adopt(co, nil)
end

--- Ends a task whose coroutine was killed from outside.
function Task:abandon()
  self.cancelled = errors.new("CancelledError", "the task was killed")
  finish(self, false, self.cancelled)
end

local function new_group()
  return { live = 0, failed = {}, inbox = scheduler.inbox() }
end

-- At the program's end what is left in the loose group is told.
local function tell_rest()
  for _, one in ipairs(loose and loose.failed or {}) do
    io.stderr:write("wrenn: a task failed: ", tostring(one.raised), "\n")
  end
end

local function loose_group()
  if not loose then
    loose = new_group()
    loose.guard = guard.on_collect(tell_rest)
  end
  return loose
end

-- A thread of the host's, or a coroutine of ours.
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
  return Waiter.init(setmetatable({ group = group, watchers = {} }, Task))
end

-- `outlives`: it goes on where the host ends what the spawner belongs to.
local function spawn_in(group, outlives, fn, ...)
  local self = new_task(group)
  start(self, outlives, fn, pack(...))
  return self
end

-- Where what the caller spawns belongs, also in a generator of a task's.
local function current_group()
  local here = scheduler.owner()
  return here and here.group and group_of(here) or loose_group()
end

--- Starts a function beside the caller; it first runs at the next wait.
---@param fn function
---@param ... any  its arguments
---@return wrenn.Task
function task.spawn(fn, ...)
  check.arg(fn, "fn", "spawn", "function")
  return spawn_in(current_group(), false, fn, ...)
end

--- Starts a function that is nobody's: no task.run waits for it. For what the
--- library does by itself.
function task.background(fn, ...)
  return spawn_in(loose_group(), true, fn, ...)
end

local function nothing() end

local function guard_for(waiters, tidy_up, ...)
  local args = pack(...)
  return guard.set(waiters, function()
    scheduler.later(function()
      task.background(tidy_up, unpack(args, 1, args.n))
    end)
  end)
end

--- Has a function called, as a task of nobody's, should the running coroutine
--- be killed by its host or be dropped. Returns a function that takes that
--- back, for the coroutine alone to hold. As in scheduler.after, what the
--- coroutine has goes in the arguments.
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

--- As task.guard, for what is held while the caller may wait for anything:
--- where the host kills what belongs to a request, a task beside waits for that.
function task.guard_beside(tidy_up, ...)
  local here = hosts.here().kills and scheduler.current()
  if not here then
    return task.guard(tidy_up, ...)
  end
  local inbox = scheduler.inbox()
  local beside = new_task(new_group())
  hosts.here().spawn(function(fiber) -- it waits before this returns
    beside.fiber = fiber
    live(beside, scheduler.next, pack(inbox))
  end)
  local lift = guard_for({ here, beside }, end_watch, inbox, tidy_up, ...)
  return function()
    lift()
    inbox:finish()
  end
end

-- Somebody has seen how it ended.
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
    return nil, self.raised
  end
  return unpack(self.results, 1, self.results.n)
end

--- Waits for the task's end.
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

--- Ends the task: what it waits for is cancelled, and that call and all later
--- waits in it return nil, CancelledError. Nothing when it has ended.
function Task:cancel()
  check.self(self, "is_task", "cancel")
  if self.done or self.cancelled then
    return
  end
  self.cancelled = errors.new("CancelledError", "the task was cancelled")
  self:interrupt()
end

-- ---- groups ----------------------------------------------------------------

-- An error that nobody has seen, of a task that nobody waits for.
local function lost_error(group)
  for _, failed in ipairs(group.failed) do
    if #failed.watchers == 0 then
      return failed.raised
    end
  end
end

--- Runs a function as a task, and everything it spawns, to the end. Raises
--- what the function raised, or what a task that nobody waited for raised. When
--- its own task is cancelled, what it has spawned goes on in the run around it.
---@param fn function
---@param ... any  its arguments
---@return any ...  what it returned
function task.run(fn, ...)
  check.arg(fn, "fn", "run", "function")
  local _, err = scheduler.current()
  if err then
    return nil, err
  end
  local group, outer = new_group(), current_group()
  local root = spawn_in(group, false, fn, ...)
  local ok
  repeat
    ok, err = scheduler.next(group.inbox)
  until not ok or group.live == 0
  if not ok then
    root:cancel()
    join(group, outer)
    return nil, err
  end
  if root.raised then
    error(root.raised, 0)
  end
  local lost = lost_error(group)
  if lost then
    error(lost, 0)
  end
  return unpack(root.results, 1, root.results.n)
end

--- One turn without waiting, for a host with a loop of its own (a game).
--- Raises what a task that nobody waited for has raised.
function task.update()
  local ok, err = scheduler.turn()
  if not ok then
    error(err, 0)
  end
  local lost = loose and lost_error(loose)
  if lost then
    loose.failed = {}
    error(lost, 0)
  end
end

local function cancel_all(tasks)
  for _, one in ipairs(tasks) do
    one:cancel()
  end
end

-- Waits for all to end, whatever happens to the waiter: a cancelled task may
-- still have to tidy up.
local function await_all(tasks)
  task.shield(function()
    for _, one in ipairs(tasks) do
      one:wait()
    end
  end)
end

-- Starts fn(1) .. fn(count), `limit` at a time, and takes their results.
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
      err = one.raised or failure(one.results)
      results[by_task[one]] = one.results and one.results[1]
    end
    if err then
      return nil, err
    end
  end
  return results
end

-- Results in order, or nil and the first failure, with the others cancelled:
-- also when the waiting itself raises, as it does where Ctrl-C ends a script.
local function all(count, limit, fn)
  local running = {}
  local ok, results, err =
    nested.call(collect, running, count, limit, fn)
  if ok and results then
    return results
  end
  cancel_all(running)
  await_all(running)
  if not ok then
    error(results, 0)
  end
  return nil, err
end

--- Runs functions at the same time.
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

--- Calls a function for each item of a list, some at a time.
---@param list any[]
---@param fn fun(item: any, index: integer): any
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

--- Waits. Outside a task the whole process does.
---@param seconds number
---@return true|nil
---@return wrenn.Error? err  when the task was cancelled meanwhile
function task.sleep(seconds)
  check.arg(seconds, "seconds", "sleep", "number")
  return scheduler.sleep(seconds)
end

-- Calls a function, then another whatever happened.
local function finally(fn, after)
  local function pass(ok, ...)
    after()
    if not ok then
      error((...), 0)
    end
    return ...
  end
  return pass(nested.call(fn))
end

local function expire(scope, seconds)
  scope.expired = errors.new("TimeoutError",
    ("not finished within %g s"):format(seconds))
  for waiter in pairs(scope.depth) do
    waiter:interrupt()
  end
end

local function run_in_scope(self, seconds, fn)
  local scope = {}
  local stop, err = scheduler.after(seconds, expire, scope, seconds)
  if not stop then
    return nil, err
  end
  self:enter(scope)
  return finally(fn, function()
    self:leave(scope)
    stop()
  end)
end

--- Calls a function; once the time is over, what it waits for is cancelled
--- and that call and all later waits in it return nil, TimeoutError. Tasks that
--- it has spawned go on; those of gather and map end with it. Limits nest: the
--- nearest end counts.
---@param seconds number
---@param fn function
---@return any ...  what the function returned
function task.with_timeout(seconds, fn)
  check.arg(seconds, "seconds", "with_timeout", "number")
  check.arg(fn, "fn", "with_timeout", "function")
  local here, err = scheduler.current()
  if here then
    return run_in_scope(here, seconds, fn)
  elseif err then
    return nil, err
  end
  return task.run(function()
    return run_in_scope(scheduler.current(), seconds, fn)
  end)
end

--- Calls a function that must not be interrupted: the tidying up after a
--- cancelled or timed-out call. Its waits need limits of their own.
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
  if state.made ~= nil then
    undo(state.made, ...)
  end
end

--- Calls a function that is not to be broken off half-way, as it makes
--- something on the server: when the waiting for it is, it goes on beside, and
--- `undo` is called with what it has made.
---@param fn fun(...): any
---@param undo fun(made: any, ...)
---@param ... any  arguments of both; as in scheduler.after, no upvalues
---@return any ...  what `fn` returned; nil, err when the waiting was broken off
function task.complete(fn, undo, ...)
  local here = scheduler.current()
  if not here then
    return fn(...)
  end
  local interrupt = here:interruption()
  if interrupt then
    return nil, interrupt
  end
  local state = {}
  local making =
    spawn_in(current_group(), true, make, state, fn, undo, ...)
  local lift = task.guard(abandon, state, undo, ...)
  local results = pack(making:wait())
  lift()
  if making.done then
    if making.raised then
      error(making.raised, 0)
    end
    return unpack(results, 1, results.n)
  end
  state.abandoned = true
  return nil, results[2]
end

-- ---- host ------------------------------------------------------------------

--- Chooses what the program's own loop is. Detected where it can be: Neovim,
--- OpenResty, inside a cqueues controller, and inside a loop of copas 3 or
--- later; else "poll", for programs without one.
---@param name "poll"|"uv"|"cqueues"|"copas"|"openresty"
---@param opts? {relay: boolean}  "openresty": whether each worker may have a
---  thread that waits for the network (true); else it is looked at every 20 ms
function task.use(name, opts)
  check.arg(name, "host", "use", "string")
  check.arg(opts, "opts", "use", "table|nil")
  if not hosts.use(name, opts) then
    error(("bad argument 'host' to 'use' (unknown host '%s')"):format(name), 2)
  end
end

--- As coroutine.wrap, for a generator that waits for this library's calls:
--- its waits become waits of whoever calls it.
---@param fn function
---@return function
function task.wrap(fn)
  check.arg(fn, "fn", "wrap", "function")
  return nested.wrap(fn)
end

return task
