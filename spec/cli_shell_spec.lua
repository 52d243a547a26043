-- wrenn shell, attach and exec -t in a terminal of this machine.

local cli = require("spec.support.cli")
local core = require("wrenn.core")
local expect = require("spec.support.expect")
local generations = require("spec.support.generations")
local screen = require("spec.support.screen")
local servers = require("spec.support.server")
local system = require("spec.c.system")
local wrenn = require("wrenn")

local HUP, TERM, SEGV = 1, 15, 11

local term

-- Starts a command line of wrenn in a terminal, where sh stays behind it, so
-- that what it leaves can be seen. Returns the modes of the terminal before.
local function start(server, line)
  term = screen.start(("read go; %s %s bin/wrenn %s; echo \"status $?\";"
    .. " read go"):format(screen.FATAL, cli.environment(server), line), 77, 22)
  local before = term:modes()
  term:write("\n")
  return before
end

local function finish()
  if term then
    term:close()
    term = nil
  end
end

local function has_no(server)
  for _, info in ipairs(assert(wrenn.Capsule.list(server:options()))) do
    if info.status ~= "stopped" and info.status ~= "stopping" then
      return false
    end
  end
  return true
end

generations.each(function(generation)
  describe("wrenn shell with " .. generation.name, function()
    local server

    setup(function()
      server = generations.start(generation)
    end)

    teardown(function()
      server:stop()
    end)

    after_each(finish)

    it("is a shell of a new capsule, as wide as the terminal", function()
      local before = start(server, "shell -e 'PROMPT_COMMAND=printf ready:'")
      term:read_until("ready:")
      assert.are_not.equal(before, term:modes())
      term:write("stty size\n")
      term:read_until("22 77\r\n")
      term:resize(101, 33)
      -- The shell is told after that, so it may be asked too early.
      expect.soon(function()
        term:write("stty size; echo do''ne\n")
        return term:read_until("done\r\n"):find("33 101\r\n", 1, true)
      end)
      term:write("sh -c 'echo wai\"\"ting; exec sleep 1000'\n")
      term:read_until("waiting\r\n")
      term:write("\3")
      term:read_until("ready:")
      term:write("exit 7\n")
      term:read_until("status 7\r\n")
      assert.are.equal(before, term:modes())
      assert.is_true(has_no(server))
    end)

    it("goes on when it is left, and can be come back to", function()
      local before = start(server, "shell -e 'PROMPT_COMMAND=printf ready:'")
      term:read_until("ready:")
      term:write("while read x; do echo \"<$x>\"; done\n")
      term:read_until("done\r\n")
      term:write("\16a\29") -- Ctrl-P and a key, then Ctrl-]
      term:read_until("come back with: wrenn ")
      local line = term:read_until("\r\n")
      term:read_until("status 0\r\n")
      assert.are.equal(before, term:modes())
      finish()
      start(server, line)
      term:write("one\n")
      term:read_until("one>\r\n")
      term:write("\4exit 3\n")
      term:read_until("status 3\r\n")
      assert(wrenn.Capsule.destroy(line:match("cl%-%w+"),
        server:options({ wait = true })))
    end)
  end)
end)

describe("wrenn", function()
  local server, capsule

  setup(function()
    server = servers.start()
    capsule = assert(wrenn.Capsule.create(server:options({ wait = true })))
  end)

  teardown(function()
    server:stop()
  end)

  after_each(finish)

  it("has room for an editor that takes the whole screen", function()
    local before = start(server, "shell -e 'PROMPT_COMMAND=printf ready:'"
      .. " -e TERM=xterm " .. capsule.id)
    term:read_until("ready:")
    term:write("nvim --clean -n /tmp/text\n")
    term:read_until("All")
    term:write("isaid in it")
    term:read_until("said in it")
    term:write("\28\14:w\r") -- Ctrl-\ Ctrl-N: out of the insertion
    term:read_until("written")
    local function await_size(expected)
      expect.soon(function()
        term:write(":call writefile([&columns . 'x' . &lines], '/tmp/size')\r")
        return capsule.files:read("/tmp/size") == expected
      end)
    end
    await_size("77x22\n")
    term:resize(101, 33)
    await_size("101x33\n")
    term:write(":q\r")
    term:read_until("ready:")
    term:write("cat /tmp/text; exit 4\n")
    term:read_until("said in it\r\n")
    term:read_until("status 4\r\n")
    assert.are.equal(before, term:modes())
  end)

  -- What is being killed may end meanwhile.
  local function end_all()
    expect.soon(function()
      local list = assert(capsule.commands:list())
      for _, process in ipairs(list) do
        capsule.commands:kill(process.pid)
      end
      return #list == 0
    end)
  end

  local function pid_of_wrenn()
    local pipe = assert(io.popen("pgrep -P " .. term.pid))
    local pid = pipe:read("*n")
    pipe:close()
    return pid
  end

  it("exec -it runs a command in the terminal, with its exit status", function()
    local before = start(server, "exec -it " .. capsule.id
      .. " sh -c 'test -t 0 && test -t 1 && echo $TERM; stty size; exit 5'")
    term:read_until("22 77\r\n")
    term:read_until("status 5\r\n")
    assert.are.equal(before, term:modes())
    finish()
    start(server, "exec -it " .. capsule.id .. " sh -c 'kill -9 $$'")
    term:read_until("status 137\r\n")
    finish()
    start(server, "exec -it " .. capsule.id .. " /nowhere")
    term:read_until("not found")
    term:read_until("status 127\r\n")
    finish()
    start(server, "exec -it --timeout 0.5 " .. capsule.id .. " sleep 1000")
    term:read_until("status 124\r\n")
  end)

  it("leaves only by the keys that were asked for", function()
    start(server, "exec -it --detach-keys ctrl-p,q " .. capsule.id
      .. " sh -c 'stty raw -echo; echo go; cat -v'")
    term:read_until("go")
    term:write("\29")
    term:read_until("^]")
    term:write("\16x")
    term:read_until("^Px")
    term:write("\16q")
    term:read_until("status 0\r\n")
    end_all()
  end)

  it("leaves the terminal as it was when it is killed", function()
    for _, signal in ipairs({ TERM, HUP, SEGV }) do
      local before = start(server, "exec -it " .. capsule.id .. " cat")
      expect.soon(function()
        return before ~= term:modes()
      end)
      system.kill(pid_of_wrenn(), signal)
      term:read_until("status " .. 128 + signal .. "\r\n")
      assert.are.equal(before, term:modes())
      finish()
    end
    -- What SIGSEGV has killed could tidy up nothing but the terminal.
    end_all()
  end)

  it("leaves the terminal as it was when the server is killed", function()
    local other = servers.start()
    local begin = core.now()
    local before = start(other, "shell")
    expect.soon(function()
      return before ~= term:modes()
    end)
    other:stop("KILL")
    term:read_until("status 125\r\n")
    assert.are.equal(before, term:modes())
    assert.is_true(core.now() - begin < 25)
  end)

  it("attach shows what a detached command prints, and its end", function()
    local tag = cli.run(server, "exec -d " .. capsule.id
      .. " sh -c 'while [ ! -e /tmp/go ]; do echo tick; sleep 0.05; done;"
      .. " echo late; exit 6'").out:match("%S+")
    start(server, "attach " .. capsule.id .. " " .. tag)
    term:read_until("tick\r\n")
    assert(capsule.commands:run("touch /tmp/go"))
    term:read_until("late\r\n")
    term:read_until("status 6\r\n")
  end)

  it("has terminals only on a terminal", function()
    for _, line in ipairs({ "shell", "shell " .. capsule.id }) do
      local result = cli.run(server, line)
      assert.are.equal(2, result.status)
      assert.is_truthy(result.err:find("have to be a terminal", 1, true))
    end
    assert.are.equal(125,
      cli.run(server, "attach " .. capsule.id .. " no-such-tag").status)
    start(server, "shell --detach-keys ctrl-1")
    term:read_until("--detach-keys: 'ctrl-1' is not a key")
    term:read_until("status 2\r\n")
  end)
end)
