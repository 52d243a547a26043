-- A terminal in a capsule, on the terminal of here: keys go there, output comes
-- here, and so does the size. Certain keys leave it running.

local core = require("wrenn.core")
local exit = require("wrenn.cli.exit")
local scheduler = require("wrenn.task.scheduler")
local signals = require("wrenn.cli.signals")
local stdio = require("wrenn.cli.stdio")
local task = require("wrenn.task")

local console = {}

-- ---- detach keys -----------------------------------------------------------

local function key_of(word)
  local control = word:match("^[Cc][Tt][Rr][Ll]%-([%a@%[%]\\^_])$")
  if control then
    return string.char(control:upper():byte() % 32)
  end
  return #word == 1 and word or nil
end

--- The keys that an option asks for, as bytes. Without it ctrl-]; "" is none.
function console.keys(ctx, text)
  local keys = {}
  for word in (text or "ctrl-]"):gmatch("[^,]+") do
    keys[#keys + 1] = key_of(word) or ctx:misuse(
      "--detach-keys: '%s' is not a key such as x or ctrl-x", word)
  end
  return { text = table.concat(keys), at = 0 }
end

--- Returns the bytes of some input that are not keys to detach by, and whether
--- all of those have come. A key that may be the first of several is held back.
function console.scan(keys, bytes)
  local wanted = keys.text
  if wanted == "" then
    return bytes
  end
  local out = {}
  for i = 1, #bytes do
    local byte = bytes:sub(i, i)
    if byte ~= wanted:sub(keys.at + 1, keys.at + 1) then
      out[#out + 1] = wanted:sub(1, keys.at)
      keys.at = 0
    end
    if byte == wanted:sub(keys.at + 1, keys.at + 1) then
      keys.at = keys.at + 1
      if keys.at == #wanted then
        return table.concat(out), true
      end
    else
      out[#out + 1] = byte
    end
  end
  return table.concat(out)
end

-- ---- a session -------------------------------------------------------------

local function size()
  local columns, rows = core.terminal_size(1)
  if not columns then
    columns, rows = core.terminal_size(0)
  end
  return columns, rows
end

-- Passes keys on.
local function pump(session)
  local term = session.term
  while true do
    local bytes = stdio.read(0)
    if not bytes or bytes == "" then
      return
    end
    local passed, leaves = console.scan(session.keys, bytes)
    if passed ~= "" and not term:write(passed) then
      return
    elseif leaves then
      session.detached = true
      term:close()
      return
    end
  end
end

local function copy_output(session)
  local term = session.term
  while true do
    local event, err = term:read()
    if session.detached or not event then
      return err or term.err
    elseif event.type == "output" then
      stdio.write(1, event.data)
    end
  end
end

local function start(ctx, session, opts, args)
  session.keys = opts.input and console.keys(ctx, args.detach_keys)
  local columns, rows = size()
  session.term = ctx:check(opts.open(columns, rows))
  if opts.input then
    ctx:check(core.terminal_raw(0))
    session.pumping = task.spawn(pump, session)
  end
  session.unwatch = signals.watch({ "WINCH" }, function()
    columns, rows = size()
    if columns then
      session.term:resize(columns, rows)
    end
  end)
  if args.timeout then
    session.stop_timer = scheduler.after(args.timeout, function()
      session.late = true
      task.background(session.term.kill, session.term)
    end)
  end
end

local function finish(session)
  if session.stop_timer then
    session.stop_timer()
  end
  if session.unwatch then
    session.unwatch()
  end
  if session.pumping then
    session.pumping:cancel()
  end
  core.terminal_restore()
  if session.term and not session.detached then
    session.term:__close() -- what this process has started, it ends
  end
end

local function way_back(ctx, capsule, term)
  ctx:say("it goes on; come back with: wrenn attach %s %s", capsule.id,
    term.tag)
end

--- Runs a terminal to its end, or until the user leaves it. `opts`: open(columns,
--- rows), which returns the terminal, and `input`: stdin belongs to it. Returns
--- the exit status, and whether the user has left it.
function console.run(ctx, capsule, opts, args)
  local session = {}
  core.ignore_sigpipe()
  local failure
  signals.guard(function()
    start(ctx, session, opts, args)
    failure = copy_output(session)
  end, function()
    finish(session)
  end)
  local term = session.term
  if session.detached then
    io.stderr:write("\n")
    way_back(ctx, capsule, term)
    return 0, true
  elseif session.late then
    exit.raise(exit.TIMEOUT, ("the command did not end within %g s")
      :format(args.timeout))
  elseif not term.exit_code then
    if term.tag then
      way_back(ctx, capsule, term)
    end
    ctx:check(nil, failure)
  end
  return term.exit_code < 0 and 137 or term.exit_code
end

-- ---- what runs in it -------------------------------------------------------

--- Adds the kind of the terminal to an environment.
function console.environment(envs)
  local copy = { TERM = os.getenv("TERM") or "xterm" }
  for name, value in pairs(envs or {}) do
    copy[name] = value
  end
  return copy
end

-- A terminal's program that a signal has killed has no exit code of its own; so
-- a shell waits for it.
local RUN = [[
trap : HUP INT QUIT TERM
exec 9>&2 2>/dev/null
(exec "$@" 2>&9 9>&-)
exit $?
]]

--- Runs a command in a terminal. `how`: cmd, args, envs, cwd and user.
function console.execute(ctx, capsule, how, args)
  local words = { "-c", RUN, "sh", how.cmd }
  for _, word in ipairs(how.args) do
    words[#words + 1] = word
  end
  return (console.run(ctx, capsule, {
    input = args.interactive,
    open = function(columns, rows)
      return capsule:pty({ cmd = "/bin/sh", args = words, cols = columns,
        rows = rows, envs = console.environment(how.envs), cwd = how.cwd,
        user = how.user })
    end,
  }, args))
end

return console
