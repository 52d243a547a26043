-- OpenResty's Lua in nginx: requests wait without holding up their worker.

local core = require("wrenn.core")
local host = require("spec.support.host")
local nginx = require("spec.support.nginx")
local server = require("spec.support.server")
local wrenn = require("wrenn")

-- A look each 20 ms is what a wait costs a worker in which nothing happens.
local LOOKS = 60

describe("in OpenResty", function()
  local s, n, capsule

  setup(function()
    s = server.start()
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
    local deadline = core.now() + 10
    repeat
      n.loop:step()
      os.execute("sleep 0.1")
    until nginx.count_sockets(s.pid) <= held - 20 or core.now() > deadline
    assert.is_true(nginx.count_sockets(s.pid) <= held - 20)
  end)

  it("commands and streams do not delay timers", function()
    host.check_timers(assert, measure)
  end)

  it("waits cost little, tasks are light threads, nothing is left", function()
    host.check_rest(assert, measure(host.rest), "openresty", LOOKS)
  end)

  it("one worker serves other requests while commands run", function()
    local begin = core.now()
    local ops = {}
    for i = 1, 20 do
      ops[i] = n:begin(("/run?id=%s&cmd=sleep%%201;echo%%20%d")
        :format(capsule.id, i))
    end
    local bodies = n:wait(ops, "done")
    assert.is_true(core.now() - begin < 6) -- 20 s one after the other
    local seen = {}
    for _, body in pairs(bodies) do
      seen[#seen + 1] = tonumber(body:match("^%d+ (%d+)\n$"))
    end
    table.sort(seen)
    assert.are.equal(20, #seen)
    assert.are.equal(20, seen[20])
  end)

  it("phases that cannot wait say so, the master's too", function()
    local status, body, headers = n:get("/phases")
    assert.are.equal(200, status)
    assert.is_truthy(body:find("init ConfigurationError: .*'init' phase"))
    assert.is_truthy(headers:find("X-Filter: ConfigurationError .*phase"))
  end)

  it("a reload ends old workers and starts new ones that work", function()
    local old = n:workers()
    local op = n:begin(("/run?id=%s&cmd=sleep%%201;echo%%20old")
      :format(capsule.id))
    n.loop:step()
    os.execute("sleep 0.3")
    n:signal("HUP")
    os.execute("sleep 0.3")
    local bodies = n:wait({ op }, "done")
    assert.is_truthy(bodies[op:id()]:find("old\n", 1, true))
    local _, body = n:get(("/run?id=%s&cmd=echo%%20new"):format(capsule.id))
    local pid = tonumber(body:match("^(%d+) new\n$"))
    for _, one in ipairs(old) do
      assert.are_not.equal(one, pid)
    end
  end)

  it("it ends in good order, and has nothing to say", function()
    local log = n:stop()
    assert.is_nil(log:find("%[error%]"), log)
    assert.is_nil(log:find("%[crit%]"), log)
    assert.is_nil(log:find("%[alert%]"), log)
    n = nginx.start(s, "spec/hosts/nginx.conf")
  end)
end)
