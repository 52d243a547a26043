-- arrows.lua: fails where a file uses what lies in a room above its own, or
-- writes or reads the API's JSON outside the room for that. A room is a folder,
-- or a file of its own, right below the root of a tree.

local trees = {
  {
    root = "lua/wrenn", files = "%.lua$", uses = 'require%("wrenn%.([%w_.]+)"',
    -- Each row uses itself and those before it; rooms in one row do not use
    -- each other.
    rows = {
      { "dates", "version" },
      { "check", "core" },
      { "errors" },
      { "ids", "task" },
      { "reader" },
      { "wire" },
      { "server" },
      { "client", "files" },
      { "commands" },
      { "git", "pty" },
      { "capsule" },
      { "code_runner" },
      { "code_interpreter", "init" },
      { "cli" },
    },
    -- The JSON of the API is in wire/, that of Jupyter in code_runner/, what the
    -- command prints in cli/.
    only = {
      ["%f[%w_]json%.[de][en]code%("] = { wire = true, code_runner = true },
      ["%f[%w_]json = {"] = { wire = true, cli = true },
    },
  },
  {
    root = "local", files = "%.[ch]$", uses = '#include "([^"]+/[^"]*)"',
    rows = {
      { "util" },
      { "box", "http" },
      { "agent", "model" },
      { "api" },
      { "proxy" },
      { "main", "spec" },
    },
    -- What a row allows and the rooms do not want all the same.
    never = { agent = "http", model = "http" },
  },
}

local faults = 0

local function fault(...)
  faults = faults + 1
  print(string.format(...))
end

local function row_of_room(rows)
  local found = {}
  for number, rooms in ipairs(rows) do
    for _, room in ipairs(rooms) do
      found[room] = number
    end
  end
  return found
end

local function check_line(path, line, room, row, tree, row_of)
  for pattern, rooms in pairs(tree.only or {}) do
    if line:find(pattern) and not rooms[room] then
      fault("%s: JSON outside wire: %s", path, line:match("^%s*(.*)"))
    end
  end
  for used in line:gmatch(tree.uses) do
    local other = used:match("^[^./]+")
    local its_row = other and row_of[other]
    if not its_row then
      fault("%s: %s is in no room", path, used)
    elseif its_row > row or its_row == row and other ~= room
      or tree.never and tree.never[room] == other then
      fault("%s: %s must not use %s", path, room, used)
    end
  end
end

local function check_tree(tree)
  local row_of = row_of_room(tree.rows)
  local list = io.popen("find " .. tree.root .. " -type f | sort")
  for path in list:lines() do
    local room = path:sub(#tree.root + 2):match("^[^./]+")
    if path:find(tree.files) and not row_of[room] then
      fault("%s is in no room of scripts/arrows.lua", path)
    elseif path:find(tree.files) then
      for line in io.lines(path) do
        check_line(path, line, room, row_of[room], tree, row_of)
      end
    end
  end
  list:close()
end

for _, tree in ipairs(trees) do
  check_tree(tree)
end
os.exit(faults == 0)
