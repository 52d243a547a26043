-- JSON in lua-cjson's hands, with the two things set right that it leaves to
-- its users: whole numbers are integers where the language has them, and null
-- is nil.

local core = require("wrenn.core")

local json = {}

local codec
local point -- what the codec writes between a number's digits, and reads there

-- The locale may change at any time; a codec learns of it when it is made.
local function instance()
  local now = ("%.1f"):format(0.5):sub(2, 2)
  if now ~= point then
    point = now
    codec = require("cjson").new()
    codec.encode_sparse_array(false)
    codec.decode_invalid_numbers(false)
  end
  return codec
end

--- Returns the value, or nil and what is wrong with the text. JSON's null at
--- the top is nil with no reason.
function json.decode(text)
  local cjson = instance()
  local ok, value = pcall(cjson.decode, text)
  if not ok then
    return nil, tostring(value)
  end
  if type(value) == "table" then
    return core.settle(value)
  elseif value == cjson.null then
    return nil
  end
  return value
end

--- Encodes a table that has string keys, or is a non-empty array. An empty
--- table is an object.
function json.encode(value)
  return instance().encode(value)
end

return json
