-- Two keys of wrenn-local are two teams: neither sees what the other has.

local generations = require("spec.support.generations")
local server = require("spec.support.server")
local walls = require("spec.support.walls")
local wire = require("spec.support.wire")

local OTHER = "wrn_fedcba9876543210fedcba9876543210"

generations.each(function(g)
  describe("another team of wrenn-local " .. g.name, function()
    local s, mine, theirs, path, id

    setup(function()
      s = generations.start(g, "--api-key " .. OTHER)
      mine = wire.new(s)
      theirs = wire.new({ url = s.url, key = OTHER })
      path, id = mine:create()
    end)

    teardown(function()
      mine:close()
      theirs:close()
      s:stop()
    end)

    local NOT_FOUND = g.pick("not_found", "sandbox_not_found")

    it("does not find a capsule", function()
      for _, call in ipairs({ "GET ", "DELETE ", "POST /pause", "POST /resume",
        "POST /ping", "GET /metrics", "POST /exec", "GET /processes",
        "DELETE /processes/1", "POST /files/read", "POST /files/stream/read",
        "POST /files/list", "POST /files/mkdir", "POST /files/remove",
        "POST /files/write", "POST /files/stream/write" }) do
        local method, rest = call:match("(%S+) (.*)")
        local answer = theirs:request(method, path .. rest,
          method == "POST" and "{}" or nil)
        assert.are.same({ 404, NOT_FOUND }, { answer.status,
          answer.error.code }, call)
      end
      assert.are.equal("[]\n", theirs:request("GET", "/v1/capsules").body)
      assert.are.equal(1, #mine:request("GET", "/v1/capsules").json)
    end)

    it("does not find a capsule's streams", function()
      for _, rest in ipairs({ "/exec/stream", "/processes/1/stream",
        "/pty" }) do
        local frames = theirs:open(path .. rest):drain()
        assert.are.same({ "error", "sandbox not found" },
          { frames[1].type, frames[1].data })
      end
    end)

    it("has numbers of its own", function()
      local function running(w)
        return w:request("GET", "/v1/capsules/stats").json.current.running_count
      end
      assert.are.same({ 1, 0 }, { running(mine), running(theirs) })
    end)

    it("finds no snapshot, and may have one of that name", function()
      local answer = theirs:request("POST", "/v1/snapshots",
        { sandbox_id = id, name = "kept" })
      assert.are.same({ 404, NOT_FOUND },
        { answer.status, answer.error.code })
      local other, other_id = theirs:create()
      local function names(w)
        local json = w:request("GET", "/v1/snapshots?type=snapshot").json
        local list = {}
        for i, template in ipairs(json.templates or json) do
          list[i] = template.name
        end
        return table.concat(list, " ")
      end
      local function until_named(w)
        w:await(function()
          return names(w) == "kept"
        end)
      end
      mine:sh(path, "echo mine > /root/whose")
      mine:request("POST", "/v1/snapshots", { sandbox_id = id, name = "kept" })
      until_named(mine)
      assert.are.equal("", names(theirs))
      assert.are.equal(404, theirs:request("POST", "/v1/capsules",
        { template = "kept" }).status)
      assert.are.equal(404,
        theirs:request("DELETE", "/v1/snapshots/kept").status)
      theirs:sh(other, "echo theirs > /root/whose")
      theirs:request("POST", "/v1/snapshots",
        { sandbox_id = other_id, name = "kept" })
      until_named(theirs)
      local made = theirs:create({ template = "kept" })
      assert.are.equal("theirs\n", theirs:sh(made, "cat /root/whose").stdout)
      assert.are.equal(204,
        theirs:request("DELETE", "/v1/snapshots/kept").status)
      assert.are.equal("kept", names(mine))
    end)

    if g.labels then
      it("finds no volume, and may have one of that name", function()
        local volume = mine:request("POST", "/v1/volumes",
          { name = "vl-a", size_mb = 100 }).json
        for _, ref in ipairs({ volume.id, "vl-a", "a" }) do
          for _, method in ipairs({ "GET", "DELETE" }) do
            assert.are.equal(404,
              theirs:request(method, "/v1/volumes/" .. ref).status)
          end
        end
        assert.are.equal("[]\n", theirs:request("GET", "/v1/volumes").body)
        local other = theirs:request("POST", "/v1/volumes",
          { name = "vl-a", size_mb = 100 })
        assert.are.equal(201, other.status)
        assert.are_not.equal(volume.team_id, other.json.team_id)
        assert.are.equal(204, mine:request("DELETE", "/v1/volumes/a").status)
        assert.are.equal(204, theirs:request("DELETE", "/v1/volumes/a").status)
      end)

      -- Without walls there is no place to put one up.
      walls.only(it, pending)("mounts no volume", function()
        local volume = mine:request("POST", "/v1/volumes",
          { name = "vl-b", size_mb = 100 }).json
        for _, ref in ipairs({ volume.id, "vl-b", "b" }) do
          assert.are.equal(404, theirs:request("POST", "/v1/capsules",
            { volume_ids = { ref } }).status)
        end
      end)
    end

    if not g.waits then
      it("hears of no events", function()
        local wrenn = require("wrenn")
        local client = assert(wrenn.Client({ base_url = s.url,
          api_key = OTHER }))
        local stream = assert(client.events:stream())
        mine:request("POST", path .. "/pause")
        mine:until_status(id, "paused")
        mine:request("POST", path .. "/resume")
        mine:until_status(id, "running")
        local _, own = theirs:create()
        assert.are.equal(own, assert(stream:read()).resource.id)
        stream:close()
      end)
    end

    it("reaches a capsule's ports: they ask for no key", function()
      local answer = theirs:request("GET", "/", nil, { key = OTHER,
        headers = { "Host: 9-" .. id .. ".localhost" } })
      -- In 0.1 the snapshot has paused it.
      assert.are.equal(g.waits and 409 or 502, answer.status)
    end)
  end)
end)

describe("the keys of wrenn-local", function()
  it("may come from a file, one a line", function()
    local name = os.tmpname()
    local file = assert(io.open(name, "w"))
    file:write(OTHER, "\n\n", "wrn_third\n")
    file:close()
    local s = server.start("--api-key-file " .. name)
    for _, key in ipairs({ s.key, OTHER, "wrn_third" }) do
      local w = wire.new({ url = s.url, key = key })
      assert.are.equal(200, w:request("GET", "/v1/capsules").status)
      w:close()
    end
    os.remove(name)
    s:stop()
  end)

  it("are refused when one is given twice, or none is in the file", function()
    assert.has_error(function()
      server.start("--api-key wrn_0123456789abcdef0123456789abcdef 2>&1")
    end, "wrenn-local did not start: wrenn-local: an API key is given twice")
    assert.has_error(function()
      server.start("--api-key-file /dev/null 2>&1")
    end, "wrenn-local did not start: wrenn-local: --api-key-file: it holds no"
      .. " API key")
  end)
end)
