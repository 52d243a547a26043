--- client.events: the stream of events about the team's capsules and templates.
--- Servers from 0.2 on.

local api = require("wrenn.wire.api")
local check = require("wrenn.check")
local errors = require("wrenn.errors")
local http = require("wrenn.wire.http")
local reader = require("wrenn.reader")
local resource = require("wrenn.client.resource")
local scheduler = require("wrenn.task.scheduler")
local sse = require("wrenn.wire.sse")

---@class wrenn.Events
local Events = resource.class("wrenn.Events", "is_events")

local PATH = "/v1/events/stream"
-- Servers send something every 30 s.
local SILENCE = 90
local FIRST_PAUSE, LONGEST_PAUSE = 0.3, 10
local RECONNECT_TIMEOUT = 60

---@class wrenn.Event
---@field event string       "capsule.create", "capsule.state.changed", ...; or
---  "reconnected", which this library adds
---@field outcome? string    "success" or "error"
---@field resource? {id: string, type: string}  what it is about
---@field actor? {type: string, id?: string, name?: string}  who did it: the type
---  is "user", "api_key" or "system"
---@field metadata? table<string, string>  "from" and "to" of a change, "reason"
---@field error? string|wrenn.Error  the reason of a failure; with
---  "reconnected": why the connection was lost
---@field sandbox? wrenn.CapsuleInfo  the capsule's info
---@field timestamp? string  a date, in RFC 3339
---@field attempts? integer  with "reconnected": the number of attempts

---@class wrenn.EventStream
---@overload fun(): wrenn.Event|nil
---@field err? wrenn.Error   after the end: the reason
local Stream =
  reader.class("wrenn.EventStream", "is_event_stream",
  "the stream was closed", "cancel")

local fail = reader.fail

-- ---- connecting ------------------------------------------------------------

local function no_stream(status)
  return errors.new("ProtocolError",
    "GET " .. PATH .. ": the answer is not a stream of events",
    { status_code = status })
end

-- Returns the error if an answer with these headers is not a stream of events.
local function refusal(status, headers)
  if not http.is_success(status) then
    return errors.from_response(status, nil, "", function() end)
  end
  local kind =
    ("\n" .. headers:lower()):match("\ncontent%-type:[ \t]*([^;%s]+)")
  if kind and kind ~= "text/event-stream" then
    return no_stream(status)
  end
end

-- Begins to connect. Returns true, or nil, err.
local function connect(self)
  self.request = { method = "GET", path = PATH, stream = true }
  local op, inbox = http.start(self.client, self.request)
  if not op then
    return nil, inbox
  end
  reader.replace(self, op, inbox)
  self.state, self.decoder = "connecting", sse.decoder()
  self.limit = self.client.settings.timeout
  return true
end

-- Takes the first event of a connection. Returns true, or nil, err.
local function take_answer(self, event)
  local err
  if event.kind == "headers" then
    err = refusal(event.status, event.head)
  else
    local answer
    answer, err = http.answer(event, self.client, self.request)
    err = not answer and err or no_stream(event.status)
  end
  if err then
    return nil, err
  end
  self.state, self.limit = "open", self.silence
  return true
end

-- Whether another attempt may succeed.
local function is_passing(self, err)
  local status = err.status_code
  if self.client.closed then
    return false
  end
  if status then
    return status == 429 or status >= 500
  end
  return err:is("ConnectionError") or err:is("TimeoutError")
end

-- Waits before the next attempt after one has failed with `err`, or gives up.
local function try_later(self, err)
  local pause = self.pause
  if not is_passing(self, err) or scheduler.now() + pause > self.give_up then
    return fail(self, err)
  end
  local op, inbox = scheduler.start("timer", pause)
  if not op then
    return fail(self, inbox)
  end
  reader.replace(self, op, inbox)
  self.state, self.limit = "pausing", nil
  self.pause = math.min(pause * 2, LONGEST_PAUSE)
end

-- The connection was lost because of `why`.
local function lose_connection(self, why)
  self.lost, self.attempts, self.pause = why, 0, FIRST_PAUSE
  self.give_up = scheduler.now() + self.reconnect_timeout
  try_later(self, why)
end

-- Takes an event while the connection is being restored. Returns the event
-- "reconnected" once it has been.
local function take_reconnect(self, event)
  local ok, err
  if self.state == "pausing" then
    self.attempts = self.attempts + 1
    ok, err = connect(self)
  else
    ok, err = take_answer(self, event)
  end
  if not ok then
    try_later(self, err)
  elseif self.state == "open" then
    return { event = "reconnected", attempts = self.attempts,
      error = self.lost }
  end
end

-- ---- reading ---------------------------------------------------------------

-- Decodes a piece of the stream. Returns true, or nil, err.
local function take_chunk(self, bytes)
  local frames, why = self.decoder:feed(bytes)
  if not frames then
    return nil, errors.new("ProtocolError", why)
  end
  for _, data in ipairs(frames) do
    local value
    value, why = api.event(data)
    if not value then
      return nil, errors.new("ProtocolError", ("GET %s: %s"):format(PATH, why))
    elseif value.event ~= nil then -- otherwise it is the server's greeting
      self.queue[#self.queue + 1] = value
    end
  end
  return true
end

local function say_silent(inbox, limit)
  if inbox.first > inbox.last then
    inbox:put({ kind = "failed", "timeout",
      ("nothing received for %g s"):format(limit) })
  end
end

-- A connection on which nothing arrives for too long fails. The time counts from
-- the call, because the loop may not have been stepped before.
function Stream:await(wait)
  local inbox, limit = self.inbox, self.limit
  if not limit or inbox.first <= inbox.last then
    return wait(inbox)
  end
  local stop = scheduler.after(limit, say_silent, inbox, limit)
  local event, err = wait(inbox)
  if stop then
    stop()
  end
  return event, err
end

function Stream:take(event)
  if self.state ~= "open" then
    return take_reconnect(self, event)
  elseif event.kind == "chunk" then
    local ok, err = take_chunk(self, event[1])
    if not ok then
      fail(self, err)
    end
  else
    lose_connection(self, event.kind == "failed"
      and errors.from_core(event[1], event[2])
      or errors.new("ConnectionError", "the server has ended the stream"))
  end
end

--- Waits for the next event. A connection that was lost is restored, which the
--- event {event="reconnected", attempts=, error=} reports: events from before it
--- are lost. Returns nil, err if the stream was closed, if the connection cannot
--- be restored, or if the wait was interrupted; then the stream remains usable.
---@type fun(self: wrenn.EventStream): wrenn.Event?, wrenn.Error?
Stream.read = reader.read

--- Closes the stream; an iteration over it ends. Closing again does nothing.
Stream.close = reader.close

function Stream:shut(err)
  self.queue = {}
  fail(self, err, true)
end

--- Opens the stream of events. The server drops events if the reader is too
--- slow. GET /v1/events/stream.
---@param opts? {reconnect_timeout?: number, silence?: number}
---  reconnect_timeout: seconds within which a lost connection may be restored
---  (60; 0: never). silence: seconds without a byte after which the connection
---  counts as lost (90; servers send something every 30 s)
---@return wrenn.EventStream|nil
---@return wrenn.Error? err  AuthenticationError for a bad key
---@return any ...  nil and the object again, for `for`
function Events:stream(opts)
  check.self(self, "is_events", "stream")
  opts = check.options(opts, "stream",
    { reconnect_timeout = "seconds", silence = "seconds" })
  local stream = setmetatable({
    client = self.client, queue = {}, at = 1,
    reconnect_timeout = opts.reconnect_timeout or RECONNECT_TIMEOUT,
    silence = opts.silence or SILENCE,
  }, Stream)
  local ok, err = connect(stream)
  local event
  if ok then
    event, err = stream:await(scheduler.next)
  end
  if event then
    ok, err = take_answer(stream, event)
  end
  if not ok or not event then
    reader.finish(stream)
    return nil, err
  end
  return stream, nil, nil, stream
end

return Events
