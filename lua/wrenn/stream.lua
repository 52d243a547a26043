--- A command's output as it comes: an iterator of events.

local api = require("wrenn.api")
local check = require("wrenn.check")
local errors = require("wrenn.errors")
local http = require("wrenn.http")
local scheduler = require("wrenn.scheduler")

---@class wrenn.Stream
---@field pid? integer        of the process, from its start event on
---@field exit_code? integer  after an exit event
---@field err? wrenn.Error    after an end without one: why
local Stream = { is_stream = true }
Stream.__index = Stream

-- What the texts of in-band errors mean.
local meanings = {
  { "authentication failed", "AuthenticationError" },
  { "not running", "ConflictError" },
  { "not found", "NotFoundError" },
}

local function in_band_error(text)
  for _, meaning in ipairs(meanings) do
    if text:find(meaning[1], 1, true) then
      return errors.new(meaning[2], text)
    end
  end
  return errors.new("AgentError", text)
end

-- Ends the stream from this side; `err` says why there was no exit event.
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
end

local function fail(self, err)
  self.failure = err
  finish(self, err)
  return nil, err
end

local function take(self, event)
  local kind = event.kind
  if kind == "closed" then
    finish(self, errors.new("ConnectionError",
      "the stream ended without an exit event", { details = { kind = "closed",
        close_code = event[1] } }))
    return nil
  elseif kind == "failed" then
    return fail(self, errors.from_core(event[1], event[2]))
  elseif kind == "expired" then
    return fail(self, event[1])
  end
  local name = event.type
  if name == "start" then
    self.pid = event.pid
  elseif name == "exit" then
    self.exit_code = event.exit_code
    finish(self)
  elseif name == "error" then
    finish(self, in_band_error(event.data))
  end
  return event
end

local function read(self, next_event)
  if self.ended then
    return nil, self.failure
  end
  local event, err = next_event(self.inbox)
  if self.ended then -- another task has read the end, or closed it
    return nil, self.failure
  elseif not event then
    return fail(self, err)
  end
  return take(self, event)
end

--- Waits for the next event: {type="start", pid=}, {type="stdout", data=},
--- {type="stderr", data=}, {type="exit", exit_code=} or {type="error", data=}.
--- Types this version does not know come as they are.
---@return table|nil event  nil at the end: see exit_code and err
---@return wrenn.Error? err  when the stream broke: a malformed frame, a time
---  limit, a cancelled task
function Stream:read()
  check.self(self, "is_stream", "read")
  return read(self, scheduler.next)
end

-- As an iterator the end is nil as well, but a broken stream raises: it must
-- not look like the end.
function Stream:__call()
  local event, err = read(self, scheduler.next_of_iterator)
  if err then
    error(err, 0)
  end
  return event
end

--- Reads to the end.
---@return {stdout: string, stderr: string, exit_code: integer, duration_ms: integer}|nil
---@return wrenn.Error? err  also when no exit event came
function Stream:wait()
  check.self(self, "is_stream", "wait")
  local parts = { stdout = {}, stderr = {} }
  repeat
    local event, err = self:read()
    if err then
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
  return {
    stdout = table.concat(parts.stdout),
    stderr = table.concat(parts.stderr),
    exit_code = self.exit_code,
    duration_ms = math.floor((scheduler.now() - self.begun) * 1000),
  }
end

--- Asks the server to end the stream. The process goes on; see kill.
function Stream:stop()
  check.self(self, "is_stream", "stop")
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

local M = {}

--- Opens the stream of a command (`start`: its argv) or of a running process.
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
  return setmetatable({ op = op, inbox = inbox, begun = begun }, Stream)
end

--- Ends a stream with TimeoutError after some seconds; `on_expiry` is called
--- with it then.
function M.limit(stream, seconds, on_expiry)
  stream.stop_timer = scheduler.after(seconds, function()
    if not stream.ended then
      on_expiry(stream)
      stream.inbox:put({ kind = "expired", errors.new("TimeoutError",
        ("the command did not end within %g s"):format(seconds)) })
    end
  end)
end

M.in_band_error = in_band_error

return M
