-- Requests of wrenn.core: answers whose end is in doubt, requests that must not
-- be sent twice, slow heads, unused connections. The peers are scripted.

local compat = require("spec.support.compat")
local core = require("wrenn.core")
local peer = require("spec.support.peer")

local TERMINAL = { done = true, failed = true }
local FAR = 30 -- seconds; far above every limit that a spec sets

local loop, server

local function sockets()
  return tonumber(compat.output_of("ls -l /proc/$PPID/fd | grep -c socket:"))
end

local function serve(script)
  server = peer.start(script)
  return server.url
end

-- An operation's events up to the terminal one, without their ids.
local function events_of(op)
  local list, deadline = {}, core.now() + FAR
  repeat
    local event = { loop:next() }
    if event[1] == op:id() then
      list[#list + 1] = { compat.unpack(event, 2) }
    elseif not event[1] then
      loop:wait(0.2)
    end
  until #list > 0 and TERMINAL[list[#list][1]] or core.now() > deadline
  return list
end

local function finish(op)
  local list = events_of(op)
  return list[#list], list
end

local function run(options)
  return finish(assert(loop:http(options)))
end

-- Answers every request with these bytes, and hangs up.
local function sends(bytes)
  return serve(("c:request() c:send(%q) c:close()"):format(bytes))
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

describe("an answer that ends too early", function()
  local OK = "HTTP/1.1 200 OK\r\n"
  for name, bytes in pairs({
    ["inside its status line"] = "HTTP/1.1 2",
    ["behind its status line"] = OK,
    ["inside a header"] = OK .. "Content-Le",
    ["inside a length"] = OK .. "Content-Length: 1",
    ["before the blank line"] = OK .. "Content-Length: 10\r\n",
    ["behind an interim answer"] = "HTTP/1.1 100 Continue\r\n\r\n",
    ["before its body"] = OK .. "Content-Length: 4\r\n\r\n",
    ["inside its body"] = OK .. "Content-Length: 4\r\n\r\nabc",
    ["inside a chunk"] = OK
      .. "Transfer-Encoding: chunked\r\n\r\n4\r\nab",
    ["between two chunks"] = OK
      .. "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
    ["inside the last chunk"] = OK
      .. "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n",
  }) do
    for _, ending in ipairs({ "close", "reset" }) do
      it(name .. " by a " .. ending .. " is broken off", function()
        local url = serve(("c:request() c:send(%q) c:sleep(0.02) c:%s()")
          :format(bytes, ending))
        for _, stream in ipairs({ false, true }) do
          local event = run({ url = url, stream = stream, total = 20 })
          assert.are.equal("failed", event[1])
          assert.is_truthy(event[2] == "broken" or event[2] == "connect",
            event[2])
          assert.is_true(#event[3] > 0)
          assert.is_true(event[4]) -- the request has left
        end
      end)
    end
  end

  it("still gives what has arrived of a streamed body", function()
    local url = sends("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
    local event, list = run({ url = url, stream = true })
    assert.are.same({ "headers", "chunk", "failed" },
      { list[1][1], list[2][1], list[3][1] })
    assert.are.same({ "abc", "broken" }, { list[2][2], event[2] })
  end)
end)

describe("an answer that leaves a doubt", function()
  local function head(...)
    return "HTTP/1.1 200 OK\r\n" .. table.concat({ ... }, "\r\n")
      .. "\r\n\r\n"
  end
  local many = {}
  for i = 1, 300 do
    many[i] = "X-" .. i .. ": y"
  end
  local long = {}
  for i = 1, 40 do
    long[i] = "X-" .. i .. ": " .. ("y"):rep(10000)
  end
  for name, case in pairs({
    -- Newer libcurls find these two first, and use other words.
    ["two different lengths"] = { "protocol", "Content%-Length",
      head("Content-Length: 3", "Content-Length: 4") .. "abcd" },
    ["a list of lengths"] = { "protocol", "Content%-Length",
      head("Content-Length: 3, 4") .. "abcd" },
    ["a length beyond 2^63"] = { "too_large", "Content%-Length",
      head("Content-Length: 9223372036854775808") .. "abc" },
    ["a length beyond all numbers"] = { "too_large", "Content%-Length",
      head("Content-Length: " .. ("9"):rep(60)) .. "abc" },
    ["a negative length"] = { "protocol", "Content%-Length",
      head("Content-Length: -1") .. "abc" },
    ["a length with a sign"] = { "protocol", "Content%-Length",
      head("Content-Length: +3") .. "abc" },
    ["a length that is no number"] = { "protocol", "Content%-Length",
      head("Content-Length: many") .. "abc" },
    ["a length that ends in words"] = { "protocol", "Content%-Length",
      head("Content-Length: 3 or 4") .. "abc" },
    ["an empty length"] = { "protocol", "Content%-Length",
      head("Content-Length:") .. "abc" },
    ["a length and chunks"] = { "protocol", "both",
      head("Content-Length: 3", "Transfer-Encoding: chunked")
        .. "3\r\nabc\r\n0\r\n\r\n" },
    ["chunks and a length"] = { "protocol", "both",
      head("Transfer-Encoding: chunked", "Content-Length: 3")
        .. "3\r\nabc\r\n0\r\n\r\n" },
    ["chunks in HTTP/1.0"] = { "protocol", "HTTP/1.0",
      "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        .. "3\r\nabc\r\n0\r\n\r\n" },
    ["a compressed transfer"] = { "protocol", "Transfer%-Encoding",
      head("Transfer-Encoding: gzip, chunked") .. "3\r\nabc\r\n0\r\n\r\n" },
    ["chunks twice"] = { "protocol", "Transfer%-Encoding",
      head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked")
        .. "3\r\nabc\r\n0\r\n\r\n" },
    ["a chunk without a length"] = { "protocol", "chunk",
      head("Transfer-Encoding: chunked") .. "zz\r\nabc\r\n0\r\n\r\n" },
    ["a chunk of a length beyond 2^64"] = { "protocol", "chunk",
      head("Transfer-Encoding: chunked") .. "fffffffffffffffff\r\nabc" },
    ["a compressed body"] = { "protocol", "Content%-Encoding",
      head("Content-Encoding: gzip", "Content-Length: 3") .. "abc" },
    ["a body compressed by something unknown"] = { "protocol",
      "Content%-Encoding", head("content-encoding: zz") .. "abc" },
    ["a second, compressing encoding"] = { "protocol", "Content%-Encoding",
      head("Content-Encoding: identity", "Content-Encoding: br") .. "abc" },
    ["a second encoding that changes nothing"] = { "protocol",
      "Content%-Encoding", head("Content-Encoding: br",
        "Content-Encoding: identity") .. "abc" },
    ["an upgrade that nobody asked for"] = { "protocol", "101",
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        .. "Connection: Upgrade\r\n\r\nabc" },
    ["HTTP/0.9"] = { "protocol", "", "just this" },
    ["another protocol"] = { "protocol", "", "SSH-2.0-OpenSSH_9.2\r\n" },
    ["a status of two digits"] = { "protocol", "",
      "HTTP/1.1 20 OK\r\nContent-Length: 3\r\n\r\nabc" },
    ["status 0"] = { "protocol", "",
      "HTTP/1.1 000 Nothing\r\nContent-Length: 3\r\n\r\nabc" },
    ["HTTP/3 over TCP"] = { "protocol", "",
      "HTTP/3 200\r\nContent-Length: 3\r\n\r\nabc" },
    ["a header without a colon"] = { "protocol", "",
      head("Content-Length 3") .. "abc" },
    ["white space before the colon"] = { "protocol", "malformed",
      head("Content-Length : 3") .. "abc" },
    ["a NUL in a header"] = { "protocol", "",
      head("X: y\0z", "Content-Length: 3") .. "abc" },
    ["too many headers"] = { "too_large", "head", head(compat.unpack(many)) },
    ["headers of too many bytes"] = { "too_large", "head",
      head(compat.unpack(long)) },
    ["a header line without end"] = { "too_large", "header line",
      "HTTP/1.1 200 OK\r\nX: " .. ("y"):rep(200000) },
    ["a status line without end"] = { "too_large", "header line",
      "HTTP/1.1 200 " .. ("y"):rep(200000) },
    ["interim answers without end"] = { "protocol", "interim",
      ("HTTP/1.1 102 Processing\r\n\r\n"):rep(200) .. head("Content-Length: 0")
    },
    ["trailers without end"] = { "too_large", "head",
      head("Transfer-Encoding: chunked") .. "3\r\nabc\r\n0\r\n"
        .. ("X: " .. ("y"):rep(1000) .. "\r\n"):rep(400) },
    ["a length over the limit"] = { "too_large", "over its limit",
      head("Content-Length: 2000") .. ("x"):rep(500) },
    ["chunks over the limit"] = { "too_large", "over its limit",
      head("Transfer-Encoding: chunked")
        .. ("64\r\n" .. ("x"):rep(100) .. "\r\n"):rep(20) .. "0\r\n\r\n" },
  }) do
    it("for " .. name .. " is refused as " .. case[1], function()
      local url = sends(case[3])
      local event = run({ url = url, max_body = 1000, total = 20 })
      assert.are.same({ "failed", case[1] }, { event[1], event[2] })
      assert.is_truthy(event[3]:find(case[2]), event[3])
      assert.is_true(event[4])
      if case[2] ~= "over its limit" then
        local list
        event, list = run({ url = url, stream = true, total = 20 })
        assert.are.same({ "failed", case[1] }, { event[1], event[2] })
        assert.is_true(case[2] == "chunk" or case[2] == "head" or #list == 1)
      end
    end)
  end

  for name, case in pairs({
    ["the same length twice"] = { 200, "abc",
      head("Content-Length: 3", "Content-Length: 3") .. "abc" },
    ["an encoding that changes nothing"] = { 200, "abc",
      head("Content-Encoding: identity", "Content-Length: 3") .. "abc" },
    ["some interim answers"] = { 200, "abc",
      ("HTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 9\r\n\r\n")
        :rep(20) .. head("Content-Length: 3") .. "abc" },
    ["no length, up to the end"] = { 200, "abc", head("X: y") .. "abc" },
    ["trailers"] = { 200, "abc", head("Transfer-Encoding: chunked")
      .. "3\r\nabc\r\n0\r\nContent-Length: 7\r\nX: y\r\n\r\n" },
    ["no body, whatever its headers say"] = { 204, "",
      "HTTP/1.1 204 No Content\r\nContent-Encoding: gzip\r\n\r\n" },
    ["names that are no words"] = { 200, "abc",
      head("X-a!#$%&'*+.^_`|~9: y", "Content-Length: 3") .. "abc" },
  }) do
    it("is none with " .. name, function()
      local event = run({ url = sends(case[3]), total = 20 })
      assert.are.same({ "done", case[1], case[2] },
        { event[1], event[2], event[4] })
      assert.is_nil(event[3]:find("Content-Length: [79]"))
    end)
  end

  -- Newer libcurls put the parts together, as they may, before they tell.
  it("for a folded header is refused, or there is none left", function()
    local event = run({ total = 20,
      url = sends(head("X: y", " z", "Content-Length:", " 3") .. "abcd") })
    if event[1] == "failed" then
      assert.are.equal("protocol", event[2])
      assert.is_truthy(event[3]:find("malformed"), event[3])
    else
      assert.are.same({ "done", 200, "abc" }, { event[1], event[2], event[4] })
      assert.is_truthy(event[3]:find("X: y z\r?\n"), event[3])
    end
  end)

  it("is none where the caller has asked for an encoding", function()
    local event = run({ headers = { "Accept-Encoding: gzip" },
      url = sends(head("Content-Encoding: gzip", "Content-Length: 3")
        .. "abc") })
    assert.are.same({ "done", 200, "abc" }, { event[1], event[2], event[4] })
  end)

  it("is none for a HEAD", function()
    local event = run({ method = "HEAD", max_body = 1000,
      url = sends(head("Content-Encoding: gzip", "Content-Length: 3000")) })
    assert.are.same({ "done", 200, "" }, { event[1], event[2], event[4] })
  end)
end)

describe("a kept connection that dies under a request", function()
  -- Answers "/", and does to others what the script says once it has them.
  local function dying(fate)
    return serve(([[
      while true do
        local req = c:request()
        if not req then return end
        if req.path == "/" then c:respond(200, "x")
        else %s return end
      end
    ]]):format(fate))
  end

  local function requests(method)
    local count = 0
    for _, line in ipairs(server:received()) do
      count = count + (line:find("^" .. method .. " /die ") and 1 or 0)
    end
    return count
  end

  local fates = {
    ["a close"] = "c:close()",
    ["a reset"] = "c:reset()",
    ["a piece of a status line"] = "c:send('HTTP/1.1 2') c:close()",
  }
  for fate, script in pairs(fates) do
    for name, options in pairs({
      ["a POST"] = { method = "POST" },
      ["a POST with a body"] = { method = "POST", body = "once" },
      ["a POST with a body in parts"] = { method = "POST",
        body = { "on", "ce" } },
      ["a PATCH"] = { method = "PATCH" },
      ["a PATCH with a body"] = { method = "PATCH", body = "once" },
    }) do
      it("by " .. fate .. " takes " .. name .. " once", function()
        local url = dying(script)
        assert.are.equal("done", run({ url = url .. "/" })[1])
        options.url, options.total = url .. "/die", 20
        local event = run(options)
        assert.are.same({ "failed", "connect", true },
          { event[1], event[2], event[4] })
        assert.are.equal(1, requests(options.method))
        options.url = url .. "/" -- and what comes next goes on as ever
        assert.are.equal("done", run(options)[1])
      end)
    end
  end

  it("lets a GET go out again", function()
    local url = serve([[
      while true do
        local req = c:request()
        if not req then return end
        if req.path == "/die" and n == 1 then return c:close() end
        c:respond(200, tostring(n))
      end
    ]])
    run({ url = url .. "/" })
    local event = run({ url = url .. "/die" })
    assert.are.same({ "done", "2" }, { event[1], event[4] })
    assert.are.equal(2, requests("GET"))
  end)

  it("and was closed before costs no request", function()
    local url = serve([[
      c:request()
      c:respond(200, tostring(n))
      c:close()
      log("closed")
    ]])
    for i = 1, 3 do
      local event = run({ method = "POST", url = url, body = "x", total = 20 })
      assert.are.same({ "done", tostring(i) }, { event[1], event[4] })
      server:await("closed")
      loop:wait(0.02)
    end
  end)
end)

describe("a request that fails", function()
  it("before it could leave says so", function()
    for _, url in ipairs({ "http://127.0.0.1:1/",
      "http://" .. peer.NOWHERE .. "/", "https://127.0.0.1:1/" }) do
      local event = run({ method = "POST", url = url, body = "x", total = 20 })
      assert.are.same({ "failed", false }, { event[1], event[4] })
    end
    local url = serve("c:sleep(60)"):gsub("^http", "https")
    local event = run({ method = "POST", url = url, connect = 0.2 })
    assert.are.same({ "failed", "timeout", false },
      { event[1], event[2], event[4] })
  end)

  it("after it has left says that too", function()
    local url = serve("c:request() c:sleep(60)")
    local event = run({ method = "POST", url = url, total = 2 })
    assert.are.same({ "failed", "timeout", true },
      { event[1], event[2], event[4] })
    local op = assert(loop:http({ method = "POST", url = url }))
    local deadline = core.now() + FAR
    while #server:received() < 2 and core.now() < deadline do
      loop:wait(0.02)
    end
    op:cancel()
    event = finish(op)
    assert.are.same({ "failed", "cancelled", true },
      { event[1], event[2], event[4] })
  end)
end)

describe("the limit of an answer's head", function()
  local function timed(options)
    local begin = core.now()
    local event = run(options)
    return event, core.now() - begin
  end

  for name, script in pairs({
    ["silence"] = "c:request() c:sleep(60)",
    ["a status line that drips"] = [[
      c:request()
      for byte in ("HTTP/1.1 200 OK" .. (" and so on"):rep(40)):gmatch(".") do
        c:send(byte) c:sleep(0.05)
      end ]],
    ["headers that drip"] = [[
      c:request() c:send("HTTP/1.1 200 OK\r\n")
      for i = 1, 400 do c:send("X: y\r\n") c:sleep(0.05) end ]],
    ["interim answers that drip"] = [[
      c:request()
      for i = 1, 100 do -- more are too many
        c:send("HTTP/1.1 102 Processing\r\n\r\n") c:sleep(0.05)
      end ]],
  }) do
    it("ends " .. name, function()
      local event, took = timed({ url = serve(script), head = 0.4 })
      assert.are.same({ "failed", "timeout", "no answer within 0.4 s", true },
        event)
      assert.is_true(took > 0.35 and took < 15, took) -- the peer takes 20 s
    end)
  end

  it("counts from the end of the request, however long that takes", function()
    local url = serve("c:request() c:respond(200, 'x')")
    local op = assert(loop:http({ method = "POST", url = url, upload = true,
      head = 2, idle = 2 }))
    for _ = 1, 2 do -- the user's time is nobody's silence
      op:send_body("piece")
      local pause = core.now() + 2.5
      while core.now() < pause do
        loop:wait(0.05)
      end
    end
    op:send_body("", true)
    assert.are.equal("done", finish(op)[1])
  end)

  it("ends an upload that nobody answers", function()
    local url = serve("c:request() c:sleep(60)")
    local begin = core.now()
    local op = assert(loop:http({ method = "POST", url = url, upload = true,
      head = 0.3 }))
    op:send_body("piece", true)
    local event = finish(op)
    assert.are.same({ "failed", "timeout", true },
      { event[1], event[2], event[4] })
    assert.is_true(core.now() - begin < 20) -- the peer sleeps for 60 s
  end)

  it("does not count for a body", function()
    local url = serve([[
      c:request() c:send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
      for i = 1, 8 do c:sleep(0.5) c:send("x") end
    ]])
    local event = run({ url = url, head = 3, idle = 3.5 })
    assert.are.same({ "done", "xxxxxxxx" }, { event[1], event[4] })
  end)
end)

describe("a file in a body", function()
  local CONTENT = ("0123456789abcdef"):rep(65536)
  local path, file

  before_each(function()
    path = os.tmpname()
    file = assert(io.open(path, "w+b"))
    assert(file:write(CONTENT))
    file:flush()
    file:seek("set")
  end)

  after_each(function()
    file:close()
    os.remove(path)
  end)

  local function begin(size)
    local url = serve("c:request() c:respond(200, 'x')")
    return assert(loop:http({ method = "POST", url = url, upload = true,
      upload_size = size }))
  end

  for name, size in pairs({ ["of known size"] = #CONTENT + 9,
    ["of unknown size"] = -1 })
  do
    it(name .. " is between what is given before and after", function()
      local op = begin(size)
      op:send_body("he")
      op:send_body("ad ")
      assert.is_true(op:send_file(file, 0))
      assert.is_true(op:send_file(file, #CONTENT))
      assert.are.equal("argument", select(2, op:send_file(file, 1)))
      assert.are.equal(0, file:seek())
      if size < 0 then
        file:close() -- the core has its own
        file = io.tmpfile()
      end
      op:send_body("tail", true)
      assert.are.equal("done", finish(op)[1])
      local body = server:received()[1]:match("\r\n\r\n(.*)$")
      assert.is_true(body == "head " .. CONTENT .. "tail")
      assert.are.equal(size > 0 and "0123" or nil, file:read(4)) -- unmoved
    end)
  end

  it("that has become shorter ends the request", function()
    local op = begin(#CONTENT + 9)
    op:send_file(file, #CONTENT + 9)
    op:send_body("", true)
    assert.are.same({ "failed", "file", "the file has become shorter", true,
      0 }, finish(op))
  end)

  it("that cannot be read ends it, with the system's reason", function()
    local mem = assert(io.open("/proc/self/mem", "rb"))
    local op = begin(9)
    op:send_file(mem, 9)
    mem:close()
    op:send_body("", true)
    local event = finish(op)
    assert.are.same({ "failed", "file", "Input/output error", 5 },
      { event[1], event[2], event[3], event[5] })
  end)

  it("has to be one of Lua's that is open", function()
    local op = begin(9)
    file:close()
    for _, no_file in ipairs({ file, path, false }) do
      assert.is_false((pcall(op.send_file, op, no_file, 9)))
    end
    file = io.tmpfile()
    assert.is_false((pcall(op.send_file, op, file, -1)))
    assert.is_false((pcall(op.send_file, op, file, 0 / 0)))
    op:cancel()
    assert.are.equal("closed", select(2, op:send_file(file, 9)))
  end)
end)

describe("a connection that nobody uses", function()
  -- Answers; then, once the file `go` is there, does what the path says.
  local KEEPING = [[
    local acts = {
      ["/close"] = function() c:close() end,
      ["/reset"] = function() c:reset() end,
      -- An answer to a request that has not come.
      ["/more"] = function() c:respond(200, "more") end,
    }
    while true do
      local req = c:request()
      if not req then return log("end of " .. n) end
      if req.path == "/sleep" then c:sleep(0.3) end
      c:respond(200, tostring(n))
      local act = acts[req.path]
      if act then
        while not os.remove(go) do c:sleep(0.01) end
        act()
        log("said")
        if req.path ~= "/more" then return end
      end
    end
  ]]

  local function wait_until(condition, seconds)
    local deadline = core.now() + (seconds or FAR)
    repeat
      assert(loop:wait(0.05))
      assert.is_nil((loop:next()))
      local met = condition()
    until met or core.now() > deadline
    return condition()
  end

  local function ended(number)
    for _, line in ipairs(server:received()) do
      if line == "end of " .. number then
        return true
      end
    end
    return false
  end

  local before, url, go

  -- An answer must have been read before its server says more.
  local function let_it_speak()
    assert(io.open(go, "w")):close()
    server:await("said")
  end

  local function all_closed()
    return sockets() <= before
  end

  before_each(function()
    -- What the loop keeps for itself is open after its first request.
    url = serve("c:request() c:respond(200, 'x', {'Connection: close'})"
      .. " c:close()")
    run({ url = url })
    server:stop()
    go = os.tmpname()
    os.remove(go)
    url = serve(("local go = %q\n"):format(go) .. KEEPING)
    before = sockets()
  end)

  for _, path in ipairs({ "close", "reset", "more" }) do
    it("is closed when the server has said " .. path, function()
      for _ = 1, 3 do
        assert.are.equal("done", run({ url = url .. "/" .. path })[1])
        assert.is_true(sockets() > before)
        let_it_speak()
        assert.is_true(wait_until(all_closed))
      end
    end)

    it("is not used again after a " .. path .. " that nobody saw", function()
      assert.are.equal("1", run({ url = url .. "/" .. path })[4])
      let_it_speak() -- the loop takes no step, as in a program that computes
      local event = run({ method = "POST", url = url .. "/", total = 20 })
      assert.are.same({ "done", "2" }, { event[1], event[4] })
    end)
  end

  it("is closed for its owner, and for nobody else", function()
    for owner = 1, 3 do -- all at once, so that each has its own
      loop:http({ url = url .. "/sleep", owner = owner })
    end
    local ops = {}
    for owner = 1, 3 do
      ops[owner] = assert(loop:http({ url = url .. "/sleep", owner = owner }))
    end
    local numbers = {}
    local left = 6
    while left > 0 do
      loop:wait(1)
      local event = { loop:next() }
      left = left - (event[2] == "done" and 1 or 0)
      for owner, op in ipairs(ops) do
        if event[1] == op:id() then
          assert.are.equal("done", event[2])
          numbers[owner] = event[5]
        end
      end
    end
    local open = sockets()
    loop:release(2)
    assert.is_true(wait_until(function() return ended(numbers[2]) end))
    assert.is_true(wait_until(function()
      return sockets() < open
    end))
    assert.is_false(ended(numbers[1]) or ended(numbers[3]))
    assert.are.equal("done", run({ url = url .. "/" })[1])
  end)

  it("and belongs to someone who has gone is not kept", function()
    local op = assert(loop:http({ url = url .. "/sleep", owner = 7 }))
    local deadline = core.now() + FAR
    while #server:received() < 1 and core.now() < deadline do
      loop:wait(0.02)
    end
    loop:release(7)
    assert.are.equal("done", finish(op)[1]) -- what is under way goes on
    assert.is_true(wait_until(all_closed))
    assert.is_true(ended(1))
  end)

  it("costs no time while it is kept", function()
    run({ url = url .. "/" })
    local turns, deadline = 0, core.now() + 0.5
    while core.now() < deadline do
      assert(loop:wait(deadline - core.now()))
      turns = turns + 1
    end
    assert.is_true(turns < 10, turns)
    assert.are.equal("1", run({ url = url .. "/" })[4])
  end)
end)
