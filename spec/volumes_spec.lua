-- Volumes, with scripted peers and with wrenn-local.

local peer = require("spec.support.peer")
local server = require("spec.support.server")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local decode = require("cjson").decode

local mounted = walls.only(it, pending) -- what no walls are around has none

describe("volumes of a scripted server", function()
  local p

  after_each(function()
    p:stop()
  end)

  it("are asked for by their endpoints, with what is set", function()
    local volume = { id = "vol-1", name = "vl-a", size_mb = 20480,
      status = "detached" }
    local one = '{"id":"vol-1","name":"vl-a","size_mb":20480,'
      .. '"status":"detached"}'
    p = peer.answering({ 201, one }, { 201, one },
      { 200, "[" .. one .. "]" }, { 200, one }, { 204 })
    local volumes = assert(wrenn.Client(p:options())).volumes
    assert.are.same(volume,
      assert(volumes:create({ name = "a", size = "20Gi" })))
    assert(volumes:create({ size_mb = 512 }))
    assert.are.same({ volume }, assert(volumes:list()))
    assert.are.same(volume, assert(volumes:get("a/b")))
    assert.is_true(volumes:delete("a?b"))
    local list = {}
    for i, text in ipairs(p:received()) do
      list[i] = text:match("^(%S+ %S+)")
    end
    assert.are.same({ "POST /v1/volumes", "POST /v1/volumes",
      "GET /v1/volumes", "GET /v1/volumes/a%2Fb",
      "DELETE /v1/volumes/a%3Fb" }, list)
    local function body(i)
      return decode(p:received()[i]:match("\r\n\r\n(.*)$"))
    end
    assert.are.same({ name = "a", size = "20Gi" }, body(1))
    assert.are.same({ size_mb = 512 }, body(2))
  end)

  it("are attached by what a capsule is created with", function()
    p = peer.answering({ 202, '{"id":"cl-1","status":"starting"}' })
    assert(wrenn.Capsule.create(p:options({ volumes = { "cache", "vl-b" },
      metadata = { a = "b" }, disk_size_mb = 9 })))
    assert(wrenn.Capsule.create(p:options({ volumes = {}, metadata = {} })))
    assert.are.same({ volume_ids = { "cache", "vl-b" },
      metadata = { a = "b" }, disk_size_mb = 9 },
      decode(p:received()[1]:match("\r\n\r\n(.*)$")))
    assert.is_truthy(p:received()[2]:find("\r\n\r\n{}$"))
  end)

  it("refuse misuse", function()
    p = peer.answering({ 204 })
    local volumes = assert(wrenn.Client(p:options())).volumes
    for _, case in ipairs({
      { "'size'", volumes.create, volumes, { size = 20 } },
      { "'size_mb'", volumes.create, volumes, { size_mb = 0.5 } },
      { "'sizes'", volumes.create, volumes, { sizes = 1 } },
      { "'ref'", volumes.get, volumes, "" },
      { "'ref'", volumes.delete, volumes },
      { "'self'", volumes.list, nil },
    }) do
      local ok, why = pcall(case[2], case[3], case[4])
      assert.is_false(ok)
      assert.is_truthy(tostring(why):find(case[1], 1, true), why)
    end
    assert.are.equal(0, #p:received())
  end)
end)

describe("volumes of wrenn-local", function()
  local s, client, volumes

  local function failure(ok, err)
    assert.is_nil(ok)
    return { err.status_code, err.code }
  end

  local function new_capsule(opts)
    opts.client, opts.wait = client, true
    return wrenn.Capsule.create(opts)
  end

  setup(function()
    s = server.start("--generation 0.4")
    client = assert(wrenn.Client(s:options()))
    volumes = client.volumes
  end)

  teardown(function()
    s:stop()
  end)

  it("are made with a name and a size", function()
    local volume = assert(volumes:create({ name = "Cache", size = "20Gi" }))
    assert.is_truthy(volume.id:find("^vol%-[0-9a-z]+$"))
    assert.are.equal(29, #volume.id)
    assert.are.same({ "vl-cache", 20480, "detached", "" },
      { volume.name, volume.size_mb, volume.status, volume.mount_path })
    assert.is_truthy(volume.team_id:find("^team%-"))
    assert.is_truthy(volume.created_at:find("^%d%d%d%d%-"))
    assert.is_nil(volume.sandbox_id)
    for _, ref in ipairs({ volume.id, "vl-cache", "cache", "CACHE" }) do
      assert.are.same(volume, assert(volumes:get(ref)))
    end
  end)

  it("take sizes in several ways", function()
    for size, mb in pairs({ ["100"] = 100, ["150M"] = 150, ["150Mi"] = 150,
      ["2G"] = 2048, ["2Gi"] = 2048 })
    do
      local volume = assert(volumes:create({ size = size }))
      assert.are.equal(mb, volume.size_mb)
      assert.are.equal("vl-" .. volume.id:sub(5), volume.name)
      assert.is_true(volumes:delete(volume.name))
    end
    assert.are.equal(512,
      assert(volumes:create({ size = "512", size_mb = 9999 })).size_mb)
    assert.are.equal(300, assert(volumes:create({ size_mb = 300 })).size_mb)
  end)

  it("have limits", function()
    for _, opts in ipairs({ { size = "50M" }, { size = "21Gi" }, {},
      { size = "abc" }, { size = "-1G" }, { size = "1T" }, { size = "1 G" },
      { size = "99999999999999999999G" }, { size_mb = 99 },
      { size_mb = 20481 } })
    do
      assert.are.same({ 400, "validation_failed" },
        failure(volumes:create(opts)))
    end
    for _, name in ipairs({ "a_b", "-a", "a-", "a--b", "ä", "a b",
      ("x"):rep(38), "vl-" })
    do
      assert.are.same({ 400, "validation_failed" },
        failure(volumes:create({ name = name, size = "1G" })))
    end
    assert(volumes:create({ name = ("x"):rep(37), size = "1G" }))
  end)

  it("have names of their own", function()
    assert(volumes:create({ name = "twin", size = "1G" }))
    for _, name in ipairs({ "twin", "vl-twin", "TWIN" }) do
      assert.are.same({ 409, "volume_name_taken" },
        failure(volumes:create({ name = name, size = "1G" })))
    end
  end)

  it("are listed newest first", function()
    assert(volumes:create({ name = "newest", size = "1G" }))
    assert.are.equal("vl-newest", assert(volumes:list())[1].name)
  end)

  it("are found or not", function()
    assert.are.same({ 404, "volume_not_found" }, failure(volumes:get("nix")))
    assert.are.same({ 404, "volume_not_found" },
      failure(volumes:delete("vol-" .. ("0"):rep(25))))
  end)

  mounted("are mounted, kept from others and survive", function()
    local volume = assert(volumes:create({ name = "data", size = "1G" }))
    local first = assert(new_capsule({ volumes = { "data", volume.id } }))
    local attached = assert(volumes:get("data"))
    assert.are.same({ "attached", "/mnt/" .. volume.id, first.id },
      { attached.status, attached.mount_path, attached.sandbox_id })
    assert.is_truthy(attached.last_attached_at)
    assert.is_truthy(attached.host_id)
    local result = assert(first.commands:run(('stat -c %%a %s; cd %s'
      .. ' && echo kept >f && mkdir d'):format(attached.mount_path,
      attached.mount_path)))
    assert.are.same({ "777\n", 0 }, { result.stdout, result.exit_code })
    assert.are.equal("kept\n", first.files:read(attached.mount_path .. "/f"))

    assert.are.same({ 409, "volume_in_use" },
      failure(new_capsule({ volumes = { "data" } })))
    assert.are.same({ 409, "volume_in_use" }, failure(volumes:delete("data")))
    assert.are.same({ 409, "volumes_attached" },
      failure(first:create_snapshot({ name = "with-data" })))

    assert(first:pause({ wait = true }))
    assert.are.equal("attached", volumes:get("data").status)
    assert.is_true(first:destroy({ wait = true }))
    local free = assert(volumes:get("data"))
    assert.are.same({ "detached", "" }, { free.status, free.mount_path })
    assert.is_nil(free.sandbox_id)

    local second = assert(new_capsule({ volumes = { "vl-data" } }))
    assert.are.equal("kept\n",
      second.files:read("/mnt/" .. volume.id .. "/f"))
    assert.is_true(second:destroy({ wait = true }))
    assert.is_true(volumes:delete("data"))
    assert.are.same({ 404, "volume_not_found" }, failure(volumes:get("data")))
  end)

  mounted("that a capsule does not get stay free", function()
    local refs = {}
    for i = 1, 5 do
      refs[i] = "five-" .. i
      assert(volumes:create({ name = refs[i], size = "1G" }))
    end
    assert.are.same({ 400, "validation_failed" },
      failure(new_capsule({ volumes = refs })))
    assert.are.same({ 404, "volume_not_found" },
      failure(new_capsule({ volumes = { "five-1", "no-such" } })))
    assert.are.equal("detached", volumes:get("five-1").status)
    refs[5] = "vl-five-4" -- which is the fourth again
    local capsule = assert(new_capsule({ volumes = refs }))
    for i = 1, 4 do
      assert.are.equal(capsule.id, volumes:get(refs[i]).sandbox_id)
    end
    local listed = assert(capsule.commands:run("ls -d /mnt/vol-* | wc -l"))
    assert.are.equal("4", listed.stdout:match("%d+"))
    assert.is_true(capsule:destroy({ wait = true }))
  end)

  mounted("are not for capsules from a snapshot", function()
    assert(volumes:create({ name = "plain", size = "1G" }))
    local capsule = assert(new_capsule({}))
    assert(capsule:create_snapshot({ name = "no-volumes", wait = true }))
    assert.are.equal(400, failure(new_capsule({ template = "no-volumes",
      volumes = { "plain" } }))[1])
    assert.are.equal("detached", volumes:get("plain").status)
    assert.is_true(capsule:destroy({ wait = true }))
  end)

  mounted("are written to while others come and go", function()
    assert(volumes:create({ name = "shared", size = "1G" }))
    for i = 1, 3 do
      local capsule = assert(new_capsule({ volumes = { "shared" } }))
      local result = assert(capsule.commands:run(
        "cd /mnt/vol-*; echo x >>log; wc -l <log"))
      assert.are.equal(tostring(i), result.stdout:match("%d+"))
      assert.is_true(capsule:destroy({ wait = true }))
    end
  end)
end)

describe("volumes in a data folder", function()
  mounted("are there for the next server", function()
    local folder = os.tmpname()
    os.remove(folder)
    local args = "--generation 0.4 --data " .. folder
    local s = server.start(args)
    local client = assert(wrenn.Client(s:options()))
    local volume = assert(client.volumes:create({ name = "v", size = "1G" }))
    local capsule = assert(wrenn.Capsule.create({ client = client, wait = true,
      volumes = { "v" } }))
    assert(capsule.files:write("/mnt/" .. volume.id .. "/f", "kept"))
    s:stop("KILL") -- with the capsule still there
    s = server.start(args)
    client = assert(wrenn.Client(s:options()))
    local found = assert(client.volumes:get("v"))
    assert.are.same({ volume.id, "detached", 1024, volume.created_at },
      { found.id, found.status, found.size_mb, found.created_at })
    capsule = assert(wrenn.Capsule.create({ client = client, wait = true,
      volumes = { "v" } }))
    assert.are.equal("kept", capsule.files:read("/mnt/" .. volume.id .. "/f"))
    s:stop()
    os.execute("rm -rf " .. folder)
  end)
end)

for _, generation in ipairs({ "0.1", "0.2", "0.2.2", "0.3" }) do
  describe("volumes of wrenn-local " .. generation, function()
    it("are not there", function()
      local s = server.start("--generation " .. generation)
      local client = assert(wrenn.Client(s:options()))
      local volumes = client.volumes
      for _, call in ipairs({
        function() return volumes:list() end,
        function() return volumes:create({ size = "1G" }) end,
        function() return volumes:get("x") end,
        function() return volumes:delete("x") end,
      }) do
        local ok, err = call()
        assert.is_nil(ok)
        assert.is_true(err:is("NotFoundError"))
        assert.are.equal(404, err.status_code)
      end
      -- A field that it does not know is none of its business.
      local capsule = assert(wrenn.Capsule.create({ client = client,
        volumes = { "x" } }))
      assert.is_true(capsule:destroy())
      s:stop()
    end)
  end)
end
