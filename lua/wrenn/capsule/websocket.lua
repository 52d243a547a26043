--- A WebSocket to a port of a capsule: capsule:websocket.

local check = require("wrenn.check")
local errors = require("wrenn.errors")
local http = require("wrenn.wire.http")
local reader = require("wrenn.reader")

---@class wrenn.WebSocket
---@overload fun(): string|nil, boolean
---@field close_code? integer   from the peer's close frame, after the end
---@field close_reason? string  from the same
local WebSocket =
  reader.class("wrenn.WebSocket", "is_websocket",
  "the WebSocket was closed", "close")

local fail = reader.fail

function WebSocket:take(event)
  local kind = event.kind
  if kind == "closed" and event[1] ~= 1006 then
    self.close_code, self.close_reason = event[1], event[2]
    return reader.finish(self)
  elseif kind == "closed" then
    return fail(self, errors.new("ConnectionError",
      "the connection ended without a close frame",
      { details = { kind = "closed", close_code = 1006 } }))
  elseif kind == "failed" then
    return fail(self, errors.from_core(event[1], event[2]))
  end
  return event.data, event.binary or false
end

--- Waits for the next message. Returns it and whether it is a binary one; nil at
--- the end, when the peer has sent a close frame; or nil, err: the connection has
--- failed, or the wait was interrupted, after which the WebSocket remains usable.
---@type fun(self: wrenn.WebSocket): string?, boolean|wrenn.Error|nil
WebSocket.read = reader.read

--- Sends one message. Returns before it has been sent.
---@param data string
---@param opts? {binary?: boolean}  a text message when absent
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
  return http.send(self.op, data, opts.binary and "binary" or "text")
end

--- Closes the WebSocket after all messages have been sent. Closing again does
--- nothing.
function WebSocket:close()
  check.self(self, "is_websocket", "close")
  reader.close_websocket(self)
end

WebSocket.__close = WebSocket.close

local M = {}

function M.new(op, inbox)
  return setmetatable({ op = op, inbox = inbox }, WebSocket)
end

return M
