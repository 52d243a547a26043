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

-- What all calls do with symbolic links: reading, writing, listing and chmod
-- follow them; of a link, remove, rename, copy, stat and exists mean the link
-- itself. Links in the middle of a path are followed.

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

--- Reads a file; a symbolic link is followed.
--- POST /v1/capsules/{id}/files/read. Where the answer alone does not prove
--- that it is whole, the list of the file's directory has to agree.
---@param path string
---@return string|nil bytes
---@return wrenn.Error? err  NotFoundError when it is missing; ValidationError
---  when it is a directory, a pipe or the like; ForbiddenError
function Files:read(path)
  check.self(self, "is_files", "read")
  check.text(path, "path", "read")
  local answer, err = post(self, "read", path, http.fetch)
  if not answer then
    return nil, reason.of(self, err, "read", path)
  elseif answer.body ~= "" and answer.header("content-length") then
    return answer.body
  end
  -- Some servers answer like this for a missing file, or end a body in good
  -- order when the capsule is gone.
  local entry = lookup.target(self, path)
  if entry and entry.type == "file" and entry.size == #answer.body then
    return answer.body
  end
  return read_by_stream(self, path)
end

--- Writes a file, making its parent directories; a symbolic link is followed.
--- Above 100 MiB use upload_stream. POST /v1/capsules/{id}/files/write; to a
--- server that takes no more than 2 MiB at once it goes as with upload_stream.
---@param path string
---@param data string  bytes
---@return true|nil
---@return wrenn.Error? err  TooLargeError above the server's limit;
---  ValidationError when it is a directory or lies below a file
function Files:write(path, data)
  check.self(self, "is_files", "write")
  check.text(path, "path", "write")
  check.arg(data, "data", "write", "string")
  return send.whole(self, path, data)
end

-- ---- directories -----------------------------------------------------------

--- Lists a directory, without itself; a symbolic link is followed, those below
--- are not. The entries' paths begin with the directory's as it was asked for,
--- made absolute: with the link, not with what it leads to.
--- POST /v1/capsules/{id}/files/list.
---@param path string
---@param opts? {depth?: integer}  1: direct children
---@return wrenn.FileEntry[]|nil entries  parents before their children
---@return wrenn.Error? err  NotFoundError; ValidationError for a file
function Files:list(path, opts)
  check.self(self, "is_files", "list")
  check.text(path, "path", "list")
  opts = check.options(opts, "list", { depth = "positive" })
  local entries, err = lookup.list(self, path, opts.depth or 1)
  return entries, err and reason.of(self, err, "list", path)
end

--- What is at a path, as the list of its directory says it: of a symbolic link
--- the size, owner, time and permissions are its own, the type and mode those of
--- what it leads to, whose path is in symlink_target. A slash at the end asks
--- for a directory.
--- POST .../files/list of its parent; for "/" and the like, a command.
---@param path string
---@return wrenn.FileEntry|nil
---@return wrenn.Error? err  NotFoundError when there is nothing
function Files:stat(path)
  check.self(self, "is_files", "stat")
  check.text(path, "path", "stat")
  return lookup.entry(self, path)
end

--- Whether there is something at a path, a broken symbolic link included.
--- Asks as stat does.
---@param path string
---@return boolean|nil
---@return wrenn.Error? err
function Files:exists(path)
  check.self(self, "is_files", "exists")
  check.text(path, "path", "exists")
  local entry, err = lookup.entry(self, path)
  if entry then
    return true
  elseif err:is("NotFoundError") and not err.status_code then
    return false
  end
  return nil, err -- the server's own error: the capsule may be missing
end

local function says_exists(err)
  if err.message:find("not a directory", 1, true) then
    return false -- something else is in the way
  end
  return err.code == "conflict" or err.code == "already_exists"
    or err.message:find("already_exists", 1, true) ~= nil
    or err.message:find("already exists", 1, true) ~= nil
end

--- Makes a directory and its parents; one that exists already is as good.
--- POST /v1/capsules/{id}/files/mkdir.
---@param path string
---@return wrenn.FileEntry|nil
---@return wrenn.Error? err
function Files:make_dir(path)
  check.self(self, "is_files", "make_dir")
  check.text(path, "path", "make_dir")
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

--- Removes a file, or a directory with all that is in it; of a symbolic link
--- only the link, also with slashes behind its name.
--- POST /v1/capsules/{id}/files/remove.
---@param path string
---@return true|nil
---@return wrenn.Error? err  NotFoundError when there is nothing; servers of 0.1.4
---  and before do not tell: there it is success
function Files:remove(path)
  check.self(self, "is_files", "remove")
  check.text(path, "path", "remove")
  local ok, err = post(self, "remove", base.bare(path), http.order)
  return ok, err and reason.of(self, err, "remove", path)
end

-- ---- streams ---------------------------------------------------------------

---@alias wrenn.Source string|string[]|file*|fun(): string|nil, any

--- Writes a file of any size, piece by piece; a symbolic link is followed. The
--- memory used does not depend on the size. The first 2 MiB are read before
--- anything is sent. To a server that takes no more at once, the file goes in
--- parts, beside its place, and takes it when it is whole.
--- POST /v1/capsules/{id}/files/stream/write.
---@param path string
---@param from wrenn.Source  a function returns the next piece, nil at the end,
---  nil, err to give up
---@return true|nil
---@return wrenn.Error? err
function Files:upload_stream(path, from)
  check.self(self, "is_files", "upload_stream")
  check.text(path, "path", "upload_stream")
  if not source.accepts(from) then
    error("bad argument 'source' to 'upload_stream' (string, array of"
      .. " strings, function or file expected, got " .. type(from) .. ")", 2)
  end
  return send.stream(self, path, function()
    return source.open(from)
  end, source.repeats(from))
end

--- Reads a file of any size, piece by piece: an iterator of byte strings; a
--- symbolic link is followed. The list of the file's directory tells its size
--- beforehand, so that an end that comes too early is noticed; a file that grows
--- meanwhile may be read as it was or as it is.
--- POST /v1/capsules/{id}/files/stream/read.
---@param path string
---@return wrenn.Download|nil  followed by nil, nil and the download again
---@return wrenn.Error? err  as of read
function Files:download_stream(path)
  check.self(self, "is_files", "download_stream")
  check.text(path, "path", "download_stream")
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

--- `commands` runs what the wire has no endpoint for.
function M.new(client, capsule_id, commands)
  return setmetatable({
    client = client, capsule_id = capsule_id, commands = commands,
  }, Files)
end

return M
