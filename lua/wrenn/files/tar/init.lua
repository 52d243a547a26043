-- A tar codec: bytes in, entries out, and the other way round. No I/O. Reads
-- ustar, GNU and pax; writes GNU.

local header = require("wrenn.files.tar.header")

local tar = {}

local BLOCK = 512
-- Longer than any system allows.
local MAX_PART, MAX_PATH = 255, 4095

--- Makes a path of an archive relative to the target directory: "" for the
--- directory itself; nil and the reason if the path leads out of it.
function tar.below(path)
  if path == "" or path:find("%z") then
    return nil, "a path is malformed"
  elseif path:find("^/") then
    return nil, "an absolute path"
  end
  local parts = {}
  for part in path:gmatch("[^/]+") do
    if part == ".." then
      return nil, "a path that leads out"
    elseif #part > MAX_PART then
      return nil, "a path that is too long"
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  local below = table.concat(parts, "/")
  if #below > MAX_PATH then
    return nil, "a path that is too long"
  end
  return below
end

-- ---- reading ---------------------------------------------------------------

local Reader = {}
Reader.__index = Reader

--- Creates a reader. `handler` has the methods entry(entry), data(bytes) and
--- done(); the last two are for the contents of files. Each returns true, or
--- nil and a reason to stop. An entry has type ("file", "directory", "symlink",
--- "link" or "other"), path and target as in the archive, size, mode, mtime.
function tar.reader(handler)
  return setmetatable({
    handler = handler, state = "header", need = BLOCK, part = {}, have = 0,
  }, Reader)
end

-- Waits for `need` contiguous bytes.
local function collect(self, state, need)
  self.state, self.need, self.part, self.have = state, need, {}, 0
end

local function pad_of(size)
  return -size % BLOCK
end

local function end_file(self)
  self.state = "pad"
  if self.pad == 0 then
    collect(self, "header", BLOCK)
  end
  return self.handler.done()
end

local function begin_entry(self, entry)
  entry.path = self.long_path or entry.path
  entry.target = self.long_target or entry.target
  if self.records then
    local ok, why = header.apply(entry, self.records)
    if not ok then
      return nil, why
    end
  end
  self.long_path, self.long_target, self.records = nil, nil, nil
  -- The form of archives before 1988.
  if entry.kind == "\0" and entry.path:find("/$") then
    entry.type = "directory"
  end
  if entry.type ~= "file" then
    entry.size = 0
  end
  local ok, why = self.handler.entry(entry)
  if not ok then
    return nil, why
  elseif entry.type ~= "file" then
    collect(self, "header", BLOCK)
    return true
  end
  self.state, self.left, self.pad = "data", entry.size, pad_of(entry.size)
  return entry.size > 0 or end_file(self)
end

local function on_meta(self, bytes)
  local data = bytes:sub(1, self.meta_size)
  if self.meta == "L" then
    self.long_path = data:match("^%Z*")
  elseif self.meta == "K" then
    self.long_target = data:match("^%Z*")
  elseif self.meta == "x" then
    local fields, why = header.records(data)
    if not fields then
      return nil, why
    end
    self.records = fields
  end
  collect(self, "header", BLOCK)
  return true
end

local function on_header(self, block)
  if not block:find("%Z") then
    if self.saw_zeros then
      self.state = "end"
    else
      self.saw_zeros = true
      collect(self, "header", BLOCK)
    end
    return true
  elseif self.saw_zeros then
    return nil, "something follows the end mark"
  end
  local entry, why = header.parse(block)
  if not entry then
    return nil, why
  end
  local limit = header.metas[entry.kind]
  if not limit then
    return begin_entry(self, entry)
  elseif entry.size > limit then
    return nil, "a name or record is too long"
  end
  self.meta, self.meta_size = entry.kind, entry.size
  collect(self, "meta", entry.size + pad_of(entry.size))
  return entry.size > 0 or on_meta(self, "")
end

local whole = { header = on_header, meta = on_meta }

-- Passes on the bytes from `at` that belong to the file. Returns the position
-- after them.
local function take_data(self, bytes, at)
  local count = math.min(self.left, #bytes - at + 1)
  if count > 0 then
    local piece = count == #bytes and bytes or bytes:sub(at, at + count - 1)
    local ok, why = self.handler.data(piece)
    if not ok then
      return nil, why
    end
    self.left = self.left - count
  end
  if self.left == 0 then
    local ok, why = end_file(self)
    if not ok then
      return nil, why
    end
  end
  return at + count
end

local function take_pad(self, bytes, at)
  local count = math.min(self.pad, #bytes - at + 1)
  self.pad = self.pad - count
  if self.pad == 0 then
    collect(self, "header", BLOCK)
  end
  return at + count
end

-- Adds to the piece that is being collected, and handles it when complete.
local function take_whole(self, bytes, at)
  local count = math.min(self.need - self.have, #bytes - at + 1)
  self.part[#self.part + 1] = bytes:sub(at, at + count - 1)
  self.have = self.have + count
  if self.have == self.need then
    local ok, why = whole[self.state](self, table.concat(self.part))
    if not ok then
      return nil, why
    end
  end
  return at + count
end

--- Reads bytes. Returns true; or nil and the reason, also if the handler
--- stopped.
function Reader:feed(bytes)
  local at = 1
  while at <= #bytes and self.state ~= "end" do
    local why
    if self.state == "data" then
      at, why = take_data(self, bytes, at)
    elseif self.state == "pad" then
      at, why = take_pad(self, bytes, at)
    else
      at, why = take_whole(self, bytes, at)
    end
    if not at then
      return nil, why
    end
  end
  return true
end

--- Finishes the archive. Returns true; or nil and the reason if it is
--- incomplete.
function Reader:finish()
  if self.state == "end" then
    return true
  end
  return nil, "the archive ends too early"
end

-- ---- writing ---------------------------------------------------------------

local function octal(value, size)
  return ("%0" .. size - 1 .. "o"):format(value) .. "\0"
end

local function big_number(value, size)
  if value >= 0 and value < 8 ^ (size - 1) then
    return octal(value, size)
  end
  local bytes = {}
  for i = size, 2, -1 do
    bytes[i] = string.char(value % 256)
    value = math.floor(value / 256)
  end
  bytes[1] = value < 0 and "\255" or "\128"
  return table.concat(bytes)
end

local function padded(value, size)
  return value .. ("\0"):rep(size - #value)
end

local function block(entry, kind, path, target, size)
  local head = padded(path, 100) .. octal(entry.mode % 4096, 8) .. octal(0, 8)
    .. octal(0, 8) .. big_number(size, 12) .. big_number(entry.mtime, 12)
  local tail = kind .. padded(target, 100) .. "ustar  \0"
  local filled = padded(head .. "        " .. tail, BLOCK)
  return head .. ("%06o\0 "):format(header.sum(filled)) .. filled:sub(157)
end

local letters =
  { file = "0", link = "1", symlink = "2", directory = "5" }

local function long(kind, value)
  return block({ mode = 0, mtime = 0 }, kind, "././@LongLink", "", #value + 1)
    .. value .. "\0" .. ("\0"):rep(pad_of(#value + 1))
end

--- The bytes before the contents of an entry: type, path, mode, mtime, and size
--- or target depending on the type.
function tar.header(entry)
  local path, target = entry.path, entry.target or ""
  if entry.type == "directory" then
    path = path .. "/"
  end
  local before = ""
  if #target > 100 then
    before = long("K", target)
  end
  if #path > 100 then
    before = before .. long("L", path)
  end
  return before .. block(entry, letters[entry.type], path:sub(1, 100),
    target:sub(1, 100), entry.type == "file" and entry.size or 0)
end

--- The bytes after a file of `size` bytes.
function tar.padding(size)
  return ("\0"):rep(pad_of(size))
end

--- The bytes at the end.
tar.END = ("\0"):rep(2 * BLOCK)

return tar
