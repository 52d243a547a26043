-- Input for a running command, on every server: by a terminal, the only thing
-- that takes input. In the capsule a script sets it to raw mode and copies what
-- comes to a FIFO, which is the command's input. What is sent comes in frames,
-- a line with the length and so many bytes, so that there can be an end.
--
-- Servers drop input that nobody reads for 5 s. So each frame is acknowledged
-- when the FIFO has taken it, and what has not been fits into the pipes between
-- the terminal and the FIFO: the terminal is always read.

local api = require("wrenn.wire.api")
local cleanup = require("wrenn.task.cleanup")
local errors = require("wrenn.errors")
local exec = require("wrenn.commands.exec")
local http = require("wrenn.wire.http")
local ids = require("wrenn.ids")
local scheduler = require("wrenn.task.scheduler")
local task = require("wrenn.task")

---@class wrenn.Feed
local Feed = {}
Feed.__index = Feed

local feed = {}

-- "$1" is the FIFO. R: it is there; a full stop: a frame has been taken; x: the
-- input has ended.
local COPY = [[
umask 077
stty raw -echo && mkfifo "$1" || exit 1
printf R
cat | cat | {
  exec 3>"$1"
  while read -r n && [ "$n" != 0 ] && head -c "$n" >&3; do
    printf .
  done
  exec 3>&-
  printf x
  kill 0
}
]]

-- For after the script was killed, which may have waited for a command to open the
-- FIFO: one that comes, or has just come, does not wait for ever.
local RELEASE = [[
exec 3<>"$1"
exec rm -f -- "$1"
]]

-- A pipe holds 64 KiB, and there are two.
local FRAME, WINDOW = 16 * 1024, 96 * 1024
local FRAMES = 24

-- Seconds that the script gets to end by itself.
local GRACE = 1

local function over(self)
  return self.failure or errors.new("ConnectionError",
    self.closed and "the input has been closed"
    or "the command does not read its input any more")
end

-- Takes an event of the terminal.
local function take(self, event)
  if event.type == "output" then
    self.binary = event.binary
    for mark in event.data:gmatch(".") do
      if mark == "R" then
        self.ready = true
      elseif mark == "x" then
        self.ended = true
      elseif mark == "." then
        local list = self.flight
        self.bytes = self.bytes - list[list.first]
        list[list.first] = nil
        list.first = list.first + 1
      end
    end
  elseif event.type == "exit" or event.kind == "closed" then
    self.ended = true
  elseif event.kind == "failed" then
    self.ended, self.failure = true, errors.from_core(event[1], event[2])
  elseif event.type == "error" and event.fatal then
    self.ended, self.failure = true, api.frame_error(event.data)
  end
end

local function await(self)
  local event, err = scheduler.next(self.inbox)
  if event then
    take(self, event)
    return true
  end
  if self.inbox.ended then
    self.ended = true
  end
  return nil, err
end

local function send(self, bytes)
  return http.send(self.op, bytes, self.binary and "binary" or "base64")
end

local function is_full(self)
  local list = self.flight
  return self.bytes >= WINDOW or list.last - list.first + 1 >= FRAMES
end

-- Sends a frame when there is room.
local function put(self, piece)
  while self.inbox:has_event() or is_full(self) and not self.ended do
    local ok, err = await(self)
    if not ok then
      return nil, self.stopped and over(self) or err
    end
  end
  if self.ended or self.stopped then
    return nil, over(self)
  end
  local list = self.flight
  list.last = list.last + 1
  list[list.last] = #piece
  self.bytes = self.bytes + #piece
  return send(self, ("%d\n"):format(#piece) .. piece)
end

-- Calls fn(self, ...) when no other task does.
local function alone(self, fn, ...)
  while self.busy do
    local turn = scheduler.inbox()
    self.turns[#self.turns + 1] = turn
    local ok, err = scheduler.next(turn)
    if not ok then
      return nil, err
    end
  end
  self.busy = true
  local ok, err = fn(self, ...)
  self.busy = false
  local next_turn = table.remove(self.turns, 1)
  if next_turn then
    next_turn:put({ kind = "turn" })
  end
  return ok, err
end

local function write(self, bytes)
  for at = 1, #bytes, FRAME do
    local ok, err = put(self, bytes:sub(at, at + FRAME - 1))
    if not ok then
      return nil, err
    end
  end
  return true
end

--- Sends input. Returns when all but what fits into the pipes has been taken.
function Feed:write(bytes)
  if self.closed or self.ended then
    return nil, over(self)
  end
  return alone(self, write, bytes)
end

local function close(self)
  if self.closed or self.ended then
    return true
  end
  self.closed = true
  return send(self, "0\n")
end

--- The command's input ends after what has been written.
function Feed:close()
  return alone(self, close)
end

local function stop(self)
  close(self)
  task.with_timeout(GRACE, function()
    while not self.ended and await(self) do end
  end)
  local was_open = self.ended
  if not was_open then
    self.op:send(api.PTY_KILL)
    self.ended = true
  end
  scheduler.forget(self.inbox)
  self.op:close()
  if not was_open then
    return exec.script(self.commands, RELEASE, { self.path })
  end
  return true
end

--- Ends it, in the background: the command reads no more. A write that waits
--- fails.
function Feed:stop()
  if not self.stopped then
    self.stopped = true
    self.inbox = scheduler.reroute(self.inbox)
    cleanup.start(self.client, "end the input of a command", stop, self)
  end
end

local function await_begin(self)
  while not self.ready and not self.ended do
    local ok, err = await(self)
    if not ok then
      return nil, err
    end
  end
  if not self.ready then
    return nil, self.failure or errors.new("AgentError",
      "the capsule cannot take the input of a running command")
  end
  return true
end

--- Opens an input. Its `path` is that of the FIFO, which the command opens and
--- removes.
function feed.open(self)
  local path = "/tmp/.wrenn-stdin-" .. ids.random(12)
  local op, inbox = http.open(self.client, {
    path = exec.path(self, "/pty"), codec = "pty",
    first = api.pty_start({ cmd = "/bin/sh",
      args = { "-c", COPY, "sh", path } }),
  })
  if not op then
    return nil, inbox
  end
  local made = setmetatable({
    client = self.client, path = path, op = op, inbox = inbox, bytes = 0,
    commands = self,
    flight = { first = 1, last = 0 }, turns = {},
  }, Feed)
  local ok, err = task.with_timeout(self.client.settings.timeout or 30,
    function()
      return await_begin(made)
    end)
  if not ok then
    made:stop()
    return nil, err
  end
  return made
end

return feed
