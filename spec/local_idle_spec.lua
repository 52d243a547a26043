-- Capsules of wrenn-local that are idle, and what they use, on the wire.

local core = require("wrenn.core")
local generations = require("spec.support.generations")
local wire = require("spec.support.wire")

-- A status is looked at so late that much can be asked before, and what was
-- resumed is not idle at once.
local LATE = "WRENN_LOCAL_IDLE_SECOND_MS=1500 WRENN_LOCAL_MONITOR_MS=15000"

generations.each(function(g)
  describe("a capsule of wrenn-local " .. g.name, function()
    local s, w, path, id

    local function start(environment, fields)
      s = generations.start(g, nil, environment)
      w = wire.new(s)
      local made = w:request("POST", "/v1/capsules", fields or {}).json
      id = made.id
      path = "/v1/capsules/" .. id
      w:until_status(id, "running")
    end

    after_each(function()
      w:close()
      s:stop()
    end)

    if g.waits then
      it("is away before its status says that it is paused", function()
        start(LATE, { timeout_sec = 1 })
        local deadline, status = core.now() + 30, 200
        while status == 200 and core.now() < deadline do
          w:sleep(4) -- each look keeps it from being idle
          status = w:request("GET", path .. "/processes").status
        end
        local gone = "sandbox not found: " .. id
        assert.are.equal("running", w:request("GET", path).json.status)
        for _, call in ipairs({ "GET /processes", "POST /ping",
          "POST /files/list", "POST /files/read", "GET /metrics" }) do
          local answer = w:request(call:match("%S+"), path .. call:match("/.*"),
            { path = "/" })
          assert.are.same({ 404, "not_found", "not_found: " .. gone },
            { answer.status, answer.error.code, answer.error.message })
        end
        local answer = w:request("POST", path .. "/files/stream/read",
          { path = "/etc/hostname" })
        assert.are.same({ 200, "" }, { answer.status, answer.body })
        answer = w:request("POST", path .. "/exec", { cmd = "true" })
        assert.are.same({ 502, "internal: exec: " .. gone },
          { answer.status, answer.error.message })
        assert.are.equal(502, w:request("POST", path .. "/pause").status)
        for _, stream in ipairs({ "/exec/stream", "/pty" }) do
          assert.is_truthy(w:open(path .. stream):read().data:find(gone, 1,
            true))
        end
        w:until_status(id, "paused")
        assert.are.equal(409, w:request("POST", path .. "/ping").status)
        -- A machine may be away for so long that it is idle again at once.
        w:await(function()
          w:until_status(id, "paused")
          assert.are.equal(200, w:request("POST", path .. "/resume").status)
          answer = w:request("POST", path .. "/exec", { cmd = "true" })
          return answer.status == 200
        end)
        assert.are.equal(0, answer.json.exit_code)
      end)
    else
      it("that is idle is paused, and known to be", function()
        start("WRENN_LOCAL_IDLE_SECOND_MS=1", { timeout_sec = 60 })
        w:until_status(id, "paused")
        assert.are.equal(409, w:request("POST", path .. "/ping").status)
      end)
    end

    it("has a point of its metrics for each second", function()
      start()
      local deadline, points = core.now() + 30
      repeat
        w:sleep(1.7) -- so that no look is in each of them
        points = w:request("GET", path .. "/metrics").json.points
      until #points >= 3 or core.now() > deadline
      for i = 2, #points do
        assert.are.equal(points[i - 1].timestamp_unix + 1,
          points[i].timestamp_unix)
      end
      assert.is_true(#points >= 3, #points)
    end)
  end)
end)
