-- When a capsule or the server ends, in whatever way, no process, no folder and
-- no listener remains.

local disk = require("spec.support.disk")
local expect = require("spec.support.expect")
local server = require("spec.support.server")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

-- How many processes of this machine have a mark in their command line.
local function count(mark)
  local number = 0
  local words = mark:gsub(" ", "\0")
  for pid in disk.shell("ls /proc"):gmatch("%d+") do
    local file = io.open("/proc/" .. pid .. "/cmdline")
    local line = file and file:read("*a") or "" -- it may have ended
    if file then
      file:close()
    end
    if line:find(mark, 1, true) or line:find(words, 1, true) then
      number = number + 1
    end
  end
  return number
end

local function none_is_left(mark)
  expect.soon(function()
    return count(mark) == 0
  end)
end

local function is_there(path)
  return disk.shell("test -e '" .. path .. "' && echo yes") ~= ""
end

local marks = 0
local function new_mark()
  marks = marks + 1
  return ("9%d%04d"):format(server.unique(), marks)
end

-- A capsule that does everything that may leave something behind: foreground,
-- background with children that hide, a stream and a terminal.
local function busy_capsule(s, mark)
  local capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
  local run = capsule.commands
  assert(run:run("(trap '' HUP TERM; setsid sleep " .. mark .. " & sleep "
    .. mark .. ") & sleep " .. mark, { background = true }))
  assert(run:run("nohup setsid sh -c 'sleep " .. mark
    .. " & sleep " .. mark .. "' >/dev/null 2>&1 & echo", {}))
  local stream = assert(run:stream("sleep " .. mark))
  local term = assert(capsule:pty({ cmd = "/bin/sh" }))
  assert(term:write("sleep " .. mark .. "\n"))
  expect.soon(function()
    return count("sleep " .. mark) >= 6
  end)
  return capsule, stream, term
end

for _, isolation in ipairs({ "bwrap", "none" }) do
  local tell = isolation == "bwrap" and walls.only(describe, pending)
    or describe
  tell("with isolation " .. isolation, function()
    local s

    before_each(function()
      s = server.start("--isolation " .. isolation)
    end)

    after_each(function()
      s:stop()
    end)

    it("a destroyed capsule leaves no process behind", function()
      local mark = new_mark()
      local capsule = busy_capsule(s, mark)
      assert(capsule:destroy({ wait = true }))
      none_is_left("sleep " .. mark)
    end)

    it("a paused capsule can be destroyed just as well", function()
      local mark = new_mark()
      local capsule = busy_capsule(s, mark)
      assert(capsule:pause({ wait = true }))
      assert(capsule:destroy({ wait = true }))
      none_is_left("sleep " .. mark)
    end)

    for _, signal in ipairs({ "TERM", "INT", "HUP", "KILL" }) do
      it("the server leaves no process behind after SIG" .. signal, function()
        local mark = new_mark()
        busy_capsule(s, mark)
        s:stop(signal)
        none_is_left("sleep " .. mark)
      end)
    end
  end)
end

describe("the folders of capsules", function()
  it("go with the capsule; in a folder of one's own the others stay", function()
    local data = os.tmpname()
    os.remove(data)
    local s = server.start("--data " .. data)
    local one = assert(wrenn.Capsule.create(s:options({ wait = true })))
    local two = assert(wrenn.Capsule.create(s:options({ wait = true })))
    assert(one.files:write("f", "x"))
    assert.is_true(is_there(data .. "/" .. one.id .. "/root/f"))
    assert(one:destroy({ wait = true }))
    expect.soon(function()
      return not is_there(data .. "/" .. one.id)
    end)
    assert.is_true(is_there(data .. "/" .. two.id))
    s:stop()
    assert.is_true(is_there(data .. "/" .. two.id .. "/root"))
    os.execute("rm -rf " .. data)
  end)

  it("go with the server when it chose the folder itself", function()
    local base = os.tmpname()
    os.remove(base)
    os.execute("mkdir " .. base)
    for _, signal in ipairs({ "TERM", "KILL" }) do
      local s = server.start("", "TMPDIR=" .. base)
      local capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
      assert(capsule.files:write("f", "x"))
      s:stop(signal)
    end
    -- What a killed one left, the next one removes.
    server.start("", "TMPDIR=" .. base):stop()
    assert.are.equal("", disk.shell("ls -A " .. base))
    os.execute("rmdir " .. base)
  end)
end)

describe("wrenn-local with a command", function()
  local program = os.getenv("WRENN_LOCAL") or "build/local/wrenn-local"

  it("ends with it and hands its status on", function()
    assert.are.equal("hello 7\n", disk.shell(program
      .. " -- sh -c 'echo hello; exit 7' | tr '\\n' ' '; " .. program
      .. " -- sh -c 'exit 7'; echo $?"))
  end)

  it("gives it an address and a key", function()
    local text = disk.shell(program
      .. " -- sh -c 'echo \"$WRENN_BASE_URL $WRENN_API_KEY\"'")
    assert.is_truthy(text:find("^http://127%.0%.0%.1:%d+ wrn_%x+\n$"))
  end)

  it("works without standard streams", function()
    local script = os.tmpname()
    local file = assert(io.open(script, "w"))
    file:write([[
      for fd in 0 1 2; do
        readlink /proc/$PPID/fd/$fd
      done >"$1.fds"
      curl -s -X POST -H "X-API-Key: $WRENN_API_KEY" -d '{}' \
        "$WRENN_BASE_URL/v1/capsules" >"$1.out"
      id=$(sed 's/.*"id":"\([^"]*\)".*/\1/' "$1.out")
      until curl -s -H "X-API-Key: $WRENN_API_KEY" \
        "$WRENN_BASE_URL/v1/capsules/$id" | grep -q running; do sleep 0.05; done
      curl -s -X POST -H "X-API-Key: $WRENN_API_KEY" \
        -d '{"cmd":"/bin/echo","args":["it works"]}' \
        "$WRENN_BASE_URL/v1/capsules/$id/exec" >"$1.out"
    ]])
    file:close()
    local status = disk.shell(("(exec timeout 60 %s -- sh %s %s <&- >&- 2>&-);"
      .. " echo $?"):format(program, script, script))
    local fds = disk.shell("cat " .. script .. ".fds")
    local out = disk.shell("cat " .. script .. ".out")
    os.execute(("rm -f %s %s.fds %s.out"):format(script, script, script))
    assert.are.equal("0\n", status)
    assert.are.equal(("/dev/null\n"):rep(3), fds)
    assert.is_truthy(out:find("it works\\n", 1, true), out)
  end)

  it("refuses what it does not know", function()
    for _, words in ipairs({ "--generation 9", "--isolation glass",
      "--listen 0.0.0.0:0", "--no-such", "stray", "--" }) do
      local text = disk.shell(program .. " " .. words .. " 2>&1; echo $?")
      assert.is_truthy(text:find("\n2\n$"), words .. ": " .. text)
    end
  end)
end)
