-- The API byte by byte, without the client library: requests and WebSockets as
-- written by a spec, answers as they arrive.

local cjson = require("cjson")
local core = require("wrenn.core")
local walls = require("spec.support.walls")

local wire = {}
wire.__index = wire

local Socket = {}
Socket.__index = Socket

local PATIENCE = 90

--- A connection to `server` (spec/support/server.lua, or the same fields).
function wire.new(server)
  return setmetatable({
    server = server, loop = assert(core.loop()), inboxes = {},
    translators = {}, -- by the capsule's id, where there are no walls
  }, wire)
end

function wire:close()
  self.loop:close()
end

-- The next event of an operation, as a list from its kind on; nil after
-- `seconds`.
local function next_of(self, id, seconds)
  local inbox = self.inboxes[id]
  local deadline = core.now() + (seconds or PATIENCE)
  while #inbox == 0 do
    local event = { self.loop:next() }
    if event[1] then
      local to = self.inboxes[table.remove(event, 1)]
      if to then
        to[#to + 1] = event
      end
    elseif core.now() > deadline then
      return nil
    else
      assert(self.loop:wait(0.2))
    end
  end
  return table.remove(inbox, 1)
end

-- What makes a request's text that of the capsule in `path`, and an answer's
-- text again that of the specs.
local function translator_of(self, path)
  local both = self.translators[path:match("^/v1/capsules/([%w-]+)/")]
  if both then
    return both[1], both[2]
  end
  local function as_it_is(text)
    return text
  end
  return as_it_is, as_it_is
end

local function start(self, op)
  self.inboxes[op:id()] = {}
  return op
end

local function headers_of(self, options)
  local headers = {}
  for _, line in ipairs(options.headers or {}) do
    headers[#headers + 1] = line
  end
  local key = options.key
  if key == nil then
    key = self.server.key
  end
  if key then
    headers[#headers + 1] = "X-API-Key: " .. key
  end
  return headers
end

local function answer_of(status, headers, body)
  local answer = { status = status, headers = headers, body = body }
  local ok, decoded = pcall(cjson.decode, body)
  answer.json = ok and decoded or nil
  answer.error = type(answer.json) == "table" and answer.json.error or nil
  return answer
end

--- Returns the value of a header of an answer.
function wire.header(answer, name)
  for line in answer.headers:gmatch("[^\r\n]+") do
    local found, value = line:match("^([^:]+):%s*(.*)$")
    if found and found:lower() == name:lower() then
      return value
    end
  end
end

--- One request. `body` is text, or a table that becomes JSON. `options`: key
--- (false: none), headers. Returns {status=, headers=, body=, json=, error=}.
function wire:request(method, path, body, options)
  options = options or {}
  if type(body) == "table" then
    body = next(body) and cjson.encode(body) or "{}"
  end
  local inside, outside = translator_of(self, path)
  local op = start(self, assert(self.loop:http({
    method = method, url = self.server.url .. inside(path),
    headers = headers_of(self, options), body = body and inside(body),
  })))
  local event = assert(next_of(self, op:id()), "no answer")
  assert(event[1] == "done", tostring(event[3]))
  return answer_of(event[2], event[3], outside(event[4]))
end

--- The same, begun but not waited for; `finish` it later.
function wire:begin(method, path, body)
  local inside = translator_of(self, path)
  return start(self, assert(self.loop:http({
    method = method, url = self.server.url .. path,
    body = inside(cjson.encode(body)),
    headers = headers_of(self, {}),
  })))
end

function wire:finish(op)
  local event = assert(next_of(self, op:id()), "no answer")
  assert(event[1] == "done", tostring(event[3]))
  return answer_of(event[2], event[3], event[4])
end

--- Waits until a capsule has a status.
function wire:until_status(id, status)
  local deadline = core.now() + PATIENCE
  repeat
    local info = self:request("GET", "/v1/capsules/" .. id).json
    if info.status == status then
      return info
    end
    self:sleep(0.02)
  until core.now() > deadline
  error("the capsule is not " .. status)
end

--- Makes a capsule and waits for it. Returns its path.
function wire:create(fields)
  local made = self:request("POST", "/v1/capsules", fields or {})
  assert(made.json and made.json.id, made.body)
  self:until_status(made.json.id, "running")
  local path = "/v1/capsules/" .. made.json.id
  if not walls.up then
    local home = self:sh(path, "cd && pwd").stdout
    local folder = home:match("^(.*)/root\n$")
      or home:match("^(.*)/home/wrenn%-user\n$")
    self.translators[made.json.id] = { walls.translator(folder) }
  end
  return path, made.json.id
end

--- Runs a shell line in the capsule of `path`; the answer of exec.
function wire:sh(path, line)
  return self:request("POST", path .. "/exec",
    { cmd = "/bin/sh", args = { "-c", line } }).json
end

--- A form for the file endpoints: parts as {name, content} in order. Returns
--- the body and the request's options.
function wire.form(...)
  local parts = {}
  for _, part in ipairs({ ... }) do
    parts[#parts + 1] = '--b0undary\r\nContent-Disposition: form-data; name="'
      .. part[1] .. '"' .. (part[1] == "file" and '; filename="f"' or "")
      .. "\r\n\r\n" .. part[2] .. "\r\n"
  end
  return table.concat(parts) .. "--b0undary--\r\n",
    { headers = { "Content-Type: multipart/form-data; boundary=b0undary" } }
end

--- Lets time pass.
function wire:sleep(seconds)
  local op = start(self, self.loop:timer(seconds))
  assert(next_of(self, op:id(), seconds + PATIENCE))
end

--- Waits until a function returns something other than false or nil.
function wire:await(fn)
  local deadline = core.now() + PATIENCE
  while not fn() do
    assert(core.now() < deadline, "it has not happened in time")
    self:sleep(0.05)
  end
end

-- ---- WebSockets ------------------------------------------------------------

--- Opens a WebSocket; nil and the answer when the server refuses.
function wire:open(path, options)
  local op = start(self, assert(self.loop:ws({
    url = (self.server.url .. path):gsub("^http", "ws"),
    headers = headers_of(self, options or {}),
  })))
  local event = assert(next_of(self, op:id()), "no upgrade")
  if event[1] == "failed" then
    assert(event[2] == "refused", tostring(event[3]))
    return nil, answer_of(event[4], event[5], event[6])
  end
  assert(event[1] == "opened")
  local inside, outside = translator_of(self, path)
  return setmetatable({ wire = self, op = op, inside = inside,
    outside = outside }, Socket)
end

--- Sends a text message, or a table as JSON; `binary` for the other kind.
function Socket:send(message, binary)
  if type(message) == "table" then
    message = cjson.encode(message)
  end
  return assert(self.op:send(self.inside(message), binary))
end

--- Waits until all of that has left.
function Socket:flush()
  self.wire:await(function()
    return self.op:unsent() == 0
  end)
end

--- The next message: the decoded JSON of a text message, {binary=bytes} of a
--- binary one. Nil and the close code at the end; nil, "silent" after
--- `seconds`.
function Socket:read(seconds)
  local event = next_of(self.wire, self.op:id(), seconds)
  if not event then
    return nil, "silent"
  elseif event[1] == "frame" and event[2].binary then
    return { binary = self.outside(event[2].data) }
  elseif event[1] == "frame" then
    local text = self.outside(event[2].data)
    return cjson.decode(text), text
  end
  return nil, event[1] == "closed" and event[2] or event[2]
end

--- Reads to the end: the messages, and how it ended.
function Socket:drain()
  local list = {}
  while true do
    local message, how = self:read()
    if not message then
      return list, how
    end
    list[#list + 1] = message
  end
end

--- Reads up to a message of a type (included); returns it and what a terminal
--- or a command has printed before it.
function Socket:until_type(name)
  local out = {}
  while true do
    local message, how = self:read()
    assert(message, how)
    if message.type == name then
      return message, table.concat(out)
    end
    out[#out + 1] = self.outside(wire.output(message))
  end
end

--- Reads until what is printed contains a text; returns all of it.
function Socket:until_output(text, seen)
  local out = seen or ""
  while not out:find(text, 1, true) do
    local message, how = self:read()
    assert(message, ("%s after %q"):format(how or "", out))
    out = out .. self.outside(wire.output(message))
  end
  return out
end

--- What a message of a stream or terminal has printed, "" for any other.
function wire.output(message)
  if message.binary then
    return message.binary
  elseif message.type == "output" then
    return core.base64_decode(message.data)
  elseif message.type == "stdout" or message.type == "stderr" then
    return message.data
  end
  return ""
end

--- Ends the connection, without a word to the server.
function Socket:cancel()
  self.op:cancel()
end

return wire
