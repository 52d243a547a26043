-- Any Lua: nginx has OpenResty's LuaJIT inside. Requests use the library without
-- blocking their worker.
-- Takes long: begins first.
-- Not sanitized: the clients are not.

local core = require("wrenn.core")
local expect = require("spec.support.expect")
local figures = require("spec.hosts.figures")
local host = require("spec.support.host")
local nginx = require("spec.support.nginx")
local server = require("spec.support.server")
local wrenn = require("wrenn")

-- A second, while nothing happens: looks for killed requests, and the host's own.
local WAKEUPS = 8
-- nginx keeps the light threads of tasks that have ended while a request lasts.
local TASKS_KIB = 400

describe("in OpenResty", function()
  local s, n, capsule

  setup(function()
    s = server.start("", "WRENN_LOCAL_PTY_PING_MS=200")
    n = nginx.start(s, "spec/hosts/nginx.conf")
    capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
  end)

  teardown(function()
    n:stop()
    s:stop()
  end)

  local function measure(parts)
    local _, body = n:get("/measure?parts=" .. parts:gsub(" ", "%%20"))
    return host.parse(body)
  end

  it("what a killed request waited for is let go of", function()
    assert(capsule.commands:run("sleep 300",
      { background = true, tag = "held" }))
    local ops = {}
    for i = 1, 20 do
      ops[i] = n:begin("/held?id=" .. capsule.id)
      n:wait({ ops[i] }, "chunk")
    end
    local held = nginx.count_sockets(s.pid)
    assert.is_true(held >= 20)
    for i = 1, 20 do
      ops[i]:cancel()
    end
    n.loop:step()
    expect.soon(function()
      return nginx.count_sockets(s.pid) <= held - 20
    end)
  end)

  -- That of this spec alone, and none of a request's.
  local function only_one_is_left()
    expect.soon(function()
      return #assert(wrenn.Capsule.list(s:options())) == 1
    end)
  end

  -- One after the other, each broken off later than the one before.
  local function kill_requests(path, count, step)
    for i = 1, count do
      local op = n:begin(path)
      n:wait({ op }, "chunk")
      n.loop:wait(i * step)
      op:cancel()
      n.loop:step()
    end
  end

  it("what a killed request held goes with it", function()
    kill_requests("/kept", 4, 0.01)
    kill_requests("/asleep", 4, 0.01)
    only_one_is_left()
  end)

  it("a capsule that a killed request was making is not left", function()
    kill_requests("/made", 20, 0.003)
    for _ = 1, 6 do -- and it stays so
      only_one_is_left()
    end
  end)

  it("what a request left in the middle is tidied up in time", function()
    local _, body = n:get("/left")
    assert.is_truthy(body:find("^cl%-%w+\n$"), body)
    only_one_is_left()
  end)

  it("a killed thread lets its request go on, and nothing is left", function()
    local _, body = n:get("/ended")
    assert.are.equal("went on", body)
    only_one_is_left()
  end)

  it("a command ends with its thread", function()
    host.check_killed(assert, measure("killed"))
  end)

  it("an answer is handed on at once", function()
    local most = 9999 -- of 20 ms between two looks
    local echo_us, body = figures.least(3, most, function()
      local _, text = n:get("/echo")
      return host.parse(text).echo_us, text
    end)
    assert.is_true(echo_us <= most, body)
  end)

  it("commands and streams do not delay timers", function()
    host.check_timers(assert, measure)
  end)

  it("waits cost nothing, tasks are light threads, nothing is left", function()
    host.check_rest(assert, measure(host.rest), "openresty", WAKEUPS,
      TASKS_KIB)
  end)

  it("a consumer may be slower than its producer", function()
    host.check_held(assert, measure("held"), WAKEUPS)
  end)

  it("loops are left, callbacks raise, waits are cancelled, tasks are many",
    function()
      host.check_edges(assert, measure("edges"))
    end)

  it("without a relay it looks around, every 20 ms", function()
    n:stop()
    n = nginx.start(s, "spec/hosts/nginx.conf", "RELAY=no")
    host.check_timers(assert, measure)
    host.check_rest(assert, measure(host.rest), "openresty", 70, TASKS_KIB)
    n:stop()
    n = nginx.start(s, "spec/hosts/nginx.conf")
  end)

  it("one worker serves other requests while commands run", function()
    local begin = core.now()
    local ops = {}
    for i = 1, 20 do
      ops[i] = n:begin(("/run?id=%s&cmd=sleep%%203;echo%%20%d")
        :format(capsule.id, i))
    end
    local bodies = n:wait(ops, "done")
    assert.is_true(core.now() - begin < 45) -- 60 s one after the other
    local seen = {}
    for _, body in pairs(bodies) do
      seen[#seen + 1] = tonumber(body:match("^%d+ (%d+)\n$"))
    end
    table.sort(seen)
    assert.are.equal(20, #seen)
    assert.are.equal(20, seen[20])
  end)

  it("phases before the answer and timers may wait", function()
    local _, body = n:get("/early?id=" .. capsule.id)
    assert.are.equal("rewrite/access/timer", body)
  end)

  it("phases that cannot wait say so, the master's too", function()
    local status, body, headers = n:get("/phases")
    assert.are.equal(200, status)
    assert.is_truthy(body:find("init ConfigurationError: .*'init' phase"))
    assert.is_truthy(headers:find("X-Filter: ConfigurationError .*phase"))
  end)

  it("a reload ends old workers and starts new ones that work", function()
    local old = n:workers()
    local op = n:begin(("/run?id=%s&cmd=%s"):format(capsule.id, ("touch up;"
      .. " until [ -e go ]; do sleep 0.05; done; echo old")
      :gsub("%W", function(char)
        return ("%%%02X"):format(char:byte())
      end)))
    n.loop:step()
    expect.soon(function()
      n.loop:wait(0)
      return capsule.files:exists("up")
    end)
    n:signal("HUP")
    expect.soon(function() -- one of the new ones is there
      for _, pid in ipairs(n:workers()) do
        if pid ~= old[1] and pid ~= old[2] then
          return true
        end
      end
    end)
    assert(capsule.files:write("go", ""))
    local bodies = n:wait({ op }, "done")
    assert.is_truthy(bodies[op:id()]:find("old\n", 1, true))
    expect.soon(function()
      local _, body = n:get(("/run?id=%s&cmd=echo%%20new"):format(capsule.id))
      local pid = assert(tonumber(body:match("^(%d+) new\n$")))
      for _, one in ipairs(old) do
        if one == pid then
          return false
        end
      end
      return true
    end)
  end)

  it("it ends in good order, and has nothing to say", function()
    local log = n:stop()
    assert.is_nil(log:find("%[error%]"), log)
    assert.is_nil(log:find("%[crit%]"), log)
    assert.is_nil(log:find("%[alert%]"), log)
    n = nginx.start(s, "spec/hosts/nginx.conf")
  end)
end)
