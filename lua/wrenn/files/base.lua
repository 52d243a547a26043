-- Shared by the parts of capsule.files: the class, its requests, and paths as
-- arguments of commands.

local api = require("wrenn.wire.api")
local cleanup = require("wrenn.task.cleanup")
local errors = require("wrenn.errors")
local http = require("wrenn.wire.http")
local ids = require("wrenn.ids")
local nested = require("wrenn.task.nested")
local scheduler = require("wrenn.task.scheduler")
local url = require("wrenn.wire.url")

local unpack = table.unpack or unpack

local base = {}

---@class wrenn.Files
base.Files = { is_files = true }
base.Files.__index = base.Files

function base.Files:__tostring()
  return ("wrenn.Files (%s)"):format(self.capsule_id)
end

---@class wrenn.FileEntry
---@field name string        the last part of the path
---@field path string        absolute
---@field type string        "file", "directory", "symlink" or "unknown"
---@field size integer       bytes
---@field mode integer       permission bits
---@field permissions string as printed by ls
---@field owner string       a user's name
---@field group string       a group's name
---@field modified_at integer  Unix seconds
---@field symlink_target? string  of a symbolic link

-- ---- requests --------------------------------------------------------------

function base.endpoint(self, name)
  return url.path("/v1/capsules/{}/files/", self.capsule_id) .. name
end

--- The form of a path for the file endpoints: below "~" unless it is absolute.
--- For other relative paths some servers follow all symbolic links, including
--- that of the last name, before they act. Returns nil, err for another user's
--- home directory.
function base.wire(path)
  local start, rest = "~", path
  if path:find("^/") then
    start = ""
  elseif path == "~" or path:find("^~/") then
    rest = path:sub(3)
  elseif path:find("^~") then
    return nil, errors.new("ValidationError",
      ("the path '%s' names another user's home directory"):format(path))
  end
  local parts = { start }
  for part in rest:gmatch("[^/]+") do
    if part ~= "." then
      parts[#parts + 1] = part
    end
  end
  if #parts > 1 and path:find("/%.?$") then
    parts[#parts + 1] = ""
  end
  return parts[2] and table.concat(parts, "/") or start == "" and "/" or start
end

--- The same without trailing slashes, which would follow a link.
function base.bare(path)
  local before
  repeat
    before = path
    path = path:gsub("(.)/+$", "%1"):gsub("(.)/%.$", "%1")
  until path == before
  return path
end

local MAX_NAME, MAX_PATH = 255, 4095

--- Whether a path or a name in it is longer than any file system allows.
function base.is_too_long(path)
  for name in path:gmatch("[^/]+") do
    if #name > MAX_NAME then
      return true
    end
  end
  return #path > MAX_PATH
end

--- Sends a request about a path; `send` is http.fetch, http.order, or http.call
--- with the shape of the answer. A transfer of bytes may take any time as long
--- as data flows; anything else has the time limit of a call.
function base.post(self, name, path, send, shape, depth)
  local wire, err = base.wire(path)
  if not wire then
    return nil, err
  end
  local limit = self.client.settings.timeout
  return send(self.client, {
    method = "POST", path = base.endpoint(self, name),
    json = api.file_body(wire, depth),
    timeout = send ~= http.fetch and limit, idle = limit,
  }, shape)
end

function base.malformed(why)
  return nil, errors.new("ProtocolError", "malformed answer: " .. why)
end

-- ---- what a failure means --------------------------------------------------

-- Servers before 0.3 pass on the error text of the capsule with status 502 or
-- 500. A path below a file, or of the wrong kind, means something different for
-- an operation that reads or removes than for one that creates.
local words = {
  { "permission denied", "ForbiddenError" },
  { "operation not permitted", "ForbiddenError" },
  { "read-only file system", "ForbiddenError" },
  { "status 404", "NotFoundError" },
  { "does not exist", "NotFoundError" },
  { "no such file", "NotFoundError" },
  { "not_found", "NotFoundError" },
  { "file name too long", "ValidationError" },
  { "not a directory", "ValidationError",
    { read = "NotFoundError", remove = "NotFoundError" } },
  { "path is a file", "ValidationError" },
  { "file exists", "NotFoundError" }, -- a broken link in the middle
  { "is a directory", "ValidationError", { remove = false } },
  { "not a regular file", "ValidationError" },
}

--- Replaces an error by one of a better type.
function base.retyped(err, type_name, message)
  return errors.new(type_name, message or err.message, {
    code = err.code, status_code = err.status_code,
    request_id = err.request_id, cause = err,
  })
end

--- Classifies an error by its text; returns nil if the text says nothing.
--- `verb` is read, write, list, mkdir or remove.
function base.told(err, verb)
  if err.status_code ~= 502 and err.status_code ~= 500 then
    return nil
  end
  local text = err.message:lower()
  for _, item in ipairs(words) do
    if text:find(item[1], 1, true) then
      local special = item[3] and item[3][verb]
      if special == nil then
        special = item[2]
      end
      return special and base.retyped(err, special)
    end
  end
end

-- ---- commands --------------------------------------------------------------

--- A path as the argument of a command: the same file as for the file
--- endpoints, whatever it begins with. Commands start in the home directory.
function base.argument(path)
  local wire, err = base.wire(path)
  if not wire then
    return nil, err
  end
  return (wire:gsub("^~", "."))
end

-- How the first line of a tool's output begins or ends, in English, and what it
-- means. It may contain a name in the middle, which is ignored.
local meanings = {
  { ": No such file or directory$", "NotFoundError" },
  { ": Permission denied$", "ForbiddenError" },
  { ": Operation not permitted$", "ForbiddenError" },
  { ": Read%-only file system$", "ForbiddenError" },
  { ": Directory not empty$", "ConflictError" },
  { ": File exists$", "ConflictError" },
  { ": Not a directory$", "ConflictError" },
  { ": File name too long$", "ValidationError" },
  { ": Is a directory$", "ConflictError" },
  { " are the same file$", "ConflictError" },
  { "^%a+: cannot overwrite ", "ConflictError" },
  { "^%a+: cannot copy a directory, .*, into itself, ", "ConflictError" },
  { "^%a+: cannot move .* to a subdirectory of itself, ", "ConflictError" },
}

local function failure(result)
  local text = result.stderr:gsub("%s+$", "")
  local first = text:match("^[^\n]*")
  local type_name = "CommandError"
  for _, meaning in ipairs(meanings) do
    if first:find(meaning[1]) then
      type_name = meaning[2]
      break
    end
  end
  if text == "" then
    text = "the command exited with " .. result.exit_code
  end
  return errors.new(type_name, errors.cut(text), { result = result })
end

-- Seconds for a tool that does one thing, or only looks.
local TOOL_LIMIT = 30
--- Seconds for a tool that reads or writes whole files or trees.
base.DATA_LIMIT = 600

--- Runs a tool inside the capsule. User values are passed as arguments only. So
--- is the environment, which is not secret: some servers accept none, and a
--- file for it would take another request. Returns the result; or nil, err also
--- if the tool failed.
function base.tool(self, name, args, limit)
  local result, err = self.commands:run("/usr/bin/env", {
    args = { "LC_ALL=C", name, unpack(args) }, timeout = limit or TOOL_LIMIT,
  })
  if not result then
    return nil, err
  elseif result.exit_code ~= 0 then
    return nil, failure(result)
  end
  return result
end

-- ---- temporary files -------------------------------------------------------

--- A name for a temporary file inside the capsule.
function base.temporary()
  return "/tmp/.wrenn-" .. ids.random(8)
end

-- Seconds after which a path is removed again, one after the other.
local AGAIN = { 1, 2 }

local function remove_again(self, path)
  local ok, err
  for _, seconds in ipairs(AGAIN) do
    ok, err = scheduler.sleep(seconds)
    if ok then
      ok, err = self:remove(path)
    end
  end
  return ok, err
end

-- Whether the request that has failed may go on.
local function may_go_on(err)
  return not errors.is_error(err) or err:is("TimeoutError")
    or err:is("CancelledError") or err.details and err.details.sent
end

--- Removes a temporary file, in the background if the caller was interrupted. A
--- failure is no failure of the caller's. `err` is why its making was given up,
--- if it was: a server may do what a client that has left had asked for later
--- than what it asked for next, so the file is then removed again.
function base.discard(self, path, err)
  local what = "remove " .. path
  local again = err and may_go_on(err)
  -- What the last attempt comes to is told, and nothing before.
  cleanup.run(not again and self.client or nil, what, self.remove, self, path)
  if again then
    cleanup.start(self.client, what, remove_again, self, path)
  end
end

-- ---- this machine ----------------------------------------------------------

--- An error of a local file.
function base.local_error(why)
  why = tostring(why)
  if why:find("Too many open files", 1, true) then
    why = why .. " (RLIMIT_NOFILE, ulimit -n)"
  end
  return errors.new("WrennError", why, { details = { kind = "local" } })
end

--- Calls a function, then `clean` with its result, false if it raised, and its
--- error. Returns what the function returned.
function base.finally(clean, fn)
  local function leave(ok, result, err, ...)
    clean(ok and result, not ok and result or not result and err or nil)
    if not ok then
      errors.raise(result)
    end
    return result, err, ...
  end
  return leave(nested.call(fn))
end

return base
