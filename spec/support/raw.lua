-- Sends arbitrary bytes to a server, for requests that no client library makes.

local uv = require("luv")

local raw = {}

-- To write to a server that has hung up is an error, not the end of the specs.
local on_pipe = uv.new_signal()
on_pipe:start("sigpipe", function() end)
on_pipe:unref()

--- Connects to the port of a URL. Whenever something arrives, sends the result
--- of `script(seen)`, which gets everything received so far; nil sends nothing,
--- false ends it. Returns everything received.
function raw.exchange(url, script, seconds)
  local port = tonumber(url:match(":(%d+)"))
  local sock, timer = uv.new_tcp(), uv.new_timer()
  local seen = ""
  local function finish()
    for _, handle in ipairs({ sock, timer }) do
      if not handle:is_closing() then
        handle:close()
      end
    end
  end
  local function turn()
    local bytes = script(seen)
    if bytes == false then
      finish()
    elseif bytes then
      sock:write(bytes)
    end
  end
  uv.update_time() -- the loop has not run for long
  timer:start((seconds or 20) * 1000, 0, finish)
  sock:connect("127.0.0.1", port, function(err)
    if err then
      return finish()
    end
    sock:read_start(function(_, bytes)
      if not bytes then
        return finish()
      end
      seen = seen .. bytes
      turn()
    end)
    turn()
  end)
  uv.run()
  return seen
end

--- A client's frame below 64 KiB; its mask is zero. `first` is its first byte.
function raw.frame(first, data)
  local head
  if #data < 126 then
    head = string.char(first, 0x80 + #data)
  else
    head = string.char(first, 0x80 + 126, math.floor(#data / 256), #data % 256)
  end
  return head .. "\0\0\0\0" .. data
end

--- Text in the form of permessage-deflate, without compression.
function raw.deflate(text)
  local low, high = #text % 256, math.floor(#text / 256)
  return "\0" .. string.char(low, high, 255 - low, 255 - high) .. text .. "\0"
end

--- An upgrade request; `lines` are further header lines.
function raw.upgrade(path, key, lines)
  return ("GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    .. "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    .. "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nX-API-Key: %s\r\n"
    .. "%s\r\n"):format(path, key, lines or "")
end

return raw
