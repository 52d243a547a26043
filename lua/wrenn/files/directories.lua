--- Directories copied between a capsule and this machine, as tar archives.
--- Command streams do not carry arbitrary bytes, so the archive is a temporary
--- file in the capsule.

local base = require("wrenn.files.base")
local check = require("wrenn.check")
local core = require("wrenn.core")
local download = require("wrenn.wire.download")
local errors = require("wrenn.errors")
local reason = require("wrenn.files.reason")
local send = require("wrenn.files.send")
local tar = require("wrenn.files.tar")

local Files = base.Files
local local_error = base.local_error

local PIECE = 256 * 1024
-- Small files are sent together in pieces of about this size.
local BATCH = 64 * 1024

---@class wrenn.DirectoryResult
---@field files integer       how many were copied
---@field directories integer  likewise
---@field symlinks integer    likewise
---@field bytes integer       of all files
---@field skipped string[]    paths of devices, pipes and sockets, which are not
---  copied
---@field warnings? string    tar's messages about files that changed meanwhile

local function new_result()
  return { files = 0, directories = 0, symlinks = 0, bytes = 0, skipped = {} }
end

-- setuid and similar bits are not taken over from a capsule.
local function plain_mode(mode)
  return mode % 512
end

-- ---- download --------------------------------------------------------------

local function hostile(why, path)
  return nil, errors.new("ProtocolError",
    ("the archive holds %s: '%s'"):format(why, path))
end

-- Calls a method of the tree, or of a file in it; wraps its error.
local function try(object, method, ...)
  local result, why = object[method](object, ...)
  if not result then
    return nil, local_error(why)
  end
  return result
end

local make = {}

function make.directory(self, path, entry)
  self.result.directories = self.result.directories + 1
  self.directories[#self.directories + 1] =
    { path, plain_mode(entry.mode), entry.mtime }
  return try(self.tree, "make_dir", path)
end

function make.file(self, path, entry)
  local file, err = try(self.tree, "create", path)
  if not file then
    return nil, err
  end
  self.file, self.made = file, entry
  self.result.files = self.result.files + 1
  self.result.bytes = self.result.bytes + entry.size
  return true
end

function make.symlink(self, path, entry)
  if entry.target == "" or entry.target:find("%z") then
    return hostile("a malformed link", path)
  end
  self.result.symlinks = self.result.symlinks + 1
  return try(self.tree, "symlink", path, entry.target)
end

function make.link(self, path, entry)
  local target, why = tar.below(entry.target)
  if not target or target == "" then
    return hostile(why or "a malformed link", entry.target)
  end
  self.result.files = self.result.files + 1
  return try(self.tree, "link", path, target)
end

function make.other(self, path)
  table.insert(self.result.skipped, path)
  return true
end

-- Returns the handlers that write the entries of an archive into a tree.
local function unpacker(tree)
  local self = { tree = tree, result = new_result(), directories = {} }
  function self.entry(entry)
    local path, why = tar.below(entry.path)
    if not path then
      return hostile(why, entry.path)
    elseif path ~= "" then
      return make[entry.type](self, path, entry)
    elseif entry.type == "directory" then -- the packed directory itself
      return true
    end
    return hostile("a file without a name", entry.path)
  end
  function self.data(bytes)
    return try(self.file, "write", bytes)
  end
  function self.done()
    return try(self.file, "finish", plain_mode(self.made.mode),
      self.made.mtime)
  end
  -- Sets modes at the end, as they may forbid writing; children first.
  function self.finish()
    for i = #self.directories, 1, -1 do
      local made = self.directories[i]
      local ok, err = try(tree, "set", made[1], made[2], made[3])
      if not ok then
        return nil, err
      end
    end
    return self.result
  end
  return self
end

local function malformed(why)
  return nil, errors.is_error(why) and why
    or errors.new("ProtocolError", "malformed archive: " .. why)
end

-- Extracts a download into a tree. Returns the totals, or nil, err. The mark at
-- the end of an archive proves that it is complete.
local function extract(stream, tree, on_progress)
  local target = unpacker(tree)
  local bytes = 0
  local reader = tar.reader(target)
  while true do
    local piece, err = stream:read()
    if err then
      return nil, err
    elseif not piece then
      break
    end
    local ok, why = reader:feed(piece)
    if not ok then
      return malformed(why)
    end
    bytes = bytes + #piece
    if on_progress then
      on_progress(bytes)
    end
  end
  local ok, why = reader:finish()
  if not ok then
    return nil, errors.new("ConnectionError",
      "the transfer ended early: " .. why,
      { details = { kind = "broken", sent = true }, retryable = true })
  end
  return target.finish()
end

local function fetch(self, copy, tree, on_progress)
  local stream, err = download.open(self.client,
    base.endpoint(self, "stream/read"), copy, copy)
  if not stream then
    return nil, reason.of(self, err, "read", copy)
  end
  return base.finally(function()
    stream:close()
  end, function()
    return extract(stream, tree, on_progress)
  end)
end

-- tar's exit code if files changed while they were read.
local CHANGED = 1

-- Packs a directory of the capsule into `copy`. Returns tar's warnings.
local function pack_there(self, arg, copy)
  local result, err = base.tool(self, "tar",
    { "--format=gnu", "-cf", copy, "-C", arg, "." }, base.DATA_LIMIT)
  if not result and err.result and err.result.exit_code == CHANGED then
    result = err.result
  end
  return result and result.stderr, err
end

--- Copies a directory with its contents from the capsule. Permissions, times
--- and symbolic links are kept, but not owners, setuid bits, devices, pipes and
--- sockets. Existing files are replaced, others kept; nothing is written
--- through a symbolic link below `local_dir`. Runs tar in the capsule, for at
--- most 600 s, which needs space for the archive there. POST /v1/capsules/{id}/files/stream/read.
---@param path string
---@param local_dir string  created if it does not exist
---@param opts? {on_progress: fun(bytes: integer)}  called with how much of the
---  archive has come
---@return wrenn.DirectoryResult|nil
---@return wrenn.Error? err  what has been copied by then remains
function Files:download_dir(path, local_dir, opts)
  check.self(self, "is_files", "download_dir")
  check.path(path, "path", "download_dir")
  check.text(local_dir, "local_dir", "download_dir")
  opts = check.options(opts, "download_dir", { on_progress = "callable" })
  local arg, err = base.argument(path)
  if not arg then
    return nil, err
  end
  local copy, tree, why = base.temporary(), nil, nil
  return base.finally(function(_, given_up)
    base.discard(self, copy, given_up)
    if tree then
      tree:close()
    end
  end, function()
    local warnings
    warnings, err = pack_there(self, arg, copy)
    if not warnings then
      return nil, err
    end
    local ok
    ok, why = core.make_dirs(local_dir)
    if ok then
      tree, why = core.tree(local_dir)
    end
    if not tree then
      return nil, local_error(why)
    end
    local result
    result, err = fetch(self, copy, tree, opts.on_progress)
    if result and warnings ~= "" then
      result.warnings = warnings
    end
    return result, err
  end)
end

-- ---- upload ----------------------------------------------------------------

-- Pushes the children of a directory onto the stack, the first one on top.
local function push_children(self, path)
  local children, why = self.tree:list(path)
  if not children then
    return nil, local_error(why)
  end
  table.sort(children, function(a, b)
    return a.name > b.name
  end)
  for _, child in ipairs(children) do
    child.path = path and path .. "/" .. child.name or child.name
    self.stack[#self.stack + 1] = child
  end
  return true
end

local function add(self, bytes)
  self.batch[#self.batch + 1] = bytes
  self.batched = self.batched + #bytes
end

local function begin_file(self, entry)
  if entry.inode then
    local first = self.inodes[entry.inode]
    if first then
      entry.type, entry.target = "link", first
      add(self, tar.header(entry))
      return true
    end
    self.inodes[entry.inode] = entry.path
  end
  local file, err = try(self.tree, "open", entry.path)
  if not file then
    return nil, err
  end
  self.file, self.entry, self.left = file, entry, entry.size
  self.result.bytes = self.result.bytes + entry.size
  add(self, tar.header(entry))
  return true
end

local counted =
  { file = "files", directory = "directories", symlink = "symlinks" }

local function begin_entry(self, entry)
  local count = counted[entry.type]
  if not count then
    table.insert(self.result.skipped, entry.path)
    return true
  end
  self.result[count] = self.result[count] + 1
  if entry.type == "file" then
    return begin_file(self, entry)
  end
  add(self, tar.header(entry))
  return entry.type ~= "directory" or push_children(self, entry.path)
end

-- The archive's header has already stated the size of the file.
local function read_on(self)
  if self.left == 0 then
    add(self, tar.padding(self.entry.size))
    self.file:close()
    self.file = nil
    return true
  end
  local piece, err = try(self.file, "read", math.min(PIECE, self.left))
  if not piece then
    return nil, err
  elseif piece == "" then
    return nil, local_error(self.entry.path
      .. ": has become shorter meanwhile")
  end
  self.left = self.left - #piece
  add(self, piece)
  return true
end

-- Returns a function that returns the archive of a tree piece by piece.
local function packer(tree, on_progress)
  local bytes = 0
  local self = {
    tree = tree, stack = {}, inodes = {}, batch = {}, batched = 0,
    result = new_result(),
  }
  local ok, err = push_children(self, nil)
  return function()
    while ok and not self.over and self.batched < BATCH do
      if self.file then
        ok, err = read_on(self)
      elseif #self.stack > 0 then
        ok, err = begin_entry(self, table.remove(self.stack))
      else
        add(self, tar.END)
        self.over = true
      end
    end
    if not ok then
      return nil, err
    end
    local piece = self.batched > 0 and table.concat(self.batch) or nil
    bytes = bytes + self.batched
    if piece and on_progress then
      on_progress(bytes)
    end
    self.batch, self.batched = {}, 0
    return piece
  end, self.result
end

local UNPACK = [[
mkdir -p -- "$1" && exec tar -xpf "$2" --no-same-owner -C "$1"
]]

--- Copies a directory with its contents into the capsule. Permissions, times,
--- symbolic and hard links are kept, but not owners, devices, pipes and
--- sockets. Existing files are replaced, others kept. Runs tar in the capsule,
--- for at most 600 s, which needs space for the archive there. POST
--- /v1/capsules/{id}/files/stream/write.
---@param local_dir string
---@param path string  created if it does not exist
---@param opts? {on_progress: fun(bytes: integer)}  called with how much of the
---  archive goes
---@return wrenn.DirectoryResult|nil
---@return wrenn.Error? err
function Files:upload_dir(local_dir, path, opts)
  check.self(self, "is_files", "upload_dir")
  check.text(local_dir, "local_dir", "upload_dir")
  check.path(path, "path", "upload_dir")
  opts = check.options(opts, "upload_dir", { on_progress = "callable" })
  local arg, err = base.argument(path)
  if not arg then
    return nil, err
  end
  local tree, why = core.tree(local_dir)
  if not tree then
    return nil, local_error(why)
  end
  local copy = base.temporary()
  return base.finally(function(_, given_up)
    tree:close()
    base.discard(self, copy, given_up)
  end, function()
    local next_piece, result = packer(tree, opts.on_progress)
    local ok
    ok, err = send.stream(self, copy, function()
      return next_piece
    end, false)
    if ok then
      ok, err = base.tool(self, "/bin/sh", { "-c", UNPACK, "sh", arg, copy },
        base.DATA_LIMIT)
    end
    return ok and result or nil, err
  end)
end
