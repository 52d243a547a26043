-- Waits for the status of a capsule. The answer of a call is never taken for
-- the final state: servers differ, and the work continues after the answer.

local errors = require("wrenn.errors")
local scheduler = require("wrenn.task.scheduler")
local server = require("wrenn.server")

local wait = {}

local DEFAULT_LIMIT = 30
-- Intervals between polls: short at first, for fast servers.
local PAUSES = { 0.02, 0.05, 0.1, 0.2 }
local LATER = { ready = 0.5, settled = 0.5, resume = 0.5, destroy = 0.5,
  pause = 2, snapshot = 0.5 }

-- `target`: success. `back`: the work began and was given up.
local goals = {
  ready = { target = { running = true } },
  resume = { target = { running = true }, begun = "resuming",
    back = "paused" },
  pause = { target = { paused = true }, begun = "pausing", back = "running" },
  destroy = { target = { stopped = true, missing = true } },
  snapshot = { target = { running = true, paused = true } },
}

-- Statuses that will change, and paused, which is checked.
goals.settled = { target = { running = true, paused = true } }

--- Statuses from which a capsule may run again.
wait.may_come_back = { running = true, paused = true, pausing = true,
  resuming = true }

--- Whether an error says that the host has no such capsule, which it also says
--- of a paused capsule.
function wait.is_gone(err)
  return (err.status_code == 404 or err.status_code == 502)
    and err.message:find("sandbox not found: cl-", 1, true) ~= nil
end

local final = { error = true, stopped = true, missing = true }

local function state_error(id, status, goal)
  return errors.new("CapsuleStateError",
    ("capsule %s entered the state %s while waiting for %s"):format(id, status,
      goal), { status = status })
end

-- Returns the capsule's info. When waiting for its end, "not found" is a
-- status.
local function look(client, id, goal)
  local info, err = client.capsules:get(id)
  if info then
    return info
  elseif goal == "destroy" and err.status_code == 404 then
    return { id = id, status = "missing" }
  end
  return nil, err
end

--- Whether a capsule that is reported as running does run; where that is not
--- reliable, it is pinged. Or nil, err.
function wait.runs(client, info)
  if info.status ~= "running" or not server.is_late(client, info) then
    return info.status == "running"
  end
  local ok, err = client.capsules:ping(info.id)
  if ok then
    return true
  elseif wait.is_gone(err) or err.status_code == 409 then
    return false
  end
  return nil, err
end

--- Polls until a goal is reached: "ready", "resume", "pause", "destroy",
--- "snapshot" (a snapshot has ended) or "settled" (the capsule is running or
--- paused). Returns its info; or nil, err.
function wait.for_status(client, id, goal, limit)
  local rule = goals[goal]
  local deadline = scheduler.now() + (limit or DEFAULT_LIMIT)
  local begun = false
  local polls = 0
  while true do
    local info, err = look(client, id, goal)
    if not info then
      return nil, err
    end
    local status = info.status
    local reached = rule.target[status]
    if reached and status == "running" and goal ~= "snapshot" then
      reached, err = wait.runs(client, info)
      if reached == nil then
        return nil, err
      end
    end
    if reached then
      return info
    elseif final[status] or begun and status == rule.back then
      return nil, state_error(id, status, goal)
    end
    begun = begun or status == rule.begun
    polls = polls + 1
    local pause = PAUSES[polls] or LATER[goal]
    local left = deadline - scheduler.now()
    if left <= 0 then
      return nil, errors.new("TimeoutError",
        ("capsule %s did not get to %s within %g s (last status: %s)")
          :format(id, goal, limit or DEFAULT_LIMIT, tostring(status)),
        { status = status })
    end
    local ok
    ok, err = scheduler.sleep(math.min(pause, left))
    if not ok then
      return nil, err
    end
  end
end

return wait
