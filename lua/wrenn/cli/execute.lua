-- Runs one command in a capsule for the commands exec and run: with the bytes
-- of stdin, stdout and stderr, in a terminal, or detached.

local cleanup = require("wrenn.task.cleanup")
local core = require("wrenn.core")
local kill = require("wrenn.commands.kill")
local parser = require("wrenn.cli.parser")
local signals = require("wrenn.cli.signals")
local stdio = require("wrenn.cli.stdio")
local task = require("wrenn.task")

local execute = {}

execute.options = {
  { "interactive", short = "i", help = "pass stdin on to the command" },
  { "tty", short = "t", help = "run it in a terminal" },
  { "detach", short = "d",
    help = "leave it running, and print the tag that names it" },
  { "env", short = "e", value = "K[=V]", type = "variable", many = true,
    help = "sets a variable; without a value, to that of here" },
  { "env-file", value = "FILE", many = true,
    help = "sets variables, one K[=V] a line" },
  { "workdir", short = "w", value = "DIR", help = "the command's directory" },
  { "user", short = "u", value = "USER", help = "who runs it" },
  { "timeout", value = "DURATION", type = "duration",
    help = "kill it after that, and exit with 124" },
  { "detach-keys", value = "KEYS",
    help = "that leave a terminal running (ctrl-]); '' for none" },
}

--- The same with a command's own options before them.
function execute.with(options)
  return parser.join(options, execute.options)
end

--- The operand that all further words belong to.
execute.operand = { name = "CMD", key = "words", many = true }

-- Seconds that a command gets to end after SIGTERM or SIGHUP.
local GRACE = 2

-- Seconds in which a command that has just been started tells its pid.
local PATIENCE = 2

-- ---- what the options say --------------------------------------------------

local function add_variable(envs, key, value)
  value = value or os.getenv(key)
  if value then
    envs[key] = value
  end
end

local function add_file(ctx, envs, path)
  local file, why = io.open(path, "r")
  if not file then
    ctx:misuse("--env-file: %s", why)
  end
  for line in file:lines() do
    line = line:gsub("\r$", "")
    local key, equals, value = line:match("^%s*([^=#%s][^=]*)(=?)(.*)$")
    if key then
      add_variable(envs, key, equals == "=" and value or nil)
    end
  end
  file:close()
end

local function variables(ctx, args)
  local envs = {}
  for _, path in ipairs(args.env_file or {}) do
    add_file(ctx, envs, path)
  end
  for _, pair in ipairs(args.env or {}) do
    add_variable(envs, pair[1], pair[2])
  end
  return next(envs) and envs or nil
end

--- Checks the options before anything is created.
function execute.check(ctx, args)
  if args.detach and (args.interactive or args.tty) then
    ctx:misuse("--detach does not go with --interactive or --tty")
  elseif args.tty and args.interactive and not ctx.tty.stdin then
    ctx:misuse("--tty with --interactive needs a terminal on stdin")
  elseif args.words[1] == "" then
    ctx:misuse("CMD: the name of a program is not empty")
  end
  args.envs = variables(ctx, args)
end

local function options_of(args, more)
  local list = {}
  for i = 2, #args.words do
    list[i - 1] = args.words[i]
  end
  more.args, more.envs, more.cwd, more.user = list, args.envs, args.workdir,
    args.user
  return more
end

-- ---- detached --------------------------------------------------------------

local function detached(ctx, capsule, args)
  local handle = ctx:check(capsule.commands:run(args.words[1],
    options_of(args, { background = true, durable = true,
      timeout = args.timeout })))
  if ctx.json then
    ctx:emit({ capsule_id = capsule.id, tag = handle.tag, pid = handle.pid })
  else
    ctx:print(handle.tag)
  end
end

-- ---- in the foreground -----------------------------------------------------

-- Passes stdin on until it ends or the command reads no more.
local function pump(stream)
  while true do
    local bytes = stdio.read(0)
    if not bytes then
      return
    elseif bytes == "" then
      return stream:close_stdin()
    elseif not stream:write(bytes) then
      return
    end
  end
end

local function send_signal(capsule, stream, name)
  cleanup.start(capsule.client, "signal a command", kill.command,
    capsule.commands, { pid = stream.pid, signal = name })
end

-- What a signal to wrenn means for the command: it gets it. SIGTERM and SIGHUP
-- leave it some time; so does the first SIGINT, the second kills it.
local function pass_on(guard, capsule, stream)
  local asked
  return function(name)
    if not stream.pid or asked then
      return false
    end
    asked = true
    send_signal(capsule, stream, name)
    if name ~= "INT" then
      guard.signal = name
      require("wrenn.task.scheduler").after(GRACE, guard.cut, guard, name)
    end
    return true
  end
end

-- Leaves nothing running of a command that has not ended.
local function kill_rest(capsule, stream)
  if stream and not stream.exit_code and not stream.expired then
    cleanup.run(capsule.client, "kill a command", function()
      task.with_timeout(PATIENCE, function()
        while not stream.pid and stream:read() do end
      end)
      return stream.pid and not stream.exit_code
        and kill.command(capsule.commands, { pid = stream.pid })
    end)
  end
  if stream then
    stream:close()
  end
end

local function foreground(ctx, capsule, args)
  local stream, pumping
  core.ignore_sigpipe()
  return signals.guard(function(guard)
    stream = ctx:check(capsule.commands:stream(args.words[1],
      options_of(args, { bytes = true, stdin = args.interactive or nil,
        timeout = args.timeout })))
    guard.on_signal = pass_on(guard, capsule, stream)
    if args.interactive then
      pumping = task.spawn(pump, stream)
    end
    return stdio.copy(ctx, stream)
  end, function()
    if pumping then
      pumping:cancel()
    end
    kill_rest(capsule, stream)
  end)
end

--- Runs the command. Returns its exit status.
function execute.run(ctx, capsule, args)
  if args.detach then
    return detached(ctx, capsule, args)
  elseif args.tty then
    return require("wrenn.cli.console").execute(ctx, capsule,
      options_of(args, { cmd = args.words[1] }), args)
  end
  return foreground(ctx, capsule, args)
end

return execute
