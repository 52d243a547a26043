-- Features of the Python SDK that no other spec covers; see docs/python.md.

local peer = require("spec.support.peer")
local server = require("spec.support.server")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule

local running = { 200, '{"id":"cl-1","status":"running"}' }

local function requests(p)
  local list = {}
  for i, text in ipairs(p:received()) do
    list[i] = text:match("^(%S+ %S+) HTTP") or text
  end
  return list
end

describe("the low-level client", function()
  local p, client

  after_each(function()
    p:stop()
  end)

  local function start(...)
    p = peer.answering(...)
    client = assert(wrenn.Client(p:options()))
    return client.capsules
  end

  it("creates a capsule with what is given, or with nothing", function()
    local capsules = start({ 202, '{"id":"sb-1","status":"starting"}' })
    local info = assert(capsules:create({ template = "t", vcpus = 2,
      memory_mb = 1024, timeout = 90 }))
    assert.are.same({ id = "sb-1", status = "starting" }, info)
    assert(capsules:create())
    local sent = p:received()
    assert.are.same({ template = "t", vcpus = 2, memory_mb = 1024,
      timeout_sec = 90 },
      require("cjson").decode(sent[1]:match("\r\n\r\n(.*)$")))
    assert.are.equal("{}", sent[2]:match("\r\n\r\n(.*)$"))
  end)

  it("lists, gets, pauses, resumes, pings and destroys", function()
    local capsules = start({ 200, "[" .. running[2] .. "]" }, running,
      { 202, '{"id":"cl-1","status":"pausing"}' },
      { 202, '{"id":"cl-1","status":"resuming"}' }, { 204 }, { 202, "" })
    assert.are.same({ { id = "cl-1", status = "running" } },
      (capsules:list()))
    assert.are.equal("running", capsules:get("cl-1").status)
    assert.are.equal("pausing", capsules:pause("cl-1").status)
    assert.are.equal("resuming", capsules:resume("cl-1").status)
    assert.is_true(capsules:ping("cl-1"))
    assert.is_true(capsules:destroy("cl-1"))
    assert.are.same({ "GET /v1/capsules", "GET /v1/capsules/cl-1",
      "POST /v1/capsules/cl-1/pause", "POST /v1/capsules/cl-1/resume",
      "POST /v1/capsules/cl-1/ping", "DELETE /v1/capsules/cl-1" },
      requests(p))
  end)

  it("is closed by leaving its scope", function()
    start(running)
    wrenn.with(client, function(c)
      assert(c.capsules:get("cl-1"))
    end)
    local info, err = client.capsules:get("cl-1")
    assert.is_nil(info)
    assert.is_true(err:is("ConnectionError"))
    assert.are.equal(1, #p:received())
  end)

  it("gives up after its own time-out", function()
    p = peer.start("c:request() c:sleep(9)")
    client = assert(wrenn.Client(p:options({ timeout = 0.2, retries = 0 })))
    local info, err = client.capsules:get("cl-1")
    assert.is_nil(info)
    assert.is_true(err:is("TimeoutError"))
  end)

  it("names the capsules that a host still has", function()
    for _, name in ipairs({ "sandbox_ids", "capsule_ids" }) do
      local capsules = start({ 409, ('{"error":{"code":"host_has_sandboxes",'
        .. '"message":"m","%s":["cl-1","cl-2"]}}'):format(name) })
      local info, err = capsules:get("cl-1")
      assert.is_nil(info)
      assert.are.equal("HostHasCapsulesError", err.type)
      assert.are.same({ "cl-1", "cl-2" }, err.capsule_ids)
      p:stop()
    end
    start(running)
  end)
end)

describe("the library", function()
  it("tells its version", function()
    assert.is_truthy(wrenn._VERSION:find("^%d+%.%d+%.%d+$"))
  end)
end)

describe("a capsule that is only known by its id", function()
  local p

  after_each(function()
    p:stop()
  end)

  it("is asked about, pinged, paused, resumed and waited for", function()
    p = peer.answering(running, running, { 204 },
      { 202, '{"id":"cl-1","status":"pausing"}' },
      { 200, '{"id":"cl-1","status":"paused"}' },
      { 202, '{"id":"cl-1","status":"resuming"}' }, running, running)
    local opts = p:options()
    assert.are.equal("running", Capsule.get_info("cl-1", opts).status)
    assert.is_true(Capsule.is_running("cl-1", opts))
    assert.is_true(Capsule.ping("cl-1", opts))
    local waiting = p:options({ wait = true })
    assert.are.equal("paused", Capsule.pause("cl-1", waiting).status)
    assert.are.equal("running", Capsule.resume("cl-1", waiting).status)
    assert.are.equal("running", Capsule.wait_ready("cl-1", opts).status)
    assert.are.same({ "GET /v1/capsules/cl-1", "GET /v1/capsules/cl-1",
      "POST /v1/capsules/cl-1/ping", "POST /v1/capsules/cl-1/pause",
      "GET /v1/capsules/cl-1", "POST /v1/capsules/cl-1/resume",
      "GET /v1/capsules/cl-1", "GET /v1/capsules/cl-1" }, requests(p))
  end)

  it("is resumed by connect when it is paused", function()
    p = peer.answering({ 200, '{"id":"cl-1","status":"paused"}' },
      { 202, '{"id":"cl-1","status":"resuming"}' }, running)
    local capsule = p:capsule()
    assert.are.same({ "cl-1", "running" }, { capsule.id, capsule.info.status })
    assert.are.same({ "GET /v1/capsules/cl-1",
      "POST /v1/capsules/cl-1/resume", "GET /v1/capsules/cl-1" }, requests(p))
  end)
end)

describe("what a Python program passes along", function()
  local p

  after_each(function()
    p:stop()
  end)

  local function capsule_of(...)
    p = peer.answering(running, ...)
    return p:capsule()
  end

  local function body(number)
    return require("cjson").decode(p:received()[number]
      :match("\r\n\r\n(.*)$"))
  end

  it("may be a limit of 0, which is the server's", function()
    local capsule = capsule_of({ 200, '{"exit_code":0,"pid":7}' })
    local opts = { timeout = 0 }
    assert(capsule.commands:run("x", opts))
    assert.is_nil(body(2).timeout_sec)
    assert.are.same({ timeout = 0 }, opts)
    local handle =
      assert(capsule.commands:run("x", { timeout = 0, background = true }))
    assert.is_nil(handle.stop_timer)
  end)

  it("may be an empty author, which is git's own", function()
    local capsule = capsule_of({ 200, '{"exit_code":0}' })
    assert(capsule.git:commit("m", { author_name = "", author_email = "" }))
    local sent = p:received()[2]
    assert.is_nil(sent:find("user.name", 1, true))
    assert.is_nil(sent:find("user.email", 1, true))
  end)

  it("is told that a file is no directory that could be made", function()
    for _, text in ipairs({
      "invalid_argument: path already exists but it is not a directory: /x/f",
      "path exists but is not a directory: /x/f",
    }) do
      local capsule = capsule_of({ 400, '{"error":{"code":"invalid_request",'
        .. '"message":"' .. text .. '"}}' },
        { 200, '{"entries":[{"name":"f","path":"/x/f","type":"file"}]}' })
      local entry, err = capsule.files:make_dir("/x/f")
      assert.is_nil(entry)
      assert.are.equal(text, err.message)
      p:stop()
    end
  end)
end)

describe("a command of wrenn-local", function()
  it("gets several variables at once", function()
    local s = server.start()
    local capsule = assert(Capsule.create(s:options({ wait = true })))
    local result = assert(capsule.commands:run("echo $A-$B-$C",
      { envs = { A = "1", B = "2", C = "3" } }))
    assert.are.equal("1-2-3\n", result.stdout)
    s:stop()
  end)
end)

describe("a terminal's pong", function()
  local p

  after_each(function()
    p:stop()
  end)

  local function events_of(script)
    p = peer.sockets(script)
    local term = assert(p:capsule():pty())
    local names = {}
    for event in term do
      names[#names + 1] = event.type
    end
    return names, term
  end

  it("is not sent without a ping", function()
    local names = events_of([[
      c:text('{"type":"output","data":""}')
      c:text('{"type":"exit","exit_code":0}')
      repeat local opcode = c:read_frame() until not opcode or opcode == 8
    ]])
    assert.are.same({ "output", "exit" }, names)
    for _, text in ipairs(p:received()) do
      assert.is_nil(text:find("pong", 1, true))
    end
  end)

  it("may find the connection gone", function()
    local names, term = events_of([[ c:text('{"type":"ping"}') c:close() ]])
    assert.are.same({ "ping" }, names)
    assert.is_true(term.err:is("ConnectionError"))
  end)
end)
