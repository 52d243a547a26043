--- The output of a command as it arrives: an iterator of events.

local api = require("wrenn.wire.api")
local check = require("wrenn.check")
local cleanup = require("wrenn.task.cleanup")
local errors = require("wrenn.errors")
local fate = require("wrenn.client.fate")
local http = require("wrenn.wire.http")
local keepalive = require("wrenn.client.keepalive")
local kill = require("wrenn.commands.kill")
local reader = require("wrenn.reader")
local scheduler = require("wrenn.task.scheduler")
local shapes = require("wrenn.wire.shapes")
local silence = require("wrenn.client.silence")
local task = require("wrenn.task")

---@class wrenn.StreamEvent
---@field type string     "start", "stdout", "stderr", "exit" or "error"
---@field pid integer     of "start"
---@field data string     of "stdout" and "stderr"; of "error", what went wrong
---@field exit_code integer  of "exit"

---@class wrenn.Stream
---@overload fun(): wrenn.StreamEvent|nil
---@field pid? integer        of the process, from its start event on
---@field exit_code? integer  after an exit event
---@field err? wrenn.Error    after an end without an exit event: the reason
---@field offset? string      of a durable command: the position after the last
---  event that was read
local Stream = reader.class("wrenn.Stream", "is_stream",
  "the stream was closed", "close")
Stream.shut = reader.finish

local finish, fail = reader.finish, reader.fail

-- The exit code of a shell that could not run its command.
local CANNOT_BEGIN = 126

local M = {}

function Stream:release()
  if self.stop_timer then
    self.stop_timer()
    self.stop_timer = nil
  end
  if self.client then
    keepalive.let_go(self.client, self.capsule_id, self)
    silence.let_go(self.client, self.capsule_id, self)
  end
  if self.feed then
    self.feed:stop()
  end
  if self.on_finish then
    self:on_finish()
  end
end

local function closed(self, code, reason)
  if self.stopping then
    return errors.new("CancelledError", "the stream was stopped")
  end
  return reader.closed_early("the stream", code, reason)
end

-- Whether the end may have a reason that the server does not report: there was
-- no event at all, or the command could not start.
local function is_doubtful(self, event)
  return event.kind == "closed" and not self.pid and not self.heard
    or event.type == "exit" and event.exit_code == CANNOT_BEGIN
end

-- Looks behind an end: at what only this stream knows to ask, and at what became
-- of the capsule.
local function examine(self, event)
  local judge = is_doubtful(self, event) and self.judge
  if not judge and event.kind ~= "closed" then
    return false
  end
  self.judge = nil
  reader.judge(self, function()
    return judge and judge(event) or event.kind and { kind = "over",
      fate.of(self.client, self.path, closed(self, event[1], event[2])) }
  end, event)
  return true
end

-- The end by an exit event.
local function exit(self, code)
  self.exit_code = code
  if self.check and code ~= 0 then
    return fail(self, errors.new("CommandError",
      ("the command exited with %d"):format(code)))
  end
  finish(self)
end

local PLAIN = { stdout = true, stderr = true }

function Stream:take(event)
  if self.unpack and not event.kind then
    local why
    event, why = self.unpack(event)
    if why then
      return fail(self, why)
    elseif not event or PLAIN[event.type] then
      return event
    end
  end
  if PLAIN[event.type] and not event.offset then
    self.heard = true
    return event
  end
  local kind = event.kind
  if kind and self.expired then
    return fail(self, self.expired)
  elseif self.killing and (kind or event.type == "exit") then
    return reader.judge(self, function()
      return self:await_kill()
    end, event)
  elseif self.client and not self.stopping and examine(self, event) then
    return nil
  elseif kind == "closed" then
    return finish(self, closed(self, event[1], event[2])) -- it was stopped
  elseif kind == "over" then
    return fail(self, event[1], not self.check)
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
    exit(self, event.exit_code)
  elseif name == "error" then
    fail(self, api.frame_error(event.data), not self.check)
  end
  if event.offset then
    self.offset = event.offset
  end
  return event
end

function Stream:await(wait)
  if self.refill then
    self:refill()
  end
  return wait(self.inbox)
end

--- Waits for the next event: {type="start", pid=}, {type="stdout", data=},
--- {type="stderr", data=}, {type="exit", exit_code=} or {type="error", data=}.
--- Events of unknown types are passed on as they are. "start" need not be the
--- first event, and may be missing. Several tasks may read one stream.
--- As an iterator the stream ends quietly when its connection is lost or the
--- server ends it by an error event; see exit_code and err. With `check` it
--- raises then, and at an exit code that is not 0.
---
--- Returns nil at the end; or nil, err if there was no exit event:
--- CapsuleStateError with the `status` of a capsule that was paused or destroyed,
--- ConnectionError, what an error event says, a malformed frame, a time limit.
--- With `check`, CommandError for an exit code that is not 0. Or the wait was
--- interrupted; the stream remains usable.
---@type fun(self: wrenn.Stream): wrenn.StreamEvent?, wrenn.Error?
Stream.read = reader.read

-- The iterator of all readers, with a shortcut for output that follows other
-- output.
function Stream:__call()
  local inbox = self.inbox
  local first = inbox.first
  if first < inbox.strings then -- most events are output, and more follows
    local data = inbox[first]
    inbox[first], inbox.first = nil, first + 1
    return { type = "stdout", data = data }
  elseif self.heard and first < inbox.last and not self.refill
    and not self.ended
  then
    inbox:look_ahead()
  end
  return reader.iterate(self)
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
---@return wrenn.CommandResult|nil
---@return wrenn.Error? err  also if there was no exit event. The `result` of a
---  TimeoutError contains the output up to the end, with exit_code -1, that of the
---  CommandError of a stream with `check` all of it
function Stream:wait()
  check.self(self, "is_stream", "wait")
  local parts = { stdout = {}, stderr = {} }
  repeat
    local event, err = self:read()
    if err then
      if self.expired and err == self.expired then
        err.result = result_of(self, parts, -1)
      elseif err.type == "CommandError" then
        err.result = result_of(self, parts, self.exit_code)
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

local function feed_of(self, fname)
  check.self(self, "is_stream", fname)
  if not self.feed then
    error(("bad argument 'self' to '%s' (the command was started without"
      .. " stdin=true)"):format(fname), 3)
  end
  return self.feed
end

--- Writes input to a command that was started with stdin=true: any bytes. Waits
--- as long as the command does not read; up to 96 KiB are sent ahead, and more
--- is in its pipe. The bytes of one write stay together even if several tasks
--- write.
---@param bytes string
---@return true|nil
---@return wrenn.Error? err  the command has ended, or closed its input
function Stream:write(bytes)
  local feed = feed_of(self, "write")
  check.arg(bytes, "bytes", "write", "string")
  return feed:write(bytes)
end

--- Ends the input of a command that was started with stdin=true. Closing again
--- does nothing.
---@return true|nil
---@return wrenn.Error? err
function Stream:close_stdin()
  return feed_of(self, "close_stdin"):close()
end

--- Asks the server to end the stream; its err is then a CancelledError. The
--- process continues; see kill.
function Stream:stop()
  check.self(self, "is_stream", "stop")
  self.stopping = true
  if self.op then
    self.op:send(api.STOP)
  end
end

--- Closes the stream. The process continues. Closing again does nothing.
Stream.close = reader.close

-- How many seconds an abandoned command gets to report its start.
local PATIENCE = 2

-- If the command has only just been started, its pid may not be known yet.
local function kill_and_close(self)
  task.with_timeout(PATIENCE, function()
    while not self.pid and self:read() do end
  end)
  local ok, err = true, nil
  if self.pid and not self.exit_code then
    ok, err = kill.command(self, { pid = self.pid })
  end
  self:close()
  return ok, err
end

--- Kills a command that nobody reads any more, in the background if the caller
--- was interrupted, and closes the stream.
---@internal
function Stream:abandon()
  return cleanup.run(self.client, "kill a command", kill_and_close, self)
end

--- Creates a stream whose inbox is filled by others. `fields`: refill(self) is
--- called before each wait, on_finish(self) at the end. Besides frames the inbox
--- may contain {kind = "broken", err}, for which reading fails, and {kind =
--- "over", err}, after which err is only in the stream's field.
function M.new(fields)
  fields.begun = fields.begun or scheduler.now()
  -- The iterator reads these each time, and a nil is also looked up in the
  -- class and its parent.
  fields.heard, fields.ended = false, false
  fields.refill, fields.unpack = fields.refill or false, false
  return setmetatable(fields, Stream)
end

--- Opens the stream of a command (`start`: its words) or of a running process.
--- `check_end`: what the option `check` says.
function M.open(commands, path, start, check_end)
  local begun, client = scheduler.now(), commands.client
  local op, inbox = http.open(client, {
    path = path,
    codec = "stream",
    first = start and api.start_frame(start),
  })
  if not op then
    return nil, inbox
  end
  local stream = M.new({
    op = op, inbox = inbox, begun = begun, client = client, path = path,
    capsule_id = commands.capsule_id, check = check_end,
  })
  keepalive.hold(client, commands.capsule_id, stream)
  silence.watch(client, commands.capsule_id, stream)
  return stream
end

-- Whether the end has come, though nobody may have read that far.
local function has_end(inbox)
  if inbox.ended then
    return true
  end
  for i = inbox.first, inbox.last do
    if inbox:at(i).type == "exit" then
      return true
    end
  end
  return false
end

-- Waits until a kill is over: whether it has ended the command. If it has found
-- nothing to kill, the command had ended by itself.
function Stream:await_kill()
  local killing, late = self.killing, self.late
  local killed, err = killing:wait()
  if self.killing == killing then
    self.killing = nil
    if killed or err then
      self.expired = late
    end
  end
  return self.expired and { kind = "broken", self.expired } or nil
end

-- Ends a stream after its limit. `command` is what is being killed, if anything
-- is.
local function cut(stream, command)
  if stream.ended then
    return
  elseif command and command.heard and not command.extended then
    command.extended = true
    stream.stop_timer = scheduler.after(kill.MORE, cut, stream, command)
    return
  end
  stream.expired, stream.killing = stream.late, nil
  stream.inbox:put({ kind = "broken", stream.late })
end

--- Limits a stream to some seconds. Then `expire`, if given, starts to kill the
--- command, and returns what it kills and the task that does. What the command
--- printed until its end is still delivered. Without it the stream ends there.
--- Either way with TimeoutError, unless the command had ended before.
function M.limit(stream, seconds, expire)
  stream.stop_timer = scheduler.after(seconds, function()
    if stream.ended or has_end(stream.inbox) then
      return
    end
    stream.late = errors.new("TimeoutError",
      ("the command did not end within %g s"):format(seconds),
      { where = false })
    if not expire then
      return cut(stream)
    end
    local command
    command, stream.killing = expire()
    stream.stop_timer = scheduler.after(kill.GRACE, cut, stream, command)
  end)
end

return M
