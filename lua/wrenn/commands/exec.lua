-- The requests that capsule.commands is built on: run a command to its end,
-- list the processes, signal one. `self` is a wrenn.Commands.

local api = require("wrenn.wire.api")
local check = require("wrenn.check")
local errors = require("wrenn.errors")
local http = require("wrenn.wire.http")
local literal = require("wrenn.commands.literal")
local url = require("wrenn.wire.url")
local words = require("wrenn.commands.words")

local exec = {}

-- Seconds added to the command's own limit for the answer to arrive.
local MARGIN = 10

--- A path relative to the capsule's.
function exec.path(self, rest, ...)
  return url.path("/v1/capsules/{}", self.capsule_id) .. url.path(rest, ...)
end

--- Starts words in the background. `opts` as in api.exec_body. Returns the
--- process, or nil, err. POST .../exec.
function exec.start(self, list, opts)
  return http.call(self.client, { method = "POST",
    path = exec.path(self, "/exec"), json = api.exec_body(list, opts) },
    "process")
end

--- Runs words to their end. `opts` as in api.exec_body, `limit`, the seconds for
--- the answer, and `reads` if running them twice does no harm. Returns the
--- result, or nil, err. POST .../exec.
function exec.run(self, list, opts)
  local path = exec.path(self, "/exec")
  local answer, err = http.call(self.client, {
    method = "POST", path = path, json = api.exec_body(list, opts),
    timeout = opts.limit or opts.timeout_sec and opts.timeout_sec + MARGIN
      or false,
    reads = opts.reads,
  }, "result")
  if not answer then
    return nil, err
  end
  local result, why = api.exec_result(answer)
  if not result then
    return nil, errors.new("ProtocolError", ("POST %s: %s"):format(path, why))
  end
  return result
end

local LOOK = 10 -- seconds

-- Runs what a call does besides the command that it is about. It is a request
-- of the client like any other, within its time limit.
local function run_beside(self, list, seconds)
  return exec.run(self, list, { timeout_sec = seconds,
    limit = math.min(seconds + MARGIN, self.client.settings.timeout) })
end

--- Runs a fixed script with arguments, for at most `seconds` (10).
function exec.script(self, line, args, seconds)
  return run_beside(self, (literal.wrap(words.script(line, args))),
    seconds or LOOK)
end

--- Like exec.script, for scripts that inspect or signal processes of any user.
function exec.script_about(self, pids, line, args)
  return run_beside(self, words.as_owner(words.script(line, args), pids), LOOK)
end

--- GET .../processes.
function exec.list(self)
  local answer, err = http.call(self.client,
    { method = "GET", path = exec.path(self, "/processes") }, "processes")
  if not answer then
    return nil, err
  end
  return api.processes(answer)
end

--- Raises unless a value selects a process: by pid (a number) or tag (a
--- string).
function exec.check_selector(selector, fname)
  check.arg(selector, "pid_or_tag", fname, "integer|string", 3)
  if type(selector) == "string" then
    check.text(selector, "pid_or_tag", fname, 3)
    check.utf8(selector, "argument", "pid_or_tag", fname, 3)
  end
  return selector
end

--- The error for a process that does not exist.
function exec.unknown_process(selector, cause)
  cause = cause or {}
  return errors.new("NotFoundError",
    ("process %s not found"):format(tostring(selector)), {
      code = cause.code, status_code = cause.status_code,
      request_id = cause.request_id, cause = cause.type and cause or nil,
    })
end

--- Whether an error says that, and not that the capsule does not exist.
function exec.is_unknown(err)
  return err:is("NotFoundError") and not err.status_code
end

--- Finds a process in the list. Returns it, or nil, NotFoundError (with
--- `cause`).
function exec.find(self, selector, cause)
  local list, err = exec.list(self)
  if not list then
    return nil, err
  end
  for _, process in ipairs(list) do
    if process.pid == selector or process.tag == selector then
      return process
    end
  end
  return nil, exec.unknown_process(selector, cause)
end

--- The path of a process, or nil, err. A tag that a path cannot contain, or
--- that a server would take for a pid, is looked up in the list first.
function exec.selector_path(self, selector, suffix)
  if type(selector) == "string"
    and (selector:find("^%d+$") or not url.names_segment(selector))
  then
    local process, err = exec.find(self, selector)
    if not process then
      return nil, err
    end
    selector = process.pid
  end
  if type(selector) == "number" then
    selector = ("%d"):format(selector)
  end
  return exec.path(self, "/processes/{}", selector) .. (suffix or "")
end

--- DELETE .../processes/{selector}. From 0.3 on the server does not say that
--- the process does not exist: it fails without a reason.
function exec.signal(self, selector, signal)
  local path, err = exec.selector_path(self, selector)
  if not path then
    return nil, err
  end
  local ok
  ok, err = http.order(self.client, {
    method = "DELETE", path = path, query = signal and { signal = signal },
  })
  if ok then
    return true
  elseif err.status_code == 500 then
    local process, why = exec.find(self, selector, err)
    return nil, not process and why:is("NotFoundError") and why or err
  end
  return nil, err
end

return exec
