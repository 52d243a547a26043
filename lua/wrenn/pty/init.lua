--- Terminals in a capsule: capsule:pty and capsule:pty_connect.

local api = require("wrenn.wire.api")
local check = require("wrenn.check")
local cleanup = require("wrenn.task.cleanup")
local core = require("wrenn.core")
local directory = require("wrenn.commands.directory")
local errors = require("wrenn.errors")
local exec = require("wrenn.commands.exec")
local fate = require("wrenn.client.fate")
local find_user = require("wrenn.commands.user")
local http = require("wrenn.wire.http")
local input = require("wrenn.pty.input")
local keepalive = require("wrenn.client.keepalive")
local literal = require("wrenn.commands.literal")
local reader = require("wrenn.reader")
local scheduler = require("wrenn.task.scheduler")
local shapes = require("wrenn.wire.shapes")
local silence = require("wrenn.client.silence")
local words = require("wrenn.commands.words")

local unpack = table.unpack or unpack

---@class wrenn.PtyEvent
---@field type string     "started", "output", "exit", "error" or "ping"
---@field pid integer     of "started"
---@field tag string      of "started"
---@field data string     of "output", its bytes; of "error", what went wrong
---@field fatal boolean   of "error": whether the server ends the terminal
---@field exit_code integer  of "exit"

---@class wrenn.Pty
---@overload fun(): wrenn.PtyEvent|nil
---@field pid? integer        from the started event on
---@field tag? string         for pty_connect
---@field exit_code? integer  after an exit event
---@field err? wrenn.Error    after an end without an exit event: the reason
local Pty = reader.class("wrenn.Pty", "is_pty", "the terminal was closed",
  "close")
Pty.shut = reader.finish

local finish, fail = reader.finish, reader.fail

-- Seconds that a scope waits for the end of a killed program.
local PATIENCE = 1

function Pty:release()
  input.stop(self)
  keepalive.let_go(self.client, self.commands.capsule_id, self)
  silence.let_go(self.client, self.commands.capsule_id, self)
end

-- Whether the event may be an end that has a reason which the server does not
-- report, or not always in the same way.
local function is_doubtful(event)
  return event.kind == "closed" or event.type == "error" and event.fatal
end

local function path_of(commands)
  return exec.path(commands, "/pty")
end

-- Looks behind an end: at why it never started, and at what became of the
-- capsule.
local function examine(self, event, judge)
  reader.judge(self, function()
    return judge and judge(event) or event.kind and { kind = "over",
      fate.of(self.client, path_of(self.commands), reader.closed_early(
        "the terminal's connection", event[1], event[2])) }
  end, event)
end

function Pty:take(event)
  self.taken = self.taken + 1
  local kind, judge = event.kind, self.judge
  self.judge = nil
  if kind == "closed" or judge and is_doubtful(event) then
    return examine(self, event, judge)
  elseif kind == "failed" then
    return fail(self, errors.from_core(event[1], event[2]))
  elseif kind == "broken" then
    return fail(self, event[1])
  elseif kind == "over" then
    return fail(self, event[1], not self.check)
  end
  local name = event.type
  if name == "output" then
    if (self.deaf or self.nudges > 0) and input.hear(self, event) then
      return nil
    end
    if self.guessed or not self.encoding then
      self.encoding, self.guessed = event.binary and "binary" or "base64", nil
    end
  elseif name == "started" then
    local ok, why = shapes.check_start(
      { type = name, pid = event.pid or self.pid })
    if not ok then
      return fail(self, errors.new("ProtocolError", why))
    end
    self.pid, self.tag = event.pid or self.pid, event.tag or self.tag
  elseif name == "ping" then
    self.pings = self.pings + 1
    self.op:send(api.PTY_PONG)
  elseif name == "exit" then
    self.exit_code = event.exit_code
    if self.check and event.exit_code ~= 0 then
      fail(self, errors.new("CommandError",
        ("the terminal's program exited with %d"):format(event.exit_code)))
    else
      finish(self)
    end
  elseif name == "error" then
    self.err = api.frame_error(event.data)
    if event.fatal then
      fail(self, self.err, not self.check)
    end
  end
  return event
end

--- Waits for the next event: {type="started", pid=, tag=},
--- {type="output", data=}, {type="exit", exit_code=},
--- {type="error", data=, fatal=} or {type="ping"}, which has been answered.
--- Events of unknown types are passed on as they are. Several tasks may read one
--- terminal.
--- As an iterator the terminal ends quietly when its connection is lost or the
--- server ends it by an error event; see exit_code and err. With `check` it
--- raises then, and at an exit code that is not 0.
---
--- Returns nil at the end; or nil, err if there was no exit event, as for a
--- stream, or if the terminal has not started. With `check`, CommandError for an
--- exit code that is not 0. Or the wait was interrupted; the terminal remains
--- usable.
---@type fun(self: wrenn.Pty): wrenn.PtyEvent?, wrenn.Error?
Pty.read = reader.read

-- ---- input -----------------------------------------------------------------

--- Writes input to the terminal, in the encoding in which the server sends
--- output, or before that in the one of its version (GET /health, once). Returns
--- when at most 64 KiB remain to be sent; they are sent in the background, and
--- before a resize, kill or close. The bytes of one write stay together even if
--- several tasks write.
---
--- Long input is sent slowly, because servers drop what their queue cannot hold.
--- If the program prints while it reads, another task has to read its output.
--- Servers also drop input that a program does not read for 5 s, and input may
--- be lost with the connection. This library cannot detect either: true does not
--- mean that the program has read the input.
---@param bytes string
---@return true|nil
---@return wrenn.Error? err
function Pty:write(bytes)
  check.self(self, "is_pty", "write")
  check.arg(bytes, "bytes", "write", "string")
  return input.write(self, bytes)
end

--- Changes the size of the terminal.
---@param cols integer
---@param rows integer
---@return true|nil
---@return wrenn.Error? err
function Pty:resize(cols, rows)
  check.self(self, "is_pty", "resize")
  check.word(cols, "cols", "resize")
  check.word(rows, "rows", "resize")
  return input.control(self, "resize", api.pty_resize(cols, rows))
end

--- Kills the program in the terminal; an exit event follows.
---@return true|nil
---@return wrenn.Error? err
function Pty:kill()
  check.self(self, "is_pty", "kill")
  if self.op and input.is_deaf(self) then
    return exec.signal(self.commands, self.pid) -- frames do not reach it
  end
  return input.control(self, "kill", api.PTY_KILL)
end

--- Closes the terminal after all input has been sent. The program continues:
--- see kill and pty_connect. Closing again does nothing.
function Pty:close()
  check.self(self, "is_pty", "close")
  if self.op then
    input.flush(self)
  end
  reader.close_websocket(self)
end

-- Old servers may drop a kill that follows much input, and a kill is lost if the
-- connection ends before the program has started. In these cases this waits for
-- the end, and sends a signal by a request if there is none.
local function kill_for_sure(self)
  local doubtful = input.is_recent(self) or not self.pid
  local deadline = scheduler.now() + PATIENCE
  self:kill()
  while doubtful and not self.ended and scheduler.now() < deadline do
    local event = self.inbox:take()
    if event then
      self:take(event)
    elseif not scheduler.sleep(0.01) then
      break
    end
  end
  if doubtful and not self.ended and self.pid then
    exec.signal(self.commands, self.pid)
  end
end

local function end_for_sure(self)
  kill_for_sure(self)
  self:close()
  return true
end

-- Leaving the scope ends a program that this process has started in it. A
-- terminal from pty_connect is only closed.
function Pty:__close()
  if self.owned == core.pid() and not self.ended then
    cleanup.run(self.client, "kill the terminal", end_for_sure, self)
  else
    self:close()
  end
end

local M = {}

--- Returns the message that starts a terminal, or nil, err. Early servers ignore
--- its `user`, so the program changes the user itself where necessary.
local function first_message(commands, opts)
  local first = api.pty_start(opts)
  local list = { first.cmd, unpack(first.args or {}) }
  if opts.user then
    local user, err = find_user(commands, opts.user)
    if not user then
      return nil, err
    elseif not user.is_default then
      list = words.as_user(words.of(first.cmd, first.args or {}), user, opts)
    end
  end
  if first.cwd and not check.is_utf8(first.cwd) then
    list, first.cwd = words.in_directory(list, first.cwd), nil
  end
  list, first.envs = literal.wrap(list, first.envs)
  first.cmd, first.args = list[1], list[2] and { unpack(list, 2) } or nil
  return first
end

local function open(client, path, first, known)
  local op, inbox =
    http.open(client, { path = path, codec = "pty", first = first })
  if not op then
    return nil, inbox
  end
  known.client, known.op, known.inbox, known.taken = client, op, inbox, 0
  known.pings = 0
  input.init(known)
  keepalive.hold(client, known.commands.capsule_id, known)
  silence.watch(client, known.commands.capsule_id, known)
  return setmetatable(known, Pty)
end

-- An event that replaces the server's: `kind` as for a stream.
local function verdict(kind, err)
  return { kind = kind, err }
end

--- Starts a terminal; the options have been checked.
function M.start(commands, opts)
  local first, err = first_message(commands, opts)
  if not first then
    return nil, err
  end
  return open(commands.client, path_of(commands), first, {
    commands = commands, owned = core.pid(), encoding = opts.encoding,
    check = opts.check,
    -- The terminal has not started.
    judge = function(event)
      local fault = opts.cwd and directory.look(commands, opts.cwd)
      if fault then
        return verdict("broken", fault)
      elseif event.kind then
        return verdict("over", errors.new("ConnectionError",
          "the connection ended before the terminal had started",
          { details = { kind = "closed", close_code = event[1] } }))
      end
    end,
  })
end

--- Connects to a terminal. For an unknown tag old servers send nothing, newer
--- ones end the connection: so the tag is looked up before, and after an end.
function M.connect(commands, tag, opts)
  local process, err = exec.find(commands, tag)
  if not process then
    return nil, err
  end
  return open(commands.client, path_of(commands), api.pty_connect(tag), {
    commands = commands, owned = false, tag = tag, pid = process.pid,
    deaf = true, check = opts.check,
    judge = function(event)
      local _, why = exec.find(commands, tag)
      return event.kind and why and exec.is_unknown(why)
        and verdict("broken", why)
    end,
  })
end

return M
