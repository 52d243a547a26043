-- Jupyter's HTTP API: the kernels of a capsule.

local errors = require("wrenn.errors")
local http = require("wrenn.wire.http")
local json = require("wrenn.wire.json")
local proxy = require("wrenn.capsule.proxy")
local scheduler = require("wrenn.task.scheduler")
local shapes = require("wrenn.wire.shapes")
local url = require("wrenn.wire.url")

local kernels = {}

kernels.PORT = 8888
kernels.TEMPLATE = "code-runner-beta"
-- The platform's name for its Python kernel, which not every template has.
kernels.DEFAULT = "wrenn"
local PYTHON = "python3"

local CALL_LIMIT = 5 -- seconds; starting a kernel may take longer
local PAUSE = 0.5
local TRANSIENT = { connect = true, resolve = true, broken = true,
  timeout = true, closed = true }
local ON_THE_WAY = { starting = true, pending = true, resuming = true }

-- Jupyter puts the reason of an unexpected failure into the last line of the
-- traceback.
local function reason_of(decoded)
  if type(decoded) ~= "table" then
    return nil
  elseif type(decoded.traceback) == "string" then
    local last = decoded.traceback:match("([^\n]+)%s*$")
    if last then
      return (last:gsub("^[%w_.]+%.(%w+: )", "%1"))
    end
  end
  return type(decoded.reason) == "string" and decoded.reason ~= ""
    and decoded.reason or nil
end

local function failure(answer, decoded)
  local err = errors.from_response(answer.status, decoded, answer.body,
    function(name) return answer.headers[name] end)
  local reason = reason_of(decoded)
  if reason and not err.message:find(reason, 1, true) then
    err.message = err.message .. ": " .. errors.text(reason)
  end
  return err
end

-- `shape` is the expected shape of the answer; nil if the answer is not used.
local function call(capsule, shape, method, path, limit, body)
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
  if not http.is_success(answer.status) then
    return nil, failure(answer, decoded)
  elseif type(decoded) ~= "table" and (shape or answer.body ~= "") then
    return nil, errors.new("ProtocolError", ("%s %s: Jupyter's answer is not"
      .. " JSON (%s)"):format(method, path, why or "no object"))
  end
  local ok = true
  if shape then
    ok, why = shapes.check(shape, decoded, answer.body)
  end
  if not ok then
    return nil, errors.new("ProtocolError",
      ("%s %s: of Jupyter's answer %s"):format(method, path, why))
  end
  return decoded or {}
end

local function path_of(template, id)
  return url.path("/api/kernels" .. template, id)
end

--- Lists all kernels, as Jupyter describes them.
function kernels.list(capsule, left)
  return call(capsule, "kernels", "GET", "/api/kernels",
    math.min(left, CALL_LIMIT))
end

-- How Jupyter reports, among other failures, an unknown kernelspec.
local REFUSALS = { [400] = true, [404] = true, [500] = true, [501] = true }

-- Finds the kernelspec to use in place of one that could not be started, or
-- nil, err. The platform's Python may have another name; a kernelspec that the
-- user has named is never replaced.
local function substitute(capsule, name, limit, err)
  local answer = REFUSALS[err.status_code]
    and call(capsule, "kernelspecs", "GET", "/api/kernelspecs",
      math.min(limit, CALL_LIMIT))
  local specs = answer and answer.kernelspecs
  if not specs or specs[name] then
    return nil, err -- the kernelspec exists: something else is wrong
  end
  local other = specs[PYTHON] and PYTHON or answer.default
  if name == kernels.DEFAULT and specs[other or PYTHON] then
    return other
  end
  local names = {}
  for known in pairs(specs) do
    names[#names + 1] = tostring(known)
  end
  table.sort(names)
  return nil, errors.new("NotFoundError",
    ("there is no kernelspec '%s' in the capsule (there is: %s): %s"):format(
      name, #names > 0 and table.concat(names, ", ") or "none", err.message),
    { cause = err })
end

local function start(capsule, name, limit)
  return call(capsule, "kernel", "POST", "/api/kernels", limit,
    { name = name })
end

--- Starts a kernel. If another kernelspec than the requested one has to be
--- used, `find` (a function of its name, or nil) may return a running kernel to
--- use instead. The choice is remembered per capsule. Returns the kernel, or
--- nil, err.
function kernels.start(capsule, name, limit, find)
  local kernel, err = start(capsule, name, limit)
  if kernel then
    return kernel
  end
  local other
  other, err = substitute(capsule, name, limit, err)
  if not other then
    return nil, err
  end
  if capsule.kernel == name then
    capsule.kernel = other
  end
  kernel = find and find(other)
  if kernel then
    return kernel
  end
  kernel, err = start(capsule, other, limit)
  if kernel then
    kernel.name = kernel.name or other
  end
  return kernel, err
end

function kernels.get(capsule, id, limit)
  return call(capsule, "kernel", "GET", path_of("/{}", id), limit)
end

function kernels.interrupt(capsule, id)
  return call(capsule, nil, "POST", path_of("/{}/interrupt", id))
end

function kernels.restart(capsule, id, limit)
  return call(capsule, nil, "POST", path_of("/{}/restart", id), limit)
end

function kernels.remove(capsule, id)
  return call(capsule, nil, "DELETE", path_of("/{}", id))
end

--- Opens the WebSocket of a kernel. Returns the operation and its inbox, or
--- nil, err.
function kernels.open(capsule, id)
  return proxy.open(capsule, kernels.PORT,
    { path = path_of("/{}/channels", id) })
end

-- Whether a retry may succeed: Jupyter, or the capsule, is still starting.
local function may_pass(capsule, err)
  local kind = err.details and err.details.kind
  if not err.status_code then
    return TRANSIENT[kind] or false
  elseif err.status_code == 409 then
    if ON_THE_WAY[err.status] then
      return true -- by now it may be there
    end
    local info = capsule.client.capsules:get(capsule.id)
    return info and ON_THE_WAY[info.status] or false
  end
  return err.status_code >= 500
end

-- The snapshot of a capsule with Jupyter contains it too, under another
-- template name. So the template is named only in the error after a long wait.
local function hint(capsule)
  local template = capsule.info.template
  if not template or template == kernels.TEMPLATE then
    return ""
  end
  return (" (the capsule's template is '%s'; '%s' has Jupyter)")
    :format(tostring(template), kernels.TEMPLATE)
end

--- Calls a function until it succeeds, fails for good, or the time is over. The
--- function gets the number of seconds left.
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
