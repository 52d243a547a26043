-- What a relay has to know of HTTP/1.1: where heads end, where the bodies behind
-- them end, and how a request is made one for another host.

local heads = {}

-- The most that a head may have, and a line of a chunked body.
heads.MAX = 64 * 1024
local MAX_LINE = 8 * 1024

--- The head at the beginning of a text, and what is behind it; nil if there is
--- no whole one.
function heads.split(text)
  local _, stop = text:find("\n\r?\n")
  if stop then
    return text:sub(1, stop), text:sub(stop + 1)
  end
end

-- The first line, the others, and their values by lower-case name; or nil.
local function parse(head)
  local lines, fields = {}, {}
  for line in head:gmatch("(.-)\r?\n") do
    lines[#lines + 1] = line
  end
  lines[#lines] = nil -- the empty one
  local first = table.remove(lines, 1)
  for _, line in ipairs(lines) do
    local name, value = line:match("^([^%s:]+):[ \t]*(.-)[ \t]*$")
    if not name then
      return nil
    end
    name = name:lower()
    fields[name] = fields[name] and fields[name] .. ", " .. value or value
  end
  return first, lines, fields
end

-- ---- bodies ----------------------------------------------------------------

-- A body of `left` bytes.
local Counted = {}
Counted.__index = Counted

--- Takes what belongs to the body from the beginning of a text. Returns the
--- position behind it, and whether that is the end of the body; or nil: it is
--- malformed.
function Counted:take(text)
  local count = math.min(self.left, #text)
  self.left = self.left - count
  return count + 1, self.left == 0
end

local Chunked = {}
Chunked.__index = Chunked

-- Takes a whole line. Returns whether it is the last one; or nil.
local function take_line(self, line)
  if self.in_trailers then
    return line == ""
  end
  local digits = line:match("^(%x+)[ \t]*$") or line:match("^(%x+)[ \t]*;")
  if not digits or #digits > 12 then
    return nil
  end
  local size = tonumber(digits, 16)
  self.in_trailers = size == 0
  self.left = size > 0 and size + 2 or 0 -- with the line's end behind it
  return false
end

function Chunked:take(text)
  local at = 1
  while at <= #text do
    local stop = text:find("\n", at, true)
    if self.left > 0 then
      local count = math.min(self.left, #text - at + 1)
      self.left = self.left - count
      at = at + count
    else
      self.line = self.line .. text:sub(at, stop or -1)
      at = (stop or #text) + 1
      if #self.line > MAX_LINE then
        return nil
      elseif stop then
        local line = self.line:gsub("\r?\n$", "")
        self.line = ""
        local last = take_line(self, line)
        if last ~= false then
          return last and at or nil, true
        end
      end
    end
  end
  return at, false
end

-- Ends with the connection.
local Endless = {}
Endless.__index = Endless

function Endless.take(_, text)
  return #text + 1, false
end

local function counted(length)
  return length:find("^%d+$") and #length <= 15
    and setmetatable({ left = tonumber(length) }, Counted) or nil
end

local function chunked()
  return setmetatable({ left = 0, line = "" }, Chunked)
end

-- ---- requests --------------------------------------------------------------

local function body_of_request(fields)
  local coding, length = fields["transfer-encoding"], fields["content-length"]
  if coding then
    return not length and coding:lower() == "chunked" and chunked() or nil
  end
  return counted(length or "0")
end

-- The path of a target that may have a whole URL before it.
local function path_of(target)
  local rest = target:match("^%a+://[^/?#]*(.*)$")
  if rest and rest:sub(1, 1) ~= "/" then
    return "/" .. rest
  end
  return rest or target
end

--- Makes a request one for another authority, which its Host then names, and its
--- Origin if that was the same. Returns {head, body, method, upgrade}; or nil: it
--- is malformed, or nothing that can be passed on.
function heads.request(head, scheme, authority)
  local first, lines, fields = parse(head)
  local method, target, version = (first or ""):match(
    "^([%w!#$%%&'*+.^_`|~-]+) (%S+) (HTTP/1%.[01])$")
  local body = method and body_of_request(fields)
  if not body or method == "CONNECT" then
    return nil
  end
  local out = { ("%s %s %s"):format(method, path_of(target), version),
    "Host: " .. authority }
  local own = "http://" .. (fields.host or "")
  for _, line in ipairs(lines) do
    local name = line:match("^[^:]+"):lower()
    if name == "origin" and fields.origin == own then
      out[#out + 1] = ("Origin: %s://%s"):format(scheme, authority)
    elseif name ~= "host" then
      out[#out + 1] = line
    end
  end
  return { head = table.concat(out, "\r\n") .. "\r\n\r\n", body = body,
    method = method,
    upgrade = fields.upgrade ~= nil
      and (fields.connection or ""):lower():find("upgrade", 1, true) ~= nil }
end

-- ---- answers ---------------------------------------------------------------

--- Reads the head of an answer to a method. Returns its status, and its body
--- unless it is not the final one; or nil.
function heads.answer(head, method)
  local first, _, fields = parse(head)
  local status = tonumber((first or ""):match("^HTTP/1%.%d (%d%d%d)"))
  if not status or status < 200 then
    return status
  end
  local coding, length = fields["transfer-encoding"], fields["content-length"]
  if method == "HEAD" or status == 204 or status == 304 then
    return status, counted("0")
  elseif coding then
    return status, coding:lower():find("chunked%s*$") and chunked()
      or setmetatable({}, Endless)
  end
  return status, counted(length or "") or setmetatable({}, Endless)
end

--- A whole answer of the relay's own, after which the connection ends.
function heads.failure(status, reason, text)
  text = "wrenn forward: " .. text .. "\n"
  return ("HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
    .. "Content-Length: %d\r\nConnection: close\r\n\r\n%s")
    :format(status, reason, #text, text)
end

return heads
