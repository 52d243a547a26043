-- A task, or a coroutine of the host, that can wait. It does so with its fiber:
-- `suspend` returns after `wake`, whichever is called first.

local core = require("wrenn.core")

local Waiter = {}
Waiter.__index = Waiter

--- Initializes the fields of a waiter.
function Waiter.init(self, fiber)
  self.fiber = fiber
  self.scopes = {}
  self.shielded = 0
  return self
end

function Waiter.new(fiber)
  return setmetatable(Waiter.init({}, fiber), Waiter)
end

function Waiter:wake()
  self.fiber:wake()
end

--- Returns the reason to interrupt a wait: the task was cancelled, or an
--- enclosing time limit has passed. Inside task.shield only limits set there
--- count. Of a limit that has passed while nobody drove the loop the timer is
--- not known yet.
function Waiter:interruption()
  for _, scope in ipairs(self.scopes) do
    if (scope.depth[self] or 0) >= self.shielded then
      if scope.due and not scope.expired and core.now() >= scope.due then
        scope:expire()
      end
      if scope.expired then
        return scope.expired
      end
    end
  end
  return self.shielded == 0 and self.cancelled or nil
end

--- Makes a pending wait check for an interruption.
function Waiter:interrupt()
  if self.waiting_for and self:interruption() then
    self:wake()
  end
end

--- Enters the scope of a time limit. `depth` records the waiters inside, and
--- how deeply each was shielded at the time.
function Waiter:enter(scope)
  scope.depth = scope.depth or setmetatable({}, { __mode = "k" })
  scope.depth[self] = self.shielded
  self.scopes[#self.scopes + 1] = scope
end

function Waiter:leave(scope)
  for i = #self.scopes, 1, -1 do
    if self.scopes[i] == scope then
      table.remove(self.scopes, i)
    end
  end
end

--- Registers a function to be called if the waiter is killed.
function Waiter:hold(on_gone)
  self.held = self.held or {}
  self.held[on_gone] = true
end

--- Removes it again.
function Waiter:release(on_gone)
  if self.held then
    self.held[on_gone] = nil
  end
end

--- Called when the waiter was killed.
function Waiter:let_go()
  for on_gone in pairs(self.held or {}) do
    on_gone()
  end
end

return Waiter
