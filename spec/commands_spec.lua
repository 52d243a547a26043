-- capsule.commands: run, in the foreground and the background, list and kill.

local cjson = require("cjson")
local compat = require("spec.support.compat")
local expect = require("spec.support.expect")
local generations = require("spec.support.generations")
local peer = require("spec.support.peer")
local server = require("spec.support.server")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule
local unpack = table.unpack or unpack

-- A command has got so far.
local function wait_for_file(capsule, path)
  expect.soon(function()
    return capsule.files:exists(path)
  end)
end

local function no_process_is_left(capsule)
  expect.soon(function()
    return #assert(capsule.commands:list()) == 0
  end)
end

-- What a shell line in the background begins with that is to be waited for: one
-- that had ended before has no exit code.
local GATE = "until [ -e %s ]; do sleep 0.02; done; rm %s; "

-- Waits for its end, and lets it go on once the wait has begun.
local function wait_through_gate(capsule, handle, path)
  local commands = handle.commands
  handle.commands = setmetatable({ connect = function(_, pid)
    local stream = assert(commands:connect(pid))
    assert.are.equal("start", assert(stream:read()).type)
    assert(capsule.files:write(path, ""))
    return stream
  end }, { __index = commands })
  return handle:wait()
end

describe("the request of a command", function()
  local p

  after_each(function()
    p:stop()
  end)

  -- A capsule of a server of some version, which is asked for first when it
  -- is needed; then come the answers.
  local function capsule_of_version(version, ...)
    local answers = { { 200, '{"id":"cl-1","status":"running"}' }, ... }
    if version then
      table.insert(answers, 2, { 200, ('{"version":"%s"}'):format(version) })
    end
    p = peer.answering(unpack(answers))
    return assert(Capsule.connect("cl-1", p:options()))
  end

  local function capsule_of(...)
    return capsule_of_version(nil, ...)
  end

  local function body(number)
    return cjson.decode(p:received()[number]:match("\r\n\r\n(.*)$"))
  end

  local bodies = {
    ["a shell line"] = { "echo hi", nil,
      { cmd = "/bin/sh", args = { "-c", "echo hi" }, background = false,
        timeout_sec = 30 } },
    ["cwd, envs and timeout"] = { "x",
      { cwd = "/w", envs = { A = "b" }, timeout = 60, tag = "t" },
      { cmd = "/bin/sh", args = { "-c", "x" }, background = false,
        timeout_sec = 60, cwd = "/w", envs = { A = "b" }, tag = "t" } },
    ["an empty environment"] = { "x", { envs = {} },
      { cmd = "/bin/sh", args = { "-c", "x" }, background = false,
        timeout_sec = 30, envs = {} } },
    ["no timeout"] = { "x", { timeout = false },
      { cmd = "/bin/sh", args = { "-c", "x" }, background = false } },
    ["a fraction of a second"] = { "x", { timeout = 0.2 },
      { cmd = "/bin/sh", args = { "-c", "x" }, background = false,
        timeout_sec = 1 } },
    ["a program with arguments"] = { "echo", { args = { "$HOME", "a b" } },
      { cmd = "echo", args = { "$HOME", "a b" }, background = false,
        timeout_sec = 30 } },
    ["a program without any, which is no shell line"] = { "my prog",
      { args = {} },
      { cmd = "/bin/sh", args = { "-c", 'exec "$0"', "my prog" },
        background = false, timeout_sec = 30 } },
    ["the background, without a timeout"] = { "x",
      { background = true, timeout = 30, tag = "t" },
      { cmd = "/bin/sh", args = { "-c", "x" }, background = true, tag = "t" } },
  }
  for name, case in pairs(bodies) do
    it("carries " .. name, function()
      local asks = case[3].cwd or next(case[3].envs or {})
      local capsule =
        capsule_of_version(asks and "0.2.0", { 200, '{"exit_code":0,"pid":7}' })
      assert(capsule.commands:run(case[1], case[2]))
      assert.are.same(case[3], body(asks and 3 or 2))
      assert.are.equal(asks and 3 or 2, #p:received())
    end)
  end

  local answers = {
    ["its exit code alone"] = { '{"exit_code":-1}',
      { stdout = "", stderr = "", exit_code = -1 } },
    ["nulls"] = { '{"stdout":null,"stderr":null,"exit_code":0}',
      { stdout = "", stderr = "", exit_code = 0 } },
    ["base64"] = {
      '{"stdout":"YmluYXJ5/wBvdXQ=","encoding":"base64","exit_code":0}',
      { stdout = "binary\255\0out", stderr = "", exit_code = 0 } },
    ["text"] = { '{"stdout":"a","stderr":"b","exit_code":3,"duration_ms":12}',
      { stdout = "a", stderr = "b", exit_code = 3, duration_ms = 12 } },
  }
  for name, case in pairs(answers) do
    it("is answered with " .. name, function()
      local capsule = capsule_of({ 200, case[1] })
      assert.are.same(case[2], (capsule.commands:run("x")))
    end)
  end

  for name, text in pairs({
    ["invalid base64"] = '{"stdout":"*","encoding":"base64"}',
    ["a number for stdout"] = '{"stdout":5}',
    ["text for exit_code"] = '{"exit_code":"0"}',
    ["no JSON"] = "<html>",
    ["a string"] = '"x"',
  }) do
    it("answered with " .. name .. " is a protocol error", function()
      local capsule = capsule_of({ 200, text })
      local result, err = capsule.commands:run("x")
      assert.is_nil(result)
      assert.is_true(err:is("ProtocolError"))
    end)
  end

  it("lists processes that lack fields", function()
    local capsule = capsule_of({ 200, '{"processes":[{"pid":11}]}' },
      { 200, "{}" })
    assert.are.same({ { pid = 11 } }, (capsule.commands:list()))
    assert.are.same({}, (capsule.commands:list()))
  end)

  it("in the background is known by its pid and tag", function()
    local capsule = capsule_of({ 200, '{"pid":7,"tag":"x"}' })
    local handle = assert(capsule.commands:run("x", { background = true }))
    assert.are.same({ 7, "x", "cl-1" },
      { handle.pid, handle.tag, handle.capsule_id })
  end)

  it("to kill an unknown process is a NotFoundError", function()
    local capsule = capsule_of({ 404,
      '{"error":{"code":"not_found","message":"no such process"}}' })
    local ok, err = capsule.commands:kill(999)
    assert.is_nil(ok)
    assert.is_true(err:is("NotFoundError"))
  end)

  -- A Go server takes a path segment as it came unless the whole path is what
  -- Go itself would have made of it.
  it("kills with the selector as Go escapes it, and a signal", function()
    local capsule = capsule_of_version("0.4.0", { 204 })
    for tag, segment in pairs({
      ["b c"] = "b%20c", ["web:1"] = "web:1", ["$&+,;=@"] = "$&+,;=@",
      ["a'(b)*!"] = "a%27%28b%29%2A%21", ['%?#"'] = "%25%3F%23%22",
      ["é~_.-"] = "%C3%A9~_.-", ["[x]"] = "%5Bx%5D",
    }) do
      assert.is_true(capsule.commands:kill(tag, { signal = "SIGTERM" }))
      local received = p:received()
      assert.are.equal("DELETE /v1/capsules/cl-1/processes/" .. segment
        .. "?signal=SIGTERM", received[#received]:match("^(%S+ %S+)"))
    end
    assert.is_true(capsule.commands:kill(42))
    local received = p:received()
    assert.is_truthy(received[#received]:find("/processes/42 ", 1, true))
  end)

  for _, tag in ipairs({ "a/b", "2", ".", ".." }) do
    it("finds the tag " .. tag .. " in the list", function()
      local capsule = capsule_of_version("0.4.0", { 200,
        ('{"processes":[{"pid":2,"tag":"x"},{"pid":77,"tag":"%s"}]}')
          :format(tag) }, { 204 })
      assert.is_true(capsule.commands:kill(tag))
      assert.is_truthy(p:received()[4]:find(
        "^DELETE /v1/capsules/cl%-1/processes/77 "))
    end)
  end

  it("to kill what a server does not find is no fault of the server's",
    function()
      local capsule = capsule_of_version("0.3.0",
        { 500, '{"error":{"code":"internal_error","message":"Went wrong."}}' },
        { 200, '{"processes":[{"pid":5,"tag":"there"}]}' },
        { 500, '{"error":{"code":"internal_error","message":"Went wrong."}}' },
        { 200, '{"processes":[{"pid":5,"tag":"there"}]}' })
      local ok, err = capsule.commands:kill("gone")
      assert.is_nil(ok)
      assert.is_true(err:is("NotFoundError"))
      ok, err = capsule.commands:kill("there")
      assert.is_nil(ok)
      assert.is_true(err:is("InternalError"))
    end)

  it("carries cwd as an argument and envs as a file to a server that drops"
    .. " them", function()
    local capsule = capsule_of_version("0.1.5", { 200, '{"exit_code":0}' },
      { 204 }, { 200, '{"exit_code":0}' })
    assert(capsule.commands:run("x",
      { cwd = "/w d", envs = { A = "$b", C = "it's" } }))
    local received = p:received()
    local path = received[4]:match("~/(%.wrenn/envs/%x+)")
    assert.is_truthy(received[4]:find(
      "export A='$b'\nexport C='it'\\''s'\n", 1, true))
    assert.are.same({ cmd = "/bin/sh", args = { "-c",
      '. "$1"; /bin/rm -f -- "$1"; shift; exec "$@"', "sh", "./" .. path,
      "/bin/sh", "-c", 'cd -- "$1" || exit 126; shift; exec "$@"', "sh",
      "/w d", "/bin/sh", "-c", "x" }, background = false, timeout_sec = 30 },
      body(5))
  end)

  it("that ran into its limit is a TimeoutError", function()
    for _, answer in ipairs({
      { 502, '{"error":{"code":"agent_error","message":'
        .. '"exec: context deadline exceeded"}}' },
      { 504, '{"error":{"code":"timeout","message":"Timed out."}}' },
    }) do
      local capsule = capsule_of(answer)
      local result, err = capsule.commands:run("sleep 20", { timeout = 2 })
      assert.is_nil(result)
      assert.is_true(err:is("TimeoutError"))
      assert.are.equal(answer[1], err.status_code)
      p:stop()
    end
    p = peer.answering({ 200 })
  end)
end)

generations.each(function(g)
  local generation = g.name
  describe("a command in generation " .. generation, function()
    local s, capsule, home

    setup(function()
      s = server.start("--generation " .. generation)
      capsule = assert(Capsule.create(s:options({ wait = true })))
      home = walls.home(capsule)
    end)

    teardown(function()
      s:stop()
    end)

    -- However a command is started, it ends with a result.
    local ways = {
      foreground = function(cmd, opts)
        return capsule.commands:run(cmd, opts)
      end,
      streamed = function(cmd, opts)
        opts.on_stdout = function() end
        return capsule.commands:run(cmd, opts)
      end,
      stream = function(cmd, opts)
        return assert(capsule.commands:stream(cmd, opts)):wait()
      end,
      background = function(cmd, opts)
        opts.background = true
        local gate = home .. "/gate"
        local handle = assert(capsule.commands:run(
          GATE:gsub("%%s", gate) .. cmd, opts))
        return wait_through_gate(capsule, handle, gate)
      end,
    }
    for name, way in pairs(ways) do
      it("runs where and with what it is told: " .. name, function()
        local result = assert(way('pwd; printf "%s" "$X"',
          { cwd = "/tmp", envs = { X = "a 'b' $c\n" } }))
        assert.are.equal("/tmp\na 'b' $c\n", result.stdout)
        result = assert(way("pwd", {}))
        assert.are.equal(home .. "\n", result.stdout)
        assert(capsule.files:make_dir(home .. "/below"))
        result = assert(way("pwd", { cwd = "below" }))
        assert.are.equal(home .. "/below\n", result.stdout)
      end)

      it("runs as root, and with its input: " .. name, function()
        local result = assert(way("id -un; cat",
          { user = "root", stdin = "in\0\n" }))
        assert.are.equal("root\nin\0\n", result.stdout)
      end)
    end

    it("in a missing directory is an error", function()
      local result, err =
        capsule.commands:run("pwd", { cwd = "/no/such/dir/xyz" })
      assert.is_nil(result)
      assert.is_truthy(err.message:find("/no/such/dir/xyz", 1, true))
    end)

    it("as a user that there is not is a clear error", function()
      for _, call in ipairs({
        function(opts) return capsule.commands:run("true", opts) end,
        function(opts) return capsule.commands:stream("true", opts) end,
        function(opts)
          opts.background = true
          return capsule.commands:run("true", opts)
        end,
        function(opts) return capsule:pty(opts) end,
      }) do
        local result, err = call({ user = "no-such-user" })
        assert.is_nil(result)
        assert.is_true(err:is("ValidationError"))
        assert.is_truthy(err.message:find("'no-such-user'", 1, true))
      end
      -- This one exists, but within walls only root can be had.
      if not walls.up then
        return
      end
      local result, err = capsule.commands:run("true", { user = "nobody" })
      assert.is_nil(result)
      assert.is_truthy(err.message:find("'nobody'", 1, true))
    end)

    it("that had ended before it was waited for has no exit code", function()
      local handle = assert(capsule.commands:run("exit 3",
        { background = true }))
      no_process_is_left(capsule)
      local result, err = handle:wait()
      assert.is_nil(result)
      assert.is_true(err:is("NotFoundError"))
      assert.is_truthy(err.message:find("exit code is unknown", 1, true))
    end)

    it("is killed with what it has started", function()
      local handle = assert(capsule.commands:run(
        "sleep 31.1 & touch ~/up; sleep 31.1; echo", { background = true }))
      local stream = assert(handle:stream())
      assert(stream:read())
      wait_for_file(capsule, "up")
      assert.is_true(handle:kill())
      assert.are.equal(-1, assert(stream:wait()).exit_code)
      expect.soon(function() -- what was killed with it may take its time to die
        return assert(capsule.commands:run(
          "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o 'slee[p] 31.1'"))
          .stdout == ""
      end)
      local ok, err = handle:kill()
      assert.is_nil(ok)
      assert.is_true(err:is("NotFoundError"))
    end)

    it("is killed with SIGTERM and SIGKILL, by pid and by tag", function()
      local commands = capsule.commands
      assert(commands:run("trap 'exit 7' TERM; touch ~/trap;"
        .. " while :; do sleep 0.05; done",
        { background = true, tag = "a tag/ü" }))
      wait_for_file(capsule, "trap")
      local stream = assert(commands:connect("a tag/ü"))
      assert(stream:read())
      assert.is_true(commands:kill("a tag/ü", { signal = "SIGTERM" }))
      assert.are.equal(7, assert(stream:wait()).exit_code)
      local handle = assert(commands:run("sleep 30", { background = true }))
      stream = assert(handle:stream())
      assert(stream:read())
      assert.is_true(handle:kill())
      assert.are.equal(-1, assert(stream:wait()).exit_code)
    end)
  end)
end)

describe("a command in wrenn-local", function()
  local s, capsule

  setup(function()
    s = server.start()
    capsule = assert(Capsule.create(s:options({ wait = true })))
  end)

  teardown(function()
    s:stop()
  end)

  local function run(cmd, opts)
    return assert(capsule.commands:run(cmd, opts))
  end

  local cases = {
    { "prints", "echo hello", nil, "hello\n", "", 0 },
    { "prints errors", "echo error >&2", nil, "", "error\n", 0 },
    { "fails", "exit 42", nil, "", "", 42 },
    { "fails as false does", "false", nil, "", "", 1 },
    { "prints lines in order", "printf 'a\\nb\\nc\\n'", nil,
      "a\nb\nc\n", "", 0 },
    { "runs in a directory", "pwd", { cwd = "/tmp" }, "/tmp\n", "", 0 },
    { "runs at home", '[ "$(pwd)" = "$HOME" ]; echo $?', nil, "0\n",
      "", 0 },
    { "gets an environment", "echo $GREETING",
      { envs = { GREETING = "hi" } }, "hi\n", "", 0 },
    { "gets awkward values whole", 'printf "%s" "$X"',
      { envs = { X = "a b&c|d;e'\"$(x)\n" } }, "a b&c|d;e'\"$(x)\n", "", 0 },
    { "gets arguments whole", "printf",
      { args = { "%s.", "$HOME", "a b", "" } }, "$HOME.a b..", "", 0 },
    { "dies of a signal", "kill -9 $$", nil, "", "", -1 },
    { "reports a child's signal", "sh -c 'kill -9 $$'; echo $?", nil,
      "137\n", nil, 0 },
    { "prints bytes that are no text", "printf '\\377'; echo t >&2", nil,
      "\255", "t\n", 0 },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local result = run(case[2], case[3])
      assert.are.equal(case[4], result.stdout)
      if case[5] then
        assert.are.equal(case[5], result.stderr)
      end
      assert.are.equal(case[6], result.exit_code)
      assert.is_true(compat.is_integer(result.exit_code))
      assert.is_true(compat.is_integer(result.duration_ms))
    end)
  end

  it("without arguments is a program, not a shell line", function()
    local result = run("echo hi", { args = {} })
    assert.are.equal(127, result.exit_code)
    assert.is_truthy(result.stderr:find("not found", 1, true))
  end)

  it("has a home and a path", function()
    local home, path = run("echo $HOME; echo $PATH").stdout
      :match("^(.-)\n(.-)\n$")
    assert.are.equal(walls.home(capsule), home)
    assert.is_truthy(path:find("/usr/bin", 1, true))
  end)

  it("leaves no state behind", function()
    run("cd /tmp; export SECRET=1", { envs = { OTHER = "2" } })
    assert.are.equal(walls.home(capsule) .. " []\n",
      run("echo $(pwd) [$SECRET$OTHER]").stdout)
  end)

  it("in a missing directory is an API error", function()
    local result, err = capsule.commands:run("pwd", { cwd = "/no/such/xyz" })
    assert.is_nil(result)
    assert.is_true(err:is("ValidationError"))
    assert.are.equal(502, err.status_code)
  end)

  it("that runs too long is an error soon", function()
    local begin = os.time()
    local result, err = capsule.commands:run("sleep 60", { timeout = 1 })
    assert.is_nil(result)
    assert.is_true(err:is("TimeoutError"))
    assert.is_true(os.time() - begin <= 30)
    no_process_is_left(capsule) -- no limit waits for a kill for long
  end)

  it("prints 5 MiB, complete and in order", function()
    local out = run("seq 1 900000 | head -c 5242880").stdout
    assert.are.equal(5242880, #out)
    assert.are.equal("1\n2\n3\n", out:sub(1, 6))
  end)

  it("with check is an error when it fails", function()
    assert.are.equal("x\n", run("echo x", { check = true }).stdout)
    local result, err =
      capsule.commands:run("echo out; exit 3", { check = true })
    assert.is_nil(result)
    assert.is_true(err:is("CommandError"))
    assert.are.equal(3, err.result.exit_code)
    assert.are.equal("out\n", err.result.stdout)
  end)

  it("hands its output over as it comes", function()
    local seen = {}
    local result = run("echo a; sleep 0.1; echo b >&2; exit 4", {
      on_stdout = function(data) seen[#seen + 1] = "out " .. data end,
      on_stderr = function(data) seen[#seen + 1] = "err " .. data end,
      cwd = "/tmp", envs = { A = "b" },
    })
    assert.are.same({ "out a\n", "err b\n" }, seen)
    assert.are.same({ "a\n", "b\n", 4 },
      { result.stdout, result.stderr, result.exit_code })
  end)

  it("runs in the background, is listed and killed",
    function()
      local tagged = run("sleep 30", { background = true, tag = "bg-test" })
      local plain = run("sleep 30", { background = true })
      assert.are.same({ "bg-test", capsule.id },
        { tagged.tag, tagged.capsule_id })
      assert.is_true(tagged.pid > 0)
      assert.is_truthy(plain.tag:match("^proc%-%x%x%x%x%x%x%x%x$"))
      local by_pid = {}
      for _, process in ipairs(assert(capsule.commands:list())) do
        by_pid[process.pid] = process
      end
      assert.are.same({ pid = tagged.pid, tag = "bg-test", cmd = "/bin/sh",
        args = { "-c", "sleep 30" } }, by_pid[tagged.pid])
      assert.is_true(capsule.commands:kill("bg-test"))
      assert.is_true(plain:kill())
      no_process_is_left(capsule)
      local ok, err = tagged:kill()
      assert.is_nil(ok)
      assert.is_true(err:is("NotFoundError"))
    end)

  it("is waited for by its handle", function()
    local gate = walls.home(capsule) .. "/gate"
    local handle = run(GATE:gsub("%%s", gate) .. "echo late; exit 6",
      { background = true })
    local result = assert(wait_through_gate(capsule, handle, gate))
    assert.are.same({ "late\n", 6 }, { result.stdout, result.exit_code })
    handle = run("sleep 30", { background = true })
    local none, err = handle:wait({ timeout = 0.2 })
    assert.is_nil(none)
    assert.is_true(err:is("TimeoutError"))
    assert.are.equal(1, #assert(capsule.commands:list()))
    handle:kill()
  end)

  it("may handle SIGTERM", function()
    local handle = run("trap 'echo got it; exit 0' TERM; echo set;"
      .. " touch /tmp/set; while :; do sleep 0.05; done", { background = true })
    wait_for_file(capsule, "/tmp/set")
    local stream = assert(handle:stream())
    assert.are.equal("start", assert(stream:read()).type)
    assert.is_true(handle:kill({ signal = "SIGTERM" }))
    local result = assert(stream:wait())
    assert.are.same({ "got it\n", 0 }, { result.stdout, result.exit_code })
  end)
end)
