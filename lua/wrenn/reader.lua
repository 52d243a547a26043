-- The common part of streams, terminals, WebSockets, watches, events and
-- downloads, which are all read piece by piece:
--  - `read` waits for the next piece. At the end it returns nil; after a failure
--    nil and the error.
--  - As an iterator the object does the same, but raises the error, so that a
--    failure cannot be mistaken for the end.
--  - Several tasks may read one object: each piece goes to one of them, the end
--    to all.
--  - If a wait is interrupted (its task is cancelled, or a time limit has passed)
--    `read` returns nil and the reason. The object remains usable.
--  - `close` ends it for all readers. Closing again does nothing.
--
-- A class of such objects has the methods
--   take(self, event)   converts an event into a piece (and a second value);
--                       returns nil if it contains none or ends the object
--   await(self, wait)   returns the next event, or nil, err; by default
--                       wait(self.inbox)
--   release(self)       frees the object's resources at the end; optional
--   shut(self, err)     ends the object when it is closed; by default `fail`
-- and each object has the fields `inbox`, for its events; `op`, the operation
-- that they come from, if there is one; `queue` and `at`, if `take` adds pieces
-- to a list.

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

--- Ends an object for all readers. `err`, if given, is the reason, for its field
--- of that name.
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

--- Like finish, with an error that `read` returns from then on. `quiet`: an
--- iterator does not raise it.
function reader.fail(self, err, quiet)
  self.failure, self.quiet = err, quiet
  reader.finish(self, err)
end

--- Replaces the operation and the inbox of an object; `op` may be nil. Waiting
--- readers continue to wait for the new inbox.
function reader.replace(self, op, inbox)
  local old = self.inbox
  drop_op(self)
  self.op, self.inbox = op, inbox
  if old then
    old:finish()
  end
end

--- The error for a connection that was closed before the exit event of `what`.
function reader.closed_early(what, code, reason)
  return errors.new("ConnectionError", what .. " ended without an exit event"
    .. (reason ~= "" and ": " .. errors.text(reason) or ""),
    { details = { kind = "closed", close_code = code } })
end

--- Finds out the reason of an event that ends an object: calls judge(event) in a
--- task of its own, while readers wait as for any event. The result, if not nil,
--- replaces the event.
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

-- Returns the next piece in `queue`, at `at`; nil if there is none. An event may
-- contain several pieces.
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

--- Returns the next piece, or nil and the error, if any. `wait` is scheduler.next
--- or scheduler.next_of_iterator.
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
      reader.fail(self, err) -- there will be no more events
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

--- Closes the WebSocket of an object and waits until the peer has closed it, so
--- that all messages have been sent.
function reader.close_websocket(self)
  local op = self.op
  if not op then
    return
  end
  self.op = nil
  local rest = scheduler.reroute(self.inbox)
  self:shut(errors.new("CancelledError", self.closed))
  op:close() -- the core waits for the peer for at most 1 s
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

--- Creates a class. `name` is what its objects are printed as, `flag` the field
--- that identifies them, `closed` the message of the error after close, `ending`
--- the method that ends an operation: "close" or "cancel".
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
