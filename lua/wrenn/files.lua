--- Files in a capsule: capsule.files.

local api = require("wrenn.api")
local check = require("wrenn.check")
local download = require("wrenn.download")
local errors = require("wrenn.errors")
local http = require("wrenn.http")
local multipart = require("wrenn.multipart")
local source = require("wrenn.source")
local upload = require("wrenn.upload")
local url = require("wrenn.url")

---@class wrenn.Files
local Files = { is_files = true }
Files.__index = Files

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

local function endpoint(self, name)
  return url.path("/v1/capsules/{}/files/", self.capsule_id) .. name
end

-- Signs that a failure inside the capsule means a missing path. Older servers
-- hand on what their agent said, as 502 or 500.
local missing_signs = { "status 404", "does not exist", "no such file",
  "not_found" }

local function as_not_found(err)
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

local function post(self, name, body, send)
  local answer, err = send(self.client, {
    method = "POST", path = endpoint(self, name), json = body,
    timeout = false, idle = self.client.settings.timeout,
  })
  if not answer then
    return nil, as_not_found(err)
  end
  return answer
end

local function malformed(why)
  return nil, errors.new("ProtocolError", "malformed answer: " .. why)
end

-- ---- whole files -----------------------------------------------------------

--- Reads a file. POST /v1/capsules/{id}/files/read.
---@param path string  absolute, or below the home directory
---@return string|nil bytes
---@return wrenn.Error? err  NotFoundError when it is missing
function Files:read(path)
  check.self(self, "is_files", "read")
  check.text(path, "path", "read")
  local answer, err = post(self, "read", { path = path }, http.request)
  return answer and answer.body, err
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
  local ok, err = http.request(self.client, {
    method = "POST", path = endpoint(self, "write"),
    body = { head, data, tail }, content_type = content_type,
    timeout = false, idle = self.client.settings.timeout,
  })
  return ok and true, err
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
  local answer, err =
    post(self, "list", { path = path, depth = opts.depth or 1 }, http.call)
  if not answer then
    return nil, err
  end
  local entries, why = api.entries(answer)
  if not entries then
    return malformed(why)
  end
  return entries
end

-- "/a/b/" to "/a", "b" and whether a slash followed. Names without a slash lie
-- in the home directory.
local function split(path)
  local trimmed = path:gsub("/+$", "")
  local parent, name = trimmed:match("^(.*)/([^/]+)$")
  if not parent then
    return "~", trimmed, trimmed ~= path
  end
  return parent == "" and "/" or parent, name, trimmed ~= path
end

-- The entry of a path, from its parent's list; nil when there is none, and
-- nil, err when that could not be found out.
local function find_entry(self, path)
  local parent, name = split(path)
  local entries, err = self:list(parent)
  if not entries then
    return nil, err
  end
  for _, entry in ipairs(entries) do
    if entry.name == name then
      return entry
    end
  end
end

-- Whether a list failed because there is no such directory.
local function is_no_directory(err)
  return err:is("NotFoundError")
    or err.message:lower():find("not a directory", 1, true) ~= nil
end

--- Whether there is something at a path. POST .../files/list of its parent.
---@param path string
---@return boolean|nil
---@return wrenn.Error? err
function Files:exists(path)
  check.self(self, "is_files", "exists")
  check.text(path, "path", "exists")
  if path:find("^/+$") or path == "~" then
    return true
  end
  local entry, err = find_entry(self, path)
  if err then
    if is_no_directory(err) then
      return false
    end
    return nil, err
  end
  local _, _, slash = split(path)
  return entry ~= nil and (not slash or entry.type == "directory")
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
  local answer, err = post(self, "mkdir", { path = path }, http.call)
  if not answer then
    local existing = says_exists(err) and find_entry(self, path)
    if existing then
      return existing
    end
    return nil, err
  end
  local entry, why = api.entry(answer)
  if not entry then
    return malformed(why)
  end
  return entry
end

--- Removes a file, or a directory with all that is in it; of a symbolic link
--- only the link. POST /v1/capsules/{id}/files/remove.
---@param path string
---@return true|nil
---@return wrenn.Error? err  NotFoundError when there is nothing
function Files:remove(path)
  check.self(self, "is_files", "remove")
  check.text(path, "path", "remove")
  local answer, err = post(self, "remove", { path = path }, http.request)
  return answer and true, err
end

-- ---- streams ---------------------------------------------------------------

--- Writes a file of any size, piece by piece. The memory used does not depend
--- on the size. POST /v1/capsules/{id}/files/stream/write.
---@param path string
---@param from string|string[]|file*|fun(): string|nil, any
---  a function returns the next piece, nil at the end, nil, err to give up
---@return true|nil
---@return wrenn.Error? err
function Files:upload_stream(path, from)
  check.self(self, "is_files", "upload_stream")
  check.text(path, "path", "upload_stream")
  if not source.accepts(from) then
    error("bad argument 'source' to 'upload_stream' (string, array of"
      .. " strings, function or file expected, got " .. type(from) .. ")", 2)
  end
  local ok, err =
    upload.run(self.client, endpoint(self, "stream/write"), path, from)
  return ok, err and as_not_found(err)
end

--- Reads a file of any size, piece by piece: an iterator of byte strings.
--- POST /v1/capsules/{id}/files/stream/read.
---@param path string
---@return wrenn.Download|nil  followed by nil, nil and the download again
---@return wrenn.Error? err  NotFoundError when it is missing
function Files:download_stream(path)
  check.self(self, "is_files", "download_stream")
  check.text(path, "path", "download_stream")
  local object, err = download.open(self.client, endpoint(self, "stream/read"),
    path, function()
      return self:exists(path)
    end)
  if not object then
    return nil, as_not_found(err)
  end
  return object, nil, nil, object
end

local M = {}

function M.new(client, capsule_id)
  return setmetatable({ client = client, capsule_id = capsule_id }, Files)
end

return M
