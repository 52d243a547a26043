-- wrenn-local's capsules in every generation, on the wire.
-- Takes long: begins first.

local cjson = require("cjson")
local core = require("wrenn.core")
local generations = require("spec.support.generations")
local wire = require("spec.support.wire")

local function names_of(object)
  local list = {}
  for name in pairs(object) do
    list[#list + 1] = name
  end
  table.sort(list)
  return list
end

generations.each(function(g)
  describe("wrenn-local " .. g.name, function()
    local s, w

    before_each(function()
      s = generations.start(g)
      w = wire.new(s)
    end)

    after_each(function()
      w:close()
      s:stop()
    end)

    local function create(fields)
      local answer = w:request("POST", "/v1/capsules", fields or {})
      assert.are.equal(g.waits and 201 or 202, answer.status, answer.body)
      return answer.json
    end

    local function change(id, what)
      return w:request("POST", "/v1/capsules/" .. id .. "/" .. what)
    end

    it("creates a capsule", function()
      local made = create()
      assert.is_truthy(made.id:match("^cl%-" .. ("[0-9a-z]"):rep(25) .. "$"))
      assert.are.equal(g.waits and "running" or "starting", made.status)
      assert.are.equal(g.waits or false, made.started_at ~= nil)
      local info = w:until_status(made.id, "running")
      for _, name in ipairs({ "created_at", "started_at", "last_active_at",
        "last_updated" }) do
        assert.is_truthy(info[name]:match(
          "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$"), name)
      end
    end)

    it("has its own defaults", function()
      for _, fields in ipairs({ {}, { vcpus = 0, memory_mb = -1,
        timeout_sec = 0, template = "" } }) do
        local made = create(fields)
        assert.are.same({ g.template, g.vcpus, g.memory_mb, 0 }, {
          made.template, made.vcpus, made.memory_mb, made.timeout_sec })
      end
    end)

    it("takes what it is asked for, and ignores the rest", function()
      local made = create({ vcpus = 3, memory_mb = 700, template = "minimal",
        disk_size_mb = 9000, nonsense = { 1, 2 } })
      assert.are.same({ 3, 700, "minimal" },
        { made.vcpus, made.memory_mb, made.template })
      local sizes = { ["0.2"] = 9000 }
      assert.are.equal(not g.waits and (sizes[g.name] or 5120) or nil,
        made.disk_size_mb)
      assert.are.equal("minimal-ubuntu",
        create({ template = "minimal-ubuntu" }).template)
    end)

    it("raises short time-outs to a minute, or keeps them", function()
      for given, kept in pairs({ [1] = 60, [59] = 60, [60] = 60, [61] = 61,
        [0] = 0 }) do
        assert.are.equal(g.waits and given or kept,
          create({ timeout_sec = given }).timeout_sec)
      end
      assert.are.equal(g.waits and -5 or 0,
        create({ timeout_sec = -5 }).timeout_sec)
    end)

    it("puts the versions of its parts into the metadata", function()
      local info = w:until_status(create().id, "running")
      local expected = { "agent_version", "envd_version", "kernel_version",
        g.waits and "firecracker_version" or "vmm_version" }
      table.sort(expected)
      assert.are.same(expected, names_of(info.metadata))
    end)

    it("lists the newest first", function()
      assert.are.equal("[]\n", w:request("GET", "/v1/capsules").body)
      local ids = { create().id, create().id, create().id }
      w:request("DELETE", "/v1/capsules/" .. ids[2])
      w:until_status(ids[2], "stopped")
      local answer = w:request("GET", "/v1/capsules")
      assert.are.equal(200, answer.status)
      assert.are.same({ 2, ids[3], ids[1] },
        { #answer.json, answer.json[1].id, answer.json[2].id })
    end)

    it("destroys, also again", function()
      local id = create().id
      for _ = 1, 2 do
        local answer = w:request("DELETE", "/v1/capsules/" .. id)
        assert.are.same({ g.waits and 204 or 202, "" },
          { answer.status, answer.body })
        local status = w:request("GET", "/v1/capsules/" .. id).json.status
        assert.is_true(status == "stopped"
          or status == "stopping" and not g.waits)
      end
      w:until_status(id, "stopped")
      assert.are.equal(g.waits and 204 or 202,
        w:request("DELETE", "/v1/capsules/" .. id).status)
      for _, what in ipairs({ "pause", "resume", "ping" }) do
        assert.are.equal(409, change(id, what).status)
      end
    end)

    it("pauses and resumes", function()
      local id = create().id
      local before = w:until_status(id, "running")
      local answer = change(id, "resume")
      if g.waits then
        assert.are.same({ 409, "invalid_state", "resource is not paused" },
          { answer.status, answer.error.code, answer.error.message })
      else
        assert.are.same({ 202, "running" },
          { answer.status, answer.json.status })
      end

      answer = change(id, "pause")
      assert.are.same(g.waits and { 200, "paused" } or { 202, "pausing" },
        { answer.status, answer.json.status })
      w:until_status(id, "paused")
      answer = change(id, "pause")
      if g.waits then
        assert.are.same({ 409, "invalid_state", "resource is not running" },
          { answer.status, answer.error.code, answer.error.message })
      else
        assert.are.same({ 202, "paused" },
          { answer.status, answer.json.status })
      end
      assert.are.equal(409, change(id, "ping").status)

      answer = change(id, "resume")
      assert.are.same(g.waits and { 200, "running" } or { 202, "resuming" },
        { answer.status, answer.json.status })
      local after = w:until_status(id, "running")
      assert.is_true(after.started_at > before.started_at)
    end)

    it("refuses changes from other states", function()
      local id = create().id
      w:until_status(id, "running")
      w:request("DELETE", "/v1/capsules/" .. id)
      w:until_status(id, "stopped")
      local pause, resume = change(id, "pause"), change(id, "resume")
      assert.are.same({ 409, g.pick("invalid_state", "sandbox_not_running") },
        { pause.status, pause.error.code })
      assert.are.same({ 409, g.pick("invalid_state", "sandbox_not_paused") },
        { resume.status, resume.error.code })
      assert.are.same(g.typed and { status = "stopped" } or nil,
        pause.error.details)
      assert.are.same(g.typed and { status = "stopped" } or nil,
        resume.error.details)
      if g.waits then
        return
      end
      -- It may be running before the second request: not every time.
      for attempt = 1, 20 do
        local answer = change(create().id, "pause")
        if answer.status == 409 then
          assert.are.same(g.typed and { status = "starting" } or nil,
            answer.error.details)
          break
        end
        assert.is_true(attempt < 20)
      end
    end)

    it("counts a ping as activity", function()
      local id = create().id
      local before = w:until_status(id, "running").last_active_at
      w:sleep(1.1)
      local answer = change(id, "ping")
      assert.are.same({ 204, "" }, { answer.status, answer.body })
      local info = w:request("GET", "/v1/capsules/" .. id).json
      assert.is_true(info.last_active_at > before)
    end)

    it("keeps files and processes over a pause", function()
      local path, id = w:create()
      w:sh(path, "echo kept > /root/file")
      local pid = w:request("POST", path .. "/exec", { cmd = "/bin/sleep",
        args = { "300" }, background = true }).json.pid
      change(id, "pause")
      w:until_status(id, "paused")
      change(id, "resume")
      w:until_status(id, "running")
      assert.are.equal("kept\n", w:sh(path, "cat /root/file").stdout)
      local listed = w:request("GET", path .. "/processes").json.processes
      assert.are.same({ 1, pid }, { #listed, listed[1].pid })
    end)

    it("that cannot start fails at once, or becomes an error", function()
      local broken = generations.start(g, "", "WRENN_AGENT=/bin/false")
      local to = wire.new(broken)
      local answer = to:request("POST", "/v1/capsules", {})
      if g.waits then
        assert.are.same({ 502, "agent_error" },
          { answer.status, answer.error.code })
      else
        assert.are.equal(202, answer.status)
        to:until_status(answer.json.id, "error")
      end
      assert.are.equal("[]\n", to:request("GET", "/v1/capsules").body)
      to:close()
      broken:stop()
    end)

    if g.waits then
      it("pauses what is idle, whatever files are read",
        function()
          local path, id = w:create({ timeout_sec = 2 })
          local deadline = core.now() + 30
          repeat
            w:sleep(0.3)
            local answer = w:request("POST", path .. "/files/list",
              { path = "/root" })
            assert.is_true(core.now() < deadline)
          until answer.status == 409
          assert.are.equal("paused", w:until_status(id, "paused").status)
          assert.are.equal(409, w:request("POST", path .. "/exec",
            { cmd = "true" }).status)
          assert.are.equal("paused",
            w:request("GET", path).json.status)
        end)

      it("does not pause what is in use", function()
        local path = w:create({ timeout_sec = 5 })
        local deadline = core.now() + 9
        repeat
          w:sleep(0.3)
          assert.are.equal(200, w:request("GET", path .. "/processes").status)
        until core.now() > deadline
        assert.are.equal("running", w:request("GET", path).json.status)
      end)

      it("answers a destroyed capsule's creation with an error", function()
        local op = w:begin("POST", "/v1/capsules", { vcpus = 1 })
        local list
        repeat
          list = w:request("GET", "/v1/capsules").json
        until list[1]
        w:request("DELETE", "/v1/capsules/" .. list[1].id)
        local answer = w:finish(op)
        -- Which of the two was first is not known.
        assert.is_true(answer.status == 201
          or answer.status == 502 and answer.error.code == "agent_error")
      end)

      it("survives clients that do not wait", function()
        for _ = 1, 5 do
          w:begin("POST", "/v1/capsules", { vcpus = 1 }):cancel()
        end
        local path, id = w:create()
        w:begin("POST", path .. "/pause", {}):cancel()
        w:request("DELETE", "/v1/capsules/" .. id)
        assert.are.equal("stopped", w:request("GET", path).json.status)
      end)
    end

    it("keeps metadata, or does not know it", function()
      local labels = { a = "b", e = "",
        ["x.y_z-1"] = "\195\164 \"<\240\159\152\128>\\" }
      local made = create({ metadata = labels })
      local info = w:until_status(made.id, "running")
      if not g.labels then
        assert.is_nil(info.metadata.a)
        return
      end
      if not info.started_at then
        assert.are.same(labels, made.metadata)
      end
      for name, value in pairs(labels) do
        assert.are.equal(value, info.metadata[name])
        assert.are.equal(value,
          w:request("GET", "/v1/capsules").json[1].metadata[name])
      end
      assert.are.equal("local", info.metadata.vmm_version)
      assert.is_nil(create({ metadata = cjson.null }).metadata)
      assert.is_nil(create({ metadata = {} }).metadata)
    end)

    if g.labels then
      it("refuses metadata that is none", function()
        local many = {}
        for i = 1, 21 do
          many["k" .. i] = "v"
        end
        for _, bad in ipairs({ many, "text", { [".a"] = "b" }, { [""] = "b" },
          { [("k"):rep(65)] = "b" }, { a = ("v"):rep(65) }, { a = 1 },
          { ["a b"] = "c" }, { kernel_version = "1" }, { vmm_version = "1" },
          { agent_version = "1" }, { envd_version = "1" } }) do
          local answer = w:request("POST", "/v1/capsules", { metadata = bad })
          assert.are.same({ 400, "validation_failed", "metadata" }, {
            answer.status, answer.error.code, answer.error.details.field })
        end
        many.k21 = nil
        many.k1 = ("\240\159\152\128"):rep(64)
        many[("k"):rep(64)], many.k2 = "v", nil
        assert.are.equal(many.k1, create({ metadata = many }).metadata.k1)
      end)

      it("finds templates of the platform by its slug", function()
        assert.are.equal("minimal",
          create({ template = "wrenn/minimal" }).template)
        for name, expected in pairs({ ["other/minimal"] = 404,
          ["wrenn/none"] = 404, ["wrenn/../x"] = 400, ["/minimal"] = 400,
          ["wrenn/"] = 400, ["a/b/c"] = 400 }) do
          assert.are.equal(expected, w:request("POST", "/v1/capsules",
            { template = name }).status, name)
        end
      end)

      it("tells the disk's usage to those who ask for one capsule", function()
        local path = w:create()
        w:sh(path, "head -c 3000000 /dev/zero > /root/f")
        w:request("GET", path .. "/metrics")
        assert.is_true(w:request("GET", path).json.disk_used_mb >= 3)
        assert.is_nil(w:request("GET", "/v1/capsules").json[1].disk_used_mb)
      end)
    else
      it("knows no slugs and no disk usage", function()
        assert.are.equal(400, w:request("POST", "/v1/capsules",
          { template = "wrenn/minimal" }).status)
        assert.is_nil(w:request("GET", (w:create())).json.disk_used_mb)
      end)
    end
  end)
end)
