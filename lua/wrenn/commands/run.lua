-- Starts commands: in the foreground with a time limit, in the background, or
-- as a stream. `self` is a wrenn.Commands; the options have been checked.

local base = require("wrenn.files.base")
local bytes = require("wrenn.commands.bytes")
local check = require("wrenn.check")
local cleanup = require("wrenn.task.cleanup")
local directory = require("wrenn.commands.directory")
local envs = require("wrenn.commands.envs")
local errors = require("wrenn.errors")
local exec = require("wrenn.commands.exec")
local feed = require("wrenn.commands.feed")
local files = require("wrenn.files")
local find_user = require("wrenn.commands.user")
local kill = require("wrenn.commands.kill")
local literal = require("wrenn.commands.literal")
local nested = require("wrenn.task.nested")
local scheduler = require("wrenn.task.scheduler")
local server = require("wrenn.server")
local stdin = require("wrenn.commands.stdin")
local streams = require("wrenn.commands.stream")
local task = require("wrenn.task")
local words = require("wrenn.commands.words")

local run = {}

local DEFAULT_LIMIT = 30

-- ---- what both sides agree on ----------------------------------------------

--- Prepares the words of a command. `fields`: the server accepts envs and cwd
--- itself; `wrap`: a function that wraps the words and handles cwd. The files
--- for its input and environment are written first; on a later failure they are
--- removed. Returns a table with `words`, the fields `envs` and `cwd`, and the
--- paths of the files, `input` and `environment`; or nil, err.
function run.prepare(self, cmd, opts, fields, wrap)
  local list = words.of(cmd, opts.args)
  local cwd = not wrap and opts.cwd or nil
  if opts.user then
    local user, err = find_user(self, opts.user)
    if not user then
      return nil, err
    elseif not user.is_default then
      list, cwd = words.as_user(list, user, opts, cwd), nil
    end
  end
  if wrap then
    list = wrap(list)
  elseif cwd and not (fields and check.is_utf8(cwd)) then
    list, cwd = words.in_directory(list, cwd), nil
  end
  local start, err = { cwd = cwd, envs = opts.envs }
  if opts.stdin == true then
    start.feed, err = feed.open(self)
    if not start.feed then
      return nil, err
    end
    start.input = start.feed.path
    list = words.with_stdin(list, start.input)
  elseif opts.stdin ~= nil then
    start.input, err = stdin.put(self, opts.stdin)
    if not start.input then
      return nil, err
    end
    list = words.with_stdin(list, start.input)
  end
  if start.envs and not fields then
    list, start.environment = envs.put(self, list, start.envs)
    if not list then
      err, start.environment = start.environment, nil
      run.discard(self, start)
      return nil, err
    end
    start.envs = nil
  end
  if opts.bytes then
    list = bytes.wrap(list)
  end
  start.words, start.envs = literal.wrap(list, start.envs)
  return start
end

--- Removes the files of a command that may have failed before it did so itself.
function run.discard(self, start)
  local to = files.new(self.client, self.capsule_id, self)
  if start.feed then
    start.feed:stop()
  elseif start.input then
    base.discard(to, start.input)
  end
  if start.environment then
    base.discard(to, start.environment)
  end
end

-- ---- foreground ------------------------------------------------------------

-- A server that reaches timeout_sec answers with an error, drops the output and
-- leaves the process running. So the limit is enforced here: the processes are
-- killed while the server still waits for them, and its answer then holds
-- everything they have printed. For this the server's own limit has to be later
-- than ours. Below 30 s the server is given a second more than the caller asked
-- for, which keeps the limit exact; above, the request states the caller's
-- value, and the command is killed a second early.
local LEAST_AHEAD = 0.5
local EXACT_BELOW = 30

-- Returns the limit for the server, and the seconds from now until the kill.
local function limits(seconds)
  local whole = math.max(math.ceil(seconds), 1)
  if whole - seconds >= LEAST_AHEAD then
    return whole, seconds
  elseif seconds < EXACT_BELOW then
    return whole + kill.AHEAD, seconds
  end
  return whole, seconds - kill.AHEAD
end

-- Whether the server has reached its limit: it says so, or fails without a
-- reason after the time has passed, or does not answer.
local function is_server_limit(err, is_over)
  return err.status_code == 504
    or err.type == "TimeoutError"
      and (err.status_code or err.details and err.details.kind == "timeout")
    or err.type == "AgentError"
      and err.message:lower():find("deadline exceeded", 1, true)
    or err.status_code == 500 and is_over
end

local function was_killed(result)
  return result.exit_code == -1 or result.exit_code == 137
    or result.exit_code == 143
end

-- Whether the wait was interrupted, by a cancelled task or an enclosing time
-- limit: the server and the command are then in order.
local function was_interrupted(err)
  return (err.type == "CancelledError" or err.type == "TimeoutError")
    and not err.status_code and not (err.details and err.details.kind)
end

-- The running commands, by capsule and words. Equal commands cannot be told
-- apart in the server's list, so the second one gets a mark.
local under_way = setmetatable({}, { __mode = "v" })

local function set_apart(self, list)
  local key = self.capsule_id .. "\0" .. table.concat(list, "\0")
  if under_way[key] then
    return words.marked(list), {}
  end
  local token = { key = key }
  under_way[key] = token
  return list, token
end

-- One of those that need the name is done: the call, and each kill, which goes on
-- behind it. Until the last is, an equal command would be killed as well.
local function let_go(command)
  command.holders = command.holders - 1
  local key = command.token.key
  if command.holders == 0 and key then
    under_way[key] = nil
  end
end

local function timeout_error(seconds, fields)
  return errors.new("TimeoutError", seconds
    and ("the command did not end within %g s"):format(seconds)
    or "the command did not end within the server's limit", fields)
end

-- The server's limit came first, and the output is lost.
local function server_timeout(err, seconds)
  return timeout_error(seconds, {
    code = err.code, status_code = err.status_code,
    request_id = err.request_id, cause = err,
    result = { stdout = "", stderr = "", exit_code = -1, incomplete = true },
  })
end

local function age_since(begin)
  return function()
    return scheduler.now() - begin
  end
end

local function kill_and_let_go(self, command, fn)
  local ok, err, more = fn(self, command)
  let_go(command)
  return ok, err, more
end

-- Starts a kill in the background.
local function start_kill(self, command, fn)
  command.holders = command.holders + 1
  return cleanup.start(self.client, "kill a command", kill_and_let_go, self,
    command, fn)
end

-- The command may have ended before, and its answer lie here unread.
local function kill_unless_over(self, command)
  if not command.is_over then
    return kill.command(self, command)
  end
end

-- Kills in the background.
local function strike(self, command)
  command.killing = command.killing
    or start_kill(self, command, kill_unless_over)
end

-- Seconds after which a command that was given up is looked for again, one after
-- the other: a server may start it later than it answers what was asked next.
local AGAIN = { 0.5, 1.5 }

local function kill_until_found(self, command)
  local ok, err = kill_unless_over(self, command)
  for _, seconds in ipairs(AGAIN) do
    if ok or err then
      break
    end
    ok, err = scheduler.sleep(seconds)
    if ok then
      ok, err = kill.command(self, command)
    end
  end
  return ok, err
end

-- Kills in the background what nobody waits for any more.
local function abort(self, command)
  command.killing = command.killing
    or start_kill(self, command, kill_until_found)
end

-- Kills what has ignored SIGTERM, or has not been killed at all.
local function strike_again(self, command)
  if not command.killed or command.signal then
    command.signal = nil
    return start_kill(self, command, kill.command)
  end
end

local function give_up(command)
  if command.heard and not command.extended then
    command.extended = true
    command.stop = scheduler.after(kill.MORE, give_up, command)
  else
    command.late = timeout_error(command.seconds, {
      result = { stdout = "", stderr = "", exit_code = -1, incomplete = true },
      where = false,
    })
    task.cut(command.scope, command.late)
  end
end

-- Callback of the limit.
local function expire(self, command)
  strike(self, command)
  command.stop = scheduler.after(kill.GRACE, give_up, command)
end

-- Sends the command, and waits for its answer and for what a kill has come to.
local function send(self, command, fields)
  local answer, err = exec.run(self, command.words, fields)
  command.is_over = answer ~= nil
  if answer and command.killing then
    command.killed, command.what = command.killing:wait()
  end
  return answer, err
end

-- Whether an answer is that of a command which the limit has ended.
local function is_late(command, answer)
  local killing = command.killing
  if not killing or killing.done and not command.killed then
    return false
  end
  return was_killed(answer) or command.what == "left"
end

-- What the call comes to. `answer` may be what was raised.
local function conclude(self, command, called, answer, err)
  local seconds = command.seconds
  if not called then -- Ctrl-C
    abort(self, command)
    errors.raise(answer)
  elseif answer and is_late(command, answer) then
    return nil, timeout_error(seconds, { result = answer })
  elseif answer then
    return answer
  elseif command.late and err == command.late then
    if command.signal then
      strike_again(self, command)
    end
    return nil, err
  elseif is_server_limit(err, command.age() >= (command.server_limit or 30))
  then
    local again = strike_again(self, command)
    if again then
      again:wait()
    end
    return nil, server_timeout(err, seconds)
  elseif was_interrupted(err) then
    abort(self, command)
  end
  return nil, err
end

-- Runs words and kills them after the limit. Without a limit the server's own
-- applies.
local function run_limited(self, list, fields, seconds, signal)
  local token
  list, token = set_apart(self, list)
  local command = {
    words = list, tag = fields.tag, age = age_since(scheduler.now()),
    signal = signal, scope = task.scope(), seconds = seconds,
    token = token, holders = 1,
  }
  local waiter, refused = task.enter(command.scope)
  if not waiter then
    let_go(command)
    return nil, refused
  end
  if seconds then
    local after
    fields.timeout_sec, after = limits(seconds)
    command.server_limit = fields.timeout_sec
    command.stop = scheduler.after(after, expire, self, command)
  end
  local lift = task.guard(abort, self, command)
  local called, answer, err = nested.call(send, self, command, fields)
  waiter:leave(command.scope)
  lift()
  if command.stop then
    command.stop()
  end
  answer, err = conclude(self, command, called, answer, err)
  let_go(command)
  return answer, err
end

-- Whether the server accepts envs and cwd for a foreground command. Only asked
-- for a command that has them.
local function takes_fields(self, opts)
  if not (opts.cwd or opts.envs and next(opts.envs)) then
    return true
  end
  local traits, err = server.traits(self.client)
  if not traits then
    return nil, err
  end
  return traits.command_fields
end

--- Runs a command to its end. Returns its result, or nil, err.
function run.foreground(self, cmd, opts)
  local fields, err = takes_fields(self, opts)
  if fields == nil then
    return nil, err
  end
  local start
  start, err = run.prepare(self, cmd, opts, fields)
  if not start then
    return nil, err
  end
  local seconds = opts.timeout == nil and DEFAULT_LIMIT or opts.timeout
  local result
  result, err = run_limited(self, start.words, {
    envs = start.envs, cwd = start.cwd, tag = opts.tag,
  }, seconds, opts.timeout_signal == "SIGTERM" and "TERM" or nil)
  if not result then
    run.discard(self, start)
    return nil, directory.explain(self, opts, err)
  elseif opts.cwd and result.exit_code == directory.EXIT then
    return directory.result(self, opts.cwd, result)
  end
  return result
end

-- ---- background ------------------------------------------------------------

--- Starts a command. Returns the server's answer {pid=, tag=}, and its input if
--- that is live; or nil, err.
function run.background(self, cmd, opts, wrap)
  local start, err = run.prepare(self, cmd, opts, true, wrap)
  if not start then
    return nil, err
  end
  local answer
  answer, err = exec.start(self, start.words, {
    background = true, envs = start.envs, tag = opts.tag, cwd = start.cwd,
  })
  if not answer then
    run.discard(self, start)
    return nil, wrap and err or directory.explain(self, opts, err)
  end
  return answer, start.feed
end

--- Kills a background command after some seconds, provided that this process
--- keeps running its tasks and holding the returned function, which cancels the
--- kill.
function run.limit(self, pid, seconds)
  local begin = scheduler.now()
  return scheduler.after(seconds, function()
    -- By then the pid may have been reused.
    cleanup.start(self.client, "kill a command", kill.tree, self, { pid },
      { age = scheduler.now() - begin, whole = true })
  end)
end

-- ---- streams ---------------------------------------------------------------

--- Starts a command as a stream. Returns it, or nil, err.
function run.stream(self, cmd, opts)
  local start, err = run.prepare(self, cmd, opts, false)
  if not start then
    return nil, err
  elseif opts.timeout then
    start.words = words.marked(start.words)
  end
  local begin = scheduler.now()
  local stream
  stream, err = streams.open(self, exec.path(self, "/exec/stream"),
    start.words, opts.check)
  if not stream then
    run.discard(self, start)
    return nil, err
  end
  stream.feed = start.feed
  stream.unpack = opts.bytes and bytes.unpacker() or false
  if start.input or start.environment then
    stream.on_finish = function()
      if not stream.pid then -- it may never have begun
        task.background(run.discard, self, start)
      end
    end
  end
  if opts.cwd then
    stream.judge = function()
      local fault = directory.look(self, opts.cwd)
      return fault and { kind = "broken", fault }
    end
  end
  if opts.timeout then
    streams.limit(stream, opts.timeout, function()
      local command = {
        pid = stream.pid, words = start.words, age = age_since(begin),
      }
      return command, cleanup.start(self.client, "kill a command",
        command.pid and kill.command or kill_until_found, self, command)
    end)
  end
  return stream
end

--- Runs a command through a stream, so that output is passed on as it arrives.
function run.streamed(self, cmd, opts)
  local seconds = opts.timeout == nil and DEFAULT_LIMIT or opts.timeout
  local stream, err = run.stream(self, cmd, {
    args = opts.args, envs = opts.envs, cwd = opts.cwd, user = opts.user,
    stdin = opts.stdin, timeout = seconds,
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
  local lift = task.guard(stream.abandon, stream)
  local ok, result, why = nested.call(stream.wait, stream)
  lift()
  if not ok or not result and was_interrupted(why) then
    stream:abandon()
  end
  if not ok then
    errors.raise(result)
  end
  return result, why
end

return run
