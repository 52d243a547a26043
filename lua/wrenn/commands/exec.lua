-- The requests below capsule.commands: what runs a command to its end, lists
-- the processes and signals one. `self` is a wrenn.Commands.

local api = require("wrenn.api")
local check = require("wrenn.check")
local core = require("wrenn.core")
local errors = require("wrenn.errors")
local http = require("wrenn.http")
local url = require("wrenn.url")
local words = require("wrenn.commands.words")

local exec = {}

-- Beyond the command's own limit, for the answer to come back.
local MARGIN = 10

--- A name that nobody else has.
function exec.nonce()
  return (core.random(12):gsub(".", function(byte)
    return ("%02x"):format(byte:byte())
  end))
end

--- A path below the capsule's.
function exec.path(self, rest, ...)
  return url.path("/v1/capsules/{}", self.capsule_id) .. url.path(rest, ...)
end

--- The path of a process.
function exec.selector_path(self, selector, fname, suffix)
  check.arg(selector, "pid_or_tag", fname, "integer|string", 3)
  if type(selector) == "number" then
    selector = ("%d"):format(selector)
  else
    check.text(selector, "pid_or_tag", fname, 3)
  end
  return exec.path(self, "/processes/{}", selector) .. (suffix or "")
end

--- POST .../exec. `opts` as in api.exec_body.
function exec.start(self, list, opts)
  local timeout -- nil: the client's
  if not opts.background then
    timeout = opts.timeout_sec and opts.timeout_sec + MARGIN or false
  end
  return http.call(self.client, {
    method = "POST",
    path = exec.path(self, "/exec"),
    json = api.exec_body(list, opts),
    timeout = timeout,
  }, opts.background and "process" or "result")
end

--- Runs words to their end: the result, or nil, err.
function exec.run(self, list, opts)
  local answer, err = exec.start(self, list, opts)
  if not answer then
    return nil, err
  end
  local result, why = api.exec_result(answer)
  if not result then
    return nil, errors.new("ProtocolError",
      ("POST %s: %s"):format(exec.path(self, "/exec"), why))
  end
  return result
end

--- Runs a fixed script with arguments, for at most `seconds`.
function exec.script(self, line, args, seconds)
  return exec.run(self, words.script(line, args),
    { timeout_sec = seconds or 10 })
end

--- GET .../processes.
function exec.list(self)
  local answer, err = http.call(self.client,
    { method = "GET", path = exec.path(self, "/processes") }, "processes")
  if not answer then
    return nil, err
  end
  return answer.processes or {}
end

--- DELETE .../processes/{selector}.
function exec.signal(self, path, signal)
  return http.order(self.client, {
    method = "DELETE", path = path, query = signal and { signal = signal },
  })
end

return exec
