--- Files copied between a capsule and this machine, in constant memory.

local base = require("wrenn.files.base")
local check = require("wrenn.check")
local core = require("wrenn.core")
local errors = require("wrenn.errors")
local incoming = require("wrenn.wire.download")
local part = require("wrenn.files.part")
local send = require("wrenn.files.send")

local Files = base.Files
local local_error = base.local_error

-- LuaJIT maps and unmaps memory for each string of 128 KiB and more.
local PIECE = 64 * 1024

-- ---- checksums -------------------------------------------------------------

-- Compares a hash with that of a file in the capsule.
local function verify(self, path, hash)
  local arg, err = base.argument(path)
  if not arg then
    return nil, err
  end
  local result
  result, err = base.tool(self, "sha256sum", { "--", arg },
    base.DATA_LIMIT)
  if not result then
    return nil, err
  end
  -- The line begins with a backslash if the name contains one.
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

-- Checks that the file still begins with the bytes of the part, and writes the
-- rest to a file of its own.
local REST = [[
[ -f "$1" ] || exit 9
[ "$(head -c "$2" -- "$1" | sha256sum)" = "$3  -" ] || exit 9
umask 077
exec tail -c "+$4" -- "$1" > "$5"
]]
local DIFFERS = 9

-- Opens a download that continues after the first `have` bytes, whose hash is
-- given. The API has no ranges, and command streams do not carry arbitrary
-- bytes, so the rest is copied to a temporary file in the capsule, which is
-- downloaded. If there is no space for the copy, the whole file is downloaded
-- and its beginning skipped. Returns the download, the number of bytes to skip,
-- and a file to remove afterwards; or nil if the file has changed.
local function open_rest(self, path, have, hash)
  local arg, err = base.argument(path)
  if not arg then
    return nil, err
  end
  local copy = base.temporary()
  local result
  result, err = base.tool(self, "/bin/sh", { "-c", REST, "sh", arg,
    ("%d"):format(have), hash, ("%d"):format(have + 1), copy },
    base.DATA_LIMIT)
  if result then
    local download
    download, err = self:download_stream(copy)
    if not download then
      base.discard(self, copy)
    end
    return download, err or 0, copy
  elseif not err.result then
    base.discard(self, copy, err)
    return nil, err
  end
  base.discard(self, copy)
  if err.result.exit_code == DIFFERS then
    return nil
  end
  return self:download_stream(path), have
end

-- Opens the download for `file` (a part). Returns a table {download, file,
-- bytes, skip, total, hash, copy}, or nil, err.
local function open_ends(self, path, file, opts)
  local have, hash, whole = file:measure(opts.verify)
  if not have then
    return nil, hash
  end
  local ends = { file = file, bytes = 0, skip = 0,
    hash = opts.verify and core.sha256() }
  if have > 0 then
    local download, skip, copy = open_rest(self, path, have, hash)
    if download then
      ends.download, ends.skip, ends.copy = download, skip, copy
      ends.bytes, ends.hash, file.keep = have, whole, true
    elseif skip then
      return nil, skip
    end
  end
  if not ends.download then
    local err
    ends.download, err = self:download_stream(path)
    if not ends.download then
      return nil, err
    end
  end
  local total = ends.bytes + ends.download.size - ends.skip
  ends.total = total > 0 and total or nil
  return ends
end

-- Returns the new bytes of a piece.
local function unskipped(ends, piece)
  local skip = math.min(ends.skip, #piece)
  ends.skip = ends.skip - skip
  return skip == 0 and piece or piece:sub(skip + 1)
end

local function take_piece(ends, piece)
  if ends.skip > 0 then
    piece = unskipped(ends, piece)
  end
  local ok, err = ends.file:write(piece)
  if not ok then
    return nil, err
  end
  if ends.hash then
    ends.hash:update(piece)
  end
  return #piece
end

-- Bytes that nobody here has to see go to the file without becoming strings.
local function pump(ends, on_progress)
  local download, file, poured = ends.download, ends.file, false
  while true do
    local piece, err = download:read()
    if piece == nil then
      return err == nil and true or nil, err
    elseif piece == false then
      return file:failed(err)
    end
    local size = piece
    if type(piece) == "string" then
      size, err = take_piece(ends, piece)
      if not size then
        return nil, err
      end
      poured = false
    end
    if not poured and not ends.hash and ends.skip == 0 then
      poured = incoming.pour(download, file:sink())
    end
    ends.bytes = ends.bytes + size
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
  ok, err = ends.file:finish()
  if ok and ends.hash then
    return verify(self, path, ends.hash)
  end
  return ok, err
end

local function download_to(self, path, file, opts)
  local spoilt = false
  return base.finally(function(ok)
    file:close(ok or opts.resume and not spoilt)
  end, function()
    local ends, err = open_ends(self, path, file, opts)
    if not ends then
      return nil, err
    end
    local ok
    ok, err = receive(self, path, ends, opts)
    if ok then
      return file:commit()
    end
    spoilt = err.details and err.details.kind == "verify"
    return nil, err
  end)
end

---@class wrenn.DownloadOptions
---@field on_progress? fun(bytes: integer, total?: integer)  called as they come
---@field resume? boolean  keep the bytes of a failed download in
---   `<local_path>.part`, and continue from there the next time (false)
---@field verify? boolean  compare SHA-256 with the file in the capsule (false)

--- Copies a file from the capsule; symbolic links there are followed. The bytes
--- go to a file next to the target, which it replaces at the end: the target is
--- never incomplete, and nothing is changed before the first byte has arrived.
--- A symbolic link at the target is replaced. If `<local_path>.part` is a
--- symbolic link or anything but a regular file, the download fails. POST
--- /v1/capsules/{id}/files/stream/read.
---@param path string
---@param local_path string  an existing file is replaced
---@param opts? wrenn.DownloadOptions
---@return true|nil
---@return wrenn.Error? err  as for download_stream; WrennError with
---  details.kind
---   "local" for a failure on this machine
function Files:download(path, local_path, opts)
  check.self(self, "is_files", "download")
  check.path(path, "path", "download")
  check.text(local_path, "local_path", "download")
  opts = check.options(opts, "download",
    { on_progress = "callable", resume = "boolean", verify = "boolean" })
  local file, err = part.open(local_path, opts.resume)
  if not file then
    return nil, err
  end
  return download_to(self, path, file, opts)
end

-- ---- upload ----------------------------------------------------------------

-- The error for a file that could not be read; without a reason it has ended.
local function unread(name, why)
  return local_error(why and name .. ": " .. why
    or name .. " has become shorter meanwhile")
end

-- Returns a function that returns exactly `size` bytes of a file, in pieces.
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
      return nil, unread(name, why)
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

--- Copies a file into the capsule and creates its directories; local symbolic
--- links are followed. An upload that fails may leave a part. Otherwise like
--- upload_stream. POST /v1/capsules/{id}/files/stream/write.
---@param local_path string
---@param path string
---@param opts? wrenn.UploadOptions
---@return true|nil
---@return wrenn.Error? err  WrennError with details.kind "local" for a failure
---  on this machine
function Files:upload(local_path, path, opts)
  check.self(self, "is_files", "upload")
  check.text(local_path, "local_path", "upload")
  check.path(path, "path", "upload")
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
  local hash
  local whole = not opts.verify and not opts.on_progress and {
    file = file,
    failed = function(reason)
      return unread(local_path, reason)
    end,
  }
  return base.finally(function()
    file:close()
  end, function()
    local ok, err = send.stream(self, path, function()
      file:seek("set")
      hash = opts.verify and core.sha256()
      return pieces_of(file, local_path, size, hash, opts.on_progress), size,
        whole
    end, true)
    if ok and hash then
      return verify(self, path, hash)
    end
    return ok, err
  end)
end
