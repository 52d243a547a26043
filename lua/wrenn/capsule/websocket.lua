--- A WebSocket to a port of a capsule: capsule:websocket.

local check = require("wrenn.check")
local errors = require("wrenn.errors")
local scheduler = require("wrenn.task.scheduler")
local task = require("wrenn.task")

---@class wrenn.WebSocket
---@field close_code? integer   of the peer's close frame, after the end
---@field close_reason? string
local WebSocket = { is_websocket = true }
WebSocket.__index = WebSocket

local function finish(self, err)
  self.ended = true
  self.failure = err
  return nil, err
end

local function take(self, event)
  local kind = event.kind
  if kind == "closed" and event[1] ~= 1006 then
    self.close_code, self.close_reason = event[1], event[2]
    return finish(self)
  elseif kind == "closed" then
    return finish(self, errors.new("ConnectionError",
      "the connection ended without a close frame",
      { details = { kind = "closed", close_code = 1006 } }))
  elseif kind == "failed" then
    return finish(self, errors.from_core(event[1], event[2]))
  end
  return event.data, event.binary or false
end

local function read(self, next_event)
  if self.ended then
    return nil, self.failure
  end
  local event, err = next_event(self.inbox)
  if not event then
    return finish(self, err)
  end
  return take(self, event)
end

--- Waits for the next message.
---@return string|nil data  nil at the end, which a close frame tells
---@return boolean|wrenn.Error|nil binary  whether it is a binary message; an
---  error when the connection broke
function WebSocket:read()
  check.self(self, "is_websocket", "read")
  return read(self, scheduler.next)
end

-- As an iterator it raises when the connection breaks: that must not look like
-- the end.
function WebSocket:__call()
  local data, binary = read(self, scheduler.next_of_iterator)
  if data == nil and binary then
    error(binary, 0)
  end
  return data, binary
end

--- Sends one message. It returns before the message has left.
---@param data string
---@param opts? {binary?: boolean}  text when absent
---@return true|nil
---@return wrenn.Error? err
function WebSocket:send(data, opts)
  check.self(self, "is_websocket", "send")
  check.arg(data, "data", "send", "string")
  opts = check.options(opts, "send", { binary = "boolean" })
  if self.ended then
    return nil, self.failure
      or errors.new("ConnectionError", "the WebSocket has ended")
  end
  local ok, code, message = self.op:send(data, opts.binary or false)
  if not ok then
    return nil, errors.from_core(code, message)
  end
  return true
end

--- Closes it, after what was sent has left. Closing again does nothing.
function WebSocket:close()
  check.self(self, "is_websocket", "close")
  local op = self.op
  if not op then
    return
  end
  self.op = nil
  if not self.ended then
    finish(self, errors.new("CancelledError", "the WebSocket was closed"))
  end
  op:close() -- the core waits for the peer for 1 s at the most
  task.shield(function()
    repeat
      local event = scheduler.next(self.inbox)
    until not event or event.kind == "closed" or event.kind == "failed"
  end)
  scheduler.forget(self.inbox)
end

WebSocket.__close = WebSocket.close

local M = {}

function M.new(op, inbox)
  return setmetatable({ op = op, inbox = inbox }, WebSocket)
end

return M
