-- Server-sent events. No I/O: bytes in, the data of complete events out.

local sse = {}

local MAX_FRAME = 16 * 1024 * 1024

local Decoder = {}
Decoder.__index = Decoder

--- Creates a decoder for one connection: the rest of a broken connection must
--- not be joined with the next.
function sse.decoder()
  return setmetatable({ rest = {}, size = 0, data = {} }, Decoder)
end

-- Only data is used: it contains the event's name, and ids are useless without
-- replay.
local function take_line(self, line, frames)
  line = line:gsub("\r$", "")
  if line == "" then
    if #self.data > 0 then
      frames[#frames + 1] = table.concat(self.data, "\n")
      self.data = {}
    end
    self.size = 0
    return
  end
  local text = line == "data" and "" or line:match("^data:[ \t]*(.*)$")
  if text then
    self.data[#self.data + 1] = text
  end
end

--- Decodes bytes; returns the data of the events that they complete, or nil and
--- the reason.
function Decoder:feed(bytes)
  local frames, at = {}, 1
  self.size = self.size + #bytes
  while true do
    local line_end = bytes:find("\n", at, true)
    if not line_end then
      break
    end
    self.rest[#self.rest + 1] = bytes:sub(at, line_end - 1)
    at = line_end + 1
    local line = table.concat(self.rest)
    self.rest = {}
    take_line(self, line, frames)
  end
  if at <= #bytes then
    self.rest[#self.rest + 1] = bytes:sub(at)
  end
  if #frames > 0 then
    self.size = #bytes
  elseif self.size > MAX_FRAME then
    return nil, "an event is larger than 16 MiB"
  end
  return frames
end

return sse
