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
    pings = pings + (inbox[i].type == "ping" and 1 or 0)
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

local function silent_of(circle)
  local silent = {}
  for object, before in pairs(circle) do
    local now = not object.ended and count(object) or nil
    silent[object] = now == before and now or nil
    circle[object] = now
  end
  return silent
end

local function arm(client, id, circle)
  scheduler.after(silence.SECONDS, function()
    local silent = not client.closed and silent_of(circle) or {}
    if next(silent) then
      task.background(end_all, client, id, silent)
    end
    if client.closed or not next(circle) then
      circles[client][id] = nil
    else
      arm(client, id, circle)
    end
  end)
end

--- Watches an object with an inbox until it has ended. Its field `pings`, if
--- there, counts the events of that type that it has taken.
function silence.watch(client, id, object)
  local of_client = circles[client] or {}
  circles[client] = of_client
  local circle = of_client[id]
  if not circle then
    circle = setmetatable({}, weak)
    of_client[id] = circle
    arm(client, id, circle)
  end
  circle[object] = count(object)
end

return silence
