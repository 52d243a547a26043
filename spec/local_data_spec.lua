-- A server that is given a data folder takes up what the server before it has
-- left there, in whatever way that one has ended.

local disk = require("spec.support.disk")
local expect = require("spec.support.expect")
local server = require("spec.support.server")
local tree = require("spec.support.tree")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule
local data, s, client

local function start(args)
  s = server.start("--data " .. data .. " " .. (args or "--generation 0.4"))
  client = assert(wrenn.Client(s:options()))
end

local function restart(signal, args)
  s:stop(signal)
  start(args)
end

local function create(more)
  local options = { client = client, wait = true }
  for name, value in pairs(more or {}) do
    options[name] = value
  end
  return assert(Capsule.create(options))
end

-- Resumes it.
local function connect(id)
  return assert(Capsule.connect(id, { client = client }))
end

local function info_of(id)
  return assert(Capsule.get_info(id, { client = client }))
end

local function is_not_resumed(id)
  assert.are.equal("resuming", assert(client.capsules:resume(id)).status)
  expect.soon(function()
    return info_of(id).status ~= "resuming"
  end)
  assert.are.equal("paused", info_of(id).status)
end

local function is_there(path)
  return disk.shell("test -e '" .. path .. "' && echo yes") ~= ""
end

before_each(function()
  data = disk.folder()
end)

after_each(function()
  s:stop()
  os.execute("rm -rf " .. data)
end)

for _, signal in ipairs({ "TERM", "KILL" }) do
  describe("the capsules of a server that got SIG" .. signal, function()
    it("are paused, and go on with their files", function()
      start()
      local made = create({ template = "minimal", timeout = 3600,
        metadata = { owner = "me \"\\\195\164" } })
      assert(made.files:write("~/f", "kept"))
      assert(made.commands:run("umask 077; mkdir d && echo x >d/g"))
      local before = assert(made:get_info())
      restart(signal)
      local after = info_of(made.id)
      assert.are.equal("paused", after.status)
      for _, name in ipairs({ "id", "template", "vcpus", "memory_mb",
        "timeout_sec", "created_at", "started_at" }) do
        assert.are.equal(before[name], after[name], name)
      end
      assert.are.same(before.metadata, after.metadata)
      local one = connect(made.id)
      assert.are.equal("kept", one.files:read("~/f"))
      assert.are.equal("700 x\n", assert(one.commands:run(
        "echo $(stat -c %a d) $(cat d/g)")).stdout)
      -- And so again, for it is a capsule like any other.
      assert(one:pause({ wait = true }))
      assert(one:resume({ wait = true }))
      restart(signal)
      one = connect(made.id)
      assert.are.equal("kept", one.files:read("~/f"))
    end)

    it("stay what they were if they had ended", function()
      start()
      local one, two = create(), create()
      assert(one:destroy({ wait = true }))
      restart(signal)
      assert.are.equal("stopped", info_of(one.id).status)
      local list = assert(Capsule.list({ client = client }))
      assert.are.same({ 1, two.id }, { #list, list[1].id })
      -- One that has not been resumed has no process to wait for.
      assert(Capsule.destroy(two.id, { client = client, wait = true }))
      restart(signal)
      assert.are.equal(0, #assert(Capsule.list({ client = client })))
      expect.soon(function()
        return not is_there(data .. "/" .. one.id)
          and not is_there(data .. "/" .. two.id)
      end)
    end)
  end)
end

describe("a capsule of the server before", function()
  it("can be copied before it is resumed", function()
    start()
    local made = create()
    assert(made.files:write("~/f", "kept"))
    restart("KILL")
    assert(client.snapshots:create(made.id, { name = "later" }))
    expect.soon(function()
      return info_of(made.id).status == "paused"
        and client.snapshots:list({ q = "later" })[1]
    end)
    local copy = create({ template = "later" })
    assert.are.equal("kept", copy.files:read("~/f"))
    assert.are.equal("paused", info_of(made.id).status)
  end)

  it("is paused still if it cannot be resumed", function()
    start()
    local made = create()
    assert(made.files:write("~/f", "kept"))
    s:stop("KILL")
    local broken = disk.folder()
    disk.write(broken .. "/agent", "#!/bin/false\n")
    os.execute("chmod +x " .. broken .. "/agent")
    s = server.start("--generation 0.4 --data " .. data, "WRENN_AGENT="
      .. broken .. "/agent")
    client = assert(wrenn.Client(s:options()))
    is_not_resumed(made.id)
    assert.are.equal("kept", disk.shell(
      ("cat %s/%s/*/f %s/%s/home/*/f 2>/dev/null"):format(data, made.id, data,
        made.id)))
    restart("TERM")
    assert.are.equal("kept", connect(made.id).files:read("~/f"))
    os.execute("rm -r " .. broken)
  end)

  it("is not visible to another team", function()
    start("--generation 0.4 --api-key wrn_second")
    local made = create()
    restart("KILL", "--generation 0.4 --api-key wrn_second")
    local others = assert(wrenn.Client({ base_url = s.url,
      api_key = "wrn_second" }))
    expect.error("NotFoundError", Capsule.get_info(made.id,
      { client = others }))
  end);

  walls.only(it, pending)("keeps what it has changed in its system", function()
    local base = tree()
    start("--generation 0.4 --system " .. base)
    local made = create()
    assert(made.commands:run("rm /etc/given && echo new >/etc/kept/two"))
    restart("KILL") -- and what its system is does not depend on the option
    assert.are.equal("one\ntwo\n", assert(connect(made.id).commands:run(
      "ls /etc/kept; cat /etc/given 2>/dev/null")).stdout)
    s:stop()
    os.execute("rm -rf " .. base)
  end);

  walls.only(it, pending)("gets its volumes back, if they are free", function()
    start()
    local volume = assert(client.volumes:create({ name = "v", size = "1G" }))
    local made = create({ volumes = { "v" } })
    assert(made.files:write("/mnt/" .. volume.id .. "/f", "kept"))
    restart("KILL")
    local other = create({ volumes = { "v" } })
    is_not_resumed(made.id)
    assert(other:destroy({ wait = true }))
    local one = connect(made.id)
    assert.are.equal("attached", assert(client.volumes:get("v")).status)
    assert.are.equal("kept", one.files:read("/mnt/" .. volume.id .. "/f"))
  end)
end)

describe("what cannot be read in a data folder", function()
  it("is left alone", function()
    start()
    local made = create()
    assert(made.files:write("~/f", "kept"))
    s:stop("KILL")
    local record = ("%s/capsules/%s/record.json"):format(data, made.id)
    local text = disk.read(record)
    disk.write(record, text:sub(1, 20))
    s = server.start("--generation 0.4 --data " .. data .. " 2>" .. data
      .. "/said")
    assert.is_truthy(disk.read(data .. "/said"):find(record, 1, true))
    s:stop()
    disk.write(record, text)
    start()
    assert.are.equal("kept", connect(made.id).files:read("~/f"))
  end)
end)
