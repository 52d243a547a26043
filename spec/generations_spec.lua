-- The client library, unchanged, against every generation of the API.

local generations = require("spec.support.generations")
local slow_kills = require("spec.support.slow_kills")
local terminal = require("spec.support.terminal")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule
local read_until = terminal.read_until

generations.each(function(g)
  describe("the client library with a server of " .. g.name, function()
    local s, capsule

    setup(function()
      s = generations.start(g)
      capsule = assert(Capsule.create(s:options({ wait = true })))
    end)

    teardown(function()
      capsule:destroy()
      s:stop()
    end)

    local function assert_error(type_name, status, value, err)
      assert.is_nil(value)
      assert.is_true(wrenn.errors.is_error(err), tostring(err))
      assert.is_true(err:is(type_name), tostring(err))
      assert.are.equal(status, err.status_code)
      if g.typed then
        assert.is_truthy(err.request_id:match("^req_%x+$"))
      end
      return err
    end

    it("creates, pauses, resumes and destroys", function()
      local c = assert(Capsule.create(s:options()))
      assert(c:wait_ready())
      assert.are.equal("running", c.info.status)
      assert.are.equal("paused", assert(c:pause({ wait = true })).status)
      assert.are.equal(false, c:is_running())
      assert.are.equal("running", assert(c:resume({ wait = true })).status)
      assert(c:pause({ wait = true }))
      if g.waits then -- the oldest servers refuse what is done already
        assert_error("ConflictError", 409, c:pause())
      else
        assert.are.equal("paused", assert(c:pause()).status)
      end
      local again = assert(Capsule.connect(c.id, s:options()))
      assert.are.equal(true, again:is_running())
      assert.is_true(again:ping())
      assert.is_true(c:destroy({ wait = true }))
      assert.are.equal("stopped", c:get_info().status)
      assert.is_true(c:destroy())
    end)

    it("is created with what is asked for", function()
      local c = assert(Capsule.create(s:options({ template = "minimal-ubuntu",
        vcpus = 2, memory_mb = 1024, timeout = 90,
        metadata = { team = "a" } })))
      assert.are.same({ "minimal-ubuntu", 2, 1024, 90 }, { c.info.template,
        c.info.vcpus, c.info.memory_mb, c.info.timeout_sec })
      local list = assert(Capsule.list(s:options({
        metadata = g.labels and { team = "a" } or nil })))
      assert.are.equal(c.id, list[1].id)
      assert.are.equal(g.labels and 1 or 2, #list)
      assert.is_true(c:destroy({ wait = true }))
    end)

    it("runs commands", function()
      local result = assert(capsule.commands:run("echo out; echo err >&2;"
        .. " exit 42"))
      assert.are.same({ "out\n", "err\n", 42 },
        { result.stdout, result.stderr, result.exit_code })
      assert.are.equal("$HOME a b\n", assert(capsule.commands:run("echo",
        { args = { "$HOME", "a b" } })).stdout)
      assert.are.equal(walls.home(capsule) .. "\n",
        assert(capsule.commands:run("pwd", { args = {} })).stdout)
      assert.are.equal("\255\0",
        assert(capsule.commands:run("printf '\\377\\0'")).stdout)
      result = assert(capsule.commands:run("pwd; echo $X",
        { cwd = "/tmp", envs = { X = "x" } }))
      -- Also of the oldest servers, which ignore both in the foreground.
      assert.are.equal("/tmp\nx\n", result.stdout)
    end)

    it("hears of a command that takes too long", function()
      finally(slow_kills())
      local result, err = capsule.commands:run("printf so\\ far; sleep 40",
        { timeout = 8 })
      assert.is_nil(result)
      assert.is_true(err:is("TimeoutError"), tostring(err))
      assert.are.equal("so far", err.result.stdout)
      for _, process in ipairs(assert(capsule.commands:list())) do
        assert.is_nil((process.args or {})[2]:find("sleep 40", 1, true))
      end
    end)

    it("runs in the background, lists and kills", function()
      local handle = assert(capsule.commands:run("exec sleep 60",
        { background = true, tag = "bg", cwd = "/tmp" }))
      assert.are.equal("bg", handle.tag)
      local found
      for _, process in ipairs(assert(capsule.commands:list())) do
        found = found or process.tag == "bg" and process
      end
      assert.are.same({ handle.pid, "/bin/sh", { "-c", "exec sleep 60" } },
        { found.pid, found.cmd, found.args })
      local stream = assert(handle:stream())
      assert.is_true(handle:kill())
      local result = assert(stream:wait())
      assert.are.equal(-1, result.exit_code)
      -- 0.1 is asked for its list instead: it kills one process only.
      assert_error("NotFoundError", not g.waits and g.pick(404, 500) or nil,
        capsule.commands:kill("none"))
    end)

    it("streams", function()
      local stream = assert(capsule.commands:stream(
        "echo $X; pwd; echo err >&2; exit 5",
        { cwd = "/tmp", envs = { X = "x" } }))
      local result = assert(stream:wait())
      assert.are.same({ "x\n/tmp\n", "err\n", 5 },
        { result.stdout, result.stderr, result.exit_code })

      local handle = assert(capsule.commands:run("echo early;"
        .. " while ! [ -e go ]; do sleep 0.05; done; echo late",
        { background = true }))
      stream = assert(capsule.commands:connect(handle.pid))
      assert.are.equal("start", stream:read().type)
      wrenn.check(capsule.commands:run("touch go"))
      result = assert(stream:wait())
      assert.is_truthy(result.stdout:find("late\n$"))
      if g.typed then
        assert.are.equal("early\nlate\n", result.stdout)
      end

      stream = assert(capsule.commands:connect("pty-none"))
      for ev in stream do
        assert.are.equal("error", ev.type)
      end
      assert.is_nil(stream.exit_code)
    end)

    it("opens terminals", function()
      local term = assert(capsule:pty())
      assert.is_true(term:write("stty size; echo pty-result-$((6*7)); exit\n"))
      local out = read_until(term)
      assert.is_truthy(out:find("24 80", 1, true))
      assert.is_truthy(out:find("pty-result-42", 1, true))
      assert.are.equal(0, term.exit_code)
      assert.is_nil(term:read())
      term:close()

      local bytes = "\0\1\127\128\255\r\n"
      term = assert(capsule:pty({ cmd = "/bin/sh",
        args = { "-c", "stty raw -echo; echo go; head -c 7" } }))
      read_until(term, "go\n")
      assert.is_true(term:write(bytes))
      assert.are.equal(bytes, read_until(term))
      term:close()

      term = assert(capsule:pty({ cmd = "/bin/sleep", args = { "60" } }))
      assert.are.equal("started", term:read().type)
      assert.is_true(term:kill())
      read_until(term)
      assert.are.equal(-1, term.exit_code)
      term:close()
    end)

    it("comes back to terminals", function()
      local term = assert(capsule:pty({ cmd = "/bin/sh", args = { "-c",
        "stty -echo; echo ready; while read x; do echo got-$x; done" } }))
      read_until(term, "ready")
      term:close()
      local again = assert(capsule:pty_connect(term.tag))
      again:write("it\n")
      read_until(again, "got-it\r\n")
      assert.is_true(again:kill())
      read_until(again)
      assert.are.equal(-1, again.exit_code)
      again:close()
      local err
      again, err = capsule:pty_connect("pty-00000000")
      assert.is_nil(again)
      assert.is_true(err:is("NotFoundError"))
    end)

    it("comes back to a terminal that is quiet", function()
      -- One that has never printed, and one that has before.
      for _, first in ipairs({ "", "echo before; " }) do
        local term = assert(capsule:pty({ cmd = "/bin/sh", args = { "-c",
          "stty -echo; " .. first .. "read x; echo got-$x; stty size;"
            .. " exec sleep 60" } }))
        assert.are.equal("started", assert(term:read()).type)
        if first ~= "" then
          read_until(term, "before")
        end
        term:close()
        local again = assert(capsule:pty_connect(term.tag))
        assert.are.same({ term.tag, term.pid }, { again.tag, again.pid })
        assert.is_true(again:resize(91, 31))
        assert.is_true(again:write("it\n"))
        local out = read_until(again, "31 91\r\n")
        assert.is_truthy(out:find("got-it\r\n", 1, true))
        assert.is_nil(out:find("%z"))
        again:close()
        again = assert(capsule:pty_connect(term.tag))
        assert.is_true(again:kill())
        read_until(again)
        assert.are.equal(-1, again.exit_code)
        again:close()
      end
    end)

    it("keeps files", function()
      local files = capsule.files
      assert(files:write("/tmp/d/f", "\0\255 text"))
      assert.are.equal("\0\255 text", files:read("/tmp/d/f"))
      assert(files:upload_stream("/tmp/d/g", { "ab", "cd" }))
      local chunks = {}
      for chunk in assert(files:download_stream("/tmp/d/g")) do
        chunks[#chunks + 1] = chunk
      end
      assert.are.equal("abcd", table.concat(chunks))
      assert.are.equal(2, #assert(files:list("/tmp/d")))
      assert.are.equal(true, files:exists("/tmp/d/f"))
      assert.are.equal(false, files:exists("/tmp/d/none"))
      assert.are.equal(false, files:exists("/no/such/f"))
      assert.are.equal("directory", assert(files:make_dir("/tmp/e")).type)
      assert.are.equal("/tmp/e", assert(files:make_dir("/tmp/e")).path)
      assert(files:remove("/tmp/d"))
      local unkind = g.pick(502, 500)
      assert_error("NotFoundError", unkind, files:read("/tmp/d/f"))
      assert_error("NotFoundError", g.pick(502, 404), files:list("/tmp/d"))
      assert_error("NotFoundError", unkind, files:remove("/tmp/d"))
    end)

    it("understands its errors", function()
      assert_error("AuthenticationError", 401,
        Capsule.list(s:options({ api_key = "wrn_wrong" })))
      assert_error("NotFoundError", 404,
        Capsule.connect("cl-0000000000000000000000000", s:options()))
      assert_error("NotFoundError", 404,
        Capsule.create(s:options({ template = "none" })))
      assert_error("ValidationError", 400,
        Capsule.create(s:options({ template = "no template" })))
      local c = assert(Capsule.create(s:options({ wait = true })))
      assert(c:pause({ wait = true }))
      local err = assert_error("ConflictError", 409, c.commands:run("true"))
      assert.are.equal("paused", err.status)
      assert_error("ConflictError", 409, c.files:read("/x"))
      local stream = assert(c.commands:stream("true"))
      assert.are.equal("error", stream:read().type)
      assert(c:destroy({ wait = true }))
    end)

    it("understands that a WebSocket is refused", function()
      local other = assert(Capsule.connect(capsule.id, s:options()))
      other.client = assert(wrenn.Client(s:options({ api_key = "wrong" })))
      other.commands.client = other.client
      for _, open in ipairs({
        function() return other.commands:stream("true") end,
        function() return other:pty() end,
      }) do
        local one, err = open()
        assert.are.equal(g.waits or false, one ~= nil)
        if one then -- the oldest servers tell it after the upgrade
          assert.are.equal("error", one:read().type)
          err = one.err
          one:close()
        end
        assert.is_true(err:is("AuthenticationError"), tostring(err))
        assert.are.equal(not g.waits and 401 or nil, err.status_code)
      end
    end)
  end)
end)
