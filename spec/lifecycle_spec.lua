-- Capsules from creation to destruction, with scripted peers and with
-- wrenn-local.

local compat = require("spec.support.compat")
local core = require("wrenn.core")
local expect = require("spec.support.expect")
local generations = require("spec.support.generations")
local peer = require("spec.support.peer")
local server = require("spec.support.server")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule

local function state(status)
  return { 200, ('{"id":"cl-1","status":"%s"}'):format(status) }
end

describe("waiting for a status", function()
  local scheduler = require("wrenn.task.scheduler")
  local wait = require("wrenn.client.status")
  local now, sleep = scheduler.now, scheduler.sleep

  after_each(function()
    scheduler.now, scheduler.sleep = now, sleep
  end)

  -- The pauses between the polls for a status that never comes, on a clock of
  -- its own.
  local function pauses(goal, limit)
    local list, time = {}, 0
    function scheduler.now()
      return time
    end
    function scheduler.sleep(seconds)
      list[#list + 1], time = seconds, time + seconds
      return true
    end
    local info, err = wait.for_status({ capsules = { get = function()
      return { id = "cl-1", status = "starting" }
    end } }, "cl-1", goal, limit)
    assert.is_nil(info)
    assert.is_true(err:is("TimeoutError"))
    return list, time
  end

  it("takes 30 s when nothing else is said", function()
    local _, time = pauses("ready")
    assert.is_true(math.abs(time - 30) < 0.001)
    _, time = pauses("ready", 7)
    assert.is_true(math.abs(time - 7) < 0.001)
  end)

  it("asks often at first, then every 0.5 s, or 2 s for a pause", function()
    for goal, later in pairs({ ready = 0.5, resume = 0.5, destroy = 0.5,
      snapshot = 0.5, pause = 2 })
    do
      local list = pauses(goal)
      assert.are.same({ 0.02, 0.05, 0.1, 0.2, later, later },
        { list[1], list[2], list[3], list[4], list[5], list[6] })
    end
  end)
end)

describe("a capsule of a scripted server", function()
  local p

  after_each(function()
    p:stop()
  end)

  local function requests()
    local list = {}
    for _, text in ipairs(p:received()) do
      list[#list + 1] = text:match("^%S+ %S+")
    end
    return list
  end

  it("is created from a 202, with the server's values", function()
    p = peer.answering({ 202, '{"id":"sb-1","status":"starting",'
      .. '"template":"base-python","vcpus":2,"memory_mb":1024}' })
    local capsule = assert(Capsule.create(p:options()))
    assert.are.equal("sb-1", capsule.id)
    assert.are.same({ "starting", "base-python", 2, 1024 }, {
      capsule.info.status, capsule.info.template, capsule.info.vcpus,
      capsule.info.memory_mb })
    assert.is_true(compat.is_integer(capsule.info.vcpus))
  end)

  it("is asked for with {} when nothing is set", function()
    p = peer.answering({ 202, '{"id":"sb-1","status":"starting"}' })
    assert(Capsule(p:options()))
    assert.is_truthy(p:received()[1]:find("\r\n\r\n{}$"))
  end)

  it("is asked for with what is set", function()
    p = peer.answering({ 202, '{"id":"sb-1","status":"starting"}' })
    assert(Capsule.create(p:options({ template = "t", vcpus = 2,
      memory_mb = 512, timeout = 90.5, metadata = { a = "b" } })))
    local body = p:received()[1]:match("\r\n\r\n(.*)$")
    assert.are.same({ template = "t", vcpus = 2, memory_mb = 512,
      timeout_sec = 91, metadata = { a = "b" } }, require("cjson").decode(body))
  end)

  it("without an id is a protocol error", function()
    p = peer.answering({ 202, "{}" })
    local capsule, err = Capsule.create(p:options())
    assert.is_nil(capsule)
    assert.is_true(err:is("ProtocolError"))
    assert.are.equal("POST /v1/capsules: 'id' is missing", err.message)
  end)

  it("is waited for over several polls", function()
    p = peer.answering({ 202, '{"id":"cl-1","status":"starting"}' },
      state("starting"), state("starting"), state("running"))
    local capsule = assert(Capsule.create(p:options({ wait = true })))
    assert.are.equal("running", capsule.info.status)
    assert.are.equal(4, #p:received())
  end)

  for _, status in ipairs({ "error", "stopped", "missing" }) do
    it("that becomes " .. status .. " fails the wait at once", function()
      p = peer.answering({ 202, '{"id":"cl-1","status":"starting"}' },
        state(status), { 202, "" })
      local capsule, err = Capsule.create(p:options({ wait = true }))
      assert.is_nil(capsule)
      assert.is_true(err:is("CapsuleStateError"))
      assert.are.equal(status, err.status)
      assert.are.equal("DELETE /v1/capsules/cl-1", requests()[3])
    end)
  end

  it("that never starts times out, and is destroyed again", function()
    p = peer.answering({ 202, '{"id":"cl-1","status":"starting"}' },
      state("starting"))
    local begin = core.now()
    local capsule, err =
      Capsule.create(p:options({ wait = true, wait_timeout = 0.3 }))
    assert.is_nil(capsule)
    assert.is_true(err:is("TimeoutError"))
    assert.is_true(core.now() - begin < 15) -- of 30 without it
    assert.is_truthy(err.message:find("starting", 1, true))
    local list = requests()
    assert.are.equal("DELETE /v1/capsules/cl-1", list[#list])
  end)

  it("whose creation is cancelled is destroyed again", function()
    p = peer.answering({ 202, '{"id":"cl-1","status":"starting"}' },
      state("starting"))
    wrenn.task.run(function()
      local creating = wrenn.task.spawn(Capsule.create,
        p:options({ wait = true }))
      expect.soon(function()
        return #p:received() > 1
      end)
      creating:cancel()
      local capsule, err = creating:wait()
      assert.is_nil(capsule)
      assert.is_true(err:is("CancelledError"))
    end)
    local list = requests()
    assert.are.equal("DELETE /v1/capsules/cl-1", list[#list])
  end)

  it("is connected to with one request when it runs", function()
    p = peer.answering(state("running"))
    assert(Capsule.connect("cl-1", p:options()))
    assert.are.same({ "GET /v1/capsules/cl-1" }, requests())
  end)

  -- As a 0.1 tells of a capsule.
  local function early(status)
    return { 200, ('{"id":"cl-1","status":"%s","host_ip":"10.0.0.1"}')
      :format(status) }
  end

  -- What a host answers for a capsule that it has paused.
  local GONE = { 404, '{"error":{"code":"not_found",'
    .. '"message":"not_found: sandbox not found: cl-1"}}' }
  local GONE_TOO = { 502, '{"error":{"code":"agent_error",'
    .. '"message":"internal: sandbox not found: cl-1"}}' }
  local NOT_RUNNING = { 409, '{"error":{"code":"invalid_state",'
    .. '"message":"sandbox is not running (status: paused)"}}' }
  local RAN = { 200, '{"exit_code":0,"stdout":"x"}' }

  it("paused behind its back is found out and resumed by connect", function()
    -- What resume answers is not believed either.
    p = peer.answering(early("running"), GONE, early("running"), GONE_TOO,
      early("paused"), early("running"), early("running"), { 204 })
    local capsule = assert(Capsule.connect("cl-1", p:options()))
    assert.are.equal("running", capsule.info.status)
    local get, ping = "GET /v1/capsules/cl-1", "POST /v1/capsules/cl-1/ping"
    assert.are.same({ get, ping, get, ping, get,
      "POST /v1/capsules/cl-1/resume", get, ping }, requests())
  end)

  it("is said to be running when a ping says so too", function()
    for _, case in ipairs({ { GONE, false }, { GONE_TOO, false },
      { NOT_RUNNING, false }, { { 204 }, true } })
    do
      p = peer.answering(early("running"), case[1])
      assert.are.equal(case[2], (Capsule.is_running("cl-1", p:options())))
      p:stop()
    end
    p = peer.answering(early("running"),
      { 401, '{"error":{"code":"unauthorized","message":"no"}}' })
    local running, err = Capsule.is_running("cl-1", p:options())
    assert.is_nil(running)
    assert.is_true(err:is("AuthenticationError"))
  end)

  it("is not ready before a ping says so", function()
    p = peer.answering(early("running"), GONE, early("running"), { 204 })
    assert(Capsule.wait_ready("cl-1", p:options({ timeout = 20 })))
    assert.are.equal(4, #p:received())
  end)

  it("paused behind its back is a CapsuleStateError of a call", function()
    for _, gone in ipairs({ GONE, GONE_TOO }) do
      p = peer.answering(state("running"), gone, state("running"))
      local capsule = assert(Capsule.connect("cl-1", p:options()))
      local result, err = capsule.commands:run("x")
      assert.is_nil(result)
      assert.is_true(err:is("CapsuleStateError"), tostring(err))
      assert.are.equal("running", err.status)
      assert.are.equal(gone[1], err.status_code)
      p:stop()
    end
    -- One that the API does not list any more is not found.
    p = peer.answering(state("running"), GONE)
    local capsule = assert(Capsule.connect("cl-1", p:options()))
    local result, err = capsule.commands:run("x")
    assert.is_nil(result)
    assert.is_true(err:is("NotFoundError"))
  end)

  it("comes back by itself where that was asked for, once", function()
    for i, options in ipairs({ { auto_resume = true }, { client = true } }) do
      for _, why in ipairs({ NOT_RUNNING, GONE, GONE_TOO }) do
        p = peer.answering(state("running"), why, state("running"),
          state("paused"), { 202, '{"id":"cl-1","status":"resuming"}' },
          state("running"), RAN, NOT_RUNNING, state("paused"),
          state("paused"), state("running"), NOT_RUNNING)
        local opts = p:options(options)
        if i == 2 then
          opts = { client = assert(wrenn.Client(
            p:options({ auto_resume = true }))) }
        end
        local capsule = assert(Capsule.connect("cl-1", opts))
        assert.are.equal("x", assert(capsule.commands:run("x")).stdout)
        assert.are.equal("POST /v1/capsules/cl-1/resume", requests()[5])
        local result, err = capsule.commands:run("x")
        assert.is_nil(result)
        assert.is_true(err:is("ConflictError"), tostring(err))
        assert.are.equal(12, #p:received())
        p:stop()
      end
    end
    p = peer.answering({ 200 })
  end)

  it("does not come back by itself otherwise", function()
    p = peer.answering(state("running"), NOT_RUNNING)
    local capsule = assert(Capsule.connect("cl-1", p:options()))
    local result, err = capsule.commands:run("x")
    assert.is_nil(result)
    assert.is_true(err:is("ConflictError"))
    assert.are.equal(2, #p:received())
    p:stop()
    p = peer.answering(state("running"), NOT_RUNNING, state("stopped"),
      NOT_RUNNING)
    capsule = assert(Capsule.connect("cl-1",
      p:options({ auto_resume = true })))
    result, err = capsule.commands:run("x")
    assert.is_nil(result)
    assert.is_true(err:is("ConflictError"))
    -- Nor when it is asked to pause.
    assert.is_nil((capsule:pause()))
    assert.are.same({ "GET /v1/capsules/cl-1", "POST /v1/capsules/cl-1/exec",
      "GET /v1/capsules/cl-1", "POST /v1/capsules/cl-1/pause" }, requests())
  end)

  it("comes back by itself for no other conflict", function()
    local EXISTS = { 409,
      '{"error":{"code":"conflict","message":"directory already exists: /x"}}' }
    p = peer.answering(state("running"), EXISTS, { 200, '{"entries":[]}' })
    local capsule = assert(Capsule.connect("cl-1",
      p:options({ auto_resume = true })))
    local entry, err = capsule.files:make_dir("/x")
    assert.is_nil(entry)
    assert.is_true(err:is("ConflictError"), tostring(err))
    assert.are.same({ "GET /v1/capsules/cl-1",
      "POST /v1/capsules/cl-1/files/mkdir",
      "POST /v1/capsules/cl-1/files/list" }, requests())
  end)

  -- What the capsule's status is while it comes back, and after how long.
  for name, told in pairs({
    ["that comes back slowly has the time of one call for all"] =
      { 5, 'seen == 2 and "paused" or "running"' },
    ["that does not come back is given up within the time of the call"] =
      { 0, 'seen > 1 and "pausing" or "running"' },
  }) do
    it(name, function()
      p = peer.start(([[
        while true do
          local req = c:request()
          if not req then return end
          if not req.path:find("/files/list") then
            seen = (seen or 0) + 1
            if seen == 2 then c:sleep(%g) end
            c:respond(200, '{"id":"cl-1","status":"' .. (%s) .. '"}')
          elseif listed then
            return c:sleep(60)
          else
            listed = true
            c:respond(409, '{"error":{"message":"not running"}}')
          end
        end
      ]]):format(told[1], told[2]))
      local capsule = assert(Capsule.connect("cl-1",
        { client = assert(wrenn.Client(p:options({ auto_resume = true,
          timeout = 6 }))) }))
      local begin = core.now()
      local list, err = capsule.files:list("/x")
      assert.is_nil(list)
      assert.are.equal("TimeoutError", err.type)
      local took = core.now() - begin
      assert.is_true(took >= 5.9 and took < 10, "took " .. took)
    end)
  end

  it("is waited for no longer than asked when it is connected to", function()
    p = peer.answering(state("starting"))
    local begin = core.now()
    local capsule, err =
      Capsule.connect("cl-1", p:options({ wait_timeout = 0.5 }))
    assert.is_nil(capsule)
    assert.is_true(err:is("TimeoutError"))
    assert.is_true(core.now() - begin >= 0.5)
    assert.is_true(core.now() - begin < 10)
  end)

  it("that is being paused is waited for, then resumed", function()
    p = peer.answering(state("pausing"), state("pausing"), state("paused"),
      { 202, '{"id":"cl-1","status":"resuming"}' }, state("running"))
    local capsule = assert(Capsule.connect("cl-1", p:options()))
    assert.are.equal("running", capsule.info.status)
    assert.are.equal("POST /v1/capsules/cl-1/resume", requests()[4])
  end)

  for status, body in pairs({ [204] = "", [202] = "", [200] = "{}" }) do
    it("is destroyed by a " .. status .. "", function()
      p = peer.answering({ status, body })
      assert.is_true(Capsule.destroy("cl-1", p:options()))
      assert.are.same({ "DELETE /v1/capsules/cl-1" }, requests())
    end)
  end

  it("is gone when polling gives 404", function()
    p = peer.answering({ 202, "" }, state("stopping"), { 404, '{"error":'
      .. '{"code":"not_found","message":"sandbox not found"}}' })
    assert.is_true(Capsule.destroy("cl-1", p:options({ wait = true })))
  end)

  it("whose pause is given up fails the wait", function()
    p = peer.answering({ 202, '{"id":"cl-1","status":"pausing"}' },
      state("pausing"), state("running"))
    local info, err = Capsule.pause("cl-1", p:options({ wait = true }))
    assert.is_nil(info)
    assert.is_true(err:is("CapsuleStateError"))
  end)

  it("must not answer with nothing where a capsule is expected",
    function()
      p = peer.answering({ 202, "" })
      local info, err = Capsule.pause("cl-1", p:options())
      assert.is_nil(info)
      assert.is_true(err:is("ProtocolError"))
    end)

  it("may have a status nobody has heard of", function()
    p = peer.answering(state("snapshotting"))
    local info = assert(Capsule.get_info("cl-1", p:options()))
    assert.are.equal("snapshotting", info.status)
  end)

  it("has its id escaped into the path", function()
    p = peer.answering({ 404, "" })
    Capsule.get_info("../snapshots/x?y#z", p:options())
    assert.are.same({ "GET /v1/capsules/..%2Fsnapshots%2Fx%3Fy%23z" },
      requests())
    Capsule.get_info("..", p:options())
    assert.are.equal("GET /v1/capsules/%2E%2E", requests()[2])
  end)

  it("leaving its scope is destroyed, whatever the error", function()
    p = peer.answering({ 202, '{"id":"cl-1","status":"running"}' },
      { 500, "broken" })
    local ok, err = pcall(wrenn.with, assert(Capsule.create(p:options())),
      function()
        error("the user's error", 0)
      end)
    assert.is_false(ok)
    assert.are.equal("the user's error", err)
    assert.are.equal("DELETE /v1/capsules/cl-1", requests()[2])
  end)

  it("that was connected to survives its scope", function()
    p = peer.answering(state("running"))
    wrenn.with(assert(Capsule.connect("cl-1", p:options())), function() end)
    assert.are.equal(1, #p:received())
  end)

  it("is filtered out of lists on this side", function()
    p = peer.answering({ 200, '[{"id":"a","status":"running","template":"x"},'
      .. '{"id":"b","status":"paused","template":"x","metadata":{"k":"v"}}]' })
    local function ids(opts)
      local list = {}
      for _, info in ipairs(assert(Capsule.list(p:options(opts)))) do
        list[#list + 1] = info.id
      end
      return list
    end
    assert.are.same({ "a", "b" }, ids())
    assert.are.same({ "b" }, ids({ status = "paused" }))
    assert.are.same({ "b" }, ids({ metadata = { k = "v" } }))
    assert.are.same({ "a", "b" }, ids({ template = "x" }))
    assert.are.same({}, ids({ template = "y" }))
  end)
end)

describe("a capsule of wrenn-local", function()
  local s, capsule

  setup(function()
    s = server.start()
    capsule = assert(Capsule.create(s:options({ wait = true })))
  end)

  teardown(function()
    s:stop()
  end)

  it("has an id of the documented form and is listed", function()
    assert.is_truthy(capsule.id:match("^cl%-[0-9a-z]+$"))
    assert.are.equal(28, #capsule.id)
    local second = assert(Capsule.create(s:options()))
    local list = assert(Capsule.list(s:options()))
    assert.are.same({ second.id, capsule.id }, { list[1].id, list[2].id })
    assert.is_true(second:destroy({ wait = true }))
    assert.are.equal(1, #assert(Capsule.list(s:options())))
    assert.are.equal("stopped", second:get_info().status)
  end)

  it("is not found under another id", function()
    local info, err =
      Capsule.get_info("cl-" .. ("0"):rep(25), s:options())
    assert.is_nil(info)
    assert.is_true(err:is("NotFoundError"))
    assert.are.equal(404, err.status_code)
  end)

  it("takes a ping, which counts as activity", function()
    local before = capsule:get_info().last_active_at
    wrenn.task.sleep(1.1)
    assert.is_true(capsule:ping())
    assert.is_true(capsule:get_info().last_active_at > before)
  end)

  it("is paused and resumed with all that is in it",
    function()
      assert(capsule.files:write("/tmp/kept", "kept"))
      local handle =
        assert(capsule.commands:run("sleep 300", { background = true }))
      local started = capsule:get_info().started_at
      assert.are.equal("paused", capsule:pause({ wait = true }).status)
      assert.is_false(capsule:is_running())
      local result, err = capsule.commands:run("true")
      assert.is_nil(result)
      assert.is_true(err:is("ConflictError"))
      wrenn.task.sleep(1.1)
      assert.are.equal("running", capsule:resume({ wait = true }).status)
      assert.is_true(capsule:get_info().started_at > started)
      assert.are.equal("kept", capsule.files:read("/tmp/kept"))
      local found = false
      for _, process in ipairs(assert(capsule.commands:list())) do
        found = found or process.pid == handle.pid
      end
      assert.is_true(found)
      assert.is_true(handle:kill())
    end)

  it("refuses a wrong key", function()
    local list, err = Capsule.list(s:options({ api_key = "wrn_wrong" }))
    assert.is_nil(list)
    assert.is_true(err:is("AuthenticationError"))
  end)

  it("destroys twice without complaint", function()
    local other = assert(Capsule.create(s:options()))
    assert.is_true(Capsule.destroy(other.id, s:options()))
    assert.is_true(Capsule.destroy(other.id, s:options({ wait = true })))
  end)
end)

-- What becomes of a capsule that nobody uses: cases for each generation. Each
-- waits several times until a capsule is paused, so all of them run at once.
local IDLE_SECOND_MS, IDLE_SECONDS = 10, 600
local unused = {}

-- Waits until a capsule is paused, whatever the API says of it: a list of
-- files is no activity.
local function wait_for_pause(s, capsule)
  local files =
    require("wrenn.files").new(wrenn.Client(s:options()), capsule.id)
  local deadline = core.now() + 100
  while files:list("/tmp") do
    assert(core.now() < deadline, "it is not paused")
    wrenn.task.sleep(0.1)
  end
end

local function asleep(s, opts)
  opts = s:options(opts)
  opts.wait, opts.timeout = true, IDLE_SECONDS
  local capsule = assert(Capsule.create(opts))
  wait_for_pause(s, capsule)
  return capsule
end

local function assert_not_running(err)
  assert.is_true(err:is("CapsuleStateError") or err:is("ConflictError"),
    tostring(err))
end

unused["is not running, and is connected to again"] = function(s)
  local capsule = asleep(s)
  assert.is_false(capsule:is_running())
  local again = assert(Capsule.connect(capsule.id, s:options()))
  assert.is_true(again:is_running())
  assert.are.equal("x\n", assert(again.commands:run("echo x")).stdout)
  assert(capsule:destroy())
end

unused["says its state to a call"] = function(s)
  local capsule = asleep(s)
  local result, err = capsule.commands:run("true")
  assert.is_nil(result)
  assert_not_running(err)
  assert(capsule:destroy())
end

unused["comes back by itself for a command"] = function(s)
  local capsule = asleep(s, { auto_resume = true })
  assert.are.equal("x\n", assert(capsule.commands:run("echo x")).stdout)
  assert(capsule:destroy())
end

unused["comes back by itself for a stream"] = function(s)
  local capsule = asleep(s, { auto_resume = true })
  local result = assert(assert(capsule.commands:stream("echo y")):wait())
  assert.are.equal("y\n", result.stdout)
  -- And again.
  wait_for_pause(s, capsule)
  assert.are.equal("x\n", assert(capsule.commands:run("echo x")).stdout)
  assert(capsule:destroy())
end

unused["comes back by itself for a terminal"] = function(s)
  local capsule = asleep(s, { auto_resume = true })
  local term = assert(capsule:pty({ cmd = "/bin/echo", args = { "z" } }))
  local out = ""
  for ev in term do
    out = out .. (ev.type == "output" and ev.data or "")
  end
  assert.are.equal("z\r\n", out)
  assert(capsule:destroy())
end

unused["is written to where it comes back by itself, but by no upload"] =
  function(s)
    local capsule = asleep(s, { auto_resume = true })
    assert(capsule.files:write("/tmp/x", "1"))
    assert.are.equal("1", capsule.files:read("/tmp/x"))
    wait_for_pause(s, capsule)
    local ok, err = capsule.files:upload_stream("/tmp/x", { "2" })
    assert.is_nil(ok)
    assert_not_running(err)
    assert.are.equal("1", capsule.files:read("/tmp/x"))
    assert(capsule:destroy())
  end

describe("a capsule that nobody uses", function()
  local servers, running = {}, {}

  setup(function()
    generations.each(function(g)
      local s = generations.start(g, "",
        ("WRENN_LOCAL_IDLE_SECOND_MS=%d WRENN_LOCAL_MONITOR_MS=3000")
          :format(IDLE_SECOND_MS))
      servers[#servers + 1] = s
      for name, case in pairs(unused) do
        running[g.name .. name] = wrenn.task.spawn(function()
          case(s)
          return true
        end)
      end
    end)
  end)

  teardown(function()
    for _, s in ipairs(servers) do
      s:stop()
    end
  end)

  generations.each(function(g)
    for name in pairs(unused) do
      it(name .. ", in generation " .. g.name, function()
        local ok, err = running[g.name .. name]:wait()
        assert(ok, tostring(err))
      end)
    end
  end)
end)
