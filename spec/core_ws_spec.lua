-- wrenn.core's WebSockets: opening, messages, closing, refusals, silence and
-- back-pressure, against scripted peers.

local compat = require("spec.support.compat")
local core = require("wrenn.core")
local peer = require("spec.support.peer")

local TERMINAL = { closed = true, failed = true }

describe("a WebSocket", function()
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

  local function open(script, options)
    server = peer.start(script)
    options = options or {}
    options.url = server.url:gsub("^http", "ws") .. (options.path or "/")
    options.path = nil
    return assert(loop:ws(options))
  end

  -- Runs to the terminal event; returns it and the frames before it.
  local function finish(op)
    local frames = {}
    local deadline = core.now() + 30
    while true do
      local event = { loop:next() }
      if event[2] == "frame" then
        frames[#frames + 1] = event[3]
      elseif TERMINAL[event[2]] and event[1] == op:id() then
        return { compat.unpack(event, 2) }, frames
      elseif not event[1] then
        assert(core.now() < deadline, "no terminal event")
        assert(loop:wait(0.5))
      end
    end
  end

  it("sends what was queued before it was open, in order", function()
    local op = open([[
      c:upgrade() c:read_frame() c:read_frame() c:read_frame() c:close()
    ]], { headers = { "X-API-Key: k" } })
    assert.is_true(op:send("one"))
    assert.is_true(op:send(("b"):rep(200000)))
    assert.is_true(op:send("\0\255", true))
    assert.are.equal(200005, op:unsent())
    finish(op)
    local seen = server:received()
    assert.is_truthy(seen[1]:find("X%-API%-Key: k\r\n"))
    assert.are.same({ "one", 200000, "\0\255" }, { seen[2], #seen[3], seen[4] })
  end)

  it("hands raw messages on as they are", function()
    local op = open([[ c:upgrade() c:text("t") c:binary("\0\255") c:close() ]])
    local event, frames = finish(op)
    assert.are.same({ { data = "t" }, { data = "\0\255", binary = true } },
      frames)
    assert.are.equal("closed", event[1])
  end)

  it("decodes frames, also when they come in pieces", function()
    local op = open([[
      c:upgrade()
      c:frame(1, '{"type":"std', true)
      c:frame(9, "ping in between")
      c:frame(0, 'out","da', true)
      c:frame(0, 'ta":"x"}')
      c:text('{"type":"exit"}\n')
      c:read_frame() -- the pong: data that meets a closed socket resets it
      c:close()
    ]], { codec = "stream" })
    local _, frames = finish(op)
    assert.are.same({ { type = "stdout", data = "x" },
      { type = "exit", exit_code = -1 } }, frames)
  end)

  for name, case in pairs({
    ["a close frame"] = { [[ c:close_frame(1011, "why") c:read_frame() ]],
      1011, "why" },
    ["an end without a close frame"] = { [[ c:close() ]], 1006, "" },
    ["a reset"] = { [[ c:sleep(0.05) c:reset() ]], 1006, "" },
  }) do
    it("ends with closed after " .. name, function()
      local op = open("c:upgrade() " .. case[1])
      assert.are.same({ "closed", case[2], case[3] }, (finish(op)))
    end)
  end

  it("closes in good order: what was sent leaves first", function()
    local op = open([[
      c:upgrade()
      local opcode
      repeat
        opcode = c:read_frame()
      until opcode == 8 or not opcode
      log("opcode " .. tostring(opcode))
      c:close_frame(1000)
    ]])
    op:send("last words")
    op:close()
    assert.are.same({ "closed", 1000, "" }, (finish(op)))
    assert.are.same({ nil, "closed", "closed" }, { op:send("too late") })
    local seen = server:received()
    assert.are.equal("last words", seen[2])
    assert.are.equal("opcode 8", seen[#seen])
  end)

  it("does not wait for ever for a peer that takes nothing", function()
    local op = open([[ c:upgrade() c.sock:read_stop() c:sleep(20) ]])
    op:send(("x"):rep(64 * 1024 * 1024))
    op:close()
    local event = finish(op)
    assert.are.same({ "closed", 1006 }, { event[1], event[2] })
  end)

  it("reports a refused upgrade with status, headers and body", function()
    local op = open([[
      c:request()
      c:respond(401, '{"error":{"code":"unauthorized"}}',
        {"Content-Type: application/json", "X-Request-ID: req_1"})
    ]])
    local event = finish(op)
    assert.are.same({ "failed", "refused", 401 },
      { event[1], event[2], event[4] })
    assert.is_truthy(event[5]:lower():find("x-request-id: req_1", 1, true))
    assert.are.equal('{"error":{"code":"unauthorized"}}', event[6])
  end)

  it("sends a path as it is, however long", function()
    local path = "/" .. ("a%2F"):rep(5000) .. "?q=../x"
    local op = open([[ c:upgrade() c:close_frame(1000) c:read_frame() ]],
      { path = path })
    assert.are.equal("closed", finish(op)[1])
    assert.are.equal(path, server:received()[1]:match("^GET (%S+) HTTP/1.1"))
  end)

  -- The framing of a refusal's body must not matter.
  local why = '{"error":{"code":"unauthorized","message":"'
    .. ("m"):rep(3000) .. '"}}'
  for name, rest in pairs({
    ["of a given length"] = [[c:send("Content-Length: " .. #why .. "\r\n\r\n")
      c:send(why:sub(1, 10)) c:sleep(0.05) c:send(why:sub(11)) c:sleep(60)]],
    ["in chunks"] = [[
      c:send("Transfer-Encoding: chunked\r\n\r\n")
      for at = 1, #why, 700 do
        local part = why:sub(at, at + 699)
        c:send(("%x;x=y\r\n"):format(#part)) c:sleep(0.01)
        c:send(part .. "\r") c:sleep(0.01) c:send("\n")
      end
      c:send("0\r\nTrailer: t\r\n\r\n") c:sleep(60)]],
    ["up to the end"] = [[c:send("\r\n") c:send(why) c:sleep(0.05) c:close()]],
  }) do
    it("reports the whole body of a refusal " .. name, function()
      local op = open(("local why = %q c:request()"):format(why)
        .. [[ c:send("HTTP/1.1 401 Unauthorized\r\nX-Request-ID: r\r\n") ]]
        .. rest)
      local begin = core.now()
      local event = finish(op)
      assert.are.same({ "failed", "refused", 401 },
        { event[1], event[2], event[4] })
      assert.are.equal(why, event[6])
      assert.is_true(core.now() - begin < 20) -- the peer stays for 60 s
    end)
  end

  it("waits for the body of a refusal only so long, and so much", function()
    local op = open([[
      c:request()
      c:send("HTTP/1.1 503 No\r\nContent-Length: 99\r\n\r\nbecause")
      c:sleep(60)
    ]], { connect = 2 })
    local begin = core.now()
    local event = finish(op)
    assert.are.same({ "refused", 503, "because" },
      { event[2], event[4], event[6] })
    assert.is_true(core.now() - begin < 20) -- the peer stays for 60 s
    server:stop()
    op = open([[
      c:request()
      c:send("HTTP/1.1 503 No\r\n\r\n")
      for _ = 1, 100 do c:send(("x"):rep(10000)) end
      c:sleep(60)
    ]])
    event = finish(op)
    assert.are.same({ "refused", 503, 256 * 1024 },
      { event[2], event[4], #event[6] })
  end)

  it("passes over interim answers", function()
    local op = open([[
      local req = c:request()
      c:send("HTTP/1.1 100 Continue\r\n\r\n")
      c:send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
      c:upgrade(req) c:text("in") c:close_frame(1000) c:read_frame()
    ]])
    local event, frames = finish(op)
    assert.are.equal("closed", event[1])
    assert.are.same({ { data = "in" } }, frames)
  end)

  it("handles what comes in one piece with the 101, or in many", function()
    for _, step in ipairs({ 1, 100000 }) do
      local op = open(([[
        local all, send = {}, c.send
        function c:send(data) all[#all + 1] = data end
        c:upgrade() c:text("one") c:frame(9, "p") c:text(("x"):rep(300))
        c:binary("") c:close_frame(1001, "away")
        all = table.concat(all)
        c.send = nil
        for at = 1, #all, %d do
          send(c, all:sub(at, at + %d - 1))
          c:sleep(0)
        end
        c:read_frame()
      ]]):format(step, step))
      local event, frames = finish(op)
      assert.are.same({ "closed", 1001, "away" }, event)
      assert.are.same({ { data = "one" }, { data = ("x"):rep(300) },
        { data = "", binary = true } }, frames)
      server:stop()
    end
  end)

  it("answers a ping, and a close frame with its code", function()
    local op = open([[
      c:upgrade() c:frame(9, "payload")
      local opcode, data = c:read_frame()
      log("pong " .. opcode .. data)
      c:close_frame(4001, "why")
      opcode, data = c:read_frame()
      log("close " .. opcode .. " " .. string.unpack(">I2", data))
    ]])
    assert.are.same({ "closed", 4001, "why" }, (finish(op)))
    local deadline = core.now() + 20
    repeat
      local seen = server:received()
    until #seen >= 5 or core.now() > deadline
    local seen = server:received()
    assert.are.same({ "pong 10payload", "close 8 4001" }, { seen[3], seen[5] })
  end)

  for name, ending in pairs({ ["an end"] = "c:close()", ["a reset"] =
    "c:sleep(0.05) c:reset()" }) do
    it("delivers what came right before " .. name, function()
      local op = open([[
        c:upgrade()
        local all, send = {}, c.send
        function c:send(data) all[#all + 1] = data end
        for i = 1, 50 do c:text(("x"):rep(i * 20)) end -- what has room here
        c:text('last')
        send(c, table.concat(all)) -- a reset drops what has not left
      ]] .. ending)
      local event, frames = finish(op)
      assert.are.same({ "closed", 1006, "" }, event)
      assert.are.equal(51, #frames)
      assert.are.equal("last", frames[51].data)
    end)

    it("takes " .. name .. " inside the answer for an error", function()
      local op = open([[ c:request() c:send("HTTP/1.1 101 Sw") ]] .. ending)
      local event = finish(op)
      assert.are.same({ "failed", "broken" }, { event[1], event[2] })
    end)
  end

  local function frame_of(first, length, payload)
    return ([[c:upgrade() c:send(string.char(%d, %d) .. %q)]])
      :format(first, length, payload or "")
  end
  local HEAD = 'HTTP/1.1 101 S\r\nUpgrade: websocket\r\n'
    .. 'Connection: keep-alive, Upgrade\r\n'
  local function head_of(lines, accept)
    return ([[
      local req = c:request()
      c.send_plain, c.send = c.send, function(self, text)
        self:send_plain((text:gsub("^.-\r\n\r\n", %q .. %s .. "\r\n")))
      end
      c:upgrade(req)
    ]]):format(HEAD .. lines, accept or [[text:match(
          "Sec%-WebSocket%-Accept:[^\n]*\n")]])
  end
  for name, case in pairs({
    ["a masked frame"] = { frame_of(0x81, 0x82, "abcdef"), "masked" },
    ["reserved bits"] = { frame_of(0xc1, 1, "x"), "reserved" },
    ["an unknown opcode"] = { frame_of(0x83, 1, "x"), "opcode" },
    ["an unknown control opcode"] = { frame_of(0x8b, 0), "opcode" },
    ["a continuation of nothing"] = { frame_of(0x80, 1, "x"), "continues" },
    ["a message inside another"] = { [[
      c:upgrade() c:frame(1, "a", true) c:frame(1, "b") ]], "inside" },
    ["a control frame in pieces"] = { frame_of(0x09, 1, "x"), "in pieces" },
    ["a long control frame"] = { [[ c:upgrade() c:frame(9, ("x"):rep(126)) ]],
      "over 125" },
    ["a length in a longer form"] = { frame_of(0x81, 126, "\0\1x"),
      "shortest" },
    ["a negative length"] = { frame_of(0x81, 127, "\255" .. ("\0"):rep(7)),
      "negative" },
    ["a close frame of one byte"] = { frame_of(0x88, 1, "x"), "one byte" },
    ["a close code that is not for the wire"] = {
      [[ c:upgrade() c:close_frame(1006) ]], "code" },
    ["a close reason that is not UTF-8"] = {
      [[ c:upgrade() c:close_frame(1000, "\255") ]], "UTF%-8" },
    ["a wrong accept"] = { head_of("", [["Sec-WebSocket-Accept: no\r\n"]]),
      "Accept" },
    ["no accept"] = { head_of("", '""'), "Accept" },
    ["a 101 for something else"] = { [[
      c:request() c:send("HTTP/1.1 101 S\r\nUpgrade: h2c\r\n"
        .. "Connection: Upgrade\r\n\r\n") ]], "WebSocket" },
    ["an extension"] = { head_of(
      "Sec-WebSocket-Extensions: permessage-deflate\r\n"), "extension" },
    ["a protocol"] = { head_of("Sec-WebSocket-Protocol: chat\r\n"),
      "protocol" },
    ["no HTTP"] = { [[ c:request() c:send("SSH-2.0-x\r\n") ]], "not HTTP" },
    ["no HTTP, and no line"] = { [[ c:request() c:send("SSH") ]], "not HTTP" },
    ["two lengths"] = { [[ c:request() c:send("HTTP/1.1 400 B\r\n"
      .. "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx") ]], "lengths" },
  }) do
    it("takes " .. name .. " from no server", function()
      local op = open(case[1] .. " c:sleep(60)", { codec = "raw" })
      local event = finish(op)
      assert.are.same({ "failed", "protocol" }, { event[1], event[2] },
        event[3])
      assert.is_truthy(event[3]:find(case[2]), event[3])
    end)
  end

  it("takes a protocol that it has asked for", function()
    local op = open(head_of("Sec-WebSocket-Protocol: b\r\n")
      .. [[ c.send = nil c:close_frame(1000) c:read_frame() ]],
      { headers = { "Sec-WebSocket-Protocol: a, b" } })
    assert.are.equal("closed", finish(op)[1])
  end)

  it("takes headers up to a limit", function()
    local op = open([[ c:request() c:send("HTTP/1.1 101 S\r\n")
      for _ = 1, 400 do c:send("X: " .. ("y"):rep(1000) .. "\r\n") end
      c:sleep(60) ]])
    local event = finish(op)
    assert.are.same({ "failed", "too_large" }, { event[1], event[2] })
  end)

  it("does not follow a redirect", function()
    local op = open([[ c:request() c:respond(302, "", {"Location: /x"}) ]])
    local event = finish(op)
    assert.are.same({ "refused", 302 }, { event[2], event[4] })
    assert.are.equal(1, #server:received())
  end)

  for name, case in pairs({
    ["a wrong handshake"] = { "protocol", [[
      c:request()
      c:send("HTTP/1.1 101 X\r\nUpgrade: websocket\r\n"
        .. "Connection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n") ]] },
    ["a malformed frame"] = { "protocol", [[ c:upgrade() c:text("[]") ]] },
    ["a message over its limit"] = { "too_large",
      [[ c:upgrade() c:text(("x"):rep(5000)) ]] },
    ["silence"] = { "timeout", [[ c:sleep(5) ]] },
    ["a lost connection"] = { "connect", [[ c:request() c:reset() ]] },
  }) do
    it("reports " .. name .. " as " .. case[1], function()
      local op = open(case[2], { codec = "stream",
        connect = case[1] == "timeout" and 0.5 or 20, max_message = 1000 })
      local event = finish(op)
      assert.are.same({ "failed", case[1] }, { event[1], event[2] })
    end)
  end

  it("reports a refused connection and an unknown host", function()
    local op = loop:ws({ url = "ws://127.0.0.1:1/" })
    assert.are.equal("connect", finish(op)[2])
    op = loop:ws({ url = "ws://" .. peer.NOWHERE .. "/" })
    assert.are.equal("resolve", finish(op)[2])
  end)

  it("pings a silent peer and gives up on a dead one", function()
    local op = open([[ c:upgrade() c:sleep(5) ]], { ping = 0.1 })
    local event = finish(op)
    assert.are.same({ "failed", "timeout" }, { event[1], event[2] })
  end)

  it("keeps a connection whose peer answers pings", function()
    local op = open([[
      c:upgrade()
      for _ = 1, 4 do
        local opcode, data = c:read_frame()
        if opcode == 9 then c:frame(10, data) end
      end
      c:text("still here")
      c:close()
    ]], { ping = 1 })
    local event, frames = finish(op)
    assert.are.equal("closed", event[1])
    assert.are.same({ { data = "still here" } }, frames)
  end)

  it("does not take its own absence for the peer's silence", function()
    local op = open([[
      c:upgrade()
      repeat
        local opcode = c:read_frame()
        if opcode == 9 then c:frame(10, "") end
      until opcode ~= 9
      c:close()
    ]], { ping = 1 })
    repeat
      assert(loop:wait(1))
    until select(2, loop:next()) == "opened"
    for _ = 1, 2 do
      os.execute("sleep 3.5") -- at work, and away from the loop
      loop:step()
    end
    assert(op:send("y"))
    local event = finish(op)
    assert.are.equal("closed", event[1], event[3])
  end)

  it("stops reading while paused, and loses nothing", function()
    local op = open([[
      c:upgrade()
      for i = 1, 2000 do c:text(("%08d"):format(i) .. ("x"):rep(8000)) end
      c:close_frame(1000)
      repeat until not c:read_frame() -- a ping that is left would be a reset
    ]], { ping = 1.5 })
    loop:pause(op:id(), true)
    local quiet = core.now() + 5
    while core.now() < quiet do
      loop:wait(0.1)
      local event = { loop:next() }
      assert.is_true(event[2] == nil or event[2] == "opened")
    end
    loop:pause(op:id(), false)
    local event, frames = finish(op)
    assert.are.equal("closed", event[1], event[3])
    assert.are.equal(2000, #frames)
    for i, frame in ipairs(frames) do
      assert.are.equal(i, tonumber(frame.data:sub(1, 8)))
    end
  end)

  -- libcurl knows nothing of what becomes of a connection that it has handed
  -- over, and closes what looks dead to it when it looks at those it keeps.
  for name, case in pairs({
    ["ends"] = { [[ c:close() ]] },
    ["has said something and ends"] = {
      [[ c:text("last words") c:close() ]], says = "last words",
    },
    ["has said something"] = {
      [[ c:text("first words") c:read_frame() c:close() ]],
      says = "first words", listens = true,
    },
  }) do
    it("is its own while libcurl looks at idle connections: the peer "
      .. name, function()
      local op = open([[
        local req = c:request()
        if req.path == "/plain" then
          c:respond(200, "ok")
          return c:read(1)
        end
        c:upgrade(req)
        c:read_frame()
      ]] .. case[1])
      local plain = server.url .. "/plain"
      local deadline = core.now() + 60
      local function next_of(id)
        while true do
          local event = { loop:next() }
          if event[1] == id then
            return event
          elseif not event[1] then
            assert(core.now() < deadline, "no event")
            loop:wait(0.1)
          end
        end
      end
      assert.are.equal("opened", next_of(op:id())[2])
      op:send("go on")
      loop:pause(op:id(), true)
      -- libcurl looks at most once a second, when something was dropped.
      local until_then = core.now() + 3.5
      local owner = 0
      while core.now() < until_then do
        owner = owner + 1
        local other = assert(loop:http({ url = plain, owner = owner }))
        assert.are.equal("done", next_of(other:id())[2])
        loop:release(owner)
        local pause = core.now() + 0.3
        while core.now() < pause do
          loop:wait(pause - core.now())
          assert.is_nil((loop:next()))
        end
      end
      loop:pause(op:id(), false)
      if case.says then
        local event = next_of(op:id())
        assert.are.equal("frame", event[2], event[4])
        assert.are.equal(case.says, event[3].data)
      end
      if case.listens then
        assert.is_true(op:send("still here"))
      end
      local event = next_of(op:id())
      assert.are.same({ "closed", 1006 }, { event[2], event[3] })
    end)
  end

  -- Many small messages are read together, and share what holds them.
  describe("with many messages in one read", function()
    local MANY = 20000

    local function open_many(last)
      return open(([[
        c:upgrade()
        local frames = {}
        for i = 1, %d do
          local text = '{"type":"stdout","data":"' .. i .. '"}'
          frames[i] = string.char(0x81, #text) .. text
        end
        c:send(table.concat(frames))
        %s
        c:read_frame()
      ]]):format(MANY, last), { codec = "stream" })
    end

    it("passes on each, and then what is wrong with the next", function()
      local event, frames = finish(open_many([[ c:text('{"type":1}') ]]))
      assert.are.same({ "failed", "protocol",
        "malformed frame: type is not a string" },
        { event[1], event[2], event[3] })
      assert.are.equal(MANY, #frames)
      for i, frame in ipairs(frames) do
        assert.are.equal(tostring(i), frame.data)
      end
    end)

    it("passes on each with what is its own", function()
      local kinds = {
        '{"type":"stdout","data":"a"}',
        '{"type":"stderr","data":"\\u00e9"}',
        '{"type":"stdout","data":"b","pid":7}',
        '{"type":"stdout","data":""}',
        '{"type":"error","data":"no","fatal":true}',
        '{"type":"new","data":"c","tag":"t"}',
        '{"data":"d"}',
        '{"type":"exit","exit_code":3}',
      }
      local wanted = {
        { type = "stdout", data = "a" },
        { type = "stderr", data = "\195\169" },
        { type = "stdout", data = "b", pid = 7 },
        { type = "stdout", data = "" },
        { type = "error", data = "no", fatal = true },
        { type = "new", data = "c", tag = "t" },
        { type = "unknown", data = "d" },
        { type = "exit", exit_code = 3 },
      }
      local _, frames = finish(open(([==[
        c:upgrade()
        local frames = {}
        for text in ([=[%s]=]):gmatch("%%C+") do
          frames[#frames + 1] = string.char(0x81, #text) .. text
        end
        c:send(table.concat(frames):rep(%d))
        c:close()
      ]==]):format(table.concat(kinds, "\n"), MANY / #kinds),
        { codec = "stream" }))
      assert.are.equal(MANY, #frames)
      for i, frame in ipairs(frames) do
        assert.are.same(wanted[(i - 1) % #wanted + 1], frame)
      end
    end)

    it("passes on ends among binary messages", function()
      local _, frames = finish(open(([==[
        c:upgrade()
        local text = '{"type":"exit"}'
        c:send((string.char(0x81, #text) .. text .. "\x82\1x"):rep(%d))
        c:close()
      ]==]):format(MANY / 2), { codec = "pty" }))
      assert.are.equal(MANY, #frames)
      for i = 1, MANY, 2 do
        assert.are.same({ type = "exit", exit_code = -1 }, frames[i])
        assert.are.equal("x", frames[i + 1].data)
      end
    end)

    it("passes on none after it was cancelled", function()
      local op = open_many("")
      local count, rest, deadline = 0, {}, core.now() + 20
      repeat
        local _, what = loop:next()
        if what == "frame" then
          count = count + 1
        elseif not what then
          loop:wait(0.5)
        end
      until count == MANY / 2 + 1 or core.now() > deadline
      local id = op:id()
      op:cancel()
      repeat
        local event = { loop:next() }
        rest[#rest + 1] = event[1] == id and event[2] or nil
      until not event[1]
      assert.are.same({ "failed" }, rest)
    end)
  end)

  it("gives signs of life while paused, and only then", function()
    local op = open([[
      c:upgrade()
      for _ = 1, 2000 do c:text(("x"):rep(8000)) end
      for i = 1, 5 do
        repeat local opcode = c:read_frame() until opcode == 10
        c:frame(9, "ping " .. i)
        log("sign while paused")
      end
      c:text("patient")
      repeat
        local opcode, data = c:read_frame()
        if opcode == 1 then log(data) end
        if opcode == 10 then log("pong") log(data) end
        if opcode == 9 then log("ping") c:frame(10, data) end
      until opcode == 8
      c:close_frame(1000)
    ]], { ping = 0.5 })
    loop:pause(op:id(), true)
    local deadline = core.now() + 60
    local function count(word)
      local times = 0
      for _, line in ipairs(server:received()) do
        times = times + (line == word and 1 or 0)
      end
      return times
    end
    while count("sign while paused") < 5 do
      assert.is_true(core.now() < deadline, "no sign of life")
      loop:wait(0.1)
      loop:next() -- that it is open
    end
    loop:pause(op:id(), false)
    local last
    repeat
      local event = { loop:next() }
      if event[2] == "frame" then
        last = event[3].data
      elseif not event[1] then
        loop:wait(0.1)
      end
    until last == "patient" or core.now() > deadline
    assert.are.equal("patient", last)
    assert(op:send("read all"))
    local function since(word)
      local times = 0
      for _, line in ipairs(server:received()) do
        times = line == "read all" and 0 or times + (line == word and 1 or 0)
      end
      return times
    end
    while count("read all") == 0 or since("ping") < 6 do
      assert.is_true(core.now() < deadline, "no pings")
      loop:wait(0.1)
    end
    op:close()
    finish(op)
    -- One answer may be for several pings: the last is answered.
    assert.is_true(count("ping 5") >= 1)
    -- Pings take the place of signs, one of which may have been due.
    assert.is_true(since("pong") <= 1, since("pong") .. " signs of life")
  end)

  it("gets on with another library's server", function()
    local pipe = assert(io.popen(compat.built("spec/c/lws_peer")))
    local port, pid = (pipe:read("*l") or ""):match("^(%d+) (%d+)$")
    assert(port, "lws_peer did not start")
    local long, bytes = ("long"):rep(50000), ("\0\255"):rep(700)
    local op = assert(loop:ws({ url = ("ws://127.0.0.1:%s/"):format(port) }))
    local seen = {}
    for _, message in ipairs({ "short", long, bytes }) do
      assert(op:send(message, message == bytes))
      local deadline = core.now() + 10
      repeat
        local event = { loop:next() }
        if event[2] == "frame" then
          seen[#seen + 1] = event[3]
        elseif not event[1] then
          assert(loop:wait(0.5))
        end
        assert.is_true(core.now() < deadline, "no echo")
      until event[2] == "frame"
    end
    assert.are.same({ { data = "short" }, { data = long },
      { data = bytes, binary = true } }, seen)
    assert(op:send("close 4007 enough"))
    assert.are.same({ "closed", 4007, "enough" }, (finish(op)))
    op = assert(loop:ws({ url = ("ws://127.0.0.1:%s/"):format(port) }))
    op:send("last")
    op:close()
    assert.are.same({ "closed", 1000, "" }, (finish(op)))
    os.execute("kill " .. pid)
    pipe:close()
  end)

  for name, url in pairs({
    ["a user's name"] = "ws://user:password@127.0.0.1:1/",
    ["no host"] = "ws:///",
    ["a space"] = "ws://127.0.0.1:1/ HTTP/1.1",
    ["another scheme"] = "ftp://127.0.0.1/",
    ["no URL"] = "nonsense",
  }) do
    it("refuses " .. name, function()
      local op, code = loop:ws({ url = url })
      assert.are.same({ nil, "argument" }, { op, code })
    end)
  end
end)
