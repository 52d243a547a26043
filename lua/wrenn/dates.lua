-- When to come back: the value of Retry-After, which is a number of seconds or
-- a date in one of the three forms of HTTP.

local dates = {}

local DAY = 86400

local months = {}
for number, name in ipairs({ "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul",
  "Aug", "Sep", "Oct", "Nov", "Dec" })
do
  months[name] = number
end

-- The days from 1970-01-01 to a day of the Gregorian calendar. os.time cannot
-- tell: it takes its argument for local time.
local function days(year, month, day)
  if month <= 2 then
    year, month = year - 1, month + 12
  end
  return 365 * year + math.floor(year / 4) - math.floor(year / 100)
    + math.floor(year / 400) + math.floor((153 * month - 457) / 5) + day
    - 719469
end

-- The parts of a date: day, month, year, hour, minute, second.
local function parts_of(text)
  local d, m, y, h, min, s = text:match( -- Sun, 06 Nov 1994 08:49:37 GMT
    "^%a+, (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$")
  if d then
    return d, m, y, h, min, s
  end
  d, m, y, h, min, s = text:match( -- Sunday, 06-Nov-94 08:49:37 GMT
    "^%a+, (%d%d)%-(%a%a%a)%-(%d%d) (%d%d):(%d%d):(%d%d) GMT$")
  if d then
    return d, m, (tonumber(y) < 70 and "20" or "19") .. y, h, min, s
  end
  m, d, h, min, s, y = text:match( -- Sun Nov  6 08:49:37 1994
    "^%a+ (%a%a%a) +(%d%d?) (%d%d):(%d%d):(%d%d) (%d%d%d%d)$")
  return d, m, y, h, min, s
end

--- Returns the Unix time of an HTTP date; nil if it is malformed.
function dates.parse(text)
  local day, month, year, hour, minute, second = parts_of(text)
  month, day, hour = months[month], tonumber(day), tonumber(hour)
  minute, second = tonumber(minute), tonumber(second)
  if not month or day < 1 or day > 31 or hour > 23 or minute > 59
    or second > 60
  then
    return nil
  end
  return days(tonumber(year), month, day) * DAY + hour * 3600 + minute * 60
    + second
end

--- Returns the seconds that a Retry-After asks for, 0 to those of a day; nil if
--- it is absent or makes no sense. `date` is the Date of the same answer, by
--- which a date is measured: the clock here may be another.
function dates.delay(text, date)
  local seconds = text and tonumber((text:match("^(%d+)%.?%d*$")))
  if text and not seconds then
    local at = dates.parse(text)
    seconds = at and at - (date and dates.parse(date) or os.time())
  end
  return seconds and math.max(0, math.min(seconds, DAY)) or nil
end

return dates
