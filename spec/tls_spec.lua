-- TLS: verified unless told otherwise, for requests and WebSockets alike.

local core = require("wrenn.core")
local expect = require("spec.support.expect")
local peer = require("spec.support.peer")
local server = require("spec.support.server")
local tls = require("spec.support.tls")
local wrenn = require("wrenn")

describe("over TLS", function()
  local s, dir, certificate_of, fronts

  setup(function()
    s = server.start()
    dir = tls.certificates()
    fronts = {}
  end)

  teardown(function()
    for _, front in pairs(fronts) do
      front:stop()
    end
    s:stop()
    os.execute("rm -rf " .. dir)
  end)

  function certificate_of(name)
    fronts[name] = fronts[name]
      or tls.front(dir .. "/" .. name .. ".pem", s.url:match("%d+$"))
    return fronts[name].port
  end

  local function client(name, options)
    options.base_url = ("https://%s:%s"):format(options.host or "localhost",
      certificate_of(name))
    options.host = nil
    options.api_key, options.retries = s.key, 0
    return assert(wrenn.Client(options))
  end

  local function everything_works(by)
    local capsule = assert(wrenn.Capsule.create({ client = by, wait = true }))
    assert.are.equal("hi\n", assert(capsule.commands:run("echo hi")).stdout)
    assert.are.equal(3, assert(assert(capsule.commands:stream("exit 3"))
      :wait()).exit_code)
    local bytes = ("0123456789abcdef"):rep(300000)
    assert(capsule.files:write("/tmp/f", bytes))
    local pieces = {}
    for piece in assert(capsule.files:download_stream("/tmp/f")) do
      pieces[#pieces + 1] = piece
    end
    assert.is_true(table.concat(pieces) == bytes)
    local term = assert(capsule:pty({ cmd = "/bin/echo", args = { "tty" } }))
    local seen = ""
    for event in term do
      seen = seen .. (event.type == "output" and event.data or "")
    end
    assert.is_truthy(seen:find("tty"))
    assert(capsule:destroy())
  end

  it("everything works with a CA of one's own", function()
    everything_works(client("good", { ca_file = dir .. "/ca.pem" }))
    everything_works(client("good",
      { ca_file = dir .. "/ca.pem", host = "127.0.0.1" }))
  end)

  it("everything works with an unknown certificate when told so", function()
    everything_works(client("self_signed", { insecure = true }))
    everything_works(client("other_host", { insecure = true }))
  end)

  local refused = {
    { "good", {}, "a CA that nobody was told to trust" },
    { "self_signed", {}, "a self-signed certificate" },
    { "self_signed", { ca = true }, "a certificate of another CA" },
    { "other_host", { ca = true }, "a certificate for another host" },
    { "expired", { ca = true }, "an expired certificate" },
  }
  for _, case in ipairs(refused) do
    it("refuses " .. case[3], function()
      local options = { ca_file = case[2].ca and dir .. "/ca.pem" or nil }
      local by = client(case[1], options)
      local info, err = by.capsules:list()
      assert.is_nil(info)
      assert.is_true(err:is("ConnectionError"), tostring(err))
      assert.are.equal("tls", err.details.kind)
      assert.is_false(err.retryable)
      local capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
      capsule.commands.client = by
      local stream
      stream, err = capsule.commands:stream("true")
      assert.is_nil(stream)
      assert.is_true(err:is("ConnectionError"), tostring(err))
      assert.are.equal("tls", err.details.kind)
      assert(capsule:destroy())
    end)
  end

  it("a CA file that is none is an error", function()
    for _, file in ipairs({ dir .. "/missing.pem", dir .. "/good.ext" }) do
      local by = client("good", { ca_file = file })
      local list, err = by.capsules:list()
      assert.is_nil(list)
      assert.are.equal("tls", err.details.kind)
    end
  end)

  -- Whether the server's goodbye, of 24 bytes, lies unread in a connection to
  -- a port of this machine.
  local function said_goodbye(port)
    local mark = (":%04X 01 "):format(port)
    for line in io.lines("/proc/net/tcp") do
      if line:find(mark, 20, true) and line:find(":00000018 ", 1, true) then
        return true
      end
    end
    return false
  end

  it("a tunnel passes bytes as they are, both ways", function()
    local bytes = ("0123456789abcdef"):rep(300000)
    local p = peer.start(("c:send(c:read(%d)) c:close()"):format(#bytes))
    fronts.tunnel = tls.front(dir .. "/good.pem", p.port)
    local loop = assert(core.loop())
    local function open(more)
      more.url = "https://localhost:" .. fronts.tunnel.port
      return assert(loop:tunnel(more))
    end
    local function next_event()
      local id, kind, value
      expect.soon(function()
        loop:wait(0.2)
        id, kind, value = loop:next()
        return id
      end)
      return kind, value
    end
    local untrusting = open({})
    assert.are.same({ "failed", "tls" }, { next_event() })
    untrusting:cancel()

    local op = open({ ca_file = dir .. "/ca.pem" })
    local _, room = op:send_bytes(bytes) -- waits for the connection
    assert.is_false(room)
    local pieces, seen = {}, {}
    repeat
      local kind, value = next_event()
      seen[kind] = true
      pieces[#pieces + 1] = kind == "chunk" and value or nil
    until kind == "closed" or kind == "failed"
    assert.are.same({ opened = true, writable = true, chunk = true,
      closed = true }, seen)
    assert.is_true(table.concat(pieces) == bytes)
    assert.are.equal("closed", (select(2, op:send_bytes("x"))))
    loop:close()
    p:stop()
  end)

  it("a kept connection that the server has closed is done with", function()
    local p = peer.start([[
      local req = c:request()
      if req then c:respond(200, tostring(n)) c:sleep(0.5) c:close() end
    ]])
    local front = tls.front(dir .. "/good.pem", p.port)
    fronts.closing = front
    local loop = assert(core.loop())
    local function post()
      local op = assert(loop:http({ method = "POST", body = "x", total = 8,
        url = "https://localhost:" .. front.port, ca_file = dir .. "/ca.pem" }))
      local event
      repeat
        loop:wait(1)
        event = { loop:next() }
      until event[1] == op:id()
      assert.are.same({ "done", 200 }, { event[2], event[3] }, event[4])
      return event[5]
    end
    local function closed()
      return said_goodbye(front.port)
    end
    assert.are.equal("1", post())
    -- The loop takes no step, as in a program that computes.
    expect.soon(closed)
    assert.are.equal("2", post())
    expect.soon(closed)
    expect.soon(function()
      loop:wait(0.05)
      return not closed()
    end)
    loop:close()
    p:stop()
  end)

  it("a server that speaks none is an error, in both directions", function()
    local p = peer.start([[
      c:read(1)
      c:send("HTTP/1.1 400 Bad Request\r\n\r\n")
      c:close()
    ]])
    local by = assert(wrenn.Client({ api_key = "wrn_secret", retries = 0,
      base_url = p.url:gsub("^http:", "https:"), timeout = 20 }))
    local list, err = by.capsules:list()
    assert.is_nil(list)
    assert.is_true(err:is("ConnectionError"), tostring(err))
    assert.are.same({}, p:received())
    p:stop()
    -- A front of its own: newer libcurls take a kept connection with TLS for
    -- one without as well.
    fronts.plain = tls.front(dir .. "/good.pem", s.url:match("%d+$"))
    by = assert(wrenn.Client({ api_key = "wrn_secret", retries = 0,
      base_url = "http://localhost:" .. fronts.plain.port, timeout = 20 }))
    list, err = by.capsules:list()
    assert.is_nil(list)
    assert.is_true(err:is("ConnectionError"), tostring(err))
  end)
end)
