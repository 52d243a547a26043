--- client.events: what happens to the team's capsules and templates, as it
--- happens. Servers from 0.2 on.

local check = require("wrenn.check")
local errors = require("wrenn.errors")
local http = require("wrenn.wire.http")
local json = require("wrenn.wire.json")
local resource = require("wrenn.client.resource")
local scheduler = require("wrenn.task.scheduler")
local shapes = require("wrenn.wire.shapes")
local sse = require("wrenn.wire.sse")

---@class wrenn.Events
local Events = resource.class("is_events")

local PATH = "/v1/events/stream"
-- A server says something every 30 s: one that is silent for longer is gone.
local SILENCE = 90
local FIRST_PAUSE, LONGEST_PAUSE = 0.3, 10
local RECONNECT_TIMEOUT = 60

---@class wrenn.Event
---@field event string       "capsule.create", "capsule.state.changed", ...; or
---  "reconnected", which is this library's own
---@field outcome? string    "success" or "error"
---@field resource? {id: string, type: string}
---@field actor? {type: string, id?: string, name?: string}
---@field metadata? table<string, string>  "from" and "to" of a change, "reason"
---@field error? string|wrenn.Error  why it has failed; with "reconnected": why
---  the connection was lost
---@field sandbox? table     the capsule's info
---@field timestamp? string
---@field attempts? integer  with "reconnected": how many it took

---@class wrenn.EventStream
---@field err? wrenn.Error   after the end: why
local Stream = { is_event_stream = true }
Stream.__index = Stream

local function drop_connection(self)
  if self.op then
    scheduler.forget(self.inbox)
    self.op:cancel()
    self.op, self.inbox = nil, nil
  end
end

local function finish(self, err)
  self.ended = true
  self.err = err
  drop_connection(self)
  return nil, err
end

-- ---- connecting ------------------------------------------------------------

local function say_silent(inbox, limit)
  if inbox.first > inbox.last then
    inbox:put({ kind = "failed", "timeout",
      ("no sign of life for %g s"):format(limit) })
  end
end

-- Waits for the next event of a connection; one that is silent for too long
-- fails. The time counts from here: nobody may have driven the loop before.
local function next_sign(inbox, limit, next_event)
  if inbox.first <= inbox.last then
    return next_event(inbox)
  end
  local stop = scheduler.after(limit, say_silent, inbox, limit)
  local event, err = next_event(inbox)
  if stop then
    stop()
  end
  return event, err
end

local function no_stream(status)
  return errors.new("ProtocolError",
    "GET " .. PATH .. ": the answer is no stream of events",
    { status_code = status })
end

-- Why an answer that begins with these headers will not do, if so.
local function refusal(status, headers)
  if status < 200 or status >= 300 then
    return errors.from_response(status, nil, "", function() end)
  end
  local kind =
    ("\n" .. headers:lower()):match("\ncontent%-type:[ \t]*([^;%s]+)")
  if kind and kind ~= "text/event-stream" then
    return no_stream(status)
  end
end

-- Opens the connection. Returns true; or nil, err and whether the waiting was
-- interrupted.
local function connect(self, next_event)
  local op, inbox = http.start(self.client,
    { method = "GET", path = PATH, stream = true })
  if not op then
    return nil, inbox
  end
  self.op, self.inbox, self.decoder = op, inbox, sse.decoder()
  local event, err =
    next_sign(inbox, self.client.settings.timeout, next_event)
  local interrupted = not event
  if event and event.kind == "headers" then
    err = refusal(event[1], event[2])
    if not err then
      return true
    end
  elseif event then
    local answer
    answer, err = http.answer(event)
    err = not answer and err or no_stream(event[1])
  end
  drop_connection(self)
  return nil, err, interrupted
end

-- Whether asking again may help.
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

local function pause(self, seconds, next_event)
  local op, inbox = scheduler.start("timer", seconds)
  if not op then
    return nil, inbox
  end
  local event, err = next_event(inbox)
  op:cancel()
  if not event then
    return nil, err
  elseif self.ended then
    return nil, self.err
  end
  return true
end

-- After a broken connection: returns an event that tells of it, or nil, err
-- when there is none to be had.
local function reconnect(self, why, next_event)
  local give_up = scheduler.now() + self.reconnect_timeout
  local seconds, attempts, err = FIRST_PAUSE, 0, why
  drop_connection(self)
  while is_passing(self, err) and scheduler.now() + seconds <= give_up do
    local ok, interrupted
    ok, err = pause(self, seconds, next_event)
    if not ok then
      return finish(self, err)
    end
    attempts = attempts + 1
    ok, err, interrupted = connect(self, next_event)
    if ok and not self.ended then
      return { event = "reconnected", attempts = attempts, error = why }
    elseif ok or interrupted or self.ended then
      return finish(self, self.err or err)
    end
    seconds = math.min(seconds * 2, LONGEST_PAUSE)
  end
  return finish(self, err)
end

-- ---- reading ---------------------------------------------------------------

-- Decodes what has come. Returns true; or nil, err.
local function take_chunk(self, bytes)
  local frames, why = self.decoder:feed(bytes)
  if not frames then
    return nil, errors.new("ProtocolError", why)
  end
  for _, data in ipairs(frames) do
    local value
    value, why = json.decode(data)
    if type(value) ~= "table" then
      return nil, errors.new("ProtocolError", "an event is not a JSON object"
        .. (why and " (" .. why .. ")" or ""))
    end
    local ok
    ok, why = shapes.check("event", value, data)
    if not ok then
      return nil, errors.new("ProtocolError",
        ("GET %s: an event is malformed: %s"):format(PATH, why))
    elseif value.event ~= nil then -- else it is only the greeting
      self.queue[#self.queue + 1] = value
    end
  end
  return true
end

local function take_queued(self)
  local event = self.queue[self.at]
  if event then
    self.queue[self.at] = nil
    self.at = self.at + 1
  elseif self.at > 1 then
    self.queue, self.at = {}, 1
  end
  return event
end

local function read(self, next_event)
  while true do
    local queued = take_queued(self)
    if queued then
      return queued
    elseif self.ended then
      return nil, self.err
    end
    local event, err = next_sign(self.inbox, self.silence, next_event)
    if self.ended then
      return nil, self.err
    elseif not event then
      return finish(self, err)
    elseif event.kind == "chunk" then
      local ok
      ok, err = take_chunk(self, event[1])
      if not ok then
        return finish(self, err)
      end
    else
      local why = event.kind == "failed"
        and errors.from_core(event[1], event[2])
        or errors.new("ConnectionError", "the server has ended the stream")
      return reconnect(self, why, next_event)
    end
  end
end

--- Waits for the next event. When the connection breaks, it is made again, and
--- an event {event="reconnected", attempts=, error=} says so: what happened
--- between the two is not told again.
---@return wrenn.Event|nil
---@return wrenn.Error? err  why there is none: the stream was closed, the
---  connection cannot be made again
function Stream:read()
  check.self(self, "is_event_stream", "read")
  return read(self, scheduler.next)
end

-- As an iterator it raises: the events never end by themselves.
function Stream:__call()
  local event, err = read(self, scheduler.next_of_iterator)
  if err and err ~= self.closed then
    error(err, 0)
  end
  return event
end

--- Lets go of the stream; an iteration over it ends. Closing again does
--- nothing.
function Stream:close()
  check.self(self, "is_event_stream", "close")
  if not self.ended then
    self.closed = errors.new("CancelledError", "the stream was closed")
    if self.inbox then
      self.inbox:put({ kind = "closed" }) -- for one who waits
    end
    finish(self, self.closed)
    self.queue, self.at = {}, 1
  end
end

Stream.__close = Stream.close

--- Opens the stream of events. It holds little that has not been read: the
--- server drops events for a reader who is too slow. GET /v1/events/stream.
---@param opts? {reconnect_timeout?: number, silence?: number}  seconds in which
---  a connection that broke may be made again (60; 0: it is not), and after
---  which one that says nothing has broken (90; servers speak every 30 s)
---@return wrenn.EventStream|nil  followed by nil, nil and the stream again, for
---  `for`
---@return wrenn.Error? err  AuthenticationError for a bad key
function Events:stream(opts)
  check.self(self, "is_events", "stream")
  opts = check.options(opts, "stream",
    { reconnect_timeout = "seconds", silence = "seconds" })
  local stream = setmetatable({
    client = self.client, queue = {}, at = 1,
    reconnect_timeout = opts.reconnect_timeout or RECONNECT_TIMEOUT,
    silence = opts.silence or SILENCE,
  }, Stream)
  local ok, err = connect(stream, scheduler.next)
  if not ok then
    return nil, err
  end
  return stream, nil, nil, stream
end

return Events
