-- JSON. The core decodes it: whole numbers become integers where Lua has them,
-- and null becomes nil. lua-cjson encodes it.

local core = require("wrenn.core")

local json = {}

local codec
local locale -- the one that the codec was created in

-- The locale may change at any time; a codec reads the decimal point when
-- created. LuaJIT's own formatting would not show it.
local function instance()
  local now = os.setlocale(nil, "numeric")
  if not codec or now ~= locale then
    locale = now
    codec = require("cjson").new()
    codec.encode_sparse_array(false)
  end
  return codec
end

--- Returns the value, or nil and the reason if the text is malformed. For
--- JSON's null it returns nil without a reason.
json.decode = core.json

--- Encodes a table with string keys or a non-empty array. An empty table is an
--- object.
function json.encode(value)
  return instance().encode(value)
end

return json
