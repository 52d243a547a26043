-- What has come of one operation and waits to be taken, in order, and who
-- waits for more of it.

local errors = require("wrenn.errors")

local Inbox = {}
Inbox.__index = Inbox

-- An inbox that holds more is told to stop reading, until it is empty.
local HIGH = 256 * 1024

local inbox = {}

--- Makes one. `pause(id, on)` holds its operation's reading back.
function inbox.new(id, pause)
  return setmetatable({
    first = 1, last = 0, bytes = 0, id = id or false, pause = pause,
  }, Inbox)
end

-- What an event weighs besides its bytes.
local WEIGHT = 64

--- Takes note of events that have been put behind the last one.
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

--- Puts an event in: a frame's own table, or {kind = ..., ...}. `bytes`: what
--- it carries.
function Inbox:put(event, bytes)
  self[self.last + 1] = event
  self:added(1, bytes or 0)
end

--- Takes the oldest event; nil when there is none.
function Inbox:take()
  local first = self.first
  if first > self.last then
    return nil
  end
  local event = self[first]
  self[first] = nil
  if first < self.last then
    self.first = first + 1
    return event
  end
  self.first, self.last, self.bytes = 1, 0, 0
  if self.paused then
    self.paused = false
    if self.id then
      self.pause(self.id, false)
    end
  end
  return event
end

function Inbox:has_event()
  return self.first <= self.last
end

--- Nothing more will be put in: nobody need wait any longer.
function Inbox:finish()
  self.ended = true
  self.paused = false
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

--- Wakes another one for what is still there: one was woken who cannot take it.
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

--- What a wait on an inbox that is empty for good comes to.
function inbox.gone()
  return errors.new("CancelledError", "it was closed while it was waited for")
end

return inbox
