-- The limits of wrenn-local: for waiting, reading, keeping and opening.

local disk = require("spec.support.disk")
local expect = require("spec.support.expect")
local raw = require("spec.support.raw")
local server = require("spec.support.server")
local uv = require("luv")
local wrenn = require("wrenn")

local MIB = 1024 * 1024
-- AddressSanitizer keeps what is freed, which is not what is measured here.
local LEAN = [[ASAN_OPTIONS="$ASAN_OPTIONS:quarantine_size_mb=1"]]
  .. " WRENN_LOCAL_HEAD_MS=300000" -- so much may take its time

local function rss(s)
  for line in io.lines(("/proc/%d/status"):format(s.pid)) do
    local kib = line:match("^VmRSS:%s*(%d+)")
    if kib then
      return tonumber(kib) * 1024
    end
  end
end

-- Lets luv work for so long, or until `done` says so.
local function turn(seconds, done)
  local over = false
  local timer = uv.new_timer()
  timer:start(seconds * 1000, 0, function()
    over = true
  end)
  while not over and not (done and done()) do
    uv.run("once")
  end
  timer:close()
  uv.run("nowait")
end

local conns = {}

-- A connection that has sent `bytes` and reads only when it is told to.
local function connect(s, bytes)
  local conn, ready = { sock = uv.new_tcp(), seen = "" }, false
  conn.sock:connect("127.0.0.1", tonumber(s.url:match(":(%d+)")), function()
    ready = true
  end)
  turn(60, function()
    return ready
  end)
  conn.sock:write(bytes)
  conns[#conns + 1] = conn
  function conn.read(seconds, done)
    conn.sock:read_start(function(_, data)
      conn.over = not data
      conn.seen = conn.seen .. (data or "")
    end)
    turn(seconds, function()
      return conn.over or (done and done(conn.seen))
    end)
    return conn.seen
  end
  function conn.close()
    if not conn.sock:is_closing() then
      conn.sock:close()
      uv.run("nowait")
    end
  end
  return conn
end

local function head(s, method, path, lines)
  return ("%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n"):format(method, path,
    (lines or "X-API-Key: KEY\r\n"):gsub("KEY", s.key))
end

after_each(function()
  for _, conn in ipairs(conns) do
    conn.close()
  end
  conns = {}
end)

describe("a body that nobody wants", function()
  local s

  setup(function()
    s = server.start("--isolation none", LEAN)
  end)

  teardown(function()
    s:stop()
  end)

  for name, case in pairs({
    ["without a key"] = { "POST", "/v1/capsules", "", 401 },
    ["with a wrong key"] = { "GET", "/v1/capsules", "X-API-Key: no\r\n", 401 },
    ["to nowhere"] = { "POST", "/v1/nowhere", nil, 404 },
    ["to no capsule's port"] = { "POST", "/",
      "Host: 80-cl-0000000000000000000000000.localhost\r\n", 404 },
  }) do
    it("is not waited for " .. name, function()
      local begun = uv.hrtime()
      local text = raw.exchange(s.url, function(seen)
        return seen == "" and head(s, case[1], case[2], case[3])
          :gsub("\r\n\r\n$", "\r\nContent-Length: 1000\r\n\r\nx") or nil
      end)
      assert.are.equal(tostring(case[4]), text:match("^HTTP/1.1 (%d+)"))
      assert.is_truthy(text:find("\r\nConnection: close\r\n", 1, true))
      assert.is_true(uv.hrtime() - begun < 18e9)
    end)
  end

  it("is not waited for when its port turns out to be closed", function()
    local capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
    local text = raw.exchange(s.url, function(seen)
      return seen == "" and ("POST / HTTP/1.1\r\nHost: 1-%s.localhost\r\n"
        .. "Content-Length: 5\r\n\r\n"):format(capsule.id) or nil
    end)
    assert.are.equal("502", text:match("^HTTP/1.1 (%d+)"))
  end)

  it("is not kept when it comes with GET", function()
    local before, size = rss(s), 48 * MIB
    local conn = connect(s, head(s, "GET", "/health",
      ("Content-Length: %d\r\n"):format(size)))
    conn.sock:write(("x"):rep(size - 1))
    turn(60, function()
      return conn.sock:get_write_queue_size() == 0
    end)
    turn(0.2)
    assert.is_true(rss(s) - before < size / 2)
    conn.sock:write("x")
    local text = conn.read(60, function(seen)
      return seen:find('"ok"', 1, true)
    end)
    assert.are.equal("HTTP/1.1 200 OK", text:sub(1, 15))
  end)
end)

describe("a client that does not read", function()
  local s

  setup(function()
    s = server.start("--isolation none", LEAN)
  end)

  teardown(function()
    s:stop()
  end)

  it("is not listened to for ever: pings", function()
    local capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
    local conn = connect(s, raw.upgrade(
      "/v1/capsules/" .. capsule.id .. "/exec/stream", s.key))
    local ping = raw.frame(0x89, ("p"):rep(125))
    local before, count = rss(s), math.floor(64 * MIB / #ping)
    turn(0.3)
    conn.sock:write(ping:rep(count))
    turn(2)
    assert.is_true(conn.sock:get_write_queue_size() > 16 * MIB)
    assert.is_true(rss(s) - before < 32 * MIB)
    -- And listened to again, with every answer, when it reads.
    local pongs = 0
    conn.sock:read_start(function(_, data)
      pongs = pongs + #data / (2 + 125)
    end)
    turn(360, function()
      return pongs >= count
    end)
    assert.is_true(pongs >= count)
  end)

  it("is not listened to for ever: requests", function()
    for _ = 1, 20 do -- so that their list is long
      assert(wrenn.Capsule.create(s:options()))
    end
    local count = 10000
    local before = rss(s)
    local conn = connect(s, head(s, "GET", "/v1/capsules"):rep(count))
    turn(2)
    assert.is_true(rss(s) - before < 24 * MIB)
    local answers, tail = 0, ""
    conn.sock:read_start(function(_, data)
      data = tail .. data
      answers = answers + select(2, data:gsub("HTTP/1.1 200", ""))
      tail = data:sub(-11) -- too short to be counted twice
    end)
    turn(360, function()
      return answers >= count
    end)
    assert.are.equal(count, answers)
  end)
end)

describe("a connection", function()
  local s

  setup(function()
    s = server.start("--isolation none",
      "WRENN_LOCAL_HEAD_MS=1500 WRENN_LOCAL_KEPT_MS=3000")
  end)

  teardown(function()
    s:stop()
  end)

  -- Sends `first`, then a byte now and then. Returns what came, and after how
  -- many seconds it ended.
  local function trickle(first)
    local conn, begun = connect(s, first), uv.hrtime()
    local timer = uv.new_timer()
    timer:start(50, 50, function()
      if not conn.sock:is_closing() then
        conn.sock:write("x")
      end
    end)
    local seen = conn.read(60)
    timer:close()
    return seen, (uv.hrtime() - begun) / 1e9
  end

  it("has a time for the head of a request", function()
    local seen, seconds = trickle("GET / HTTP/1.1\r\nX-Slow: ")
    assert.are.equal("", seen)
    assert.is_true(seconds > 1 and seconds < 30, seconds)
    local conn, begun = connect(s, ""), uv.hrtime()
    assert.are.equal("", conn.read(60))
    assert.is_true(uv.hrtime() - begun < 30e9)
  end)

  it("has another for the next request", function()
    local other = server.start("--isolation none",
      "WRENN_LOCAL_HEAD_MS=1500 WRENN_LOCAL_KEPT_MS=8000")
    finally(function() other:stop() end)
    local request = head(other, "GET", "/health")
    local conn, begun = connect(other, request), uv.hrtime()
    turn(1.7) -- longer than a head may take
    conn.sock:write(request)
    local seen = conn.read(60)
    local seconds = (uv.hrtime() - begun) / 1e9
    assert.are.equal(2, select(2, seen:gsub("HTTP/1.1 200 OK", "")))
    assert.is_true(conn.over)
    assert.is_true(seconds > 9.5 and seconds < 40, seconds)
  end)

  it("has none while something is under way", function()
    local capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
    local stream = assert(capsule.commands:stream("sleep 5; echo over"))
    local term = assert(capsule:pty({ cmd = "/bin/cat" }))
    assert.are.equal("done\n",
      assert(capsule.commands:run("sleep 4; echo done")).stdout)
    local parts = 0
    assert(capsule.files:upload_stream("/tmp/x", function()
      parts = parts + 1
      wrenn.task.sleep(0.6)
      return parts <= 6 and "part" or nil
    end))
    assert.are.equal(24, #assert(capsule.files:read("/tmp/x")))
    assert.are.equal("over\n", assert(stream:wait()).stdout)
    assert(term:write("still here\n"))
    local output = ""
    repeat
      local ev = assert(term:read())
      output = output .. (ev.type == "output" and ev.data or "")
    until output:find("here")
    term:close()
    assert(capsule:destroy({ wait = true }))
  end)
end)

describe("descriptors that run out", function()
  local s, capsule, streams
  local told = "too many open files: the server may have 96 (RLIMIT_NOFILE,"
    .. " ulimit -Hn)"

  before_each(function()
    s = server.start("--isolation none", [[sh -c 'ulimit -n 96; exec "$@"' sh]])
    local client = assert(wrenn.Client(s:options({ retries = 0 })))
    capsule = assert(wrenn.Capsule.create({ client = client, wait = true }))
    streams = {}
  end)

  after_each(function()
    for _, stream in ipairs(streams) do
      stream:close()
    end
    s:stop()
  end)

  -- One that has begun has all its descriptors.
  local function begin_one()
    local stream, err = capsule.commands:stream("sleep 60")
    if not stream then
      return err
    end
    streams[#streams + 1] = stream
    assert.are.equal("start", stream:read().type)
  end

  local function fill()
    for _ = 1, 96 do
      local err = begin_one()
      if err then
        return err
      end
    end
  end

  it("are told of once, before there is none left", function()
    local said = os.tmpname()
    s:stop()
    s = server.start("--isolation none 2>" .. said,
      [[sh -c 'ulimit -n 96; exec "$@"' sh]])
    capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
    local times
    repeat
      assert.is_nil(begin_one())
      times = select(2, disk.read(said):gsub("%d+ of 96 open files are in use",
        ""))
    until times > 0
    assert.is_nil(begin_one())
    assert.are.equal(1, (select(2, disk.read(said):gsub("are in use", ""))))
    os.remove(said)
  end)

  it("are told to whoever wants more, and the others go on", function()
    local err = fill()
    assert.are.same({ "HostUnavailableError", 503, told, true },
      { err.type, err.status_code, err.message, #streams > 10 })
    local files = capsule.files
    local idle = { connect(s, ""), connect(s, "") } -- the last of the rest
    turn(0.1)
    for name, call in pairs({
      run = function() return capsule.commands:run("true") end,
      pty = function() return capsule:pty({}) end,
      write = function() return files:write("/tmp/x", "y") end,
      upload = function()
        return files:upload_stream("/tmp/x", { ("y"):rep(MIB) })
      end,
      read = function() return files:read("/etc/hostname") end,
      create = function()
        return wrenn.Capsule.create({ client = capsule.client })
      end,
      port = function() -- whatever its text
        local answer = assert(capsule:request(80))
        return nil, { message = answer.status == 503 and told }
      end,
    }) do
      local value, why = call()
      assert.is_nil(value, name)
      assert.are.equal(told, why.message, name)
    end
    assert(capsule:get_info())
    for _, conn in ipairs(idle) do
      conn.close()
    end
    streams[1]:close()
    table.remove(streams, 1)
    assert(capsule.commands:kill(streams[1].pid))
    assert.are.equal("exit", streams[1]:read().type)
    assert.are.equal("y\n", expect.soon(function()
      return (capsule.commands:run("echo y"))
    end).stdout)
  end)

  it("are told to each of many connections, which all get an answer", function()
    local count, answers = 200, {}
    for _ = 1, count do
      connect(s, "")
    end
    turn(0.2)
    for i = 1, count do
      conns[i].sock:write(head(s, "GET", "/v1/capsules"))
      conns[i].sock:read_start(function(_, data)
        local status = data and data:match("^HTTP/1.1 (%d+)")
        if status then
          answers[status] = (answers[status] or 0) + 1
          if status ~= "200" then
            conns[i].close()
          end
        end
      end)
    end
    turn(60, function()
      return (answers["200"] or 0) + (answers["503"] or 0) >= count
    end)
    assert.are.equal(count, (answers["200"] or 0) + (answers["503"] or 0))
    assert.is_true(answers["200"] > 20)
  end)
end)
