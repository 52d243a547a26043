-- Kills a command together with everything it has started. The API's own kill
-- does not suffice: on 0.1 servers it signals a single process, and for a
-- foreground command the server tells no pid before it ends.

local exec = require("wrenn.commands.exec")
local words = require("wrenn.commands.words")

local kill = {}

--- Seconds that a limit waits for its kill and for the end that the server then
--- tells of, and how many more if the capsule has begun to answer.
kill.GRACE, kill.MORE = 2, 3

--- Seconds by which a limit comes before the server's own.
kill.AHEAD = 1

-- The tolerated difference between the age of a process and the expected age,
-- in hundredths of a second: two requests lie between the two clocks. Where the
-- age is the only clue, less is tolerated.
local SLACK, LESS_SLACK = 1000, 300

-- The processes of a command are found by parent, group and session, as far as
-- the server creates any, and by what they print to, which belongs to that
-- command alone: its own pipe, or the files of a durable command. So a child is
-- found even after its parent has ended or if it has created a session. A
-- process that has cut all of these ties is found by the mark that it has
-- inherited in its environment (words.MARK), if the command has one.

-- The scripts need /proc and a shell but no programs: some capsules have no ps.

-- "$1" is the signal. "$2" is the age of the command in hundredths of a second,
-- or @ and its start time in clock ticks, or -. "$3" is a process to spare, or
-- -. "$4" says what identifies the command's processes besides descent: -
-- nothing, @ the pipes it prints to, else the folder of a durable command. The
-- candidates follow. Selects the one whose age fits best; exits with 3 if none
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
mark=
case $by in
-) refs= ;;
@) refs="/proc/$root/fd/1 /proc/$root/fd/2" ;;
*) refs="$by/out $by/err" ;;
esac
]]

-- A command may end while a child holds its output open, and the server then
-- keeps waiting. "$1" is the age of the command; the processes in the server's
-- list follow. Prints one process, with its start time, for each pipe that no
-- listed process has and that is held by processes which started after the
-- command and have lost their parent. Those that have lost it in this capsule
-- have the parent that an orphan of this script gets: without isolation a
-- capsule sees the processes of the whole machine.
local FIND_ORPHANS = [[
late=$1 roots= slack=]] .. LESS_SLACK .. [[

shift
listed=$*
read -r up _ </proc/uptime
now=$((${up%.*} * 100 + 1${up#*.} - 100))
above=" 1 " p=$$
while [ "$p" -gt 1 ] && read -r s 2>/dev/null <"/proc/$p/stat"; do
  set -- ${s##*) }
  p=$2 above="$above$p "
done
heir=$(
  (
    i=0
    while [ $i -lt 10000 ] && read -r s </proc/self/stat; do
      i=$((i + 1))
      set -- ${s##*) }
      case $above in *" $2 "*) echo $2 && break ;; esac
    done
  ) &
)
for d in /proc/[0-9]*; do
  p=${d#/proc/}
  [ -p $d/fd/1 ] && read -r s 2>/dev/null <"$d/stat" || continue
  set -- ${s##*) }
  [ "$2" = "$heir" ] && [ "$1" != Z ] && [ $p != $$ ] || continue
  [ $((now - ${20} - late)) -lt $slack ] || continue
  case $above in *" $p "*) continue ;; esac
  for q in $listed $roots; do
    [ $p = $q ] || [ $d/fd/1 -ef /proc/$q/fd/1 ] && continue 2
  done
  roots="$roots $p"
  echo "$p ${20}"
done
]]

-- Stops the selected process and then, repeatedly, its children, the members of
-- its group and session, whatever prints to `refs` and whatever has the `mark`,
-- so that none of them can start another unnoticed; then signals them all. If
-- the process has ended, the same is done with what it has left. A stop takes
-- effect with a delay: only after all have been seen stopped does another pass
-- prove that there are no more. After KILL it waits until they are gone.
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
find_mark() {
  [ ! "$mark" ] && [ "$refs" ] && while IFS= read -r s || [ "$s" ]; do
    case $s in
    *]] .. words.MARK .. [[=*)
      s=${s#*]] .. words.MARK .. [[=} mark=${s%%.*}
      return
      ;;
    esac
  done
}
is_marked() {
  [ "$mark" ] || return
  case $others in *" $1 "*) return 1 ;; esac
  seen=
  while IFS= read -r s || [ "$s" ]; do
    case $s in *"]] .. words.MARK .. [[=$mark."*) return ;; esac
    seen=1
  done
  # While a process becomes another program there is nothing to read.
  [ ! "$seen" ] || others="$others$1 "
  return 1
}
others=" "
find_mark 2>/dev/null <"/proc/$root/environ"
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
    *)
      [ "$3" = $root ] || [ "$4" = $root ] || holds $p \
        || is_marked $p 2>/dev/null <$d/environ || continue
      ;;
    esac
    kill -STOP $p 2>/dev/null
    tree="$tree$p " calm=0
    # Its mark, and what it printed to, are known by those that it has left.
    find_mark 2>/dev/null <$d/environ
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

--- Signals one process of `pids` and all of its descendants. Options: signal
--- ("KILL"); age (seconds) or ticks (its start time), which select the process;
--- spare_root; whole (the processes are those of a whole command, including
--- detached ones): `true`, or the folder of a durable command. Returns true;
--- nil if none of them exists; or nil, err.
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

-- The processes in a list that run the given words. Those with a tag of their
-- own were started in the background, or are terminals.
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

-- Kills what a command has left, unless it is ambiguous which process that is.
-- A process that the server started after `processes` was listed looks the
-- same; a second list tells them apart.
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

-- By pid, which is not reused as long as the process lives.
local function by_pid(self, command)
  local ok, err = kill.tree(self, { command.pid },
    { signal = command.signal, whole = true })
  command.heard = not err
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

-- By words, for a command whose pid is not known.
local function by_words(self, command)
  local processes, err = exec.list(self)
  if not processes then
    return nil, err
  end
  command.heard = true
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
end

--- Kills a command that was started with `words` `age` seconds ago. `pid` is
--- given if known, `signal` if it is not KILL. Returns true; true, "left" if the
--- command itself had ended and only what it left was killed; nil if nothing
--- was found; or nil, err. Sets `heard` once the capsule has answered.
function kill.command(self, command)
  if command.pid then
    return by_pid(self, command)
  end
  return by_words(self, command)
end

return kill
