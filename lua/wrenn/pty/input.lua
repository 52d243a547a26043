-- The input of a terminal. `self` is a wrenn.Pty.
--
-- A server puts each message into a queue of 64 and silently drops what arrives
-- while the queue is full. One worker empties the queue: it joins the messages
-- that it finds and writes them to the program, for at most 5 s. There is no
-- acknowledgement (a pong would only mean that a message was received), so the
-- number of messages has to be kept low:
-- - messages are large, up to 64 KiB: 1 MiB takes 16;
-- - 16 may be sent at once, and 8 more in each second: at most 56 in the 5 s
--   after which the worker looks into its queue again;
-- - output shows that the program, and so the worker, is alive: then 16 may be
--   sent again, which keeps programs that answer at full speed;
-- - pending input is joined, so that a thousand small writes are few messages.
-- If a program does not read for 5 s, such a server loses input in any case:
-- its worker gives up.

local errors = require("wrenn.errors")
local exec = require("wrenn.commands.exec")
local http = require("wrenn.wire.http")
local scheduler = require("wrenn.task.scheduler")
local server = require("wrenn.server")

local input = {}

local PIECE = 64 * 1024
local BURST = 16
local PER_SECOND = 8
local UNSENT_MAX = 256 * 1024
local POLL = 0.01

-- The worker of a 0.1 server may lose a message of another type that it finds
-- among input. As it may be busy with a write for 5 s, such messages are
-- repeated until then; repeating them is harmless.
local RECENT = 5.5
local REPEATS = { 0.25, 1, 5.5 }

-- ---- encoding --------------------------------------------------------------

-- The encoding of output that has not been read yet.
local function encoding_seen(self)
  for i = self.inbox.first, self.inbox.last do
    local event = self.inbox:at(i)
    if event.type == "output" then
      return event.binary and "binary" or "base64"
    end
  end
end

-- There is no negotiation: before any output, the server's version decides.
local function encoding_of_server(client)
  local traits = server.traits(client)
  if not traits or not traits.generation then
    return "base64", true
  end
  return traits.binary_terminals and "binary" or "base64"
end

-- ---- pace ------------------------------------------------------------------

--- Initializes the fields of a terminal.
function input.init(self)
  -- The pending input; `at` is the position in its first piece.
  self.held = { first = 1, last = 0, at = 1, bytes = 0 }
  self.tokens, self.counted_at = BURST, scheduler.now()
  self.outputs, self.sent_at = 0, -math.huge
  self.timers = {}
  self.nudges = 0
end

--- Cancels pending repetitions.
function input.stop(self)
  for _, stop in pairs(self.timers) do
    stop()
  end
  self.timers = {}
end

local function ended_error(self)
  return self.failure
    or errors.new("ConnectionError", "the terminal has ended")
end

local function count_tokens(self)
  local now = scheduler.now()
  local outputs = self.taken + self.inbox.last - self.inbox.first + 1
  if outputs > self.outputs then
    self.tokens = BURST
  else
    self.tokens = math.min(BURST,
      self.tokens + (now - self.counted_at) * PER_SECOND)
  end
  self.outputs, self.counted_at = outputs, now
end

local function send_piece(self, piece)
  local ok, err = http.send(self.op, piece, self.encoding)
  if not ok then
    return nil, err
  end
  self.tokens = self.tokens - 1
  self.sent_at = self.counted_at
  return true
end

-- Takes what is left of the only pending piece. The next one has its place: the
-- table need not grow.
local function take_last(held)
  local last = held[held.last]:sub(held.at)
  held[held.last] = nil
  held.first, held.last, held.at, held.bytes = 1, 0, 1, 0
  return last
end

-- Takes the oldest pending input, up to one message.
local function take_piece(self)
  local held, parts, room = self.held, {}, PIECE
  if held.first == held.last and held.bytes <= room then
    return take_last(held)
  end
  while room > 0 and held.first <= held.last do
    local whole = held[held.first]
    local part = whole:sub(held.at, held.at + room - 1)
    parts[#parts + 1] = part
    room = room - #part
    held.at = held.at + #part
    if held.at > #whole then
      held[held.first] = nil
      held.first, held.at = held.first + 1, 1
    end
  end
  held.bytes = held.bytes - (PIECE - room)
  return table.concat(parts)
end

local function hold(self, bytes)
  local held = self.held
  held.last = held.last + 1
  held[held.last] = bytes
  held.bytes = held.bytes + #bytes
end

-- Sends as much as is allowed now.
local function pump(self, all)
  count_tokens(self)
  while self.op and self.held.bytes > 0 and (all or self.tokens >= 1
    and self.op:unsent() <= UNSENT_MAX)
  do
    local ok, err = send_piece(self, take_piece(self))
    if not ok then
      return nil, err
    end
  end
  return true
end

local pump_again

-- Schedules the sending of the rest when nobody waits for it.
local function pump_later(self)
  if self.held.bytes > 0 and not self.timers.pump then
    self.timers.pump = scheduler.after(1 / PER_SECOND, pump_again, self)
  end
end

function pump_again(self)
  self.timers.pump = nil
  pump(self)
  pump_later(self)
end

-- ---- waking ----------------------------------------------------------------

-- A server ignores the input of a terminal that was connected to until it
-- prints something. Another process can make the terminal print something
-- invisible (a nudge).

-- "$1" is the pid of the program in it.
local NUDGE = [[
for n in 0 1 2; do
  f=/proc/$1/fd/$n
  [ -c $f ] && (exec 3>$f; [ -t 3 ] && printf '\0' >&3) 2>/dev/null && exit
done
exit 3
]]
local WAKE_LIMIT, NUDGE_AGAIN, NUDGE_SHOWS = 10, 0.5, 5

--- Whether the server still ignores the input.
function input.is_deaf(self)
  return self.deaf and not encoding_seen(self)
end

--- Records output, and removes from it what nudges have printed. Returns true
--- if nothing else was in it.
function input.hear(self, event)
  self.deaf = nil
  if self.nudges > 0 and scheduler.now() > self.nudged_at + NUDGE_SHOWS then
    self.nudges = 0
  end
  local found = false
  while self.nudges > 0 do
    local at = event.data:find("\0", 1, true)
    if not at then
      break
    end
    event.data = event.data:sub(1, at - 1) .. event.data:sub(at + 1)
    self.nudges, found = self.nudges - 1, true
  end
  return found and event.data == ""
end

-- Waits until it has printed, or until the next nudge is due.
local function listen(self)
  local deadline = scheduler.now() + NUDGE_AGAIN
  while input.is_deaf(self) and not self.ended and scheduler.now() < deadline do
    local ok, err = scheduler.sleep(POLL)
    if not ok then
      return nil, err
    end
  end
  return true
end

local function wake(self)
  local deadline = self.deaf and scheduler.now() + WAKE_LIMIT
  while input.is_deaf(self) do
    if self.ended or not self.op then
      return nil, ended_error(self)
    elseif scheduler.now() > deadline then
      return nil, errors.new("TimeoutError",
        "the terminal takes no input: it prints nothing")
    end
    local ok, err = true, nil
    if not self.nudging then
      self.nudging, self.nudges = true, self.nudges + 1
      self.nudged_at = scheduler.now() + 10 -- the maximum time of the call
      ok, err = exec.script_about(self.commands, { self.pid }, NUDGE,
        { ("%d"):format(self.pid) })
      self.nudging, self.nudged_at = nil, scheduler.now()
    end
    if ok then
      ok, err = listen(self)
    end
    if not ok then
      return nil, err
    end
  end
  return true
end

-- ---- input -----------------------------------------------------------------

--- Sends input. Returns when at most one message is pending.
function input.write(self, bytes)
  local awake, why = wake(self)
  if not awake then
    return nil, why
  end
  self.encoding = self.encoding or encoding_seen(self)
  if not self.encoding then
    self.encoding, self.guessed = encoding_of_server(self.client)
  end
  if self.ended or not self.op then
    return nil, ended_error(self)
  elseif bytes == "" then
    return true
  end
  hold(self, bytes)
  local ok, err = pump(self)
  while ok and self.held.bytes > PIECE do
    ok, err = scheduler.sleep(POLL)
    if self.ended or not self.op then
      return nil, ended_error(self)
    end
    if ok then
      ok, err = pump(self)
    end
  end
  pump_later(self)
  return ok, err
end

--- Sends all pending input: at most a few messages.
function input.flush(self)
  return pump(self, true)
end

-- ---- other messages --------------------------------------------------------

--- Whether a server may still be busy with recent input.
function input.is_recent(self)
  return scheduler.now() - self.sent_at < RECENT
end

local function repeat_later(self, name, text, round)
  if self.timers[name] then
    self.timers[name]() -- replaced by the newer one
    self.timers[name] = nil
  end
  if not REPEATS[round] then
    return
  end
  local wait = REPEATS[round] - (REPEATS[round - 1] or 0)
  self.timers[name] = scheduler.after(wait, function()
    self.timers[name] = nil
    if self.op then
      self.op:send(text)
      repeat_later(self, name, text, round + 1)
    end
  end)
end

--- Sends a message of another type, after all input.
function input.control(self, name, text)
  if self.ended or not self.op then
    return nil, ended_error(self)
  end
  local ok, err = wake(self)
  if ok then
    ok, err = input.flush(self)
  end
  if not ok then
    return nil, err
  end
  ok, err = http.send(self.op, text, "text")
  if not ok then
    return nil, err
  end
  repeat_later(self, name, text, input.is_recent(self) and 1 or math.huge)
  return true
end

return input
