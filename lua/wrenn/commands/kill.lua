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

-- What a command has started is found by its parents, its group and its
-- session, as far as the server makes any; and by what it prints to, which no
-- other command has: a pipe of its own, or a durable command's files. So a
-- child is found whose parent is gone, or that has a session of its own. One
-- that has cut all of these ties is not.

-- The scripts need /proc and a shell, no program: not every capsule has ps.

-- "$1" the signal; "$2" the command's age in hundredths of a second, @ and the
-- time of its start in the kernel's count, or -; "$3" a process to be spared or
-- -; "$4" what tells the command's processes besides their descent: - nothing,
-- @ the pipes that it prints to, else the folder of a durable command; then the
-- candidates. Takes the one whose age fits best, and exits with 3 when none
-- does.
local PICK = [[
sig=$1 late=$2 spared=$3 by=$4 root= best=]] .. SLACK .. [[

shift 4
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
case $by in
-) refs= ;;
@) refs="/proc/$root/fd/1 /proc/$root/fd/2" ;;
*) refs="$by/out $by/err" ;;
esac
]]

-- A command may end and leave a child that holds its output open, so that the
-- server goes on waiting. "$1" the command's age; then the processes in the
-- server's list. Prints, one for each pipe, the processes that were started
-- since the command was, have lost their parent and print to a pipe which
-- nothing in the list has; with each the time of its start. A capsule without
-- walls sees processes that are not its own: these lack its variable.
local FIND_ORPHANS = [[
late=$1 roots= slack=]] .. LESS_SLACK .. [[

shift
listed=$*
own() {
  [ "$WRENN_SANDBOX_ID" ] || return 0
  while read -r e || [ "$e" ]; do
    case $e in *"WRENN_SANDBOX_ID=$WRENN_SANDBOX_ID"*) return 0 ;; esac
  done 2>/dev/null <"/proc/$1/environ"
  return 1
}
read -r up _ </proc/uptime
now=$((${up%.*} * 100 + 1${up#*.} - 100))
above=" 1 $$ " p=$$
while [ "$p" -gt 1 ] && read -r s 2>/dev/null <"/proc/$p/stat"; do
  set -- ${s##*) }
  p=$2 above="$above$p "
done
for d in /proc/[0-9]*; do
  p=${d#/proc/}
  [ -p $d/fd/1 ] && read -r s 2>/dev/null <"$d/stat" || continue
  set -- ${s##*) }
  [ "$1" != Z ] && [ $((now - ${20} - late)) -lt $slack ] || continue
  case $above in *" $p "*) continue ;; esac
  case $above in *" $2 "*) ;; *) continue ;; esac
  own $p || continue
  for q in $listed $roots; do
    [ $p = $q ] || [ $d/fd/1 -ef /proc/$q/fd/1 ] && continue 2
  done
  roots="$roots $p"
  echo "$p ${20}"
done
]]

-- Stops the process that was taken and, over and over, its children, what is in
-- its group or session and what prints to `refs`, so that none can start another
-- unseen; then signals them all. Of a process that has ended, those that it has
-- left. A stop takes effect a moment later: only once all have been seen to
-- stand still does another look show that there are no more. After a KILL it
-- waits until they are gone.
kill.TREE = [[
own=
for f in $refs; do
  case $f in /proc/*) [ -p $f ] || continue ;; esac
  own="$own $f"
done
holds() {
  for f in $own; do
    [ /proc/$1/fd/1 -ef $f ] || [ /proc/$1/fd/2 -ef $f ] && return
  done
  return 1
}
[ $root = $spared ] || kill -STOP $root 2>/dev/null
tree=" $root " calm=0 i=0
while [ $calm -lt 2 ] && [ $i -lt 200 ]; do
  i=$((i + 1)) calm=$((calm + 1))
  for d in /proc/[0-9]*; do
    p=${d#/proc/}
    read -r s 2>/dev/null <"$d/stat" || continue
    set -- ${s##*) }
    [ "$1" != Z ] && [ $p != $$ ] && [ $p != "$watch" ] || continue
    case $tree in
    *" $p "*)
      [ "$1" = T ] || [ "$1" = t ] || [ $p = $spared ] || calm=0
      continue
      ;;
    *" $2 "*) ;;
    *) [ "$3" = $root ] || [ "$4" = $root ] || holds $p || continue ;;
    esac
    kill -STOP $p 2>/dev/null
    tree="$tree$p " calm=0
    # What it printed to is known by those that it has left.
    [ "$own" ] || [ -e /proc/$root/fd/1 ] || [ ! "$refs" ] || [ ! -p $d/fd/1 ] \
      || own=$d/fd/1
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
--- age (seconds) or ticks (its start) tell which of them, spare_root; whole: it
--- is a whole command, whatever its processes have become, `true` or the folder
--- of a durable one. Returns true; nil when none of them is there; nil, err.
function kill.tree(self, pids, opts)
  opts = opts or {}
  local age = opts.ticks and "@" .. opts.ticks
    or opts.age and hundredths(opts.age) or "-"
  local args = { opts.signal or "KILL", age,
    opts.spare_root and ("%d"):format(pids[1]) or "-",
    opts.whole == true and "@" or opts.whole or "-" }
  for _, pid in ipairs(pids) do
    args[#args + 1] = ("%d"):format(pid)
  end
  return outcome(exec.script_about(self, pids, PICK .. kill.TREE, args))
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

-- Of a list, the processes that run these words. Whatever carries a tag of its
-- own was started in the background, or is a terminal.
local function candidates(processes, list, tag)
  local pids = {}
  for _, process in ipairs(processes) do
    if same_words(process, list)
      and (process.tag == nil or process.tag == tag)
    then
      pids[#pids + 1] = process.pid
    end
  end
  return pids
end

-- Ends what a command has left, unless it is not clear which process that is.
-- One that the server has started since `processes` were listed looks the same:
-- another list tells.
local function orphans(self, command, processes)
  local args = { hundredths(command.age()) }
  for _, process in ipairs(processes) do
    args[#args + 1] = ("%d"):format(process.pid)
  end
  local found, err = exec.script(self, FIND_ORPHANS, args)
  if not found or found.stdout == "" then
    return nil, err
  end
  processes, err = exec.list(self)
  if not processes then
    return nil, err
  end
  local starts = {}
  for pid, ticks in found.stdout:gmatch("(%d+) (%d+)") do
    starts[tonumber(pid)] = ticks
  end
  for _, process in ipairs(processes) do
    starts[process.pid] = nil
  end
  local pid, ticks = next(starts)
  if not pid or next(starts, pid) then
    return nil
  end
  return kill.tree(self, { pid },
    { signal = command.signal, ticks = ticks, whole = true })
end

-- By its number, which is its own while it lives.
local function by_pid(self, command)
  local ok, err = kill.tree(self, { command.pid },
    { signal = command.signal, whole = true })
  if ok or err then
    return ok, err
  end
  local processes
  processes, err = exec.list(self)
  if not processes then
    return nil, err
  end
  ok = command.age and orphans(self, command, processes)
  if ok then
    return ok
  end
  return exec.signal(self, command.pid)
end

--- Ends a command that was started by words `age` seconds ago; `pid` when it
--- is known, `signal` when it is not KILL. Whatever interrupts the caller, this
--- goes on. Returns true, and "left" when it had ended already and only what it
--- left was there; nil when nothing was found; nil, err.
function kill.command(self, command)
  return task.shield(function()
    if command.pid then
      return by_pid(self, command)
    end
    local processes, err = exec.list(self)
    if not processes then
      return nil, err
    end
    local pids = candidates(processes, command.words, command.tag)
    local ok, why
    if pids[1] then
      ok, why = kill.tree(self, pids,
        { signal = command.signal, age = command.age(), whole = true })
      if ok or why then
        return ok, why
      end
    end
    ok, why = orphans(self, command, processes)
    return ok, ok and "left" or why
  end)
end

return kill
