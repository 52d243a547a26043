-- Random identifiers: names that nobody else has.

local core = require("wrenn.core")

local ids = {}

--- Returns the hexadecimal digits of `count` random bytes.
function ids.random(count)
  return (core.random(count):gsub(".", function(byte)
    return ("%02x"):format(byte:byte())
  end))
end

--- Returns a random UUID (version 4).
function ids.uuid()
  local digits = ids.random(16)
  local variant = ("89ab"):sub(tonumber(digits:sub(17, 17), 16) % 4 + 1)
    :sub(1, 1)
  return table.concat({ digits:sub(1, 8), digits:sub(9, 12),
    "4" .. digits:sub(14, 16), variant .. digits:sub(18, 20),
    digits:sub(21, 32) }, "-")
end

return ids
