-- A server that is killed at any moment has lost nothing that it had answered:
-- the next one in its data folder has the capsules, files, snapshots and volumes
-- that there were, and none of those that were removed.
--
-- WRENN_CRASHES=200 kills so many, instead of a few within a few seconds.

local disk = require("spec.support.disk")
local expect = require("spec.support.expect")
local server = require("spec.support.server")
local tree = require("spec.support.tree")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local task = wrenn.task

local ASKED = tonumber(os.getenv("WRENN_CRASHES") or "")
local ROUNDS, SECONDS = ASKED or 8, ASKED and math.huge or 6
local WORKERS, CAPSULES_EACH = 3, 3
local HOME = "/home/wrenn-user/"

local data, system, s, client

local function start()
  s = server.start(("--generation 0.4 --data %s --system %s"):format(data,
    system))
  client = assert(wrenn.Client(s:options({ retries = 0, timeout = 20 })))
end

-- ---- what has been answered --------------------------------------------------

-- Each worker changes what is its own. An entry is true, a file's text or a
-- table of files; false if it was removed; and "either" from a request until its
-- answer, for ever if there is none.
local worlds

local function new_world(number)
  return { name = "w" .. number .. "-", count = 0, capsules = {}, files = {},
    snapshots = {}, volumes = {} }
end

local function new_name(world)
  world.count = world.count + 1
  return world.name .. world.count
end

local function any(list)
  local names = {}
  for name, state in pairs(list) do
    if state and state ~= "either" then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names[math.random(math.max(#names, 1))], #names
end

-- Makes a request that turns list[name] into `new`. Returns whether it was
-- answered before the server was killed. Nothing is ever refused.
local function change(list, name, new, request, ...)
  list[name] = "either"
  local result, err = request(...)
  assert(result or err:is("ConnectionError") or err:is("ProtocolError"),
    tostring(err))
  if result then
    list[name] = new
  end
  return result ~= nil
end

local function copy(list)
  local result = {}
  for name, value in pairs(list) do
    result[name] = value
  end
  return result
end

-- ---- changes -----------------------------------------------------------------

-- The id of a capsule is known from the answer on; its files are certain when it
-- runs.
local function create(world, from)
  local info = client.capsules:create({ template = from })
  if not info then
    return false
  end
  world.files[info.id] = copy(world.snapshots[from] or {})
  return change(world.capsules, info.id, true, wrenn.Capsule.wait_ready,
    info.id, { client = client })
end

local changes = {
  function(world) -- a new capsule
    local from = any(world.snapshots)
    local _, count = any(world.capsules)
    return count >= CAPSULES_EACH
      or create(world, math.random(2) == 1 and from or nil)
  end,
  function(world) -- a new file
    local id = any(world.capsules)
    local capsule = id and wrenn.Capsule.connect(id, { client = client })
    local name = new_name(world)
    local text = name:rep(math.random(2000))
    return not id or capsule ~= nil and change(world.files[id], name, text,
      capsule.files.write, capsule.files, "~/" .. name, text)
  end,
  function(world) -- one capsule less
    local id = any(world.capsules)
    return not id or change(world.capsules, id, false,
      client.capsules.destroy, client.capsules, id)
  end,
  function(world)
    local id, name = any(world.capsules), new_name(world)
    return not id or change(world.snapshots, name, copy(world.files[id]),
      client.snapshots.create, client.snapshots, id,
      { name = name, wait = true })
  end,
  function(world) -- another name
    local old = any(world.snapshots)
    if not old then
      return true
    end
    local new, snapshot = new_name(world), world.snapshots[old]
    world.snapshots[new] = "either"
    if not change(world.snapshots, old, false, client.snapshots.rename,
      client.snapshots, old, new)
    then
      return false
    end
    world.snapshots[new] = snapshot
    return true
  end,
  function(world)
    local name = any(world.snapshots)
    return not name or change(world.snapshots, name, false,
      client.snapshots.delete, client.snapshots, name)
  end,
  function(world)
    local name = "vl-" .. new_name(world)
    return change(world.volumes, name, true, client.volumes.create,
      client.volumes, { name = name, size = "1G" })
  end,
  function(world)
    local name = any(world.volumes)
    return not name or change(world.volumes, name, false,
      client.volumes.delete, client.volumes, name)
  end,
}

-- ---- comparing ---------------------------------------------------------------

-- A snapshot's record, by the name of its folder; nil if it is being removed.
local function record_of(folder)
  local file = io.open(data .. "/snapshots/" .. folder .. "/record.json")
  local record = file and file:read("*a")
  if file then
    file:close()
  end
  return record
end

-- Where the files of a capsule or of a snapshot with this record are, besides a
-- folder.
local function places(folder, record)
  local found, over = { folder }, record:match('"over":"(%x+)"')
  while over do
    found[#found + 1] = data .. "/snapshots/" .. over .. "/tree"
    over = record_of(over):match('"over":"(%x+)"')
  end
  return found
end

local function compare_files(there, folder, record)
  for name, text in pairs(there) do
    local file
    for _, place in ipairs(text ~= "either" and places(folder, record) or {}) do
      file = file or io.open(place .. HOME .. name, "rb")
    end
    if text ~= "either" then
      assert.are.equal(text, assert(file, name):read("*a"), name)
      file:close()
    end
  end
end

local function compare(list, there, what)
  for name, state in pairs(list) do
    if state ~= "either" then
      assert.are.equal(state and true or false, there[name] or false,
        what .. " " .. name)
    end
  end
end

-- The folder of each snapshot that has not been removed, by its name.
local function folders()
  local found = {}
  for folder in disk.shell("ls " .. data .. "/snapshots"):gmatch("%x+") do
    local record = record_of(folder)
    if record and not record:find('"removed":1', 1, true) then
      found[record:match('"name":"([^"]+)"')] = folder
    end
  end
  return found
end

local function names_of(list, member)
  local names = {}
  for _, item in ipairs(assert(list)) do
    names[item[member]] = true
  end
  return names
end

local function check(world)
  local there = assert(client.capsules:list())
  for _, info in ipairs(there) do
    assert.are.equal("paused", info.status)
  end
  compare(world.capsules, names_of(there, "id"), "capsule")
  compare(world.snapshots, names_of(client.snapshots:list(),
    "name"), "snapshot")
  compare(world.volumes, names_of(client.volumes:list(), "name"), "volume")
  local folder_of = folders()
  for name, state in pairs(world.snapshots) do
    if type(state) == "table" then
      local folder = folder_of[name]
      compare_files(state, data .. "/snapshots/" .. folder .. "/tree",
        record_of(folder))
    end
  end
  for id, state in pairs(world.capsules) do
    local folder = data .. "/" .. id
    if state == true then
      compare_files(world.files[id], folder
        .. (system == "host" and "" or "/upper"),
        disk.read(data .. "/capsules/" .. id .. "/record.json"))
    elseif state == false then
      assert.are.equal("stopped", assert(client.capsules:get(id)).status)
      expect.soon(function()
        return disk.shell("ls -d " .. folder .. " 2>/dev/null") == ""
      end)
    end
  end
end

local function kill_again_and_again()
  local begun, rounds = os.time(), 0
  math.randomseed(server.unique())
  data = disk.folder()
  worlds = {}
  for i = 1, WORKERS do
    worlds[i] = new_world(i)
  end
  start()
  while rounds < ROUNDS and os.time() - begun < SECONDS do
    rounds = rounds + 1
    os.execute(("(sleep %.3f; kill -KILL %d) >/dev/null 2>&1 &"):format(
      math.random(50, 700) / 1000, s.pid))
    task.run(function()
      task.map(worlds, function(world)
        while changes[math.random(#changes)](world) do
        end
      end)
    end)
    s:stop("KILL") -- waits for its end
    start()
    for _, world in ipairs(worlds) do
      check(world)
    end
  end
  if ASKED then
    print(rounds .. " kills", os.time() - begun .. " s")
  end
end

-- And nothing is left for which there is no need any more.
local function remove_all()
  for _, info in ipairs(assert(client.capsules:list())) do
    assert(client.capsules:destroy(info.id))
  end
  for _, one in ipairs(assert(client.snapshots:list({ type = "snapshot" }))) do
    assert(client.snapshots:delete(one.name))
  end
  expect.soon(function()
    return disk.shell(("ls -d %s/cl-* %s/snapshots/* 2>/dev/null"):format(data,
      data)) == ""
  end)
end

describe("a server that is killed again and again", function()
  after_each(function()
    s:stop()
    os.execute(("chmod -R u+rwx %s; rm -rf %s"):format(data, data))
  end)

  it("has lost nothing that it had answered", function()
    system = "host"
    kill_again_and_again()
    remove_all()
  end);

  walls.only(it, pending)("has lost no layer that something lies over",
    function()
    system = tree()
    kill_again_and_again()
    remove_all()
    os.execute("rm -rf " .. system)
  end)
end)
