-- Snapshots of capsules with a system of their own: what is made from one lies
-- over its files, and takes no copy.

local disk = require("spec.support.disk")
local expect = require("spec.support.expect")
local server = require("spec.support.server")
local tree = require("spec.support.tree")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local walled = walls.only(describe, pending)

-- Of box/layers.h.
local LAYERS_MAX = 16

walled("capsules over a snapshot", function()
  local base, data, s, client

  local function start()
    s = server.start(("--generation 0.4 --system %s --data %s 2>%s/said")
      :format(base, data, base))
    client = assert(wrenn.Client(s:options()))
  end

  before_each(function()
    base, data = tree(), disk.folder()
    start()
  end)

  after_each(function()
    s:stop()
    os.execute(("chmod -R u+rwx %s; rm -rf %s %s"):format(data, data, base))
  end)

  local function create(template)
    return assert(wrenn.Capsule.create({ client = client, wait = true,
      template = template }))
  end

  local function sh(capsule, line)
    local result = assert(capsule.commands:run(line))
    return result.stdout .. result.stderr
  end

  local function snapshot(capsule, name)
    assert(capsule:create_snapshot({ name = name, wait = true }))
  end

  local function kilobytes(path)
    local text = disk.shell("du -sk " .. path .. " 2>/dev/null")
    return tonumber(text:match("^%d+"))
  end

  local function folders()
    local names = {}
    for name in disk.shell("ls " .. data .. "/snapshots"):gmatch("%x+") do
      names[#names + 1] = name
    end
    return names
  end

  local function leaves(count)
    expect.soon(function()
      return #folders() == count
    end)
  end

  it("take no room for what it has changed, which counts as theirs", function()
    local one = create()
    assert(one.files:write("~/big", ("x"):rep(16 * 2 ^ 20)))
    snapshot(one, "big")
    for _ = 1, 3 do
      local copy = create("big")
      assert.are.equal("16777216\n", sh(copy, "stat -c %s ~/big"))
      assert.is_true(kilobytes(data .. "/" .. copy.id) < 1024)
      assert(copy:metrics())
      assert.is_true(copy:get_info().disk_used_mb >= 16)
    end
    local two = create("big")
    sh(two, "rm ~/big")
    snapshot(two, "small")
    assert.are.equal("none\n", sh(create("small"),
      "cat ~/big 2>/dev/null || echo none"))
    assert.are.equal("16777216\n", sh(create("big"), "stat -c %s ~/big"))
    local sizes = {}
    for _, one_of in ipairs(assert(client.snapshots:list())) do
      sizes[one_of.name] = one_of.size_bytes
    end
    assert.is_true(sizes.big > 16 * 2 ^ 20)
    assert.is_true(sizes.small >= sizes.big) -- a folder may take nothing
    assert.is_true(kilobytes(data .. "/snapshots") < 20 * 1024)
  end)

  for _, signal in ipairs({ "TERM", "KILL" }) do
    it("go on without it, also after SIG" .. signal, function()
      local one = create()
      sh(one, "echo first >/etc/mine")
      snapshot(one, "first")
      local two = create("first")
      assert(client.snapshots:delete("first"))
      expect.error("NotFoundError", wrenn.Capsule.create({ client = client,
        template = "first" }))
      assert.are.equal(0, #assert(client.snapshots:list({ q = "first" })))
      sh(two, "echo second >>/etc/mine")
      snapshot(two, "first") -- the name is free
      local three = create("first")
      s:stop(signal)
      start()
      local SHOW = "cat /etc/mine /etc/given"
      for _, id in ipairs({ two.id, three.id }) do
        local again = assert(wrenn.Capsule.connect(id, { client = client }))
        assert.are.equal("first\nsecond\nfrom the tree\n", sh(again, SHOW))
      end
      assert(wrenn.Capsule.destroy(one.id, { client = client, wait = true }))
      assert(wrenn.Capsule.destroy(two.id, { client = client, wait = true }))
      assert(client.snapshots:delete("first"))
      assert.are.equal("first\nsecond\nfrom the tree\n", sh(assert(
        wrenn.Capsule.connect(three.id, { client = client })), SHOW))
      leaves(2) -- the layers that this one lies over
      assert(wrenn.Capsule.destroy(three.id, { client = client,
        wait = true }))
      leaves(0)
    end)
  end

  it("leave no layer to the next server that nothing needs", function()
    local one = create()
    snapshot(one, "first")
    local two = create("first")
    snapshot(two, "second")
    assert(client.snapshots:delete("first"))
    assert(client.snapshots:delete("second"))
    leaves(1)
    -- As if it had been killed before it removed what it had recorded.
    s:stop("KILL")
    os.execute(("rm -r %s/capsules/%s %s/%s"):format(data, two.id, data,
      two.id))
    start()
    leaves(0)
  end)

  it("can be many, one over the other", function()
    local last = create()
    sh(last, "mkdir /srv /srv/all && touch /srv/all/0 && rm /etc/given"
      .. " && touch /srv/turn")
    snapshot(last, "s0")
    for i = 1, LAYERS_MAX + 2 do
      assert(last:destroy())
      last = create("s" .. i - 1)
      -- A folder and a file take turns; what was there does not come back.
      sh(last, ("cd /srv; echo >all/%d; rm -r turn /etc/kept; "):format(i)
        .. (i % 2 == 1 and "mkdir turn /etc/kept; echo >turn/" .. i
        or "echo >turn; echo >/etc/kept"))
      snapshot(last, "s" .. i)
      assert(client.snapshots:delete("s" .. i - 1))
    end
    local top = create("s" .. LAYERS_MAX + 2)
    local all = disk.shell(("seq 0 %d | LC_ALL=C sort"):format(LAYERS_MAX + 2))
    assert.are.equal(all, sh(top, "ls /srv/all"))
    assert.are.equal("turn\nkept\nnone\n", sh(top, "cd /srv; ls -d turn;"
      .. " cd /etc; ls -d kept; cat given turn/* 2>/dev/null || echo none"))
    sh(top, "rm /srv/turn /etc/kept; mkdir /srv/turn /etc/kept")
    assert.are.equal("", sh(top, "ls /srv/turn; ls /etc/kept"))
    assert(last:destroy())
    -- One that holds what the first sixteen had changed, and two over it.
    leaves(3)
  end)

  it("keep it though their own records cannot be read", function()
    local one = create()
    sh(one, "echo first >/etc/mine")
    snapshot(one, "first")
    local two, three = create("first"), create("first")
    s:stop("KILL")
    local record = ("%s/capsules/%s/record.json"):format(data, two.id)
    local text = disk.read(record)
    disk.write(record, text:sub(1, 20))
    start()
    assert(wrenn.Capsule.destroy(three.id, { client = client, wait = true }))
    assert(client.snapshots:delete("first"))
    assert.are.equal(0, #assert(client.snapshots:list({ q = "first" })))
    s:stop("KILL")
    disk.write(record, text)
    start()
    assert.are.equal("first\n", sh(assert(wrenn.Capsule.connect(two.id,
      { client = client })), "cat /etc/mine"))
    assert(wrenn.Capsule.destroy(two.id, { client = client, wait = true }))
    leaves(0)
  end)

  it("wait for it if it is lost, and lose nothing", function()
    local one = create()
    sh(one, "echo first >/etc/mine")
    snapshot(one, "first")
    local two = create("first")
    snapshot(two, "second")
    local below = folders()
    assert(client.snapshots:delete("first"))
    s:stop("KILL")
    local record
    for _, name in ipairs(below) do
      local path = ("%s/snapshots/%s/record.json"):format(data, name)
      if disk.read(path):find('"name":"first"', 1, true) then
        record = path
      end
    end
    local text = disk.read(record)
    disk.write(record, text:sub(1, 20))
    start()
    local said = disk.read(base .. "/said")
    assert.is_truthy(said:find(two.id .. " lacks the snapshot", 1, true), said)
    assert.is_truthy(said:find("the snapshot second lacks", 1, true), said)
    assert.are.equal("resuming", assert(client.capsules:resume(two.id)).status)
    expect.soon(function()
      return client.capsules:get(two.id).status == "paused"
    end)
    local _, err = client.snapshots:create(two.id, { name = "third" })
    assert.is_truthy(err)
    _, err = wrenn.Capsule.create({ client = client, template = "second" })
    assert.are.equal("NotFoundError", err and err.type)
    s:stop("KILL")
    disk.write(record, text)
    start()
    assert.are.equal("first\n", sh(assert(wrenn.Capsule.connect(two.id,
      { client = client })), "cat /etc/mine"))
    assert.are.equal("first\n", sh(create("second"), "cat /etc/mine"))
  end)
end)
