-- Argument checks: misuse raises at the line of the caller and names the
-- argument.

local check = {}

local function describe(value)
  return value == nil and "nil" or type(value)
end

local function matches(value, types)
  local actual = type(value)
  for name in types:gmatch("[^|]+") do
    if actual == name
      or (name == "integer" and actual == "number" and value % 1 == 0)
      or (name == "callable" and (actual == "function"
        or (getmetatable(value) or {}).__call))
    then
      return true
    end
  end
  return false
end

local function fail(kind, name, fname, what, level)
  error(("bad %s '%s' to '%s' (%s)"):format(kind, name, fname, what),
    level + 2)
end

-- The number of single changes that make one word another: a character added,
-- removed or replaced, or two neighbours swapped.
local function distance(a, b)
  local before, row = {}, {}
  for j = 0, #b do
    row[j] = j
  end
  for i = 1, #a do
    local above = row
    row = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local least = math.min(above[j] + 1, row[j - 1] + 1,
        above[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1)
        and a:byte(i - 1) == b:byte(j)
      then
        least = math.min(least, before[j - 2] + 1)
      end
      row[j] = least
    end
    before = above
  end
  return row[#b]
end

--- What a name may have been meant to be, of the keys of a table: "; did you
--- mean 'x'?", or "".
function check.meant(name, names)
  local best, least
  for known in pairs(names) do
    local far = distance(name:lower(), known:lower())
    if #name >= 3 and known:sub(1, #name) == name then
      far = math.min(far, 1)
    end
    if far <= math.max(1, math.floor(#name / 3))
      and (not best or far < least or far == least and known < best)
    then
      best, least = known, far
    end
  end
  return best and ("; did you mean '%s'?"):format(best) or ""
end

--- `types` is a list such as "string|nil". `level` is that of error, counted
--- from the misused function: 2 is its caller.
function check.arg(value, name, fname, types, level)
  if type(value) ~= types and not matches(value, types) then
    fail("argument", name, fname, ("%s expected, got %s")
      :format(types:gsub("|", " or "), describe(value)), level or 2)
  end
  return value
end

function check.text(value, name, fname, level)
  check.arg(value, name, fname, "string", (level or 2) + 1)
  if value == "" then
    fail("argument", name, fname, "it is empty", level or 2)
  end
  if value:find("\0", 1, true) then
    fail("argument", name, fname, "it holds a NUL byte", level or 2)
  end
  return value
end

-- The characters beyond ASCII in UTF-8.
local C = "[\128-\191]"
local characters = {
  "[\194-\223]" .. C, "\224[\160-\191]" .. C, "\237[\128-\159]" .. C,
  "[\225-\236\238\239]" .. C .. C, "\240[\144-\191]" .. C .. C,
  "[\241-\243]" .. C .. C .. C, "\244[\128-\143]" .. C .. C,
}

--- Whether bytes are valid UTF-8, which JSON requires.
function check.is_utf8(bytes)
  if not bytes:find("[\128-\255]") then
    return true
  end
  for _, character in ipairs(characters) do
    bytes = bytes:gsub(character, ".")
  end
  return not bytes:find("[\128-\255]")
end

--- Raises unless text is UTF-8. `kind`: "argument" or "option".
function check.utf8(text, kind, name, fname, level)
  if text and not check.is_utf8(text) then
    fail(kind, name, fname, "it is not UTF-8", level or 2)
  end
end

--- A path that travels in JSON or in a form's field, as those of file requests.
function check.path(value, name, fname, level)
  check.text(value, name, fname, (level or 2) + 1)
  if not check.is_utf8(value) then
    fail("argument", name, fname, "it is not UTF-8; rename, copy, chmod and"
      .. " commands take any bytes", level or 2)
  end
  return value
end

local function check_map(map, name, fname, level)
  for key, value in pairs(map) do
    if type(key) ~= "string" or type(value) ~= "string" then
      fail("option", name, fname, "strings by name expected", level)
    elseif (key .. value):find("\0", 1, true) then
      fail("option", name, fname, "a NUL byte in " .. key, level)
    end
  end
end

local function check_list(list, name, fname, level)
  local count = 0
  for _ in pairs(list) do
    count = count + 1
  end
  for i = 1, count do
    if type(list[i]) ~= "string" then
      fail("option", name, fname, "array of strings expected", level)
    elseif list[i]:find("\0", 1, true) then
      fail("option", name, fname, "it holds a NUL byte", level)
    end
  end
end

local function is_word(value)
  return value >= 1 and value <= 65535 and value % 1 == 0
end

--- Ports, and the sides of a terminal: 16 bits and not 0.
function check.word(value, name, fname, level)
  check.arg(value, name, fname, "integer", (level or 2) + 1)
  if not is_word(value) then
    fail("argument", name, fname, "from 1 to 65535 expected", level or 2)
  end
  return value
end

local function check_string(value, name, fname, level)
  if value:find("\0", 1, true) then
    fail("option", name, fname, "it holds a NUL byte", level)
  end
end

-- "bytes" is a string that may contain NUL bytes.
local kinds = {
  string = function(value, name, fname, level)
    check_string(value, name, fname, level + 1)
  end,
  map = function(value, name, fname, level)
    check_map(value, name, fname, level + 1)
  end,
  list = function(value, name, fname, level)
    check_list(value, name, fname, level + 1)
  end,
  seconds = function(value, name, fname, level)
    if value ~= value or value < 0 or value >= 2 ^ 31 then
      fail("option", name, fname, "seconds from 0 to 2^31 expected", level)
    end
  end,
  positive = function(value, name, fname, level)
    if not (value > 0 and value % 1 == 0) then
      fail("option", name, fname, "whole number above 0 expected", level)
    end
  end,
  word = function(value, name, fname, level)
    if not is_word(value) then
      fail("option", name, fname, "whole number from 1 to 65535 expected",
        level)
    end
  end,
}

local base_types = {
  map = "table", list = "table", seconds = "number", positive = "number",
  word = "number", string = "string", bytes = "string",
}

--- Checks an options table: `spec` maps names to a type, or to a kind above.
--- Returns the table, or an empty one for nil.
function check.options(opts, fname, spec, level)
  level = level or 2
  if opts == nil then
    return {}
  end
  if type(opts) ~= "table" then
    fail("argument", "opts", fname, "table expected, got " .. type(opts),
      level)
  end
  for name, value in pairs(opts) do
    local expected = spec[name]
    if not expected then
      name = tostring(name)
      fail("option", name, fname,
        "there is no such option" .. check.meant(name, spec), level)
    end
    local kind = expected:match("^%a+")
    local types = expected:gsub("%a+", function(word)
      return base_types[word]
    end)
    if not matches(value, types) then
      fail("option", name, fname, ("%s expected, got %s")
        :format(types:gsub("|", " or "), describe(value)), level)
    end
    if kinds[kind] and type(value) == base_types[kind] then
      kinds[kind](value, name, fname, level + 1)
    end
  end
  return opts
end

--- Raises if a function of a class was called like a method of that class.
function check.dot(value, class, fname, level)
  if type(value) == "table" and value[class] then
    fail("argument", "self", fname, "call it with a dot", level or 2)
  end
end

--- Raises if a method was called without its object.
function check.self(self, class, fname, level)
  if type(self) ~= "table" or not self[class] then
    fail("argument", "self", fname, "call it with a colon",
      level or 2)
  end
end

return check
