--- Terminals in a capsule: capsule:pty and capsule:pty_connect.

local check = require("wrenn.check")
local errors = require("wrenn.errors")
local http = require("wrenn.http")
local json = require("wrenn.json")
local scheduler = require("wrenn.scheduler")
local streams = require("wrenn.stream")
local task = require("wrenn.task")

---@class wrenn.Pty
---@field pid? integer        from the started event on
---@field tag? string         to connect to it again
---@field exit_code? integer  after an exit event
---@field err? wrenn.Error    after an end without one: why
local Pty = { is_pty = true }
Pty.__index = Pty

-- Servers from this version on speak binary messages.
local BINARY_SINCE = { 0, 2, 2 }
local PROBE_SECONDS = 2
-- Larger writes go as several messages.
local PIECE = 256 * 1024

local function finish(self, err)
  self.ended = true
  self.err = err
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
      "the terminal's connection ended without an exit event",
      { details = { kind = "closed", close_code = event[1] } }))
    return nil
  elseif kind == "failed" then
    return fail(self, errors.from_core(event[1], event[2]))
  end
  local name = event.type
  if name == "output" then
    self.encoding = self.encoding or (event.binary and "binary" or "base64")
  elseif name == "started" then
    self.pid, self.tag = event.pid or self.pid, event.tag or self.tag
  elseif name == "ping" then
    self.op:send('{"type":"pong"}')
  elseif name == "exit" then
    self.exit_code = event.exit_code
    finish(self)
  elseif name == "error" then
    self.err = streams.in_band_error(event.data)
    if event.fatal then
      finish(self, self.err)
    end
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

--- Waits for the next event: {type="started", pid=, tag=},
--- {type="output", data=}, {type="exit", exit_code=},
--- {type="error", data=, fatal=} or {type="ping"}, which has been answered.
---@return table|nil event  nil at the end: see exit_code and err
---@return wrenn.Error? err  when the connection broke
function Pty:read()
  check.self(self, "is_pty", "read")
  return read(self, scheduler.next)
end

function Pty:__call()
  local event, err = read(self, scheduler.next_of_iterator)
  if err then
    error(err, 0)
  end
  return event
end

-- ---- input -----------------------------------------------------------------

-- The encoding of output that waits to be read.
local function encoding_seen(self)
  for i = self.inbox.first, self.inbox.last do
    local event = self.inbox[i]
    if event.type == "output" then
      return event.binary and "binary" or "base64"
    end
  end
end

local function is_binary_version(version)
  local numbers = { tostring(version):match("^v?(%d+)%.(%d+)%.?(%d*)") }
  for i, least in ipairs(BINARY_SINCE) do
    local number = tonumber(numbers[i]) or 0
    if number ~= least then
      return numbers[1] ~= nil and number > least
    end
  end
  return true
end

-- There is no negotiation: before any output the server's version has to tell.
local function encoding_of_server(client)
  if not client.pty_encoding then
    local health = client:health({ timeout = PROBE_SECONDS })
    if not health then
      return "base64"
    end
    client.pty_encoding = is_binary_version(health.version) and "binary"
      or "base64"
  end
  return client.pty_encoding
end

local function send(self, data, ...)
  if self.ended or not self.op then
    return nil, self.failure
      or errors.new("ConnectionError", "the terminal has ended")
  end
  local method = (...) and self.op.send or self.op.send_input
  local ok, code, message = method(self.op, data, (...) == "binary")
  if not ok then
    return nil, errors.from_core(code, message)
  end
  return true
end

--- Types into the terminal.
---@param bytes string
---@return true|nil
---@return wrenn.Error? err
function Pty:write(bytes)
  check.self(self, "is_pty", "write")
  check.arg(bytes, "bytes", "write", "string")
  self.encoding = self.encoding or encoding_seen(self)
    or encoding_of_server(self.client)
  local how = self.encoding == "binary" and "binary" or nil
  for at = 1, #bytes, PIECE do
    local ok, err = send(self, bytes:sub(at, at + PIECE - 1), how)
    if not ok then
      return nil, err
    end
  end
  return true
end

local function check_size(value, name, fname, level)
  check.arg(value, name, fname, "integer", level + 1)
  if value <= 0 then
    error(("bad argument '%s' to '%s' (above 0 expected)"):format(name, fname),
      level + 1)
  end
end

--- Tells the terminal its size.
---@param cols integer
---@param rows integer
---@return true|nil
---@return wrenn.Error? err
function Pty:resize(cols, rows)
  check.self(self, "is_pty", "resize")
  check_size(cols, "cols", "resize", 2)
  check_size(rows, "rows", "resize", 2)
  return send(self, json.encode({ type = "resize", cols = cols, rows = rows }),
    "text")
end

--- Kills the program in the terminal; an exit event follows.
---@return true|nil
---@return wrenn.Error? err
function Pty:kill()
  check.self(self, "is_pty", "kill")
  return send(self, '{"type":"kill"}', "text")
end

--- Lets go of the terminal, after what was written has left. The program goes
--- on: see kill, and pty_connect to come back. Closing again does nothing.
function Pty:close()
  check.self(self, "is_pty", "close")
  local op = self.op
  if not op then
    return
  end
  self.op = nil
  if not self.ended then
    finish(self, errors.new("CancelledError", "the terminal was closed"))
  end
  op:close() -- the core waits for the peer for 1 s at the most
  task.shield(function()
    repeat
      local event = scheduler.next(self.inbox)
    until not event or event.kind == "closed" or event.kind == "failed"
  end)
  scheduler.forget(self.inbox)
end

-- Leaving its scope ends a session that was started there; one that was only
-- connected to goes on.
function Pty:__close()
  if self.owned and not self.ended then
    self:kill()
  end
  self:close()
end

local M = {}

--- Opens a terminal with a first message. `known`: pid, tag, encoding, owned.
function M.open(client, path, first, known)
  local op, inbox =
    http.open(client, { path = path, codec = "pty", first = first })
  if not op then
    return nil, inbox
  end
  known.client, known.op, known.inbox = client, op, inbox
  return setmetatable(known, Pty)
end

return M
