--- Durable commands: their output and exit code are kept in the capsule, under
--- ~/.wrenn/<tag>, until removed. The output can be read from any byte on, any
--- number of times, from any process, and after a lost connection or a pause.

local check = require("wrenn.check")
local cleanup = require("wrenn.task.cleanup")
local directory = require("wrenn.commands.directory")
local errors = require("wrenn.errors")
local exec = require("wrenn.commands.exec")
local fate = require("wrenn.client.fate")
local files = require("wrenn.files")
local ids = require("wrenn.ids")
local kill = require("wrenn.commands.kill")
local literal = require("wrenn.commands.literal")
local run = require("wrenn.commands.run")
local scheduler = require("wrenn.task.scheduler")
local streams = require("wrenn.commands.stream")
local task = require("wrenn.task")
local url = require("wrenn.wire.url")
local words = require("wrenn.commands.words")

local durable = {}

---@class wrenn.DurableHandle
---@field pid integer         of the keeper, the command's parent
---@field tag string          what commands:durable finds it by
---@field capsule_id string  the capsule that it runs in
local Handle = { is_durable_handle = true }
Handle.__index = Handle

function Handle:__tostring()
  return ("wrenn.DurableHandle (%s in %s)"):format(self.tag, self.capsule_id)
end

-- The maximum number of bytes of stdout, and of stderr, in one answer.
local PIECE = 2 * 1024 * 1024
local FOLDER_MAX = 200

-- ---- scripts ---------------------------------------------------------------

-- Every script starts in the home directory. "$1" is the folder.

-- "$2" is the working directory of the command, or empty; "$3" a word that only
-- who makes the folder knows. What will be known of
-- the command, its keeper and its exit code, gets its room on the disk now, and
-- is later written in place: a disk that is full by then does not matter, and
-- there is no half of it.
local MAKE = [[
[ -z "$2" ] || (cd -- "$2") 2>/dev/null || exit 18
umask 077
mkdir -p .wrenn || exit 1
mkdir ".wrenn/$1" || { [ -d ".wrenn/$1" ] && exit 17; exit 1; }
cd ".wrenn/$1" || exit 1
printf %s "$3" >by && : >out && : >err \
  && printf '%99s\n' '' >pid && printf '%9s\n' '' >exit \
  && exit 0
rm -f by out err pid exit
rmdir "$PWD"
exit 19
]]

-- Removes what MAKE may have made, and nobody else's folder.
local UNMAKE = [[
[ "$(cat ".wrenn/$1/by" 2>/dev/null)" = "$2" ] && exec rm -r ".wrenn/$1"
]]

-- The start time of a process in clock ticks: together with the pid and the
-- boot it identifies the process for good.
local START = [[
boot=
read -r boot 2>/dev/null </proc/sys/kernel/random/boot_id
start() {
  read -r s 2>/dev/null <"/proc/$1/stat" || return
  set -- ${s##*) }
  printf %s "${20}"
}
]]

-- Runs a command and records its exit code. "$2" is a time limit in seconds or
-- empty, "$3" a directory or empty; the command follows. A SIGTERM sent to the
-- whole group must not end the keeper or its timer: the command itself may
-- handle the signal. When the limit is reached, all that the command has
-- started is killed, and the keeper records that.
local KEEP = START .. [[
d=$PWD/.wrenn/$1 limit=$2 cwd=$3
shift 3
printf '%s %s %s\n' $$ "$(start $$)" "$boot" 1<>"$d/pid" || exit
trap : TERM
exec 3<&0
(
  [ -z "$cwd" ] || cd -- "$cwd" || exit 126
  exec "$@"
) <&3 3<&- >>"$d/out" 2>>"$d/err" &
c=$!
: >"$d/started"
if [ "$limit" ]; then
  (
    trap '' TERM
    trap 'kill -KILL $!; exit' USR1
    PATH=$PATH:/usr/bin:/bin sleep "$limit" &
    wait $!
    trap '' USR1
    : >"$d/late"
    cd "$d" || exit
    root=$c spared=- sig=KILL refs='out err' watch=$(exec sh -c 'echo $PPID')
    mark=${]] .. words.MARK .. [[%.}
]] .. kill.TREE .. [[
  ) <&- 3<&- >/dev/null 2>&1 &
  t=$!
fi
while :; do
  wait $c
  code=$?
  kill -0 $c 2>/dev/null || break
done
if [ -e "$d/late" ]; then
  wait $t # until all is killed
elif [ "$limit" ]; then
  kill -USR1 $t
fi
printf '%s\n' $code 1<>"$d/exit" || : >"$d/unknown"
]]

-- Waits for a short time until there are more than "$2" bytes of stdout or "$3"
-- bytes of stderr, or the command has ended. Prints at most "$4" bytes of each.
-- "$5" is the pid that the server has told of the keeper, or 0. Exits with 0 if
-- more may follow; after the last byte with 10, having printed the exit code
-- unless the command was killed together with its keeper; with 12 if the time
-- limit killed the command; with 13 if the capsule was started anew meanwhile;
-- with 14 if the exit code could not be written; with 15 if there is no keeper,
-- nor any in the first minute. With 3 if there is no such command.
local READ = START .. [[
cd ".wrenn/$1" 2>/dev/null || exit 3
line_of() {
  line=
  IFS= read -r line 2>/dev/null <"$1"
  # Many shells read byte by byte: after a blank comes the end of what has been
  # written since.
  case $line in
  [0-9]*) ;;
  *) line= ;;
  esac
}
tag=$1 known=$5
is_coming() {
  if [ "$known" != 0 ]; then
    case $(tr '\0' ' ' 2>/dev/null <"/proc/$known/cmdline") in
    *"$tag"*) return ;;
    esac
    [ $i -lt 20 ] # a process that is only just being made has no words yet
    return
  fi
  [ $(($(date +%s) - $(stat -c %Y .))) -lt 60 ]
}
over() {
  line_of exit
  code=$line
  [ -z "$code" ] || return 0
  line_of pid
  set -- $line
  if [ $# = 0 ]; then
    is_coming && return 1
    line_of pid
    [ -z "$line" ] || return 1
    how=15
  elif [ "$3" ] && [ "$3" != "$boot" ]; then
    how=13
  elif [ "$(start "$1")" = "$2" ]; then
    return 1
  else
    line_of exit
    code=$line
    [ -n "$code" ] || [ ! -e unknown ] || how=14
  fi
}
i=0 end= how=10
while :; do
  over && end=1
  { o=$(wc -c <out) e=$(wc -c <err); } 2>/dev/null
  o=${o:-0} e=${e:-0}
  [ $o -gt $2 ] || [ $e -gt $3 ] && break
  [ "$end" ] && break
  i=$((i + 1))
  [ $i -gt 80 ] && exit 0
  if [ $i -lt 20 ]; then sleep 0.05; else sleep 0.2; fi
done
if [ $o -gt $2 ] || [ $e -gt $3 ]; then
  tail -c "+$(($2 + 1))" out | head -c "$4"
  tail -c "+$(($3 + 1))" err | head -c "$4" >&2
  exit 0
fi
[ -e late ] && exit 12
[ -z "$code" ] || echo "$code"
exit $how
]]

-- Prints the pid and the start time of the keeper once there is something to
-- kill.
local LOOK = [[
cd ".wrenn/$1" 2>/dev/null || exit 3
i=0
while [ ! -e started ] && [ $i -lt 40 ]; do
  i=$((i + 1))
  sleep 0.05
done
cat pid 2>/dev/null
exit 0
]]

-- ---- start and find --------------------------------------------------------

-- A tag may contain any character, the name of a folder may not.
local function folder_of(tag)
  return "t-" .. url.escape(tag)
end

local function not_found(tag)
  return errors.new("NotFoundError",
    ("there is no durable command with the tag '%s'"):format(tag))
end

local function failed(result, guess)
  return errors.new("AgentError", "the capsule could not keep the command: "
    .. (guess or "") .. errors.text(result.stderr), { result = result })
end

local function new(self, tag, pid)
  return setmetatable({
    pid = pid, tag = tag, capsule_id = self.capsule_id, commands = self,
    folder = folder_of(tag),
  }, Handle)
end

local function make_folder(self, tag, opts)
  local by = ids.random(12)
  local result, err = exec.script(self, MAKE, { folder_of(tag),
    opts.cwd and words.directory(opts.cwd) or "", by })
  if not result then -- nobody knows what has become of it
    cleanup.run(self.client, "remove the command " .. tag, exec.script, self,
      UNMAKE, { folder_of(tag), by })
    return nil, err
  elseif result.exit_code == 18 then
    return nil, directory.look(self, opts.cwd)
      or directory.error(opts.cwd, "cannot be entered")
  elseif result.exit_code == 17 then
    return nil, errors.new("ConflictError",
      ("there is a durable command with the tag '%s' already"):format(tag))
  elseif result.exit_code ~= 0 then
    return nil, failed(result, result.exit_code == 19 and "is its disk full? ")
  end
  return true
end

local function remove_folder(self, folder)
  return files.new(self.client, self.capsule_id):remove("~/.wrenn/" .. folder)
end

--- Implements commands:run with durable=true. A bad tag raises at its caller.
function durable.start(self, cmd, opts)
  local tag = opts.tag or "durable-" .. ids.random(12)
  if tag == "" or tag:find("^%d+$") or #folder_of(tag) > FOLDER_MAX then
    error("bad option 'tag' to 'run' (it is empty, only digits, or too long)",
      3)
  end
  local ok, err = make_folder(self, tag, opts)
  if not ok then
    return nil, err
  end
  -- In whole milliseconds: the locale may have a decimal comma.
  local ms = opts.timeout and math.ceil(opts.timeout * 1000)
  local limit = ms and ("%d.%03d"):format(math.floor(ms / 1000), ms % 1000)
    or ""
  local cwd = opts.cwd and words.directory(opts.cwd) or ""
  local fields = { tag = tag, envs = { [words.MARK] = words.new_mark() } }
  for _, name in ipairs({ "args", "cwd", "user", "stdin" }) do
    fields[name] = opts[name]
  end
  for name, value in pairs(opts.envs or {}) do
    fields.envs[name] = value
  end
  local answer, more = run.background(self, cmd, fields, function(list)
    return words.script(KEEP, { folder_of(tag), limit, cwd }, list)
  end)
  if not answer then
    cleanup.run(self.client, "remove the command " .. tag, remove_folder, self,
      folder_of(tag))
    return nil, more
  end
  local handle = new(self, tag, answer.pid)
  handle.feed = more
  return handle
end

local function look(self, tag)
  local result, err = exec.script(self, LOOK, { folder_of(tag) })
  if not result then
    return nil, err
  elseif result.exit_code ~= 0 then
    return nil, not_found(tag)
  end
  local pid, ticks = result.stdout:match("^(%d+) (%d+)")
  return { pid = tonumber(pid) or 0, ticks = ticks }
end

--- Implements commands:durable.
function durable.find(self, tag)
  local found, err = look(self, tag)
  if not found then
    return nil, err
  end
  return new(self, tag, found.pid)
end

-- ---- reading ---------------------------------------------------------------

-- Parses an offset: "12+5" means 12 bytes of stdout and 5 of stderr, a plain
-- number means bytes of stdout. Returns nil for anything else.
local function parse_offset(from)
  if from == nil then
    return 0, 0
  elseif type(from) == "number" then
    return from >= 0 and from % 1 == 0 and from or nil, 0
  end
  local out, err = from:match("^(%d+)%+(%d+)$")
  return tonumber(out), tonumber(err)
end

-- Reading does no harm: it is repeated like any request that only reads.
local function fetch(stream)
  local commands = stream.commands
  local list = literal.wrap(words.script(READ, { stream.folder,
    ("%d"):format(stream.out), ("%d"):format(stream.errs),
    ("%d"):format(PIECE), ("%d"):format(stream.pid) }))
  local result, err =
    exec.run(commands, list, { timeout_sec = 60, reads = true })
  if err and not err.status_code then
    err = fate.of(commands.client, exec.path(commands, "/exec"), err)
  end
  return result, err
end

-- Puts output into the inbox, each piece with the offset of its end.
local function put_output(stream, result)
  local function put(kind, data)
    if data ~= "" then
      stream.inbox:put({ type = kind, data = data,
        offset = ("%d+%d"):format(stream.out, stream.errs) })
    end
  end
  stream.out = stream.out + #result.stdout
  put("stdout", result.stdout)
  stream.errs = stream.errs + #result.stderr
  put("stderr", result.stderr)
end

-- How a command ended whose exit code will never be known, by what READ says.
local LOST = {
  [13] = "the capsule was started anew while the command ran",
  [14] = "the exit code could not be kept; is the disk full?",
  [15] = "the command has not started: nothing in the capsule keeps it",
}

local function put_answer(stream, result, err)
  local function broken(why)
    stream.inbox:put({ kind = "broken", why })
  end
  if not result then
    broken(err)
  elseif result.exit_code == 0 then
    put_output(stream, result)
  elseif result.exit_code == 10 then
    stream.inbox:put({ type = "exit",
      exit_code = tonumber(result.stdout:match("^%d+")) or -1,
      offset = ("%d+%d"):format(stream.out, stream.errs) })
  elseif result.exit_code == 12 then
    stream.expired = errors.new("TimeoutError",
      "the command did not end within its limit")
    broken(stream.expired)
  elseif LOST[result.exit_code] then
    broken(errors.new("AgentError", LOST[result.exit_code],
      { details = { tag = stream.tag } }))
  elseif result.exit_code == 3 then
    broken(not_found(stream.tag))
  else
    broken(failed(result))
  end
end

-- Requests more output when there is none to read. This runs in a task of its
-- own, so that an interrupted reader loses nothing.
local function refill(stream)
  local inbox = stream.inbox
  if stream.fetching or inbox.first <= inbox.last then
    return
  end
  stream.fetching = task.background(function()
    local result, err
    repeat
      result, err = fetch(stream)
    until stream.ended or not result or result.exit_code ~= 0
      or result.stdout ~= "" or result.stderr ~= ""
    stream.fetching = nil
    if not stream.ended then
      put_answer(stream, result, err)
    end
  end)
end

local function feed_of(self, fname)
  check.self(self, "is_durable_handle", fname)
  if not self.feed then
    error(("bad argument 'self' to '%s' (only the handle of a command that was"
      .. " started with stdin=true has its input)"):format(fname), 3)
  end
  return self.feed
end

--- Writes input to the command, as stream:write does. Only the handle that
--- started it, with stdin=true, can; the input ends with close_stdin, or with
--- the command.
---@param bytes string
---@return true|nil
---@return wrenn.Error? err  the command has ended, or closed its input
function Handle:write(bytes)
  local feed = feed_of(self, "write")
  check.arg(bytes, "bytes", "write", "string")
  return feed:write(bytes)
end

--- Ends the command's input.
---@return true|nil
---@return wrenn.Error? err
function Handle:close_stdin()
  return feed_of(self, "close_stdin"):close()
end

local function stop_fetching(stream)
  local feed = stream.feed_of_handle
  if feed and stream.exit_code then
    feed:stop()
  end
  if stream.fetching then
    stream.fetching:cancel()
  end
end

--- Reads the command's output from an offset on: an iterator of the events of
--- commands:stream, without a start event, and with the exact bytes that were
--- printed. Each event has an `offset`, a string that stands for the position
--- after it in both outputs; stream.offset is that of the last event read. The
--- exit code is the shell's: 128 + N if the command was killed by signal N; -1
--- if it was killed together with its keeper. Where it will never be known, the
--- stream gives what there is and ends with AgentError: the command did not come
--- to start, the capsule was started anew meanwhile, the disk failed. Repeats
--- POST /v1/capsules/{id}/exec.
---@param opts? {from?: string|integer, check?: boolean}  `from` is an offset; a
---  number counts bytes of stdout, and all of stderr then comes; the beginning
---  when absent. `check` as for commands:stream
---@return wrenn.Stream|nil
---@return wrenn.Error? err
---@return any ...  nil and the object again, for `for`
function Handle:stream(opts)
  check.self(self, "is_durable_handle", "stream")
  opts = check.options(opts, "stream",
    { from = "string|number", check = "boolean" })
  local out, errs = parse_offset(opts.from)
  if not out or not errs then
    error("bad option 'from' to 'stream' (an offset of an event expected)", 2)
  end
  local stream = streams.new({
    inbox = scheduler.inbox(), commands = self.commands, folder = self.folder,
    tag = self.tag, pid = self.pid, out = out, errs = errs,
    offset = ("%d+%d"):format(out, errs), feed_of_handle = self.feed,
    refill = refill, on_finish = stop_fetching, check = opts.check,
  })
  return stream, nil, nil, stream
end

--- Waits until the command has ended; it may have ended long ago.
---@param opts? {timeout?: number}  seconds; the command is not stopped by it
---@return wrenn.CommandResult|nil
---  all of its output
---@return wrenn.Error? err
function Handle:wait(opts)
  check.self(self, "is_durable_handle", "wait")
  opts = check.options(opts, "wait", { timeout = "seconds" })
  local stream = self:stream()
  if opts.timeout then
    streams.limit(stream, opts.timeout)
  end
  return stream:wait()
end

-- ---- the end ---------------------------------------------------------------

local signals = { SIGKILL = "KILL", SIGTERM = "TERM" }

--- Sends a signal to the command and everything it has started, on every
--- server. (commands:kill may also hit the keeper, which loses the exit code.)
--- POST /v1/capsules/{id}/exec.
---@param opts? {signal?: "SIGKILL"|"SIGTERM"}  SIGKILL
---@return true|nil
---@return wrenn.Error? err  NotFoundError when it has ended
function Handle:kill(opts)
  check.self(self, "is_durable_handle", "kill")
  opts = check.options(opts, "kill", { signal = "string" })
  local signal = signals[opts.signal or "SIGKILL"]
  if not signal then
    error("bad option 'signal' to 'kill' (SIGKILL or SIGTERM expected)", 2)
  end
  local found, err = look(self.commands, self.tag)
  if not found then
    return nil, err
  end
  local ok
  if found.ticks then
    ok, err = kill.tree(self.commands, { found.pid },
      { signal = signal, ticks = found.ticks, spare_root = true,
        whole = ".wrenn/" .. self.folder })
  end
  if not ok and not err then
    err = errors.new("NotFoundError",
      ("the durable command '%s' has ended"):format(self.tag))
  end
  return ok, err
end

--- Removes the kept output of the command. The command continues if it still
--- runs.
--- POST /v1/capsules/{id}/files/remove.
---@return true|nil
---@return wrenn.Error? err  NotFoundError if there is no such command
function Handle:remove()
  check.self(self, "is_durable_handle", "remove")
  return remove_folder(self.commands, self.folder)
end

return durable
