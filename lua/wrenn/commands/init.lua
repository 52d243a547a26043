--- Commands in a capsule: capsule.commands.

local check = require("wrenn.check")
local durable = require("wrenn.commands.durable")
local errors = require("wrenn.errors")
local exec = require("wrenn.commands.exec")
local kill = require("wrenn.commands.kill")
local literal = require("wrenn.commands.literal")
local run = require("wrenn.commands.run")
local server = require("wrenn.server")
local stdin = require("wrenn.commands.stdin")
local streams = require("wrenn.commands.stream")

--- The outcome of a command that has ended.
---@class wrenn.CommandResult
---@field stdout string         what it printed
---@field stderr string         what it printed as errors
---@field exit_code integer     0 if it succeeded
---@field duration_ms integer   milliseconds that it took

---@class wrenn.Commands
local Commands = { is_commands = true }
Commands.__index = Commands

function Commands:__tostring()
  return ("wrenn.Commands (%s)"):format(self.capsule_id)
end

---@class wrenn.CommandHandle
---@field pid integer        of the command
---@field tag string         what commands:connect and commands:kill find it by
---@field capsule_id string  the capsule that it runs in
local Handle = { is_handle = true }
Handle.__index = Handle

function Handle:__tostring()
  return ("wrenn.CommandHandle (pid %d in %s)"):format(self.pid,
    self.capsule_id)
end

local STDIN = "bytes|table|callable|userdata"

-- ---- run -------------------------------------------------------------------

local run_spec = {
  timeout = "seconds|boolean", envs = "map", cwd = "string", tag = "string",
  args = "list", user = "string", stdin = STDIN .. "|boolean",
  background = "boolean",
  durable = "boolean", check = "boolean", on_stdout = "callable",
  on_stderr = "callable", timeout_signal = "string",
}

local signals = { SIGKILL = "KILL", SIGTERM = "TERM" }

-- Raises for values that cannot be sent. JSON only carries UTF-8; there are
-- other ways for words, directories and values of variables, but not for names.
local function check_texts(opts, fname, level)
  for _, name in ipairs({ "tag", "user" }) do
    check.utf8(opts[name], "option", name, fname, level + 1)
  end
  for name, value in pairs(opts.envs or {}) do
    local what
    if name == "" or name:find("=", 1, true) then
      what = "a name is empty or holds '='"
    elseif not check.is_utf8(name) or not check.is_utf8(value)
      and not literal.is_variable(name)
    then
      what = "it is not UTF-8"
    end
    if what then
      error(("bad option 'envs' to '%s' (%s)"):format(fname, what), level + 1)
    end
  end
end

-- Checks the options that run and stream share. `live`: the input may be that
-- of a running command.
local function check_start(opts, fname, level, live)
  if opts.timeout == true then
    error(("bad option 'timeout' to '%s' (number or false expected)")
      :format(fname), level + 1)
  end
  check_texts(opts, fname, level + 1)
  if opts.stdin ~= true or not live then
    stdin.check(opts.stdin, fname, level + 1)
  end
  return opts
end

-- 0 means the server's own limit, as in the API.
local function with_limit(opts)
  if opts.timeout ~= 0 then
    return opts
  end
  local copy = {}
  for name, value in pairs(opts) do
    copy[name] = value
  end
  copy.timeout = false
  return copy
end

local function check_run(opts)
  check_start(opts, "run", 3, opts.durable)
  if opts.user == "" or opts.user and opts.user:find("[%c:]") then
    error("bad option 'user' to 'run' (not a user name)", 3)
  end
  if opts.timeout_signal and not signals[opts.timeout_signal] then
    error("bad option 'timeout_signal' to 'run' (SIGKILL or SIGTERM expected)",
      3)
  end
  if opts.durable and not opts.background then
    error("bad option 'durable' to 'run' (it goes with background=true)", 3)
  end
  if opts.background and (opts.check or opts.on_stdout or opts.on_stderr) then
    error("bad option 'background' to 'run' (it does not go with check,"
      .. " on_stdout or on_stderr)", 3)
  end
end

local SHOWN = 300 -- bytes of the end of what a failed command has printed

local function check_exit(result, cmd, wanted)
  if result and wanted and result.exit_code ~= 0 then
    local message = ("'%s' exited with %d"):format(cmd, result.exit_code)
    local said = result.stderr:gsub("%s+$", "")
    if said ~= "" then
      message = message .. ": " .. errors.tail(said, SHOWN)
    end
    return nil, errors.new("CommandError", message, { result = result })
  end
  return result
end

local function run_background(self, cmd, opts)
  local answer, err = run.background(self, cmd, opts)
  if not answer then
    return nil, err
  end
  local handle = setmetatable({
    pid = answer.pid, tag = answer.tag, capsule_id = self.capsule_id,
    commands = self,
  }, Handle)
  if opts.timeout then
    handle.stop_timer = run.limit(self, handle.pid, opts.timeout)
  end
  return handle
end

---@class wrenn.RunOptions
---@field timeout? number|false    seconds (30; none in the background); false
---  or 0: the server's own limit, 30 s, or none with on_stdout/on_stderr.
---  After the limit, the command and everything it has started is killed, and
---  the `result` of the TimeoutError contains the output so far ({stdout,
---  stderr, exit_code=-1}; `incomplete` is true if the server did not deliver
---  it). A daemon that has left its parent, session, group and output is only
---  found with on_stdout or on_stderr, with `durable`, and by stream, which
---  mark the command by an environment variable, WRENN_COMMAND. From 30 s on
---  the limit may be enforced up to one second early. In the background it is
---  enforced by this process while it holds the handle; with `durable` by the
---  capsule
---@field timeout_signal? "SIGKILL"|"SIGTERM"  kills a foreground command after
---  the time limit ("SIGKILL"). If it ignores SIGTERM, it is killed a second
---  later, and the error then lacks the output
---@field envs? table<string, string>  added to the capsule's environment
---@field cwd? string              the home directory when absent
---@field user? string             the capsule's default user when absent
---@field stdin? string|string[]|userdata|true|fun(): string|nil, any
---  the input, of any size and with any bytes; none when absent. With `durable`
---  also true: the handle has `write` and `close_stdin`
---@field args? string[]           makes `cmd` a program: no shell is involved
---@field background? boolean      returns a handle at once
---@field durable? boolean         with background: keeps the output in the
---  capsule, where any process can read it later; see wrenn.DurableHandle
---@field tag? string              a name to find a background command by
---@field check? boolean           a non-zero exit is nil, CommandError
---@field on_stdout? fun(data: string)  called with output as it arrives, as
---  text: the API streams no other bytes, they become replacement characters,
---  in the result as well. Without on_stdout and on_stderr, and from a durable
---  command, the result has the very bytes
---@field on_stderr? fun(data: string)  likewise

--- Runs a command. A string is run by a shell; with `args` it is a program.
--- POST /v1/capsules/{id}/exec, or the exec stream with on_stdout/on_stderr.
--- With `stdin`, a file is created first by POST .../files/stream/write, which
--- the command removes when it starts; with `user`, the user is looked up
--- first.
---@overload fun(self: wrenn.Commands, cmd: string, opts: {background: true, durable: true}): wrenn.DurableHandle|nil, wrenn.Error?
---@overload fun(self: wrenn.Commands, cmd: string, opts: {background: true}): wrenn.CommandHandle|nil, wrenn.Error?
---@param cmd string
---@param opts? wrenn.RunOptions
---@return wrenn.CommandResult|nil result  or a wrenn.CommandHandle, with
---  `background`, or a wrenn.DurableHandle, with `durable` as well
---@return wrenn.Error? err  a non-zero exit code is no error, unless `check`;
---  ValidationError if there is no such user
function Commands:run(cmd, opts)
  check.self(self, "is_commands", "run")
  check.text(cmd, "cmd", "run")
  opts = with_limit(check.options(opts, "run", run_spec))
  check_run(opts)
  if opts.durable then
    ---@diagnostic disable-next-line: return-type-mismatch
    return durable.start(self, cmd, opts)
  elseif opts.background then
    return run_background(self, cmd, opts)
  end
  local result, err
  if opts.on_stdout or opts.on_stderr then
    result, err = run.streamed(self, cmd, opts)
  else
    result, err = run.foreground(self, cmd, opts)
  end
  if not result then
    return nil, err
  end
  return check_exit(result, cmd, opts.check)
end

--- Finds a durable command, in any process and at any time after its end. POST
--- /v1/capsules/{id}/exec.
---@param tag string  from its handle
---@return wrenn.DurableHandle|nil
---@return wrenn.Error? err  NotFoundError when there is none
function Commands:durable(tag)
  check.self(self, "is_commands", "durable")
  check.text(tag, "tag", "durable")
  return durable.find(self, tag)
end

-- ---- streams ---------------------------------------------------------------

local stream_spec = {
  args = "list", envs = "map", cwd = "string", timeout = "seconds|boolean",
  user = "string", stdin = STDIN .. "|boolean", check = "boolean",
  bytes = "boolean",
}

local function four(object, err)
  if not object then
    return nil, err
  end
  return object, nil, nil, object
end

--- As for run, but there is no time limit by default.
---@class wrenn.StreamOptions
---@field args? string[]           as for run
---@field envs? table<string, string>  as for run
---@field cwd? string              as for run
---@field user? string             as for run
---@field timeout? number|false    as for run (none)
---@field stdin? string|string[]|userdata|true|fun(): string|nil, any
---  true: the stream has `write` and `close_stdin`, for which the capsule needs
---  stty, mkfifo and head
---@field bytes? boolean           the exact bytes, for which it needs dd and
---  base64
---@field check? boolean           a loop over the stream raises at an end
---  without an exit event and at an exit code that is not 0; without, it just
---  ends: see exit_code and err

--- Starts a command and streams its output as text: bytes that are not UTF-8
--- become replacement characters, unless `bytes` is true (not in the stream of a
--- durable command). The API has no fields for the directory and the environment
--- here: the directory is passed as an argument, the environment in a file that
--- the command removes first. WebSocket /v1/capsules/{id}/exec/stream, and
--- .../pty for stdin=true.
---@param cmd string
---@param opts? wrenn.StreamOptions
---@return wrenn.Stream|nil
---@return wrenn.Error? err
---@return any ...  nil and the object again, for `for`
function Commands:stream(cmd, opts)
  check.self(self, "is_commands", "stream")
  check.text(cmd, "cmd", "stream")
  opts = with_limit(
    check_start(check.options(opts, "stream", stream_spec), "stream", 2, true))
  return four(run.stream(self, cmd, opts))
end

--- Streams the further output of a running process; from 0.3 on preceded by its
--- last 256 KiB. WebSocket /v1/capsules/{id}/processes/{pid or tag}/stream.
---@param pid_or_tag integer|string  a number is a pid, a string a tag
---@param opts? {check?: boolean}  as for stream
---@return wrenn.Stream|nil
---@return wrenn.Error? err
---@return any ...  nil and the object again, for `for`
function Commands:connect(pid_or_tag, opts)
  check.self(self, "is_commands", "connect")
  exec.check_selector(pid_or_tag, "connect")
  opts = check.options(opts, "connect", { check = "boolean" })
  local path, err = exec.selector_path(self, pid_or_tag, "/stream")
  if not path then
    return nil, err
  end
  local stream
  stream, err = streams.open(self, path, nil, opts.check)
  if not stream then
    return nil, err
  end
  -- For a process that does not exist (any more) the server sends nothing.
  stream.judge = function(event)
    local why = event.kind == "closed"
      and select(2, exec.find(self, pid_or_tag))
    return why and exec.is_unknown(why) and { kind = "over", why }
  end
  return four(stream)
end

-- ---- processes -------------------------------------------------------------

--- Lists the processes that were started through the API.
--- GET /v1/capsules/{id}/processes.
---@return {pid: integer, tag?: string, cmd: string, args?: string[]}[]|nil
---@return wrenn.Error? err
function Commands:list()
  check.self(self, "is_commands", "list")
  return exec.list(self)
end

local function kill_tree(self, pid, opts, selector)
  local ok, err = kill.tree(self, { pid }, opts)
  return ok, not ok and (err or exec.unknown_process(selector or pid)) or nil
end

--- Sends a signal to a process and its process group; on 0.1 servers, which
--- create none, to everything it has started, except for daemons (see `timeout`
--- in wrenn.RunOptions). True means that the signal was sent, not that the
--- process has ended. DELETE /v1/capsules/{id}/processes/{pid or tag}; on 0.1
--- GET .../processes and POST .../exec.
---@param pid_or_tag integer|string  a number is a pid, a string a tag
---@param opts? {signal?: "SIGKILL"|"SIGTERM", tree?: boolean}  SIGKILL; `tree`
---  accepts the pid of any process in the capsule, and signals its descendants
---@return true|nil
---@return wrenn.Error? err  NotFoundError
function Commands:kill(pid_or_tag, opts)
  check.self(self, "is_commands", "kill")
  opts = check.options(opts, "kill", { signal = "string", tree = "boolean" })
  local signal = signals[opts.signal or "SIGKILL"]
  if not signal then
    error("bad option 'signal' to 'kill' (SIGKILL or SIGTERM expected)", 2)
  end
  exec.check_selector(pid_or_tag, "kill")
  if opts.tree then
    if type(pid_or_tag) ~= "number" then
      error("bad option 'tree' to 'kill' (it goes with a pid)", 2)
    end
    return kill_tree(self, pid_or_tag, { signal = signal })
  end
  local traits, err = server.traits(self.client)
  if not traits then
    return nil, err
  elseif traits.process_groups then
    return exec.signal(self, pid_or_tag, opts.signal)
  end
  local process
  process, err = exec.find(self, pid_or_tag)
  if not process then
    return nil, err
  end
  return kill_tree(self, process.pid, { signal = signal, whole = true },
    pid_or_tag)
end

-- ---- handles ---------------------------------------------------------------

--- Same as commands:connect(handle.pid, opts).
---@param opts? {check?: boolean}
---@return wrenn.Stream|nil
---@return wrenn.Error? err
---@return any ...  nil and the object again, for `for`
function Handle:stream(opts)
  check.self(self, "is_handle", "stream")
  return self.commands:connect(self.pid, opts)
end

--- Same as commands:kill(handle.pid, opts).
---@param opts? {signal?: "SIGKILL"|"SIGTERM", tree?: boolean}
---@return true|nil
---@return wrenn.Error? err
function Handle:kill(opts)
  check.self(self, "is_handle", "kill")
  return self.commands:kill(self.pid, opts)
end

-- Whether a failure to attach means that the process had already ended.
local function was_over(self, stream, err)
  if stream.pid or not (err:is("NotFoundError") or err:is("AgentError")
    or err.details and err.details.kind == "closed")
  then
    return false
  end
  for _, process in ipairs(exec.list(self.commands) or { self }) do
    if process.pid == self.pid then
      return false
    end
  end
  return true
end

--- Waits for the end of the command.
---@param opts? {timeout?: number}  seconds; the command continues after them
---@return wrenn.CommandResult|nil
---  the output from now on
---@return wrenn.Error? err  NotFoundError if it had ended before: its exit code
---  is then unknown, unless it is durable
function Handle:wait(opts)
  check.self(self, "is_handle", "wait")
  opts = check.options(opts, "wait", { timeout = "seconds" })
  local stream, err = self.commands:connect(self.pid)
  if not stream then
    return nil, err
  end
  if opts.timeout then
    streams.limit(stream, opts.timeout)
  end
  local result
  result, err = stream:wait()
  if not result and was_over(self, stream, err) then
    return nil, errors.new("NotFoundError",
      ("process %d has ended before, so its exit code is unknown; a durable"
        .. " command keeps it"):format(self.pid), { cause = err })
  end
  return result, err
end

local M = { check_texts = check_texts }

--- `owner`, if given, is the capsule, whose `info` helps to identify the
--- server.
function M.new(client, capsule_id)
  return setmetatable({ client = client, capsule_id = capsule_id }, Commands)
end

return M
