--- Reports changes below a directory as events. The API has no call for that: a
--- helper runs in the capsule.

local base = require("wrenn.files.base")
local changes = require("wrenn.files.watch_decoder")
local check = require("wrenn.check")
local errors = require("wrenn.errors")
local task = require("wrenn.task")

local Files = base.Files

-- "$1" is the path, "$2" whether to include subdirectories, "$3" the end of a
-- record, "$4" the method: inotifywait where installed, else polling. With
-- inotifywait, the process with the known pid becomes inotifywait, so that it
-- suffices to kill that: sed then reaches the end of its input.
local HELPER = [[
LC_ALL=C; export LC_ALL
[ -e "$1" ] || [ -L "$1" ] || exit 44
if [ "$4" = notify ] && command -v inotifywait >/dev/null; then
  dir=$(mktemp -d) && mkfifo "$dir/pipe" || exit 1
  sed -un 'l 0' <"$dir/pipe" &
  exec >"$dir/pipe"
  rm -r "$dir"
  [ "$2" = all ] && set -- "$1" -r "$3" || set -- "$1" -m "$3"
  exec inotifywait -m "$2" --format "%e %w%f/$3" \
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
find "$1" -maxdepth 0 -printf '' || exit
old=$(look "$1")
echo "Watches established." >&2
while sleep 0.5; do
  [ -e "$1" ] || [ -L "$1" ] || { echo gone; exit; }
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

---@class wrenn.Watch
local Watch = { is_watch = true }
Watch.__index = Watch

-- Kills the helper, even if the caller is interrupted.
local function finish(self, err)
  if not self.ended then
    self.ended = true
    self.failure = err
    local pid = self.stream.pid
    local running = pid and not self.stream.exit_code
    self.stream:close()
    if running then
      task.shield(function()
        self.commands:kill(pid)
      end)
    end
  end
  return nil, err
end

-- Why the helper ended by itself.
local function helper_error(self, path)
  local stream = self.stream
  if stream.exit_code == MISSING then
    return errors.new("NotFoundError", "there is nothing at " .. path)
  elseif stream.exit_code then
    local text = self.notes:gsub("%s+$", "")
    return errors.new("AgentError",
      ("watching %s failed: %s"):format(path, text ~= "" and text
        or "the helper exited with " .. stream.exit_code))
  end
  return stream.err or errors.new("ConnectionError", "the stream ended")
end

-- Handles an event of the helper's stream. Returns true, or nil, err.
local function take(self, event, err)
  if err then
    return finish(self, err)
  elseif not event or event.type == "exit" or event.type == "error" then
    return finish(self, helper_error(self, self.path))
  elseif event.type == "stdout" then
    self.decoder:feed(event.data)
  elseif event.type == "stderr" and #self.notes < MAX_NOTES then
    self.notes = self.notes .. event.data
  end
  return true
end

-- `next_event` waits for the next event of the helper's stream.
local function read(self, next_event)
  while true do
    local events = self.decoder.events
    if self.first <= #events then
      local event = events[self.first]
      self.first = self.first + 1
      return event
    elseif self.first > 1 then
      self.decoder.events, self.first = {}, 1
    elseif self.ended then
      return nil, self.failure
    elseif self.decoder.gone then
      return finish(self)
    else
      local ok, err = take(self, next_event(self.stream))
      if not ok then
        return nil, err
      end
    end
  end
end

--- Waits for the next event: {type=, path=, name=, directory=}. The type is
--- "create", "write", "chmod" (or another attribute), "remove", or "rename"
--- with the old path, followed by a "create" with the new one.
---@return {type: string, path: string, name: string, directory?: boolean}|nil
---  nil at the end: the watched path has been removed or moved away
---@return wrenn.Error? err  when watching failed
function Watch:read()
  check.self(self, "is_watch", "read")
  return read(self, self.stream.read)
end

local function next_of_iterator(stream)
  local ok, event = pcall(stream)
  if ok then
    return event
  end
  return nil, event
end

-- The iterator raises when watching fails, as that is not a normal end.
function Watch:__call()
  local event, err = read(self, next_of_iterator)
  if err then
    error(err, 0)
  end
  return event
end

--- Stops watching and ends the helper. May be called again.
function Watch:close()
  check.self(self, "is_watch", "close")
  finish(self, errors.new("CancelledError", "the watch was closed"))
end

Watch.__close = Watch.close

-- Opens a watch: `way` is "notify" or "poll".
local function open(self, path, recursive, way)
  local arg, err = base.argument(path)
  if not arg then
    return nil, err
  end
  local token = base.random_name()
  local stream
  stream, err = self.commands:stream("/bin/sh", { args = { "-c", HELPER, "sh",
    arg, recursive and "all" or "one", token, way } })
  if not stream then
    return nil, err
  end
  local watch = setmetatable({
    stream = stream, commands = self.commands, path = path, notes = "",
    first = 1, decoder = changes.decoder(path, arg, token),
  }, Watch)
  repeat -- until it reports that it is ready
    local ok
    ok, err = take(watch, stream:read())
    if not ok then
      return nil, err
    end
  until watch.notes:find("Watches established", 1, true)
  watch.notes = ""
  return watch
end

--- Watches a file, or the contents of a directory: all changes after the return
--- are reported. Uses inotifywait if the capsule has it, else polls twice a
--- second: then several changes between two polls are reported as one or not at
--- all, and large trees take time. With inotifywait, changes in a new directory
--- may be missed before it is watched too, and a stream that nobody reads fills
--- up. The helper runs in the capsule until close. WebSocket
--- /v1/capsules/{id}/exec/stream.
---@param path string
---@param opts? {recursive?: boolean}  include subdirectories (false)
---@return wrenn.Watch|nil  followed by nil, nil and the watch again, for `for`
---@return wrenn.Error? err  NotFoundError if the path does not exist
function Files:watch(path, opts)
  check.self(self, "is_files", "watch")
  check.text(path, "path", "watch")
  opts = check.options(opts, "watch", { recursive = "boolean" })
  local watch, err = open(self, path, opts.recursive, "notify")
  if not watch then
    return nil, err
  end
  return watch, nil, nil, watch
end

return { open = open }
