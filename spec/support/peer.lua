-- Scripted peers: answers that no server gives on demand. A peer is a process
-- of its own; see peer_main.lua for what its script may call.

local peer = {}
peer.__index = peer

local function write_file(text)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

--- Starts a peer. `script` is Lua source that runs once for each connection,
--- with `c` (the connection), `n` (its number, from 1) and `log`.
function peer.start(script)
  local self = setmetatable({}, peer)
  self.script = write_file("local c, n, log = ...\n" .. script)
  self.log = write_file("")
  local pipe = assert(io.popen(("exec lua5.4 spec/support/peer_main.lua %s %s")
    :format(self.script, self.log)))
  local port, pid = (pipe:read("l") or ""):match("^(%d+)%s(%d+)$")
  assert(port, "the peer did not start")
  self.port, self.pid = port, pid
  self.pipe = pipe -- closing it waits for the process: not before its end
  self.url = "http://127.0.0.1:" .. port
  return self
end

--- What the peer has logged: requests (head and body), frames, log() calls.
function peer:received()
  local file = assert(io.open(self.log, "rb"))
  local text = file:read("a")
  file:close()
  local list, at = {}, 1
  while at <= #text do
    list[#list + 1], at = string.unpack(">s4", text, at)
  end
  return list
end

function peer:stop()
  os.execute("kill " .. self.pid)
  self.pipe:close()
  os.remove(self.script)
  os.remove(self.log)
end

return peer
