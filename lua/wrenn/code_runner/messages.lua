-- The messages of a Jupyter kernel's WebSocket. No I/O: text out, tables in.

local ids = require("wrenn.ids")
local json = require("wrenn.wire.json")

local messages = {}

--- Creates the request to run code. Returns its text and its id, which the
--- replies refer to. A silent request leaves no trace in the kernel's history.
function messages.execute(code, silent)
  local id = ids.uuid()
  return table.concat({
    '{"header":{"msg_id":"', id, '","msg_type":"execute_request",',
    '"username":"wrenn-sdk","session":"', ids.uuid(), '","date":"',
    os.date("!%Y-%m-%dT%H:%M:%S.000Z"), '","version":"5.3"},',
    '"parent_header":{},"metadata":{},"content":{"code":', json.encode(code),
    ',"silent":', tostring(silent or false), ',"store_history":',
    tostring(not silent), ',"user_expressions":{},"allow_stdin":false,',
    '"stop_on_error":true},"buffers":[],"channel":"shell"}',
  }), id
end

local function number_at(bytes, at)
  local a, b, c, d = bytes:byte(at, at + 3)
  return d and ((a * 256 + b) * 256 + c) * 256 + d
end

-- A message with buffers is binary: the number of parts, the offset of each,
-- and the parts, the first of which is the JSON.
local function json_part(bytes)
  local count, from = number_at(bytes, 1), number_at(bytes, 5)
  if not from or count < 1 then
    return ""
  end
  local to = count > 1 and number_at(bytes, 9) or #bytes
  return bytes:sub(from + 1, to)
end

local function table_or_empty(value)
  return type(value) == "table" and value or {}
end

--- Parses a message: {type=, parent=, content=}, or nil if it is not one.
--- `parent` is the id of the request that it belongs to.
function messages.decode(data, binary)
  local decoded = json.decode(binary and json_part(data) or data)
  if type(decoded) ~= "table" then
    return nil
  end
  local header = table_or_empty(decoded.header)
  return {
    type = decoded.msg_type or header.msg_type,
    parent = table_or_empty(decoded.parent_header).msg_id,
    content = table_or_empty(decoded.content),
  }
end

--- Whether a message means that the kernel has been restarted or has died.
function messages.is_death(message)
  local state = message.type == "status" and message.content.execution_state
  return state == "restarting" or state == "autorestarting" or state == "dead"
end

return messages
