-- The kinds of values that options and operands take: what a word means, or why
-- it means nothing.

local types = {}

local SECONDS = { d = 86400, h = 3600, m = 60, s = 1, ms = 0.001 }

--- A duration in seconds: "90", "5m", "1h30m", "1.5s".
function types.duration(word)
  local plain = word:match("^%d+%.?%d*$")
  if plain then
    return tonumber(plain)
  end
  local total, rest = 0, word
  while rest ~= "" do
    local number, unit, more = rest:match("^(%d+%.?%d*)(%a+)(.*)$")
    if not number or not SECONDS[unit] then
      return nil, "is not a duration such as 90, 5m or 1h30m"
    end
    total, rest = total + tonumber(number) * SECONDS[unit], more
  end
  if word == "" then
    return nil, "is not a duration such as 90, 5m or 1h30m"
  end
  return total
end

function types.integer(word)
  if not word:find("^%d+$") or #word > 15 then
    return nil, "is not a whole number"
  end
  return tonumber(word)
end

function types.port(word)
  local port = types.integer(word)
  if not port or port < 1 or port > 65535 then
    return nil, "is not a port (1 to 65535)"
  end
  return port
end

--- [LOCAL:]PORT, as {port=, here=}: the same port here, or 0 for any.
function types.forward(word)
  local here, port = word:match("^(%d*):(%d+)$")
  if not port then
    here, port = word, word
  end
  port, here = types.port(port), here:find("^0*$") and 0 or types.port(here)
  if not port or not here then
    return nil, "is not [LOCAL:]PORT (ports are 1 to 65535)"
  end
  return { port = port, here = here }
end

local MEGABYTES = { [""] = 1, m = 1, mb = 1, mi = 1, mib = 1, g = 1024,
  gb = 1024, gi = 1024, gib = 1024, t = 1048576, ti = 1048576 }

--- A size in megabytes: "512", "512M", "2G".
function types.size(word)
  local number, unit = word:match("^(%d+)(%a*)$")
  local factor = unit and MEGABYTES[unit:lower()]
  if not factor or #number > 9 then
    return nil, "is not a size such as 512M or 2G"
  end
  return tonumber(number) * factor
end

--- K=V, as a pair {key, value}.
function types.pair(word)
  local key, value = word:match("^([^=]+)=(.*)$")
  if not key then
    return nil, "does not look like KEY=VALUE"
  end
  return { key, value }
end

--- K=V, or K with the value that the environment has.
function types.variable(word)
  local key, value = word:match("^([^=]+)=(.*)$")
  if key then
    return { key, value }
  elseif word == "" or word:find("=", 1, true) then
    return nil, "does not look like KEY=VALUE or KEY"
  end
  return { word, os.getenv(word) }
end

function types.string(word)
  return word
end

--- A table of the pairs that an option given many times has collected.
function types.map(pairs_given)
  local map
  for _, pair in ipairs(pairs_given or {}) do
    map = map or {}
    map[pair[1]] = pair[2]
  end
  return map
end

return types
