-- Words that the protocol would change: JSON carries only UTF-8, and from 0.3
-- on a server replaces a leading ~ by the home directory. Such words are sent
-- escaped, and a fixed line of shell decodes them.

local check = require("wrenn.check")

local literal = {}

-- The arguments are the names of variables with escaped values, "--", and the
-- escaped words. The full stop preserves trailing newlines.
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

-- The names of variables whose values JSON cannot carry, and the environment
-- with these values escaped.
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

--- Whether a shell can set a variable of this name.
function literal.is_variable(name)
  return name:find("^[%a_][%w_]*$") ~= nil
end

--- Returns words, and an environment if there is one, that have the effect of
--- the given ones. A program name that begins with ~ is left to the server.
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
