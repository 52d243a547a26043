-- Finds out why a file operation failed, where the server does not say: from
-- 0.3 on it answers 500 without a reason, and a look at the path gives it.

local base = require("wrenn.files.base")
local lookup = require("wrenn.files.lookup")

local reason = {}

-- Why nothing can be created at "$1"; "$2" is file or dir.
local BLOCKED = [[
[ "$2" = dir ] || [ ! -d "$1" ] || exit 7
if [ -e "$1" ]; then
  [ -w "$1" ] || exit 13
  exit 0
fi
p=$1
while :; do
  [ ! -L "$p" ] || [ -e "$p" ] || exit 10
  case $p in
  */*) p=${p%/*} ;;
  *) exit 0 ;;
  esac
  [ -e "${p:=/}" ] || continue
  [ -d "$p" ] || exit 9
  [ -w "$p" ] || exit 13
  exit 0
done
]]
-- Why "$1" cannot be listed.
local CLOSED = [[
[ -e "$1" ] || exit 3
[ -d "$1" ] || exit 4
[ -r "$1" ] || exit 13
]]
local blocks = {
  [3] = { "NotFoundError", "%s does not exist" },
  [4] = { "ValidationError", "%s is not a directory" },
  [7] = { "ValidationError", "%s is a directory" },
  [9] = { "ValidationError", "%s lies below a file" },
  [10] = { "NotFoundError", "%s leads through a link that leads nowhere" },
  [13] = { "ForbiddenError", "%s: Permission denied" },
}

local look = {}

function look.read(self, path)
  local count, err = lookup.count(self, path)
  if not count and err.type ~= "CommandError" and err.result then
    return err.type, err.message
  end
end

function look.remove(self, path)
  local entry, err = lookup.entry(self, path)
  if not entry and err:is("NotFoundError") and not err.status_code then
    return err.type, err.message
  end
end

local function look_for_block(self, path, lines, kind)
  local arg = base.argument(path)
  local _, err = base.tool(self, "/bin/sh", { "-c", lines, "sh", arg, kind })
  local block = err and err.result and blocks[err.result.exit_code]
  if block then
    return block[1], block[2]:format(path)
  end
end

function look.write(self, path)
  return look_for_block(self, path, BLOCKED, "file")
end

function look.mkdir(self, path)
  return look_for_block(self, path, BLOCKED, "dir")
end

function look.list(self, path)
  return look_for_block(self, path, CLOSED)
end

--- Replaces the error of an operation by a precise one. `verb` is read, write,
--- list, mkdir or remove.
function reason.of(self, err, verb, path)
  if err.type ~= "InternalError" and err.type ~= "AgentError" then
    return err -- it is precise enough
  end
  local told = base.told(err, verb)
  if told and not told.message:find(path, 1, true) then
    told.message = path .. ": " .. told.message
  end
  if told or err.status_code ~= 500 then
    return told or err
  elseif base.is_too_long(path) then
    return base.retyped(err, "ValidationError", path .. ": File name too long")
  end
  local type_name, message
  if look[verb] then
    type_name, message = look[verb](self, path)
  end
  return type_name and base.retyped(err, type_name, message) or err
end

return reason
