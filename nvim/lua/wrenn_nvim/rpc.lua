-- JSON-RPC over the input and output of a command in a capsule: what vim.lsp
-- expects of the function that is given as its `cmd`.

local session = require("wrenn_nvim.session")
local wrenn = require("wrenn")

local M = {}

local Client = {}
Client.__index = Client

local NONE = { object = true, array = true } -- null becomes nil in both

-- Writes the messages in order, also those from before the server was up.
local function flush(self)
  if self.writing or not self.stream then
    return
  end
  self.writing = true
  session.attempt(function()
    while self.pending ~= "" do
      local bytes = self.pending
      self.pending = ""
      wrenn.check(self.stream:write(bytes))
    end
    self.writing = false
  end, function(err)
    self.writing = false
    self:fail(err)
  end)
end

local function send(self, message)
  if self.closing then
    return false
  end
  message.jsonrpc = "2.0"
  local text = vim.json.encode(self.out(message))
  self.pending = ("%sContent-Length: %d\r\n\r\n%s"):format(self.pending, #text,
    text)
  flush(self)
  return true
end

local function answer(self, message)
  local ok, result, err = pcall(self.dispatchers.server_request,
    message.method, message.params)
  if not ok then
    result, err = nil, { code = -32603, message = tostring(result) }
  end
  if result == nil and not err then
    result = vim.NIL
  end
  send(self, { id = message.id, result = result, error = err })
end

local function receive(self, message)
  if message.method and message.id ~= nil then
    answer(self, message)
  elseif message.method then
    self.dispatchers.notification(message.method, message.params)
  else
    local waiting = self.waiting[message.id]
    self.waiting[message.id] = nil
    if waiting then
      waiting(message.error, message.result)
    end
  end
end

-- Takes the whole messages out of what has arrived.
local function take(self)
  while true do
    local head, from = self.arrived:match("^(.-)\r\n\r\n()")
    local length = head and tonumber(head:lower()
      :match("content%-length:%s*(%d+)"))
    if head and not length then
      error("the language server sends no Content-Length", 0)
    elseif not head or #self.arrived < from + length - 1 then
      return
    end
    local text = self.arrived:sub(from, from + length - 1)
    self.arrived = self.arrived:sub(from + length)
    receive(self, self.back(vim.json.decode(text, { luanil = NONE })))
  end
end

local function end_with(self, code)
  if not self.ended then
    self.ended, self.closing = true, true
    self.dispatchers.on_exit(code, 0)
  end
end

function Client:fail(err)
  if not self.closing then
    session.notify(err)
  end
  end_with(self, 1)
end

local function converse(self, open)
  self.stream = wrenn.check(open())
  flush(self)
  wrenn.with(self.stream, function(stream)
    for event in stream do
      if event.type == "stdout" then
        self.arrived = self.arrived .. event.data
        take(self)
      end
    end
    end_with(self, stream.exit_code or 1)
  end)
end

--- Starts the conversation. `options.open` returns the stream of the command;
--- `options.out` and `options.back` translate messages.
function M.start(dispatchers, options)
  local self = setmetatable({
    dispatchers = dispatchers, out = options.out, back = options.back,
    pending = "", arrived = "", waiting = {}, last_id = 0,
  }, Client)
  local running = session.attempt(function()
    converse(self, options.open)
  end, function(err)
    self:fail(err)
  end)
  return {
    request = function(method, params, callback, on_answered)
      self.last_id = self.last_id + 1
      local id = self.last_id
      self.waiting[id] = function(err, result)
        if on_answered then
          on_answered(id)
        end
        callback(err, result)
      end
      return send(self, { id = id, method = method, params = params }), id
    end,
    notify = function(method, params)
      return send(self, { method = method, params = params })
    end,
    is_closing = function()
      return self.closing or false
    end,
    terminate = function()
      self.closing = true
      running:cancel()
      end_with(self, 0)
    end,
  }
end

return M
