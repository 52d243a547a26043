--- A command's output as it comes: an iterator of events.

local api = require("wrenn.wire.api")
local check = require("wrenn.check")
local errors = require("wrenn.errors")
local http = require("wrenn.wire.http")
local scheduler = require("wrenn.task.scheduler")
local shapes = require("wrenn.wire.shapes")
local task = require("wrenn.task")

---@class wrenn.Stream
---@field pid? integer        of the process, from its start event on
---@field exit_code? integer  after an exit event
---@field err? wrenn.Error    after an end without one: why
---@field offset? string      of a durable command: goes on behind the event
---  that was read last
local Stream = { is_stream = true }
Stream.__index = Stream

-- Seconds from a kill to the end that the server tells of.
local GRACE = 2

-- The exit code of what did not come to its command.
local CANNOT_BEGIN = 126

local M = {}

-- What the texts of in-band errors mean.
local meanings = {
  { "authentication failed", "AuthenticationError" },
  { "not running", "ConflictError" },
  { "not found", "NotFoundError" },
}

local function in_band_error(text)
  text = errors.text(text)
  for _, meaning in ipairs(meanings) do
    if text:find(meaning[1], 1, true) then
      return errors.new(meaning[2], text)
    end
  end
  return errors.new("AgentError", text)
end

-- Ends the stream from this side; `err` says why there was no exit event.
-- Whoever else waits for an event is told.
local function finish(self, err)
  self.ended = true
  self.err = err
  if self.stop_timer then
    self.stop_timer()
  end
  if self.op then
    scheduler.forget(self.inbox)
    self.op:close()
    self.op = nil
  end
  if self.on_finish then
    self:on_finish()
  end
  self.inbox:finish()
end

local function fail(self, err)
  self.failure = err
  finish(self, err)
  return nil, err
end

local function closed(self, code, reason)
  if self.stopping then
    return errors.new("CancelledError", "the stream was stopped")
  end
  return errors.new("ConnectionError", "the stream ended without an exit event"
    .. (reason ~= "" and ": " .. reason or ""),
    { details = { kind = "closed", close_code = code } })
end

-- An end that may have a reason which the server does not tell: nothing came
-- at all, or the command gave up before it began.
local function is_doubtful(self, event)
  return event.kind == "closed" and not self.pid and not self.heard
    or event.type == "exit" and event.exit_code == CANNOT_BEGIN
end

-- Takes the next event. Besides: true when another is to be waited for, in an
-- inbox that may be another.
local function take(self, event)
  local kind = event.kind
  if kind and self.expired then
    return fail(self, self.expired)
  elseif self.judge and not self.stopping and is_doubtful(self, event) then
    M.judge(self, event)
    return nil, nil, true
  elseif kind == "closed" then
    finish(self, closed(self, event[1], event[2]))
    return nil
  elseif kind == "over" then
    finish(self, event[1])
    return nil
  elseif kind == "failed" then
    return fail(self, errors.from_core(event[1], event[2]))
  elseif kind == "broken" then
    return fail(self, event[1])
  end
  local name = event.type
  if name == "start" then
    local ok, why = shapes.check_start(event)
    if not ok then
      return fail(self, errors.new("ProtocolError", why))
    end
    self.pid = event.pid
  elseif name == "exit" and self.expired then
    return fail(self, self.expired) -- it was killed
  elseif name == "exit" then
    self.exit_code = event.exit_code
    finish(self)
  elseif name == "error" then
    finish(self, in_band_error(event.data))
  end
  if event.offset then
    self.offset = event.offset
  end
  return event
end

local PLAIN = { stdout = true, stderr = true }

-- A wait that is interrupted leaves the stream as it is.
local read
function read(self, next_event)
  if self.ended then
    return nil, self.failure
  end
  if self.refill then
    self:refill()
  end
  local inbox = self.inbox
  local event, err = inbox:take()
  if event and PLAIN[event.type] and not event.offset then
    if not self.pid then
      self.heard = true
    end
    return event
  elseif not event then
    event, err = next_event(inbox)
  end
  local again = not event and inbox ~= self.inbox
  if event then
    event, err, again = take(self, event)
  elseif self.ended then -- for another reader
    return nil, self.failure
  end
  if again then
    return read(self, next_event)
  end
  return event, err
end

--- Waits for the next event: {type="start", pid=}, {type="stdout", data=},
--- {type="stderr", data=}, {type="exit", exit_code=} or {type="error", data=}.
--- Types this version does not know come as they are; start may come late, or
--- never. Several tasks may read one stream: each event goes to one of them,
--- and the end to all.
---@return table|nil event  nil at the end: see exit_code and err
---@return wrenn.Error? err  when the stream broke: a malformed frame, a time
---  limit. Or when this task was cancelled: the stream then goes on
function Stream:read()
  check.self(self, "is_stream", "read")
  return read(self, scheduler.next)
end

-- As an iterator the end is nil as well, but a broken stream raises: it must
-- not look like the end.
function Stream:__call()
  local inbox = self.inbox
  local first = inbox.first
  if first < inbox.last and self.pid and not self.refill and not self.ended then
    local ev = inbox[first] -- most are output, with more behind it
    if PLAIN[ev.type] then
      inbox[first], inbox.first = nil, first + 1
      return ev
    end
  end
  local event, err = read(self, scheduler.next_of_iterator)
  if err then
    error(err, 0)
  end
  return event
end

local function result_of(self, parts, exit_code)
  return {
    stdout = table.concat(parts.stdout),
    stderr = table.concat(parts.stderr),
    exit_code = exit_code,
    duration_ms = math.floor((scheduler.now() - self.begun) * 1000),
  }
end

--- Reads to the end.
---@return {stdout: string, stderr: string, exit_code: integer, duration_ms: integer}|nil
---@return wrenn.Error? err  also when no exit event came. The `result` of a
---  TimeoutError holds what was printed until the end, with exit_code -1
function Stream:wait()
  check.self(self, "is_stream", "wait")
  local parts = { stdout = {}, stderr = {} }
  repeat
    local event, err = self:read()
    if err then
      if self.expired and err == self.expired then
        err.result = result_of(self, parts, -1)
      end
      return nil, err
    end
    local list = event and parts[event.type]
    if list then
      list[#list + 1] = event.data
      if self.on_data then
        self.on_data(event)
      end
    end
  until not event
  if not self.exit_code then
    return nil, self.err
  end
  return result_of(self, parts, self.exit_code)
end

--- Asks the server to end the stream, which then ends with CancelledError as
--- its err. The process goes on; see kill.
function Stream:stop()
  check.self(self, "is_stream", "stop")
  self.stopping = true
  if self.op then
    self.op:send('{"type":"stop"}')
  end
end

--- Lets go of the stream. The process goes on. Closing again does nothing.
function Stream:close()
  check.self(self, "is_stream", "close")
  if not self.ended then
    finish(self, errors.new("CancelledError", "the stream was closed"))
  end
end

Stream.__close = Stream.close

--- Has self.judge(event) look behind an event that ends a stream or terminal: a
--- task does, so that readers wait as for any event. What it returns, if
--- anything, takes the event's place: {kind = "broken", err} or, for an end that
--- is none of the reader's faults, {kind = "over", err}.
function M.judge(self, event)
  local judge, old = self.judge, self.inbox
  self.judge = nil
  scheduler.forget(old)
  if self.op then
    self.op:close()
    self.op = nil
  end
  self.inbox = scheduler.inbox()
  task.background(function()
    local verdict = judge(event)
    if not self.ended then
      self.inbox:put(verdict or event)
    end
  end)
  old:finish()
end

--- Makes a stream of an inbox that something else fills, by `fields`:
--- refill(self), called before each wait, and on_finish(self). Besides frames
--- it may put {kind = "broken", err}.
function M.new(fields)
  fields.begun = fields.begun or scheduler.now()
  return setmetatable(fields, Stream)
end

--- Opens the stream of a command (`start`: its words) or of a running process.
function M.open(client, path, start)
  local begun = scheduler.now()
  local op, inbox = http.open(client, {
    path = path,
    codec = "stream",
    first = start and api.start_frame(start),
  })
  if not op then
    return nil, inbox
  end
  return M.new({ op = op, inbox = inbox, begun = begun })
end

--- Limits a stream to some seconds. Then `expire`, if given, ends the command,
--- and what it printed until its end is still delivered; without it the stream
--- ends there. Either way with TimeoutError.
function M.limit(stream, seconds, expire)
  local function cut()
    if not stream.ended then
      stream.inbox:put({ kind = "broken", stream.expired })
    end
  end
  stream.stop_timer = scheduler.after(seconds, function()
    if stream.ended then
      return
    end
    stream.expired = errors.new("TimeoutError",
      ("the command did not end within %g s"):format(seconds))
    if not expire then
      return cut()
    end
    task.background(function()
      expire()
      stream.stop_timer = scheduler.after(GRACE, cut)
    end)
  end)
end

M.in_band_error = in_band_error

return M
