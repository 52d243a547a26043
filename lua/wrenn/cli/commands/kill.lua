-- wrenn kill ID PID|TAG

local SIGNALS = { "HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "CONT",
  "STOP", "TSTP", "WINCH" }

-- Signals the group of a process, or it alone where it leads none; of a durable
-- command not the process that keeps it, whose group it is in.
local SCRIPT = [[
signal=$1 pid=$2 keeper=$3
field() {
  read -r s 2>/dev/null <"/proc/$1/stat" || return
  set -- $2 ${s##*) }
  shift "$1"
  printf %s "$1"
}
[ -d "/proc/$pid" ] || exit 3
group=$(field "$pid" 3)
if [ "$group" != "$pid" ]; then
  kill -s "$signal" "$pid"
  exit
elif [ -z "$keeper" ]; then
  kill -s "$signal" -- "-$pid"
  exit
fi
sent=3
for folder in /proc/[0-9]*; do
  other=${folder#/proc/}
  [ "$other" != "$pid" ] || continue
  [ "$(field "$other" 3)" = "$group" ] || continue
  kill -s "$signal" "$other" 2>/dev/null && sent=0
done
exit $sent
]]

local function signal_of(word)
  local name = word:upper():gsub("^SIG", "")
  if name == "9" then
    name = "KILL"
  elseif name == "15" then
    name = "TERM"
  elseif name == "2" then
    name = "INT"
  end
  for _, known in ipairs(SIGNALS) do
    if known == name then
      return name
    end
  end
end

local function pid_of(ctx, commands, target)
  if target:find("^%d+$") then
    return tonumber(target)
  end
  for _, process in ipairs(ctx:check(commands:list())) do
    if process.tag == target then
      return process.pid
    end
  end
  ctx:fail("there is no command with the tag '%s'", target)
end

-- The durable command of a tag, or nil.
local function durable(ctx, commands, target)
  if target:find("^%d+$") then
    return nil
  end
  local handle, err = commands:durable(target)
  if not handle and not err:is("NotFoundError") then
    ctx:check(nil, err)
  end
  return handle
end

local function run(ctx, args)
  local signal = signal_of(args.signal or "TERM")
  if not signal then
    ctx:misuse("--signal: '%s' is none of %s", args.signal,
      table.concat(SIGNALS, ", "))
  end
  local commands = require("wrenn.commands")
    .new(ctx:client(), ctx:id(args.id))
  local kept = durable(ctx, commands, args.target)
  if signal == "TERM" or signal == "KILL" then
    local how = { signal = "SIG" .. signal }
    if kept then
      ctx:check(kept:kill(how))
    else
      ctx:check(commands:kill(args.target:find("^%d+$")
        and tonumber(args.target) or args.target, how))
    end
    return
  end
  local pid = kept and kept.pid or pid_of(ctx, commands, args.target)
  local result = ctx:check(commands:run("/bin/sh", { args = { "-c", SCRIPT,
    "sh", signal, ("%d"):format(pid), kept and "keeper" or "" } }))
  if result.exit_code == 3 then
    ctx:fail("'%s' has ended", args.target)
  elseif result.exit_code ~= 0 then
    ctx:fail("the signal could not be sent: %s", result.stderr)
  end
end

return {
  name = "kill",
  summary = "Sends a signal to a command in a capsule",
  description = [[
The signal reaches the command and everything that it has started. Success means
that it was sent, not that the command has ended.]],
  operands = {
    { name = "ID", complete = "capsule", env = "WRENN_CAPSULE" },
    { name = "PID|TAG", key = "target", complete = "process" },
  },
  options = {
    { "signal", short = "s", value = "SIGNAL", complete = "signal",
      help = "such as INT or KILL (TERM)" },
  },
  signals = SIGNALS,
  run = run,
}
