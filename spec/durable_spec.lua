-- Durable commands: their output is kept in the capsule and can be read from any
-- offset, after a disconnect, after a pause and by another process, without
-- losing or repeating a byte. In every generation.
-- Not sanitized: they are made of commands, streams and files, which are.
-- Takes long: begins first.

local expect = require("spec.support.expect")
local generations = require("spec.support.generations")
local server = require("spec.support.server")
local wrenn = require("wrenn")

local Capsule, task = wrenn.Capsule, wrenn.task

-- Whether two outputs are the same, without printing megabytes if not.
local function same_bytes(expected, actual)
  assert.are.equal(#expected, #actual)
  assert.is_true(expected == actual)
end

generations.each(function(g)
  local generation = g.name
  describe("a durable command in generation " .. generation, function()
    local s, capsule, commands

    setup(function()
      s = server.start("--generation " .. generation)
      capsule = assert(Capsule.create(s:options({ wait = true })))
      commands = capsule.commands
    end)

    teardown(function()
      s:stop()
    end)

    local function start(cmd, opts)
      opts = opts or {}
      opts.background, opts.durable = true, true
      return assert(commands:run(cmd, opts))
    end

    it("is read to its end, also long after that", function()
      local handle =
        start("echo out; echo err >&2; printf '\\377\\000'; exit 7")
      assert.is_truthy(handle.tag:match("^durable%-%x+$"))
      assert.are.equal(capsule.id, handle.capsule_id)
      for _ = 1, 2 do
        local result = assert(handle:wait())
        assert.are.same({ "out\n\255\0", "err\n", 7 },
          { result.stdout, result.stderr, result.exit_code })
      end
      local again = assert(commands:durable(handle.tag))
      assert.are.equal(handle.pid, again.pid)
      assert.are.equal(7, assert(again:wait()).exit_code)
      assert.is_true(again:remove())
    end)

    it("goes on behind any event", function()
      local handle = start([[for i in 1 2 3 4 5 6; do
        echo "o$i"; echo "error $i" >&2; sleep 0.05
      done; exit 2]])
      local whole = assert(handle:wait())
      local offset, stdout, stderr, events = nil, "", "", 0
      local exit_code
      repeat
        -- A new stream for every event.
        local stream = assert(handle:stream({ from = offset }))
        local ev = assert(stream:read())
        if ev.type == "exit" then
          exit_code = ev.exit_code
        elseif ev.type == "stdout" then
          stdout = stdout .. ev.data
        else
          stderr = stderr .. ev.data
        end
        assert.are.equal(stream.offset, ev.offset)
        offset, events = ev.offset, events + 1
        stream:close()
      until exit_code or events > 100
      assert.are.equal(2, exit_code)
      assert.are.equal(whole.stdout, stdout)
      assert.are.equal(whole.stderr, stderr)
      assert.are.equal("18+48", offset)
      -- From within: a number counts bytes of stdout.
      assert.are.equal("2\no3\no4\no5\no6\n",
        assert(assert(handle:stream({ from = 4 })):wait()).stdout)
      handle:remove()
    end)

    it("is followed while it runs, and left and come back to", function()
      local handle = start([[i=0; while [ $i -lt 60 ]; do
        i=$((i+1)); echo line $i; sleep 0.02; done]], { tag = "lines" })
      local parts, offset = {}, nil
      local exit_code
      repeat
        local stream = assert(handle:stream({ from = offset }))
        for _ = 1, 3 do
          local ev = assert(stream:read())
          exit_code = ev.exit_code
          parts[#parts + 1] = ev.data
          offset = ev.offset
          if exit_code then
            break
          end
        end
        stream:close()
        handle = assert(commands:durable("lines"))
      until exit_code
      local expected = {}
      for i = 1, 60 do
        expected[i] = "line " .. i .. "\n"
      end
      assert.are.equal(table.concat(expected), table.concat(parts))
      assert.is_true(handle:remove())
    end)

    it("outlives a pause, which ends its stream", function()
      -- It does not get to its end before it is paused.
      local handle = start([[i=0; while [ $i -lt 40 ]; do
        i=$((i+1)); echo $i; sleep 0.03
        while [ $i = 20 ] && [ ! -e go ]; do sleep 0.02; done; done; rm go]])
      local stream = assert(handle:stream())
      local parts = { assert(stream:read()).data }
      assert(capsule:pause({ wait = true }))
      local err
      repeat
        local ev
        ev, err = stream:read()
        parts[#parts + 1] = ev and ev.data
      until not ev
      assert.is_true(wrenn.errors.is_error(err))
      assert(capsule:resume({ wait = true }))
      assert(capsule.files:write("go", ""))
      stream = assert(handle:stream({ from = stream.offset }))
      local rest = assert(stream:wait())
      assert.are.equal(0, rest.exit_code)
      local expected = {}
      for i = 1, 40 do
        expected[i] = i .. "\n"
      end
      assert.are.equal(table.concat(expected),
        table.concat(parts) .. rest.stdout)
      handle:remove()
    end)

    it("takes input, directory, environment, user and program", function()
      local result = assert(start("sh", {
        args = { "-c", 'pwd; echo "$A $1 $HOME"; cat', "sh", "a b" },
        cwd = "/tmp", envs = { A = "$x", HOME = "/elsewhere" },
        stdin = "in\0put", user = "root", tag = "all of it/√",
      }):wait())
      assert.are.equal("/tmp\n$x a b /elsewhere\nin\0put", result.stdout)
      assert.are.same({ "", 0 }, { result.stderr, result.exit_code })
      assert.is_true(assert(commands:durable("all of it/√")):remove())
    end)

    it("shows no environment in the list of processes", function()
      local handle = start("sleep 30", { envs = { SECRET = "hush-hush" } })
      local seen = expect.soon(function()
        local all = assert(commands:run(
          "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")).stdout
        return all:find("sleep 30 ", 1, true) and all
      end)
      assert.is_nil(seen:find("hush-hush", 1, true))
      assert.is_true(handle:kill())
      assert.are.equal(137, assert(handle:wait()).exit_code)
      handle:remove()
    end)

    it("in a missing directory does not start, and leaves nothing", function()
      local handle, err = commands:run("pwd", { cwd = "/no/such/dir",
        tag = "lost", background = true, durable = true })
      assert.is_nil(handle)
      assert.is_true(err:is("ValidationError"))
      assert.is_truthy(err.message:find("/no/such/dir", 1, true))
      handle, err = commands:durable("lost")
      assert.is_nil(handle)
      assert.is_true(err:is("NotFoundError"))
    end)

    it("is killed with all that it started, and may handle SIGTERM", function()
      local function started(seconds)
        local handle = start((("sleep %s & (setsid sleep %s >/dev/null 2>&1 &)"
          .. " ; echo up; sleep %s"):gsub("%%s", seconds)))
        local stream = assert(handle:stream())
        assert.are.equal("up\n", assert(stream:read()).data)
        return handle, stream
      end
      local function left(seconds)
        return assert(commands:run("for f in /proc/[0-9]*/cmdline; do"
          .. " tr '\\0' ' ' <$f; echo; done 2>/dev/null"
          .. " | grep -c '^sleep " .. seconds .. " $'")).stdout
      end
      local other = started("30.6")
      local handle, stream = started("30.7")
      assert.is_true(handle:kill())
      assert.are.equal(137, assert(stream:wait()).exit_code)
      assert.are.equal("0\n", left("30.7"))
      expect.soon(function() -- the last begins behind "up"
        return left("30.6") == "3\n"
      end)
      assert.is_true(other:kill())
      assert.are.equal("0\n", left("30.6"))
      other:remove()
      local ok, err = handle:kill()
      assert.is_nil(ok)
      assert.is_true(err:is("NotFoundError"))
      handle:remove()
      handle = start("trap 'echo bye; exit 4' TERM; echo up;"
        .. " while :; do sleep 0.05; done")
      stream = assert(handle:stream())
      assert.are.equal("up\n", assert(stream:read()).data)
      assert.is_true(handle:kill({ signal = "SIGTERM" }))
      local rest = assert(stream:wait())
      assert.are.same({ "bye\n", 4 }, { rest.stdout, rest.exit_code })
      handle:remove()
    end)

    it("whose keeper is killed too ends with -1", function()
      local handle = start("echo up; sleep 30.9")
      local stream = assert(handle:stream())
      assert.are.equal("up\n", assert(stream:read()).data)
      assert.is_true(commands:kill(handle.tag))
      assert.are.equal(-1, assert(stream:wait()).exit_code)
      handle:remove()
    end)

    it("has its limit kept in the capsule", function()
      local handle = start("echo a; sleep 30.8 & sleep 30.8",
        { timeout = 6 })
      local result, err = handle:wait()
      assert.is_nil(result)
      assert.is_true(err:is("TimeoutError"))
      assert.are.same({ "a\n", -1 },
        { err.result.stdout, err.result.exit_code })
      assert.are.equal("", assert(commands:run(
        "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o 'slee[p] 30.8'"))
        .stdout)
      handle:remove()
      handle = start("echo quick", { timeout = 20 })
      assert.are.equal("quick\n", assert(handle:wait()).stdout)
      -- What watched over the limit is gone with it.
      expect.soon(function()
        return assert(commands:run(
          "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o 'slee[p] 20'"))
          .stdout == ""
      end)
      handle:remove()
    end)

    it("has a tag of its own, and is gone when it is removed", function()
      local handle = start("echo 1", { tag = "once" })
      assert(handle:wait())
      local second, err = commands:run("echo 2",
        { background = true, durable = true, tag = "once" })
      assert.is_nil(second)
      assert.is_true(err:is("ConflictError"))
      assert.are.equal("1\n", assert(handle:wait()).stdout)
      assert.is_true(handle:remove())
      for _, call in ipairs({
        function() return commands:durable("once") end,
        function() return handle:wait() end,
        function() return handle:kill() end,
        function() return handle:remove() end,
      }) do
        local value, why = call()
        assert.is_nil(value)
        assert.is_true(why:is("NotFoundError"))
      end
      assert.are.equal("2\n",
        assert(start("echo 2", { tag = "once" }):wait()).stdout)
      commands:durable("once"):remove()
      assert.are.equal("", assert(commands:run("ls .wrenn")).stdout)
    end)
  end)
end)

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

  local function start(cmd, opts)
    opts = opts or {}
    opts.background, opts.durable = true, true
    return assert(commands:run(cmd, opts))
  end

  it("may print much, any bytes, and is read piece by piece", function()
    local handle = start("seq 1 2000000; head -c 3000000 /dev/urandom"
      .. " | tee noise >&2")
    local sizes, stdout, stderr = {}, {}, {}
    for ev in assert(handle:stream()) do
      sizes[#sizes + 1] = #(ev.data or "")
      if ev.type == "stdout" then
        stdout[#stdout + 1] = ev.data
      elseif ev.type == "stderr" then
        stderr[#stderr + 1] = ev.data
      end
    end
    table.sort(sizes)
    assert.is_true(sizes[#sizes] <= 2097152)
    local lines = {}
    for i = 1, 2000000 do
      lines[i] = i
    end
    same_bytes(table.concat(lines, "\n") .. "\n", table.concat(stdout))
    same_bytes(assert(capsule.files:read("noise")), table.concat(stderr))
    -- From the middle of a line, and the middle of a character.
    local rest = assert(handle:stream({ from = "7000001+2999999" })):wait()
    same_bytes(table.concat(stdout):sub(7000002), rest.stdout)
    same_bytes(table.concat(stderr):sub(3000000), rest.stderr)
    handle:remove()
  end)

  it("is taken up by another process", function()
    local handle = start("for i in 1 2 3 4 5; do echo $i; sleep 0.1; done;"
      .. " exit 5", { tag = "elsewhere" })
    local stream = assert(handle:stream())
    local first = assert(stream:read())
    stream:close()
    local script = ([[
      local wrenn = require("wrenn")
      local capsule = assert(wrenn.Capsule.connect(%q,
        { base_url = %q, api_key = %q }))
      local handle = assert(capsule.commands:durable("elsewhere"))
      local result = assert(handle:stream({ from = %q }):wait())
      io.write(result.stdout, "exit ", result.exit_code, "\n")
    ]]):format(capsule.id, s.url, s.key, first.offset)
    local name = os.tmpname()
    local file = assert(io.open(name, "w"))
    file:write(script)
    file:close()
    local first_word = 0
    while arg[first_word - 1] do
      first_word = first_word - 1
    end
    local lua = os.getenv("WRENN_SPEC_LUA") or arg[first_word]
    local pipe = assert(io.popen(lua .. " " .. name .. " 2>&1"))
    local output = pipe:read("*a")
    pipe:close()
    os.remove(name)
    assert.are.equal("1\n2\n3\n4\n5\nexit 5\n", first.data .. output)
    handle:remove()
  end)

  it("is read by several tasks: each event goes to one of them", function()
    local handle = start("for i in 1 2 3 4 5 6; do echo $i; sleep 0.05; done")
    local stream = assert(handle:stream())
    local seen = {}
    local function reader()
      while true do
        local ev, err = stream:read()
        if not ev then
          return err == nil or nil, err
        end
        seen[#seen + 1] = ev.data
      end
    end
    assert(task.with_timeout(60, function()
      return task.gather({ reader, reader, reader })
    end))
    table.sort(seen)
    assert.are.equal("1\n2\n3\n4\n5\n6\n", table.concat(seen))
    handle:remove()
  end)

  it("loses nothing to an interrupted reader", function()
    local handle = start("echo a; sleep 0.5; echo b; sleep 0.5; echo c")
    local stream = assert(handle:stream())
    local out, interruptions = {}, 0
    repeat
      -- Not for ever: on a busy machine each read may take that long.
      local limit = interruptions < 8 and 0.1 or 60
      local ev, err = task.with_timeout(limit, function()
        return stream:read()
      end)
      if err then
        assert.is_true(err:is("TimeoutError"))
        interruptions = interruptions + 1
      elseif ev then
        out[#out + 1] = ev.data
      end
    until not err and (not ev or ev.type == "exit")
    assert.are.equal("a\nb\nc\n", table.concat(out))
    assert.is_true(interruptions > 0)
    handle:remove()
  end)

  it("is waited for no longer than asked", function()
    local handle = start("echo a; sleep 30")
    local result, err = handle:wait({ timeout = 6 })
    assert.is_nil(result)
    assert.is_true(err:is("TimeoutError"))
    assert.are.equal("a\n", err.result.stdout)
    local runs = false
    for _, process in ipairs(assert(commands:list())) do
      runs = runs or process.tag == handle.tag
    end
    assert.is_true(runs)
    assert.is_true(handle:kill())
    handle:remove()
  end)

  it("is misused with a raise", function()
    local handle = start("true")
    for _, call in ipairs({
      { "'durable'", commands.run, commands, "x", { durable = true } },
      { "'tag'", commands.run, commands, "x",
        { durable = true, background = true, tag = "12" } },
      { "'tag'", commands.run, commands, "x",
        { durable = true, background = true, tag = ("x"):rep(300) } },
      { "'tag'", commands.durable, commands, 5 },
      { "'from'", handle.stream, handle, { from = "x" } },
      { "'from'", handle.stream, handle, { from = -1 } },
      { "'signal'", handle.kill, handle, { signal = "SIGHUP" } },
      { "'self'", handle.wait },
    }) do
      local ok, err = pcall(call[2], call[3], call[4], call[5])
      assert.is_false(ok)
      assert.is_truthy(err:find(call[1], 1, true), err)
    end
    handle:wait()
    handle:remove()
  end)

  it("leaves nothing behind when it cannot be started", function()
    local handle, err = commands:run("cat",
      { background = true, durable = true, user = "no-such-user" })
    assert.is_nil(handle)
    assert.is_true(err:is("ValidationError"))
    assert.are.equal("", assert(commands:run("ls .wrenn")).stdout)
  end)
end)
