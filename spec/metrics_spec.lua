-- Statistics, usage, metrics and health, with scripted peers and with
-- wrenn-local.

local peer = require("spec.support.peer")
local server = require("spec.support.server")
local http = require("wrenn.wire.http")
local wrenn = require("wrenn")

describe("numbers of a scripted server", function()
  local p, client

  after_each(function()
    p:stop()
  end)

  local function start(...)
    p = peer.answering(...)
    client = assert(wrenn.Client(p:options()))
  end

  local function targets()
    local list = {}
    for i, text in ipairs(p:received()) do
      list[i] = text:match("^(%S+ %S+)")
    end
    return list
  end

  it("are asked for with nothing that was not given", function()
    start({ 200, "{}" })
    assert(client.capsules:stats())
    assert(client.capsules:usage())
    assert(client.capsules:metrics("cl-1"))
    assert.are.same({ "GET /v1/capsules/stats", "GET /v1/capsules/usage",
      "GET /v1/capsules/cl-1/metrics" }, targets())
  end)

  it("are asked for with what was given", function()
    start({ 200, "{}" })
    assert(client.capsules:stats({ range = "6h" }))
    assert(client.capsules:usage({ from = "2026-05-01" }))
    assert(client.capsules:usage({ to = "2026-05-01" }))
    assert(client.capsules:metrics("cl-1", { range = "2h&x" }))
    assert.are.same({ "GET /v1/capsules/stats?range=6h",
      "GET /v1/capsules/usage?from=2026-05-01",
      "GET /v1/capsules/usage?to=2026-05-01",
      "GET /v1/capsules/cl-1/metrics?range=2h%26x" }, targets())
  end)

  it("come as the server tells them, whole or not", function()
    start({ 200, '{"range":"1h","current":{"running_count":2},"peaks":null}' })
    assert.are.same({ range = "1h", current = { running_count = 2 } },
      assert(client.capsules:stats()))
  end)

  it("fail with the server's errors", function()
    start({ 404, '{"error":{"code":"not_found","message":"x"}}' },
      { 401, '{"error":{"code":"unauthorized","message":"x"}}' })
    local metrics, err = client.capsules:metrics("cl-1")
    assert.is_nil(metrics)
    assert.is_true(err:is("NotFoundError"))
    local stats
    stats, err = client.capsules:stats()
    assert.is_nil(stats)
    assert.is_true(err:is("AuthenticationError"))
  end)

  it("are asked for by a capsule", function()
    start({ 200, '{"id":"cl-1","status":"running"}' },
      { 200, '{"points":[]}' })
    local capsule = assert(wrenn.Capsule.connect("cl-1",
      { client = client }))
    assert.are.same({ points = {} }, assert(capsule:metrics({ range = "1h" })))
    assert.are.equal("GET /v1/capsules/cl-1/metrics?range=1h", targets()[2])
  end)

  it("refuse misuse", function()
    start({ 200, "{}" })
    local capsules = client.capsules
    for _, case in ipairs({
      { "'range'", capsules.stats, capsules, { range = 5 } },
      { "'form'", capsules.usage, capsules, { form = "x" } },
      { "'id'", capsules.metrics, capsules },
      { "'self'", capsules.stats, nil },
    }) do
      local ok, why = pcall(case[2], case[3], case[4])
      assert.is_false(ok)
      assert.is_truthy(tostring(why):find(case[1], 1, true), why)
    end
  end)

  it("include the server's health", function()
    start({ 200, '{"status":"ok","version":"0.2.0"}' }, { 503, "" })
    assert.are.same({ status = "ok", version = "0.2.0" },
      assert(client:health()))
    assert.are.equal("GET /health", targets()[1])
    local health, err = client:health({ timeout = 5 })
    assert.is_nil(health)
    assert.are.equal(503, err.status_code)
  end)
end)

for _, generation in ipairs({ "0.1", "0.2", "0.4" }) do
  describe("numbers of wrenn-local " .. generation, function()
    local s, client, capsule

    setup(function()
      s = server.start("--generation " .. generation)
      client = assert(wrenn.Client(s:options()))
      capsule = assert(wrenn.Capsule.create({ client = client, wait = true,
        vcpus = 2, memory_mb = 300 }))
    end)

    teardown(function()
      s:stop()
    end)

    local function refusal(value, err)
      assert.is_nil(value)
      return { err.status_code, err.code }
    end

    local invalid = { 400, "invalid_request" }

    it("add the team's capsules up", function()
      local stats = assert(client.capsules:stats())
      assert.are.equal("1h", stats.range)
      assert.are.same({ running_count = 1, vcpus_reserved = 2,
        memory_mb_reserved = 300 }, stats.current)
      assert.are.same({ running_count = 1, vcpus = 2, memory_mb = 300 },
        stats.peaks)
      local series = stats.series
      assert.is_true(#series.labels > 0)
      assert.are.same({ #series.labels, #series.labels, #series.labels },
        { #series.running, #series.vcpus, #series.memory_mb })
      for _, range in ipairs({ "5m", "6h", "24h", "30d" }) do
        assert.are.equal(range,
          assert(client.capsules:stats({ range = range })).range)
      end
      for _, range in ipairs({ "10m", "2h", "12h", "x", "1hh" }) do
        assert.are.same(invalid,
          refusal(client.capsules:stats({ range = range })))
      end
    end)

    it("add up what was used day by day", function()
      local usage = assert(client.capsules:usage())
      assert.are.equal(os.date("!%Y-%m-%d"), usage.to)
      assert.are.equal(os.date("!%Y-%m-%d", os.time() - 30 * 86400),
        usage.from)
      assert.are.equal(usage.to, usage.points[1].date)
      assert.is_true(usage.points[1].cpu_minutes >= 0)
      assert.is_true(usage.points[1].ram_mb_minutes >= 0)
      assert.are.same({},
        assert(client.capsules:usage({ from = "2001-01-01",
          to = "2001-04-03" })).points)
    end)

    it("refuse days that make no sense", function()
      for _, opts in ipairs({
        { from = "2026-05-02", to = "2026-05-01" },
        { from = "2001-01-01", to = "2001-04-04" },
        { from = "2026/01/01" }, { to = "01-01-2026" },
        { from = "2026-1-1" }, { from = "2026-13-01" }, { to = "x" },
      }) do
        assert.are.same(invalid, refusal(client.capsules:usage(opts)))
      end
    end)

    it("say what a capsule uses, running or paused", function()
      assert(capsule.files:write("f", ("x"):rep(100000)))
      local metrics = assert(capsule:metrics())
      assert.are.same({ capsule.id, "10m" },
        { metrics.sandbox_id, metrics.range })
      local point = metrics.points[#metrics.points]
      assert.is_true(point.timestamp_unix >= os.time() - 60)
      assert.is_true(point.cpu_pct >= 0 and point.cpu_pct <= 100)
      assert.is_true(point.mem_bytes > 0)
      assert.is_true(point.disk_bytes >= 100000)
      for _, range in ipairs({ "5m", "1h", "2h", "6h", "12h", "24h" }) do
        assert.are.equal(range,
          assert(capsule:metrics({ range = range })).range)
      end
      assert.are.same(invalid, refusal(capsule:metrics({ range = "30d" })))
      assert(capsule:pause({ wait = true }))
      assert.is_true(#assert(capsule:metrics()).points > 0)
      assert.are.equal(0, assert(client.capsules:stats()).current.running_count)
      assert(capsule:resume({ wait = true }))
    end)

    it("are not there for a capsule that is gone", function()
      local gone = assert(wrenn.Capsule.create({ client = client,
        wait = true }))
      assert.is_true(gone:destroy({ wait = true }))
      local metrics, err = gone:metrics()
      assert.is_nil(metrics)
      assert.is_true(err:is("NotFoundError"))
      assert.are.equal("not_found", err.code)
      assert.is_truthy(err.message:find("stopped", 1, true))
    end)

    it("include the version", function()
      local health = assert(client:health())
      assert.are.equal("ok", health.status)
      assert.are.equal(generation, health.version:sub(1, #generation))
    end)

    it("do not include a description of the API", function()
      local answer, err = http.request(client,
        { method = "GET", path = "/openapi.yaml" })
      assert.is_nil(answer)
      assert.are.equal(404, err.status_code)
    end)
  end)
end
