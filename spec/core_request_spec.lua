-- Requests of wrenn.core that are prepared once and made many times. The peers
-- are scripted.

local compat = require("spec.support.compat")
local core = require("wrenn.core")
local peer = require("spec.support.peer")

local FAR = 30 -- seconds; far above every limit that a spec sets

-- Answers with the connection's number and the body.
local ECHO = [[
  while true do
    local req = c:request()
    if not req then return end
    c:respond(200, n .. " " .. req.body)
  end
]]

local loop, server, url

local function serve(script)
  server = peer.start(script)
  return server.url
end

-- The first lines of the requests that have arrived, and their bodies.
local function asked(of)
  local list = {}
  for i, text in ipairs(of:received()) do
    local line, body = text:match("^(%S+ %S+) HTTP/1.1\r\n.-\r\n\r\n(.*)$")
    list[i] = line .. (body ~= "" and " " or "") .. body
  end
  return list
end

local function finish(op)
  local deadline = core.now() + FAR
  repeat
    local event = { loop:next() }
    if event[1] == op:id() then
      return { compat.unpack(event, 2) }
    elseif not event[1] then
      loop:wait(0.2)
    end
  until core.now() > deadline
end

local function run(...)
  return finish(assert(loop:http(...)))
end

before_each(function()
  loop = assert(core.loop())
  url = serve(ECHO)
end)

after_each(function()
  loop:close()
  server:stop()
end)

describe("a prepared request", function()
  it("is made as often as it is asked for, with what is its own", function()
    local post = assert(core.request({ method = "POST", url = url .. "/v1" }))
    assert.are.equal("1 one", run(post, "/a", "one")[4])
    assert.are.equal("1 ", run(post, "/b?c=d")[4])
    assert.are.equal("1 two", run(post, nil, { "t", "wo" })[4])
    assert.are.same({ "POST /v1/a one", "POST /v1/b?c=d", "POST /v1 two" },
      asked(server))
  end)

  it("sends its headers each time", function()
    server:stop()
    url = serve("for _ = 1, 2 do c:request() c:respond(200, 'x') end")
    local get = assert(core.request({ url = url, headers = { "X-A: b" } }))
    run(get, "/1")
    run(get, "/2")
    local list = server:received()
    for i = 1, 2 do
      assert.is_truthy(list[i]:find("^GET /" .. i .. " "))
      assert.is_truthy(list[i]:find("\r\nX-A: b\r\n", 1, true))
    end
  end)

  it("belongs to no loop, and need not live as long as its requests", function()
    local get = assert(core.request({ url = url }))
    run(get, "/1")
    loop:close()
    loop = assert(core.loop())
    local op = assert(loop:http(get, "/2"))
    get = nil -- luacheck: ignore 311
    collectgarbage()
    collectgarbage()
    assert.are.equal("done", finish(op)[1])
  end)

  it("has limits of its own where none are given", function()
    server:stop()
    url = serve("c:request() c:sleep(60)")
    local get = assert(core.request({ url = url, total = 0.2, idle = 30 }))
    local begin = core.now()
    assert.are.same({ "failed", "timeout", "not finished within 0.2 s" },
      { compat.unpack(run(get, "/"), 1, 3) })
    assert.are.same({ "failed", "timeout", "not finished within 0.3 s" },
      { compat.unpack(run(get, "/", nil, 0.3), 1, 3) })
    assert.are.same({ "failed", "timeout", "no answer within 0.1 s" },
      { compat.unpack(run(get, "/", nil, 5, 0.1), 1, 3) })
    assert.are.same({ "failed", "timeout", "no whole answer within 0.1 s" },
      { compat.unpack(run(get, "/", nil, 5, 4, 0.1), 1, 3) })
    assert.is_true(core.now() - begin < 20) -- the peer sleeps for 60 s
  end)

  it("may be an upload", function()
    local post = assert(core.request({ method = "POST", url = url }))
    local op = assert(loop:http(post, "/u", nil, nil, nil, nil, 4))
    op:send_body("ab")
    op:send_body("cd", true)
    assert.are.equal("1 abcd", finish(op)[4])
    op = assert(loop:http(post, "/u", nil, nil, nil, nil, -1))
    op:send_body("ef", true)
    assert.are.equal("done", finish(op)[1])
  end)

  it("is refused when it is malformed, or its path is", function()
    for _, options in ipairs({ { url = "ftp://x" }, { url = url .. "/ x" },
      { url = url, method = "get" }, { url = url, headers = { "none" } }, {} })
    do
      local made, code = core.request(options)
      assert.is_nil(made)
      assert.are.equal("argument", code)
    end
    local get = assert(core.request({ url = url }))
    for _, path in ipairs({ "/a b", "/a\nb", "/a\127" }) do
      local op, code = loop:http(get, path)
      assert.is_nil(op)
      assert.are.equal("argument", code)
    end
    assert.has_error(function()
      loop:http(get, "/a\0b")
    end)
    assert.has_error(function()
      loop:http("get", "/")
    end)
    assert.are.same({}, server:received())
  end)
end)

describe("a request over a kept connection", function()
  it("is on its way when the call that starts it returns", function()
    local get = assert(core.request({ url = url }))
    run(get, "/1")
    local op = assert(loop:http(get, "/2"))
    local deadline = core.now() + FAR
    repeat -- without a step of the loop
      os.execute("sleep 0.02")
    until #server:received() > 1 or core.now() > deadline
    assert.are.same({ "GET /1", "GET /2" }, asked(server))
    assert.are.equal("1 ", finish(op)[4])
  end)

  it("asks for what its URL says, whatever was asked for before", function()
    local get = assert(core.request({ url = url }))
    local long = "/" .. ("l"):rep(2000)
    local paths = { "/a", "/b?c=d", "/e", "/%C3%A9%2Ff?g=%2E", "/e", "?h=i",
      "/../j/./k//l/", "/", "/m;n?o?p", long, "/e" }
    for _, path in ipairs(paths) do
      assert.are.equal("1 ", run(get, path)[4])
    end
    local expected = {}
    for i, path in ipairs(paths) do
      expected[i] = "GET " .. (path:find("^/") and path or "/" .. path)
    end
    assert.are.same(expected, asked(server))
  end)

  it("goes to the host that its URL names", function()
    local other = peer.start(ECHO)
    for i = 1, 3 do
      assert.are.equal("done", run({ url = url .. "/" .. i })[1])
      assert.are.equal("done", run({ url = other.url .. "/" .. i })[1])
    end
    local list = { asked(server), asked(other) }
    other:stop()
    assert.are.same({ { "GET /1", "GET /2", "GET /3" },
      { "GET /1", "GET /2", "GET /3" } }, list)
  end)
end)

-- What becomes of a program whose requests to /await are answered with so many
-- bytes before it gets to wait for them.
local function swiftly(bytes, text)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write([[
    local core = require("wrenn.core")
    local loop, deadline = assert(core.loop()), core.now() + 20
    local function finish(op)
      local size = 0
      repeat
        local id, what, one, two, three = loop:next()
        size = size + (what == "chunk" and #one or 0)
        if not id then
          loop:wait(0.2)
        elseif what == "done" or what == "failed" then
          return what, one, what == "done" and size + #three or two
        end
      until core.now() > deadline
      return "late", "", size
    end
    local url = ...
  ]], text)
  file:close()
  local output = compat.output_of(
    ("LD_PRELOAD='%s' WRENN_SPEC_AWAIT=%d timeout 60 %s %s %s 2>&1"):format(
      compat.built("spec/c/swift.so"), bytes, compat.lua, path, url))
  os.remove(path)
  return output
end

describe("an answer that is there when the request has been sent", function()
  local MUCH = 4 * 1024 * 1024

  before_each(function()
    server:stop()
    url = serve(([[
      while true do
        local req = c:request()
        if not req then return end
        c:respond(200, req.path == "/await/much" and ("x"):rep(%d) or "a")
      end
    ]]):format(MUCH))
  end)

  -- libcurl is told to hold back what there is no room for before it has ever
  -- waited for the socket.
  it("comes whole over a kept connection, however large", function()
    assert.are.equal(("done 200 %d\n"):format(MUCH), swiftly(1024 * 1024, [[
      finish(loop:http({ url = url }))
      local op = loop:http({ url = url .. "/await/much", stream = true })
      loop:step()
      print(("%s %s %s"):format(finish(op)))
    ]]))
    assert.are.same({ "GET /", "GET /await/much" }, asked(server))
  end)

  it("leaves the connection to the last who has used it", function()
    assert.are.equal("true\n", swiftly(1, [[
      local function sockets()
        local pipe = io.popen("ls -l /proc/$PPID/fd 2>&1 | grep -c socket:")
        local count = tonumber(pipe:read("*a"))
        pipe:close()
        return count
      end
      finish(loop:http({ url = url, owner = 1 }))
      finish(loop:http({ url = url .. "/await", owner = 2 }))
      local before = sockets()
      loop:release(2)
      while sockets() == before and core.now() < deadline do
        loop:wait(0.05)
      end
      print(sockets() == before - 1)
    ]]))
  end)
end)
