-- What is read piece by piece: streams, terminals, WebSockets, watches, events
-- and downloads. They all keep one contract:
--  - `read` waits for the next piece. At the end it returns nil, and the error
--    when there is one.
--  - As an iterator the object does the same, but raises the error: what broke
--    off must not look like the end.
--  - Several tasks may read one object: each piece goes to one of them, the end
--    to all.
--  - A wait that is interrupted (its task was cancelled, a time limit around it
--    has passed) returns nil and the reason, and leaves the object as it is: it
--    can be read on.
--  - `close` ends it for everybody; closing again does nothing.
--
-- A class of such objects has
--   take(self, event)   what an event comes to: a piece (and a second value); nil
--                       when there is none in it, or the object has ended by it
--   await(self, wait)   gets the next event, or nil, err: wait(self.inbox) unless
--                       the class knows better
--   release(self)       lets go of what the object holds; optional
--   shut(self, err)     ends it by close, as `fail` does unless the class says so
-- and each object `inbox`, where its events come; `op`, the operation they are
-- of, where there is one; `queue` and `at` where `take` leaves pieces in a list.

local check = require("wrenn.check")
local cleanup = require("wrenn.task.cleanup")
local errors = require("wrenn.errors")
local scheduler = require("wrenn.task.scheduler")
local task = require("wrenn.task")

local reader = {}

-- ---- the end ---------------------------------------------------------------

local function drop_op(self)
  if self.op then
    scheduler.forget(self.inbox)
    self.op[self.ending](self.op)
    self.op = nil
  end
end

--- Ends an object for all who read it. `err`, for its `err` field: why, if that
--- was no proper end.
function reader.finish(self, err)
  self.ended = true
  self.err = err
  drop_op(self)
  if self.release then
    self:release()
  end
  if self.inbox then
    self.inbox:finish()
  end
end

--- As finish, by an error that reading returns from then on. `quiet`: an iterator
--- does not raise it.
function reader.fail(self, err, quiet)
  self.failure, self.quiet = err, quiet
  reader.finish(self, err)
end

--- Lets go of an object's operation and gives it another, or only an inbox.
--- Whoever waits goes on there.
function reader.replace(self, op, inbox)
  local old = self.inbox
  drop_op(self)
  self.op, self.inbox = op, inbox
  if old then
    old:finish()
  end
end

--- Has judge(event) look behind an event that ends an object: a task of its own
--- does, so that readers wait as for any event. What it returns, if anything,
--- takes the event's place.
function reader.judge(self, judge, event)
  local inbox = scheduler.inbox()
  reader.replace(self, nil, inbox)
  task.background(function()
    local verdict = judge(event)
    if not self.ended then
      inbox:put(verdict or event)
    end
  end)
end

-- ---- reading ---------------------------------------------------------------

-- An event that holds several pieces leaves them in `queue`, those from `at` on
-- are to be read before the next event is waited for.
local function take_queued(self)
  local piece = self.queue[self.at]
  if piece ~= nil then
    self.queue[self.at] = false
    self.at = self.at + 1
  else
    for i = self.at - 1, 1, -1 do
      self.queue[i] = nil
    end
    self.at = 1
  end
  return piece
end

--- The next piece, where `wait` waits for an inbox (scheduler.next or
--- scheduler.next_of_iterator). Or nil and the error, if any.
function reader.next(self, wait)
  while true do
    local piece = self.queue and take_queued(self)
    if piece then
      return piece
    elseif self.ended then
      return nil, errors.locate(self.failure)
    end
    local inbox = self.inbox
    local event, err = self:await(wait)
    if event and not self.ended then
      local more
      piece, more = self:take(event)
      if piece ~= nil then
        return piece, more
      end
    elseif not event and not self.ended and inbox == self.inbox then
      if not (inbox and inbox.ended) then
        return nil, err
      end
      reader.fail(self, err) -- nothing will come of it any more
    end
  end
end

local next_piece = reader.next

function reader.read(self)
  check.self(self, "is_reader", "read")
  return next_piece(self, scheduler.next)
end

function reader.iterate(self)
  local piece, more = next_piece(self, scheduler.next_of_iterator)
  if piece == nil and more and not (self.quiet and more == self.failure) then
    errors.raise(more)
  end
  return piece, more
end

local function await(self, wait)
  return wait(self.inbox)
end

-- ---- closing ---------------------------------------------------------------

function reader.close(self)
  check.self(self, "is_reader", "close")
  if not self.ended then
    self:shut(errors.new("CancelledError", self.closed))
  end
end

--- Closes the WebSocket of an object and waits until its peer has, so that what
--- was sent has left.
function reader.close_websocket(self)
  local op = self.op
  if not op then
    return
  end
  self.op = nil
  local rest = scheduler.reroute(self.inbox)
  self:shut(errors.new("CancelledError", self.closed))
  op:close() -- the core waits for the peer for 1 s at the most
  cleanup.run(nil, "close", function()
    repeat
      local event = scheduler.next(rest)
    until not event or event.kind == "closed" or event.kind == "failed"
    scheduler.forget(rest)
    return op
  end)
end

local function describe(self)
  local notes = { self.pid and "pid " .. self.pid, (self.exit_code
    and "exit code " .. self.exit_code) or self.ended and "ended" or "open" }
  if not notes[1] then
    notes[1] = table.remove(notes)
  end
  return ("%s (%s)"):format(self.class_name, table.concat(notes, ", "))
end

--- Makes a class: `name` is what its objects are printed as, `flag` the field
--- that tells them, `closed` what close says, `ending` how an operation is
--- ended: "close" or "cancel".
function reader.class(name, flag, closed, ending)
  local class = {
    class_name = name, __tostring = describe,
    [flag] = true, is_reader = true, closed = closed, ending = ending,
    await = await, shut = reader.fail, read = reader.read, close = reader.close,
    __call = reader.iterate, __close = reader.close,
  }
  class.__index = class
  return class
end

return reader
