-- The exact output of a streamed command. A stream carries text, so the capsule
-- sends each piece of output as a line of base64. The lines are numbered, and
-- the last one is marked: early servers drop output that is read too slowly,
-- and say nothing.

local core = require("wrenn.core")
local errors = require("wrenn.errors")
local words = require("wrenn.commands.words")

local bytes = {}

-- Runs the command between two packers. They ignore the signals that may be
-- sent to everything here, and the shell waits for the command in the
-- foreground: one that runs in the background would ignore SIGINT. What a shell
-- says about a command that a signal has killed is not the command's.
local PACK = [[
trap : HUP INT QUIT TERM
pack() {
  trap '' HUP INT QUIT TERM
  n=1
  while x=$(dd bs=65536 count=1 2>/dev/null | base64 -w 0) && [ "$x" ]; do
    printf '%s %s\n' $n "$x"
    n=$((n + 1))
  done
  printf '%s .\n' $n
}
exec 5>&1 6>&2
code=$(
  exec 7>&1
  {
    (
      exec 9>&2 2>/dev/null
      trap : HUP INT QUIT TERM
      (exec "$@" 2>&9 5>&- 6>&- 7>&- 8>&- 9>&-)
      echo $? >&7
    ) 2>&1 >&8 8>&- | pack >&6 5>&- 6>&- 7>&- 8>&-
  } 8>&1 | pack >&5 5>&- 6>&- 7>&-
)
exit $code
]]

--- Adds the packers to words.
function bytes.wrap(list)
  return words.script(PACK, {}, list)
end

-- What a server says of a shell that was killed, together with its packers.
local KILLED = { [-1] = true, [137] = true }

local function broken(why)
  return errors.new("ProtocolError", why)
end

-- Decodes the whole lines in `text`. Returns the bytes and what is left of the
-- text; or nil, err.
local function unpack_lines(side, text)
  local parts, at = {}, 1
  while true do
    local stop = text:find("\n", at, true)
    if not stop then
      return table.concat(parts), text:sub(at)
    end
    local number, body = text:match("^(%d+) (%S+)\n", at)
    if not number then
      return nil, errors.new("AgentError",
        "the capsule could not pass on the output: "
        .. errors.tail(text:sub(at, stop - 1), 300))
    elseif tonumber(number) ~= side.count + 1 then
      return nil, broken("the server has dropped output of the command,"
        .. " which was read too slowly")
    end
    side.count = side.count + 1
    if body == "." then
      side.ended = true
    else
      parts[#parts + 1] = core.base64_decode(body)
      if not parts[#parts] then
        return nil, broken("malformed output of the command")
      end
    end
    at = stop + 1
  end
end

--- Returns what converts the events of a stream: a function that returns the
--- event with bytes; nil if it contains none yet; or nil, err.
function bytes.unpacker()
  local sides = {
    stdout = { rest = "", count = 0 }, stderr = { rest = "", count = 0 },
  }
  return function(event)
    local side = sides[event.type]
    if side then
      local data = event.data
      if not data:find("\n", 1, true) then
        side.rest = side.rest .. data
        return nil
      end
      local text, rest = unpack_lines(side, side.rest .. data)
      if not text then
        return nil, rest
      end
      side.rest = rest
      return text ~= "" and { type = event.type, data = text } or nil
    elseif event.type == "exit" and not KILLED[event.exit_code]
      and not (sides.stdout.ended and sides.stderr.ended)
    then
      return nil, broken("the output of the command is incomplete")
    end
    return event
  end
end

return bytes
