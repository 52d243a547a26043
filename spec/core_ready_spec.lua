-- wrenn.core: waiting for descriptors and signals of the program's own, reading
-- and writing without O_NONBLOCK, and the modes of a terminal.

local compat = require("spec.support.compat")
local core = require("wrenn.core")
local figures = require("spec.hosts.figures")
local screen = require("spec.support.screen")
local system = require("spec.c.system")

local HUP, SEGV, TERM, WINCH = 1, 11, 15, 28
local pid = core.pid()

local function next_event(loop)
  local deadline = core.now() + 20
  repeat
    local id, kind, a, b = loop:next()
    if id then
      return { kind, a, b, id = id }
    end
    assert(loop:wait(0.5))
  until core.now() > deadline
  error("no event")
end

local function flags_of(fd)
  local file = assert(io.open("/proc/self/fdinfo/" .. fd))
  local flags = file:read("*a"):match("flags:%s*(%d+)")
  file:close()
  return flags
end

-- The signals that this process handles, as bits.
local function caught()
  local file = assert(io.open("/proc/self/status"))
  local bits = file:read("*a"):match("SigCgt:%s*(%x+)")
  file:close()
  return bits
end

describe("a descriptor", function()
  local loop, from, to

  before_each(function()
    loop = assert(core.loop())
    from, to = system.pipe()
  end)

  after_each(function()
    loop:close()
    system.close(from)
    system.close(to)
  end)

  it("is waited for until it can be read", function()
    local op = assert(loop:ready(from, "r"))
    assert(loop:wait(0.05))
    assert.is_nil(loop:next())
    assert.are.equal(4, core.write(to, "abc"))
    local event = next_event(loop)
    assert.are.same({ "ready", id = op:id() }, event)
    assert.are.equal("abc", core.read(from))
    assert.is_nil(loop:next()) -- it comes once
  end)

  it("is ready when nobody writes any more", function()
    local op = assert(loop:ready(from, "r"))
    loop:step()
    system.close(to)
    assert.are.equal("ready", next_event(loop)[1])
    assert.are.equal("", core.read(from))
    assert.is_nil((loop:next()))
    op:cancel()
    from, to = system.pipe() -- for after_each
  end)

  it("is waited for until it can be written, and never waits itself", function()
    local piece = ("x"):rep(100000)
    local at = core.write(to, piece)
    assert.is_true(at > 1 and at <= #piece)
    assert.are.equal(at, core.write(to, piece, at))
    local op = assert(loop:ready(to, "w"))
    assert(loop:wait(0.05))
    assert.is_nil(loop:next())
    local got = #core.read(from)
    assert.are.equal("ready", next_event(loop)[1])
    op:cancel()
    while at <= #piece do
      at = core.write(to, piece, at)
      got = got + #core.read(from)
    end
    assert.are.equal(#piece, got)
  end)

  it("keeps its flags, which other processes share", function()
    local before = flags_of(from)
    local op = assert(loop:ready(from, "r"))
    loop:step()
    assert.are.equal(before, flags_of(from))
    op:cancel()
    loop:step()
    assert.are.equal(before, flags_of(from))
  end)

  it("may have several waits, and each may be cancelled", function()
    local first = assert(loop:ready(from, "r"))
    local second = assert(loop:ready(from, "r"))
    loop:step()
    first:cancel()
    assert.are.same({ "failed", "cancelled", "cancelled", id = first:id() },
      next_event(loop))
    core.write(to, "x")
    assert.are.same({ "ready", id = second:id() }, next_event(loop))
  end)

  it("that is always ready is so at once", function()
    for _, path in ipairs({ "/dev/null", "/etc/passwd" }) do
      local fd = system.open(path)
      local op = assert(loop:ready(fd, "r"))
      assert.are.same({ "ready", id = op:id() }, next_event(loop))
      assert.are.equal(path == "/dev/null", core.read(fd) == "")
      system.close(fd)
    end
  end)

  it("has to be open", function()
    local op, code = loop:ready(9999, "r")
    assert.is_nil(op)
    assert.are.equal("argument", code)
    assert.has_error(function()
      loop:ready(from, "x")
    end)
  end)

  it("costs no descriptor once the wait has ended", function()
    local before = figures.count_fds()
    for _ = 1, 50 do
      local op = assert(loop:ready(from, "r"))
      loop:step()
      op:cancel()
      next_event(loop)
    end
    loop:step()
    assert.are.equal(before, figures.count_fds())
  end)

  it("tells when nobody reads any more", function()
    core.ignore_sigpipe()
    system.close(from)
    local op = assert(loop:ready(to, "w"))
    assert.are.same({ "ready", id = op:id() }, next_event(loop))
    local at, why, gone = core.write(to, "x")
    assert.is_nil(at)
    assert.is_string(why)
    assert.is_true(gone)
    from = system.pipe()
  end)
end)

describe("a signal", function()
  local loop

  before_each(function()
    loop = assert(core.loop())
  end)

  after_each(function()
    loop:close()
  end)

  it("is an event, each time, until it is cancelled", function()
    local before = caught()
    local op = assert(loop:signal("WINCH"))
    assert.are_not.equal(before, caught())
    for _ = 1, 3 do
      system.kill(pid, WINCH)
      assert.are.same({ "signal", id = op:id() }, next_event(loop))
      assert.is_nil(loop:next())
    end
    op:cancel()
    assert.are.equal("cancelled", next_event(loop)[2])
    loop:step()
    assert.are.equal(before, caught())
  end)

  it("is one event as long as that has not been taken", function()
    local op = assert(loop:signal("WINCH"))
    for _ = 1, 3 do
      system.kill(pid, WINCH)
      assert(loop:wait(10))
      assert(loop:step())
    end
    assert.are.same({ "signal", id = op:id() }, next_event(loop))
    assert(loop:step())
    assert.is_nil(loop:next())
  end)

  it("comes to each loop that watches it, and to no other", function()
    local other, idle = assert(core.loop()), assert(core.loop())
    local ops = { assert(loop:signal("TERM")), assert(other:signal("TERM")) }
    system.kill(pid, TERM)
    assert.are.same({ "signal", id = ops[1]:id() }, next_event(loop))
    assert.are.same({ "signal", id = ops[2]:id() }, next_event(other))
    assert(idle:step())
    assert.is_nil(idle:next())
    other:close()
    idle:close()
  end)

  it("that nohup has made ignored stays so", function()
    local script = [[
      local core = require("wrenn.core")
      local loop = assert(core.loop())
      assert(loop:signal("HUP"))
      assert(loop:signal("TERM"))
      os.execute("kill -HUP " .. core.pid() .. "; kill -TERM " .. core.pid())
      assert(loop:wait(20))
      print((select(2, loop:next())), loop:next())
    ]]
    assert.are.equal("signal\n", compat.output_of(
      ("trap '' HUP; exec %s -e '%s'"):format(compat.lua, script)))
  end)

  it("has its usual effect on a program that does not ask", function()
    local out = compat.output_of(("%s -e '%s'; echo $?"):format(compat.lua, [[
      local core = require("wrenn.core")
      local loop = assert(core.loop())
      local op = assert(loop:signal("TERM"))
      op:cancel()
      assert(loop:step())
      os.execute("kill -TERM " .. core.pid())
      print("still here")
    ]]))
    assert.are.equal("143\n", out)
  end)
end)

describe("a terminal", function()
  local term

  after_each(function()
    if term then
      term:close()
      term = nil
    end
  end)

  -- Starts a script in a terminal; sh stays behind it, so that what it leaves
  -- can be seen. Returns the modes before.
  local function start(script)
    term = screen.start(("read go; %s %s -e '%s'; echo $? over; read go")
      :format(screen.FATAL, compat.lua, script), 91, 17)
    local before = term:modes()
    term:write("\n")
    return before
  end

  local RAW = [[
    local core = require("wrenn.core")
    assert(core.is_terminal(0) and core.is_terminal(1))
    assert(core.terminal_raw(0))
    io.write("size ", table.concat({ core.terminal_size(0) }, "x"), "\n")
    io.flush()
    while true do
      local key = core.read(0)
      io.write("<", (key:gsub("%c", function(c)
        return "^" .. c:byte()
      end)), ">")
      io.flush()
      if key == "q" then break end
      if key == "r" then core.terminal_restore() io.write("back") io.flush() end
      if key == "e" then error("x") end
      if key == "p" then io.write("[", core.pid(), "]") io.flush() end
    end
  ]]

  it("is raw: each key comes at once and as it is", function()
    local before = start(RAW)
    term:read_until("size 91x17\n") -- and no CR in front of the LF
    assert.are_not.equal(before, term:modes())
    for _, key in ipairs({ "\3", "a", "\26" }) do
      term:write(key)
      term:read_until("<" .. key:gsub("%c", function(c)
        return "^" .. c:byte()
      end) .. ">")
    end
    term:write("r")
    term:read_until("back")
    assert.are.equal(before, term:modes())
  end)

  it("is as before when the program ends, however that comes", function()
    for _, how in ipairs({ "q", "e", TERM, HUP, SEGV }) do
      local before = start(RAW)
      term:read_until("size 91x17\n")
      assert.are_not.equal(before, term:modes())
      if type(how) == "string" then
        term:write(how)
        term:read_until(how == "q" and "0 over" or "1 over")
      else
        term:write("p")
        term:read_until("[")
        system.kill(tonumber(term:read_until("]")), how)
        term:read_until(128 + how .. " over")
      end
      assert.are.equal(before, term:modes(), how)
      term:close()
    end
  end)

  it("has to be one", function()
    local from, to = system.pipe()
    assert.is_false(core.is_terminal(from))
    assert.is_nil(core.terminal_raw(from))
    assert.is_nil(core.terminal_size(from))
    system.close(from)
    system.close(to)
  end)
end)
