-- Tar archives as they travel: bytes in, entries out, and the other way round.
-- No file is touched here. Reads ustar, GNU and pax; writes GNU.

local tar = {}

local BLOCK = 512
local MAX_NAME = 64 * 1024
local MAX_RECORDS = 1024 * 1024
local MAX_SIZE = 2 ^ 53
-- What no system takes.
local MAX_PART, MAX_PATH = 255, 4095

-- ---- numbers and texts of a header -----------------------------------------

local function text(block, at, size)
  return block:sub(at, at + size - 1):match("^%Z*")
end

-- Base 256, two's complement, marked by the first bit.
local function binary(field)
  local first = field:byte()
  if first ~= 128 and first ~= 255 then
    return nil
  end
  local value = 0
  for i = 2, #field do
    local byte = field:byte(i)
    value = value * 256 + (first == 255 and 255 - byte or byte)
  end
  return first == 255 and -value - 1 or value
end

local function number(block, at, size)
  local field = block:sub(at, at + size - 1)
  local value
  if field:byte() >= 128 then
    value = binary(field)
  else
    local digits = field:match("^ *([0-7]*)[ %z]*$")
    value = digits == "" and 0 or digits and tonumber(digits, 8)
  end
  if value and value < MAX_SIZE and value > -MAX_SIZE then
    return value
  end
end

local function sum(block)
  local total = 8 * 32 -- its own field counts as spaces
  for at = 1, BLOCK, 128 do
    local bytes = { block:byte(at, at + 127) }
    for i = 1, 128 do
      local place = at + i - 1
      if place < 149 or place > 156 then
        total = total + bytes[i]
      end
    end
  end
  return total
end

-- ---- reading: meta data ----------------------------------------------------

-- "27 path=some/file name\n", repeated.
local function parse_records(data)
  local fields, at = {}, 1
  while at <= #data do
    local digits = data:match("^(%d+) ", at)
    local size = digits and #digits < 10 and tonumber(digits)
    local record = size and data:sub(at, at + size - 1)
    local key, value
    if record and #record == size then
      key, value = record:match("^%d+ ([^=]+)=(.*)\n$")
    end
    if not key then
      return nil, "malformed pax record"
    end
    fields[key] = value
    at = at + size
  end
  return fields
end

local types = {
  ["\0"] = "file", ["0"] = "file", ["7"] = "file", ["1"] = "link",
  ["2"] = "symlink", ["3"] = "other", ["4"] = "other", ["5"] = "directory",
  ["6"] = "other",
}
-- What follows describes the entry behind it.
local metas = { L = MAX_NAME, K = MAX_NAME, x = MAX_RECORDS, g = MAX_RECORDS }

local function apply_records(entry, fields)
  for key in pairs(fields) do
    if key:find("^GNU%.sparse%.") then
      return nil, "sparse files are not supported"
    end
  end
  entry.path = fields.path or entry.path
  entry.target = fields.linkpath or entry.target
  if fields.mtime then
    entry.mtime = tonumber((fields.mtime:match("^%-?%d+%.?%d*$")))
    if not entry.mtime or math.abs(entry.mtime) >= MAX_SIZE then
      return nil, "malformed time"
    end
  end
  if fields.size then
    entry.size = fields.size:find("^%d+$") and tonumber(fields.size)
    if not entry.size or entry.size >= MAX_SIZE then
      return nil, "malformed size"
    end
  end
  return entry
end

local function parse_header(block)
  local check = number(block, 149, 8)
  if check ~= sum(block) then
    return nil, "a header's checksum is wrong"
  end
  local kind = block:sub(157, 157)
  local entry = {
    path = text(block, 1, 100), target = text(block, 158, 100),
    mode = number(block, 101, 8), size = number(block, 125, 12),
    mtime = number(block, 137, 12), kind = kind, type = types[kind],
  }
  if not entry.mode or not entry.size or not entry.mtime or entry.size < 0 then
    return nil, "a header holds a malformed number"
  elseif not entry.type and not metas[kind] then
    return nil, ("entries of type '%s' are not supported")
      :format(kind:gsub("%c", "?"))
  end
  if block:sub(258, 263) == "ustar\0" then
    local prefix = text(block, 346, 155)
    if prefix ~= "" then
      entry.path = prefix .. "/" .. entry.path
    end
  end
  return entry
end

--- A path of an archive as one below the directory it is for: "" for that
--- itself; nil and why when it leads out.
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

--- Makes a reader. `handler` has entry(entry), data(bytes) and done(), the
--- last two for what is in a file; each returns true, or nil, why to stop.
--- An entry: type ("file", "directory", "symlink", "link" or "other"), path and
--- target as the archive has them, size, mode, mtime.
function tar.reader(handler)
  return setmetatable({
    handler = handler, state = "header", need = BLOCK, part = {}, have = 0,
  }, Reader)
end

-- Waits for `need` bytes in one piece.
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
    local ok, why = apply_records(entry, self.records)
    if not ok then
      return nil, why
    end
  end
  self.long_path, self.long_target, self.records = nil, nil, nil
  -- As archives of before 1988 have it.
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
    local fields, why = parse_records(data)
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
  local entry, why = parse_header(block)
  if not entry then
    return nil, why
  end
  local limit = metas[entry.kind]
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

-- Hands on what of `bytes`, from `at`, belongs to the file. Returns the place
-- behind it.
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

-- Adds to the piece that is being collected, and uses it once it is whole.
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

--- Reads on. Returns true; or nil, why, also when the handler stopped.
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

--- Ends the archive. Returns true; or nil, why when its end is missing.
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
  return head .. ("%06o\0 "):format(sum(filled)) .. filled:sub(157)
end

local letters =
  { file = "0", link = "1", symlink = "2", directory = "5" }

local function long(kind, value)
  return block({ mode = 0, mtime = 0 }, kind, "././@LongLink", "", #value + 1)
    .. value .. "\0" .. ("\0"):rep(pad_of(#value + 1))
end

--- What goes before an entry's bytes: type, path, mode, mtime, and size or
--- target as the type has it.
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

--- What goes behind a file of `size` bytes.
function tar.padding(size)
  return ("\0"):rep(pad_of(size))
end

--- What goes at the end.
tar.END = ("\0"):rep(2 * BLOCK)

return tar
