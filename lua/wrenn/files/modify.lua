--- Moving, copying and changing the permissions of files, by commands in the
--- capsule.

local base = require("wrenn.files.base")
local check = require("wrenn.check")
local errors = require("wrenn.errors")
local task = require("wrenn.task")

local Files = base.Files

-- Runs a tool for at most `limit` seconds with fixed words, followed by paths.
-- Returns true, or nil, err.
local function run(self, limit, name, args, ...)
  for _, path in ipairs({ ... }) do
    local arg, err = base.argument(path)
    if not arg then
      return nil, err
    end
    args[#args + 1] = arg
  end
  local result, err = base.tool(self, name, args, limit)
  return result and true, err
end

--- Renames a file, directory or symbolic link (not the target of the link).
--- Whatever exists at `to` is replaced, including a link, but not a directory
--- that is not empty. Runs mv, for at most 600 s.
---@param from string
---@param to string
---@return true|nil
---@return wrenn.Error? err  NotFoundError, also if the directory of `to` does
---  not
---   exist; ConflictError if `to` cannot be replaced
function Files:rename(from, to)
  check.self(self, "is_files", "rename")
  check.text(from, "from", "rename")
  check.text(to, "to", "rename")
  return run(self, base.DATA_LIMIT, "mv", { "-fT", "--" }, from, to)
end

--- Copies a file, or a directory with its contents; permissions, times and
--- symbolic links are kept. A file at `to`, or the target of a link there, is
--- replaced; a directory there is merged into. A copy that fails may leave a
--- part. Runs cp, for at most 600 s.
---@param from string
---@param to string
---@return true|nil
---@return wrenn.Error? err  NotFoundError, also if the directory of `to` does
---  not
---   exist; ConflictError if `to` cannot be replaced
function Files:copy(from, to)
  check.self(self, "is_files", "copy")
  check.text(from, "from", "copy")
  check.text(to, "to", "copy")
  return run(self, base.DATA_LIMIT, "cp", { "-aT", "--" }, from, to)
end

-- Returns a mode in chmod's syntax, or nil.
local function mode_text(mode)
  if type(mode) == "number" then
    return mode % 1 == 0 and mode >= 0 and mode <= 4095
      and ("%04o"):format(mode) or nil
  elseif mode:find("^[0-7]+$") then
    return #mode <= 4 and mode or nil
  end
  for clause in (mode .. ","):gmatch("(.-),") do
    if not clause:find("^[ugoa]*[-+=][rwxXst]*$") then
      return nil
    end
  end
  return mode
end

-- Whether a number has the digits of a mode in octal, and makes no sense as
-- bits: 755 would be 01363.
local function is_meant_octal(mode)
  return not ("%d"):format(mode):find("[89]")
    and (mode > 511 and mode <= 777 or mode >= 1700 and mode <= 1777
      or mode >= 2700 and mode <= 2777)
end

local function check_mode(mode, name, fname, level)
  check.arg(mode, name, fname, "integer|string", level + 1)
  if type(mode) == "number" and mode % 1 == 0 and is_meant_octal(mode) then
    error(("bad argument '%s' to '%s' (%d is decimal: write \"%d\", or"
      .. " tonumber(\"%d\", 8))"):format(name, fname, mode, mode, mode),
      level + 1)
  end
  local text = mode_text(mode)
  if not text then
    error(("bad argument '%s' to '%s' (permission bits as an integer, or text"
      .. " like \"644\" or \"u+x\" expected)"):format(name, fname), level + 1)
  end
  return text
end

--- Changes the permissions of a file; for a symbolic link, those of its target.
--- Runs chmod, for at most 30 s.
---@param path string
---@param mode string|integer  "644", "0755", "u+x"; or the bits, as in the
---  `mode`
---   of an entry: 420 is "644"
---@return true|nil
---@return wrenn.Error? err
function Files:chmod(path, mode)
  check.self(self, "is_files", "chmod")
  check.text(path, "path", "chmod")
  local text = check_mode(mode, "mode", "chmod", 2)
  return run(self, nil, "chmod", { "--", text }, path)
end

-- ---- several at once -------------------------------------------------------

local AT_ONCE = 8
-- A request carries up to 100 MiB, including the multipart framing.
local STREAM_FROM = 64 * 1024 * 1024

local function write_one(self, item)
  local ok, err
  if #item.data < STREAM_FROM then
    ok, err = self:write(item.path, item.data)
  else
    ok, err = self:upload_stream(item.path, item.data)
  end
  if ok and item.mode then
    ok, err = self:chmod(item.path, item.mode)
  end
  if ok then
    return true
  end
  local named = { path = item.path, cause = err }
  for _, field in ipairs({ "code", "status_code", "request_id", "retryable",
    "details" })
  do
    named[field] = err[field]
  end
  return nil, errors.new(err.type, item.path .. ": " .. err.message, named)
end

local item_fields = { path = true, data = true, mode = true }

--- Writes several files, some of them at the same time, and creates their
--- directories. POST /v1/capsules/{id}/files/write for each.
---@param list {path: string, data: string, mode?: string|integer}[]
---  mode: in chmod's syntax
---@return true|nil
---@return wrenn.Error? err  the first failure; its `path` is that of the file.
---   Other files may have been written
function Files:write_files(list)
  check.self(self, "is_files", "write_files")
  check.arg(list, "list", "write_files", "table")
  for i, item in ipairs(list) do
    local name = ("list[%d]"):format(i)
    check.arg(item, name, "write_files", "table")
    check.path(item.path, name .. ".path", "write_files")
    check.arg(item.data, name .. ".data", "write_files", "string")
    if item.mode ~= nil then
      check_mode(item.mode, name .. ".mode", "write_files", 2)
    end
    for field in pairs(item) do
      if not item_fields[field] then
        error(("bad argument '%s.%s' to 'write_files' (there is no such"
          .. " field)"):format(name, tostring(field)), 2)
      end
    end
  end
  local done, err = task.map(list, function(item)
    return write_one(self, item)
  end, { concurrency = AT_ONCE })
  return done and true, err
end
