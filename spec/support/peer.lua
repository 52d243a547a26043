-- Scripted peers: answers that no server gives on demand. A peer is a separate
-- process; see peer_main.lua for the functions available to its script.

-- Peers always run on Lua 5.4, whichever Lua runs the specs.
local lua = os.getenv("WRENN_PEER_LUA") or "lua5.4"

local children = require("spec.support.children")
local expect = require("spec.support.expect")

local peer = {}
peer.__index = peer

--- The answer of a server about a running capsule.
peer.RUNNING = { 200, '{"id":"cl-1","status":"running"}' }

--- A host name that leads nowhere. No name server is asked: DNS allows a label
--- 63 letters.
peer.NOWHERE = ("n"):rep(64) .. ".invalid"

local function write_file(text)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

--- Starts a peer. `script` is Lua source that runs once for each connection,
--- with `c` (the connection), `n` (its number, from 1) and `log`. It listens at
--- `address`, 127.0.0.1 when absent.
function peer.start(script, address)
  local self = setmetatable({}, peer)
  self.script = write_file("local c, n, log = ...\n" .. script)
  self.log = write_file("")
  local command = ("exec %s spec/support/peer_main.lua %s %s %s")
    :format(lua, self.script, self.log, address or "127.0.0.1")
  local pipe = assert(io.popen(command))
  local port, pid = (pipe:read("*l") or ""):match("^(%d+)%s(%d+)$")
  assert(port, "the peer did not start")
  self.port, self.pid = port, pid
  self.pipe = pipe -- closing it waits for the process: not before its end
  self.url = ("http://%s:%s"):format(not address and "127.0.0.1"
    or address:find(":") and "[" .. address .. "]" or address, port)
  children.add(self)
  return self
end

--- Starts a peer that returns a list of answers in order, whatever is requested
--- on whichever connection: {status, body, headers...}. The last one is
--- repeated.
function peer.answering(...)
  local lines = {}
  for _, answer in ipairs({ ... }) do
    local headers = {}
    for i = 3, #answer do
      headers[#headers + 1] = ("%q"):format(answer[i])
    end
    lines[#lines + 1] = ("{%d, %q, {%s}}"):format(answer[1], answer[2] or "",
      table.concat(headers, ","))
  end
  return peer.start(([[
    answers = answers or { %s }
    while true do
      local req = c:request()
      if not req then return end
      asked = (asked or 0) + 1
      local answer = answers[asked] or answers[#answers]
      c:respond(answer[1], answer[2], answer[3])
    end
  ]]):format(table.concat(lines, ",\n")))
end

--- Starts a peer that serves a running capsule, cl-1. `script` runs for each
--- request `req`; what it does not answer is answered here. `version`, if given,
--- is the server's.
function peer.serving(script, version)
  return peer.start(("local version = %q\n"):format(version or "") .. [[
    while true do
      local req = c:request()
      if not req then return end
      c.answered = false
      do
]] .. script .. [[
      end
      if c.answered then -- by the script
      elseif version ~= "" and req.path == "/health" then
        c:respond(200, '{"status":"ok","version":"' .. version .. '"}')
      else
        c:respond(200, '{"id":"cl-1","status":"running"}')
      end
    end
  ]])
end

--- The same for a capsule whose WebSockets are served by `script`, which has
--- read the first message. `more` is a script for other requests.
function peer.sockets(script, version, more)
  return peer.serving([[
    if req.headers.upgrade then
      c:upgrade(req)
      c:read_frame()
      do
]] .. script .. [[
      end
      return
    end
    ]] .. (more or ""), version)
end

--- The capsule that the peer serves.
function peer:capsule(more)
  return assert(require("wrenn").Capsule.connect("cl-1", self:options(more)))
end

--- Options that point a client, a capsule or a class-level call at the peer.
function peer:options(more)
  local options = { base_url = self.url, api_key = "wrn_test" }
  for name, value in pairs(more or {}) do
    options[name] = value
  end
  return options
end

--- Waits until a script has logged a line and nothing after it.
function peer:await(line)
  expect.soon(function()
    local list = self:received()
    return list[#list] == line
  end)
end

--- The log of the peer: requests (head and body), frames, log() calls.
function peer:received()
  local file = assert(io.open(self.log, "rb"))
  local text = file:read("*a")
  file:close()
  local list, at = {}, 1
  while at <= #text do
    local a, b, c, d = text:byte(at, at + 3)
    local size = d and ((a * 256 + b) * 256 + c) * 256 + d
    if not size or at + 3 + size > #text then
      break -- it is being written
    end
    list[#list + 1] = text:sub(at + 4, at + 3 + size)
    at = at + 4 + size
  end
  return list
end

--- Stops the peer. May be called again.
function peer:stop()
  if not self.pipe then
    return
  end
  children.remove(self)
  os.execute("kill " .. self.pid)
  self.pipe:close()
  self.pipe = nil
  os.remove(self.script)
  os.remove(self.log)
end

return peer
