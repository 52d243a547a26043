-- Streams of commands, with scripted peers and with wrenn-local.

local cjson = require("cjson")
local compat = require("spec.support.compat")
local expect = require("spec.support.expect")
local peer = require("spec.support.peer")
local server = require("spec.support.server")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule

describe("a stream of a scripted server", function()
  local p

  after_each(function()
    p:stop()
  end)

  -- A capsule whose WebSocket is served by `script`, which has read the first
  -- message.
  local function capsule_of(script)
    p = peer.sockets(script, nil, [[
      c:respond(200, '{"id":"cl-1","status":"running","exit_code":0}') ]])
    return p:capsule()
  end

  local function events_of(stream)
    local list = {}
    for ev in stream do
      list[#list + 1] = ev
    end
    return list
  end

  local function start_frame()
    return cjson.decode(p:received()[3])
  end

  it("sends the argv it was given", function()
    local capsule = capsule_of([[ c:close() ]])
    events_of(assert(capsule.commands:stream("/usr/bin/env",
      { args = { "python", "-V" } })))
    assert.are.same({ type = "start", cmd = "/usr/bin/env",
      args = { "python", "-V" } }, start_frame())
  end)

  it("ends a command that is cancelled before it has said that it began",
    function()
      local cancelled = os.tmpname() -- is there once it has been
      os.remove(cancelled)
      local capsule = capsule_of(([[
        repeat c:sleep(0.01) until io.open(%q)
        c:text('{"type":"start","pid":4711}')
        c:sleep(3)
      ]]):format(cancelled))
      wrenn.task.run(function()
        local one = wrenn.task.spawn(function()
          return capsule.commands:run("true", { on_stdout = print })
        end)
        expect.soon(function()
          return #p:received() >= 3 -- the command has been sent
        end)
        one:cancel()
        assert(io.open(cancelled, "w")):close()
        local _, err = one:wait()
        assert.are.equal("CancelledError", err.type)
      end)
      os.remove(cancelled)
      local requests = p:received()
      local last = table.concat(requests, "\n", 4)
      assert.is_truthy(last:find("4711", 1, true), last)
    end)

  it("costs a program that loops over much output next to nothing", function()
    local capsule = capsule_of([[
      local text = '{"type":"stdout","data":"x"}'
      c:send((string.char(0x81, #text) .. text):rep(2000))
      c:text('{"type":"exit","exit_code":0}')
      c:close()
    ]])
    local stream = assert(capsule.commands:stream("x"))
    local events, steps = 0, 0
    local jit = rawget(_G, "jit")
    if jit then
      jit.off() -- compiled code calls no hook
    end
    debug.sethook(function()
      steps = steps + 100
    end, "", 100)
    for _ in stream do
      events = events + 1
    end
    debug.sethook()
    if jit then
      jit.on()
    end
    assert.are.equal(2001, events)
    assert.is_true(steps / events < 22,
      ("%g instructions of the virtual machine for each event")
        :format(steps / events))
  end)

  it("takes much output in groups, in its order, beside that of others",
    function()
      local capsule = capsule_of([[
        local frames = {}
        for i = 1, 5000 do
          local text = ('{"type":"stdout","data":"%d"}'):format(i)
          frames[i] = string.char(0x81, #text) .. text
        end
        c:send(table.concat(frames))
        c:text('{"type":"exit","exit_code":3}')
        c:close()
      ]])
      local most = 0
      local function follow()
        local stream = assert(capsule.commands:stream("x"))
        local count = 0
        for ev in stream do
          if ev.type == "stdout" then
            count = count + 1
            assert.are.equal(count, tonumber(ev.data))
          end
          most = math.max(most, stream.inbox.last - stream.inbox.first)
        end
        return { count, stream.exit_code }
      end
      assert.are.same({ 5000, 3 }, follow())
      assert.is_true(most < 300, most .. " events were waiting as Lua values")
      assert.are.same({ { 5000, 3 }, { 5000, 3 } },
        assert(wrenn.task.map({ 1, 2 }, follow)))
    end)

  it("that is closed in its loop ends there, however much there is",
    function()
      local capsule = capsule_of([[
        local text = '{"type":"stdout","data":"x"}'
        c:send((string.char(0x81, #text) .. text):rep(1000))
        c:read_frame()
      ]])
      local stream = assert(capsule.commands:stream("x"))
      local count = 0
      for _ in stream do
        count = count + 1
        if count == 20 then
          stream:close()
        end
      end
      assert.are.equal(20, count)
    end)

  it("sends a shell line whole", function()
    local capsule = capsule_of([[ c:close() ]])
    events_of(assert(capsule.commands:stream("echo hi")))
    assert.are.same({ type = "start", cmd = "/bin/sh",
      args = { "-c", "echo hi" } }, start_frame())
  end)

  it("passes the directory as an argument and the environment as a file",
    function()
      local capsule = capsule_of([[ c:close() ]])
      events_of(assert(capsule.commands:stream("x",
        { cwd = "/a b", envs = { B = "2", A = "$(1)" } })))
      local received = p:received()
      local text, frame = received[3], cjson.decode(received[5])
      local path = text:match("~/(%.wrenn/envs/%x+)")
      assert.is_truthy(text:find("export A='$(1)'\nexport B='2'\n", 1, true))
      assert.are.same({ "/bin/sh", { "-c",
        '. "$1"; /bin/rm -f -- "$1"; shift; exec "$@"', "sh", "./" .. path,
        "/bin/sh", "-c", 'cd -- "$1" || exit 126; shift; exec "$@"', "sh",
        "/a b", "/bin/sh", "-c", "x" } }, { frame.cmd, frame.args })
      -- What never began did not remove it.
      local last = expect.soon(function()
        received = p:received()
        local request = received[#received]
        return request:find("/files/remove ", 1, true) and request
      end)
      assert.is_truthy(last:find(path:match("%x+$"), 1, true))
    end)

  it("ends with its exit event, whatever follows", function()
    local capsule = capsule_of([[
      c:text('{"type":"start","pid":5}\n')
      c:text('{"type":"stdout","data":"a"}\n')
      c:text('{"type":"exit","exit_code":0}\n')
      c:text('{"type":"stdout","data":"late"}\n')
    ]])
    local stream = assert(capsule.commands:stream("x"))
    assert.are.same({ { type = "start", pid = 5 },
      { type = "stdout", data = "a" }, { type = "exit", exit_code = 0 } },
      events_of(stream))
    assert.are.same({ 5, 0 }, { stream.pid, stream.exit_code })
    assert.is_nil(stream.err)
    assert.is_nil(stream:read())
  end)

  it("ends after one error event", function()
    local capsule = capsule_of([[
      c:text('{"type":"error","data":"sandbox not found"}')
      c:text('{"type":"stdout","data":"late"}')
    ]])
    local stream = assert(capsule.commands:stream("x"))
    assert.are.same({ { type = "error", data = "sandbox not found" } },
      events_of(stream))
    assert.is_true(stream.err:is("NotFoundError"))
    assert.is_nil(stream.exit_code)
  end)

  for name, ending in pairs({
    ["its connection ends"] = "c:close()",
    ["its connection is reset"] =
      "repeat c:sleep(0.01) until io.open(%q) c:reset()",
    ["a close frame comes"] = "c:close_frame(1000)",
  }) do
    it("ends quietly when " .. name .. ", and says so", function()
      local seen = os.tmpname() -- is there once "a" has been read
      os.remove(seen)
      local capsule = capsule_of([[c:text('{"type":"stdout","data":"a"}') ]]
        .. ending:format(seen))
      local stream = assert(capsule.commands:stream("x"))
      assert.are.same({ type = "stdout", data = "a" }, (stream:read()))
      assert(io.open(seen, "w")):close()
      assert.are.same({}, events_of(stream))
      os.remove(seen)
      assert.is_nil(stream.exit_code)
      assert.is_true(stream.err:is("ConnectionError"))
      local result, err = stream:wait()
      assert.is_nil(result)
      assert.are.equal(stream.err, err)
    end)
  end

  it("tells the reason that its server had to close it", function()
    local stream = assert(capsule_of([[
      c:text('{"type":"stdout","data":"a"}')
      c:close_frame(4001, "host is drained") c:read_frame()
    ]]).commands:stream("x"))
    events_of(stream)
    assert.are.equal(4001, stream.err.details.close_code)
    assert.is_truthy(stream.err.message:find(": host is drained", 1, true))
  end)

  it("passes on what it does not know", function()
    local capsule = capsule_of([[
      c:text('{"type":"weird","data":"x"}') c:text("{}")
      c:text('{"type":"exit"}')
    ]])
    assert.are.same({ { type = "weird", data = "x" }, { type = "unknown" },
      { type = "exit", exit_code = -1 } },
      events_of(assert(capsule.commands:stream("x"))))
  end)

  for name, frame in pairs({
    ["garbage"] = "c:text('garbage')",
    ["an array"] = "c:text('[1]')",
    ["a number for data"] = [[c:text('{"type":"stdout","data":1}')]],
    ["invalid UTF-8"] = [[c:text('{"type":"stdout","data":"\255"}')]],
    ["a binary message"] = "c:binary('x')",
  }) do
    it("raises on " .. name .. " rather than end", function()
      local capsule = capsule_of(frame)
      local stream = assert(capsule.commands:stream("x"))
      local ok, err = pcall(events_of, stream)
      assert.is_false(ok)
      assert.is_true(err:is("ProtocolError"))
      assert.are.same({ nil, err }, { stream:read() })
      assert.are.equal(err, stream.err)
    end)
  end

  it("sends stop when asked", function()
    local capsule = capsule_of([[ c:read_frame() c:close() ]])
    local stream = assert(capsule.commands:stream("x"))
    stream:stop()
    events_of(stream)
    assert.are.equal('{"type":"stop"}', p:received()[4])
  end)

  it("that was stopped says so", function()
    local capsule = capsule_of([[
      c:text('{"type":"start","pid":5}') c:read_frame() c:close() ]])
    local stream = assert(capsule.commands:stream("x"))
    assert(stream:read())
    stream:stop()
    assert.is_nil((stream:read()))
    assert.is_true(stream.err:is("CancelledError"))
    stream:stop()
    stream:close()
  end)

  it("may start late, or never", function()
    local capsule = capsule_of([[
      c:text('{"type":"stdout","data":"a"}')
      c:text('{"type":"start","pid":5}')
      c:text('{"type":"exit","exit_code":0}')
    ]])
    local stream = assert(capsule.commands:stream("x"))
    assert.are.equal("a", assert(stream:wait()).stdout)
    assert.are.equal(5, stream.pid)
    p:stop()
    capsule = capsule_of([[
      c:text('{"type":"stderr","data":"b"}')
      c:text('{"type":"exit","exit_code":1}')
    ]])
    stream = assert(capsule.commands:stream("x"))
    local result = assert(stream:wait())
    assert.are.same({ "", "b", 1 },
      { result.stdout, result.stderr, result.exit_code })
    assert.is_nil(stream.pid)
  end)

  it("with a limit ends even if nothing answers", function()
    local capsule = capsule_of([[
      c:text('{"type":"stdout","data":"a"}') c:sleep(60) ]])
    capsule.client.settings.timeout = 5
    local stream = assert(capsule.commands:stream("x", { timeout = 6 }))
    local begin = os.time()
    local result, err = stream:wait()
    assert.is_nil(result)
    assert.is_true(err:is("TimeoutError"))
    assert.are.equal("a", err.result.stdout)
    assert.is_true(os.time() - begin < 40)
  end)

  it("that breaks tells all who read it", function()
    local capsule = capsule_of(
      [[ c:text('{"type":"start","pid":5}') c:sleep(0.2) c:text("garbage") ]])
    local stream = assert(capsule.commands:stream("x"))
    assert(stream:read())
    local errs = wrenn.task.gather({
      function() return select(2, stream:read()).type end,
      function() return select(2, stream:read()).type end,
    })
    assert.are.same({ "ProtocolError", "ProtocolError" }, errs)
  end)

  it("that is closed by one task ends for another", function()
    local capsule = capsule_of(
      [[ c:text('{"type":"start","pid":5}') c:read_frame() ]])
    local stream = assert(capsule.commands:stream("x"))
    assert(stream:read())
    assert(wrenn.task.with_timeout(60, function()
      return wrenn.task.gather({
        function() return (stream:read()) == nil end,
        function() wrenn.task.sleep(0.05) stream:close() return true end,
      })
    end))
    assert.is_true(stream.err:is("CancelledError"))
  end)

  it("that is refused gives the server's error", function()
    p = peer.answering({ 200, '{"id":"cl-1","status":"running"}' },
      { 401, '{"error":{"code":"unauthorized","message":"invalid API key"}}',
        "Content-Type: application/json" })
    local capsule = p:capsule()
    local stream, err = capsule.commands:stream("x")
    assert.is_nil(stream)
    assert.is_true(err:is("AuthenticationError"))
    assert.are.equal("unauthorized", err.code)
    assert.are.equal(2, #p:received()) -- one for each: nothing is asked twice
  end)

  it("closes on break where the language can, and by close", function()
    local capsule = capsule_of([[
      c:text('{"type":"start","pid":5}')
      c:read_frame()
      log("closed")
    ]])
    local function leave()
      for _ in assert(capsule.commands:stream("x")) do -- luacheck: ignore 512
        break
      end
    end
    leave()
    if not compat.has_close then
      collectgarbage()
    end
    p:await("closed")
  end)
end)

describe("a stream of wrenn-local", function()
  local s, capsule

  setup(function()
    s = server.start()
    capsule = assert(Capsule.create(s:options({ wait = true })))
  end)

  teardown(function()
    s:stop()
  end)

  local function no_process_is_left()
    expect.soon(function()
      return #assert(capsule.commands:list()) == 0
    end)
  end

  it("starts, prints and exits", function()
    local stream = assert(capsule.commands:stream(
      "for i in 1 2 3; do echo n$i; done; exit 5"))
    local kinds, out = {}, {}
    for ev in stream do
      kinds[ev.type] = ev
      out[#out + 1] = ev.type == "stdout" and ev.data or ""
    end
    assert.is_true(kinds.start.pid > 0)
    assert.are.equal("n1\nn2\nn3\n", table.concat(out))
    assert.are.equal(5, kinds.exit.exit_code)
  end)

  it("keeps the order inside stdout and inside stderr", function()
    local result = assert(assert(capsule.commands:stream(
      "for i in 1 2 3 4 5; do echo o$i; echo e$i >&2; done")):wait())
    assert.are.equal("o1\no2\no3\no4\no5\n", result.stdout)
    assert.are.equal("e1\ne2\ne3\ne4\ne5\n", result.stderr)
  end)

  it("delivers all of 20 MiB before the exit", function()
    local result = assert(assert(capsule.commands:stream(
      "seq 1 3000000 | head -c 20971520")):wait())
    assert.are.equal(20971520, #result.stdout)
    assert.are.equal("2999", result.stdout:match("\n(2999)\n"))
  end)

  it("is slow when its reader is, and loses nothing", function()
    local stream = assert(capsule.commands:stream(
      "seq 1 3000000 | head -c 20971520"))
    wrenn.task.sleep(0.5)
    assert.are.equal(20971520, #assert(stream:wait()).stdout)
  end)

  it("runs where and with what it was told", function()
    local result = assert(assert(capsule.commands:stream(
      'pwd; printf "%s" "$X"', { cwd = "/tmp", envs = { X = "a 'b' $c" } }))
      :wait())
    assert.are.equal("/tmp\na 'b' $c", result.stdout)
    result = assert(assert(capsule.commands:stream("pwd", { cwd = "~" }))
      :wait())
    assert.are.equal(walls.home(capsule) .. "\n", result.stdout)
  end)

  it("kills a command that outlasts its limit", function()
    local stream =
      assert(capsule.commands:stream("sleep 60", { timeout = 2 }))
    local result, err = stream:wait()
    assert.is_nil(result)
    assert.is_true(err:is("TimeoutError"))
    no_process_is_left()
  end)

  it("attaches by tag, to several at once", function()
    local handle = assert(capsule.commands:run(
      "until [ -e both ]; do sleep 0.05; done; echo both; exit 2",
      { background = true, tag = "two" }))
    local a = assert(capsule.commands:connect("two"))
    local b = assert(capsule.commands:connect(handle.pid))
    assert.are.equal("start", assert(a:read()).type)
    assert.are.equal("start", assert(b:read()).type)
    assert(capsule.files:write("both", ""))
    for _, stream in ipairs({ a, b }) do
      local result = assert(stream:wait())
      assert.are.same({ "both\n", 2 }, { result.stdout, result.exit_code })
    end
  end)

  it("of a process that has ended is quiet", function()
    local handle = assert(capsule.commands:run("true", { background = true }))
    no_process_is_left()
    local count = 0
    local stream = assert(handle:stream())
    for ev in stream do
      count = count + 1
      assert.are.equal("error", ev.type)
    end
    assert.is_true(count <= 1)
    assert.is_nil(stream.exit_code)
  end)

  it("ends with -1 when the process is killed", function()
    local stream = assert(capsule.commands:stream("sleep 60"))
    local start = assert(stream:read())
    assert.is_true(capsule.commands:kill(start.pid))
    assert.are.equal(-1, assert(stream:wait()).exit_code)
  end)

  it("is cut by a pause", function()
    local stream = assert(capsule.commands:stream("sleep 60"))
    assert(stream:read())
    assert(capsule:pause({ wait = true }))
    local event, err = stream:read()
    assert.is_nil(event)
    assert.are.same({ "CapsuleStateError", "paused" }, { err.type, err.status })
    assert.are.equal(err, stream.err)
    assert(capsule:resume({ wait = true }))
    capsule.commands:kill(stream.pid)
  end)

  it("goes on after an interrupted read", function()
    local stream = assert(capsule.commands:stream(
      "echo a; sleep 0.5; echo b; exit 3"))
    local out = ""
    repeat
      local event, err = wrenn.task.with_timeout(0.1, function()
        return stream:read()
      end)
      out = out .. (event and event.data or "")
    until event and event.type == "exit" or err and not err:is("TimeoutError")
    assert.are.equal("a\nb\n", out)
    assert.are.equal(3, stream.exit_code)
  end)

  it("is left, and the process goes on", function()
    for _, leave in ipairs({ "stop", "close" }) do
      local stream = assert(capsule.commands:stream("echo up; sleep 60"))
      local pid = assert(stream:read()).pid
      assert(stream:read())
      stream[leave](stream)
      repeat
        local event = stream:read()
      until not event
      assert.is_true(stream.err:is("CancelledError"))
      local found = false
      for _, process in ipairs(assert(capsule.commands:list())) do
        found = found or process.pid == pid
      end
      assert.is_true(found)
      assert.is_true(capsule.commands:kill(pid))
    end
  end)

  it("joins a running process and hears its end", function()
    local handle = assert(capsule.commands:run(
      "until [ -e joined ]; do echo waits; sleep 0.05; done; echo last",
      { background = true, tag = "connect-run" }))
    local stream = assert(capsule.commands:connect(handle.pid))
    assert.are.equal("start", assert(stream:read()).type)
    assert(capsule.files:write("joined", ""))
    local result = assert(stream:wait())
    assert.is_truthy(result.stdout:find("last", 1, true))
    assert.are.equal(0, result.exit_code)
  end)
end)
