-- Takes long.
-- Faults of a later request: calls that send several, whose first ones are
-- answered well. Each of the others meets each kind of harm, once; the first
-- one too where something could be left half done.

local core = require("wrenn.core")
local disk = require("spec.support.disk")
local expect = require("spec.support.expect")
local figures = require("spec.hosts.figures")
local harm = require("spec.support.harm")
local server = require("spec.support.server")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local Capsule, task = wrenn.Capsule, wrenn.task
local LIMIT = 1 -- where only a deadline ends a call
local PATIENCE = 20 -- of the client: never what ends a call
local SLACK = 15 -- a machine may be busy: less than the client's patience
local FAR = 60 -- around all
local TEXT = ("some text\n"):rep(500)

local s, proxy, clean, home, before
local operations = {}

-- An operation: `run(capsule, n)` with the number of its cell, of which names
-- are made. `prepare(n)`, which is not harmed, returns the capsule if it needs
-- one of its own. `holds(n, result, id)`: whether a success is one; `settled(n)`:
-- whether nothing half done is left of a failure; `also`: a type of error that
-- it may come to in place of the harm's.
local function op(name, run, more)
  local self = more or {}
  self.name, self.run = name, run
  operations[#operations + 1] = self
end

local function path(n)
  return home .. "/" .. n
end

-- ---- files ------------------------------------------------------------------

local function is_there(name)
  return function(n)
    return clean.files:read(name .. n) == TEXT
  end
end

op("upload, verify", function(c, n)
  return c.files:upload(path("source"), "up" .. n, { verify = true })
end, { holds = is_there("up") })
op("write_files", function(c, n)
  return c.files:write_files({ { path = "one" .. n, data = TEXT },
    { path = "two" .. n, data = TEXT } })
end, { holds = is_there("two") })
op("upload_dir", function(c, n)
  return c.files:upload_dir(home .. "/dir", "into" .. n)
end, { holds = function(n)
  return clean.files:read("into" .. n .. "/inner") == TEXT
end })

-- A folder of its own, where there is a file that a download replaces.
local function old_target(n)
  disk.shell("mkdir " .. path(n))
  disk.write(path(n) .. "/target", "old")
end

local function has_target(n)
  return disk.read(path(n) .. "/target") == TEXT
    and disk.shell("ls -A " .. path(n)) == "target\n"
end

local function has_old_target(n)
  return disk.read(path(n) .. "/target") == "old"
    and disk.shell("ls -A " .. path(n)) == "target\n"
end

op("download, verify", function(c, n)
  return c.files:download("source", path(n) .. "/target", { verify = true })
end, { prepare = old_target, holds = has_target, settled = has_old_target })
op("download, resume", function(c, n)
  return c.files:download("source", path(n) .. "/target",
    { resume = true, verify = true })
end, {
  prepare = function(n)
    old_target(n)
    disk.write(path(n) .. "/target.part", TEXT:sub(1, 1000))
  end,
  holds = has_target,
  settled = function(n)
    return disk.read(path(n) .. "/target") == "old"
      and TEXT:find(disk.read(path(n) .. "/target.part"), 1, true) == 1
  end,
})
op("download_dir", function(c, n)
  return c.files:download_dir("dir", path(n))
end, { holds = function(n, result)
  return result.files == 1 and disk.read(path(n) .. "/inner") == TEXT
end })
op("watch", function(c)
  local watch, err = c.files:watch("dir")
  if watch then
    watch:close()
  end
  return watch and true, err
end)

-- ---- commands ---------------------------------------------------------------

local function printed(_, result)
  return result.stdout == TEXT
end

op("run, stdin", function(c)
  return c.commands:run("cat", { stdin = TEXT, timeout = FAR })
end, { holds = printed })
op("run, stdin and user", function(c)
  return c.commands:run("cat", { stdin = TEXT, user = "root",
    cwd = "/tmp", envs = { A = "b" }, timeout = FAR })
end, { holds = printed })
op("run, on_stdout", function(c)
  return c.commands:run("cat", { stdin = TEXT, timeout = FAR,
    on_stdout = function() end })
end, { holds = printed })
op("stream, stdin and envs", function(c)
  local stream, err = c.commands:stream("cat",
    { stdin = TEXT, envs = { A = "b" } })
  if not stream then
    return nil, err
  end
  return stream:wait()
end, { holds = printed })
op("run, background", function(c)
  return c.commands:run("cat", { stdin = TEXT, background = true })
end)
op("run, durable", function(c, n)
  return c.commands:run("cat", { stdin = TEXT, background = true,
    durable = true, tag = "later" .. n })
end, {
  holds = function(n)
    return assert(assert(clean.commands:durable("later" .. n)):wait()).stdout
      == TEXT
  end,
  settled = function(n)
    return not clean.files:exists("~/.wrenn/t-later" .. n)
  end,
})

local function durable(line)
  return function(n)
    assert(clean.commands:run(line, { background = true, durable = true,
      tag = "later" .. n }))
  end
end

op("durable:wait", function(c, n)
  local handle, err = c.commands:durable("later" .. n)
  if not handle then
    return nil, err
  end
  return handle:wait()
end, { prepare = durable("cat source"), holds = printed })
op("durable:kill", function(c, n)
  local handle, err = c.commands:durable("later" .. n)
  if not handle then
    return nil, err
  end
  return handle:kill()
end, {
  prepare = durable("sleep 60"),
  holds = function(n)
    return assert(assert(clean.commands:durable("later" .. n)):wait())
      .exit_code == 137
  end,
})
op("git:clone", function(c, n)
  return c.git:clone("./origin", "clone" .. n)
end)
op("git:remote_add", function(c, n)
  return c.git:remote_add("there", "http://us:password@127.0.0.1:1/x",
    { cwd = "origin" .. n, dangerously_store_credentials = true })
end, { prepare = function(n)
  assert(clean.commands:run("git init origin" .. n, { check = true }))
end })

-- ---- capsules ---------------------------------------------------------------

local function made(paused)
  return function()
    local capsule =
      assert(Capsule.create(s:options({ wait = true })))
    if paused then
      assert(capsule:pause({ wait = true }))
    end
    return capsule
  end
end

local function has_status(status)
  return function(_, _, id)
    return assert(Capsule.get_info(id, s:options())).status == status
  end
end

op("create, wait", function(c)
  return Capsule.create({ client = c.client, wait = true })
end, { holds = function(_, capsule)
  return has_status("running")(nil, nil, capsule.id)
    and Capsule.destroy(capsule.id, s:options())
end })
op("connect to a paused one", function(c)
  return Capsule.connect(c.id, { client = c.client })
end, { prepare = made(true), holds = has_status("running") })
op("run, auto_resume", function(c)
  c.client.settings.auto_resume = true
  return c.commands:run("cat source", { timeout = FAR })
end, { prepare = made(true), holds = has_status("running"),
  also = "ConflictError" }) -- what it was sent again for
op("pause, wait", function(c) return c:pause({ wait = true }) end,
  { prepare = made(), holds = has_status("paused") })
op("resume, wait", function(c) return c:resume({ wait = true }) end,
  { prepare = made(true), holds = has_status("running") })
op("destroy, wait", function(c) return c:destroy({ wait = true }) end,
  { prepare = made(), holds = has_status("stopped") })
op("create_snapshot", function(c)
  return c:create_snapshot()
end, { prepare = made() })

-- ---- cells ------------------------------------------------------------------

-- An interrupted call tidies up in the background.
local function is_settled(settled, n)
  local deadline = core.now() + 60
  while not settled(n) do
    if core.now() > deadline then
      return false
    end
    task.sleep(0.1)
  end
  return true
end

-- What is wrong with what came of a cell; nil when nothing is.
local function complaint(cell, n)
  local op_of, kind, err = cell.op, cell.kind, cell.err
  if cell.took > LIMIT + SLACK then
    return ("took %.1f s: %s"):format(cell.took, tostring(err))
  elseif cell.result then
    return op_of.holds and not op_of.holds(n, cell.result, cell.id)
      and "is a success that is none" or nil
  elseif not wrenn.errors.is_error(err) then
    return "is no error: " .. tostring(err)
  elseif op_of.settled and not is_settled(op_of.settled, n) then
    return "left a half"
  elseif op_of.also and err:is(op_of.also) then
    return nil
  end
  for name in kind.expected:gmatch("%S+") do
    if err:is(name) then
      return nil
    end
  end
  return ("is a %s, not a %s"):format(tostring(err), kind.expected)
end

-- One of so many where each costs more, or is there for another Lua already.
local share = _VERSION == "Lua 5.4" and not os.getenv("ASAN_OPTIONS") and 1
  or 3
local count = 0
local NONE = { name = "none", expected = "" }

-- What the machine has taken from all that take part.
local function delayed()
  return figures.delayed() + figures.delayed(proxy.peer.pid)
    + figures.delayed(s.pid)
end

-- Runs a cell in which nothing is harmed if it has no kind.
local function run_cell(cell)
  count = count + 1
  local n, kind = count, cell.kind or NONE
  local own = cell.op.prepare and cell.op.prepare(n)
  cell.number, cell.id = n, (own or clean).id
  local client =
    assert(wrenn.Client(s:options({ retries = 0, timeout = PATIENCE })))
  local capsule = assert(Capsule.connect(clean.id, { client = client }))
  capsule.id = cell.id
  capsule.commands.capsule_id, capsule.files.capsule_id = cell.id, cell.id
  client.settings.base_url = proxy:address(n, cell.nth, kind.name)
  local begin = core.now() - delayed()
  cell.result, cell.err = task.with_timeout(kind.slow and LIMIT or FAR,
    function()
      return cell.op.run(capsule, n)
    end)
  cell.took = core.now() - delayed() - begin
  cell.complaint = complaint(cell, n)
  if own then
    own:destroy()
    own.client:close()
  end
  client:close()
  return true
end

describe("a later request", function()
  setup(function()
    home = disk.folder()
    s = server.start()
    proxy = harm.start(s)
    clean = assert(Capsule.create(s:options({ wait = true })))
    before = figures.count_fds()
    disk.write(path("source"), TEXT)
    disk.shell("mkdir " .. home .. "/dir")
    disk.write(home .. "/dir/inner", TEXT)
    assert(clean.files:write("source", TEXT))
    assert(clean.files:write("dir/inner", TEXT))
    assert(clean.commands:run("git init origin", { check = true }))
  end)

  teardown(function()
    proxy:stop()
    s:stop()
    disk.shell("rm -r " .. home)
  end)

  local todo

  it("that fails is an error, and leaves nothing half done", function()
    local whole = {}
    for _, one in ipairs(operations) do
      whole[#whole + 1] = { op = one, nth = 0 }
    end
    assert(task.map(whole, run_cell))
    local requests = proxy:requests()
    todo = {}
    for _, cell in ipairs(whole) do
      assert.is_truthy(cell.result, cell.op.name .. ": " .. tostring(cell.err))
      for nth = cell.op.settled and 1 or 2, #requests[cell.number] do
        for i, kind in ipairs(harm.kinds) do
          -- Those first that wait for a deadline.
          if (i + nth + cell.number) % share == 0 then
            table.insert(todo, kind.slow and 1 or #todo + 1,
              { op = cell.op, nth = nth, kind = kind })
          end
        end
      end
    end
    print(#todo .. " cells")
    -- Each may leave something to tidy up, for which there are five seconds.
    assert(task.map(todo, run_cell, { concurrency = 12 }))
    requests = proxy:requests()
    local complaints = {}
    for _, cell in ipairs(todo) do
      cell.harmed = (requests[cell.number] or {})[cell.nth] or "none"
      -- What the harmed request itself was to remove stays.
      if cell.complaint and not (cell.complaint == "left a half"
        and cell.harmed:find("/files/remove$"))
      then
        complaints[#complaints + 1] = ("%s, %s of request %d (%s): %s"):format(
          cell.op.name, cell.kind.name, cell.nth, cell.harmed, cell.complaint)
      end
    end
    assert.are.equal("", table.concat(complaints, "\n"))
  end)

  it("leaves no capsule, no temporary file and no descriptor", function()
    -- What was to be removed by the very request that was harmed is left.
    local files, capsules = 0, 1
    for _, cell in ipairs(todo) do
      files = files + (cell.harmed:find("/files/remove$") and 1 or 0)
      capsules = capsules + (cell.harmed:find("^hit DELETE") and 1 or 0)
    end
    clean.client:close()
    local client = assert(wrenn.Client(s:options()))
    expect.soon(function()
      local left = 0
      local tmp = assert(Capsule.connect(clean.id, { client = client })).files
      for _, entry in ipairs(walls.up and assert(tmp:list("/tmp")) or {}) do
        left = left + (entry.name:find("^%.wrenn") and 1 or 0)
      end
      local running = 0
      for _, info in ipairs(assert(client.capsules:list())) do
        running = running + (info.status == "running" and 1 or 0)
      end
      collectgarbage()
      return left <= files and running <= capsules
        and figures.count_fds() < before + 4
    end)
  end)
end)
