-- Time limits of commands: the command is killed with all that it has started,
-- and the error contains its output. In every generation.
-- Takes long: begins first.

local cjson = require("cjson")
local core = require("wrenn.core")
local expect = require("spec.support.expect")
local generations = require("spec.support.generations")
local kill = require("wrenn.commands.kill")
local peer = require("spec.support.peer")
local server = require("spec.support.server")
local slow_kills = require("spec.support.slow_kills")
local wrenn = require("wrenn")

local Capsule, task = wrenn.Capsule, wrenn.task

describe("the request of a command with a limit", function()
  local p

  after_each(function()
    p:stop()
  end)

  local function body_for(opts)
    p = peer.answering({ 200, '{"id":"cl-1","status":"running"}' },
      { 200, '{"exit_code":0}' })
    local capsule = assert(Capsule.connect("cl-1", p:options()))
    assert(capsule.commands:run("x", opts))
    assert.are.equal(2, #p:received())
    return cjson.decode(p:received()[2]:match("\r\n\r\n(.*)$"))
  end

  -- Seconds asked for, and what the server is told.
  for _, case in ipairs({ { nil, 30 }, { 60, 60 }, { 120, 120 }, { 30, 30 },
    { 0.2, 1 }, { 2, 3 }, { 29.9, 31 } })
  do
    it("carries " .. case[2] .. " for " .. tostring(case[1]), function()
      local body = body_for({ timeout = case[1] })
      assert.are.equal(case[2], body.timeout_sec)
      assert.are.same({ "/bin/sh", "-c", "x" },
        { body.cmd, body.args[1], body.args[2] })
    end)
  end

  it("carries none for false", function()
    assert.is_nil(body_for({ timeout = false }).timeout_sec)
  end)
end)

describe("a command that may take longer than a call", function()
  it("is waited for as long as its own limit lasts", function()
    local p = peer.start([[
      while true do
        local req = c:request()
        if not req then return end
        if req.path:find("/exec$") then
          c:sleep(1.1)
          c:respond(200, '{"exit_code":0,"stdout":"late"}')
        else
          c:respond(200, '{"id":"cl-1","status":"running"}')
        end
      end
    ]])
    finally(function() p:stop() end)
    local capsule = p:capsule()
    capsule.client.settings.timeout = 0.5
    for _, timeout in ipairs({ 20, false }) do
      assert.are.equal("late",
        assert(capsule.commands:run("x", { timeout = timeout })).stdout)
    end
    -- Up to its last second the server may take its time, and then some.
    assert.are.equal("late",
      assert(capsule.commands:run("x", { timeout = 0.4 })).stdout)
  end)
end)

describe("a command whose capsule answers nothing any more", function()
  it("is given up soon after its limit", function()
    local p = peer.serving([[
      if req.path:find("/exec$") or req.path:find("/processes$") then
        return c:sleep(120)
      end
    ]])
    finally(function() p:stop() end)
    local begin = core.now()
    local result, err = p:capsule().commands:run("x", { timeout = 1 })
    local took = core.now() - begin
    assert.is_nil(result)
    assert.are.equal("TimeoutError", err.type)
    assert.are.same({ stdout = "", stderr = "", exit_code = -1,
      incomplete = true }, err.result)
    assert.is_true(took >= 1 and took < 12, took) -- 17 without its own
  end)
end)

describe("a command that is given up before its server has started it",
  function()
    it("is killed once it is there", function()
      -- The list is empty when it is first asked for.
      local p = peer.serving([[
        if req.path:find("/exec$") and req.body:find("sleep 9", 1, true) then
          return c:sleep(60)
        elseif req.path:find("/exec$") then
          c:respond(200, '{"exit_code":' .. (listed and 0 or 3) .. '}')
          log("killed " .. tostring(listed))
        elseif req.path:find("/processes$") then
          listed = listed ~= nil
          c:respond(200, listed and '{"processes":[{"pid":7,"cmd":"/bin/sh",'
            .. '"args":["-c","sleep 9"]}]}' or '{"processes":[]}')
        end
      ]])
      finally(function() p:stop() end)
      local capsule = p:capsule()
      task.run(function()
        local one = task.spawn(capsule.commands.run, capsule.commands,
          "sleep 9")
        expect.soon(function()
          local received = p:received()
          return received[#received]:find("/exec ", 1, true)
        end)
        one:cancel()
        local _, err = one:wait()
        assert.are.equal("CancelledError", err.type)
      end)
      local last = expect.soon(function()
        local received = p:received()
        return received[#received] == "killed true" and received[#received - 1]
      end)
      local args = cjson.decode(last:match("\r\n\r\n(.*)$")).args
      assert.are.equal("7", args[#args])
    end)

    it("is killed once it is there, when it was to be a stream", function()
      local p = peer.serving([[
        if req.headers.upgrade then
          c:upgrade(req)
          local _, text = c:read_frame()
          process = text:gsub("^{", '{"pid":7,')
          return c:sleep(60)
        elseif req.path:find("/exec$") then
          log("killed " .. tostring(listed))
          c:respond(200, '{"exit_code":' .. (listed and 0 or 3) .. '}')
        elseif req.path:find("/processes$") then
          listed = listed ~= nil
          c:respond(200, ('{"processes":[%s]}')
            :format(listed and process or ""))
        end
      ]])
      finally(function() p:stop() end)
      local stream =
        assert(p:capsule().commands:stream("sleep 9", { timeout = 0.3 }))
      local _, err = stream:wait()
      assert.are.equal("TimeoutError", err.type)
      expect.soon(function()
        local received = p:received()
        return table.concat(received, "\n"):find("killed true", 1, true)
      end)
    end)
  end)

describe("a server that ends a command by itself", function()
  local p

  after_each(function()
    p:stop()
  end)

  it("is asked to kill it, and its error becomes a TimeoutError", function()
    for _, answer in ipairs({
      { 502, "agent_error", "exec: context deadline exceeded" },
      { 504, "timeout", "Timed out." },
    }) do
      p = peer.start(([[
        while true do
          local req = c:request()
          if not req then return end
          if req.path:find("/exec$") and not asked then
            asked = true
            c:respond(%d, '{"error":{"code":"%s","message":"%s"}}')
          elseif req.path:find("/exec$") then
            c:respond(200, '{"exit_code":0}')
          elseif req.path:find("/processes$") then
            c:respond(200, '{"processes":[{"pid":7,"cmd":"/bin/sh",'
              .. '"args":["-c","sleep 9"]},{"pid":8,"cmd":"/bin/sh",'
              .. '"args":["-c","sleep 9"],"tag":"t"},{"pid":9,"cmd":"y"}]}')
          else
            c:respond(200, '{"id":"cl-1","status":"running"}')
          end
        end
      ]]):format(answer[1], answer[2], answer[3]))
      local capsule = assert(Capsule.connect("cl-1", p:options()))
      local result, err = capsule.commands:run("sleep 9", { timeout = 20 })
      assert.is_nil(result)
      assert.is_true(err:is("TimeoutError"))
      assert.are.equal(answer[1], err.status_code)
      assert.are.same({ stdout = "", stderr = "", exit_code = -1,
        incomplete = true }, err.result)
      local received = p:received()
      local last = cjson.decode(received[#received]:match("\r\n\r\n(.*)$"))
      -- The one process that can be it, and no other.
      assert.are.equal("7", last.args[#last.args])
      assert.are_not.equal("8", last.args[#last.args - 1])
      p:stop()
    end
    p = peer.answering({ 200 })
  end)

  it("that fails otherwise is left alone", function()
    p = peer.answering({ 200, '{"id":"cl-1","status":"running"}' },
      { 502, '{"error":{"code":"agent_error","message":"no"}}' })
    local capsule = assert(Capsule.connect("cl-1", p:options()))
    local result, err = capsule.commands:run("x", { timeout = 20 })
    assert.is_nil(result)
    assert.is_true(err:is("AgentError"))
    assert.are.equal(2, #p:received())
  end)
end)

-- Seconds after which a command is killed. What it prints at once has come by
-- then, on a busy machine too.
local LIMIT = 5

-- What a limit does: cells that mostly wait. In each generation they are one
-- after the other, and the generations beside each other. A cell is called with
-- a capsule, a function that counts the programs which run with an argument, and
-- one that makes the seconds of `sleep` those of its generation: where there are
-- no walls it sees the others.
local cells = {}

local function cell(name, run)
  cells[#cells + 1] = { name = name, run = run }
end

cell("kills the command and gives what it printed", function(capsule, count, of)
  local begin = core.now()
  local result, err = capsule.commands:run(
    of("printf 'partial\\377'; echo oops >&2; sleep 30.1"), { timeout = LIMIT })
  assert.is_nil(result)
  assert.is_true(err:is("TimeoutError"))
  assert.is_true(core.now() - begin >= LIMIT)
  assert.is_true(core.now() - begin < 20)
  assert.are.equal("partial\255", err.result.stdout)
  assert.are.equal("oops\n", err.result.stderr)
  assert.are.equal(-1, err.result.exit_code)
  assert.is_nil(err.result.incomplete)
  assert.are.equal(0, count("30.1"))
  assert.are.same({}, (capsule.commands:list()))
end)

cell("kills children, their children and pipelines",
  function(capsule, count, of)
    local _, err = capsule.commands:run(
      of("echo a; sleep 30.2 & (sleep 30.2; echo b) | cat & sleep 30.2"),
      { timeout = LIMIT })
    assert.is_true(err:is("TimeoutError"))
    assert.are.same({ "a\n" },
      { err.result.stdout, err.result.incomplete })
    assert.are.equal(0, count("30.2"))
  end)

cell("kills what a command has left and the server waits for",
  function(capsule, count, of)
    for _, opts in ipairs({ { timeout = LIMIT },
      { timeout = LIMIT, on_stdout = function() end } })
    do
      local result, err =
        capsule.commands:run(of("echo a; sleep 30.9 & sleep 30.9 &"), opts)
      assert.is_nil(result)
      assert.is_true(err:is("TimeoutError"))
      assert.are.same({ "a\n" },
        { err.result.stdout, err.result.incomplete })
      assert.are.equal(0, count("30.9"))
    end
  end)

cell("kills what is streamed, and keeps what came", function(capsule, count, of)
  local seen = {}
  local _, err = capsule.commands:run(of("echo a; sleep 30.3 & sleep 30.3"), {
    timeout = LIMIT, on_stdout = function(data) seen[#seen + 1] = data end,
  })
  assert.is_true(err:is("TimeoutError"))
  assert.are.same({ "a\n" }, seen)
  assert.are.same({ "a\n" },
    { err.result.stdout, err.result.incomplete })
  assert.are.equal(-1, err.result.exit_code)
  assert.are.equal(0, count("30.3"))
  local stream = assert(capsule.commands:stream(of("echo b; sleep 30.3"),
    { timeout = LIMIT }))
  local _, why = stream:wait()
  assert.is_true(why:is("TimeoutError"))
  assert.are.equal("b\n", why.result.stdout)
  assert.are.equal(why, stream.err)
  assert.are.equal(0, count("30.3"))
end)

-- Whose parent is gone, and who has a session of its own.
local SCATTERED = "echo a; (sleep %s &); (setsid sleep %s &);"
  .. " setsid sh -c 'sleep %s & wait' & "
-- Who has cut every tie: only the environment tells whose it is, and only
-- some ways to start a command have room for that.
local CUT_OFF = "(setsid sleep %s >/dev/null 2>&1 &); " .. SCATTERED
for name, way in pairs({
  foreground = function(commands, cmd)
    return commands:run(cmd, { timeout = LIMIT })
  end,
  callbacks = function(commands, cmd)
    return commands:run(cmd, { timeout = LIMIT, on_stdout = function() end })
  end,
  stream = function(commands, cmd)
    return assert(commands:stream(cmd, { timeout = LIMIT })):wait()
  end,
}) do
  cell("kills what has left its parent or its session: " .. name,
    function(capsule, count, of)
      for number, rest in ipairs({ "sleep %s", "exit" }) do
        local seconds = ("31.%d%d"):format(number, #name)
        local line = (name == "foreground" and SCATTERED or CUT_OFF) .. rest
        local result, err =
          way(capsule.commands, of((line:gsub("%%s", seconds))))
        assert.is_nil(result)
        assert.is_true(err:is("TimeoutError"), tostring(err))
        assert.are.same({ "a\n" },
          { err.result.stdout, err.result.incomplete })
        assert.are.equal(0, count(seconds))
      end
    end)
end

cell("of a durable command ends all that it has started",
  function(capsule, count, of)
    local handle = assert(capsule.commands:run(
      of((CUT_OFF .. "sleep %s"):gsub("%%s", "31.3")),
      { background = true, durable = true, timeout = LIMIT }))
    local result, err = handle:wait()
    assert.is_nil(result)
    assert.is_true(err:is("TimeoutError"), tostring(err))
    assert.are.equal("a\n", err.result and err.result.stdout)
    expect.soon(function()
      return count("31.3") == 0
    end)
    handle:remove()
  end)

cell("of a background command ends all that it has started",
  function(capsule, count, of)
    local handle = assert(capsule.commands:run(
      of((SCATTERED .. "sleep %s"):gsub("%%s", "31.4")),
      { background = true, timeout = 1 }))
    expect.soon(function()
      return count("31.4") == 0
    end)
    assert.is_true(handle.pid > 0)
  end)

cell("leaves other commands and what they have left alone",
  function(capsule, count, of)
    local other = assert(capsule.commands:run(
      of("(setsid sleep 31.5 &); sleep 31.5"), { background = true }))
    expect.soon(function()
      return count("31.5") == 2
    end)
    local _, err = capsule.commands:run(of("(sleep 31.6 &); sleep 31.6"),
      { timeout = 1 })
    assert.is_true(err:is("TimeoutError"))
    assert.are.equal(0, count("31.6"))
    assert.are.equal(2, count("31.5"))
    assert.is_true(other:kill())
    capsule.commands:run(of("for d in /proc/[0-9]*; do"
      .. " case $(tr '\\0' ' ' <$d/cmdline 2>/dev/null) in"
      .. " 'sleep 31.5 ') kill -9 ${d#/proc/} ;; esac; done"))
  end)

cell("ends of equal commands only the one it is for", function(capsule)
  local begin = core.now()
  local limits = { LIMIT, LIMIT + 2, 90 }
  local late = 0
  local ends = assert(task.map(limits, function(limit)
    local result, err = capsule.commands:run(
      "echo x; until [ -e go ]; do sleep 0.1; done",
      { timeout = limit })
    if err and not err:is("TimeoutError") then
      return nil, err
    elseif err then
      late = late + 1
    end
    if late == 2 then -- the third is still there, and may end
      local ok, why = capsule.files:write("go", "")
      if not ok then
        return nil, why
      end
    end
    return { took = core.now() - begin, out = (result or err.result).stdout,
      late = err ~= nil }
  end))
  for i, limit in ipairs(limits) do
    assert.are.equal("x\n", ends[i].out)
    assert.are.equal(limit < 90, ends[i].late)
    assert.is_true(not ends[i].late or ends[i].took >= limit)
  end
end)

cell("ends what was given up, not what is run again then", function(capsule)
  local moments = {}
  for i = 1, 32 do
    moments[i] = i * 0.006
  end
  local ends = assert(task.map(moments, function(moment, i)
    local line = "sleep 1.2; echo " .. i
    task.with_timeout(moment, function()
      return capsule.commands:run(line)
    end)
    local result, err = capsule.commands:run(line, { timeout = 120 })
    return result and result.stdout == i .. "\n" or tostring(err or "killed")
  end, { concurrency = 16 }))
  for _, ended in ipairs(ends) do
    assert.is_true(ended)
  end
end)

cell("leaves alone what ends in time", function(capsule)
  local result = assert(capsule.commands:run("sleep 0.2; echo done; exit 9",
    { timeout = 20 }))
  assert.are.same({ "done\n", 9 }, { result.stdout, result.exit_code })
end)

cell("of a background command is kept by who holds the handle",
  function(capsule, count, of)
    local handle = assert(capsule.commands:run(of("sleep 30.5 & sleep 30.5"),
      { background = true, timeout = 0.3 }))
    expect.soon(function()
      return count("30.5") == 0
    end)
    assert.is_true(handle.pid > 0)
  end)

cell("may be applied to a tree of processes by hand",
  function(capsule, count, of)
    local handle = assert(capsule.commands:run(
      of("sh -c 'sleep 30.6 & sleep 30.6 & wait' & echo $! >inner; wait"),
      { background = true }))
    local inner = expect.soon(function()
      local pid = tonumber(capsule.files:read("inner") or "")
      return pid and count("30.6") == 2 and pid
    end)
    -- It is no leader of a group: its children are found by their parent.
    assert.is_true(capsule.commands:kill(inner, { tree = true }))
    assert.are.equal(0, count("30.6"))
    handle:kill()
    local ok, err = capsule.commands:kill(4194305, { tree = true })
    assert.is_nil(ok)
    assert.is_true(err:is("NotFoundError"))
  end)

describe("a limit", function()
  local servers, capsules, running = {}, {}, {}

  local function begin(g)
    local capsule = capsules[g.name]

    local function of(line)
      return (line:gsub("%f[%d]3[01]%.%d+", "%0" .. g.at))
    end

    local function count(argument)
      local result = assert(capsule.commands:run("sh", { args = { "-c",
        'n=0; for f in /proc/[0-9]*/cmdline; do '
          .. 'c=$(tr "\\0" " " <"$f" 2>/dev/null); '
          .. '[ "$c" = "sleep $1 " ] && n=$((n + 1)); done; echo $n',
        "sh", of(argument) } }))
      return tonumber(result.stdout)
    end

    local last
    for _, each in ipairs(cells) do
      local before = last
      last = task.spawn(function()
        if before then
          before:wait()
        else -- so that not all have to kill in the same moment
          assert(task.sleep(0.6 * (g.at - 1)))
        end
        each.run(capsule, count, of)
        return true
      end)
      running[g.name .. each.name] = last
    end
  end

  local as_before

  setup(function()
    as_before = slow_kills()
    generations.each(function(g)
      local s = generations.start(g)
      servers[#servers + 1] = s
      capsules[g.name] = assert(Capsule.create(s:options({ wait = true })))
    end)
    -- To start a server holds up every task.
    generations.each(begin)
  end)

  teardown(function()
    as_before()
    for _, s in ipairs(servers) do
      s:stop()
    end
  end)

  generations.each(function(g)
    describe("in generation " .. g.name, function()
      for _, each in ipairs(cells) do
        it(each.name, function()
          local ok, err = running[g.name .. each.name]:wait()
          assert(ok, tostring(err))
        end)
      end
    end)
  end)
end)

describe("a limit where a capsule sees the whole machine", function()
  local s, capsule, bystanders

  before_each(function()
    s = server.start("--isolation none")
    capsule = assert(Capsule.create(s:options({ wait = true })))
    bystanders = {}
  end)

  after_each(function()
    for _, bystander in ipairs(bystanders) do
      os.execute("kill -9 " .. bystander.pid)
      bystander.pipe:close()
    end
    s:stop()
  end)

  -- Starts a process that is none of the capsule's: its output is a pipe, and
  -- the parent of both kinds is one of the server's ancestors.
  local function start(line)
    local pipe = assert(io.popen(line))
    local pid = assert(pipe:read("*l"))
    bystanders[#bystanders + 1] = { pipe = pipe, pid = pid }
  end

  local function are_alive()
    for _, bystander in ipairs(bystanders) do
      local file = assert(io.open("/proc/" .. bystander.pid .. "/cmdline"))
      assert.truthy(file:read("*a"):find("sleep", 1, true))
      file:close()
    end
  end

  local lines = { child = "echo $$; exec sleep 61.1",
    orphan = "sleep 61.2 & echo $!" }

  for kind, line in pairs(lines) do
    it("kills no other process, when nothing else is left: " .. kind, function()
      start(line)
      local ok, err = kill.command(capsule.commands,
        { words = { "gone" }, age = function() return 1 end })
      assert.is_nil(ok)
      assert.is_nil(err)
      are_alive()
    end)
  end

  it("kills what a command has left, whatever its environment", function()
    start(lines.child)
    start(lines.orphan)
    local result, err = capsule.commands:run(
      "env -i /bin/sleep 61.3 & echo $! >pid", { timeout = 4 })
    assert.is_nil(result)
    assert.is_true(err:is("TimeoutError"), tostring(err))
    local pid = assert(tonumber(assert(capsule.files:read("pid"))))
    expect.soon(function()
      local file = io.open(("/proc/%d/stat"):format(pid))
      local state = file and (file:read("*a") or ""):match("%) (%a)")
      if file then
        file:close()
      end
      return not file or not state or state == "Z"
    end)
    are_alive()
  end)
end)
