-- Headers of tar archives: their fields, and pax records.

local header = {}

local BLOCK = 512
local MAX_NAME = 64 * 1024
local MAX_RECORDS = 1024 * 1024
local MAX_SIZE = 2 ^ 53

-- ---- numbers and texts of a header -----------------------------------------

local function text(block, at, size)
  return block:sub(at, at + size - 1):match("^%Z*")
end

-- Base 256, two's complement, marked by the first bit.
local function binary(field)
  local first = field:byte()
  if first ~= 128 and first ~= 255 then
    return nil
  end
  local value = 0
  for i = 2, #field do
    if value >= MAX_SIZE / 256 then
      return nil
    end
    local byte = field:byte(i)
    value = value * 256 + (first == 255 and 255 - byte or byte)
  end
  return first == 255 and -value - 1 or value
end

local function number(block, at, size)
  local field = block:sub(at, at + size - 1)
  local value
  if field:byte() >= 128 then
    value = binary(field)
  else
    local digits = field:match("^ *([0-7]*)[ %z]*$")
    value = digits == "" and 0 or digits and tonumber(digits, 8)
  end
  if value and value < MAX_SIZE and value > -MAX_SIZE then
    return value
  end
end

--- Computes the checksum of a header.
function header.sum(block)
  local total = 8 * 32 -- its own field counts as spaces
  for at = 1, BLOCK, 128 do
    local bytes = { block:byte(at, at + 127) }
    for i = 1, 128 do
      local place = at + i - 1
      if place < 149 or place > 156 then
        total = total + bytes[i]
      end
    end
  end
  return total
end

-- ---- reading: meta data ----------------------------------------------------

--- Parses records of the form "27 path=some/file name\n"; nil and the reason.
function header.records(data)
  local fields, at = {}, 1
  while at <= #data do
    local digits = data:match("^(%d+) ", at)
    local size = digits and #digits < 10 and tonumber(digits)
    local record = size and data:sub(at, at + size - 1)
    local key, value
    if record and #record == size then
      key, value = record:match("^%d+ ([^=]+)=(.*)\n$")
    end
    if not key then
      return nil, "malformed pax record"
    end
    fields[key] = value
    at = at + size
  end
  return fields
end

local types = {
  ["\0"] = "file", ["0"] = "file", ["7"] = "file", ["1"] = "link",
  ["2"] = "symlink", ["3"] = "other", ["4"] = "other", ["5"] = "directory",
  ["6"] = "other",
}
--- Headers that describe the following entry, and their maximum length.
header.metas =
  { L = MAX_NAME, K = MAX_NAME, x = MAX_RECORDS, g = MAX_RECORDS }

--- Applies records to an entry. Returns it, or nil and the reason.
function header.apply(entry, fields)
  for key in pairs(fields) do
    if key:find("^GNU%.sparse%.") then
      return nil, "sparse files are not supported"
    end
  end
  entry.path = fields.path or entry.path
  entry.target = fields.linkpath or entry.target
  if fields.mtime then
    entry.mtime = tonumber((fields.mtime:match("^%-?%d+%.?%d*$")))
    if not entry.mtime or math.abs(entry.mtime) >= MAX_SIZE then
      return nil, "malformed time"
    end
  end
  if fields.size then
    entry.size = fields.size:find("^%d+$") and tonumber(fields.size)
    if not entry.size or entry.size >= MAX_SIZE then
      return nil, "malformed size"
    end
  end
  return entry
end

--- Parses a header into an entry; nil and the reason.
function header.parse(block)
  local check = number(block, 149, 8)
  if check ~= header.sum(block) then
    return nil, "a header's checksum is wrong"
  end
  local kind = block:sub(157, 157)
  local entry = {
    path = text(block, 1, 100), target = text(block, 158, 100),
    mode = number(block, 101, 8), size = number(block, 125, 12),
    mtime = number(block, 137, 12), kind = kind, type = types[kind],
  }
  if not entry.mode or not entry.size or not entry.mtime or entry.size < 0 then
    return nil, "a header holds a malformed number"
  elseif not entry.type and not header.metas[kind] then
    return nil, ("entries of type '%s' are not supported")
      :format(kind:gsub("%c", "?"))
  end
  if block:sub(258, 263) == "ustar\0" then
    local prefix = text(block, 346, 155)
    if prefix ~= "" then
      entry.path = prefix .. "/" .. entry.path
    end
  end
  return entry
end

return header
