--- Files in a capsule: capsule.files.

local base = require("wrenn.files.base")
local check = require("wrenn.check")
local download = require("wrenn.download")
local http = require("wrenn.http")
local lookup = require("wrenn.files.lookup")
local multipart = require("wrenn.multipart")
local source = require("wrenn.source")

local Files = base.Files
local post = base.post

-- ---- whole files -----------------------------------------------------------

--- Reads a file. POST /v1/capsules/{id}/files/read.
---@param path string  absolute, or below the home directory
---@return string|nil bytes
---@return wrenn.Error? err  NotFoundError when it is missing
function Files:read(path)
  check.self(self, "is_files", "read")
  check.text(path, "path", "read")
  local answer, err = post(self, "read", { path = path }, http.fetch)
  if not answer then
    return nil, err
  elseif answer.body == "" then -- some servers' answer for a missing file
    local entry
    entry, err = lookup.entry(self, path)
    if not entry then
      return nil, err
    end
  end
  return answer.body
end

--- Writes a file of at most 100 MiB, making its parent directories; larger
--- ones go by upload_stream. POST /v1/capsules/{id}/files/write.
---@param path string
---@param data string  bytes
---@return true|nil
---@return wrenn.Error? err  TooLargeError above the limit
function Files:write(path, data)
  check.self(self, "is_files", "write")
  check.text(path, "path", "write")
  check.arg(data, "data", "write", "string")
  local head, tail, content_type = multipart.frame(path)
  return http.order(self.client, {
    method = "POST", path = base.endpoint(self, "write"),
    body = { head, data, tail }, content_type = content_type,
    timeout = false, idle = self.client.settings.timeout,
  })
end

-- ---- directories -----------------------------------------------------------

--- Lists a directory, without itself. POST /v1/capsules/{id}/files/list.
---@param path string
---@param opts? {depth?: integer}  1: direct children
---@return wrenn.FileEntry[]|nil entries  parents before their children
---@return wrenn.Error? err
function Files:list(path, opts)
  check.self(self, "is_files", "list")
  check.text(path, "path", "list")
  opts = check.options(opts, "list", { depth = "positive" })
  return lookup.list(self, path, opts.depth or 1)
end

--- What is at a path: of a symbolic link, what the list of its directory says.
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
  local answer, err = post(self, "mkdir", { path = path }, http.call, "made")
  if not answer then
    local existing = says_exists(err) and lookup.entry(self, path)
    if existing then
      return existing
    end
    return nil, err
  end
  return answer.entry
end

--- Removes a file, or a directory with all that is in it; of a symbolic link
--- only the link. POST /v1/capsules/{id}/files/remove.
---@param path string
---@return true|nil
---@return wrenn.Error? err  NotFoundError when there is nothing
function Files:remove(path)
  check.self(self, "is_files", "remove")
  check.text(path, "path", "remove")
  local answer, err = post(self, "remove", { path = path }, http.order)
  return answer and true, err
end

-- ---- streams ---------------------------------------------------------------

---@alias wrenn.Source string|string[]|file*|fun(): string|nil, any

--- Writes a file of any size, piece by piece. The memory used does not depend
--- on the size. POST /v1/capsules/{id}/files/stream/write.
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
  return base.upload(self, path, source.open(from))
end

--- Reads a file of any size, piece by piece: an iterator of byte strings.
--- Where the server does not announce the size, the list of the file's
--- directory tells it, so that an end that comes too early is noticed.
--- POST /v1/capsules/{id}/files/stream/read.
---@param path string
---@return wrenn.Download|nil  followed by nil, nil and the download again
---@return wrenn.Error? err  NotFoundError when it is missing
function Files:download_stream(path)
  check.self(self, "is_files", "download_stream")
  check.text(path, "path", "download_stream")
  local object, err = download.open(self.client,
    base.endpoint(self, "stream/read"), path, function()
      return lookup.target(self, path)
    end)
  if not object then
    return nil, base.as_not_found(err)
  end
  return object, nil, nil, object
end

-- ---- the other parts -------------------------------------------------------

require("wrenn.files.change")
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
