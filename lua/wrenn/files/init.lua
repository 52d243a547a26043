--- Files in a capsule: capsule.files.

local base = require("wrenn.files.base")
local check = require("wrenn.check")
local download = require("wrenn.wire.download")
local http = require("wrenn.wire.http")
local lookup = require("wrenn.files.lookup")
local reason = require("wrenn.files.reason")
local send = require("wrenn.files.send")
local source = require("wrenn.wire.source")

local Files = base.Files
local post = base.post

-- Symbolic links: reading, writing, listing and chmod follow them; remove,
-- rename, copy, stat and exists act on the link itself. Links in the middle of
-- a path are followed.

-- ---- whole files -----------------------------------------------------------

local function read_by_stream(self, path)
  local stream, err = self:download_stream(path)
  if not stream then
    return nil, err
  end
  local pieces = {}
  for piece in function() return stream:read() end do
    pieces[#pieces + 1] = piece
  end
  if stream.failure then
    return nil, stream.failure
  end
  return table.concat(pieces)
end

--- Reads a file; a symbolic link is followed. POST
--- /v1/capsules/{id}/files/read. If the answer may be incomplete, it is
--- compared with the size in the listing of the directory.
---@param path string
---@return string|nil bytes
---@return wrenn.Error? err  NotFoundError if it does not exist; ValidationError
---  if it is a directory, a pipe or the like; ForbiddenError
function Files:read(path)
  check.self(self, "is_files", "read")
  check.path(path, "path", "read")
  local answer, err = post(self, "read", path, http.fetch)
  if not answer then
    return nil, reason.of(self, err, "read", path)
  elseif answer.body ~= "" and http.header(answer, "content-length") then
    return answer.body
  end
  -- Some servers answer like this for a missing file, or end the body as if it
  -- were complete when the capsule ends.
  local entry = lookup.target(self, path)
  if entry and entry.type == "file" and entry.size == #answer.body then
    return answer.body
  end
  return read_by_stream(self, path)
end

--- Writes a file and creates its parent directories; a symbolic link is
--- followed. Above 100 MiB use upload_stream. POST
--- /v1/capsules/{id}/files/write; on servers that only accept 2 MiB at once,
--- like upload_stream.
---@param path string
---@param data string  bytes
---@return true|nil
---@return wrenn.Error? err  TooLargeError above the server's limit;
---  ValidationError if it is a directory or its parent is a file
function Files:write(path, data)
  check.self(self, "is_files", "write")
  check.path(path, "path", "write")
  check.arg(data, "data", "write", "string")
  return send.whole(self, path, data)
end

-- ---- directories -----------------------------------------------------------

--- Lists a directory, without the directory itself; if it is a symbolic link,
--- it is followed, but not links below it. The paths of the entries begin with
--- the requested path, made absolute, with links unresolved. POST
--- /v1/capsules/{id}/files/list.
---@param path string
---@param opts? {depth?: integer}  1: direct children
---@return wrenn.FileEntry[]|nil entries  parents before children
---@return wrenn.Error? err  NotFoundError; ValidationError for a file
function Files:list(path, opts)
  check.self(self, "is_files", "list")
  check.path(path, "path", "list")
  opts = check.options(opts, "list", { depth = "positive" })
  local entries, err = lookup.list(self, path, opts.depth or 1)
  return entries, err and reason.of(self, err, "list", path)
end

--- Returns the entry of a path, as in the listing of its directory. For a
--- symbolic link, size, owner, time and permissions are those of the link, type
--- and mode those of its target, whose path is symlink_target. A trailing slash
--- requires a directory. POST .../files/list of its parent; a command for "/"
--- and the like.
---@param path string
---@return wrenn.FileEntry|nil
---@return wrenn.Error? err  NotFoundError if the path does not exist
function Files:stat(path)
  check.self(self, "is_files", "stat")
  check.path(path, "path", "stat")
  return lookup.entry(self, path)
end

--- Whether a path exists, including as a broken symbolic link. Same requests as
--- stat.
---@param path string
---@return boolean|nil
---@return wrenn.Error? err
function Files:exists(path)
  check.self(self, "is_files", "exists")
  check.path(path, "path", "exists")
  local entry, err = lookup.entry(self, path)
  if entry then
    return true
  elseif err:is("NotFoundError") and not err.status_code then
    return false
  end
  return nil, err -- the server's error: the capsule may not exist
end

local function says_exists(err)
  if err.message:find("not a directory", 1, true) then
    return false -- a file is in the way
  end
  return err.code == "conflict" or err.code == "already_exists"
    or err.message:find("already_exists", 1, true) ~= nil
    or err.message:find("already exists", 1, true) ~= nil
end

--- Creates a directory and its parents; it is no error if it exists. POST
--- /v1/capsules/{id}/files/mkdir.
---@param path string
---@return wrenn.FileEntry|nil
---@return wrenn.Error? err
function Files:make_dir(path)
  check.self(self, "is_files", "make_dir")
  check.path(path, "path", "make_dir")
  local answer, err = post(self, "mkdir", path, http.call, "made")
  if not answer then
    local existing = says_exists(err) and lookup.entry(self, path)
    if existing then
      return existing
    end
    return nil, reason.of(self, err, "mkdir", path)
  end
  return answer.entry
end

--- Removes a file, or a directory with its contents; of a symbolic link only
--- the link, even if the path ends with a slash. POST
--- /v1/capsules/{id}/files/remove.
---@param path string
---@return true|nil
---@return wrenn.Error? err  NotFoundError if the path does not exist; servers
---  up
---  to 0.1.4 do not report that
function Files:remove(path)
  check.self(self, "is_files", "remove")
  check.path(path, "path", "remove")
  local ok, err = post(self, "remove", base.bare(path), http.order)
  return ok, err and reason.of(self, err, "remove", path)
end

-- ---- streams ---------------------------------------------------------------

--- Where the bytes for a file come from: a string, a list of them, a file of
--- `io`, or a function that returns the next piece, nil at the end, or nil, err.
---@alias wrenn.Source string|string[]|userdata|fun(): string|nil, any

--- Writes a file of any size, piece by piece, in constant memory; a symbolic
--- link is followed. The first 2 MiB are read before anything is sent. To a
--- server that accepts no more at once, the file is sent in parts to a
--- temporary place, and replaces the old one when complete. POST
--- /v1/capsules/{id}/files/stream/write.
---@param path string
---@param from wrenn.Source  a function returns the next piece, nil at the end,
---  or nil, err to abort
---@return true|nil
---@return wrenn.Error? err
function Files:upload_stream(path, from)
  check.self(self, "is_files", "upload_stream")
  check.path(path, "path", "upload_stream")
  if not source.accepts(from) then
    error("bad argument 'source' to 'upload_stream' (string, array of"
      .. " strings, function or file expected, got " .. type(from) .. ")", 2)
  end
  return send.stream(self, path, function()
    return source.open(from)
  end, source.repeats(from))
end

--- Reads a file of any size, piece by piece: an iterator of byte strings; a
--- symbolic link is followed. The size is taken from the listing of the
--- directory first, so that a premature end is noticed. A file that grows
--- meanwhile is read with its old or its new size. POST
--- /v1/capsules/{id}/files/stream/read.
---@param path string
---@return wrenn.Download|nil
---@return wrenn.Error? err  as for read
---@return any ...  nil and the object again, for `for`
function Files:download_stream(path)
  check.self(self, "is_files", "download_stream")
  check.path(path, "path", "download_stream")
  local wire, err = base.wire(path)
  local size, object
  if wire then
    size, err = lookup.size(self, path)
  end
  if size then
    object, err = download.open(self.client,
      base.endpoint(self, "stream/read"), wire, path, size, function()
        return lookup.size_now(self, path)
      end)
    err = err and reason.of(self, err, "read", path)
  end
  if not object then
    return nil, err
  end
  return object, nil, nil, object
end

-- ---- the other parts -------------------------------------------------------

require("wrenn.files.modify")
require("wrenn.files.transfer")
require("wrenn.files.directories")
require("wrenn.files.watch")

local M = {}

--- `commands` is used where the API has no endpoint.
function M.new(client, capsule_id, commands)
  return setmetatable({
    client = client, capsule_id = capsule_id, commands = commands,
  }, Files)
end

return M
