-- A row of a table of measurements: the library and a yardstick, alternating,
-- so that other load affects both.

local measure = { missed = 0 }

local unpack = table.unpack or unpack

local ROUNDS = tonumber(os.getenv("ROUNDS")) or 7
local ONLY = os.getenv("ONLY") -- measure only rows whose title contains this

function measure.median(list)
  local sorted = {}
  for i, value in ipairs(list) do
    sorted[i] = value
  end
  table.sort(sorted)
  return sorted[math.floor(#sorted / 2) + 1]
end

local function quote(word)
  return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

--- Runs a program and returns the numbers that it prints.
function measure.numbers_of(...)
  local words = {}
  for i, word in ipairs({ ... }) do
    words[i] = quote(word)
  end
  local pipe = assert(io.popen(table.concat(words, " ")))
  local numbers = {}
  for number in pipe:read("*a"):gmatch("%S+") do
    numbers[#numbers + 1] = tonumber(number)
  end
  pipe:close()
  assert(#numbers > 0, words[1] .. " failed")
  return unpack(numbers)
end

--- Prints the head of the table.
function measure.head(title)
  print(("%-36s %11s %11s %-5s %8s %8s %6s  %s"):format(title, "yardstick",
    "wrenn", "", "us", "us", "ratio", "bar"))
end

local function verdict(row, ratio)
  local bar = row.at_least or row.at_most
  if not bar then
    return ""
  end
  local met = row.at_least and ratio >= bar or row.at_most and ratio <= bar
  if not met then
    measure.missed = measure.missed + 1
  end
  return ("%s %.2f %s"):format(row.at_least and ">=" or "<=", bar,
    met and "met" or "MISSED")
end

--- Measures and prints a row: {title, unit, yardstick, ours, operations,
--- at_least or at_most}. Both functions return a figure and the CPU time of all
--- operations in seconds, which may be nil for the yardstick. The ratio is the
--- median of the ratios of all rounds, since both halves of a round run side by
--- side.
function measure.row(row)
  if ONLY and not row.title:find(ONLY, 1, true) then
    return
  end
  local bare, ours, ratios, bare_cpu, our_cpu = {}, {}, {}, {}, {}
  row.yardstick() -- a warm-up
  row.ours()
  for i = 1, row.rounds or ROUNDS do
    local seconds
    bare[i], seconds = row.yardstick()
    bare_cpu[i] = seconds or 0
    ours[i], our_cpu[i] = row.ours()
    ratios[i] = ours[i] / bare[i]
  end
  local per = 1e6 / row.operations
  local ratio = measure.median(ratios)
  local bare_us = measure.median(bare_cpu) * per
  print(("%-36s %11.1f %11.1f %-5s %8s %8.2f %6.2f  %s"):format(row.title,
    measure.median(bare), measure.median(ours), row.unit,
    bare_us > 0 and ("%.2f"):format(bare_us) or "-",
    measure.median(our_cpu) * per, ratio, verdict(row, ratio)))
  io.stdout:flush()
end

return measure
