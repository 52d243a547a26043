-- Ends a command with everything that it has started. The API's own kill is
-- not enough: on 0.1 servers it signals one process, and which process an
-- exec has started the server does not tell before its end.

local exec = require("wrenn.commands.exec")
local task = require("wrenn.task")

local kill = {}

-- How far the age of a process may be from what it should be, in hundredths of
-- a second: two requests stand between the clocks. Where it is the only hint,
-- there is less room.
local SLACK, LESS_SLACK = 1000, 300

-- The scripts need /proc and a shell, no program: not every capsule has ps.

-- "$1" the signal; "$2" the command's age in hundredths of a second, @ and the
-- time of its start in the kernel's count, or -; "$3" a process to be spared or
-- -; then the candidates. Takes the one whose age fits best, and exits with 3
-- when none does.
local PICK = [[
sig=$1 late=$2 spared=$3 root= best=]] .. SLACK .. [[

shift 3
read -r up _ </proc/uptime
now=$((${up%.*} * 100 + 1${up#*.} - 100))
for p; do
  [ "$late" = - ] && root=$p && break
  read -r s 2>/dev/null <"/proc/$p/stat" || continue
  set -- ${s##*) }
  case $late in
  @*)
    [ "@${20}" = "$late" ] && root=$p
    continue
    ;;
  esac
  off=$((now - ${20} - late))
  [ $off -ge 0 ] || off=$((-off))
  [ $off -lt $best ] && best=$off root=$p
done
[ "$root" ] || exit 3
]]

-- A command may end and leave a child that holds its output open, so that the
-- server goes on waiting. "$2" the command's age. Takes the session that has
-- lost its leader and has a member of that age, if it is the only one.
local PICK_ORPHANS = [[
sig=$1 late=$2 spared=- root=
read -r up _ </proc/uptime
now=$((${up%.*} * 100 + 1${up#*.} - 100))
for d in /proc/[0-9]*; do
  read -r s 2>/dev/null <"$d/stat" || continue
  set -- ${s##*) }
  [ "$4" -gt 0 ] && [ ! -e "/proc/$4" ] && [ "$4" != "$root" ] || continue
  off=$((now - ${20} - late))
  [ $off -ge 0 ] || off=$((-off))
  [ $off -lt ]] .. LESS_SLACK .. [[ ] || continue
  [ -z "$root" ] || exit 3
  root=$4
done
[ "$root" ] || exit 3
]]

-- Stops the process that was taken and, over and over, its children and what
-- is in its group or session, so that none can start another unseen; then
-- signals them all. Of a process that has ended, those that it has left in its
-- group or session. A stop takes effect a moment later: only once all have
-- been seen to stand still does another look show that there are no more.
-- After a KILL it waits until they are gone.
local TREE = [[
[ $root = $spared ] || kill -STOP $root 2>/dev/null
tree=" $root " calm=0 i=0
while [ $calm -lt 2 ] && [ $i -lt 200 ]; do
  i=$((i + 1)) calm=$((calm + 1))
  for d in /proc/[0-9]*; do
    p=${d#/proc/}
    read -r s 2>/dev/null <"$d/stat" || continue
    set -- ${s##*) }
    [ "$1" != Z ] || continue
    case $tree in
    *" $p "*)
      [ "$1" = T ] || [ "$1" = t ] || [ $p = $spared ] || calm=0
      continue
      ;;
    *" $2 "*) ;;
    *) [ "$3" = $root ] || [ "$4" = $root ] || continue ;;
    esac
    kill -STOP $p 2>/dev/null
    tree="$tree$p " calm=0
  done
done
[ "$tree" != " $root " ] || [ -e /proc/$root ] || exit 3
for p in $tree; do
  [ $p = $spared ] || kill -$sig $p 2>/dev/null
done
for p in $tree; do
  [ $p = $spared ] || kill -CONT $p 2>/dev/null
done
i=0 more=1
while [ $more ] && [ $sig = KILL ] && [ $i -lt 100 ]; do
  i=$((i + 1)) more=
  for p in $tree; do
    [ $p != $spared ] && read -r s 2>/dev/null <"/proc/$p/stat" || continue
    set -- ${s##*) }
    [ "$1" = Z ] || more=1
  done
  [ -z "$more" ] || sleep 0.01
done
exit 0
]]

local function hundredths(seconds)
  return ("%d"):format(math.floor(seconds * 100))
end

local function outcome(result, err)
  if not result then
    return nil, err
  end
  return result.exit_code == 0 or nil
end

--- Signals one process of `pids`, and all below it. opts: signal ("KILL"),
--- age (seconds) or ticks (its start) tell which of them, spare_root. Returns
--- true; nil when none of them is there; nil, err.
function kill.tree(self, pids, opts)
  opts = opts or {}
  local age = opts.ticks and "@" .. opts.ticks
    or opts.age and hundredths(opts.age) or "-"
  local args = { opts.signal or "KILL", age,
    opts.spare_root and ("%d"):format(pids[1]) or "-" }
  for _, pid in ipairs(pids) do
    args[#args + 1] = ("%d"):format(pid)
  end
  return outcome(exec.script_as_root(self, PICK .. TREE, args))
end

local function same_words(process, list)
  local args = process.args or {}
  if process.cmd ~= list[1] or #args ~= #list - 1 then
    return false
  end
  for i, arg in ipairs(args) do
    if arg ~= list[i + 1] then
      return false
    end
  end
  return true
end

-- The processes that run these words. Whatever carries a tag of its own was
-- started in the background, or is a terminal.
local function candidates(self, list, tag)
  local processes, err = exec.list(self)
  if not processes then
    return nil, err
  end
  local pids = {}
  for _, process in ipairs(processes) do
    if type(process.pid) == "number" and same_words(process, list)
      and (process.tag == nil or process.tag == tag)
    then
      pids[#pids + 1] = process.pid
    end
  end
  return pids
end

--- Ends a command that was started by words `age` seconds ago; `pid` when it
--- is known, `signal` when it is not KILL. Whatever interrupts the caller, this
--- goes on. Returns true, and "left" when it had ended already and only what it
--- left was there; nil when nothing was found; nil, err.
function kill.command(self, command)
  return task.shield(function()
    if command.pid then
      local ok, err = kill.tree(self, { command.pid },
        { signal = command.signal })
      if ok or not err then
        return ok
      end
      return exec.signal(self, command.pid)
    end
    local pids, err = candidates(self, command.words, command.tag)
    if not pids then
      return nil, err
    elseif pids[1] then
      return kill.tree(self, pids,
        { signal = command.signal, age = command.age() })
    end
    local ok, why = outcome(exec.script_as_root(self, PICK_ORPHANS .. TREE,
      { command.signal or "KILL", hundredths(command.age()) }))
    return ok, ok and "left" or why
  end)
end

return kill
