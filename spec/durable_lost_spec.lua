-- Durable commands whose keeper, exit code or capsule is lost: waiting ends with
-- an error that says so, and what was printed can be read.
-- Not sanitized: they are made of commands, streams and files, which are.

local core = require("wrenn.core")
local disk = require("spec.support.disk")
local expect = require("spec.support.expect")
local peer = require("spec.support.peer")
local server = require("spec.support.server")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule

describe("a durable command", function()
  local s, capsule, commands

  setup(function()
    s = server.start()
    capsule = assert(Capsule.create(s:options({ wait = true })))
    commands = capsule.commands
  end)

  teardown(function()
    s:stop()
  end)

  local function shell(line)
    local result = assert(commands:run(line))
    assert.are.equal(0, result.exit_code, line .. ": " .. result.stderr)
    return result.stdout
  end

  local function start(cmd)
    local handle = assert(commands:run(cmd,
      { background = true, durable = true }))
    return handle, "~/.wrenn/t-" .. handle.tag
  end

  -- One that has printed "a" and waits, until `handle` is done with.
  local function running()
    local handle, folder = start("echo a; sleep 300")
    expect.soon(function()
      return shell("cat " .. folder .. "/out") == "a\n"
    end)
    return handle, folder
  end

  local function end_all(handle)
    for _, process in ipairs(assert(commands:list())) do
      if process.pid == handle.pid then
        commands:kill(handle.pid, { tree = true })
      end
    end
    expect.soon(function()
      return shell("[ ! -d /proc/" .. handle.pid
        .. " ] && echo gone || echo there") == "gone\n"
    end)
  end

  -- Waiting and reading end soon, by an error whose text contains `words`;
  -- "a" comes before.
  local function is_lost(handle, words, out)
    local begin = core.now()
    local result, err = handle:wait()
    assert.is_nil(result)
    assert.are.equal("AgentError", err.type, tostring(err))
    assert.is_truthy(err.message:find(words, 1, true), tostring(err))
    local stream = assert(handle:stream({ from = 0 }))
    if out then
      assert.are.equal(out, assert(stream:read()).data)
    end
    local event, why = stream:read()
    assert.is_nil(event)
    assert.are.equal(err.message, why.message)
    assert.is_true(core.now() - begin < 30)
  end

  it("whose exit code cannot be written says so", function()
    local handle, folder = start("echo a; while [ ! -e go ]; do sleep 0.05;"
      .. " done; exit 3")
    shell(("cd %s && rm exit && mkdir exit && touch ~/go")
      :format(folder))
    is_lost(handle, "disk", "a\n")
    shell("rm ~/go")
    assert.is_true(handle:remove())
  end)

  it("whose exit code has its place keeps it on a full disk", function()
    local handle, folder = start("exit 3")
    assert.are.equal(3, assert(handle:wait()).exit_code)
    -- In place: not one byte more than there was before it began.
    assert.are.equal("10 100\n",
      shell(("cd %s && echo $(wc -c <exit) $(wc -c <pid)"):format(folder)))
    assert.is_true(handle:remove())
  end)

  it("whose keeper has left no pid is not waited for", function()
    local handle, folder = running()
    shell(("printf '%%99s\\n' '' >%s/pid"):format(folder))
    -- It goes on as long as its keeper is there.
    local stream = assert(handle:stream({ from = 2 }))
    local _, err = wrenn.task.with_timeout(0.5, function()
      return stream:read()
    end)
    assert.are.equal("TimeoutError", err.type)
    end_all(handle)
    is_lost(handle, "has not started", "a\n")
    assert.is_true(handle:remove())
  end)

  it("whose pid and exit code are being written is waited for", function()
    local handle, folder = running()
    -- What a shell sees of both that reads them byte by byte.
    shell(("cd %s && cp pid whole && printf '%%3s4 56 78\\n' '' >pid"
      .. " && printf '%%8s7\\n' '' >exit"):format(folder))
    local stream = assert(handle:stream({ from = 2 }))
    local _, err = wrenn.task.with_timeout(1, function()
      return stream:read()
    end)
    assert.are.equal("TimeoutError", err.type)
    shell(("cd %s && cat whole >pid"):format(folder))
    assert.is_true(handle:kill())
    assert.are.equal(137, assert(handle:wait()).exit_code)
    assert.is_true(handle:remove())
  end)

  it("that a dying capsule has left half made is not waited for", function()
    shell("mkdir -p ~/.wrenn/t-half ~/.wrenn/t-new")
    shell("touch -d '-2 minutes' ~/.wrenn/t-half")
    local handle = assert(commands:durable("half"))
    is_lost(handle, "has not started")
    assert.is_true(handle:remove())
    -- Another that is only just being made may still begin.
    handle = assert(commands:durable("new"))
    local result, err = handle:wait({ timeout = 1 })
    assert.is_nil(result)
    assert.are.equal("TimeoutError", err.type)
    assert.is_true(handle:remove())
  end)

  it("of a capsule that was started anew has ended", function()
    local handle, folder = running()
    local own = shell("cat /proc/sys/kernel/random/boot_id")
    assert.are.equal(own:gsub("%s", ""),
      shell("cat " .. folder .. "/pid"):match("^%d+ %d+ (%S+)\n"))
    shell(("sed -i '1s/[^ ]*$/00000000-0000-0000-0000-000000000000/' %s/pid")
      :format(folder))
    is_lost(handle, "started anew", "a\n")
    end_all(handle)
    assert.is_true(handle:remove())
  end)

  it("of a capsule that is destroyed ends", function()
    local mortal = assert(Capsule.create(s:options({ wait = true })))
    local handle = assert(mortal.commands:run("echo a; sleep 20",
      { background = true, durable = true }))
    local begin = core.now()
    wrenn.task.run(function()
      local waiting = wrenn.task.spawn(function()
        return handle:wait()
      end)
      local stream = assert(handle:stream())
      assert.are.equal("a\n", assert(stream:read()).data)
      assert(mortal:destroy({ wait = true }))
      local result, err = waiting:wait()
      assert.is_nil(result)
      assert.is_true(err.status_code ~= nil or err.status ~= nil,
        tostring(err))
    end)
    assert.is_true(core.now() - begin < 25)
  end)

  it("is read again where a connection breaks, and told what became of it",
    function()
      local p = peer.start([[
        while true do
          local req = c:request()
          if not req then return end
          if req.path:find("/exec$") then
            asked = (asked or 0) + 1
            if req.body:find("half") then return c:reset() end
            if asked < 3 then return c:close() end
            c:respond(200, '{"exit_code":10,"stdout":"4"}')
          else
            c:respond(200, '{"id":"cl-1","status":"'
              .. (asked and "paused" or "running") .. '"}')
          end
        end
      ]])
      local far = assert(Capsule.connect("cl-1", p:options()))
      local function handle_of(tag)
        return setmetatable({ pid = 1, tag = tag, commands = far.commands,
          folder = "t-" .. tag, capsule_id = "cl-1" },
          getmetatable(start("true")))
      end
      assert.are.equal(4, assert(handle_of("x"):wait()).exit_code)
      local begin = core.now()
      local result, err = handle_of("half"):wait()
      assert.is_nil(result)
      assert.are.same({ "CapsuleStateError", "paused" },
        { err.type, err.status })
      assert.is_true(core.now() - begin < 20)
      p:stop()
    end)
end)

-- A server whose capsules have a disk of 1 MiB between them: bubblewrap puts
-- one up around it.
walls.only(describe, pending)("a durable command on a full disk", function()
  local s, capsule, folder

  setup(function()
    folder = disk.folder()
    s = server.start("--isolation none --data " .. folder .. "/data",
      "bwrap --die-with-parent --dev-bind / / --size 1048576 --tmpfs "
        .. folder)
    capsule = assert(Capsule.create(s:options({ wait = true })))
  end)

  teardown(function()
    capsule:destroy({ wait = true })
    s:stop()
    os.remove(folder)
  end)

  local function shell(line)
    return assert(capsule.commands:run(line)).stdout
  end

  local function start(cmd)
    return capsule.commands:run(cmd, { background = true, durable = true })
  end

  it("does not start, says so, and leaves nothing", function()
    shell("cat /dev/zero >~/filler 2>/dev/null; true")
    local handle, err = start("true")
    assert.is_nil(handle)
    assert.are.equal("AgentError", err.type)
    assert.is_truthy(err.message:find("is its disk full?", 1, true),
      tostring(err))
    assert.are.equal("", shell("ls -A ~/.wrenn 2>/dev/null"))
    shell("rm ~/filler")
    assert.are.equal(0, assert(assert(start("true")):wait()).exit_code)
  end)

  it("that it fills itself keeps what fitted, and its exit code", function()
    local handle = assert(start("echo a; cat /dev/zero; exit 3"))
    local result = assert(handle:wait({ timeout = 120 }))
    assert.are.equal(3, result.exit_code)
    assert.are.equal("a\n", result.stdout:sub(1, 2))
    assert.is_true(#result.stdout > 500000 and #result.stdout < 1048576)
    assert.is_truthy(result.stderr == "" or result.stderr:find("space"))
    assert.is_true(handle:remove())
  end)
end)
