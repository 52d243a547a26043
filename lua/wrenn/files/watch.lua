--- Reports changes below a directory as events. The API has no call for that: a
--- helper runs in the capsule.

local base = require("wrenn.files.base")
local check = require("wrenn.check")
local cleanup = require("wrenn.task.cleanup")
local decoders = require("wrenn.files.watch_decoder")
local errors = require("wrenn.errors")
local guard = require("wrenn.task.guard")
local ids = require("wrenn.ids")
local reader = require("wrenn.reader")
local scheduler = require("wrenn.task.scheduler")
local task = require("wrenn.task")

local Files = base.Files

-- "$1" is the path, "$2" whether to include subdirectories, "$3" the end of a
-- record, "$4" the method: inotifywait where installed, else polling, "$5" a name
-- for a pipe. A file is watched by its name, so that one that takes its place is
-- watched as well; it is gone when the name is missing for half a second.
--
-- With inotifywait, the process with the known pid becomes inotifywait, so that
-- it suffices to kill that: the others then reach the end of their input. What
-- is in a new directory before inotifywait watches it is found by listing it,
-- at once and once more; "new" and "known" enclose the two listings. One that
-- was only moved within the tree has the cookie of the event before.
local HELPER = [[
LC_ALL=C; export LC_ALL
missing() {
  ! [ -e "$1" ] && ! [ -L "$1" ]
}
missing "$1" && exit 44
single=
[ -d "$1" ] || [ -L "$1" ] || single=yes
list() {
  find "$1" -mindepth 1 \( -type d -printf "CREATE,ISDIR %p/$2\0" \
    -o -printf "CREATE %p/$2\0" \) 2>/dev/null |
    sed -zn 'l 0' | tr '\0' '\n' | sed -un p
}
unescape() {
  text=$(printf %s "$1" | sed 's/\\\\/\\134/g
    s/\\\([0-3][0-7][0-7]\)/\\0\1/g')
  text=$(printf %b. "$text")
  text=${text%.}
}
pass() {
  record= from=
  while IFS= read -r line; do
    record=$record$line
    case $line in
    *"/$3\$") ;;
    *) record=${record%\$}\\n; continue ;;
    esac
    printf '%s\n' "$record"
    cookie=${record%%:*} event=${record#*:} record=
    case $event in
    MOVED_FROM*) from=$cookie ;;
    CREATE,ISDIR*|MOVED_TO,ISDIR*)
      [ "$2" = all ] && [ "$cookie" = 0 -o "$cookie" != "$from" ] || continue
      event=${event#* }
      unescape "${event%"/$3\$"}"
      echo new
      list "$text" "$3"
      (sleep 0.5; list "$text" "$3"; echo known) &
      ;;
    esac
    case $single$event in
    yesDELETE*|yesMOVED_FROM*)
      (sleep 0.5; missing "$1" && echo gone) &
      ;;
    esac
  done
}
if [ "$4" = notify ] && command -v inotifywait >/dev/null; then
  mkfifo -m 600 "$5" || exit 1
  [ -z "$single" ] || echo single
  sed -un 'l 0' <"$5" | pass "$@" &
  exec >"$5"
  rm "$5"
  [ "$2" = all ] && set -- "$1" -r "$3" || set -- "$1" -m "$3"
  [ -z "$single" ] || set -- "${1%/*}/" -m "$3"
  exec inotifywait -m "$2" --format "%c:%e %w%f/$3" -e q_overflow \
    -e create,modify,attrib,delete,move,delete_self,move_self -- "$1"
fi
least=1
[ -d "$1" ] || least=0
most=1
[ "$2" = all ] && most=1000000
look() {
  find -H "$1" -mindepth $least -maxdepth $most \
    \( -type d -printf '%i %y %m - - %P\0' \
    -o -printf '%i %y %m %s %T@ %P\0' \) 2>/dev/null |
    sed -zn 'l 0' | tr '\0' '\n' | sort
}
identity() {
  [ -n "$single" ] || find -H "$1" -maxdepth 0 -printf %D:%i
}
same=$(identity "$1") || exit
old=$(look "$1")
echo "Watches established." >&2
while sleep 0.5; do
  missing "$1" && { sleep 0.5; missing "$1"; } && { echo gone; exit; }
  [ "$(identity "$1" 2>/dev/null)" = "$same" ] || { echo gone; exit; }
  new=$(look "$1")
  [ "$new" = "$old" ] && continue
  comm -3 /dev/fd/3 /dev/fd/4 3<<OLD 4<<NEW || exit
$old
OLD
$new
NEW
  echo .
  old=$new
done
]]
local MISSING = 44
local MAX_NOTES = 4096

---@class wrenn.Change
---@field type string     "create", "write", "chmod", "remove", "rename" or
---  "overflow"
---@field path string     of what has changed
---@field name string     its name in its directory
---@field directory? boolean  whether it is one

---@class wrenn.Watch
---@overload fun(): wrenn.Change|nil
local Watch = reader.class("wrenn.Watch", "is_watch", "the watch was closed")

local finish, fail = reader.finish, reader.fail

-- Kills the helper, in the background if the caller is interrupted.
function Watch:release()
  local stream, commands = self.stream, self.commands
  if self.lift then
    self.lift()
  end
  if not (stream.pid or stream.ended) then -- it may be about to start
    return stream:abandon()
  end
  local running = stream.pid and not stream.exit_code
  stream:close()
  if running then
    cleanup.run(commands.client, "kill " .. stream.pid, commands.kill, commands,
      stream.pid)
  end
end

-- Has the helper killed should the watch be dropped without a close.
local function guard_helper(self)
  local commands, pid = self.commands, self.stream.pid
  self.lift = guard.set({}, function()
    scheduler.later(function()
      cleanup.start(commands.client, "kill " .. pid, commands.kill, commands,
        pid)
    end)
  end)
end

-- Why the helper ended by itself.
local function helper_error(self, path)
  local stream = self.stream
  if stream.exit_code == MISSING then
    return errors.new("NotFoundError", path .. " does not exist")
  elseif stream.exit_code then
    local text = self.notes:gsub("%s+$", "")
    return errors.new("AgentError",
      ("watching %s failed: %s"):format(path, text ~= "" and text
        or "the helper exited with " .. stream.exit_code))
  end
  return stream.err or errors.new("ConnectionError", "the stream ended")
end

-- An event of the helper's stream, or what stands for its end.
function Watch:await(wait)
  if self.decoder.gone then
    return { type = "gone" }
  end
  local event, err = reader.next(self.stream, wait)
  if not event and self.stream.ended then
    return { type = "over", err }
  end
  return event, err
end

function Watch:take(event)
  local kind = event.type
  if kind == "gone" then
    return finish(self)
  elseif kind == "over" or kind == "exit" or kind == "error" then
    return fail(self, event[1] or helper_error(self, self.path))
  elseif kind == "stdout" then
    self.decoder:feed(event.data)
  elseif kind == "stderr" and #self.notes < MAX_NOTES then
    self.notes = self.notes .. event.data
  end
end

--- Waits for the next event: {type=, path=, name=, directory=}. The type is
--- "create", "write", "chmod" (or another attribute), "remove", "rename" with
--- the old path, followed by a "create" with the new one, or "overflow": there
--- were more changes than the capsule's system keeps, and some are lost.
--- Returns nil at the end, when the watched path has been removed or moved away;
--- or nil, err when watching failed, or when the wait was interrupted: then the
--- watch remains usable.
---@type fun(self: wrenn.Watch): wrenn.Change?, wrenn.Error?
Watch.read = reader.read

--- Stops watching and ends the helper. May be called again.
Watch.close = reader.close

-- Reads until the helper reports that it watches.
local function await_begin(self)
  repeat
    local event, err = self:await(scheduler.next)
    if event then
      self:take(event)
    else
      fail(self, err)
    end
  until self.ended or self.notes:find("Watches established", 1, true)
end

-- Opens a watch: `way` is "notify" or "poll".
local function open(self, path, recursive, way)
  local arg, err = base.argument(path)
  if not arg then
    return nil, err
  end
  local commands, token, pipe = self.commands, ids.random(8), base.temporary()
  local stream
  stream, err = commands:stream("/bin/sh", { args = { "-c", HELPER, "sh", arg,
    recursive and "all" or "one", token, way, pipe } })
  if not stream then
    return nil, err
  end
  local decoder = decoders.decoder(path, arg, token)
  local watch = setmetatable({
    stream = stream, commands = commands, path = path, notes = "",
    decoder = decoder, queue = decoder.events, at = 1,
  }, Watch)
  local lift = task.guard(stream.abandon, stream)
  return base.finally(function(opened, why)
    lift()
    if not (opened or watch.ended) then -- Ctrl-C
      fail(watch, why)
    end
    if not (opened or stream.exit_code) then
      base.discard(self, pipe, why)
    end
  end, function()
    task.with_timeout(commands.client.settings.timeout, function()
      await_begin(watch)
    end)
    if watch.ended then
      return nil, watch.failure
    end
    watch.notes = ""
    guard_helper(watch)
    return watch
  end)
end

--- Watches a file, or the contents of a directory: all changes after the return
--- are reported. Uses inotifywait if the capsule has it, else polls twice a
--- second: then several changes between two polls are reported as one or not at
--- all, and large trees take time. What is in a directory that is new in a
--- recursive watch, or was moved into it, is reported too; of one that was moved
--- within it, only the move. A file that is replaced is watched on. The helper
--- begins within the client's `timeout`, and runs in the capsule until close.
--- WebSocket /v1/capsules/{id}/exec/stream.
---@param path string
---@param opts? {recursive?: boolean}  include subdirectories (false)
---@return wrenn.Watch|nil
---@return wrenn.Error? err  NotFoundError if the path does not exist
---@return any ...  nil and the object again, for `for`
function Files:watch(path, opts)
  check.self(self, "is_files", "watch")
  check.path(path, "path", "watch")
  opts = check.options(opts, "watch", { recursive = "boolean" })
  local watch, err = open(self, path, opts.recursive, "notify")
  if not watch then
    return nil, err
  end
  return watch, nil, nil, watch
end

return { open = open }
