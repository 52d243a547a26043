-- Sends the bytes of a file to a capsule: in one request, or, where a server
-- limits requests, in parts that are joined in the capsule.

local base = require("wrenn.files.base")
local errors = require("wrenn.errors")
local http = require("wrenn.wire.http")
local ids = require("wrenn.ids")
local multipart = require("wrenn.wire.multipart")
local reason = require("wrenn.files.reason")
local server = require("wrenn.server")
local source = require("wrenn.wire.source")
local upload = require("wrenn.wire.upload")

local send = {}

-- ---- one request -----------------------------------------------------------

local function failed(self, err, path)
  return nil, err and reason.of(self, err, "write", path)
end

-- The errors of a server whose daemon in the capsule has closed the connection,
-- including no answer at all.
local function may_be_limit(err)
  local text = err.message:lower()
  return err.status_code == 502 and (text:find("broken pipe", 1, true)
      or text:find("closed pipe", 1, true)
      or text:find("reset by peer", 1, true))
    or err.status_code == 500 and err.type == "InternalError"
end

local function in_one(self, wire, next_piece, size, whole)
  return upload.run(self.client, base.endpoint(self, "stream/write"), wire,
    next_piece, size, whole)
end

-- ---- parts -----------------------------------------------------------------

-- The maximum size of the parts that wait to be joined: they take space.
local AT_ONCE = 16

-- "$1" is the directory of the parts, "$2" the file, "$3" and "$4" the first
-- and last part to join, "$5" whether they are the last. The complete file
-- replaces the old one and keeps its permissions; the target of a link is
-- replaced; what is not a regular file is written to.
local JOIN = [[
to=$2
[ ! -d "$to" ] || exit 7
i=$3
while [ "$i" -le "$4" ]; do
  cat "$1/$i" >>"$1/whole" || exit 1
  rm -f "$1/$i"
  i=$((i + 1))
done
[ "$5" ] || exit 0
if [ -e "$to" ] && [ ! -f "$to" ]; then
  cat "$1/whole" >"$to" || exit 1
else
  if [ -L "$to" ]; then
    to=$(readlink -f "$to" && echo x) || exit 1
    to=${to%?x}
  fi
  if [ -e "$to" ]; then
    [ -w "$to" ] || exit 13
    chmod "$(stat -c %a "$to")" "$1/whole" || exit 1
  fi
  new=${to%/*}/${1##*/}.new
  mv -fT "$1/whole" "$new" && mv -fT "$new" "$to" || { rm -f "$new"; exit 1; }
fi
rm -rf "$1" || echo left
]]
local refusals = {
  [7] = { "ValidationError", "%s is a directory" },
  [13] = { "ForbiddenError", "%s: Permission denied" },
}

-- Joins parts. Returns true if no parts are left over, false if some may be; or
-- nil, err.
local function join(self, path, arg, stage, first, last, is_all)
  local result, err = base.tool(self, "/bin/sh", { "-c", JOIN, "sh", stage,
    arg, ("%d"):format(first), ("%d"):format(last), is_all and "all" or "" },
    base.DATA_LIMIT)
  if result then
    return is_all and result.stdout == ""
  elseif not err.result then
    return nil, err
  end
  local refusal = refusals[err.result.exit_code]
  local text = err.message:match("([^:]*)$")
  return nil, errors.new(refusal and refusal[1] or err.type,
    refusal and refusal[2]:format(path)
      or ("writing %s failed:%s"):format(path, text),
    { result = err.result, cause = err })
end

-- Reads up to `most` bytes. Returns them as a list, their number, whether there
-- are more, and the bytes read beyond the limit; or nil, err.
local function take(next_piece, most, rest)
  local list, size = {}, 0
  while true do
    local piece, why = rest, nil
    rest = nil
    if piece == nil then
      piece, why = next_piece()
    end
    if piece == nil and why == nil then
      return list, size, false
    elseif type(piece) ~= "string" then
      return nil, source.failed(piece, why)
    end
    local room = most - size
    if #piece > room then
      list[#list + 1] = piece:sub(1, room)
      return list, most, true, piece:sub(room + 1)
    end
    list[#list + 1] = piece
    size = size + #piece
  end
end

-- The directory is created by a separate request: on servers that write as root
-- it must belong to the default user, who joins its contents.
local function send_parts(self, path, arg, stage, stage_arg, next_piece, most)
  local last, joined, more, rest = 0, 0, true, nil
  local ok, err = base.post(self, "mkdir", stage, http.call, "made")
  if not ok then
    return failed(self, err, path)
  end
  while more do
    local list, size
    list, size, more, rest = take(next_piece, most, rest)
    if not list then
      return nil, size
    end
    last = last + 1
    ok, err = in_one(self, ("%s/%d"):format(stage, last), source.open(list),
      size)
    if not ok then
      return failed(self, err, path)
    end
    if not more or last - joined == AT_ONCE then
      ok, err = join(self, path, arg, stage_arg, joined + 1, last, not more)
      if ok == nil then
        return nil, err
      end
      joined = last
    end
  end
  return ok
end

local function in_parts(self, path, wire, next_piece, most)
  local arg, err = base.argument(path)
  if not arg then
    return nil, err
  end
  local stage = (wire:match("^(.*)/[^/]*$") or wire) .. "/.wrenn-"
    .. ids.random(8)
  local ok
  ok, err = base.finally(function(gone, why)
    if not gone then
      base.discard(self, stage, why)
    end
  end, function()
    return send_parts(self, path, arg, stage, base.argument(stage), next_piece,
      most)
  end)
  return ok ~= nil or nil, err
end

-- ---- what callers use ------------------------------------------------------

local function joined(list, next_piece)
  local i = 0
  return function()
    i = i + 1
    if list[i] then
      return list[i]
    end
    return next_piece()
  end
end

--- Sends the bytes of a source. `open` returns the function that returns the
--- next piece, the size if known, and the file for wrenn.wire.upload to send as a
--- whole, if it is one; it can be called again if `repeats` is true. Returns
--- true, or nil, err.
function send.stream(self, path, open, repeats)
  local wire, err = base.wire(path)
  if not wire then
    return nil, err
  end
  local next_piece, size, whole = open()
  if not size then
    local list, count, more, rest = take(next_piece, server.PART)
    if not list then
      return nil, count
    end
    list[#list + 1] = rest
    next_piece = joined(list, more and next_piece or function() end)
    size = not more and count or nil
  end
  local small = size and size <= server.PART
  local traits
  if not small then
    traits, err = server.traits(self.client)
    if not traits then
      return nil, err
    elseif traits.max_part then
      return in_parts(self, path, wire, next_piece, traits.max_part)
    end
  end
  local ok
  ok, err = in_one(self, wire, next_piece, size, whole)
  if ok then
    return true
  end
  err = reason.of(self, err, "write", path)
  if small or not may_be_limit(err) then
    return nil, err
  end
  local most = server.limit_parts(self.client).max_part
  if not repeats then -- the next one is sent in parts
    return nil, err.status_code == 502 and base.retyped(err, "TooLargeError",
      "the server takes no more than 2 MiB at once: " .. err.message) or err
  end
  return in_parts(self, path, wire, open(), most)
end

--- Sends a string.
function send.whole(self, path, data)
  if #data > server.PART then
    local traits, err = server.traits(self.client)
    if not traits then
      return nil, err
    elseif traits.max_part then
      return send.stream(self, path, function()
        return source.open(data)
      end, true)
    end
  end
  local wire, err = base.wire(path)
  if not wire then
    return nil, err
  end
  local head, tail, content_type = multipart.frame(wire)
  local ok
  ok, err = http.order(self.client, {
    method = "POST", path = base.endpoint(self, "write"),
    body = { head, data, tail }, content_type = content_type,
    timeout = false, answer = self.client.settings.timeout,
  })
  if ok then
    return true
  end
  err = reason.of(self, err, "write", path)
  if #data <= server.PART or not may_be_limit(err) then
    return nil, err
  end
  server.limit_parts(self.client)
  return send.whole(self, path, data)
end

return send
