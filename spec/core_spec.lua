-- wrenn.core: the loop's contract with a host, one terminal event for each
-- operation, back-pressure, deadlines, garbage collection. The peers are
-- scripted.

local compat = require("spec.support.compat")
local core = require("wrenn.core")
local expect = require("spec.support.expect")
local figures = require("spec.hosts.figures")
local peer = require("spec.support.peer")

local TERMINAL = { done = true, closed = true, fired = true, failed = true }

local function next_event(loop)
  local deadline = core.now() + 30
  repeat
    local event = { loop:next() }
    if event[1] then
      return event
    end
    assert(loop:wait(0.5))
  until core.now() > deadline
end

-- Collects an operation's events up to its terminal one, which is returned
-- without the id: kind, a, b, c, ... and the list of all.
local function finish(loop, op)
  local id, events = op:id(), {}
  while true do
    local event = assert(next_event(loop), "no terminal event")
    if event[1] == id then
      events[#events + 1] = event
      if TERMINAL[event[2]] then
        return { compat.unpack(event, 2) }, events
      end
    end
  end
end

local count_fds = figures.count_fds

local function rss_kib()
  return figures.status_of("VmRSS")
end

describe("the loop", function()
  local loop, server

  before_each(function()
    loop = assert(core.loop())
  end)

  after_each(function()
    loop:close()
    if server then
      server:stop()
      server = nil
    end
  end)

  it("has a pollable fd and no timeout while nothing happens", function()
    assert.is_true(loop:fd() >= 0)
    loop:step()
    assert.is_nil(loop:timeout())
    assert.is_nil((loop:next()))
  end)

  it("fires a timer once, and not early", function()
    for _ = 1, 50 do -- a clock of whole milliseconds is not always behind
      local begin = core.now()
      local op = loop:timer(0.005)
      assert.are.same({ "fired" }, (finish(loop, op)))
      assert.is_true(core.now() - begin >= 0.005)
      loop:step()
      assert.is_nil((loop:next()))
    end
  end)

  it("counts the time of a timer from its start, whatever comes between",
    function()
      assert(loop:wait(0)) -- libuv has looked at the clock
      local op, begin = assert(loop:timer(0.6)), core.now()
      while core.now() < begin + 0.5 do
        -- the loop takes no step, as in a program that computes
      end
      assert.is_true(loop:timeout() <= 0.12, loop:timeout())
      local id
      repeat
        assert(loop:wait())
        id = loop:next()
      until id
      assert.are.equal(op:id(), id)
    end)

  it("says how long a host may sleep", function()
    local op = loop:timer(20)
    loop:step()
    local timeout = loop:timeout()
    assert.is_true(timeout > 10 and timeout <= 20.001)
    op:cancel()
  end)

  it("does not run anything inside the call that starts it", function()
    server = peer.start([[ c:request() c:respond(200, "x") ]])
    local op = loop:http({ url = server.url })
    assert.is_nil((loop:next()))
    assert.are.equal(0, loop:timeout())
    assert.are.equal("done", finish(loop, op)[1])
  end)

  it("never uses an id twice", function()
    local seen = {}
    for _ = 1, 100 do
      local op = loop:timer(0)
      assert.is_nil(seen[op:id()])
      seen[op:id()] = true
      finish(loop, op)
    end
  end)

  it("refuses everything after close, and close is idempotent", function()
    local op = loop:timer(10)
    loop:close()
    loop:close()
    assert.has_error(function() loop:step() end, "the loop is closed")
    op:cancel()
    assert.are.same({ nil, "closed", "closed" }, { op:send("x") })
  end)

  it("lets a collected operation go", function()
    server = peer.start([[ c:request() c:sleep(5) ]])
    loop:http({ url = server.url })
    collectgarbage()
    collectgarbage()
    local event = next_event(loop)
    assert.are.same({ "failed", "cancelled" }, { event[2], event[3] })
  end)

  it("comes to rest when a server hangs up between requests", function()
    server = peer.start([[
      c:request()
      c:respond(200, tostring(n))
      c:sleep(0.05)
      c:close()
    ]])
    for i = 1, 2 do
      local done = finish(loop, loop:http({ url = server.url }))
      assert.are.same({ "done", tostring(i) }, { done[1], done[4] })
      local cpu, turns, deadline = os.clock(), 0, core.now() + 0.3
      while core.now() < deadline do
        assert(loop:wait(deadline - core.now()))
        assert.is_nil((loop:next()))
        turns = turns + 1
      end
      assert.is_true(turns < 20 and os.clock() - cpu < 0.1)
    end
  end)

  it("does not hand its connections to child processes", function()
    server = peer.start([[
      local req = c:request()
      if req.headers.upgrade then c:upgrade(req) else c:respond(200, "x") end
      c:read(1)
      log("end of " .. n)
    ]])
    finish(loop, loop:http({ url = server.url }))
    local ws = loop:ws({ url = server.url:gsub("^http", "ws") })
    repeat
      local event = assert(next_event(loop))
    until event[1] == ws:id() and event[2] == "opened"
    local child = io.popen("sleep 90 >/dev/null & echo $!")
    local pid = child:read("*n")
    loop:close()
    local deadline, ends = core.now() + 30, 0
    while ends < 2 and core.now() < deadline do
      ends = 0
      for _, line in ipairs(server:received()) do
        ends = ends + (line:find("^end of") and 1 or 0)
      end
    end
    os.execute(("kill %d"):format(pid))
    child:close()
    assert.are.equal(2, ends)
  end)
end)

describe("http", function()
  local loop, server

  local function serve(script)
    server = peer.start(script)
    return server.url
  end

  before_each(function()
    loop = assert(core.loop())
  end)

  after_each(function()
    loop:close()
    if server then
      server:stop()
      server = nil
    end
  end)

  it("delivers a buffered answer in one event", function()
    local url = serve([[ c:request() c:respond(201, "hello", {"X-A: b"}) ]])
    local event, events = finish(loop, loop:http({ url = url }))
    assert.are.equal(1, #events)
    assert.are.equal(201, event[2])
    assert.is_truthy(event[3]:find("X-A: b\r\n", 1, true))
    assert.are.equal("hello", event[4])
  end)

  it("sends method, headers and a body given in parts", function()
    local url = serve([[ c:request() c:respond(204) ]])
    finish(loop, loop:http({
      method = "PUT", url = url .. "/p?q=1", body = { "ab", "", "cd" },
      headers = { "X-API-Key: k" },
    }))
    local request = server:received()[1]
    assert.is_truthy(request:find("^PUT /p%?q=1 HTTP/1.1\r\n"))
    assert.is_truthy(request:find("X-API-Key: k\r\n", 1, true))
    assert.is_truthy(request:find("Content-Length: 4\r\n", 1, true))
    assert.is_nil(request:find("Expect", 1, true))
    assert.is_truthy(request:find("\r\n\r\nabcd$"))
  end)

  it("keeps a connection and uses it again", function()
    local url = serve([[
      while true do
        local req = c:request()
        if not req then return end
        c:respond(200, tostring(n))
      end
    ]])
    for _ = 1, 5 do
      assert.are.equal("1", finish(loop, loop:http({ url = url }))[4])
    end
  end)

  it("never sends a request with a body twice", function()
    local url = serve([[
      while true do
        local req = c:request()
        if not req then return end
        log("seen " .. req.method)
        if req.path == "/die" then return c:close() end
        c:respond(200, "x")
      end
    ]])
    finish(loop, loop:http({ url = url }))
    local event = finish(loop, loop:http({
      method = "POST", url = url .. "/die", body = "once",
    }))
    assert.are.same({ "failed", "connect" }, { event[1], event[2] })
    local posts = 0
    for _, line in ipairs(server:received()) do
      posts = posts + (line == "seen POST" and 1 or 0)
    end
    assert.are.equal(1, posts)
  end)

  it("does not follow redirects", function()
    local url = serve([[ c:request() c:respond(302, "", {"Location: /x"}) ]])
    assert.are.equal(302, finish(loop, loop:http({ url = url }))[2])
    assert.are.equal(1, #server:received())
  end)

  it("streams an answer, and buffers a refused one", function()
    local url = serve([[
      while true do
        local req = c:request()
        if not req then return end
        if req.path == "/no" then c:respond(404, "missing")
        else c:respond(200, "abc") end
      end
    ]])
    local _, events = finish(loop, loop:http({ url = url, stream = true }))
    assert.are.same({ "headers", "chunk", "done" },
      { events[1][2], events[2][2], events[3][2] })
    assert.are.equal("abc", events[2][3])
    local event, refused =
      finish(loop, loop:http({ url = url .. "/no", stream = true }))
    assert.are.equal(1, #refused)
    assert.are.same({ "done", 404, "missing" },
      { event[1], event[2], event[4] })
  end)

  it("uploads in pieces, chunked when the size is unknown", function()
    local url = serve([[ c:request() c:respond(200, "") ]])
    local op = loop:http({ method = "POST", url = url, upload = true })
    assert.is_true((op:send_body("one ")))
    assert(loop:wait(0.05))
    assert.is_true((op:send_body("two", true)))
    assert.are.equal("done", finish(loop, op)[1])
    local request = server:received()[1]
    assert.is_truthy(request:find("Transfer-Encoding: chunked", 1, true))
    assert.is_truthy(request:find("\r\n\r\none two$"))
    assert.are.same({ nil, "closed", "closed" }, { op:send_body("three") })
  end)

  it("says when an upload should wait, and when it may go on", function()
    local url = serve([[ c:sleep(0.3) c:request() c:respond(200, "") ]])
    local op = loop:http({ method = "POST", url = url, upload = true })
    local piece, sent = ("x"):rep(256 * 1024), 0
    for _ = 1, 40 do
      local ok, room = op:send_body(piece)
      assert.is_true(ok)
      sent = sent + #piece
      if not room then
        local event
        repeat
          event = assert(next_event(loop))
        until event[2] == "writable"
      end
    end
    op:send_body("", true)
    assert.are.equal("done", finish(loop, op)[1])
    local body = server:received()[1]:match("\r\n\r\n(.*)$")
    assert.are.equal(sent, #body)
  end)

  it("reports a refusal that comes in the middle of an upload", function()
    local url = serve([[
      c:read_to("\r\n\r\n")
      c.sock:read_stop() -- nobody takes the rest
      c:respond(413, "too much", {"Connection: close"})
      c:sleep(5)
      c:reset()
    ]])
    local op = loop:http({ method = "POST", url = url, upload = true })
    op:send_body(("x"):rep(8 * 1024 * 1024), true)
    local event = finish(loop, op)
    assert.are.same({ "done", 413, "too much" },
      { event[1], event[2], event[4] })
  end)

  it("fails when the connection is reset behind an answer that came early",
    function()
      local url = serve([[
        c:read_to("\r\n\r\n")
        c.sock:read_stop()
        c:send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        c:sleep(0.5) -- it is read meanwhile
        c:reset()
      ]])
      assert.are.equal("failed", finish(loop, loop:http({ method = "POST",
        url = url, body = ("x"):rep(8 * 1024 * 1024) }))[1])
    end)

  it("reports a refusal with which the connection is reset at once", function()
    local url = serve([[
      c:read_to("\r\n\r\n")
      c.sock:read_stop()
      c:send(({
        "HTTP/1.1 413 No\r\nContent-Length: 8\r\n\r\ntoo much",
        "HTTP/1.1 413 No\r\nX-Own: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
          .. "4\r\ntoo \r\n4\r\nmuch\r\n0\r\n\r\n",
        "HTTP/1.1 413 No\r\nContent-Length: 9\r\n\r\ncut off",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
      })[(n - 1) % 4 + 1])
      c:reset()
    ]])
    local body = ("x"):rep(8 * 1024 * 1024)
    -- What is read and what fails first is chance, but hardly each time.
    for _ = 1, 5 do
      local function post()
        return finish(loop, loop:http({ method = "POST", url = url,
          body = body }))
      end
      local first, second = post(), post()
      assert.are.same({ "done", 413, "Content-Length: 8\r\n", "too much" },
        first)
      assert.are.same({ "done", 413,
        "X-Own: 1\r\nTransfer-Encoding: chunked\r\n", "too much" }, second)
      assert.are.equal("failed", post()[1]) -- not all of it is there
      assert.are.equal("failed", post()[1]) -- it cannot have taken it
    end
  end)

  it("does not read what a cancelled upload is answered", function()
    local url = serve([[
      if n == 1 then
        first = c
        c:read_to("\r\n\r\n")
        log("asked")
        c:read(1)
        log(tostring(c.eof)) -- a reset is the end over something unread
      else
        c:request()
        first:send("HTTP/1.1 413 No\r\nContent-Length: 8\r\n\r\ntoo much")
        c:respond(200, "")
      end
    ]])
    local op = loop:http({ method = "POST", url = url, upload = true })
    expect.soon(function()
      loop:wait(0.01)
      return server:received()[1] == "asked"
    end)
    local other = assert(core.loop())
    assert.are.equal("done", finish(other, other:http({ url = url }))[1])
    other:close()
    op:cancel()
    loop:step()
    server:await("ECONNRESET")
  end)

  it("bounds memory while nobody reads", function()
    local url = serve([[
      c:request()
      c:send("HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
      local piece = ("y"):rep(1048576)
      for _ = 1, 100 do c:send(piece) c:sleep(0.001) end
    ]])
    local op = loop:http({ url = url, stream = true })
    local event
    repeat
      event = assert(next_event(loop))
    until event[2] == "headers"
    local before = rss_kib()
    local stop = core.now() + 0.5
    while core.now() < stop do
      loop:step()
    end
    assert.is_true(rss_kib() - before < 8 * 1024)
    local bytes = 0
    repeat
      event = assert(next_event(loop))
      bytes = bytes + (event[2] == "chunk" and #event[3] or 0)
    until TERMINAL[event[2]]
    assert.are.same({ "done", 104857600 }, { event[2], bytes })
    assert.are.equal(op:id(), event[1])
  end)

  for name, case in pairs({
    ["a refused connection"] = { "connect", nil, "http://127.0.0.1:1/" },
    ["an unknown host"] = { "resolve", nil, "http://" .. peer.NOWHERE },
    ["a reset before the answer"] = { "connect", [[ c:request() c:reset() ]] },
    ["an end before the answer"] = { "connect", [[ c:request() c:close() ]] },
    ["a truncated body"] = { "broken", [[
      c:request() c:send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
      c:close() ]] },
    ["garbage instead of HTTP"] = { "protocol", [[
      c:request() c:send("garbage\r\n\r\n") c:close() ]] },
    ["a silent server"] = { "timeout", [[ c:request() c:sleep(5) ]] },
    ["a body over its limit"] = { "too_large", [[
      c:request() c:respond(200, ("x"):rep(2000)) ]] },
  }) do
    it("reports " .. name .. " as " .. case[1], function()
      local url = case[3] or serve(case[2])
      local event = finish(loop, loop:http({
        url = url, total = case[1] == "timeout" and 0.4 or 20,
        max_body = 1000,
      }))
      assert.are.same({ "failed", case[1] }, { event[1], event[2] })
      assert.is_true(#event[3] > 0)
    end)
  end

  it("reports a stalled body by its idle deadline, not while paused", function()
    local url = serve([[
      c:request()
      c:send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
      c:sleep(60)
    ]])
    local op = loop:http({ url = url, stream = true, idle = 2 })
    repeat
      local event = assert(next_event(loop))
    until event[2] == "chunk"
    loop:pause(op:id(), true)
    local quiet = core.now() + 2.5
    while core.now() < quiet do
      loop:wait(0.05)
    end
    assert.is_nil((loop:next()))
    loop:pause(op:id(), false)
    local event = finish(loop, op)
    assert.are.same({ "failed", "timeout" }, { event[1], event[2] })
  end)

  for name, options in pairs({
    ["a header with a line break"] = { headers = { "A: b\r\nC: d" } },
    ["a header without a name"] = { headers = { ": b" } },
    ["a URL with a space"] = { url = "http://127.0.0.1/a b" },
    ["a URL with a line break"] = { url = "http://127.0.0.1/a\n" },
    ["another scheme"] = { url = "file:///etc/passwd" },
    ["a method with a space"] = { method = "GET /" },
  }) do
    it("refuses " .. name, function()
      options.url = options.url or "http://127.0.0.1:1/"
      local op, code = loop:http(options)
      assert.are.same({ nil, "argument" }, { op, code })
    end)
  end
end)

describe("open and close cycles", function()
  it("leave no descriptor behind", function()
    local server = peer.start([[
      local req = c:request()
      if not req then return end -- a half-open one
      if req.headers.upgrade then
        c:upgrade(req) c:text('{"type":"exit"}') c:close()
      else
        c:respond(200, "x")
      end
    ]])
    local before
    for cycle = 1, 60 do
      local loop = assert(core.loop())
      finish(loop, loop:http({ url = server.url }))
      local ws = server.url:gsub("^http", "ws")
      finish(loop, loop:ws({ url = ws, codec = "stream" }))
      loop:ws({ url = ws }) -- left half-open
      loop:step()
      loop:close()
      if cycle == 10 then
        before = count_fds()
      end
    end
    -- The thread of a look-up that nobody waits for may still hold a file.
    local deadline = core.now() + 20
    while count_fds() > before and core.now() < deadline do
    end
    assert.is_true(count_fds() <= before)
    server:stop()
  end)
end)

describe("the end of the Lua state", function()
  it("takes what its last finalizers have made, and gives no more", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write([[
      local core
      local function at_end(fn)
        if newproxy then
          local proxy = newproxy(true)
          getmetatable(proxy).__gc = fn
          return proxy
        end
        return setmetatable({}, { __gc = fn })
      end
      local function make()
        return core.request({ url = "http://127.0.0.1:1" })
      end
      older = at_end(function()
        print((select(2, core.loop())), (select(2, make())))
      end)
      core = require("wrenn.core")
      younger = at_end(function()
        local loop = core.loop()
        print(loop:timer(60) and loop:http(make(), "/") and loop:step())
      end)
    ]])
    file:close()
    local output = compat.output_of(compat.lua .. " " .. path .. " 2>&1")
    os.remove(path)
    assert.are.equal("true\nclosed\tclosed\n", output)
  end)
end)
