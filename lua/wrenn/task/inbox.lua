-- The events of an operation that have not been taken yet, in order, and the
-- waiters for more.

local errors = require("wrenn.errors")

local Inbox = {}
Inbox.__index = Inbox

-- An inbox above this size pauses its operation until it is empty.
local HIGH = 256 * 1024

local inbox = {}

--- Creates an inbox. `pause(id, on)` pauses or resumes its operation. Its field
--- `plain` is the type of the frames that are in it as their data alone. Those
--- from `first` up to `strings` are known to be such.
function inbox.new(id, pause)
  return setmetatable({
    first = 1, last = 0, emptied = 0, bytes = 0, id = id or false,
    pause = pause, plain = false,
    strings = 0, run_first = 1, run_last = 0,
  }, Inbox)
end

-- The size of an event besides its bytes.
local WEIGHT = 64

--- Registers events that were appended directly.
function Inbox:added(count, bytes)
  self.last = self.last + count
  bytes = self.bytes + bytes + count * WEIGHT
  self.bytes = bytes
  if bytes > HIGH and not self.paused and self.pause and not self.ended then
    self.paused = true
    self.pause(self.id, true)
  end
  local waiters = self.waiters
  for _ = 1, waiters and math.min(count, #waiters) or 0 do
    table.remove(waiters, 1):wake()
  end
end

--- Appends an event: the table of a frame, or {kind = ..., ...}. `bytes` is its
--- size.
function Inbox:put(event, bytes)
  self[self.last + 1] = event
  self:added(1, bytes or 0)
end

--- The event at a position, which stays there.
function Inbox:at(position)
  local event = self[position]
  if type(event) == "string" then
    return { type = self.plain, data = event }
  end
  return event
end

--- Registers a group of frames that were appended directly, of which so many at
--- the beginning are their data alone.
function Inbox:added_group(count, bytes, strings)
  self.run_first, self.run_last = self.last + 1, self.last + strings
  self:added(count, bytes)
end

--- Finds out how many of the next events are frames as their data alone.
function Inbox:look_ahead()
  local at = self.first
  if self.run_first <= at and at <= self.run_last then
    at = self.run_last + 1
  else
    while at <= self.last and type(self[at]) == "string" do
      at = at + 1
    end
  end
  self.strings = at - 1
end

--- Takes the oldest event; nil if there is none.
function Inbox:take()
  local first = self.first
  if first > self.last then
    return nil
  end
  local event = self:at(first)
  self[first] = nil
  if first < self.last then
    self.first = first + 1
    return event
  end
  self.emptied = self.emptied + first
  self.first, self.last, self.bytes = 1, 0, 0
  self.strings, self.run_last = 0, 0
  if self.paused then
    self.paused = false
    if self.id then
      self.pause(self.id, false)
    end
  end
  return event
end

--- How many events have ever been put into it.
function Inbox:count()
  return self.emptied + self.last
end

function Inbox:has_event()
  return self.first <= self.last
end

--- No more events will come: wakes all waiters.
function Inbox:finish()
  self.ended, self.strings = true, 0
  if self.paused then -- not a new field, for which the table may have to grow
    self.paused = false
  end
  local waiters = self.waiters
  self.waiters = nil
  for i = 1, waiters and #waiters or 0 do
    waiters[i]:wake()
  end
end

function Inbox:add_waiter(waiter)
  local waiters = self.waiters
  if not waiters then
    waiters = {}
    self.waiters = waiters
  end
  waiters[#waiters + 1] = waiter
end

--- Wakes another waiter for the remaining events, if the one that was woken
--- cannot take them.
function Inbox:pass_on()
  if self.first <= self.last and self.waiters and self.waiters[1] then
    table.remove(self.waiters, 1):wake()
  end
end

function Inbox:remove_waiter(waiter)
  local waiters = self.waiters
  for i = waiters and #waiters or 0, 1, -1 do
    if waiters[i] == waiter then
      table.remove(waiters, i)
    end
  end
end

--- The error of a wait on an inbox that is empty and finished.
function inbox.gone()
  return errors.new("CancelledError", "it was closed during the wait")
end

return inbox
