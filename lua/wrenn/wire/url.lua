-- Builds URLs from arbitrary values.

local url = {}

--- Escapes a query value. A value of dots only is escaped too, so that no name
--- leads out of its path.
function url.escape(value)
  local text = tostring(value)
  if text:find("[^%w%-%._~]") then
    text = text:gsub("[^%w%-%._~]", function(byte)
      return ("%%%02X"):format(byte:byte())
    end)
  end
  if text == "." or text == ".." then
    return (text:gsub("%.", "%%2E"))
  end
  return text
end

-- The characters that Go leaves unescaped in a path. A Go server compares an
-- encoded path with its own encoding of it, and if they differ, uses the
-- segments undecoded: "web%3A1" would not be decoded, "web:1" and "a%20b" are.
local PLAIN_IN_PATH = {
  ["%24"] = "$", ["%26"] = "&", ["%2B"] = "+", ["%2C"] = ",", ["%3A"] = ":",
  ["%3B"] = ";", ["%3D"] = "=", ["%40"] = "@",
}

--- Escapes a path segment. A Go server cannot receive a slash or a segment of
--- dots only: see names_segment.
function url.segment(value)
  if type(value) == "string" and value:find("^[%w_-]+$") then
    return value
  end
  local text = url.escape(value)
  if not text:find("%", 1, true) then
    return text
  end
  return (text:gsub("%%%x%x", PLAIN_IN_PATH))
end

--- Whether a Go server can receive this text as a path segment.
function url.names_segment(text)
  return not text:find("/", 1, true) and text ~= "." and text ~= ".."
end

--- The inverse of url.escape.
function url.unescape(text)
  return (text:gsub("%%(%x%x)", function(digits)
    return string.char(tonumber(digits, 16))
  end))
end

-- What is before the first gap of a template and behind it, by template: they
-- are few and constant.
local heads, tails = {}, {}

-- The last path made of each template with one gap, and the string that fills
-- it: most requests are about the same capsule as the one before.
local paths, fillings = {}, {}

--- Fills the gaps in "/v1/capsules/{}/files" with escaped segments.
function url.path(template, value, ...)
  local path = paths[template]
  if path and fillings[template] == value and ... == nil then
    return path
  end
  local head, tail = heads[template], tails[template]
  if not head then
    head, tail = template:match("^(.-){}(.*)$")
    if not head then
      return template
    end
    heads[template], tails[template] = head, tail
  end
  if ... ~= nil then
    return head .. url.segment(value) .. url.path(tail, ...)
  end
  path = head .. url.segment(value) .. tail
  if type(value) == "string" then -- 1 and 1.0 are equal, but not as text
    paths[template], fillings[template] = path, value
  end
  return path
end

--- Builds a query string with a leading question mark, sorted by name, or "".
function url.query(values)
  if values == nil then
    return ""
  end
  local parts = {}
  for name, value in pairs(values) do
    parts[#parts + 1] = url.escape(name) .. "=" .. url.escape(value)
  end
  if #parts == 0 then
    return ""
  end
  table.sort(parts)
  return "?" .. table.concat(parts, "&")
end

--- Splits a base URL into scheme, authority (host and port) and path without a
--- trailing slash. Returns nil if it is not an http or https URL.
function url.split(text)
  local scheme, authority, path = text:match("^(%a+)://([^/?#]+)([^?#]*)$")
  scheme = scheme and scheme:lower()
  if scheme ~= "http" and scheme ~= "https" then
    return nil
  end
  if authority:find("[%s%c@]") or path:find("[%s%c]")
    or not authority:gsub("^%[[%x:.]*%]", ""):find("^[^:]*:?%d*$")
  then
    return nil
  end
  return scheme, authority, (path:gsub("/+$", ""))
end

--- The WebSocket form of an http or https URL.
function url.to_ws(text)
  return (text:gsub("^http", "ws"))
end

return url
