-- What goes to a terminal. `self` is a wrenn.Pty.
--
-- A server puts each message into a queue of 64 and drops, without a word,
-- what comes while it is full. One worker empties the queue: it joins what it
-- finds, and writes that to the program, for 5 s at the most. There is no
-- acknowledgement of it: a pong would only say that a message was read off the
-- network. So it is the number of messages that has to be kept low:
--  - they are large, 64 KiB; 1 MiB makes 16;
--  - 16 may go at once, and 8 more in each second: at most 56 in the 5 s after
--    which a worker looks into its queue again;
--  - output shows that the program and so the worker is alive: 16 may go again.
--    That keeps an echo, or a program that answers, at full speed;
--  - what may not go yet is joined, so a thousand small writes are few
--    messages.
-- A program that does not read for 5 s loses input on such servers, whatever
-- is done here: the worker gives up.

local errors = require("wrenn.errors")
local exec = require("wrenn.commands.exec")
local scheduler = require("wrenn.task.scheduler")
local server = require("wrenn.server")

local input = {}

local PIECE = 64 * 1024
local BURST = 16
local PER_SECOND = 8
local UNSENT_MAX = 256 * 1024
local POLL = 0.01

-- The worker of 0.1 servers may swallow a message of another kind that it finds
-- among input. As it may stick to a write for 5 s, such messages are said again
-- until then; saying one twice changes nothing.
local RECENT = 5.5
local REPEATS = { 0.25, 1, 5.5 }

-- ---- encoding --------------------------------------------------------------

-- The encoding of output that waits to be read.
local function encoding_seen(self)
  for i = self.inbox.first, self.inbox.last do
    local event = self.inbox[i]
    if event.type == "output" then
      return event.binary and "binary" or "base64"
    end
  end
end

-- There is no negotiation: before any output the server's version has to tell.
local function encoding_of_server(client)
  local traits = server.traits(client)
  if not traits or not traits.generation then
    return "base64", true
  end
  return traits.binary_terminals and "binary" or "base64"
end

-- ---- pace ------------------------------------------------------------------

--- Sets a terminal's fields up.
function input.init(self)
  -- What waits to be sent; `at`: from that byte of the first on.
  self.held = { first = 1, last = 0, at = 1, bytes = 0 }
  self.tokens, self.counted_at = BURST, scheduler.now()
  self.outputs, self.sent_at = 0, -math.huge
  self.timers = {}
  self.nudges = 0
end

--- Stops what would still be said.
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
  local ok, code, message
  if self.encoding == "binary" then
    ok, code, message = self.op:send(piece, true)
  else
    ok, code, message = self.op:send_input(piece)
  end
  if not ok then
    return nil, errors.from_core(code, message)
  end
  self.tokens = self.tokens - 1
  self.sent_at = scheduler.now()
  return true
end

-- Takes the oldest of what is held: one message's worth.
local function take_piece(self)
  local held, parts, room = self.held, {}, PIECE
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

-- Sends what may go now.
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

-- Sees to it that the rest is sent when nobody waits for that.
local function pump_later(self)
  if self.held.bytes == 0 or self.timers.pump then
    return
  end
  self.timers.pump = scheduler.after(1 / PER_SECOND, function()
    self.timers.pump = nil
    pump(self)
    pump_later(self)
  end)
end

-- ---- waking ----------------------------------------------------------------

-- A server drops what goes to a terminal that was connected to and has printed
-- nothing since: it does not listen before the first output. Somebody else can
-- make the terminal print, something that no terminal shows.

-- "$1" the pid of the program in it.
local NUDGE = [[
for n in 0 1 2; do
  f=/proc/$1/fd/$n
  [ -c $f ] && (exec 3>$f; [ -t 3 ] && printf '\0' >&3) 2>/dev/null && exit
done
exit 3
]]
local WAKE_LIMIT, NUDGE_AGAIN, NUDGE_SHOWS = 10, 0.5, 5

--- Whether the server does not listen to the terminal yet.
function input.is_deaf(self)
  return self.deaf and not encoding_seen(self)
end

--- Takes note of output, and takes out of it what nudges have put there. Returns
--- true when nothing else was in it.
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

-- Waits until it has printed, or is time for another nudge.
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
  local deadline = scheduler.now() + WAKE_LIMIT
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
      self.nudged_at = scheduler.now() + 10 -- as long as the call may take
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

--- Types bytes. Returns once at most a piece of them is still held.
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

--- Sends all that is held: at most a few messages.
function input.flush(self)
  return pump(self, true)
end

-- ---- other messages --------------------------------------------------------

--- Whether input has been sent so lately that a server may be busy with it.
function input.is_recent(self)
  return scheduler.now() - self.sent_at < RECENT
end

local function repeat_later(self, name, text, round)
  if self.timers[name] then
    self.timers[name]() -- the newer one counts
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

--- Sends a message that is no input, behind all input.
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
  local code, message
  ok, code, message = self.op:send(text)
  if not ok then
    return nil, errors.from_core(code, message)
  end
  repeat_later(self, name, text, input.is_recent(self) and 1 or math.huge)
  return true
end

return input
