-- Looks up what is at a path. The API has no call for that: the listing of the
-- parent directory is used, and a command for what is in no listing.

local api = require("wrenn.wire.api")
local base = require("wrenn.files.base")
local errors = require("wrenn.errors")
local http = require("wrenn.wire.http")

local lookup = {}

-- Splits "/a/b/" into "/a", "b" and whether there was a trailing slash. Names
-- without a slash are in the home directory. "/" has no name.
local function split(path)
  local trimmed = path:gsub("/+$", "")
  local parent, name = trimmed:match("^(.*)/([^/]+)$")
  if not parent then
    return "~", trimmed, trimmed ~= path
  end
  return parent == "" and "/" or parent, name, trimmed ~= path
end

-- Returns an entry for a path that is in no listing.
local unlisted = { [""] = true, ["."] = true, [".."] = true }

local FORMAT = "%a %s %Y %U %G"

local function nothing_at(path, cause)
  return nil, errors.new("NotFoundError", path .. " does not exist",
    { cause = cause })
end

-- "/", "~", "x/.." and the like, which are always directories.
local function unlisted_entry(self, path, name)
  local arg, err = base.argument(path)
  if not arg then
    return nil, err
  end
  local result
  result, err = base.tool(self, "stat", { "-L", "-c", FORMAT, "--", arg })
  if not result then
    if err.result and (err:is("NotFoundError") or err:is("ConflictError")) then
      return nothing_at(path, err)
    end
    return nil, err
  end
  local mode, size, time, owner, group =
    result.stdout:match("^(%d+) (%d+) (%-?%d+) (%S+) (%S+)")
  if not mode then
    return base.malformed("stat printed '" .. result.stdout .. "'")
  end
  return api.directory_entry(name == "" and "/" or name, {
    path = path, size = tonumber(size), mode = tonumber(mode, 8),
    owner = owner, group = group, modified_at = tonumber(time),
  })
end

-- Whether a listing failed because the directory, rather than the capsule, does
-- not exist.
local function is_no_directory(err)
  if err:is("NotFoundError") then
    return err.code ~= "sandbox_not_found"
      and err.message:lower():find("sandbox not found", 1, true) == nil
  end
  return err.message:lower():find("not a directory", 1, true) ~= nil
end

--- Lists a directory, like files:list.
function lookup.list(self, path, depth)
  local answer, err =
    base.post(self, "list", path, http.call, "entries", depth)
  if not answer then
    return nil, base.told(err, "list") or err
  end
  return api.entries(answer)
end

--- Returns the entry of a path, or nil, NotFoundError.
function lookup.entry(self, path)
  local parent, name, slash = split(path)
  if unlisted[name] or path:find("^~/*$") then
    return unlisted_entry(self, path, name)
  end
  local entries, err = lookup.list(self, parent, 1)
  if not entries then
    if is_no_directory(err) or (err.status_code or 0) >= 500
      and base.is_too_long(parent)
    then
      return nothing_at(path, err)
    end
    return nil, err
  end
  for _, entry in ipairs(entries) do
    if entry.name == name and (not slash or entry.type == "directory") then
      return entry
    end
  end
  return nothing_at(path)
end

--- Returns the entry of a path after following symbolic links.
function lookup.target(self, path)
  local entry, err = lookup.entry(self, path)
  local target = entry and entry.symlink_target
  if target and entry.type ~= "unknown" and target ~= path then
    return lookup.entry(self, target)
  end
  return entry, err
end

-- ---- regular files ---------------------------------------------------------

-- "/dev/null" and the like; the target of a broken link is the link itself.
local function no_file(path, entry)
  if entry.type == "directory" then
    return nil, errors.new("ValidationError", path .. " is a directory")
  elseif entry.symlink_target and entry.symlink_target == entry.path then
    return nil, errors.new("NotFoundError",
      path .. " is a broken symbolic link")
  end
  return nil, errors.new("ValidationError", path .. " is not a regular file")
end

-- wc reads files that do not state their size, such as those in /proc.
local COUNT = [[
[ ! -d "$1" ] || exit 7
[ ! -e "$1" ] || [ -f "$1" ] || exit 8
exec wc -c -- "$1"
]]
local refusals = { [7] = "%s is a directory", [8] = "%s is not a regular file" }
local meant = { NotFoundError = "%s does not exist",
  ConflictError = "%s does not exist", -- its parent is a file
  ForbiddenError = "%s: Permission denied",
  ValidationError = "%s: File name too long" }

--- Finds the number of bytes that can be read, by a command. Returns it; or
--- nil, err: NotFoundError, ForbiddenError or ValidationError if the command
--- has found the reason.
function lookup.count(self, path)
  local arg, err = base.argument(path)
  if not arg then
    return nil, err
  end
  local result
  result, err = base.tool(self, "/bin/sh", { "-c", COUNT, "sh", arg })
  if result then
    local count = tonumber(result.stdout:match("^%s*(%d+)"))
    if count then
      return count
    end
    return base.malformed("wc printed '" .. result.stdout .. "'")
  elseif not err.result then
    return nil, err
  end
  local refusal = refusals[err.result.exit_code]
  if refusal then
    return nil, errors.new("ValidationError", refusal:format(path),
      { result = err.result })
  elseif meant[err.type] then
    local type_name = err.type == "ConflictError" and "NotFoundError"
      or err.type
    return nil, errors.new(type_name, meant[err.type]:format(path),
      { result = err.result })
  end
  return nil, err
end

--- The size of a regular file from the listing, 0 also for files that do not
--- state their size; or nil, err. If the listing fails, the command is used.
function lookup.size(self, path)
  local entry, err = lookup.target(self, path)
  if entry then
    if entry.type == "file" then
      return entry.size or 0
    end
    return no_file(path, entry)
  elseif err.status_code ~= 500 and err.status_code ~= 502 then
    return nil, err
  end
  local count, why = lookup.count(self, path)
  return count, not count and (why.result and why or err) or nil
end

--- The present size: from the command, or from the listing where it cannot run.
function lookup.size_now(self, path)
  local count, err = lookup.count(self, path)
  if not count and err:is("CommandError") then
    return lookup.size(self, path)
  end
  return count, err
end

return lookup
