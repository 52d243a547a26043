-- Keeps a capsule from being paused while something of it is open that does not
-- count as activity: a stream, a terminal. It is pinged as long as this process
-- runs its tasks; what nobody holds any more is no reason to go on.

local scheduler = require("wrenn.task.scheduler")
local task = require("wrenn.task")

local keepalive = {}

local weak = { __mode = "k" }
-- What is open, by client and capsule.
local circles = setmetatable({}, weak)

--- Asks for a ping of a capsule of a client every `seconds`.
function keepalive.want(client, id, seconds)
  client.keepalive = client.keepalive or {}
  client.keepalive[id] = seconds
end

local function ping(client, id)
  client.capsules:ping(id) -- on_event tells of a failure
end

local function arm(client, id, circle)
  circle.stop = scheduler.after(circle.seconds, function()
    circle.stop = nil
    if next(circle.open) and not client.closed then
      task.background(ping, client, id)
      arm(client, id, circle)
    end
  end)
end

--- Begins to keep a capsule awake for an object, if that is wanted.
function keepalive.hold(client, id, object)
  local seconds = client.keepalive and client.keepalive[id]
    or client.settings.keepalive
  if not seconds or seconds == 0 then
    return
  end
  circles[client] = circles[client] or {}
  local circle = circles[client][id]
    or { open = setmetatable({}, weak), seconds = seconds }
  circles[client][id] = circle
  circle.open[object] = true
  if not circle.stop then
    arm(client, id, circle)
  end
end

--- Ends that for an object; does nothing if it was not held.
function keepalive.let_go(client, id, object)
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

return keepalive
