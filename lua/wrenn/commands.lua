--- Commands in a capsule: capsule.commands.

local api = require("wrenn.api")
local check = require("wrenn.check")
local errors = require("wrenn.errors")
local http = require("wrenn.http")
local streams = require("wrenn.stream")
local task = require("wrenn.task")
local url = require("wrenn.url")

---@class wrenn.Commands
local Commands = { is_commands = true }
Commands.__index = Commands

---@class wrenn.CommandHandle
---@field pid integer
---@field tag string
---@field capsule_id string
local Handle = { is_handle = true }
Handle.__index = Handle

-- Beyond the command's own limit, for the answer to come back.
local MARGIN = 10

local function path(self, rest, ...)
  return url.path("/v1/capsules/{}", self.capsule_id) .. url.path(rest, ...)
end

local function selector_path(self, selector, fname, suffix)
  check.arg(selector, "pid_or_tag", fname, "integer|string", 3)
  if type(selector) == "number" then
    selector = ("%d"):format(selector)
  else
    check.text(selector, "pid_or_tag", fname, 3)
  end
  return path(self, "/processes/{}", selector) .. (suffix or "")
end

-- ---- run -------------------------------------------------------------------

local run_spec = {
  timeout = "seconds|boolean", envs = "map", cwd = "string", tag = "string",
  args = "list", background = "boolean", check = "boolean",
  on_stdout = "callable", on_stderr = "callable",
}

local function check_exit(result, cmd, wanted)
  if result and wanted and result.exit_code ~= 0 then
    return nil, errors.new("CommandError",
      ("'%s' exited with %d"):format(cmd, result.exit_code),
      { result = result })
  end
  return result
end

-- A limit that passed inside the server comes back as a failure of its agent.
local function as_timeout(err, timeout)
  local text = err.message:lower()
  if err.type == "AgentError" and (err.status_code == 504
    or text:find("deadline exceeded", 1, true))
  then
    return errors.new("TimeoutError",
      ("the command did not end within %g s"):format(timeout), {
        code = err.code, status_code = err.status_code,
        request_id = err.request_id, cause = err,
      })
  end
  return err
end

local function run_foreground(self, cmd, opts)
  local timeout = opts.timeout == nil and 30 or opts.timeout
  local answer, err = http.call(self.client, {
    method = "POST",
    path = path(self, "/exec"),
    json = api.exec_body(cmd, opts),
    timeout = timeout and timeout + MARGIN,
  })
  if not answer then
    return nil, as_timeout(err, timeout or 0)
  end
  local result, why = api.exec_result(answer)
  if not result then
    return nil, errors.new("ProtocolError", "malformed exec answer: " .. why)
  end
  return result
end

local function run_background(self, cmd, opts)
  local answer, err = http.call(self.client, {
    method = "POST",
    path = path(self, "/exec"),
    json = api.exec_body(cmd, opts),
  })
  if not answer then
    return nil, err
  end
  return setmetatable({
    pid = answer.pid, tag = answer.tag, capsule_id = self.capsule_id,
    commands = self,
  }, Handle)
end

local function run_streamed(self, cmd, opts)
  local stream, err = self:stream(cmd, {
    args = opts.args, envs = opts.envs, cwd = opts.cwd,
    timeout = opts.timeout == nil and 30 or opts.timeout,
  })
  if not stream then
    return nil, err
  end
  stream.on_data = function(event)
    local callback = opts["on_" .. event.type]
    if callback then
      callback(event.data)
    end
  end
  return stream:wait()
end

---@class wrenn.RunOptions
---@field timeout? number|false    seconds (30); false: no limit
---@field envs? table<string, string>  added to the capsule's environment
---@field cwd? string              the home directory when absent
---@field args? string[]           makes `cmd` a program: no shell is involved
---@field background? boolean      returns a handle at once
---@field tag? string              a name to find a background command by
---@field check? boolean           a non-zero exit is nil, CommandError
---@field on_stdout? fun(data: string)  called with the output as it comes
---@field on_stderr? fun(data: string)

--- Runs a command. A string is a shell line; with `args` it is a program.
--- POST /v1/capsules/{id}/exec, or the exec stream with on_stdout/on_stderr.
---@param cmd string
---@param opts? wrenn.RunOptions
---@return {stdout: string, stderr: string, exit_code: integer, duration_ms: integer}|wrenn.CommandHandle|nil
---@return wrenn.Error? err  a non-zero exit code is none, unless `check`
function Commands:run(cmd, opts)
  check.self(self, "is_commands", "run")
  check.text(cmd, "cmd", "run")
  opts = check.options(opts, "run", run_spec)
  if opts.timeout == true then
    error("bad option 'timeout' to 'run' (number or false expected)", 2)
  end
  if opts.background then
    if opts.check or opts.on_stdout or opts.on_stderr then
      error("bad option 'background' to 'run' (it does not go with check,"
        .. " on_stdout or on_stderr)", 2)
    end
    return run_background(self, cmd, opts)
  end
  local result, err
  if opts.on_stdout or opts.on_stderr then
    result, err = run_streamed(self, cmd, opts)
  else
    result, err = run_foreground(self, cmd, opts)
  end
  if not result then
    return nil, err
  end
  return check_exit(result, cmd, opts.check)
end

-- ---- streams ---------------------------------------------------------------

local stream_spec = {
  args = "list", envs = "map", cwd = "string", timeout = "seconds|boolean",
}

local function four(object, err)
  if not object then
    return nil, err
  end
  return object, nil, nil, object
end

--- Starts a command and streams its output. The wire has no field for the
--- directory and the environment here: they travel as arguments of a wrapper.
--- WebSocket /v1/capsules/{id}/exec/stream.
---@param cmd string
---@param opts? {args?: string[], envs?: table<string, string>, cwd?: string, timeout?: number|false}
---  timeout: seconds until the command is killed and the stream ends with
---  TimeoutError; none by default
---@return wrenn.Stream|nil  followed by nil, nil and the stream again, for `for`
---@return wrenn.Error? err
function Commands:stream(cmd, opts)
  check.self(self, "is_commands", "stream")
  check.text(cmd, "cmd", "stream")
  opts = check.options(opts, "stream", stream_spec)
  for name in pairs(opts.envs or {}) do
    if name == "" or name:find("=", 1, true) then
      error("bad option 'envs' to 'stream' (a name is empty or holds '=')", 2)
    end
  end
  local stream, err = streams.open(self.client, path(self, "/exec/stream"),
    api.stream_argv(cmd, opts))
  if stream and opts.timeout then
    streams.limit(stream, opts.timeout, function()
      if stream.pid then
        task.spawn(self.kill, self, stream.pid)
      end
    end)
  end
  return four(stream, err)
end

--- Streams what a running process prints from now on.
--- WebSocket /v1/capsules/{id}/processes/{pid or tag}/stream.
---@param pid_or_tag integer|string
---@return wrenn.Stream|nil  followed by nil, nil and the stream again, for `for`
---@return wrenn.Error? err
function Commands:connect(pid_or_tag)
  check.self(self, "is_commands", "connect")
  return four(streams.open(self.client,
    selector_path(self, pid_or_tag, "connect", "/stream")))
end

-- ---- processes -------------------------------------------------------------

--- Lists the processes that were started through the API.
--- GET /v1/capsules/{id}/processes.
---@return {pid: integer, tag?: string, cmd: string, args?: string[]}[]|nil
---@return wrenn.Error? err
function Commands:list()
  check.self(self, "is_commands", "list")
  local answer, err = http.call(self.client,
    { method = "GET", path = path(self, "/processes") })
  if not answer then
    return nil, err
  end
  local list, why = api.processes(answer)
  if not list then
    return nil, errors.new("ProtocolError", "malformed process list: " .. why)
  end
  return list
end

local signals = { SIGKILL = true, SIGTERM = true }

--- Sends a signal to a process; true means sent, not gone.
--- DELETE /v1/capsules/{id}/processes/{pid or tag}.
---@param pid_or_tag integer|string
---@param opts? {signal?: "SIGKILL"|"SIGTERM"}  SIGKILL
---@return true|nil
---@return wrenn.Error? err
function Commands:kill(pid_or_tag, opts)
  check.self(self, "is_commands", "kill")
  opts = check.options(opts, "kill", { signal = "string" })
  if opts.signal and not signals[opts.signal] then
    error("bad option 'signal' to 'kill' (SIGKILL or SIGTERM expected)", 2)
  end
  local ok, err = http.request(self.client, {
    method = "DELETE",
    path = selector_path(self, pid_or_tag, "kill"),
    query = opts.signal and { signal = opts.signal },
  })
  return ok and true, err
end

-- ---- handles ---------------------------------------------------------------

--- As commands:connect(handle.pid).
function Handle:stream()
  check.self(self, "is_handle", "stream")
  return self.commands:connect(self.pid)
end

--- As commands:kill(handle.pid, opts).
function Handle:kill(opts)
  check.self(self, "is_handle", "kill")
  return self.commands:kill(self.pid, opts)
end

--- Waits for the command's end.
---@param opts? {timeout?: number}  seconds; the command goes on after them
---@return {stdout: string, stderr: string, exit_code: integer, duration_ms: integer}|nil
---  what was printed from now on
---@return wrenn.Error? err  also when it had ended before, which leaves no
---  exit code behind
function Handle:wait(opts)
  check.self(self, "is_handle", "wait")
  opts = check.options(opts, "wait", { timeout = "seconds" })
  local stream, err = self.commands:connect(self.pid)
  if not stream then
    return nil, err
  end
  if opts.timeout then
    streams.limit(stream, opts.timeout, function() end)
  end
  return stream:wait()
end

local M = {}

function M.new(client, capsule_id)
  return setmetatable({ client = client, capsule_id = capsule_id }, Commands)
end

return M
