-- What the parts of capsule.files share: the class, its requests, and paths as
-- commands take them.

local core = require("wrenn.core")
local errors = require("wrenn.errors")
local http = require("wrenn.http")
local nested = require("wrenn.nested")
local task = require("wrenn.task")
local upload = require("wrenn.upload")
local url = require("wrenn.url")

local base = {}

---@class wrenn.Files
base.Files = { is_files = true }
base.Files.__index = base.Files

---@class wrenn.FileEntry
---@field name string
---@field path string
---@field type string        "file", "directory", "symlink" or "unknown"
---@field size integer       bytes
---@field mode integer       permission bits
---@field permissions string as ls prints them
---@field owner string
---@field group string
---@field modified_at integer  Unix seconds
---@field symlink_target? string

-- ---- requests --------------------------------------------------------------

function base.endpoint(self, name)
  return url.path("/v1/capsules/{}/files/", self.capsule_id) .. name
end

-- Signs that a failure inside the capsule means a missing path. Older servers
-- hand on what their agent said, as 502 or 500.
local missing_signs = { "status 404", "does not exist", "no such file",
  "not_found" }

function base.as_not_found(err)
  if err.status_code ~= 502 and err.status_code ~= 500 then
    return err
  end
  local text = err.message:lower()
  for _, sign in ipairs(missing_signs) do
    if text:find(sign, 1, true) then
      return errors.new("NotFoundError", err.message, {
        code = err.code, status_code = err.status_code,
        request_id = err.request_id, cause = err,
      })
    end
  end
  return err
end

--- Asks an endpoint with a JSON body; `send` is http.fetch, http.order, or
--- http.call with the answer's shape. Bytes may take their time as long as they
--- flow, anything else has the time of a call.
function base.post(self, name, body, send, shape)
  local limit = self.client.settings.timeout
  local answer, err = send(self.client, {
    method = "POST", path = base.endpoint(self, name), json = body,
    timeout = send ~= http.fetch and limit, idle = limit,
  }, shape)
  if not answer then
    return nil, base.as_not_found(err)
  end
  return answer
end

--- Uploads what a function gives; see upload.run.
function base.upload(self, path, next_piece, size)
  local ok, err = upload.run(self.client, base.endpoint(self, "stream/write"),
    path, next_piece, size)
  return ok, err and base.as_not_found(err)
end

function base.malformed(why)
  return nil, errors.new("ProtocolError", "malformed answer: " .. why)
end

-- ---- commands --------------------------------------------------------------

--- A path as the argument of a command: what the file endpoints take for it,
--- whatever it begins with. Commands start in the home directory.
function base.argument(path)
  if path == "~" or path:find("^~/") then
    return "." .. path:sub(2)
  elseif path:find("^~") then
    return nil, errors.new("ValidationError",
      ("the path '%s' names another user's home directory"):format(path))
  end
  return path:find("^/") and path or "./" .. path
end

-- How the tools' first line begins or ends, in English, and what it means. A
-- name in the middle of it means nothing.
local meanings = {
  { ": No such file or directory$", "NotFoundError" },
  { ": Permission denied$", "ForbiddenError" },
  { ": Operation not permitted$", "ForbiddenError" },
  { ": Read%-only file system$", "ForbiddenError" },
  { ": Directory not empty$", "ConflictError" },
  { ": File exists$", "ConflictError" },
  { ": Not a directory$", "ConflictError" },
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
  return errors.new(type_name, text, { result = result })
end

-- Copying a tree may take long; a server without a limit of ours has one of
-- its own, of 30 s.
local TOOL_LIMIT = 3600

--- Runs a tool inside the capsule; user values go in as arguments only.
--- Returns its result; or nil, err also when it failed.
function base.tool(self, name, args)
  local result, err = self.commands:run(name, {
    args = args, envs = { LC_ALL = "C" }, timeout = TOOL_LIMIT,
  })
  if not result then
    return nil, err
  elseif result.exit_code ~= 0 then
    return nil, failure(result)
  end
  return result
end

-- ---- temporary files -------------------------------------------------------

--- Sixteen digits that nobody else comes by.
function base.random_name()
  return (core.random(8):gsub(".", function(byte)
    return ("%02x"):format(byte:byte())
  end))
end

--- A name for a temporary file inside the capsule.
function base.temporary()
  return "/tmp/.wrenn-" .. base.random_name()
end

--- Removes one, whoever interrupted its user. Nobody is told of a failure:
--- what matters is how its use went.
function base.discard(self, path)
  task.shield(function()
    self:remove(path)
  end)
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

--- Calls a function, and `clean` with whether it went well, also when it
--- raises. Returns what the function returned.
function base.finally(clean, fn)
  local function leave(ok, result, ...)
    clean(ok and result)
    if not ok then
      error(result, 0)
    end
    return result, ...
  end
  return leave(nested.call(fn))
end

return base
