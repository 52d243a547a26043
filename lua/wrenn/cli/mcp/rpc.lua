-- The Model Context Protocol on stdin and stdout: a JSON-RPC message a line.
--
-- Clients of revisions up to 2025-11-25 begin with `initialize`. Since 2026-07-28
-- there is no beginning: each request says in `_meta` which revision it is of,
-- and its result says that it is complete. Both work side by side; no request
-- depends on another.

local check = require("wrenn.check")
local exit = require("wrenn.cli.exit")
local json = require("wrenn.cli.json")
local nested = require("wrenn.task.nested")
local stdio = require("wrenn.cli.stdio")
local task = require("wrenn.task")
local wire = require("wrenn.wire.json")

local rpc = {}

local NEWEST, HANDSHAKE = "2026-07-28", "2025-11-25"
local SUPPORTED = { NEWEST, HANDSHAKE, "2025-06-18", "2025-03-26",
  "2024-11-05" }
local META = "io.modelcontextprotocol/"

-- What clients may keep the list of tools for; it does not change.
local LIST_MS = 3600000

local MAX_LINE = 64 * 1024 * 1024

local known = {}
for _, version in ipairs(SUPPORTED) do
  known[version] = true
end

---@class wrenn.cli.Rpc
---@field tools table     see wrenn.cli.mcp.tools
---@field running table<any, wrenn.Task>  the calls, by the ids of the requests
local Server = {}
Server.__index = Server

function rpc.new(tools)
  return setmetatable({ tools = tools, running = {}, waiting = {} }, Server)
end

-- ---- output ----------------------------------------------------------------

-- Messages must not mix, while to write one may have to wait.
function Server:send(message)
  message.jsonrpc = "2.0"
  local waiting = self.waiting
  waiting[#waiting + 1] = json.text(message) .. "\n"
  if self.writing then
    return
  end
  self.writing = true
  local ok, raised = nested.call(task.shield, function()
    while waiting[1] do
      stdio.write(1, table.remove(waiting, 1))
    end
  end)
  self.writing = false
  if not ok then
    error(raised, 0)
  end
end

local function identity()
  return { name = "wrenn", version = require("wrenn.version") }
end

function Server:answer(request, result)
  if request.version == NEWEST then
    result.resultType = "complete"
    result._meta = { [META .. "serverInfo"] = identity() }
  end
  self:send({ id = request.id, result = result })
end

function Server:refuse(id, code, message, data)
  self:send({ id = id, error = { code = code, message = message,
    data = data } })
end

-- ---- requests --------------------------------------------------------------

local methods = {}

function methods.initialize(self, request)
  local asked = request.params.protocolVersion
  self:answer({ id = request.id }, {
    -- The revisions without a beginning are not to be had by one.
    protocolVersion = known[asked] and asked ~= NEWEST and asked or HANDSHAKE,
    capabilities = { tools = {} }, serverInfo = identity(),
    instructions = self.tools.instructions,
  })
end

methods["server/discover"] = function(self, request)
  request.version = NEWEST
  self:answer(request, {
    supportedVersions = json.array({ NEWEST, HANDSHAKE }),
    capabilities = { tools = {} }, instructions = self.tools.instructions,
    ttlMs = LIST_MS, cacheScope = "private",
  })
end

function methods.ping(self, request)
  self:answer(request, {})
end

methods["tools/list"] = function(self, request)
  local result = { tools = self.tools:list() }
  if request.version == NEWEST then
    result.ttlMs, result.cacheScope = LIST_MS, "private"
  end
  self:answer(request, result)
end

methods["tools/call"] = function(self, request)
  local name = request.params.name
  if type(name) ~= "string" or not self.tools:has(name) then
    return self:refuse(request.id, -32602, "there is no tool '"
      .. tostring(name) .. "'")
  end
  local arguments = request.params.arguments
  local id = request.id
  self.running[id] = task.spawn(function()
    local result = self.tools:call(name, type(arguments) == "table"
      and arguments or {})
    -- A request that was cancelled gets no answer.
    if self.running[id] then
      self.running[id] = nil
      self:answer(request, result)
    end
  end)
end

local notifications = {
  ["notifications/cancelled"] = function(self, params)
    local call = self.running[params.requestId]
    if call then
      self.running[params.requestId] = nil
      call:cancel()
    end
  end,
}

-- The revision that a request is of: nil before those that say it.
local function version_of(params)
  local meta = type(params._meta) == "table" and params._meta or {}
  return meta[META .. "protocolVersion"]
end

function Server:take(line)
  local message, why = wire.decode(line)
  if type(message) ~= "table" then
    return self:refuse(nil, -32700, why or "a message is an object")
  elseif type(message.method) ~= "string" then
    if message.result == nil and message.error == nil then
      self:refuse(message.id, -32600, "a method is missing")
    end
    return
  end
  local params = type(message.params) == "table" and message.params or {}
  if message.id == nil then
    local notified = notifications[message.method]
    return notified and notified(self, params)
  end
  local request = { id = message.id, params = params,
    version = version_of(params) }
  local method = methods[message.method]
  if request.version and not known[request.version] then
    self:refuse(message.id, -32022, "unsupported protocol version",
      { supported = json.array({ NEWEST, HANDSHAKE }),
        requested = tostring(request.version) })
  elseif not method then
    self:refuse(message.id, -32601, "there is no method '" .. message.method
      .. "'" .. check.meant(message.method, methods))
  else
    method(self, request)
  end
end

-- ---- input -----------------------------------------------------------------

--- Takes messages until stdin ends.
function Server:serve()
  local parts, size = {}, 0
  while true do
    local bytes, err = stdio.read(0)
    if not bytes then
      error(err, 0)
    elseif bytes == "" then
      return
    end
    local at = 1
    for piece, after in bytes:gmatch("([^\n]*)\n()") do
      parts[#parts + 1] = piece
      local line = table.concat(parts)
      parts, size, at = {}, 0, after
      if line:find("%S") then
        self:take(line)
      end
    end
    parts[#parts + 1] = bytes:sub(at)
    size = size + #bytes - at + 1
    if size > MAX_LINE then
      exit.raise(exit.FAILED, "a message is longer than 64 MiB")
    end
  end
end

--- Cancels all calls, and waits until what they have started is gone.
function Server:finish()
  local calls = {}
  for id, call in pairs(self.running) do
    self.running[id] = nil
    calls[#calls + 1] = call
    call:cancel()
  end
  for _, call in ipairs(calls) do
    call:wait()
  end
end

return rpc
