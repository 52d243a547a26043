-- Programs in a terminal of this machine, as a person sees them.

local core = require("wrenn.core")
local scheduler = require("wrenn.task.scheduler")
local system = require("spec.c.system")

local screen = {}
screen.__index = screen

local LIMIT = 60 -- seconds, for each text

--- For programs that are to die by SIGSEGV: AddressSanitizer would handle it.
screen.FATAL = 'ASAN_OPTIONS="$ASAN_OPTIONS:handle_segv=0"'

--- Starts a line of shell in a terminal.
function screen.start(line, columns, rows)
  local pid, fd = system.terminal(line, columns or 80, rows or 24)
  return setmetatable({ pid = pid, fd = fd, rest = "" }, screen)
end

function screen:write(bytes)
  assert(core.write(self.fd, bytes) == #bytes + 1)
end

--- Reads until a text comes. Returns all that came before it.
function screen:read_until(text)
  local deadline = core.now() + LIMIT
  while not self.rest:find(text, 1, true) do
    local op, inbox = scheduler.start("ready", self.fd, "r")
    local stop = scheduler.after(math.max(deadline - core.now(), 0),
      function()
        inbox:put({ kind = "late" })
      end)
    local kind = scheduler.next(inbox).kind
    stop()
    op:cancel()
    assert(kind == "ready", "no '" .. text .. "' came, but:\n" .. self.rest)
    local bytes = core.read(self.fd)
    assert(bytes ~= "", "it ended before '" .. text .. "' came, with:\n"
      .. self.rest)
    self.rest = self.rest .. bytes
  end
  local at, stop = self.rest:find(text, 1, true)
  local before = self.rest:sub(1, at - 1)
  self.rest = self.rest:sub(stop + 1)
  return before
end

function screen:resize(columns, rows)
  system.resize(self.fd, columns, rows)
end

--- What tells one state of the terminal from another.
function screen:modes()
  return system.modes(self.fd)
end

--- Ends what runs in it.
function screen:close()
  if self.fd then
    system.kill(self.pid, 9)
    system.close(self.fd)
    self.fd = nil
    while not system.ended(self.pid) do
      scheduler.sleep(0.01)
    end
  end
end

return screen
