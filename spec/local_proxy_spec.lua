-- wrenn-local's port proxy, with a service in a capsule.

local cjson = require("cjson")
local core = require("wrenn.core")
local expect = require("spec.support.expect")
local guest = require("spec.support.guest")
local scheduler = require("wrenn.task.scheduler")
local server = require("spec.support.server")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local walled = walls.only(describe, pending)

local Capsule = wrenn.Capsule

-- KiB of memory; AddressSanitizer holds on to what was freed.
local BOUND = (os.getenv("ASAN_OPTIONS") and 400 or 16) * 1024

-- A request to the server itself, with header lines of the test's choice.
-- Returns status, body, headers; or nil, code, message.
local function fetch(s, path, lines, options)
  options = options or {}
  options.url, options.headers = s.url .. path, lines
  options.total = options.total or 90
  local op, inbox = assert(scheduler.start("http", options))
  local event = assert(scheduler.next(inbox))
  op:cancel()
  if event.kind == "failed" then
    return nil, event[1], event[2]
  end
  return event.status, event.body, event.head
end

local function host_of(capsule, port)
  return ("Host: %s-%s.localhost:1234"):format(port, capsule.id)
end

local function rss_of(pid)
  local file = assert(io.open(("/proc/%d/status"):format(pid)))
  local text = file:read("*a")
  file:close()
  return tonumber(text:match("VmRSS:%s*(%d+)"))
end

describe("a port of a local capsule", function()
  local s, capsule, port

  setup(function()
    s = server.start()
    capsule = assert(Capsule.create(s:options({ wait = true })))
    port = guest(capsule)
  end)

  teardown(function()
    s:stop()
  end)

  -- What the service says it was asked.
  local function echo(path, lines, options)
    local status, body = fetch(s, path, lines, options)
    assert.are.equal(200, status)
    local asked = cjson.decode(body)
    asked.named = {}
    for _, header in ipairs(asked.headers) do
      asked.named[header[1]] = header[2]
    end
    return asked
  end

  it("is reached without a key, on the loopback", function()
    local asked = echo("/echo?a=b%20c&d", { host_of(capsule, port) })
    assert.are.equal("GET", asked.method)
    assert.are.equal("/echo?a=b%20c&d", asked.path)
    assert.are.equal("127.0.0.1:" .. port, asked.named.host)
    assert.are.equal("127.0.0.1", asked.named["x-forwarded-for"])
  end)

  it("is reached whatever follows in the host name", function()
    for _, rest in ipairs({ "localhost", "localhost:1", "a.b.example:65535",
      "x" }) do
      local status = fetch(s, "/echo",
        { ("Host: %d-%s.%s"):format(port, capsule.id, rest) })
      assert.are.equal(200, status)
    end
  end)

  it("leaves other host names to the API", function()
    for _, name in ipairs({ "localhost", port .. "-" .. capsule.id,
      "x" .. port .. "-" .. capsule.id .. ".localhost", "80-sb-1.localhost",
      capsule.id .. ".localhost" }) do
      local status, body = fetch(s, "/health", { "Host: " .. name })
      assert.are.equal(200, status)
      assert.is_truthy(body:find('"status":"ok"', 1, true))
    end
  end)

  it("gets every method and the body, but never the API key", function()
    for _, method in ipairs({ "POST", "PUT", "PATCH", "DELETE", "OPTIONS",
      "PROPFIND" }) do
      local asked = echo("/echo", { host_of(capsule, port),
        "X-API-Key: " .. s.key, "x-api-key: " .. s.key, "X-Other: yes",
        "Connection: X-Hop", "X-Hop: 1" }, { method = method, body = "abc" })
      assert.are.equal(method, asked.method)
      assert.are.equal("abc", asked.body)
      assert.are.equal("yes", asked.named["x-other"])
      assert.is_nil(asked.named["x-hop"])
      for _, header in ipairs(asked.headers) do
        assert.is_nil(header[2]:find(s.key, 1, true))
      end
    end
  end)

  it("answers HEAD without a body, and 204", function()
    local status, body, headers = fetch(s, "/echo", { host_of(capsule, port) },
      { method = "HEAD" })
    assert.are.equal(200, status)
    assert.are.equal("", body)
    assert.is_truthy(headers:find("Content%-Length: [1-9]"))
    status, body = fetch(s, "/empty", { host_of(capsule, port) })
    assert.are.same({ 204, "" }, { status, body })
  end)

  it("answers chunked, and to the end of the connection", function()
    local _, body = fetch(s, "/chunked", { host_of(capsule, port) })
    assert.are.equal("onetwothree", body)
    _, body = fetch(s, "/eof", { host_of(capsule, port) })
    assert.are.equal("up to the end", body)
    _, body = fetch(s, "/continued", { host_of(capsule, port) })
    assert.are.equal("done", body)
  end)

  it("sends each piece on as it comes", function()
    local op, inbox = assert(scheduler.start("http", { stream = true,
      url = s.url .. "/chunked?10", headers = { host_of(capsule, port) } }))
    assert.are.equal("headers", scheduler.next(inbox).kind)
    assert.are.equal("one", scheduler.next(inbox)[1])
    op:cancel()
  end)

  it("leads its redirects to the name that was asked", function()
    local status, _, headers = fetch(s, "/redirect", { host_of(capsule, port) })
    assert.are.equal(302, status)
    assert.are.equal("/echo?x", headers:match("Location: ([^\r\n]*)"))
  end)

  it("lets no half answer pass for a whole one", function()
    for _, path in ipairs({ "/half", "/half-chunked" }) do
      local status, code = fetch(s, path, { host_of(capsule, port) })
      assert.is_nil(status)
      assert.are.equal("broken", code)
    end
  end)

  it("says 502 when it gives no HTTP answer", function()
    for _, path in ipairs({ "/garbage", "/nothing", "/switch" }) do
      local status, body = fetch(s, path, { host_of(capsule, port) })
      assert.are.equal(502, status)
      assert.are.equal("proxy error: the service gave no HTTP answer\n", body)
    end
  end)

  it("may refuse a body that has not come in yet", function()
    local status, body = fetch(s, "/early", { host_of(capsule, port),
      "Expect:" }, { method = "POST", body = ("x"):rep(8 * 1024 * 1024) })
    assert.are.equal(413, status)
    assert.are.equal("no", body)
    assert.are.equal(200, (fetch(s, "/echo", { host_of(capsule, port) })))
  end)

  it("is 502 after three tries when nothing listens", function()
    local begin = core.now()
    local status, body, headers = fetch(s, "/", { host_of(capsule, 1) })
    assert.are.equal(502, status)
    assert.are.equal("proxy error: dial tcp 127.0.0.1:1: connect: connection"
      .. " refused\n", body)
    assert.is_truthy(headers:find("text/plain", 1, true))
    assert.is_true(core.now() - begin >= 0.29)
  end)

  it("is 400 for a port or an id that is none", function()
    for _, name in ipairs({ "0-" .. capsule.id, "70000-" .. capsule.id,
      "99999999999999999999-" .. capsule.id }) do
      local status, body = fetch(s, "/", { "Host: " .. name .. ".h" },
        { method = "POST", body = "x" })
      assert.are.same({ 400, "invalid port\n" }, { status, body })
    end
    local status, body = fetch(s, "/", { "Host: 80-cl-1.h" })
    assert.are.same({ 400, "invalid sandbox ID\n" }, { status, body })
  end)

  it("is 404 for a capsule that nobody knows", function()
    local status, body = fetch(s, "/",
      { "Host: 80-cl-0000000000000000000000000.h" })
    assert.are.same({ 404, "sandbox not found\n" }, { status, body })
  end)

  it("takes and gives any number of bytes", function()
    local sum = "72d9b3e55b3cdf1c0cc29c5d9bb7c46c"
    local body = (sum):rep(8 * 1024 * 1024 / #sum)
    local _, counted = fetch(s, "/count", { host_of(capsule, port) },
      { method = "POST", body = body })
    assert.are.equal(tostring(#body), counted:match("^%d+"))
    local _, big = fetch(s, "/big?512", { host_of(capsule, port) })
    assert.are.equal(512 * 65536, #big)
  end)

  it("takes a chunked body", function()
    local op, inbox = assert(scheduler.start("http", { method = "POST",
      upload = true, url = s.url .. "/count",
      headers = { host_of(capsule, port) } }))
    for _ = 1, 20 do
      op:send_body(("y"):rep(1000))
      assert(wrenn.task.sleep(0.002))
    end
    op:send_body("", true)
    local event
    repeat
      event = scheduler.next(inbox)
    until event.kind ~= "writable"
    assert.are.equal("20000", event.body:match("^%d+"))
  end)

  it("is not read faster than its client reads", function()
    local before = rss_of(s.pid)
    local op, inbox = assert(scheduler.start("http", { stream = true,
      url = s.url .. "/big?4096", headers = { host_of(capsule, port) } }))
    assert(scheduler.next(inbox))
    assert(wrenn.task.sleep(1)) -- 256 MiB would be through by now
    assert.is_true(rss_of(s.pid) - before < BOUND)
    local bytes = 0
    while true do
      local event = assert(scheduler.next(inbox))
      if event.kind ~= "chunk" then
        assert.are.equal("done", event.kind)
        break
      end
      bytes = bytes + #event[1]
    end
    assert.are.equal(4096 * 65536, bytes)
    op:cancel()
  end)

  it("is not sent more than it takes", function()
    local before = rss_of(s.pid)
    local status, body = fetch(s, "/sip", { host_of(capsule, port) },
      { method = "POST", body = ("z"):rep(48 * 1024 * 1024) })
    assert.are.same({ 200, tostring(48 * 1024 * 1024) }, { status, body })
    assert.is_true(rss_of(s.pid) - before < BOUND)
  end)

  it("learns that its client has hung up", function()
    local op = assert(scheduler.start("http",
      { url = s.url .. "/hang", headers = { host_of(capsule, port) } }))
    expect.soon(function()
      return capsule.files:exists("/tmp/hanging")
    end)
    op:cancel()
    expect.soon(function()
      return capsule.files:exists("/tmp/hung-up")
    end)
  end)

  it("keeps the client's connection for the next request", function()
    local pipe = assert(io.popen(("curl -s -o /dev/null -w '%%{num_connects} '"
      .. " -H '%s' %s/echo -o /dev/null %s/echo"):format(
      host_of(capsule, port), s.url, s.url)))
    assert.are.equal("1 0 ", pipe:read("*a"))
    pipe:close()
  end)

  it("carries WebSockets both ways, text and binary", function()
    local socket = assert(capsule:websocket(port, { path = "/ws?hello" }))
    assert.are.same({ "hello", false }, { socket:read() })
    assert(socket:send("text"))
    assert.are.same({ "text", false }, { socket:read() })
    local bytes = "\0\255" .. ("b"):rep(300000)
    assert(socket:send(bytes, { binary = true }))
    local data, binary = socket:read()
    assert.is_true(data == bytes)
    assert.is_true(binary)
    socket:close()
  end)

  it("tells a WebSocket's service that its client is gone", function()
    local op, inbox = assert(scheduler.start("ws", {
      url = capsule:get_url(port, { scheme = "ws" }) .. "/ws" }))
    assert.are.equal("opened", scheduler.next(inbox).kind)
    op:cancel()
    expect.soon(function()
      return capsule.files:exists("/tmp/ws-lost")
    end)
  end)

  it("answers an upgrade that the service does not want", function()
    local socket, err = capsule:websocket(port, { path = "/empty" })
    assert.is_nil(socket)
    assert.are.equal(204, err.status_code)
    socket, err = capsule:websocket(1, { path = "/" })
    assert.is_nil(socket)
    assert.are.equal(502, err.status_code)
  end)

  it("is reached on the other loopback address too", function()
    local other = guest(capsule, "::1")
    assert.are.equal(200, (fetch(s, "/echo", { host_of(capsule, other) })))
  end)

  it("serves many at the same time", function()
    wrenn.task.run(function()
      local list = {}
      for i = 1, 200 do
        list[i] = i
      end
      local done = assert(wrenn.task.map(list, function(i)
        local answer = assert(capsule:request(port,
          { path = "/echo?" .. i }))
        return cjson.decode(answer.body).path == "/echo?" .. i
      end, { concurrency = 50 }))
      for _, right in ipairs(done) do
        assert.is_true(right)
      end
    end)
  end)
end)

describe("the port of a capsule that stops", function()
  local s

  before_each(function()
    s = server.start()
  end)

  after_each(function()
    s:stop()
  end)

  it("is 409 while it is paused, and cut when it becomes so", function()
    local capsule = assert(Capsule.create(s:options({ wait = true })))
    local port = guest(capsule)
    local socket = assert(capsule:websocket(port, { path = "/ws" }))
    local op, inbox = assert(scheduler.start("http",
      { url = s.url .. "/hang", headers = { host_of(capsule, port) } }))
    expect.soon(function()
      return capsule.files:exists("/tmp/hanging")
    end)
    assert(capsule:pause({ wait = true }))
    local data, err = socket:read()
    assert.is_nil(data)
    assert.are.equal("ConnectionError", err.type)
    local event = assert(scheduler.next(inbox))
    assert.are.same({ 503, "sandbox is not available\n" },
      { event.status, event.body })
    op:cancel()
    local status, body = fetch(s, "/", { host_of(capsule, port) })
    assert.are.same({ 409, "sandbox is not running (status: paused)\n" },
      { status, body })
    assert(capsule:resume({ wait = true }))
    assert.are.equal(200, (fetch(s, "/echo", { host_of(capsule, port) })))
  end)

  it("is cut when the capsule is destroyed", function()
    local capsule = assert(Capsule.create(s:options({ wait = true })))
    local port = guest(capsule)
    local socket = assert(capsule:websocket(port, { path = "/ws" }))
    local op, inbox = assert(scheduler.start("http", { stream = true,
      url = s.url .. "/big?4096", headers = { host_of(capsule, port) } }))
    assert(scheduler.next(inbox))
    assert(capsule:destroy())
    assert.is_nil((socket:read()))
    local event
    repeat
      event = assert(scheduler.next(inbox))
    until event.kind ~= "chunk"
    assert.are.equal("failed", event.kind)
    op:cancel()
    assert.are.equal(409, (fetch(s, "/", { host_of(capsule, port) })))
  end)

  it("counts as activity", function()
    local capsule = assert(Capsule.create(s:options({ wait = true })))
    local port = guest(capsule)
    local function active()
      return assert(capsule:get_info()).last_active_at
    end
    local before = active()
    assert(wrenn.task.sleep(1.1))
    assert.are.equal(before, active())
    assert(capsule:request(port, { path = "/echo" }))
    assert.is_true(active() > before)
  end)
end)

describe("a proxy of a later generation", function()
  local s

  setup(function()
    s = server.start("--generation 0.3")
  end)

  teardown(function()
    s:stop()
  end)

  local function error_of(name)
    local status, body = fetch(s, "/", { "Host: " .. name .. ".h" })
    return { status, cjson.decode(body).error.code }
  end

  it("says what is wrong in JSON", function()
    local capsule = assert(Capsule.create(s:options({ wait = true })))
    assert.are.same({ 400, "invalid_request" }, error_of("0-" .. capsule.id))
    assert.are.same({ 400, "invalid_request" }, error_of("80-cl-1"))
    assert.are.same({ 404, "sandbox_not_found" },
      error_of("80-cl-0000000000000000000000000"))
    assert.are.same({ 502, "sandbox_unresponsive" },
      error_of("1-" .. capsule.id))
    assert(capsule:pause({ wait = true }))
    assert.are.same({ 409, "sandbox_not_running" },
      error_of("1-" .. capsule.id))
  end)
end)

walled("capsules with private networks", function()
  local s

  setup(function()
    s = server.start("--network none")
  end)

  teardown(function()
    s:stop()
  end)

  it("listen on the same port and do not see each other", function()
    local one = assert(Capsule.create(s:options({ wait = true })))
    local two = assert(Capsule.create(s:options({ wait = true })))
    guest(one, "127.0.0.1", 8000)
    assert.are.equal(502, one:request(8001).status)
    assert.are.equal(502, two:request(8000).status)
    guest(two, "127.0.0.1", 8000)
    assert.are.equal(200, one:request(8000).status)
    assert.are.equal(200, two:request(8000).status)
  end)

  it("need bubblewrap", function()
    local program = os.getenv("WRENN_LOCAL") or "build/local/wrenn-local"
    for args, text in pairs({
      ["--network none --isolation none"] = "needs bubblewrap",
      ["--network other"] = "outgoing, none or host",
    }) do
      local pipe = assert(io.popen(("%s %s 2>&1; echo $?"):format(program,
        args)))
      local said = pipe:read("*a")
      pipe:close()
      assert.is_truthy(said:find(text, 1, true), said)
      assert.are.equal("2", said:match("(%d+)%s*$"))
    end
  end)

  it("have nothing but a loopback", function()
    local one = assert(Capsule.create(s:options({ wait = true })))
    local result = assert(one.commands:run("cat /proc/net/dev"))
    local names = {}
    for name in result.stdout:gmatch("([%w@]+):") do
      names[#names + 1] = name
    end
    assert.are.same({ "lo" }, names)
  end)
end)
