-- Stands in front of a server and does harm to one request of a sequence. The
-- first part of a path says what: /CELL-NTH-KIND, the request of that number,
-- counted for each cell. All others go to the server as they are.

local peer = require("spec.support.peer")

local harm = {}
harm.__index = harm

--- What can be done to a request: {name, the types of error it may come to,
--- `slow`: only a deadline ends it}. From "lost" on the server gets the request,
--- and its answer is spoilt.
harm.kinds = {
  { name = "reset", expected = "ConnectionError" },
  { name = "silence", expected = "TimeoutError", slow = true },
  { name = "refusal", expected = "InternalError" },
  { name = "lost", expected = "ConnectionError" },
  { name = "cut", expected = "ConnectionError ProtocolError" },
  { name = "page", expected = "ProtocolError" },
  { name = "nothing", expected = "ProtocolError ConnectionError" },
}

local SCRIPT = [=[
local uv = require("luv")
counts = counts or {}

local function connect()
  local up, me = uv.new_tcp(), coroutine.running()
  up:connect("127.0.0.1", PORT, function(err)
    assert(coroutine.resume(me, err))
  end)
  assert(not coroutine.yield())
  return up
end

local function forward(req, path)
  local up = connect()
  local lines = { ("%s %s HTTP/1.1"):format(req.method, path) }
  for line in req.head:gmatch("\r\n([^\r\n]+)") do
    local name = line:match("^[^:]*"):lower()
    if name ~= "content-length" and name ~= "transfer-encoding"
      and (name ~= "connection" or req.headers.upgrade)
    then
      lines[#lines + 1] = line
    end
  end
  if not req.headers.upgrade then
    lines[#lines + 1] = "Connection: close"
    lines[#lines + 1] = "Content-Length: " .. #req.body
  end
  up:write(table.concat(lines, "\r\n") .. "\r\n\r\n" .. req.body)
  return up
end

local function shut(handle)
  if not handle:is_closing() then
    handle:close()
  end
end

-- The whole answer.
local function answer_of(up)
  local parts, me = {}, coroutine.running()
  up:read_start(function(_, bytes)
    if bytes then
      parts[#parts + 1] = bytes
    else
      shut(up)
      assert(coroutine.resume(me))
    end
  end)
  coroutine.yield()
  return table.concat(parts)
end

local function link(up)
  up:read_start(function(_, bytes)
    if bytes and not c.sock:is_closing() then
      c.sock:write(bytes)
    else
      shut(up)
      c:close()
    end
  end)
  while true do
    local first = c:read(1)
    if not first then
      return shut(up)
    end
    up:write(first .. c.input)
    c.input = ""
  end
end

local before, late = {}, {}

function before.reset() c:reset() end
function before.silence() c:sleep(60) end
function before.refusal()
  c:respond(500, '{"error":{"code":"internal","message":"m"}}',
    { "Content-Type: application/json", "Connection: close" })
end

function late.lost() c:reset() end
function late.cut(answer)
  c:send(answer:sub(1, -2))
  c:close()
end
function late.page()
  c:respond(200, "<!DOCTYPE html><html><h1>Log in</h1></html>",
    { "Content-Type: text/html", "Connection: close" })
end
function late.nothing() c:respond(200, "", { "Connection: close" }) end

local req = c:request()
if not req then return end
local cell, nth, kind, path = req.path:match("^/(%d+)%-(%d+)%-(%a+)(/.*)$")
counts[cell] = (counts[cell] or 0) + 1
local hit = counts[cell] == tonumber(nth)
log(("#%s %s %s %s"):format(cell, hit and "hit" or "ok", req.method, path))
if not hit then
  link(forward(req, path))
elseif before[kind] then
  before[kind]()
else
  late[kind](req.headers.upgrade and "HTTP/1.1 101 Switching Protocols"
    or answer_of(forward(req, path)))
end
]=]

--- Starts one in front of a server of this machine.
function harm.start(s)
  local p = peer.start(("local PORT = %s\n"):format(s.url:match(":(%d+)$"))
    .. SCRIPT)
  return setmetatable({ peer = p, url = p.url }, harm)
end

--- The address for a cell.
function harm:address(cell, nth, kind)
  return ("%s/%d-%d-%s"):format(self.url, cell, nth, kind)
end

--- The requests so far, by cell: lists of "ok METHOD PATH" or "hit METHOD PATH".
function harm:requests()
  local cells = {}
  for _, text in ipairs(self.peer:received()) do
    local cell, request = text:match("^#(%d+) (.*)$")
    if cell then
      cell = tonumber(cell)
      cells[cell] = cells[cell] or {}
      table.insert(cells[cell], request)
    end
  end
  return cells
end

function harm:stop()
  self.peer:stop()
end

return harm
