--- Tasks: functions that run at the same time in one thread. Inside a task a
--- call of this library yields while it waits; outside it blocks.

local check = require("wrenn.check")
local errors = require("wrenn.errors")
local scheduler = require("wrenn.scheduler")

local task = {}

---@class wrenn.Task
local Task = { is_task = true }
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

local function finish(self, ok, ...)
  self.done = true
  if ok then
    self.results = pack(...)
  else
    self.raised = errors.wrap((...), debug.traceback(self.co, tostring((...))))
  end
  local group = self.group
  group.live = group.live - 1
  group.inbox:put({ kind = "end" })
  if self.raised then
    group.failed[#group.failed + 1] = self
  end
  for _, inbox in ipairs(self.watchers) do
    inbox:put({ kind = "end", self })
  end
end

local function settle(self, ok, ...)
  if not ok or coroutine.status(self.co) == "dead" then
    finish(self, ok, ...)
  end
end

function Task:resume()
  -- Not suspended: a coroutine inside this very task is driving the loop.
  if self.done or coroutine.status(self.co) ~= "suspended" then
    return
  end
  local args = self.args or { n = 0 }
  self.args = nil
  local outer = scheduler.enter(self)
  settle(self, coroutine.resume(self.co, unpack(args, 1, args.n)))
  scheduler.enter(outer)
end

-- Why a wait in this task must end now: it was cancelled, or a time limit
-- around it has passed. Nothing interrupts while it tidies up.
function Task:interruption()
  if self.shielded > 0 then
    return nil
  end
  for _, scope in ipairs(self.scopes) do
    if scope.expired then
      return scope.expired
    end
  end
  return self.cancelled
end

local function interrupt(self)
  if self.waiting_for and self.shielded == 0 and not self.done then
    scheduler.make_ready(self)
  end
end

local function new_group()
  return { live = 0, failed = {}, inbox = scheduler.inbox() }
end

-- Of the tasks that were spawned outside of task.run.
local loose = nil

local function group_here()
  local here = scheduler.current()
  if here then
    return here.group
  end
  loose = loose or new_group()
  return loose
end

local function spawn_in(group, fn, ...)
  local self = setmetatable({
    args = pack(...), group = group, scopes = {}, watchers = {}, shielded = 0,
  }, Task)
  self.co = coroutine.create(function(...) -- 5.1 takes no C function here
    return fn(...)
  end)
  group.live = group.live + 1
  scheduler.adopt(self.co, self)
  scheduler.make_ready(self)
  return self
end

--- Starts a function beside the caller; it first runs at the next wait.
---@param fn function
---@param ... any  its arguments
---@return wrenn.Task
function task.spawn(fn, ...)
  check.arg(fn, "fn", "spawn", "function")
  return spawn_in(group_here(), fn, ...)
end

local function outcome(self)
  self.observed = true
  if self.raised then
    return nil, self.raised
  end
  return unpack(self.results, 1, self.results.n)
end

--- Waits for the task's end.
---@return any ...  what its function returned; nil, err when it raised
function Task:wait()
  check.self(self, "is_task", "wait")
  if not self.done then
    local inbox = scheduler.inbox()
    self.watchers[#self.watchers + 1] = inbox
    local event, err = scheduler.next(inbox)
    if not event then
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
  interrupt(self)
end

-- ---- groups ----------------------------------------------------------------

local function is_over(group)
  return group.live == 0
end

-- An error that nobody has seen, of a task that nobody waited for.
local function lost_error(group)
  for _, failed in ipairs(group.failed) do
    if not failed.observed then
      return failed.raised
    end
  end
end

--- Runs a function as a task, and everything it spawns, to the end. Raises
--- what the function raised, or what a task that nobody waited for raised.
---@param fn function
---@param ... any  its arguments
---@return any ...  what it returned
function task.run(fn, ...)
  check.arg(fn, "fn", "run", "function")
  local group = new_group()
  local root = spawn_in(group, fn, ...)
  local ok, err
  if scheduler.current() then
    repeat
      ok, err = scheduler.next(group.inbox)
    until not ok or is_over(group)
    if not ok then
      root:cancel()
      return nil, err
    end
  else
    ok, err = scheduler.drive(is_over, group)
    if not ok then
      return nil, err
    end
  end
  root.observed = true
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

-- Calls fn(1) .. fn(count), `limit` at a time; results in order, or nil and
-- the first failure, with the others cancelled.
local function all(count, limit, fn)
  local results, running, by_task = {}, {}, {}
  local inbox = scheduler.inbox()
  local started, ended = 0, 0
  local err
  while ended < count and not err do
    while started < count and started - ended < limit do
      started = started + 1
      local one = task.spawn(fn, started)
      by_task[one] = started
      running[#running + 1] = one
      one.watchers[1] = inbox
    end
    local event
    event, err = scheduler.next(inbox)
    if event then
      local one = event[1]
      ended = ended + 1
      one.observed = true
      err = one.raised or failure(one.results)
      if not err then
        results[by_task[one]] = one.results[1]
      end
    end
  end
  if err then
    cancel_all(running)
    await_all(running)
    return nil, err
  end
  return results
end

--- Runs functions at the same time.
---@param fns function[]
---@return any[]|nil results  the first result of each, in order
---@return wrenn.Error? err  the first failure (raised, or nil, err); the
---  others are cancelled then
function task.gather(fns)
  check.arg(fns, "fns", "gather", "table")
  for i, fn in ipairs(fns) do
    check.arg(fn, "fns[" .. i .. "]", "gather", "function")
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

local function leave_scope(self, scope, ...)
  for i = #self.scopes, 1, -1 do
    if self.scopes[i] == scope then
      table.remove(self.scopes, i)
    end
  end
  scope.stop()
  return ...
end

local function run_in_scope(self, seconds, fn)
  local scope = {}
  local err
  scope.stop, err = scheduler.after(seconds, function()
    scope.expired = errors.new("TimeoutError",
      ("not finished within %g s"):format(seconds))
    interrupt(self)
  end)
  if not scope.stop then
    return nil, err
  end
  self.scopes[#self.scopes + 1] = scope
  return leave_scope(self, scope, fn())
end

--- Calls a function; once the time is over, what it waits for is cancelled
--- and that call and all later waits in it return nil, TimeoutError. Limits
--- nest: the nearest end counts.
---@param seconds number
---@param fn function
---@return any ...  what the function returned
function task.with_timeout(seconds, fn)
  check.arg(seconds, "seconds", "with_timeout", "number")
  check.arg(fn, "fn", "with_timeout", "function")
  local here = scheduler.current()
  if here then
    return run_in_scope(here, seconds, fn)
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
  local function leave(...)
    here.shielded = here.shielded - 1
    return ...
  end
  return leave(fn())
end

-- ---- host ------------------------------------------------------------------

local hosts = { poll = "wrenn.host.poll" }

--- Chooses what waits for the network: "poll", the default.
---@param name string
function task.use(name)
  local module = hosts[check.arg(name, "host", "use", "string")]
  if not module then
    error(("bad argument 'host' to 'use' (unknown host '%s')"):format(name), 2)
  end
  scheduler.use(require(module))
end

return task
