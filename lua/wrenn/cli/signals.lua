-- Signals to the wrenn command: what they end is tidied up before it ends.

local errors = require("wrenn.errors")
local exit = require("wrenn.cli.exit")
local nested = require("wrenn.task.nested")
local scheduler = require("wrenn.task.scheduler")
local task = require("wrenn.task")

local signals = {}

local NUMBERS = { HUP = 1, INT = 2, TERM = 15 }

--- Calls fn(name) for each of the signals, in a task of its own. Returns a
--- function that ends this.
function signals.watch(names, fn)
  local watches = {}
  for i, name in ipairs(names) do
    local op, inbox = scheduler.start("signal", name)
    if op then
      watches[i] = { op = op, inbox = inbox }
      task.background(function()
        while scheduler.next(inbox) do
          fn(name)
        end
      end)
    end
  end
  return function()
    for _, watch in pairs(watches) do
      scheduler.forget(watch.inbox)
      watch.op:cancel()
    end
  end
end

---@class wrenn.cli.Guard
---@field on_signal? fun(name: string): boolean?  is told of a signal first;
---  true: it is no reason to end
---@field signal? string  the signal that the command ends by
local Guard = {}
Guard.__index = Guard

--- Ends what waits, and all later waits, inside of signals.guard.
function Guard:cut(name)
  self.signal = name
  task.cut(self.scope, errors.new("CancelledError", "ended by SIG" .. name,
    { where = false }))
end

--- Calls fn(guard), and at its end, however that comes, finish(failed), which
--- signals do not interrupt. A signal meanwhile ends the command with its
--- status.
function signals.guard(fn, finish)
  local guard = setmetatable({ scope = task.scope() }, Guard)
  local stop = signals.watch({ "INT", "TERM", "HUP" }, function(name)
    if not (guard.on_signal and guard.on_signal(name)) then
      guard:cut(name)
    end
  end)
  local ok, result = nested.call(task.within, guard.scope, function()
    return fn(guard)
  end)
  finish(not ok)
  stop()
  if guard.signal then
    exit.raise(128 + NUMBERS[guard.signal])
  elseif not ok then
    error(result, 0)
  end
  return result
end

return signals
