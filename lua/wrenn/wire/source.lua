-- The sources of an upload: a string, an array of strings, a function that
-- returns the next piece, or an open file.

local errors = require("wrenn.errors")

local source = {}

local PIECE = 64 * 1024

local function each_of(list)
  local i = 0
  return function()
    i = i + 1
    return list[i]
  end
end

local function total(list)
  local size = 0
  for i = 1, #list do
    if type(list[i]) ~= "string" then
      return nil
    end
    size = size + #list[i]
  end
  return size
end

-- The number of bytes left in an open file; nil if unknown (a pipe).
local function left_in(file)
  local here = file:seek("cur")
  local size = here and file:seek("end")
  if not size or not file:seek("set", here) then
    return nil
  end
  return size - here
end

-- Files in /proc and the like report the size 0 and contain more.
local function size_of_file(file)
  local ok, size = pcall(left_in, file)
  return ok and size and size > 0 and size or nil
end

local function is_file(value)
  return io.type(value) == "file"
    or (type(value) == "table" and type(value.read) == "function")
end

--- Whether a value can be a source.
function source.accepts(value)
  local kind = type(value)
  return kind == "string" or kind == "function" or kind == "table"
    or is_file(value)
end

--- Whether a source can be read again with the same result.
function source.repeats(value)
  return type(value) == "string"
    or type(value) == "table" and not is_file(value)
end

--- Returns a function that returns the next piece (nil at the end, nil, err on
--- failure), and the total size if known.
function source.open(value)
  if type(value) == "string" then
    return each_of({ value }), #value
  elseif type(value) == "function" then
    return value
  elseif is_file(value) then
    return function()
      return value:read(PIECE)
    end, io.type(value) == "file" and size_of_file(value) or nil
  end
  return each_of(value), total(value)
end

--- The error for a value that is not a piece.
function source.failed(piece, why)
  if errors.is_error(why) then
    return why
  elseif why ~= nil then
    return errors.new("ValidationError", "the source failed: " .. tostring(why))
  end
  return errors.new("ValidationError",
    "the source returned a " .. type(piece) .. " instead of a string")
end

return source
