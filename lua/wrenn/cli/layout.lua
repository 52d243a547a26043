-- Text for people: tables, durations, sizes, ages, and foreign text without
-- what a terminal would act on.

local layout = {}

--- A foreign text on one line, without control characters.
function layout.plain(text)
  return (tostring(text):gsub("\194[\128-\159]", " "):gsub("[%z\1-\31\127]",
    " "))
end

-- The number of characters, so that columns of names align.
local function width(text)
  return #(text:gsub("[\128-\191]", ""))
end

--- Prints rows of strings under headings.
function layout.table(ctx, headings, rows)
  local widths = {}
  for column, heading in ipairs(headings) do
    widths[column] = #heading
    for _, row in ipairs(rows) do
      row[column] = layout.plain(row[column] == nil and "-" or row[column])
      widths[column] = math.max(widths[column], width(row[column]))
    end
  end
  local function line(cells)
    local parts = {}
    for column, cell in ipairs(cells) do
      local last = column == #cells
      parts[column] = last and cell
        or cell .. (" "):rep(widths[column] - width(cell))
    end
    return (table.concat(parts, "  "):gsub(" +$", ""))
  end
  ctx:print(ctx:bold(line(headings)))
  for _, row in ipairs(rows) do
    ctx:print(line(row))
  end
end

--- Prints names and values; a table becomes KEY=VALUE pairs or a list.
function layout.fields(ctx, fields)
  local widest = 0
  for _, field in ipairs(fields) do
    widest = math.max(widest, #field[1])
  end
  for _, field in ipairs(fields) do
    local value = layout.value(field[2])
    if value ~= "" then
      local gap = (" "):rep(widest - #field[1] + 2)
      ctx:print(ctx:bold(field[1]) .. gap .. value)
    end
  end
end

--- A value of an answer as text.
function layout.value(value)
  if type(value) ~= "table" then
    return value == nil and "" or layout.plain(
      type(value) == "number" and ("%.14g"):format(value) or value)
  elseif value[1] ~= nil then
    local list = {}
    for i, item in ipairs(value) do
      list[i] = layout.value(item)
    end
    return table.concat(list, ", ")
  end
  local keys, parts = {}, {}
  for key in pairs(value) do
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b)
    return tostring(a) < tostring(b)
  end)
  for i, key in ipairs(keys) do
    parts[i] = layout.plain(key) .. "=" .. layout.value(value[key])
  end
  return table.concat(parts, " ")
end

--- "512M", "2G".
function layout.megabytes(mb)
  if not mb then
    return nil
  elseif mb >= 1024 and mb % 1024 == 0 then
    return ("%dG"):format(mb / 1024)
  end
  return ("%dM"):format(mb)
end

--- "12 B", "1.5 MiB".
function layout.bytes(count)
  if not count then
    return nil
  end
  local units, unit = { "B", "KiB", "MiB", "GiB", "TiB" }, 1
  while count >= 1024 and unit < #units do
    count, unit = count / 1024, unit + 1
  end
  return (unit == 1 and "%d %s" or "%.1f %s"):format(count, units[unit])
end

local DAYS = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 }

--- Seconds since 1970 of a time such as 2026-11-28T06:00:00Z; nil for others.
function layout.epoch(text)
  local y, mo, d, h, mi, s, rest = tostring(text):match(
    "^(%d%d%d%d)-(%d%d)-(%d%d)[T ](%d%d):(%d%d):(%d%d)(.*)$")
  if not y or not DAYS[tonumber(mo)] then
    return nil
  end
  y, mo = tonumber(y), tonumber(mo)
  local years = mo > 2 and y or y - 1
  local days = 365 * (y - 1970) + DAYS[mo] + tonumber(d) - 1
    + math.floor(years / 4) - math.floor(years / 100)
    + math.floor(years / 400) - 477
  local sign, oh, om = rest:match("([+-])(%d%d):?(%d%d)$")
  local offset = sign
    and (sign == "-" and -1 or 1) * (oh * 3600 + om * 60) or 0
  return days * 86400 + h * 3600 + mi * 60 + s - offset
end

--- How long ago a time of the server's was: "5s", "3m", "2h", "4d".
function layout.age(text)
  local then_ = layout.epoch(text)
  if not then_ then
    return nil
  end
  local seconds = math.max(0, os.time() - then_)
  if seconds < 120 then
    return ("%ds"):format(seconds)
  elseif seconds < 7200 then
    return ("%dm"):format(math.floor(seconds / 60))
  elseif seconds < 172800 then
    return ("%dh"):format(math.floor(seconds / 3600))
  end
  return ("%dd"):format(math.floor(seconds / 86400))
end

return layout
