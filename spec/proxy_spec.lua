-- Requests and WebSockets to the ports of a capsule, with scripted peers. The
-- URLs of ports are in config_spec.lua.

local core = require("wrenn.core")
local expect = require("spec.support.expect")
local peer = require("spec.support.peer")
local wrenn = require("wrenn")

describe("a port of a capsule", function()
  local p

  after_each(function()
    p:stop()
  end)

  -- A capsule whose API and ports are served by a script: `answer` for what
  -- goes to a port.
  local function capsule_of(answer, more)
    p = peer.serving(([[
      if req.headers.host:find("^%%d+%%-cl%%-1%%.localhost:") then
        %s
      end
    ]]):format(answer))
    return assert(wrenn.Capsule.connect("cl-1",
      { client = assert(wrenn.Client(p:options(more))) }))
  end

  -- The requests that went to a port.
  local function asked()
    local list = {}
    for _, text in ipairs(p:received()) do
      if text:find("\r\nHost: %d+%-cl%-1%.localhost:") then
        list[#list + 1] = text
      end
    end
    return list
  end

  it("answers with status, headers and body", function()
    local capsule = capsule_of(
      'c:respond(404, "\\0body", {"X-One: 1", "Set-Cookie: a", '
        .. '"set-cookie: b"})')
    local answer = assert(capsule:request(3000))
    assert.are.equal(404, answer.status)
    assert.are.equal("\0body", answer.body)
    assert.are.equal("1", answer.headers["x-one"])
    assert.are.equal("a, b", answer.headers["set-cookie"])
  end)

  it("is asked for what was wanted", function()
    local capsule = capsule_of('c:respond(200, "")')
    assert(capsule:request(3000))
    assert(capsule:request(3000, { method = "PUT", path = "/a%20b?c=d",
      headers = { ["X-Two"] = "2 3", Accept = "text/plain" },
      body = "b\0y" }))
    assert(capsule:request(3000, { method = "HEAD" }))
    local list = asked()
    assert.is_truthy(list[1]:find("^GET / HTTP/1.1\r\n"))
    assert.is_truthy(list[1]:find("\r\nHost: 3000-cl-1.localhost:" .. p.port,
      1, true))
    assert.is_truthy(list[1]:find("\r\nUser-Agent: wrenn-lua/", 1, true))
    assert.is_truthy(list[2]:find("^PUT /a%%20b%?c=d HTTP/1.1\r\n"))
    assert.is_truthy(list[2]:find("\r\nX-Two: 2 3\r\n", 1, true))
    assert.is_truthy(list[2]:find("\r\nAccept: text/plain\r\n", 1, true))
    assert.are.equal("b\0y", list[2]:match("\r\n\r\n(.*)$"))
    assert.is_truthy(list[3]:find("^HEAD / "))
  end)

  it("never gets the API key", function()
    local capsule = capsule_of([[
      if req.headers.upgrade then
        c:upgrade(req)
        c:close_frame(1000)
        return
      end
      c:respond(200, "")
    ]], { user_agent = "mine" })
    assert(capsule:request(3000, { headers = { ["User-Agent"] = "other" } }))
    assert(capsule:request(3000, { method = "POST", body = "x" }))
    assert(capsule:websocket(3000)):close()
    local list = asked()
    assert.are.equal(3, #list)
    for _, text in ipairs(list) do
      assert.is_nil(text:lower():find("x%-api%-key"))
      assert.is_nil(text:find("wrn_test", 1, true))
    end
    assert.is_truthy(list[1]:find("User-Agent: other", 1, true))
    assert.is_truthy(list[2]:find("User-Agent: mine", 1, true))
  end)

  it("is neither asked twice nor followed elsewhere", function()
    local capsule = capsule_of('c:respond(503, "", {"Retry-After: 0"})')
    assert.are.equal(503, assert(capsule:request(3000)).status)
    assert.are.equal(1, #asked())
    p:stop()
    capsule = capsule_of('c:respond(302, "", {"Location: /x"})')
    local answer = assert(capsule:request(3000))
    assert.are.equal(302, answer.status)
    assert.are.equal("/x", answer.headers.location)
    assert.are.equal(1, #asked())
  end)

  local faults = {
    { "c:reset() return", "ConnectionError" },
    { 'c:send("HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\n\\r\\nx") c:close()'
      .. " return", "ConnectionError" },
    { 'c:send("garbage\\r\\n\\r\\n") c:close() return', "ProtocolError" },
    { "c:sleep(60)", "TimeoutError", 0.5 },
  }
  for i, fault in ipairs(faults) do
    it(("fails with the right error (%d)"):format(i), function()
      local capsule = capsule_of(fault[1])
      local begin = core.now()
      local answer, err = capsule:request(3000, { timeout = fault[3] or 20 })
      assert.is_nil(answer)
      assert.are.equal(fault[2], err.type)
      assert.is_true(core.now() - begin < 15) -- the other limit is 20 s
    end)
  end

  it("has the limit of the call, or else the client's", function()
    local capsule = capsule_of("c:sleep(60)")
    for _, case in ipairs({ { 20, { timeout = 0.3 } }, { 0.3, nil } }) do
      capsule.client.settings.timeout = case[1]
      local begin = core.now()
      local answer, err = capsule:request(3000, case[2])
      assert.is_nil(answer)
      assert.are.equal("TimeoutError", err.type)
      local took = core.now() - begin
      assert.is_true(took >= 0.29 and took < 15, tostring(took))
    end
    p:stop()
    capsule = capsule_of('c:sleep(0.6) c:respond(200, "late")')
    capsule.client.settings.timeout = 0.2
    assert.are.equal("late",
      assert(capsule:request(3000, { timeout = 20 })).body)
  end)

  it("lets nobody smuggle anything", function()
    local capsule = capsule_of('c:respond(200, "")')
    local rows = {
      { "'port'", "80" }, { "'port'", 1.5 }, { "'port'", -1 },
      { "'path'", 80, { path = "x" } },
      { "'path'", 80, { path = "/a b" } },
      { "'path'", 80, { path = "/a\r\nX: y" } },
      { "'path'", 80, { path = "/a#b" } },
      { "'path'", 80, { path = "@elsewhere/" } },
      { "'method'", 80, { method = "GET /" } },
      { "'headers'", 80, { headers = { ["A b"] = "c" } } },
      { "'headers'", 80, { headers = { ["A:"] = "c" } } },
      { "'headers'", 80, { headers = { A = "b\r\nC: d" } } },
      { "'headers'", 80, { headers = { A = "b\0c" } } },
      { "'headers'", 80, { headers = { host = "other" } } },
      { "'headers'", 80, { headers = { ["Content-Length"] = "1" } } },
      { "'headers'", 80, { headers = { "A: b" } } },
      { "'nonsense'", 80, { nonsense = 1 } },
    }
    for _, row in ipairs(rows) do
      local ok, why = pcall(capsule.request, capsule, row[2], row[3])
      assert.is_false(ok)
      assert.is_truthy(tostring(why):find(row[1], 1, true), tostring(why))
    end
    assert.is_false((pcall(capsule.websocket, capsule, 80,
      { headers = { A = "b\r\nC: d" } })))
    assert.is_false((pcall(capsule.websocket, capsule, 80, { body = "x" })))
    assert.are.same({}, asked())
  end)

  it("has a name even where the API's host is an address", function()
    local capsule = capsule_of("")
    for base, name in pairs({ ["http://127.0.0.1:81"] = "localhost:81",
      ["https://127.0.0.1/api"] = "localhost", ["http://[::1]:82"] =
      "localhost:82", ["http://10.0.0.1:83"] = "10.0.0.1:83" }) do
      local client = assert(wrenn.Client({ api_key = "k", base_url = base }))
      assert.are.equal(name, client.settings.proxy_domain)
    end
    assert.are.equal("ws://80-cl-1.localhost:" .. p.port,
      capsule:get_url(80, { scheme = "ws" }))
  end)

  it("is reached below the proxy domain that was given", function()
    local capsule = capsule_of("", { proxy_domain = "ports.example:8443" })
    assert.are.equal("http://80-cl-1.ports.example:8443", capsule:get_url(80))
  end)

  it("is nowhere else, whatever the domain or the capsule is called", function()
    local capsule = capsule_of('c:respond(200, "")')
    for _, domain in ipairs({ "a/b", "a b", "u@h", "h#", "h:1x", "" }) do
      local client, err = wrenn.Client({ api_key = "k", base_url = p.url,
        proxy_domain = domain })
      assert.is_nil(client)
      assert.are.equal("ConfigurationError", err.type)
    end
    capsule.id = "x@127.0.0.1:" .. p.port .. "/"
    local before = #p:received()
    assert.is_nil((capsule:request(80)))
    assert.is_nil((capsule:websocket(80)))
    assert.are.equal(before, #p:received())
  end)

  it("is closed to a client that was closed", function()
    local capsule = capsule_of('c:respond(200, "")')
    capsule.client:close()
    assert.are.equal("ConnectionError",
      select(2, capsule:request(80)).type)
    assert.are.equal("ConnectionError",
      select(2, capsule:websocket(80)).type)
  end)

  describe("as a WebSocket", function()
    local function socket_of(script)
      local capsule = capsule_of("c:upgrade(req) " .. script .. " return")
      return assert(capsule:websocket(3000,
        { path = "/s?t", headers = { Origin = "http://o" } }))
    end

    it("is asked for what was wanted", function()
      local socket = socket_of("c:close_frame(1000)")
      assert.is_nil((socket:read()))
      assert.is_truthy(asked()[1]:find("^GET /s%?t HTTP/1.1\r\n"))
      assert.is_truthy(asked()[1]:find("\r\n[Oo]rigin: ?http://o\r\n"))
    end)

    it("sends and reads, text and binary", function()
      local socket = socket_of([[
        for _ = 1, 2 do
          local opcode, data = c:read_frame()
          c:frame(opcode, data .. "!")
        end
        c:close_frame(4001, "enough")
      ]])
      assert(socket:send("a"))
      assert(socket:send("\0\255", { binary = true }))
      local list = {}
      for data, binary in socket do
        list[#list + 1] = { data, binary }
      end
      assert.are.same({ { "a!", false }, { "\0\255!", true } }, list)
      assert.are.equal(4001, socket.close_code)
      assert.are.equal("enough", socket.close_reason)
      assert.is_nil((socket:send("late")))
      assert.are.same({}, { socket:read() })
    end)

    it("does not let a break pass for the end", function()
      local socket = socket_of('c:text("") c:text("x") c:close()')
      assert.are.equal("", (socket:read()))
      assert.are.equal("x", (socket:read()))
      local data, err = socket:read()
      assert.is_nil(data)
      assert.are.equal("ConnectionError", err.type)
      assert.are.equal(err, select(2, socket:read()))
      p:stop()
      socket = socket_of("c:sleep(0.1) c:reset()")
      local ok, why = pcall(function()
        for _ in socket do end
      end)
      assert.is_false(ok)
      assert.are.equal("ConnectionError", why.type)
    end)

    it("is closed, as often as one likes", function()
      local socket = socket_of("c:read_frame() c:read_frame()")
      assert(socket:send("last words"))
      socket:close()
      socket:close()
      local _, err = socket:read()
      assert.are.equal("CancelledError", err.type)
      assert.are.equal("CancelledError", select(2, socket:send("x")).type)
      expect.soon(function() -- and the goodbye behind them
        local frames = p:received()
        return frames[#frames - 1] == "last words"
      end)
    end)

    it("is an error by its status when it is refused", function()
      local capsule = capsule_of('c:respond(403, "go away") return')
      local socket, err = capsule:websocket(3000)
      assert.is_nil(socket)
      assert.are.equal("ForbiddenError", err.type)
      assert.are.equal(403, err.status_code)
    end)
  end)
end)
