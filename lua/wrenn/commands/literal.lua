-- Words that the wire would change: JSON carries UTF-8 only, and from 0.3 on a
-- server replaces a ~ in front by the home directory. They travel escaped, and
-- a fixed shell line turns them back.

local check = require("wrenn.check")

local literal = {}

-- "$1" names of variables up to --, whose values are escaped; then one escaped
-- word after another. The full stop keeps line ends at the end.
local DECODE = [[while [ "$1" != -- ]; do
  eval "v=\$$1"
  v=$(printf '%b.' "$v")
  export "$1=${v%.}"
  shift
done
shift
for word do
  shift
  word=$(printf '%b.' "$word")
  set -- "$@" "${word%.}"
done
exec "$@"]]

local function is_safe(word)
  return word:byte() ~= 126 and check.is_utf8(word)
end

local function octal(byte)
  return ("\\0%03o"):format(byte:byte())
end

local function escape(word)
  return (word:gsub("[\\\128-\255]", octal))
end

-- The names of variables that JSON cannot carry, and the environment with
-- those escaped.
local function escape_values(envs)
  local names, escaped = {}, {}
  for name, value in pairs(envs) do
    if check.is_utf8(value) then
      escaped[name] = value
    else
      names[#names + 1] = name
      escaped[name] = escape(value)
    end
  end
  table.sort(names)
  return names, escaped
end

--- Whether a shell can set a variable of that name.
function literal.is_variable(name)
  return name:find("^[%a_][%w_]*$") ~= nil
end

--- The words, and the environment if there is one, that have the effect of
--- these. A program's name is left to the server when it begins with ~.
function literal.wrap(list, envs)
  local safe = check.is_utf8(list[1])
  for i = 2, #list do
    safe = safe and is_safe(list[i])
  end
  local names = {}
  if envs then
    names, envs = escape_values(envs)
  end
  if safe and not names[1] then
    return list, envs
  end
  local wrapped = { "/bin/sh", "-c", DECODE, "sh" }
  for _, name in ipairs(names) do
    wrapped[#wrapped + 1] = name
  end
  wrapped[#wrapped + 1] = "--"
  for i, word in ipairs(list) do
    word = escape(word)
    wrapped[#wrapped + 1] = i > 1 and word:gsub("^~", octal) or word
  end
  return wrapped, envs
end

return literal
