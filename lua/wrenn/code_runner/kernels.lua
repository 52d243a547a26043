-- Jupyter's HTTP side: the kernels of a capsule.

local errors = require("wrenn.errors")
local json = require("wrenn.json")
local proxy = require("wrenn.proxy")
local scheduler = require("wrenn.scheduler")
local url = require("wrenn.url")

local kernels = {}

kernels.PORT = 8888
kernels.TEMPLATE = "code-runner-beta"

local CALL_LIMIT = 5 -- seconds; starting a kernel may take longer
local PAUSE = 0.5
local TRANSIENT = { connect = true, resolve = true, broken = true,
  timeout = true, closed = true }
local ON_THE_WAY = { starting = true, pending = true, resuming = true }

local function call(capsule, method, path, limit, body)
  local answer, err = proxy.send(capsule, kernels.PORT, {
    method = method, path = path, timeout = limit or CALL_LIMIT,
    body = body and json.encode(body) or method == "POST" and "{}" or nil,
    headers = method == "POST" and { ["Content-Type"] = "application/json" }
      or nil,
  })
  if not answer then
    return nil, err
  end
  local decoded, why = json.decode(answer.body)
  if answer.status < 200 or answer.status >= 300 then
    return nil, errors.from_response(answer.status, decoded, answer.body,
      function(name) return answer.headers[name] end)
  elseif type(decoded) ~= "table" and answer.body ~= "" then
    return nil, errors.new("ProtocolError",
      ("Jupyter's answer is not JSON (%s)"):format(why or "no object"))
  end
  return decoded or {}
end

local function path_of(template, id)
  return url.path("/api/kernels" .. template, id)
end

--- All of them, as Jupyter describes them.
function kernels.list(capsule, left)
  return call(capsule, "GET", "/api/kernels", math.min(left, CALL_LIMIT))
end

--- Starts one.
function kernels.start(capsule, name, limit)
  local kernel, err = call(capsule, "POST", "/api/kernels", limit,
    { name = name })
  if kernel and type(kernel.id) ~= "string" then
    return nil, errors.new("ProtocolError", "Jupyter started a kernel without"
      .. " an id")
  end
  return kernel, err
end

function kernels.get(capsule, id, limit)
  return call(capsule, "GET", path_of("/{}", id), limit)
end

function kernels.interrupt(capsule, id)
  return call(capsule, "POST", path_of("/{}/interrupt", id))
end

function kernels.restart(capsule, id, limit)
  return call(capsule, "POST", path_of("/{}/restart", id), limit)
end

function kernels.remove(capsule, id)
  return call(capsule, "DELETE", path_of("/{}", id))
end

--- Opens a kernel's socket. Returns the operation and its inbox, or nil, err.
function kernels.open(capsule, id)
  return proxy.open(capsule, kernels.PORT,
    { path = path_of("/{}/channels", id) })
end

-- Whether the same may succeed later: Jupyter, or the capsule, is starting.
local function may_pass(capsule, err)
  local kind = err.details and err.details.kind
  if not err.status_code then
    return TRANSIENT[kind] or false
  elseif err.status_code == 409 then
    local info = capsule.client.capsules:get(capsule.id)
    return info and ON_THE_WAY[info.status] or false
  end
  return err.status_code >= 500
end

-- A snapshot of a capsule with Jupyter has it too, under a name of its own: who
-- waits in vain is told what the capsule was made from, not at once.
local function hint(capsule)
  local template = capsule.info.template
  if not template or template == kernels.TEMPLATE then
    return ""
  end
  return (" (the capsule's template is '%s'; '%s' has Jupyter)")
    :format(tostring(template), kernels.TEMPLATE)
end

--- Calls a function until it succeeds, its error is one that stays, or the
--- time is over. It gets the seconds that are left.
function kernels.retry(capsule, limit, attempt)
  local deadline = scheduler.now() + limit
  while true do
    local value, err = attempt(math.max(deadline - scheduler.now(), 0.1))
    if value or not may_pass(capsule, err) then
      return value, err
    end
    if scheduler.now() + PAUSE >= deadline then
      return nil, errors.new("TimeoutError",
        ("Jupyter not available within %gs: %s%s"):format(limit, err.message,
          hint(capsule)),
        { cause = err })
    end
    local ok, why = scheduler.sleep(PAUSE)
    if not ok then
      return nil, why
    end
  end
end

return kernels
