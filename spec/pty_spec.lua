-- Terminals, with scripted peers and with wrenn-local.

local cjson = require("cjson")
local core = require("wrenn.core")
local expect = require("spec.support.expect")
local peer = require("spec.support.peer")
local server = require("spec.support.server")
local terminal = require("spec.support.terminal")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule
local read_until = terminal.read_until

describe("a terminal of a scripted server", function()
  local p

  after_each(function()
    p:stop()
  end)

  local function capsule_of(script, version)
    p = peer.sockets(script, version or "0.1.5")
    return p:capsule()
  end

  -- The frames the peer has read, the first message included.
  local function frames()
    local list = {}
    for _, text in ipairs(p:received()) do
      if not text:find("HTTP/1.1", 1, true) then
        list[#list + 1] = text
      end
    end
    return list
  end

  -- Frames once fn(frames) is true of them.
  local function frames_when(fn)
    return expect.soon(function()
      local list = frames()
      return fn(list) and list
    end, 120) -- they may be many
  end

  -- All frames, once the peer has logged that it has seen the last one.
  local function all_frames()
    return frames_when(function(list)
      return list[#list] == "over"
    end)
  end

  local function events_of(term)
    local list = {}
    for ev in term do
      list[#list + 1] = ev
    end
    return list
  end

  it("begins with the defaults", function()
    local term = assert(capsule_of("c:close()"):pty())
    events_of(term)
    assert.are.same({ type = "start", cmd = "/bin/bash", cols = 80, rows = 24 },
      cjson.decode(frames()[1]))
  end)

  it("begins with what was asked for", function()
    local term = assert(capsule_of("c:close()"):pty({ cmd = "/bin/zsh",
      cols = 100, rows = 5, args = { "-l" }, envs = { A = "b" }, cwd = "/w" }))
    events_of(term)
    assert.are.same({ type = "start", cmd = "/bin/zsh", cols = 100, rows = 5,
      args = { "-l" }, envs = { A = "b" }, cwd = "/w" },
      cjson.decode(frames()[1]))
  end)

  it("tells its tag and pid, and ends with its exit", function()
    local term = assert(capsule_of([[
      c:text('{"type":"started","tag":"pty-1","pid":42}')
      c:text('{"type":"output","data":"bHMgLWxhCg=="}')
      c:text('{"type":"exit","exit_code":3}')
      c:read_frame()
    ]]):pty())
    assert.are.same({ { type = "started", tag = "pty-1", pid = 42 },
      { type = "output", data = "ls -la\n" },
      { type = "exit", exit_code = 3 } },
      events_of(term))
    assert.are.same({ "pty-1", 42, 3 }, { term.tag, term.pid, term.exit_code })
  end)

  it("answers a ping with one pong, and shows it", function()
    local term = assert(capsule_of([[
      c:text('{"type":"ping"}')
      c:read_frame()
      c:text('{"type":"output"}')
      c:close()
    ]]):pty())
    assert.are.same({ { type = "ping" }, { type = "output", data = "" } },
      events_of(term))
    assert.are.same('{"type":"pong"}', frames()[2])
    assert.are.equal(2, #frames())
  end)

  it("answers each ping once", function()
    local term = assert(capsule_of([[
      c:text('{"type":"ping"}')
      c:text('{"type":"ping"}')
      repeat local opcode = c:read_frame() until not opcode or opcode == 8
      log("over")
    ]]):pty())
    assert.are.equal("ping", assert(term:read()).type)
    assert.are.equal("ping", assert(term:read()).type)
    term:close()
    local list = all_frames()
    assert.are.equal('{"type":"pong"}', list[2])
    assert.are.equal('{"type":"pong"}', list[3])
    assert.is_nil(table.concat(list, "\n", 4):find("pong", 1, true))
  end)

  it("goes on after an error, unless it is fatal", function()
    local term = assert(capsule_of([[
      c:text('{"type":"error","data":"hiccup"}')
      c:text('{"type":"output","data":"eA=="}')
      c:text('{"type":"error","data":"gone","fatal":true}')
      c:text('{"type":"output","data":"eA=="}')
    ]]):pty())
    assert.are.same({ { type = "error", data = "hiccup" },
      { type = "output", data = "x" },
      { type = "error", data = "gone", fatal = true } }, events_of(term))
    assert.are.equal("gone", term.err.message)
  end)

  it("ends quietly without an exit", function()
    local term = assert(capsule_of("c:close()"):pty())
    assert.are.same({}, events_of(term))
    assert.is_nil(term.exit_code)
    assert.is_true(term.err:is("ConnectionError"))
  end)

  it("tells the reason that its server had to close it", function()
    local term = assert(capsule_of([[
      c:text('{"type":"output","data":"eA=="}')
      c:close_frame(4001, "host is drained") c:read_frame()
    ]]):pty())
    events_of(term)
    assert.are.equal(4001, term.err.details.close_code)
    assert.is_truthy(term.err.message:find(": host is drained", 1, true))
  end)

  it("raises on invalid base64 rather than end", function()
    local term = assert(capsule_of(
      [[ c:text('{"type":"output","data":"*"}') ]]):pty())
    local ok, err = pcall(events_of, term)
    assert.is_false(ok)
    assert.is_true(err:is("ProtocolError"))
  end)

  it("is typed into as base64 for an old server", function()
    local term = assert(capsule_of("c:read_frame() c:close()"):pty())
    assert.is_true(term:write("ls\n"))
    events_of(term)
    assert.are.equal('{"type":"input","data":"bHMK"}', frames()[2])
  end)

  it("is typed into as bytes for a new server", function()
    local term = assert(capsule_of("c:read_frame() c:close()", "0.3.0"):pty())
    assert.is_true(term:write("\0\255"))
    events_of(term)
    assert.are.equal("\0\255", frames()[2])
  end)

  it("is typed into as the server writes", function()
    local term = assert(capsule_of([[
      c:binary("\0\255") c:read_frame() c:close() ]], "0.1.5"):pty())
    assert.are.same({ type = "output", data = "\0\255", binary = true },
      (term:read()))
    assert.is_true(term:write("x"))
    events_of(term)
    assert.are.equal("x", frames()[2])
  end)

  it("may be told the encoding", function()
    local term = assert(capsule_of("c:read_frame() c:close()")
      :pty({ encoding = "binary" }))
    assert.is_true(term:write("x"))
    events_of(term)
    assert.are.equal("x", frames()[2])
  end)

  it("is resized, and refuses sizes that are none", function()
    local term = assert(capsule_of("c:read_frame() c:close()"):pty())
    for _, size in ipairs({ { 0, 24 }, { 80, 0 }, { -1, 5 }, { 1.5, 5 },
      { "80", 24 } }) do
      assert.has_error(function() term:resize(size[1], size[2]) end)
    end
    assert.is_true(term:resize(120, 40))
    events_of(term)
    assert.are.same({ type = "resize", cols = 120, rows = 40 },
      cjson.decode(frames()[2]))
  end)

  it("leaving its scope is killed and closed", function()
    local capsule = capsule_of([[
      local opcode
      repeat opcode = c:read_frame() until opcode == 8 or not opcode
      log("opcode " .. tostring(opcode))
    ]])
    wrenn.with(assert(capsule:pty()), function() end)
    local list = frames_when(function(all)
      return all[#all]:find("^opcode")
    end)
    assert.are.equal('{"type":"kill"}', list[2])
    assert.are.equal("opcode 8", list[#list])
  end)

  it("names the user it is to run as", function()
    local capsule = capsule_of("c:close()")
    capsule.commands.users =
      { root = { name = "root", home = "/root", is_default = true },
        bob = { name = "bob", home = "/home/bob" } }
    events_of(assert(capsule:pty({ user = "root" })))
    assert.are.same({ type = "start", cmd = "/bin/bash", cols = 80, rows = 24,
      user = "root" }, cjson.decode(frames()[1]))
    events_of(assert(capsule:pty({ user = "bob", cmd = "top",
      args = { "x" } })))
    local first = cjson.decode(frames()[2])
    assert.are.equal("bob", first.user)
    -- And changes to it by itself, for servers that do not.
    assert.are.same({ "/bin/sh", "sh", "bob", "/home/bob" },
      { first.cmd, first.args[3], first.args[4], first.args[5] })
    assert.are.same({ "top", "x" },
      { first.args[#first.args - 1], first.args[#first.args] })
  end)

  it("passes on what it does not know", function()
    local term = assert(capsule_of([[
      c:text('{"type":"news","data":"x"}') c:text("{}")
      c:text('{"type":"exit","exit_code":0}') ]]):pty())
    assert.are.same({ { type = "news", data = "x" }, { type = "unknown" },
      { type = "exit", exit_code = 0 } }, events_of(term))
  end)

  it("ends for all who read it", function()
    local term = assert(capsule_of([[
      c:text('{"type":"started","pid":5,"tag":"pty-1"}') c:sleep(0.1)
      c:text('{"type":"exit","exit_code":0}') c:read_frame() ]]):pty())
    assert(term:read())
    local ends = assert(wrenn.task.with_timeout(60, function()
      local function reader()
        local count = 0
        while term:read() do
          count = count + 1
        end
        return count
      end
      return wrenn.task.gather({ reader, reader })
    end))
    assert.are.equal(1, ends[1] + ends[2])
    assert.are.equal(0, term.exit_code)
  end)

  -- A server that says nothing and never reads on inside.
  local SILENT = [[
    repeat local opcode = c:read_frame() until not opcode or opcode == 8
    log("over")
  ]]

  -- What the peer was sent as input, once it is so many bytes, and in how many
  -- messages.
  local function typed_when(size)
    local typed
    frames_when(function(list)
      typed = {}
      for _, text in ipairs(list) do
        local data = text:match('"input","data":"([^"]*)"')
        typed[#typed + 1] = data and core.base64_decode(data)
      end
      return #table.concat(typed) >= size
    end)
    return table.concat(typed), #typed
  end

  it("sends few messages to a silent server, whatever is typed",
    function()
      local capsule = capsule_of(SILENT)
      local term = assert(capsule:pty())
      local begin = core.now()
      for i = 1, 2000 do
        assert.is_true(term:write(i .. "\n"))
      end
      assert.is_true(term:write(("x"):rep(1024 * 1024)))
      assert.is_true(term:resize(90, 30))
      local elapsed = core.now() - begin
      local expected = {}
      for i = 1, 2000 do
        expected[i] = i .. "\n"
      end
      expected = table.concat(expected) .. ("x"):rep(1024 * 1024)
      local typed, messages = typed_when(#expected)
      assert.is_true(typed == expected)
      -- 16 at once, 8 in a second, and what the resize pushed out.
      assert.is_true(messages <= 16 + 8 * elapsed + 2,
        messages .. " messages in " .. elapsed .. " s")
      term:close()
    end)

  it("says a resize and a kill again behind a burst of input", function()
    local term = assert(capsule_of(SILENT):pty())
    assert.is_true(term:write("x"))
    assert.is_true(term:resize(90, 30))
    assert.is_true(term:resize(100, 40))
    assert.is_true(term:kill())
    local function places(list, what)
      local at = {}
      for i, text in ipairs(list) do
        at[#at + 1] = text:find(what, 1, true) and i
      end
      return at
    end
    frames_when(function(list)
      return #places(list, '"kill"') > 3 and #places(list, '"cols":100') > 3
    end)
    term:close()
    local list = all_frames()
    local older, newer = places(list, '"cols":90'), places(list, '"cols":100')
    assert.are.equal(4, #newer)
    assert.are.equal(4, #places(list, '"kill"'))
    -- The newer one counts.
    assert.is_true(older[#older] < newer[1])
  end)

  it("says them once when nothing was typed", function()
    local term = assert(capsule_of(SILENT):pty())
    assert.is_true(term:resize(90, 30))
    wrenn.task.sleep(0.5) -- as long as a second one may take
    term:close()
    local list = all_frames()
    assert.is_truthy(list[2]:find('"resize"', 1, true))
    assert.is_nil(table.concat(list, "\n", 3):find("resize", 1, true))
  end)

  it("keeps each write together, whichever tasks write", function()
    local term = assert(capsule_of(SILENT):pty({ encoding = "base64" }))
    local sizes = { 200000, 100000, 150000 }
    assert(wrenn.task.map(sizes, function(size, i)
      return term:write(tostring(i):rep(size))
    end))
    term:close()
    local typed = typed_when(450000)
    assert.are.equal(450000, #typed)
    for i, size in ipairs(sizes) do
      assert.are.equal(size, #typed:match(i .. "+"))
    end
  end)

  -- As servers are: what comes before the first output is lost.
  local DEAF = [[
    c:sleep(0.1)
    heard = heard or {}
    attached = c
    while true do
      local opcode, data = c:read_frame()
      if not opcode or opcode == 8 then return end
      if printed then heard[#heard + 1] = data log("heard " .. data) end
      if printed and data:find('"kill"', 1, true) then
        c:text('{"type":"exit","exit_code":-1}')
      end
    end
  ]]

  local function deaf_capsule(exec)
    p = peer.sockets(DEAF, "0.1.5", ([[
      if req.path:find("/processes$") then
        c:respond(200, '{"processes":[{"pid":7,"tag":"pty-1","cmd":"x"}]}')
      elseif req.method == "DELETE" then
        c:respond(204)
      elseif req.path:find("/exec$") then
        asked = (asked or 0) + 1
        %s
        c:respond(200, '{"exit_code":0}')
      end
    ]]):format(exec))
    return p:capsule()
  end

  -- The first nudge comes before the server listens to the terminal.
  local SECOND_NUDGE = [[
    if asked == 2 then
      printed = true
      attached:text('{"type":"output","data":"AA=="}')
      attached:text('{"type":"output","data":"eAB5"}')
    end
  ]]

  it("that hears nothing before it prints is made to print", function()
    local term = assert(deaf_capsule(SECOND_NUDGE):pty_connect("pty-1"))
    assert.are.same({ "pty-1", 7 }, { term.tag, term.pid })
    assert.is_true(term:write("ls\n"))
    assert.is_true(term:resize(90, 30))
    assert.is_true(term:kill())
    -- One NUL for each time that it was asked for.
    assert.are.same({ type = "output", data = "xy" }, (term:read()))
    assert.are.equal("exit", assert(term:read()).type)
    assert.are.equal(-1, term.exit_code)
    local heard = {}
    for _, text in ipairs(p:received()) do
      heard[#heard + 1] = text:match("^heard (.*)")
    end
    assert.are.equal('{"type":"input","data":"bHMK"}', heard[1])
    assert.is_truthy(heard[2]:find('"resize"', 1, true))
    assert.are.equal('{"type":"kill"}', heard[3])
  end)

  it("that hears nothing at all is ended by its pid, not typed into",
    function()
      local term = assert(deaf_capsule(""):pty_connect("pty-1"))
      local begin = core.now()
      local ok, err = term:write("x")
      assert.is_nil(ok)
      assert.is_true(err:is("TimeoutError"), tostring(err))
      assert.is_true(core.now() - begin < 20)
      -- A kill needs no ear.
      begin = core.now()
      assert.is_true(term:kill())
      assert.is_true(core.now() - begin < 9)
      local received = p:received()
      assert.is_truthy(received[#received]:find(
        "^DELETE /v1/capsules/cl%-1/processes/7 "))
      term:close()
    end)

  it("that is closed refuses to be typed into, and closes again", function()
    local term = assert(capsule_of("c:read_frame()"):pty())
    term:close()
    term:close()
    local ok, err = term:write("x")
    assert.is_nil(ok)
    assert.is_true(err:is("WrennError"))
  end)
end)

describe("a terminal of wrenn-local", function()
  local s, capsule

  setup(function()
    s = server.start()
    capsule = assert(Capsule.create(s:options({ wait = true })))
  end)

  teardown(function()
    s:stop()
  end)

  it("is a shell", function()
    local term = assert(capsule:pty())
    assert.is_true(term:write("echo pty-result-$((6*7))\nexit\n"))
    assert.is_truthy(read_until(term):find("pty-result-42", 1, true))
    assert.are.equal(0, term.exit_code)
    assert.is_truthy(term.tag:match("^pty%-%x+$"))
    assert.is_true(term.pid > 0)
    term:close()
  end)

  it("starts where and with what it is told", function()
    local term = assert(capsule:pty({ cwd = "/tmp",
      envs = { PTY_VAR = "xyzzy" } }))
    term:write("pwd; echo marker-$PTY_VAR; exit\n")
    local out = read_until(term)
    assert.is_truthy(out:find("/tmp", 1, true))
    assert.is_truthy(out:find("marker-xyzzy", 1, true))
    term = assert(capsule:pty({ cmd = "/bin/echo",
      args = { "hello-from-argv" } }))
    assert.are.equal("hello-from-argv\r\n", read_until(term))
    assert.are.equal(0, term.exit_code)
  end)

  it("has the size it is given", function()
    -- A shell that edits lines may lose what is typed while it hears of a size.
    local term = assert(capsule:pty({ cols = 91, rows = 17, cmd = "/bin/sh" }))
    term:write("stty size\n")
    read_until(term, "17 91")
    assert.is_true(term:resize(120, 40))
    term:write("stty size\n")
    read_until(term, "40 120")
    assert.is_true(term:kill())
    read_until(term)
    assert.are.equal(-1, term.exit_code)
    term:close()
  end)

  it("is left and come back to by its tag", function()
    local term = assert(capsule:pty())
    term:write("echo ready\n")
    read_until(term, "ready\r\n")
    local tag, pid = term.tag, term.pid
    term:close()
    local again = assert(capsule:pty_connect(tag))
    assert.are.same({ tag, pid }, { again.tag, again.pid })
    again:write("echo back; exit\n")
    assert.is_truthy(read_until(again):find("back", 1, true))
    assert.are.equal(0, again.exit_code)
    again:close()
  end)

  it("is not found under an unknown tag", function()
    local term, err = capsule:pty_connect("pty-00000000")
    assert.is_nil(term)
    assert.is_true(err:is("NotFoundError"))
  end)

  it("can be interrupted while it says nothing", function()
    local term = assert(capsule:pty({ cmd = "/bin/sleep", args = { "60" } }))
    term:read()
    local event, err = wrenn.task.with_timeout(0.2, function()
      return term:read()
    end)
    assert.is_nil(event)
    assert.is_true(err:is("TimeoutError"))
    capsule.commands:kill(term.pid)
    term:close()
  end)

  it("carries bytes both ways", function()
    local bytes = {}
    for i = 0, 255 do
      bytes[#bytes + 1] = string.char(i)
    end
    bytes = table.concat(bytes)
    local term = assert(capsule:pty({ cmd = "/bin/sh",
      args = { "-c", "stty raw -echo; echo go; head -c 2560" } }))
    read_until(term, "go")
    assert.is_true(term:write(bytes:rep(10)))
    assert.are.equal(bytes:rep(10), (read_until(term):gsub("^\n", "")))
    term:close()
  end)
end)
