-- A capsule that is paused or lost does not close its connections: the server
-- waits for more until its system gives them up, which takes minutes, and sends
-- nothing meanwhile. So where a stream or a terminal is silent, the API is asked
-- from time to time whether the capsule runs at all. That is no activity, and
-- keeps no capsule awake.

local fate = require("wrenn.client.fate")
local scheduler = require("wrenn.task.scheduler")
local task = require("wrenn.task")

local silence = { SECONDS = 30 }

local weak = { __mode = "k" }
-- What is open, by client and capsule, and how much had come of it.
local circles = setmetatable({}, weak)

-- How many events have come; without those that only say that the connection
-- lives, of which `pings` have been read.
local function count(object)
  local inbox, pings = object.inbox, object.pings
  if not pings then
    return inbox:count()
  end
  for i = inbox.first, inbox.last do
    pings = pings + (inbox:at(i).type == "ping" and 1 or 0)
  end
  return inbox:count() - pings
end

-- The end looks like that of a lost connection, whose reason is looked for.
local function end_all(client, id, silent)
  if fate.has_come(client, id) then
    for object, before in pairs(silent) do
      if not object.ended and count(object) == before then
        object.inbox:put({ kind = "closed", 1006, "" })
      end
    end
  end
end

local function silent_of(open)
  local silent = {}
  for object, before in pairs(open) do
    local now = count(object)
    silent[object] = now == before and now or nil
    open[object] = now
  end
  return silent
end

local function arm(client, id, circle)
  circle.stop = scheduler.after(silence.SECONDS, function()
    circle.stop = nil
    if next(circle.open) and not client.closed then
      local silent = silent_of(circle.open)
      if next(silent) then
        task.background(end_all, client, id, silent)
      end
      arm(client, id, circle)
    end
  end)
end

--- Begins to watch an object with an inbox. Its field `pings`, if there, counts
--- the events of that type that it has taken.
function silence.watch(client, id, object)
  circles[client] = circles[client] or {}
  local circle = circles[client][id] or { open = setmetatable({}, weak) }
  circles[client][id] = circle
  circle.open[object] = count(object)
  if not circle.stop then
    arm(client, id, circle)
  end
end

--- Ends that; does nothing if it was not watched.
function silence.let_go(client, id, object)
  local circle = circles[client] and circles[client][id]
  if not circle then
    return
  end
  circle.open[object] = nil
  if not next(circle.open) then
    if circle.stop then
      circle.stop()
    end
    circles[client][id] = nil
  end
end

return silence
