--- Files copied between a capsule and this machine, in constant memory.

local base = require("wrenn.files.base")
local check = require("wrenn.check")
local core = require("wrenn.core")
local errors = require("wrenn.errors")

local Files = base.Files
local local_error = base.local_error

local PIECE = 256 * 1024

-- ---- checksums -------------------------------------------------------------

-- Compares a hash with that of a file in the capsule.
local function verify(self, path, hash)
  local arg, err = base.argument(path)
  if not arg then
    return nil, err
  end
  local result
  result, err = base.tool(self, "sha256sum", { "--", arg })
  if not result then
    return nil, err
  end
  -- A backslash comes first when the name has one in it.
  local there = result.stdout:match("^\\?(%x+)")
  local here = hash:hex()
  if there ~= here then
    return nil, errors.new("ProtocolError",
      ("%s is not what was transferred: its SHA-256 is %s there, %s here")
        :format(path, tostring(there), here), { details = { kind = "verify" } })
  end
  return true
end

-- ---- download --------------------------------------------------------------

-- Is there as much of the file as of the part, and the same? Then what follows
-- goes into a file of its own.
local REST = [[
[ "$(head -c "$2" -- "$1" | sha256sum)" = "$3  -" ] || exit 9
umask 077
exec tail -c "+$4" -- "$1" > "$5"
]]
local DIFFERS = 9

-- Opens the download of what follows the first `have` bytes, whose hash is
-- given. The wire has no ranges, and the streams of commands spoil bytes: a
-- copy of the rest in the capsule is read as a file. Where there is no room
-- for the copy, the whole file is read and its beginning skipped.
-- Returns the download, the bytes to skip, and a file to remove afterwards;
-- or nil when the file has changed since.
local function open_rest(self, path, have, hash)
  local arg, err = base.argument(path)
  if not arg then
    return nil, err
  end
  local copy = base.temporary()
  local result
  result, err = base.tool(self, "/bin/sh", { "-c", REST, "sh", arg,
    ("%d"):format(have), hash, ("%d"):format(have + 1), copy })
  if result then
    local download
    download, err = self:download_stream(copy)
    if not download then
      base.discard(self, copy)
    end
    return download, err or 0, copy
  elseif not err.result then
    return nil, err
  end
  base.discard(self, copy)
  if err.result.exit_code == DIFFERS then
    return nil
  end
  return self:download_stream(path), have
end

-- The length and hash of what an earlier download has left; and, to verify the
-- whole, a hash that can be fed on.
local function read_part(name, to_verify)
  local file = io.open(name, "rb")
  if not file then
    return 0
  end
  local hash, have = core.sha256(), 0
  local whole = to_verify and core.sha256()
  for piece in function() return file:read(PIECE) end do
    hash:update(piece)
    if whole then
      whole:update(piece)
    end
    have = have + #piece
  end
  file:close()
  return have, hash:hex(), whole
end

-- Opens both ends. Returns a table {download, file, bytes, skip, hash, copy}.
local function open_ends(self, path, name, opts)
  local have, hash, whole = 0, nil, nil
  if opts.resume then
    have, hash, whole = read_part(name, opts.verify)
  end
  local ends = { bytes = 0, skip = 0, hash = opts.verify and core.sha256() }
  if have > 0 then
    local download, skip, copy = open_rest(self, path, have, hash)
    if download then
      ends.download, ends.skip, ends.copy = download, skip, copy
      ends.bytes, ends.hash = have, whole
    elseif skip then
      return nil, skip
    end
  end
  local err
  if not ends.download then
    ends.download, err = self:download_stream(path)
    if not ends.download then
      return nil, err
    end
  end
  ends.file, err = io.open(name, ends.bytes > 0 and "ab" or "wb")
  if not ends.file then
    ends.download:close()
    if ends.copy then
      base.discard(self, ends.copy)
    end
    return nil, local_error(err)
  end
  ends.file:setvbuf("no") -- pieces are large: no second copy of them
  local left = ends.download.size
  ends.total = left and ends.bytes + left - ends.skip
  return ends
end

-- What is new of a piece.
local function unskipped(ends, piece)
  local skip = math.min(ends.skip, #piece)
  ends.skip = ends.skip - skip
  return skip == 0 and piece or piece:sub(skip + 1)
end

local function pump(ends, on_progress)
  local download, file, hash = ends.download, ends.file, ends.hash
  while true do
    local piece, err = download:read()
    if not piece then
      return err == nil and true or nil, err
    end
    if ends.skip > 0 then
      piece = unskipped(ends, piece)
    end
    local ok, why = file:write(piece)
    if not ok then
      return nil, local_error(why)
    end
    if hash then
      hash:update(piece)
    end
    ends.bytes = ends.bytes + #piece
    if on_progress then
      on_progress(ends.bytes, ends.total)
    end
  end
end

-- Transfers and closes. Returns true, or nil, err.
local function receive(self, path, ends, opts)
  local ok, err = base.finally(function()
    ends.download:close()
    if ends.copy then
      base.discard(self, ends.copy)
    end
  end, function()
    return pump(ends, opts.on_progress)
  end)
  if not ok then
    return nil, err
  end
  ok, err = ends.file:close()
  ends.file = nil
  if not ok then
    return nil, local_error(err)
  elseif ends.hash then
    return verify(self, path, ends.hash)
  end
  return true
end

local function download_to(self, path, name, local_path, opts)
  local ends, err = open_ends(self, path, name, opts)
  if not ends then
    return nil, err
  end
  local spoilt = false
  return base.finally(function(ok)
    if ends.file then
      ends.file:close()
    end
    if not ok and (spoilt or not opts.resume) then
      os.remove(name)
    end
  end, function()
    local ok
    ok, err = receive(self, path, ends, opts)
    if ok then
      ok, err = os.rename(name, local_path)
      return ok, err and local_error(err)
    end
    spoilt = err.details and err.details.kind == "verify"
    return nil, err
  end)
end

---@class wrenn.DownloadOptions
---@field on_progress? fun(bytes: integer, total?: integer)  called as they come
---@field resume? boolean  keep what a failed download has got as
---  `<local_path>.part`, and go on from there the next time (false)
---@field verify? boolean  compare SHA-256 with the file in the capsule (false)

--- Copies a file from the capsule. It gets a name of its own beside its target
--- and takes the target's place at the end: there is never half a file.
--- POST /v1/capsules/{id}/files/stream/read.
---@param path string
---@param local_path string  a file, which is replaced, or nothing yet
---@param opts? wrenn.DownloadOptions
---@return true|nil
---@return wrenn.Error? err  NotFoundError when it is missing; WrennError with
---  details.kind "local" for a failure on this machine
function Files:download(path, local_path, opts)
  check.self(self, "is_files", "download")
  check.text(path, "path", "download")
  check.text(local_path, "local_path", "download")
  opts = check.options(opts, "download",
    { on_progress = "callable", resume = "boolean", verify = "boolean" })
  local kind = core.file_type(local_path)
  if kind and kind ~= "file" then
    return nil, local_error(local_path .. ": not a regular file")
  end
  local name = opts.resume and local_path .. ".part"
    or ("%s.%s.part"):format(local_path, base.random_name())
  return download_to(self, path, name, local_path, opts)
end

-- ---- upload ----------------------------------------------------------------

-- A function that gives `size` bytes of a file and no more, piece by piece.
local function pieces_of(file, name, size, hash, on_progress)
  local sent = 0
  return function()
    if on_progress and sent > 0 then
      on_progress(sent, size)
    end
    if sent == size then
      return nil
    end
    local piece, why = file:read(math.min(PIECE, size - sent))
    if not piece then
      return nil, local_error(why and name .. ": " .. why
        or name .. " has become shorter meanwhile")
    end
    if hash then
      hash:update(piece)
    end
    sent = sent + #piece
    return piece
  end
end

---@class wrenn.UploadOptions
---@field on_progress? fun(bytes: integer, total: integer)  called as they go
---@field verify? boolean  compare SHA-256 with the file in the capsule (false)

--- Copies a file into the capsule, making its directories there. An upload
--- that fails may leave a part. POST /v1/capsules/{id}/files/stream/write.
---@param local_path string
---@param path string
---@param opts? wrenn.UploadOptions
---@return true|nil
---@return wrenn.Error? err  WrennError with details.kind "local" for a failure
---  on this machine
function Files:upload(local_path, path, opts)
  check.self(self, "is_files", "upload")
  check.text(local_path, "local_path", "upload")
  check.text(path, "path", "upload")
  opts = check.options(opts, "upload",
    { on_progress = "callable", verify = "boolean" })
  local kind, size = core.file_type(local_path)
  if kind ~= "file" then
    return nil, local_error(kind and local_path .. ": not a regular file"
      or size)
  end
  local file, why = io.open(local_path, "rb")
  if not file then
    return nil, local_error(why)
  end
  local hash = opts.verify and core.sha256()
  return base.finally(function()
    file:close()
  end, function()
    local ok, err = base.upload(self, path,
      pieces_of(file, local_path, size, hash, opts.on_progress), size)
    if ok and hash then
      return verify(self, path, hash)
    end
    return ok, err
  end)
end
