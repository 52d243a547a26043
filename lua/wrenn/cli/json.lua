-- The JSON that commands print: keys in order, arrays known as such, and no
-- byte that a terminal would act on. The API's JSON is in wrenn.wire.

local check = require("wrenn.check")

local json = {}

local Array = {}

--- Marks a table as an array, which an empty one does not show.
function json.array(list)
  return setmetatable(list or {}, Array)
end

local short = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\t"] = "\\t",
  ["\r"] = "\\r" }

local function escape(char)
  return short[char] or ("\\u%04x"):format(char:byte())
end

-- What is no UTF-8 becomes replacement characters.
local function valid(text)
  if check.is_utf8(text) then
    return text
  end
  local parts, i = {}, 1
  while i <= #text do
    local length = 1
    for try = 4, 2, -1 do
      local piece = text:sub(i, i + try - 1)
      if #piece == try and piece:find("^[\194-\244][\128-\191]+$")
        and check.is_utf8(piece)
      then
        length = try
        break
      end
    end
    local piece = text:sub(i, i + length - 1)
    parts[#parts + 1] = check.is_utf8(piece) and piece or "\239\191\189"
    i = i + length
  end
  return table.concat(parts)
end

local function quote(text)
  text = valid(text):gsub('[%z\1-\31"\\\127]', escape)
  -- The controls beyond ASCII: a terminal takes U+009B for ESC [.
  text = text:gsub("\194([\128-\159])", function(byte)
    return ("\\u%04x"):format(byte:byte())
  end)
  return '"' .. text .. '"'
end

local function number(value)
  if value ~= value or value == math.huge or value == -math.huge then
    return "null"
  elseif value % 1 == 0 and math.abs(value) < 1e15 then
    return ("%d"):format(value)
  end
  return (("%.14g"):format(value):gsub(",", "."))
end

local function is_array(value)
  return getmetatable(value) == Array or value[1] ~= nil
end

local encode

local function encode_array(value, parts)
  for i = 1, #value do
    parts[#parts + 1] = i == 1 and "[" or ","
    encode(value[i], parts)
  end
  parts[#parts + 1] = #value == 0 and "[]" or "]"
end

local function encode_object(value, parts)
  local keys = {}
  for key in pairs(value) do
    keys[#keys + 1] = tostring(key)
  end
  table.sort(keys)
  for i, key in ipairs(keys) do
    parts[#parts + 1] = (i == 1 and "{" or ",") .. quote(key) .. ":"
    encode(value[key], parts)
  end
  parts[#parts + 1] = #keys == 0 and "{}" or "}"
end

function encode(value, parts)
  local kind = type(value)
  if kind == "table" then
    return (is_array(value) and encode_array or encode_object)(value, parts)
  elseif kind == "string" then
    parts[#parts + 1] = quote(value)
  elseif kind == "number" then
    parts[#parts + 1] = number(value)
  elseif kind == "boolean" then
    parts[#parts + 1] = tostring(value)
  else
    parts[#parts + 1] = "null"
  end
end

--- The JSON of a value, on one line.
function json.text(value)
  local parts = {}
  encode(value, parts)
  return table.concat(parts)
end

return json
