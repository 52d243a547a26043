-- The process behind spec/support/peer.lua: a TCP server whose connections
-- are served by a script, byte for byte.
--   lua5.4 peer_main.lua SCRIPT-FILE LOG-FILE ADDRESS
-- prints "PORT PID" and serves until it is killed or its parent is gone. The
-- script runs once for each connection, with the connection and its number.

local uv = require("luv")
local sha1 = require("spec.support.sha1")

local script = assert(loadfile(arg[1]))
local log_file = assert(io.open(arg[2], "ab"))
local GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

local function log(text)
  log_file:write(string.pack(">s4", text))
  log_file:flush()
end

-- Not the library's own: that may have been built for another Lua.
local function base64(bytes)
  local alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  local out = {}
  for at = 1, #bytes, 3 do
    local a, b, c = bytes:byte(at, at + 2)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    for i = 0, 3 do
      local index = bits >> (18 - 6 * i) & 63
      out[#out + 1] = at + i > #bytes + 1 and "="
        or alphabet:sub(index + 1, index + 1)
    end
  end
  return table.concat(out)
end

local Conn = {}
Conn.__index = Conn

local function wake(self)
  local waiting = self.waiting
  self.waiting = nil
  if waiting then
    assert(coroutine.resume(waiting))
  end
end

-- Waits until `ready()` or the end of the input; nil at the end.
local function wait_for(self, ready)
  while not ready() do
    if self.eof then
      return nil
    end
    self.waiting = coroutine.running()
    coroutine.yield()
  end
  return true
end

function Conn:read(count)
  if not wait_for(self, function() return #self.input >= count end) then
    return nil
  end
  local bytes = self.input:sub(1, count)
  self.input = self.input:sub(count + 1)
  return bytes
end

function Conn:read_to(mark)
  local from, to
  local found = wait_for(self, function()
    from, to = self.input:find(mark, 1, true)
    return from
  end)
  if not found then
    return nil
  end
  local bytes = self.input:sub(1, to)
  self.input = self.input:sub(to + 1)
  return bytes
end

-- Reads and logs one request: {head=, method=, path=, headers=, body=}.
function Conn:request()
  local head = self:read_to("\r\n\r\n")
  if not head then
    return nil
  end
  local req = { head = head, headers = {}, body = "" }
  req.method, req.path = head:match("^(%S+) (%S+)")
  for name, value in head:gmatch("\r\n([^:\r\n]+):[ \t]*([^\r\n]*)") do
    req.headers[name:lower()] = value
  end
  local length = tonumber(req.headers["content-length"])
  if length and length > 0 then
    req.body = self:read(length) or ""
  elseif req.headers["transfer-encoding"] == "chunked" then
    local parts = {}
    repeat
      local size = tonumber((self:read_to("\r\n") or "0\r\n"):match("^%x+"), 16)
      parts[#parts + 1] = self:read(size)
      self:read(2)
    until size == 0
    req.body = table.concat(parts)
  end
  log(head .. req.body)
  return req
end

function Conn:send(bytes)
  self.answered = true
  self.sock:write(bytes)
end

-- Answers with a status, a body and further header lines.
function Conn:respond(status, body, headers)
  body = body or ""
  local lines = { ("HTTP/1.1 %d Status"):format(status) }
  for _, line in ipairs(headers or {}) do
    lines[#lines + 1] = line
  end
  lines[#lines + 1] = "Content-Length: " .. #body
  self:send(table.concat(lines, "\r\n") .. "\r\n\r\n" .. body)
end

-- Accepts the WebSocket upgrade that `req` (or the next request) asks for.
function Conn:upgrade(req)
  req = req or self:request()
  if not req then
    return nil
  end
  local key = req.headers["sec-websocket-key"]
  self:send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
    .. "Connection: Upgrade\r\nSec-WebSocket-Accept: "
    .. base64(sha1(key .. GUID)) .. "\r\n\r\n")
  return req
end

function Conn:frame(opcode, data, continued)
  local head
  if #data < 126 then
    head = string.pack("B", #data)
  elseif #data < 65536 then
    head = string.pack(">BI2", 126, #data)
  else
    head = string.pack(">BI8", 127, #data)
  end
  local first = continued and opcode or 0x80 | opcode
  self:send(string.char(first) .. head .. data)
end

function Conn:text(data)
  self:frame(1, data)
end

function Conn:binary(data)
  self:frame(2, data)
end

function Conn:close_frame(code, reason)
  self:frame(8, string.pack(">I2", code) .. (reason or ""))
end

-- Reads and logs one frame; returns its opcode and payload, nil at the end.
function Conn:read_frame()
  local head = self:read(2)
  if not head then
    return nil
  end
  local first, second = head:byte(1, 2)
  local len = second & 127
  if len == 126 then
    len = string.unpack(">I2", self:read(2))
  elseif len == 127 then
    len = string.unpack(">I8", self:read(8))
  end
  local mask = self:read(4)
  local data = self:read(len)
  if not mask or not data then
    return nil
  end
  local m = { mask:byte(1, 4) }
  data = data:gsub("()(.)", function(at, byte)
    return string.char(byte:byte() ~ m[(at - 1) % 4 + 1])
  end)
  log(data)
  return first & 15, data
end

function Conn.sleep(_, seconds)
  local timer, me = uv.new_timer(), coroutine.running()
  timer:start(math.ceil(seconds * 1000), 0, function()
    timer:close()
    assert(coroutine.resume(me))
  end)
  coroutine.yield()
end

-- Sends pending data, then closes the connection. In a script, returns when that
-- has been done.
function Conn:close()
  local me = coroutine.isyieldable() and coroutine.running()
  local begun = self.sock:shutdown(function()
    if not self.sock:is_closing() then
      self.sock:close()
    end
    if me then
      assert(coroutine.resume(me))
    end
  end)
  if begun and me then
    coroutine.yield()
  end
end

function Conn:reset()
  self.sock:close_reset()
end

local count = 0

local function serve(sock)
  count = count + 1
  local self = setmetatable({ sock = sock, input = "" }, Conn)
  sock:nodelay(true)
  sock:read_start(function(err, bytes)
    if bytes then
      self.input = self.input .. bytes
    else
      self.eof = err or true
    end
    wake(self)
  end)
  local number = count
  local co = coroutine.create(function()
    script(self, number, log)
  end)
  local ok, why = coroutine.resume(co)
  if not ok then
    io.stderr:write("peer script: ", tostring(why), "\n")
  end
end

local server = uv.new_tcp()
assert(server:bind(arg[3], 0))
server:listen(512, function()
  local sock = uv.new_tcp()
  server:accept(sock)
  serve(sock)
end)

-- Writing to a closed connection must not kill the process.
uv.new_signal():start("sigpipe", function() end)

local parent = uv.os_getppid()
uv.new_timer():start(1000, 1000, function()
  if uv.os_getppid() ~= parent then
    os.exit(0)
  end
end)

print(("%d %d"):format(server:getsockname().port, uv.os_getpid()))
io.stdout:close()
uv.run()
