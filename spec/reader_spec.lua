-- What streams, terminals, WebSockets, watches, events and downloads have in
-- common. A scripted server sends the next piece when it is told to.

local core = require("wrenn.core")
local peer = require("spec.support.peer")
local wrenn = require("wrenn")

local task = wrenn.task

-- `gates` counts the pieces that have been asked for by GET /v1/volumes: the
-- first is the only piece of an object, the second its end.
local SCRIPT = [[
  gates = gates or 0

  local function await(number)
    while gates < number do
      c:sleep(0.01)
    end
  end

  local function stream()
    c:read_frame()
    c:text('{"type":"start","pid":42}')
    c:text('{"type":"stderr","data":"Watches established.\\n"}')
    await(1)
    c:text('{"type":"stdout","data":"1 f 644 0 1.1 a$\\n.\\n"}')
    await(2)
    c:text('{"type":"exit","exit_code":0}')
    return c:close()
  end

  local function terminal()
    c:read_frame()
    c:text('{"type":"started","pid":42,"tag":"pty-1"}')
    await(1)
    c:text('{"type":"output","data":"cGllY2U="}')
    await(2)
    c:text('{"type":"exit","exit_code":0}')
    return c:close()
  end

  local function socket()
    await(1)
    c:text("piece")
    await(2)
    c:close_frame(1000)
    return c:close()
  end

  local function events()
    c:send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    await(1)
    c:send('data: {"event":"piece"}\n\n')
    await(2)
    return c:close()
  end

  local function download()
    c:send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
    await(1)
    c:send("piece")
    await(2)
    c:send("end")
  end

  while true do
    local req = c:request()
    if not req then return end
    if req.headers.host:find("^3000%-") then
      c:upgrade(req)
      return socket()
    elseif req.path:find("exec/stream", 1, true) then
      c:upgrade(req)
      return stream()
    elseif req.path:find("/pty", 1, true) then
      c:upgrade(req)
      return terminal()
    elseif req.path:find("events/stream", 1, true) then
      return events()
    elseif req.path:find("stream/read", 1, true) then
      download()
    elseif req.path == "/v1/volumes" then
      gates = gates + 1
      c:respond(200, "[]")
    elseif req.path:find("files/list", 1, true) then
      c:respond(200, '{"entries":[{"name":"f","path":"/f","type":"file",'
        .. '"size":8}]}')
    elseif req.path == "/health" then
      c:respond(200, '{"status":"ok","version":"0.4.0"}')
    elseif req.method == "DELETE" then
      c:respond(204)
    else
      c:respond(200, '{"id":"cl-1","status":"running"}')
    end
  end
]]

-- Each opens one, read up to where it waits for its piece; `text` is what of
-- that is compared.
local kinds = {
  stream = {
    open = function(capsule)
      local stream = assert(capsule.commands:stream("true"))
      assert(stream:read())
      assert(stream:read())
      return stream
    end,
    text = function(event)
      return event.type
    end,
    piece = "stdout",
    last = "exit",
  },
  terminal = {
    open = function(capsule)
      local term = assert(capsule:pty())
      assert(term:read())
      return term
    end,
    text = function(event)
      return event.data or event.type
    end,
    piece = "piece",
    last = "exit",
  },
  WebSocket = {
    open = function(capsule)
      return (assert(capsule:websocket(3000)))
    end,
    text = function(data)
      return data
    end,
    piece = "piece",
  },
  watch = {
    open = function(capsule)
      return (assert(capsule.files:watch("w")))
    end,
    text = function(event)
      return event.type .. " " .. event.path
    end,
    piece = "remove w/a",
    fails = "AgentError", -- the helper is not to end
  },
  ["stream of events"] = {
    open = function(capsule)
      return (assert(capsule.client.events:stream({ reconnect_timeout = 0 })))
    end,
    text = function(event)
      return event.event
    end,
    piece = "piece",
    fails = "ConnectionError",
  },
  download = {
    open = function(capsule)
      return (assert(capsule.files:download_stream("/f")))
    end,
    text = function(bytes)
      return bytes
    end,
    piece = "piece",
    last = "end",
  },
}

for name, kind in pairs(kinds) do
  describe("a " .. name, function()
    local p, capsule, object

    before_each(function()
      p = peer.start(SCRIPT)
      capsule = assert(wrenn.Capsule.connect("cl-1",
        { client = assert(wrenn.Client(p:options())) }))
      object = kind.open(capsule)
    end)

    after_each(function()
      object:close()
      p:stop()
    end)

    local function open_gate()
      assert(capsule.client.volumes:list())
    end

    local function read_piece()
      open_gate()
      assert.are.equal(kind.piece, kind.text(assert(object:read())))
    end

    -- Reads on to the end, which is as it is when nothing was interrupted.
    local function read_end()
      open_gate()
      if kind.last then
        assert.are.equal(kind.last, kind.text(assert(object:read())))
      end
      local piece, err = object:read()
      assert.is_nil(piece)
      assert.are.equal(kind.fails, err and err.type)
      assert.are.same({ nil, err }, { object:read() })
    end

    -- Has nothing to read for longer than a time limit allows.
    local function out_of_time(fn)
      local begin = core.now()
      local result, err = task.with_timeout(0.1, fn)
      assert.is_nil(result)
      assert.is_true(err:is("TimeoutError"))
      assert.is_true(core.now() - begin < 10)
    end

    it("goes on after a time limit around a read", function()
      for _ = 1, 2 do
        out_of_time(function()
          return object:read()
        end)
      end
      read_piece()
      out_of_time(function()
        return object:read()
      end)
      read_end()
    end)

    it("goes on after a time limit around an iteration", function()
      local begin = core.now()
      local ok, err = pcall(task.with_timeout, 0.1, function()
        for _ in object do
          error("there was nothing to read")
        end
      end)
      assert.is_false(ok)
      assert.is_true(err:is("TimeoutError"))
      assert.is_true(core.now() - begin < 10)
      open_gate()
      assert.are.equal(kind.piece, kind.text(object()))
      read_end()
    end)

    it("goes on after a task that reads it was cancelled", function()
      local outcome
      task.run(function()
        local reading = task.spawn(function()
          outcome = { object:read() }
        end)
        assert(task.sleep(0.05))
        reading:cancel()
        reading:wait()
      end)
      assert.is_nil(outcome[1])
      assert.is_true(outcome[2]:is("CancelledError"))
      read_piece()
      read_end()
    end)

    it("gives each piece to one of its readers and its end to all", function()
      local pieces, errs = {}, {}
      local function read_all()
        local piece, err
        repeat
          piece, err = object:read()
          pieces[#pieces + 1] = piece and kind.text(piece)
        until piece == nil
        errs[#errs + 1] = err and err.type or "none"
      end
      task.run(function()
        task.spawn(read_all)
        task.spawn(read_all)
        open_gate()
        repeat
          assert(task.sleep(0.01))
        until pieces[1]
        open_gate()
      end)
      assert.are.same({ kind.piece, kind.last }, pieces)
      local how = kind.fails or "none"
      assert.are.same({ how, how }, errs)
    end)

    it("is closed for all who read it, and once", function()
      local begin = core.now()
      local got = 0
      local function read_one()
        assert.is_nil((object:read()))
        got = got + 1
      end
      task.run(function()
        task.spawn(read_one)
        task.spawn(read_one)
        assert(task.sleep(0.05))
        object:close()
      end)
      assert.are.equal(2, got)
      assert.is_nil((object:read()))
      object:close()
      assert.is_true(object.err:is("CancelledError"))
      assert.is_true(core.now() - begin < 10)
    end)

    it("is read and closed with a colon", function()
      for _, method in ipairs({ "read", "close" }) do
        local ok, err = pcall(object[method])
        assert.is_false(ok)
        assert.is_truthy(tostring(err):find("'self' to '" .. method .. "'", 1,
          true))
      end
    end)
  end)
end
