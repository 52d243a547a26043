-- The snapshots of wrenn-local: where it keeps them, and what may happen while
-- they are made.

local expect = require("spec.support.expect")
local figures = require("spec.hosts.figures")
local server = require("spec.support.server")
local walls = require("spec.support.walls")
local core = require("wrenn.core")
local wrenn = require("wrenn")

local walled = walls.only(describe, pending)

describe("snapshots in a data folder", function()
  it("are there for the next server", function()
    local folder = os.tmpname()
    os.remove(folder)
    local args = "--generation 0.4 --data " .. folder
    local s = server.start(args)
    local capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
    assert(capsule.files:write("~/f", "kept"))
    assert(capsule:create_snapshot({ name = "lasting", wait = true }))
    assert.is_true(capsule.client.snapshots:set_visibility("lasting", true))
    s:stop()
    -- What a server that was killed has left half-made goes away.
    local half = folder .. "/snapshots/0123456789abcdef"
    os.execute("mkdir -p " .. half .. "/tree " .. folder .. "/snapshots/mine")
    s = server.start(args)
    local copy = assert(wrenn.Capsule.create(s:options({ wait = true,
      template = "lasting" })))
    assert.are.equal("kept", copy.files:read("~/f"))
    local list = assert(copy.client.snapshots:list({ type = "snapshot" }))
    assert.are.same({ 1, "lasting", true },
      { #list, list[1].name, list[1].public })
    s:stop()
    assert.is_nil(io.open(half))
    assert(io.open(folder .. "/snapshots/mine")):close()
    os.execute("rm -rf " .. folder)
  end)

  it("belong to one server at a time", function()
    local folder = os.tmpname()
    os.remove(folder)
    local s = server.start("--data " .. folder)
    local ok, why = pcall(server.start, "--data " .. folder .. " 2>/dev/null")
    assert.is_false(ok)
    assert.is_truthy(tostring(why):find("did not start", 1, true))
    s:stop()
    s = server.start("--data " .. folder)
    s:stop()
    os.execute("rm -rf " .. folder)
  end)

  it("are gone with a temporary one", function()
    local s = server.start()
    local capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
    assert(capsule:create_snapshot({ wait = true }))
    local pipe = io.popen(("readlink /proc/%d/fd/* 2>/dev/null"):format(s.pid))
    local folder = pipe:read("*a"):match("(%S+/wrenn%-local%-%w+)/")
    pipe:close()
    assert.is_truthy(folder)
    s:stop()
    assert.is_nil(io.open(folder))
  end)
end)

describe("snapshots without walls", function()
  it("have the capsule's own folder", function()
    local s = server.start("--isolation none --generation 0.4")
    local capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
    assert(capsule.commands:run("echo kept >f")) -- in its home
    assert(capsule:create_snapshot({ name = "bare", wait = true }))
    local copy = assert(wrenn.Capsule.create(s:options({ wait = true,
      template = "bare" })))
    assert.are.equal("kept\n", copy.files:read("f"))
    assert.is_true(copy:destroy({ wait = true }))
    assert(copy.client.volumes:create({ name = "v", size = "1G" }))
    local made, err = wrenn.Capsule.create(s:options({ volumes = { "v" } }))
    assert.is_nil(made)
    assert.are.equal(501, err.status_code)
    s:stop()
  end)
end)

describe("the making of a snapshot", function()
  local s, client, capsule

  before_each(function()
    s = server.start("--generation 0.4")
    client = assert(wrenn.Client(s:options()))
    capsule = assert(wrenn.Capsule.create({ client = client, wait = true }))
    -- Enough to copy for it to take its time.
    assert(capsule.commands:run("mkdir d && cd d && for i in $(seq 1000); do"
      .. " echo $i >$i; done && yes | head -c 100000000 >big",
      { timeout = 120 }))
  end)

  after_each(function()
    s:stop()
  end)

  -- The time without what the machine has taken from both.
  local function now()
    return core.now() - figures.delayed() - figures.delayed(s.pid)
  end

  it("does not hold up the server", function()
    local first, longest, polls = core.now(), 0, 0
    wrenn.task.run(function()
      local making = wrenn.task.spawn(function()
        return capsule:create_snapshot({ name = "big", wait = true,
          timeout = 120 })
      end)
      while not making.done do
        local begun = now()
        assert(client:health())
        longest = math.max(longest, now() - begun)
        polls = polls + 1
      end
      assert(making:wait())
    end)
    assert.is_true(polls > 2)
    -- Held up, one call would take as long as all the copying.
    assert.is_true(longest < math.max(1, (core.now() - first) / 2),
      tostring(longest))
  end)

  it("ends when its capsule is destroyed", function()
    local made = assert(capsule:create_snapshot({ name = "cut" }))
    assert.are.equal("snapshotting", made.capsule.status)
    assert.are.equal(409, select(2, capsule.commands:run("true")).status_code)
    assert.is_true(capsule:destroy({ wait = true }))
    expect.soon(function()
      return #assert(client.snapshots:list({ type = "snapshot" })) == 0
    end)
    -- The name is free again, soon.
    local other = assert(wrenn.Capsule.create({ client = client,
      wait = true }))
    assert.are.equal("cut", expect.soon(function()
      return (other:create_snapshot({ name = "cut", wait = true }))
    end).name)
  end)

  it("ends with the server", function()
    assert(capsule:create_snapshot({ name = "cut" }))
    s:stop() -- waits for its end; the sanitizers look at the rest
  end)

  it("is no obstacle to destroying a capsule that is filled", function()
    assert(capsule:create_snapshot({ name = "big", wait = true,
      timeout = 120 }))
    local copy = assert(wrenn.Capsule.create({ client = client,
      template = "big" }))
    assert.is_true(client.snapshots:delete("big"))
    assert.is_true(copy:destroy({ wait = true, timeout = 120 }))
    assert.are.equal("stopped", copy:get_info().status)
    copy = wrenn.Capsule.create({ client = client, template = "big" })
    assert.is_nil(copy)
  end)

  it("leaves a template that may be deleted while it is copied", function()
    assert(capsule:create_snapshot({ name = "big", wait = true,
      timeout = 120 }))
    local copy = assert(wrenn.Capsule.create({ client = client,
      template = "big" }))
    assert.is_true(client.snapshots:delete("big"))
    assert(copy:wait_ready({ timeout = 120 }))
    local result = assert(copy.commands:run("ls d | wc -l; wc -c <d/big"))
    assert.are.equal("1001\n100000000\n", result.stdout)
  end)
end)

walled("a snapshot that somebody has prepared", function()
  it("leads no server out of its folder", function()
    local s = server.start()
    local capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
    local trap = os.tmpname()
    os.remove(trap)
    os.execute("mkdir " .. trap)
    assert(capsule.commands:run(("rm -rf /var /mnt /home; ln -s %s /var;"
      .. " ln -s %s /mnt; ln -s %s /home; ln -s %s /media"):format(trap, trap,
      trap, trap)))
    assert(capsule:create_snapshot({ name = "trap", wait = true }))
    local copy = assert(wrenn.Capsule.create(s:options({ wait = true,
      template = "trap" })))
    local result = assert(copy.commands:run("readlink /media; readlink /var;"
      .. " ls -d /var/tmp /mnt /home"))
    assert.are.equal(trap .. "\n/var/tmp\n/mnt\n/home\n",
      (result.stdout:gsub("/home\n/mnt\n/var/tmp", "/var/tmp\n/mnt\n/home")))
    local pipe = io.popen("ls -A " .. trap)
    assert.are.equal("", pipe:read("*a"))
    pipe:close()
    s:stop()
    os.execute("rm -r " .. trap)
  end)
end)
