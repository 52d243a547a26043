-- wrenn shell [ID]

local cleanup = require("wrenn.task.cleanup")
local console = require("wrenn.cli.console")
local making = require("wrenn.cli.making")
local signals = require("wrenn.cli.signals")
local types = require("wrenn.cli.types")

-- The user's own shell, as far as there is one.
local SHELL = [[
me=$(id -u)
while IFS=: read -r _ _ u _ _ _ s; do
  [ "$u" = "$me" ] && break
  s=
done </etc/passwd
[ -x "$s" ] || s=$(command -v bash) || s=/bin/sh
export SHELL="$s"
exec "$s"
]]

local function session(ctx, capsule, args)
  local envs = console.environment(types.map(args.env))
  return console.run(ctx, capsule, {
    input = true,
    open = function(columns, rows)
      return capsule:pty({ cmd = "/bin/sh", args = { "-c", SHELL },
        cols = columns, rows = rows, envs = envs, cwd = args.workdir,
        user = args.user })
    end,
  }, args)
end

-- In a capsule that goes with the shell, unless the user leaves that running.
local function in_new_capsule(ctx, args)
  local capsule, left
  require("wrenn.core").ignore_sigpipe()
  return signals.guard(function(guard)
    capsule = ctx:check(require("wrenn").Capsule.create(
      making.request(ctx, args)))
    guard.on_signal = function()
      return true -- the session has a guard of its own
    end
    local status
    status, left = session(ctx, capsule, args)
    return status
  end, function()
    if capsule and not left then
      cleanup.run(capsule.client, "destroy " .. capsule.id, capsule.destroy,
        capsule)
    end
  end)
end

local function run(ctx, args)
  if not (ctx.tty.stdin and ctx.tty.stdout) then
    ctx:misuse("stdin and stdout have to be a terminal; see wrenn exec")
  end
  console.keys(ctx, args.detach_keys)
  if args.id then
    return (session(ctx, ctx:capsule(args.id), args))
  end
  return in_new_capsule(ctx, args)
end

return {
  name = "shell",
  summary = "Opens a shell in a capsule",
  description = [[
Without ID in a new capsule, which is destroyed when the shell ends. ctrl-]
leaves the shell running; what is printed then says how to come back.]],
  operands = {
    { name = "ID", complete = "capsule", optional = true,
      env = "WRENN_CAPSULE" },
  },
  options = making.with({
    { "env", short = "e", value = "K[=V]", type = "variable", many = true,
      help = "sets a variable; without a value, to that of here" },
    { "workdir", short = "w", value = "DIR", help = "where it begins" },
    { "user", short = "u", value = "USER", help = "whose shell it is" },
    { "detach-keys", value = "KEYS",
      help = "that leave the shell running (ctrl-]); '' for none" },
  }),
  streams = true,
  raw = true,
  examples = {
    { "wrenn shell", "somewhere to try things" },
    { "wrenn shell cl-3f --detach-keys ctrl-p,ctrl-q", "docker's keys" },
  },
  run = run,
}
