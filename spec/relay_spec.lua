-- A relay wakes the reader of its socket when a loop has something to do.

local compat = require("spec.support.compat")
local core = require("wrenn.core")
local figures = require("spec.hosts.figures")
local uv = require("luv")

-- Runs luv's loop until `done` holds.
local function run_until(done, seconds)
  local deadline = core.now() + (seconds or 20)
  local timer = uv.new_timer()
  timer:start(10, 10, function() end)
  while not done() and core.now() < deadline do
    uv.run("once")
  end
  timer:close()
  return done()
end

local function connect(path)
  local pipe = uv.new_pipe(false)
  local seen = { bytes = "" }
  pipe:connect(path, function(err)
    seen.connected, seen.err = not err, err
    if not err then
      pipe:read_start(function(broken, bytes)
        seen.bytes, seen.err = seen.bytes .. (bytes or ""), broken
        seen.ended = seen.ended or not bytes
      end)
    end
  end)
  return pipe, seen
end

local function is_there(path)
  local ok, _, code = os.rename(path, path)
  return ok or code == 13
end

describe("a relay", function()
  local loop, relay, pipe, seen

  before_each(function()
    loop = assert(core.loop())
    relay = assert(loop:relay())
  end)

  after_each(function()
    if pipe then
      pipe:close()
      uv.run("nowait")
      pipe = nil
    end
    relay:stop()
    loop:close()
  end)

  local function connected()
    pipe, seen = connect(relay:path())
    assert.is_true(run_until(function()
      return seen.connected
    end))
  end

  local function ask()
    seen.bytes = ""
    pipe:write("?")
  end

  local function is_answered()
    return seen.bytes == "?"
  end

  it("answers once the loop has something to do, and not before", function()
    connected()
    loop:step()
    ask()
    assert.is_false(run_until(is_answered, 0.1))
    local op = assert(loop:timer(0.05))
    assert.is_true(run_until(is_answered))
    local id
    while not id do
      loop:step()
      id = loop:next()
      if not id then
        ask()
        assert.is_true(run_until(is_answered))
      end
    end
    assert.are.equal(op:id(), id)
  end)

  it("says nothing that it was not asked for", function()
    connected()
    assert(loop:timer(0))
    assert.is_false(run_until(function()
      return seen.bytes ~= ""
    end, 0.1))
    ask()
    assert.is_true(run_until(is_answered))
  end)

  it("leaves no file behind, connected or not", function()
    local path = relay:path()
    local dir = path:match("^(.*)/")
    assert.is_true(is_there(path))
    connected()
    assert.is_true(run_until(function()
      return not is_there(path) and not is_there(dir)
    end))
    local other = assert(loop:relay())
    dir = other:path():match("^(.*)/")
    assert.is_true(is_there(dir))
    other:stop()
    assert.is_false(is_there(dir))
  end)

  it("lets nobody else in", function()
    local dir = relay:path():match("^(.*)/")
    assert.are.equal("700\n", compat.output_of("stat -c %a '" .. dir .. "'"))
    -- Another process of this user, which the directory does not keep out.
    assert.are.equal("0\n", compat.output_of(
      ("timeout 60 socat -u UNIX-CONNECT:'%s' STDOUT; echo $?")
        :format(relay:path())))
    connected()
    assert(loop:timer(0))
    ask()
    assert.is_true(run_until(is_answered))
  end)

  it("ends with its peer, and its peer with it", function()
    connected()
    relay:stop()
    assert.is_true(run_until(function()
      return seen.ended
    end))
    relay:stop() -- again
    assert.is_false(pcall(relay.path, relay))
  end)

  it("ends in good order whatever it has not taken up", function()
    for i = 1, 200 do
      local other = assert(loop:relay())
      local one, had = connect(other:path())
      if i % 2 == 0 then
        uv.run("once")
        one:write("?")
      end
      other:stop()
      assert.is_true(run_until(function()
        return had.ended
      end))
      assert.is_nil(had.err)
      one:close()
    end
  end)

  it("takes no number of a standard stream", function()
    local code, said = os.tmpname(), os.tmpname()
    local file = assert(io.open(code, "w"))
    file:write(([[
      local core = require("wrenn.core")
      local loop = assert(core.loop())
      local relay = assert(loop:relay())
      local held = {}
      for i = 1, 3 do held[i] = assert(io.open("/dev/null")) end
      local uv = require("luv")
      local pipe, answer = uv.new_pipe(false)
      held[2]:close()
      held[3]:close() -- one for the pipe, one for who accepts it
      pipe:connect(relay:path(), function(err)
        assert(not err, err)
        pipe:read_start(function(_, bytes) answer = bytes end)
        pipe:write("?")
        assert(loop:timer(0))
      end)
      local deadline = core.now() + 30
      while not answer and core.now() < deadline do uv.run("nowait") end
      local lines = { tostring(answer) }
      for fd = 0, 2 do
        local what = uv.fs_readlink("/proc/self/fd/" .. fd) or "free"
        lines[#lines + 1] = fd == pipe:fileno() and "the pipe"
          or what:match("^%%a+") or what
      end
      table.sort(lines)
      local file = assert(io.open(%q, "w"))
      file:write(table.concat(lines, ","))
      file:close()
      os.exit(0)
    ]]):format(said))
    file:close()
    os.execute(("timeout 60 %s %s <&- >&- 2>&-"):format(compat.lua, code))
    file = assert(io.open(said))
    assert.are.equal("/dev/null,?,free,the pipe", file:read("*a"))
    file:close()
    os.remove(code)
    os.remove(said)
  end)

  it("may outlive its loop, and be collected", function()
    connected()
    ask()
    loop:close()
    relay:stop()
    loop = assert(core.loop())
    local fds = figures.count_fds()
    for _ = 1, 20 do
      assert(loop:relay())
    end
    collectgarbage()
    collectgarbage()
    assert.is_true(figures.count_fds() <= fds + 2) -- the loop's own alarm
    relay = assert(loop:relay())
  end)
end)
