-- What has come of one operation and waits to be taken, in order, and who
-- waits for more of it.

local errors = require("wrenn.errors")

local Inbox = {}
Inbox.__index = Inbox

-- An inbox that holds more is told to stop reading, and to go on below LOW.
local HIGH, LOW = 256 * 1024, 64 * 1024

local inbox = {}

--- Makes one. `pause(id, on)` holds its operation's reading back.
function inbox.new(id, pause)
  return setmetatable({
    first = 1, last = 0, bytes = 0, id = id or false, pause = pause,
  }, Inbox)
end

local function size_of(event)
  local data = event.data or event[1]
  return type(data) == "string" and #data + 64 or 64
end

--- Puts an event in: a frame's own table, or {kind = ..., ...}.
function Inbox:put(event)
  local last = self.last + 1
  self.last = last
  self[last] = event
  local bytes = self.bytes + size_of(event)
  self.bytes = bytes
  if bytes > HIGH and not self.paused and self.pause and not self.ended then
    self.paused = true
    self.pause(self.id, true)
  end
  local waiters = self.waiters
  local waiter = waiters and table.remove(waiters, 1)
  if waiter then
    waiter:wake()
  end
end

--- Takes the oldest event; nil when there is none.
function Inbox:take()
  local first = self.first
  if first > self.last then
    return nil
  end
  local event = self[first]
  self[first] = nil
  if first == self.last then
    self.first, self.last = 1, 0
  else
    self.first = first + 1
  end
  self.bytes = self.bytes - size_of(event)
  if self.paused and self.bytes < LOW then
    self.paused = false
    self.pause(self.id, false)
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
