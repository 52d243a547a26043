-- Who waits: a task, or a coroutine of the host's. Its fiber, which the host
-- makes, does the waiting: `suspend` returns after `wake`, whichever of the two
-- was called first.

local Waiter = {}
Waiter.__index = Waiter

--- Gives `self` what a waiter has.
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

--- Why a wait must end now: the task was cancelled, or a time limit around it
--- has passed. While it tidies up only the limits of that count.
function Waiter:interruption()
  for _, scope in ipairs(self.scopes) do
    if scope.expired and (scope.depth[self] or 0) >= self.shielded then
      return scope.expired
    end
  end
  return self.shielded == 0 and self.cancelled or nil
end

--- Has a wait look at the interruption.
function Waiter:interrupt()
  if self.waiting_for and self:interruption() then
    self:wake()
  end
end

--- Puts a time limit around what follows. `depth` says who is in it, and how
--- far they were shielded when it began for them.
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

--- Has a function called should the waiter be killed.
function Waiter:hold(on_gone)
  self.held = self.held or {}
  self.held[on_gone] = true
end

--- Takes that back.
function Waiter:release(on_gone)
  if self.held then
    self.held[on_gone] = nil
  end
end

--- It was killed.
function Waiter:let_go()
  for on_gone in pairs(self.held or {}) do
    on_gone()
  end
end

return Waiter
