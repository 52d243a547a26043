-- What became of a capsule when something of it ended without its end: a
-- stream, a terminal, a transfer, running code. The API knows, and is asked for
-- a short time.

local errors = require("wrenn.errors")
local http = require("wrenn.wire.http")
local scheduler = require("wrenn.task.scheduler")
local task = require("wrenn.task")
local wait = require("wrenn.client.status")

local fate = {}

local LIMIT = 3 -- seconds
local SETTLES, PAUSE = 1.5, 0.2 -- until a late server may tell more

-- What a status says of a capsule that was running. All others are those of one
-- that goes on.
local fates = {
  pausing = "the capsule was paused",
  paused = "the capsule was paused",
  resuming = "the capsule was paused",
  hibernated = "the capsule was paused",
  stopping = "the capsule was destroyed",
  stopped = "the capsule was destroyed",
  missing = "the capsule is lost with its host",
  error = "the capsule has failed",
}

-- GET /v1/capsules/{id}.
local function ask(client, id)
  return http.call(client, {
    method = "GET", path = "/v1/capsules/" .. id, timeout = LIMIT,
    retries = 0,
  }, "capsule")
end

-- Returns the status, and what became of the capsule; nil if that cannot be
-- known. Servers of 0.1 go on calling a capsule running for a while that is
-- being destroyed or has been paused.
local function look(client, id)
  local latest = scheduler.now() + SETTLES
  while true do
    local info, err = ask(client, id)
    if not info then
      return err.status_code == 404 and "stopped" or nil, fates.stopped
    end
    local status = info.status
    if status ~= "running" or wait.runs(client, info) ~= false then
      return status, fates[status]
    elseif scheduler.now() >= latest or not scheduler.sleep(PAUSE) then
      return status, "the capsule does not run any more"
    end
  end
end

--- Returns the error in place of `err`, which ended something of the capsule
--- that a path of the API names: a CapsuleStateError; the same error with the
--- `status` of a capsule that goes on; or the same if nobody can tell. Takes
--- `limit` seconds at the most (3).
function fate.of(client, path, err, limit)
  local id = path:match("^/v1/capsules/([^/]+)/")
  if not id then
    return err
  end
  local status, story = task.with_timeout(math.min(limit or LIMIT, LIMIT),
    function()
      return look(client, id)
    end)
  if story and status then
    return errors.new("CapsuleStateError", err.message .. ": " .. story,
      { status = status, details = err.details, cause = err })
  elseif status then
    err.message = err.message .. ": the connection was lost"
    err.status = status
  end
  return err
end

--- Whether the API says that a capsule does not run any more. Unlike fate.of,
--- this does nothing that counts as activity.
function fate.has_come(client, id)
  local info, err = ask(client, id)
  if info then
    return fates[info.status] ~= nil
  end
  return err.status_code == 404
end

return fate
