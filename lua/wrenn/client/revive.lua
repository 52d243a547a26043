-- Capsules that were paused behind the caller's back, by the server after a
-- time of inactivity or by somebody else. A 0.1 server still reports such a
-- capsule as running for a while, and its host answers that it does not exist.

local errors = require("wrenn.errors")
local fate = require("wrenn.client.fate")
local retry = require("wrenn.wire.retry")
local server = require("wrenn.server")
local wait = require("wrenn.client.status")

local revive = {}

-- Requests below a capsule's path that concern its status.
local OWN = { pause = true, resume = true, ping = true }

--- Returns the id of the capsule that has to run for a request, or nil.
local function capsule_of(request)
  local id, rest = request.path:match("^/v1/capsules/([^/]+)/(.+)$")
  return id and not OWN[rest] and id or nil
end

local function is_wanted(client, id)
  return client.settings.auto_resume or client.auto_resume
    and client.auto_resume[id]
end

--- Enables auto_resume for a capsule of a client.
function revive.want(client, id)
  client.auto_resume = client.auto_resume or {}
  client.auto_resume[id] = true
end

local function state_error(id, status, err)
  return errors.new("CapsuleStateError",
    ("capsule %s is not running, whatever its status says (%s)")
      :format(id, tostring(status)), {
      status = status, status_code = err.status_code,
      request_id = err.request_id, cause = err,
    })
end

--- Makes a capsule run: resumes it if it is paused, and waits until it is
--- running. Returns its info, or nil, err.
function revive.bring_back(client, id, limit)
  local info, err = wait.for_status(client, id, "settled", limit)
  if info and info.status == "paused" then
    info, err = client.capsules:resume(id)
    if info and (info.status ~= "running" or server.is_late(client, info)) then
      info, err = wait.for_status(client, id, "ready", limit)
    end
  end
  return info, err
end

-- Whether an error says that a capsule does not run. A 409 may mean other
-- things, too.
local function is_asleep(err)
  return err.status_code == 409 and (err.code == "sandbox_not_running"
    or err.code == "invalid_state" or err.message:find("not running", 1, true))
end

-- Whether a transfer of a file was under way when its connection ended.
local function is_cut_off(request, err)
  local details = not err.status_code and err.details
  return details and details.sent
    and (details.kind == "broken" or details.kind == "connect")
    and (request.path:find("/files/.*read$")
      or request.path:find("/files/.*write$"))
end

--- Handles a failed request: returns its error or a better one, or, with
--- auto_resume, the result of again().
function revive.answer(client, request, err, again)
  local id = capsule_of(request)
  if id and is_cut_off(request, err) then
    return nil, fate.of(client, request.path, err, retry.left(request) or nil)
  end
  local is_gone = wait.is_gone(err)
  local wanted = id and is_wanted(client, id) and not request.upload
  if not id or not (is_gone or wanted and is_asleep(err)) then
    return nil, err
  end
  local info = client.capsules:get(id)
  local status = info and info.status
  if wanted and wait.may_come_back[status] then
    local back, why =
      revive.bring_back(client, id, retry.left(request) or nil)
    if not back then
      return nil, why
    end
    return again()
  end
  return nil, is_gone and info and state_error(id, status, err) or err
end

--- Called before a WebSocket to a capsule with auto_resume is opened, as it
--- would only fail after the upgrade. Returns true, or nil, err.
function revive.ensure(client, request)
  local id = capsule_of(request)
  if not id or not is_wanted(client, id) then
    return true
  end
  local ok, err = client.capsules:ping(id)
  if ok or not (wait.is_gone(err) or is_asleep(err)) then
    return true -- the error of the request is more precise
  end
  ok, err = revive.bring_back(client, id)
  return ok and true, err
end

return revive
