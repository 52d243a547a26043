--- Durable commands: what they print and how they end is kept in the capsule,
--- under ~/.wrenn/<tag>, until it is removed. It can be read from any byte on,
--- as often as wanted, from any process, after a lost connection or a pause.

local check = require("wrenn.check")
local directory = require("wrenn.commands.directory")
local errors = require("wrenn.errors")
local exec = require("wrenn.commands.exec")
local files = require("wrenn.files")
local kill = require("wrenn.commands.kill")
local run = require("wrenn.commands.run")
local scheduler = require("wrenn.scheduler")
local streams = require("wrenn.stream")
local task = require("wrenn.task")
local url = require("wrenn.url")
local words = require("wrenn.commands.words")

local durable = {}

---@class wrenn.DurableHandle
---@field pid integer         of the keeper, the command's parent
---@field tag string          what commands:durable finds it by
---@field capsule_id string
local Handle = { is_durable_handle = true }
Handle.__index = Handle

-- Most bytes of stdout and of stderr that one answer holds.
local PIECE = 2 * 1024 * 1024
local FOLDER_MAX = 200
local ATTEMPTS = 3
local FIRST_PAUSE = 0.3

-- ---- scripts ---------------------------------------------------------------

-- Every script starts in the home directory. "$1" is the folder.

-- "$2" a directory or nothing: the command's, which must be one to be entered.
local MAKE = [[
[ -z "$2" ] || (cd -- "$2") 2>/dev/null || exit 18
umask 077
mkdir -p .wrenn || exit 1
mkdir ".wrenn/$1" || { [ -d ".wrenn/$1" ] && exit 17; exit 1; }
: >".wrenn/$1/out" && : >".wrenn/$1/err"
]]

-- When a process has started, in the kernel's count: with its number that
-- names it for good.
local START = [[
start() {
  read -r s 2>/dev/null <"/proc/$1/stat" || return
  set -- ${s##*) }
  printf %s "${20}"
}
]]

-- Runs a command and notes its end. "$2" seconds or nothing, "$3" a directory
-- or nothing, then the command. A SIGTERM for the whole group must not take
-- the keeper or its watch: it is the command that may handle it. A limit that
-- has passed ends all that the command has started, and the keeper notes it.
local KEEP = START .. [[
d=$PWD/.wrenn/$1 limit=$2 cwd=$3
shift 3
printf '%s %s\n' $$ "$(start $$)" >"$d/pid"
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
]] .. kill.TREE .. [[
  ) <&- 3<&- >/dev/null 2>&1 &
  t=$!
fi
while :; do
  wait $c
  code=$?
  kill -0 $c 2>/dev/null || break
done
[ -z "$limit" ] || kill -USR1 $t
printf '%s\n' $code >"$d/exit"
]]

-- Waits until there is more than "$2" bytes of stdout or "$3" of stderr, or
-- the end, but not for long; prints at most "$4" bytes of each. Exits with 0
-- when more may come; with 10 after the last byte, having printed the exit
-- code unless the command was killed with its keeper; with 12 when that was
-- its limit; with 3 when there is no such command.
local READ = START .. [[
cd ".wrenn/$1" 2>/dev/null || exit 3
over() {
  [ -s exit ] && return
  read -r p b 2>/dev/null <pid && [ "$(start "$p")" != "$b" ]
}
i=0 end=
while :; do
  over && end=1
  o=$(wc -c <out) e=$(wc -c <err)
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
cat exit 2>/dev/null
exit 10
]]

-- Prints the keeper's number and start, once there is something to be killed.
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

-- A tag may hold anything; a folder's name may not.
local function folder_of(tag)
  return "t-" .. url.escape(tag)
end

local function not_found(tag)
  return errors.new("NotFoundError",
    ("there is no durable command with the tag '%s'"):format(tag))
end

local function failed(result)
  return errors.new("AgentError", "the capsule could not keep the command: "
    .. (result.stderr:gsub("%s+$", "")), { result = result })
end

local function new(self, tag, pid)
  return setmetatable({
    pid = pid, tag = tag, capsule_id = self.capsule_id, commands = self,
    folder = folder_of(tag),
  }, Handle)
end

local function make_folder(self, tag, opts)
  local result, err = exec.script(self, MAKE, { folder_of(tag),
    opts.cwd and words.directory(opts.cwd) or "" })
  if not result then
    return nil, err
  elseif result.exit_code == 18 then
    return nil, directory.look(self, opts.cwd)
      or directory.error(opts.cwd, "cannot be entered")
  elseif result.exit_code == 17 then
    return nil, errors.new("ConflictError",
      ("there is a durable command with the tag '%s' already"):format(tag))
  elseif result.exit_code ~= 0 then
    return nil, failed(result)
  end
  return true
end

local function remove_folder(self, folder)
  return files.new(self.client, self.capsule_id):remove("~/.wrenn/" .. folder)
end

--- For commands:run with durable=true. Raises two levels up for a bad tag.
function durable.start(self, cmd, opts)
  local tag = opts.tag or "durable-" .. exec.nonce()
  if tag == "" or tag:find("^%d+$") or #folder_of(tag) > FOLDER_MAX then
    error("bad option 'tag' to 'run' (it is empty, only digits, or too long)",
      3)
  end
  local ok, err = make_folder(self, tag, opts)
  if not ok then
    return nil, err
  end
  local limit = opts.timeout and ("%.3f"):format(opts.timeout) or ""
  local cwd = opts.cwd and words.directory(opts.cwd) or ""
  local fields = { tag = tag }
  for _, name in ipairs({ "args", "envs", "cwd", "user", "stdin" }) do
    fields[name] = opts[name]
  end
  local answer
  answer, err = run.background(self, cmd, fields, function(list)
    return words.script(KEEP, { folder_of(tag), limit, cwd }, list)
  end)
  if not answer then
    task.shield(function()
      remove_folder(self, folder_of(tag))
    end)
    return nil, err
  end
  return new(self, tag, answer.pid)
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

--- For commands:durable.
function durable.find(self, tag)
  local found, err = look(self, tag)
  if not found then
    return nil, err
  end
  return new(self, tag, found.pid)
end

-- ---- reading ---------------------------------------------------------------

-- "12+5": 12 bytes of stdout and 5 of stderr. Returns nil when it is neither
-- that nor a number of bytes of stdout.
local function parse_offset(from)
  if from == nil then
    return 0, 0
  elseif type(from) == "number" then
    return from >= 0 and from % 1 == 0 and from or nil, 0
  end
  local out, err = from:match("^(%d+)%+(%d+)$")
  return tonumber(out), tonumber(err)
end

local function fetch(stream)
  local args = { stream.folder, ("%d"):format(stream.out),
    ("%d"):format(stream.errs), ("%d"):format(PIECE) }
  for attempt = 1, ATTEMPTS do
    local result, err = exec.script(stream.commands, READ, args, 60)
    if result or not err.retryable or attempt == ATTEMPTS then
      return result, err
    end
    local ok, why = scheduler.sleep(FIRST_PAUSE * 2 ^ (attempt - 1))
    if not ok then
      return nil, why
    end
  end
end

-- Puts what was printed into the inbox, each piece with the place behind it.
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
  elseif result.exit_code == 3 then
    broken(not_found(stream.tag))
  else
    broken(failed(result))
  end
end

-- Asks for more when there is nothing to be read. It is a task of its own that
-- does, so that readers can be interrupted without losing anything.
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

local function stop_fetching(stream)
  if stream.fetching then
    stream.fetching:cancel()
  end
end

--- Reads what the command prints, from a place on: an iterator of events as of
--- commands:stream, but with every byte as it was printed. There is no start
--- event. Each event has an `offset`, a string that stands for the place behind
--- it in both outputs; so does stream.offset, for the event read last.
--- The exit code is the shell's: 128 + N when signal N has ended the command;
--- -1 when the command was killed together with its keeper.
--- POST /v1/capsules/{id}/exec, again and again.
---@param opts? {from?: string|integer}  an offset; a number counts bytes of
---  stdout, and all of stderr then comes; the beginning when absent
---@return wrenn.Stream|nil  followed by nil, nil and the stream again, for `for`
---@return wrenn.Error? err
function Handle:stream(opts)
  check.self(self, "is_durable_handle", "stream")
  opts = check.options(opts, "stream", { from = "string|number" })
  local out, errs = parse_offset(opts.from)
  if not out or not errs then
    error("bad option 'from' to 'stream' (an offset of an event expected)", 2)
  end
  local stream = streams.new({
    inbox = scheduler.inbox(), commands = self.commands, folder = self.folder,
    tag = self.tag, pid = self.pid, out = out, errs = errs,
    offset = ("%d+%d"):format(out, errs),
    refill = refill, on_finish = stop_fetching,
  })
  return stream, nil, nil, stream
end

--- Waits for the command's end, which may be long past.
---@param opts? {timeout?: number}  seconds; the command goes on after them
---@return {stdout: string, stderr: string, exit_code: integer, duration_ms: integer}|nil
---  all that it has printed
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

--- Signals the command and all that it has started, on every server. (A
--- commands:kill may also hit the keeper, and with it the exit code.)
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

--- Forgets the command: removes what was kept of it. One that still runs goes
--- on. POST /v1/capsules/{id}/files/remove.
---@return true|nil
---@return wrenn.Error? err  NotFoundError when there is nothing
function Handle:remove()
  check.self(self, "is_durable_handle", "remove")
  return remove_folder(self.commands, self.folder)
end

return durable
