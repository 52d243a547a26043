-- Decodes the output of the helper of files:watch. Bytes in, events out. Each
-- line has been encoded by sed's `l` command, so that names with arbitrary
-- bytes survive a stream that is made for text.

local changes = {}

local escapes = { a = "\a", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
  v = "\v", ["\\"] = "\\" }

local function unescape(line)
  return (line:gsub("\\([0-3][0-7][0-7])", function(digits)
    return string.char(tonumber(digits, 8))
  end))
end

-- Backslashes are doubled: decode them first, then the octal numbers in
-- between.
local function decode(line)
  local parts, at = {}, 1
  while true do
    local from = line:find("\\[^%d]", at)
    parts[#parts + 1] = unescape(line:sub(at, (from or 0) - 1))
    if not from then
      return table.concat(parts)
    end
    parts[#parts + 1] = escapes[line:sub(from + 1, from + 1)] or ""
    at = from + 2
  end
end

-- ---- events ----------------------------------------------------------------

local Decoder = {}
Decoder.__index = Decoder

--- Creates a decoder. `root` is the watched path, `arg` the same path as passed
--- to the helper, `token` the end of its records.
function changes.decoder(root, arg, token)
  return setmetatable({
    root = root == "/" and "" or (root:gsub("(.)/+$", "%1")),
    arg = arg == "/" and "" or (arg:gsub("(.)/+$", "%1")),
    mark = "/" .. token, rest = "", record = "",
    old = {}, new = {}, events = {},
    listings = 0, made = {}, -- new directories being listed, what is in them
  }, Decoder)
end

-- Adds an event; `below` is the path relative to the root, "" for the root.
local function put(self, type_name, below, directory)
  local path = self.root .. (below ~= "" and "/" .. below or "")
  local last = self.events[#self.events]
  if type_name == "write" and last and last.type == "write"
    and last.path == path
  then
    return
  end
  if below == "" and type_name ~= "overflow" then
    self.absent = type_name == "remove" or type_name == "rename"
  end
  self.events[#self.events + 1] = {
    type = type_name, path = path, name = path:match("([^/]*)$"),
    directory = directory,
  }
end

-- ---- inotifywait -----------------------------------------------------------

local meanings = {
  CREATE = "create", MOVED_TO = "create", MODIFY = "write", ATTRIB = "chmod",
  DELETE = "remove", MOVED_FROM = "rename",
}
local selves = { DELETE_SELF = true, MOVE_SELF = true }

-- Whether something is created that has been reported: while new directories
-- are listed, it may be found there and reported by inotifywait as well.
local function is_known(self, word, below)
  if self.listings == 0 then
    return false
  elseif word == "DELETE" or word == "MOVED_FROM" then
    for path in pairs(self.made) do
      if path == below or path:sub(1, #below + 1) == below .. "/" then
        self.made[path] = nil
      end
    end
  elseif word == "CREATE" or word == "MOVED_TO" then
    local known = self.made[below] and word == "CREATE"
    self.made[below] = true
    return known
  end
  return false
end

-- "0:CREATE,ISDIR /watched/path"; in front is the cookie of a move, if any.
local function take_record(self, record)
  local what, path = record:gsub("^[%x%%]*:", "")
    :match("^([%u_,]+) (.*)$")
  if not what then
    return
  elseif what == "Q_OVERFLOW" then
    return put(self, "overflow", "")
  elseif self.single and path ~= self.arg then
    return -- beside the file
  end
  local directory = what:find("ISDIR", 1, true) ~= nil
  local below = path:sub(#self.arg + 1):gsub("^/+", ""):gsub("/+$", "")
  for word in what:gmatch("[%u_]+") do
    if meanings[word] then
      if not is_known(self, word, below) then
        put(self, meanings[word], below, directory)
      end
    elseif selves[word] and below == "" then
      put(self, "remove", "", directory)
      self.gone = true
    end
  end
end

-- ---- find ------------------------------------------------------------------

-- "inode type mode size time path", with "-" for a directory's size and time.
local function parse(line)
  local inode, kind, mode, state, path =
    line:match("^(%d+) (%a) (%d+) (%S+ %S+) (.*)$")
  return inode and { inode = inode .. kind .. state, id = inode .. kind,
    kind = kind, mode = mode, state = state, path = path }
end

local function split(path)
  local parent, name = path:match("^(.*)/([^/]*)$")
  return parent or "", name or path
end

local function sorted(map)
  local list = {}
  for path, entry in pairs(map) do
    list[#list + 1] = entry
    entry.path = path
  end
  table.sort(list, function(a, b)
    return a.path < b.path
  end)
  return list
end

-- The present paths of removed entries that only moved.
local function find_moves(removed, created)
  local by_inode, moves = {}, {}
  for path, entry in pairs(created) do
    by_inode[entry.inode] = path
  end
  for path, entry in pairs(removed) do
    moves[path] = by_inode[entry.inode]
  end
  return moves
end

-- Whether an entry moved only because its directory did.
local function moved_along(moves, from, to)
  local old_parent, old_name = split(from)
  local new_parent, new_name = split(to)
  return old_name == new_name and moves[old_parent] == new_parent
end

local function put_moves(self, removed, created)
  local moves = find_moves(removed, created)
  for _, entry in ipairs(sorted(removed)) do
    local to = moves[entry.path]
    if to then
      if not moved_along(moves, entry.path, to) then
        put(self, "rename", entry.path, entry.kind == "d")
        put(self, "create", to, entry.kind == "d")
      end
      removed[entry.path], created[to] = nil, nil
    end
  end
end

-- Compares two listings.
local function end_look(self)
  local removed, created = {}, {}
  for path, entry in pairs(self.old) do
    local now = self.new[path]
    if not now or now.id ~= entry.id then
      removed[path] = entry
    end
  end
  for path, entry in pairs(self.new) do
    if not self.old[path] or removed[path] then
      created[path] = entry
    end
  end
  put_moves(self, removed, created)
  local list = sorted(removed)
  for i = #list, 1, -1 do -- children first
    put(self, "remove", list[i].path, list[i].kind == "d")
  end
  for _, entry in ipairs(sorted(created)) do
    put(self, "create", entry.path, entry.kind == "d")
  end
  for _, entry in ipairs(sorted(self.new)) do
    local before = self.old[entry.path]
    if before and before.id == entry.id then
      if before.state ~= entry.state then
        put(self, "write", entry.path, entry.kind == "d")
      end
      if before.mode ~= entry.mode then
        put(self, "chmod", entry.path, entry.kind == "d")
      end
    end
  end
  self.old, self.new = {}, {}
end

local function take_difference(self, line)
  local map = line:find("^\t") and self.new or self.old
  local entry = parse(line:gsub("^\t", ""))
  if entry then
    map[entry.path] = entry
  end
end

-- ---- lines -----------------------------------------------------------------

local function take_line(self, line)
  if line == "." then
    end_look(self)
  elseif line == "gone" then
    if not self.absent then
      put(self, "remove", "")
    end
    self.gone = true
  elseif line == "single" then
    self.single = true
  elseif line == "new" then
    self.listings = self.listings + 1
  elseif line == "known" then
    self.listings = math.max(self.listings - 1, 0)
    self.made = self.listings > 0 and self.made or {}
  elseif line:find("^\t?%d+ ") and self.record == "" then
    take_difference(self, decode((line:gsub("%$$", ""))))
  elseif line ~= "" and line ~= "\t" then -- an empty listing
    -- A name that contains a newline comes in several lines.
    local text = self.record .. decode((line:gsub("%$$", "")))
    if text:sub(-#self.mark) == self.mark then
      take_record(self, text:sub(1, -#self.mark - 1))
      self.record = ""
    else
      self.record = text .. "\n"
    end
  end
end

--- Handles output: appends the decoded events to `events`. `gone` becomes true
--- once the watched path no longer exists.
function Decoder:feed(bytes)
  local text = self.rest .. bytes
  local at = 1
  while not self.gone do
    local eol = text:find("\n", at, true)
    if not eol then
      break
    end
    take_line(self, text:sub(at, eol - 1))
    at = eol + 1
  end
  self.rest = text:sub(at)
end

return changes
