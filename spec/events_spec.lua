-- The event stream, with scripted peers and with wrenn-local.

local core = require("wrenn.core")
local disk = require("spec.support.disk")
local expect = require("spec.support.expect")
local peer = require("spec.support.peer")
local server = require("spec.support.server")
local http = require("wrenn.wire.http")
local sse = require("wrenn.wire.sse")
local wrenn = require("wrenn")

describe("server-sent events", function()
  -- What a decoder makes of pieces.
  local function decode_all(pieces)
    local decoder, all = sse.decoder(), {}
    for _, piece in ipairs(pieces) do
      for _, data in ipairs(assert(decoder:feed(piece))) do
        all[#all + 1] = data
      end
    end
    return all
  end

  local function decode(...)
    return decode_all({ ... })
  end

  it("are the data of frames", function()
    assert.are.same({ "a", "b" }, decode("data: a\n\ndata: b\n\n"))
  end)

  it("have several lines of data joined", function()
    assert.are.same({ "a\n\nb" }, decode("data: a\ndata:\ndata: b\n\n"))
    assert.are.same({ "a\n" }, decode("data: a\ndata\n\n"))
  end)

  it("lose the blanks in front of data, and no others", function()
    assert.are.same({ "a b ", "c" }, decode("data:   a b \n\ndata:c\n\n"))
  end)

  it("are not made of comments and other fields", function()
    assert.are.same({}, decode(": keepalive\n\n: keepalive\n\n"))
    assert.are.same({}, decode("event: x\nid: 5\nretry: 1\n\n"))
    assert.are.same({ "a" },
      decode("event: x\n: c\nid: 5\ndatabase: y\ndata: a\nfoo\n\n"))
  end)

  it("are not there before they are whole", function()
    assert.are.same({ "a" }, decode("data: a\n\ndata: b\n"))
    assert.are.same({ "a" }, decode("data: a\n\ndata: b"))
  end)

  it("may end their lines with a carriage return", function()
    assert.are.same({ "a", "b" }, decode("data: a\r\n\r\ndata: b\r\n\r\n"))
  end)

  it("may come in any pieces", function()
    local text = "event: x\r\ndata: one\ndata: two\n\n: c\n\ndata: three\n\n"
    local expected = { "one\ntwo", "three" }
    for size = 1, #text do
      local pieces = {}
      for at = 1, #text, size do
        pieces[#pieces + 1] = text:sub(at, at + size - 1)
      end
      assert.are.same(expected, decode_all(pieces))
    end
  end)

  it("are not upset by any bytes", function()
    local alphabet = { "\n", "\r", "\r\n", ":", "data:", "data", " ", "\0",
      "x", "{", "\255", "event: ", "\n\n" }
    local seed = 1
    local function random(limit)
      seed = (seed * 16807) % 2147483647
      return seed % limit + 1
    end
    for _ = 1, 300 do
      local parts = {}
      for i = 1, random(60) do
        parts[i] = alphabet[random(#alphabet)]
      end
      local whole = table.concat(parts)
      -- Cut anywhere, the same comes of it.
      assert.are.same(decode_all({ whole }), decode_all(parts))
    end
  end)

  it("are not collected without end", function()
    local decoder = sse.decoder()
    local piece, frames, why = ("x"):rep(1024 * 1024), nil, nil
    for _ = 1, 20 do
      frames, why = decoder:feed(piece)
      if not frames then
        break
      end
    end
    assert.is_nil(frames)
    assert.is_truthy(why:find("16 MiB", 1, true))
    decoder = sse.decoder()
    for _ = 1, 40 do -- many small ones are no large one
      assert(decoder:feed("data: " .. piece .. "\n\n"))
    end
  end)
end)

local HEAD = "HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\n\\r\\n"

-- Source that sends the head of a stream and some of its bytes.
local function sends(text)
  return ("c:request() c:send(\"%s\" .. %q)\n"):format(HEAD, text)
end

local function event(kind)
  return ('event: %s\ndata: {"event":"%s","outcome":"success"}\n\n')
    :format(kind, kind)
end

local connected = 'event: connected\ndata: {"message":"connected"}\n\n'

describe("events of a scripted server", function()
  local p, client

  after_each(function()
    p:stop()
  end)

  local function start(script)
    p = peer.start(script)
    client = assert(wrenn.Client(p:options()))
    return client.events
  end

  it("come in order, without the greeting", function()
    local stream = assert(start(sends(connected .. event("a") .. ": c\n\n"
      .. event("b"))):stream())
    assert.are.same({ event = "a", outcome = "success" }, assert(stream:read()))
    assert.are.equal("b", assert(stream:read()).event)
    stream:close()
    local request = p:received()[1]
    assert.is_truthy(request:find("^GET /v1/events/stream HTTP"))
    assert.is_truthy(request:find("X-API-Key: wrn_test", 1, true))
  end)

  it("pass on what they hold, known or not", function()
    local stream = assert(start(sends('data: {"event":"new.kind","more":[1],'
      .. '"resource":{"id":"cl-1","type":"capsule"},"error":null}\n\n'))
      :stream())
    assert.are.same({ event = "new.kind", more = { 1 },
      resource = { id = "cl-1", type = "capsule" } }, assert(stream:read()))
    stream:close()
  end)

  it("are iterated over, until the stream is closed", function()
    local seen = {}
    local stream = assert(start(sends(connected .. event("a") .. event("b")))
      :stream())
    for ev in stream do
      seen[#seen + 1] = ev.event
      if ev.event == "b" then
        stream:close()
      end
    end
    assert.are.same({ "a", "b" }, seen)
    assert.is_true(stream.err:is("CancelledError"))
    local ev, err = stream:read()
    assert.is_nil(ev)
    assert.is_true(err:is("CancelledError"))
    stream:close()
  end)

  it("are an iterator with something to close", function()
    local iterator, a, b, closing =
      start(sends(connected .. event("a"))):stream()
    assert.is_nil(a)
    assert.is_nil(b)
    assert.are.equal(iterator, closing)
    wrenn.with(iterator, function(stream)
      assert.are.equal("a", assert(stream:read()).event)
    end)
    assert.is_true(iterator.err:is("CancelledError"))
  end)

  if _VERSION == "Lua 5.4" then
    it("are closed by leaving the loop", function()
      local events = start(sends(connected .. event("a"))
        .. "c:read(1) log('closed')")
      local leave = load([[
        local events = ...
        for ev in events:stream() do
          return ev.event
        end
      ]])
      assert.are.equal("a", leave(events))
      p:await("closed")
    end)
  end

  it("are closed by collection", function()
    local events = start(sends(connected .. event("a"))
      .. "c:read(1) log('closed')")
    local stream = assert(events:stream())
    assert.are.equal("a", assert(stream:read()).event)
    stream = nil -- luacheck: ignore
    expect.soon(function()
      collectgarbage()
      local list = p:received()
      return list[#list] == "closed"
    end)
  end)

  for status, name in pairs({ [401] = "AuthenticationError",
    [403] = "ForbiddenError", [404] = "NotFoundError",
    [503] = "HostUnavailableError" })
  do
    it("are refused by a " .. status .. " before the first one",
      function()
        local stream, err = start(([[
          c:request()
          c:respond(%d, '{"error":{"code":"x","message":"no"}}')
        ]]):format(status)):stream()
        assert.is_nil(stream)
        assert.is_true(err:is(name))
        assert.are.same({ status, "x", "no" },
          { err.status_code, err.code, err.message })
        assert.are.equal(1, #p:received())
      end)
  end

  it("are not there when nobody answers", function()
    p = peer.start("")
    p:stop()
    client = assert(wrenn.Client(p:options()))
    local stream, err = client.events:stream()
    assert.is_nil(stream)
    assert.is_true(err:is("ConnectionError"))
    p = peer.start("")
  end)

  for how, ending in pairs({ reset = "c:reset()", close = "c:close()" }) do
    it("go on after a " .. how .. ", and say so", function()
      local stream = assert(start(([[
        if n == 1 then
          %s
          c:sleep(0.05)
          %s
        elseif n == 2 then
          c:request()
          c:respond(503, "", { "Connection: close" })
          c:close()
        else
          %s
        end
      ]]):format(sends(connected .. event("a") .. 'data: {"event":"cut"}\n'),
        ending, sends(connected .. event("b")))):stream())
      assert.are.equal("a", assert(stream:read()).event)
      local ev = assert(stream:read())
      assert.are.same({ "reconnected", 2 }, { ev.event, ev.attempts })
      assert.is_true(ev.error:is("ConnectionError"))
      assert.are.equal("b", assert(stream:read()).event)
      stream:close()
    end)
  end

  it("go on when a wait for a new connection was interrupted", function()
    local stream = assert(start(([[
      if n == 1 then
        %s
        c:close()
      elseif n == 2 then
        c:request()
        while not wanted do
          c:sleep(0.01)
        end
        c:send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        c:send('data: {"event":"b"}\n\n')
        c:sleep(30)
      else
        c:request()
        wanted = true
        c:respond(200, "[]")
      end
    ]]):format(sends(connected))):stream())
    local begin = core.now()
    -- The first limit passes in the pause, the others while it connects.
    local limit = 0.1
    repeat
      local connecting = #p:received() > 1
      local ev, err = wrenn.task.with_timeout(limit, function()
        return stream:read()
      end)
      assert.is_nil(ev)
      assert.is_true(err:is("TimeoutError"))
      assert.are.equal(("not finished within %g s"):format(limit), err.message)
      limit = limit == 0.1 and 0.5 or 0.1
    until connecting
    assert(client.volumes:list())
    local ev = assert(stream:read())
    assert.are.same({ "reconnected", 1 }, { ev.event, ev.attempts })
    assert.are.equal("b", assert(stream:read()).event)
    assert.is_true(core.now() - begin < 25)
    stream:close()
  end)

  it("are asked for again when the connection is silent", function()
    local stream = assert(start([[
      if n == 1 then
        ]] .. sends(connected .. event("a")) .. [[ c:sleep(30)
      else
        ]] .. sends(connected .. event("b")) .. [[ c:sleep(30)
      end
    ]]):stream({ silence = 3 }))
    assert.are.equal("a", assert(stream:read()).event)
    local begin = core.now()
    local ev = assert(wrenn.task.with_timeout(60, function()
      return stream:read()
    end))
    assert.are.equal("reconnected", ev.event)
    assert.is_true(ev.error:is("TimeoutError"))
    assert.are.equal("nothing received for 3 s", ev.error.message)
    assert.are.equal("b", assert(stream:read()).event)
    local took = core.now() - begin
    assert.is_true(took >= 2.99 and took < 20, tostring(took))
    stream:close()
  end)

  it("are silent for no longer than a server may be", function()
    local stream = assert(start(sends(connected)):stream())
    assert.are.equal(90, stream.silence)
    stream:close()
  end)

  it("count a comment as a sign of life", function()
    local stream = assert(start(sends(connected) .. [[
      for _ = 1, 12 do c:sleep(0.4) c:send(": keepalive\n\n") end
      c:send(]] .. ("%q"):format(event("a")) .. [[) c:sleep(30)
    ]]):stream({ silence = 4 }))
    assert.are.equal("a", assert(stream:read()).event)
    stream:close()
  end)

  it("do not go on when they are not to", function()
    local stream = assert(start(sends(connected .. event("a"))
      .. "c:sleep(0.05) c:reset()"):stream({ reconnect_timeout = 0 }))
    assert.are.equal("a", assert(stream:read()).event)
    local ev, err = stream:read()
    assert.is_nil(ev)
    assert.is_true(err:is("ConnectionError"))
    assert.are.equal(err, stream.err)
    assert.is_false(pcall(stream)) -- as an iterator it raises
  end)

  it("end when the connection cannot be made again", function()
    local stream = assert(start([[ if n == 1 then ]]
      .. sends(connected .. event("a")) .. [[ c:sleep(0.05) end c:reset() ]])
      :stream({ reconnect_timeout = 1 }))
    assert.are.equal("a", assert(stream:read()).event)
    local begun = os.time()
    local ev, err = stream:read()
    assert.is_nil(ev)
    assert.is_true(err:is("ConnectionError"))
    assert.is_true(os.time() - begun < 20)
    assert.is_true(#p:received() >= 1)
  end)

  it("end at once when the key is no good any more", function()
    local stream = assert(start([[ if n == 1 then ]]
      .. sends(connected) .. [[ c:sleep(0.05) c:reset()
        else c:request() c:respond(401, "") c:close() end ]]):stream())
    local ok, err = pcall(function()
      for _ in stream do
        error("there is no event")
      end
    end)
    assert.is_false(ok)
    assert.is_true(err:is("AuthenticationError"))
  end)

  for name, text in pairs({ garbage = "data: {\n\n", text = "data: 5\n\n" }) do
    it("that are " .. name .. " are a protocol error", function()
      local stream = assert(start(sends(connected .. event("a") .. text
        .. event("b"))):stream())
      local ev, err
      repeat
        ev, err = stream:read()
      until not ev
      assert.is_true(err:is("ProtocolError"))
    end)
  end

  it("do not come from a page that is something else", function()
    local stream, err = start([[ c:request()
      c:respond(200, "<html>", { "Content-Type: text/html; charset=utf-8" })
    ]]):stream()
    assert.is_nil(stream)
    assert.is_true(err:is("ProtocolError"))
    p:stop()
    stream, err = start([[ c:request()
      c:respond(302, "", { "Location: http://127.0.0.1:1/" })
    ]]):stream()
    assert.is_nil(stream)
    assert.is_true(err:is("ProtocolError"))
  end)

  it("are not asked for again by a closed client", function()
    local stream = assert(start(sends(connected) .. "c:sleep(0.1) c:reset()")
      :stream())
    client:close()
    local ev, err = stream:read()
    assert.is_nil(ev)
    assert.is_true(err:is("ConnectionError"))
    assert.are.equal(1, #p:received())
    assert.is_nil((client.events:stream()))
  end)

  it("are waited for in a task, which may be cancelled", function()
    local go = os.tmpname()
    os.remove(go)
    local events = start(sends(connected)
      .. ("repeat c:sleep(0.01) until io.open(%q) c:send([["):format(go)
      .. event("late") .. "]])")
    wrenn.task.run(function()
      local stream = assert(events:stream())
      local ticks = 0
      local ticker = wrenn.task.spawn(function()
        while true do
          if not wrenn.task.sleep(0.01) then
            return
          end
          ticks = ticks + 1
          if ticks == 3 then
            disk.write(go, "")
          end
        end
      end)
      assert.are.equal("late", assert(stream:read()).event)
      ticker:cancel()
      assert.is_true(ticks > 2)
      os.remove(go)
      local reader = wrenn.task.spawn(stream.read, stream)
      wrenn.task.sleep(0.05)
      reader:cancel()
      local ev, err = reader:wait()
      assert.is_nil(ev)
      assert.is_true(err:is("CancelledError"))
    end)
  end)

  it("that somebody waits for end by a close", function()
    local events = start(sends(connected))
    wrenn.task.run(function()
      local stream = assert(events:stream())
      local reader = wrenn.task.spawn(function()
        local count = 0
        for _ in stream do
          count = count + 1
        end
        return count
      end)
      wrenn.task.sleep(0.05)
      stream:close()
      assert.are.equal(0, (reader:wait()))
    end)
  end)

  it("that nobody reads wait where they are", function()
    -- 64 MiB of events: far more than may be held.
    local events = start(sends(connected) .. ([[
      local one = %q
      local many, sent = one:rep(200), 0
      for _ = 1, 64 * 16 do
        c.sock:write(many, function() sent = sent + #many end)
      end
      c:sleep(1)
      log(tostring(sent))
    ]]):format('data: {"event":"x","pad":"' .. ("x"):rep(300) .. '"}\n\n'))
    local stream = assert(events:stream())
    assert.are.equal("x", assert(stream:read()).event)
    collectgarbage()
    local before = collectgarbage("count")
    wrenn.task.sleep(1.5)
    collectgarbage()
    assert.is_true(collectgarbage("count") - before < 2048)
    for _ = 1, 5000 do
      assert.are.equal("x", assert(stream:read()).event)
    end
    stream:close()
  end)

  it("refuse misuse", function()
    local events = start(sends(connected))
    local ok, why = pcall(events.stream, events, { reconnect = true })
    assert.is_false(ok)
    assert.is_truthy(tostring(why):find("'reconnect'", 1, true))
    assert.is_false(pcall(events.stream))
  end)
end)

for _, generation in ipairs({ "0.2", "0.2.2", "0.3", "0.4" }) do
  describe("events of wrenn-local " .. generation, function()
    local s, client

    setup(function()
      s = server.start("--generation " .. generation)
      client = assert(wrenn.Client(s:options()))
    end)

    teardown(function()
      s:stop()
    end)

    -- The events up to one that `is_last` accepts.
    local function read_to(stream, is_last)
      local list = {}
      return assert(wrenn.task.with_timeout(30, function()
        for ev in stream do
          list[#list + 1] = ev
          if is_last(ev) then
            return list
          end
        end
      end))
    end

    -- Whether an action is finished.
    local function is_end_of(kind)
      return function(ev)
        return ev.event == kind and ev.actor.type == "system"
      end
    end

    it("tell what is done with a capsule", function()
      local stream = assert(client.events:stream())
      local capsule = assert(wrenn.Capsule.create({ client = client,
        wait = true }))
      assert(capsule:pause({ wait = true }))
      assert(capsule:resume({ wait = true }))
      assert.is_true(capsule:destroy({ wait = true }))
      local told = {}
      for _, ev in ipairs(read_to(stream, is_end_of("capsule.destroy"))) do
        assert.are.same({ id = capsule.id, type = "sandbox" }, ev.resource)
        assert.are.equal(capsule.id, ev.sandbox.id)
        assert.is_truthy(ev.timestamp:find("^%d%d%d%d%-%d%d%-%d%dT.*Z$"))
        assert.is_truthy(ev.team_id:find("^team%-"))
        if ev.event == "capsule.state.changed" then
          assert.is_nil(ev.outcome)
          assert.are.equal(ev.metadata.to, ev.sandbox.status)
          told[#told + 1] = ev.metadata.from .. ">" .. ev.metadata.to
        else
          assert.are.equal("success", ev.outcome)
          assert.is_true(ev.actor.type == "system"
            or ev.actor.id:find("^key%-") ~= nil)
          told[#told + 1] = ("%s %s%s"):format(ev.actor.type, ev.event,
            ev.metadata and ev.metadata.host_ip and " host_ip" or "")
        end
      end
      assert.are.same({ "api_key capsule.create", "starting>running",
        "system capsule.create host_ip", "api_key capsule.pause",
        "system capsule.pause", "api_key capsule.resume",
        "system capsule.resume host_ip", "api_key capsule.destroy",
        "system capsule.destroy" }, told)
      stream:close()
    end)

    it("tell nothing of what was not done", function()
      local stream = assert(client.events:stream())
      local capsule = assert(wrenn.Capsule.create({ client = client,
        wait = true }))
      capsule:resume() -- it runs
      assert.is_true(capsule:destroy({ wait = true }))
      assert.is_true(capsule:destroy())
      local second = assert(wrenn.Capsule.create({ client = client }))
      local actions = {}
      for _, ev in ipairs(read_to(stream, function(ev)
        return ev.resource.id == second.id
      end)) do
        if ev.actor.type ~= "system" then
          actions[#actions + 1] = ev.event
        end
      end
      assert.are.same({ "capsule.create", "capsule.destroy",
        "capsule.create" }, actions)
      assert.is_true(second:destroy())
      read_to(stream, function(ev) -- the next spec is not to be told
        return ev.resource.id == second.id and ev.event == "capsule.destroy"
          and ev.actor.type == "system"
      end)
      stream:close()
    end)

    it("tell of snapshots when they are made, and deleted", function()
      local stream = assert(client.events:stream())
      local capsule = assert(wrenn.Capsule.create({ client = client,
        wait = true }))
      assert(capsule:create_snapshot({ name = "told", wait = true }))
      assert.is_true(client.snapshots:delete("told"))
      local list = read_to(stream, function(ev)
        return ev.event == "template.snapshot.delete"
      end)
      local made, round = {}, {}
      for _, ev in ipairs(list) do
        if ev.resource.type == "snapshot" then
          made[#made + 1] = ("%s %s %s %s"):format(ev.actor.type, ev.event,
            ev.outcome, ev.resource.id)
        elseif ev.event == "capsule.state.changed" then
          round[#round + 1] = ev.metadata.from .. ">" .. ev.metadata.to
        end
      end
      assert.are.same({ "api_key template.snapshot.create success told",
        "system template.snapshot.create success told",
        "api_key template.snapshot.delete success told" }, made)
      local meanwhile = generation == "0.2" and "pausing" or "snapshotting"
      assert.are.same({ "starting>running", "running>" .. meanwhile,
        meanwhile .. ">running" }, round)
      assert.is_true(capsule:destroy())
      read_to(stream, is_end_of("capsule.destroy"))
      stream:close()
    end)

    it("go to all who listen, and to those only", function()
      local first = assert(client.events:stream())
      local second = assert(client.events:stream())
      local capsule = assert(wrenn.Capsule.create({ client = client }))
      assert.are.equal(capsule.id, assert(first:read()).resource.id)
      assert.are.equal(capsule.id, assert(second:read()).resource.id)
      first:close()
      assert.is_true(capsule:destroy({ wait = true }))
      read_to(second, is_end_of("capsule.destroy"))
      second:close()
    end)

    it("need the key", function()
      local other = assert(wrenn.Client(s:options({ api_key = "wrn_no" })))
      local stream, err = other.events:stream()
      assert.is_nil(stream)
      assert.is_true(err:is("AuthenticationError"))
      assert.are.equal(401, err.status_code)
    end)
  end)
end

describe("the event stream of wrenn-local", function()
  -- The bytes of a stream, up to some that match.
  local function bytes_to(client, pattern)
    local op, inbox = assert(http.start(client,
      { method = "GET", path = "/v1/events/stream", stream = true }))
    local text = ""
    wrenn.task.with_timeout(30, function()
      repeat
        local ev = http.next(op, inbox)
        if ev and ev.kind == "chunk" then
          text = text .. ev[1]
        elseif ev then
          assert.are.equal("headers", ev.kind)
          assert.are.equal(200, ev.status)
          assert.is_truthy(ev.head:find("text/event-stream", 1, true))
        end
      until not ev or text:find(pattern)
    end)
    op:cancel()
    return text
  end

  it("greets, and keeps the connection alive", function()
    local s = server.start()
    local client = assert(wrenn.Client(s:options()))
    local greeting = 'event: connected\ndata: {"message":"connected"}\n\n'
    assert.are.equal(greeting, bytes_to(client, "\n\n"))
    s:stop()
    s = server.start("--generation 0.4", "WRENN_LOCAL_KEEPALIVE_MS=50")
    client = assert(wrenn.Client(s:options()))
    local expected = greeting .. ": keepalive\n\n: keepalive\n\n"
    assert.are.equal(expected,
      bytes_to(client, "keepalive.*keepalive\n\n"):sub(1, #expected))
    s:stop()
  end)

  it("is not there in 0.1", function()
    local s = server.start("--generation 0.1")
    local client = assert(wrenn.Client(s:options()))
    local stream, err = client.events:stream()
    assert.is_nil(stream)
    assert.is_true(err:is("NotFoundError"))
    s:stop()
  end)

  it("ends with the server, for its clients", function()
    local s = server.start()
    local client = assert(wrenn.Client(s:options()))
    local stream = assert(client.events:stream({ reconnect_timeout = 0.5 }))
    s:stop()
    local ev, err = stream:read()
    assert.is_nil(ev)
    assert.is_true(err:is("ConnectionError"))
  end)

  it("forgets clients that have hung up", function()
    local s = server.start()
    local client = assert(wrenn.Client(s:options()))
    local function descriptors()
      local pipe = io.popen(("ls /proc/%d/fd | wc -l"):format(s.pid))
      local count = tonumber(pipe:read("*a"))
      pipe:close()
      return count
    end
    assert(client:health())
    local before = descriptors()
    for _ = 1, 20 do
      local stream = assert(client.events:stream())
      stream:close()
    end
    expect.soon(function()
      return descriptors() <= before + 1
    end)
    s:stop()
  end)

  it("tells of a capsule that could not be made, and why", function()
    local folder = disk.folder()
    local s = server.start("--data " .. folder .. " 2>/dev/null")
    local client = assert(wrenn.Client(s:options()))
    local capsule = assert(wrenn.Capsule.create({ client = client,
      wait = true }))
    assert(capsule:create_snapshot({ name = "lost", wait = true }))
    os.execute("rm -rf " .. folder .. "/snapshots/*")
    local stream = assert(client.events:stream())
    local none, err = wrenn.Capsule.create({ client = client, wait = true,
      template = "lost" })
    assert.is_nil(none)
    assert.are.equal("error", err.status)
    local told = {}
    wrenn.task.with_timeout(30, function()
      repeat
        local ev = stream:read()
        told[#told + 1] = ev
      until not ev or ev.actor.type == "system"
    end)
    assert.are.equal(2, #told)
    assert.are.same({ "capsule.create", "success", "api_key" },
      { told[1].event, told[1].outcome, told[1].actor.type })
    assert.are.same({ "capsule.create", "error", "cleanup_after_create_error" },
      { told[2].event, told[2].outcome, told[2].metadata.reason })
    assert.is_truthy(told[2].error:find("not come up", 1, true))
    assert.are.equal(told[1].resource.id, told[2].resource.id)
    stream:close()
    s:stop()
    os.execute("rm -rf " .. folder)
  end)

  it("tells of a capsule that is paused for being idle", function()
    local s = server.start("", "WRENN_LOCAL_IDLE_SECOND_MS=10")
    local client = assert(wrenn.Client(s:options()))
    local stream = assert(client.events:stream())
    local capsule = assert(wrenn.Capsule.create({ client = client,
      timeout = 60 }))
    local never = assert(wrenn.Capsule.create({ client = client,
      wait = true }))
    local ev
    wrenn.task.with_timeout(30, function()
      repeat
        ev = stream:read()
      until not ev or ev.event == "capsule.pause"
    end)
    assert.are.same({ "capsule.pause", "success", "system", "ttl_expired",
      capsule.id }, { ev.event, ev.outcome, ev.actor.type, ev.metadata.reason,
      ev.resource.id })
    expect.soon(function()
      return capsule:get_info().status == "paused"
    end)
    assert.are.equal("running", never:get_info().status)
    stream:close()
    s:stop()
  end)
end)
