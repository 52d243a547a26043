-- wrenn-local's commands in every generation, on the wire.

local core = require("wrenn.core")
local generations = require("spec.support.generations")
local wire = require("spec.support.wire")

generations.each(function(g)
  describe("a command in wrenn-local " .. g.name, function()
    local s, w, path, id

    setup(function()
      s = generations.start(g)
      w = wire.new(s)
      path, id = w:create()
    end)

    teardown(function()
      w:close()
      s:stop()
    end)

    local function exec(body)
      return w:request("POST", path .. "/exec", body)
    end

    local function sh(line, more)
      local body = { cmd = "/bin/sh", args = { "-c", line } }
      for name, value in pairs(more or {}) do
        body[name] = value
      end
      local answer = exec(body)
      assert.are.equal(200, answer.status, answer.body)
      return answer.json
    end

    local function background(body)
      body.background = true
      local answer = exec(body)
      assert.are.equal(202, answer.status, answer.body)
      return answer.json
    end

    local function listed(selector)
      for _, process in ipairs(
        w:request("GET", path .. "/processes").json.processes) do
        if process.pid == selector or process.tag == selector then
          return process
        end
      end
    end

    local function kill(selector, query)
      if type(selector) == "number" then
        selector = ("%d"):format(selector)
      end
      local answer = w:request("DELETE",
        path .. "/processes/" .. selector .. (query or ""))
      assert.are.same({ 204, "" }, { answer.status, answer.body })
    end

    it("is answered with what it printed and its exit", function()
      local answer = sh("echo hello")
      assert.are.same({ id, "/bin/sh", "hello\n", "", 0, "utf-8" }, {
        answer.sandbox_id, answer.cmd, answer.stdout, answer.stderr,
        answer.exit_code, answer.encoding })
      assert.is_true(answer.duration_ms >= 0)
      answer = sh("echo error >&2")
      assert.are.same({ "", "error\n" }, { answer.stdout, answer.stderr })
      assert.are.equal(42, sh("exit 42").exit_code)
      answer = exec({ cmd = "false", args = { "x" } })
      assert.are.same({ 200, 1 }, { answer.status, answer.json.exit_code })
      assert.are.equal("a\nb\nc\n", sh("printf 'a\\nb\\nc\\n'").stdout)
    end)

    it("begins at home, with a home and a path", function()
      sh("cd /tmp; export SECRET=x")
      assert.are.equal(g.home .. "\n", sh("pwd").stdout)
      assert.are.equal("[]\n", sh("echo [$SECRET]").stdout)
      local home, search = sh("echo $HOME; echo $PATH").stdout
        :match("^(.-)\n(.-)\n$")
      assert.are.equal(g.home, home)
      assert.is_truthy((":" .. search .. ":"):find(":/usr/bin:", 1, true))
      assert.are.equal(g.user .. " " .. g.user .. "\n",
        sh("echo $USER $LOGNAME").stdout)
      assert.are.equal("true " .. id .. " " .. g.template .. "\n",
        sh("echo $WRENN_SANDBOX $WRENN_SANDBOX_ID $WRENN_TEMPLATE_ID").stdout)
    end)

    it("has a directory and variables, unless they are ignored",
      function()
        local answer = sh('pwd; printf "%s" "$X"',
          { cwd = "/tmp", envs = { X = "a b&c|d;e" } })
        assert.are.equal(g.waits and "/root\n" or "/tmp\na b&c|d;e",
          answer.stdout)
        assert.are.equal("[]\n", sh("echo [$X]").stdout)
      end)

    it("does not run in a directory that is not there", function()
      local body = { cmd = "/bin/pwd", args = { "-P" },
        cwd = "/no/such/dir/xyz" }
      local answer = exec(body)
      if g.waits then -- ignored, here as well
        assert.are.same({ 200, "/root\n" },
          { answer.status, answer.json.stdout })
      else
        assert.are.same({ g.pick(502, 400),
          g.pick("agent_error", "invalid_request"),
          g.pick("internal: exec: stream error: invalid_argument: ", "")
            .. "cwd '/no/such/dir/xyz' does not exist" },
          { answer.status, answer.error.code, answer.error.message })
      end
      body.background = true
      answer = exec(body)
      assert.are.same({ g.pick(502, 500),
        g.pick("agent_error", "internal_error") },
        { answer.status, answer.error.code })
    end)

    it("takes its directory relative to home", function()
      sh("mkdir -p ~/sub")
      for cwd, expected in pairs({ sub = g.home .. "/sub", ["~"] = g.home,
        ["~/sub"] = g.home .. "/sub", [""] = g.home }) do
        background({ cmd = "/bin/sh", args = { "-c", "pwd > /tmp/cwd.new;"
          .. " mv /tmp/cwd.new /tmp/cwd" }, cwd = cwd })
        w:await(function()
          return sh("cat /tmp/cwd && rm /tmp/cwd").stdout == expected .. "\n"
        end)
      end
      local answer = exec({ cmd = "true", cwd = "~bob", background = true })
      assert.are.same({ g.pick(502, 500),
        g.pick("agent_error", "internal_error") },
        { answer.status, answer.error.code })
    end)

    it("without arguments is a program, or a line", function()
      for _, args in ipairs({ false, {} }) do
        local answer = exec('{"cmd":"echo hi | tr a-z A-Z"'
          .. (args and ',"args":[]' or "") .. "}").json
        assert.are.same(g.typed and { 0, "HI\n" } or { 127, "" },
          { answer.exit_code, answer.stdout })
      end
      assert.are.equal(g.home .. "\n", exec({ cmd = "pwd" }).json.stdout)
    end)

    it("with arguments is a program with these", function()
      assert.are.equal("$HOME a b\n",
        exec({ cmd = "echo", args = { "$HOME", "a b" } }).json.stdout)
      assert.are.equal("*|;|$(id)|'\"\\|\n",
        exec({ cmd = "printf", args = { "%s|%s|%s|%s|\\n", "*", ";", "$(id)",
          "'\"\\" } }).json.stdout)
    end)

    it("may name the home directory, or only that", function()
      sh("mkdir -p ~/bin; cp /bin/echo ~/bin/say")
      local answer = exec({ cmd = "~/bin/say",
        args = { "~", "~/x", "~bob", "a~" } }).json
      assert.are.same(g.typed
        and { 0, ("%s %s/x ~bob a~\n"):format(g.home, g.home) }
        or { 127, "" }, { answer.exit_code, answer.stdout })
      answer = exec({ cmd = "~bob/bin/x", args = { "y" } })
      assert.are.equal(g.pick(200, 400), answer.status)
    end)

    it("runs in what the profile has set up", function()
      sh("echo 'export FROM_RC=rc; echo noise; echo noise >&2' > ~/.bashrc")
      for _, body in ipairs({ { cmd = "printenv", args = { "FROM_RC" } },
        { cmd = "/bin/sh", args = { "-c", "echo $FROM_RC" } } }) do
        local answer = exec(body).json
        assert.are.same({ g.pick("", "rc"), "" },
          { (answer.stdout:gsub("\n", "")), answer.stderr })
      end
      assert.are.equal(g.pick("\n", "/bin/bash\n"),
        (sh("echo $SHELL").stdout:gsub("/usr", ""):gsub("/%w+\n$",
          "/bash\n")))
      sh("rm ~/.bashrc")
    end)

    it("that is not there, or no program, says so", function()
      for program, code in pairs({ ["no-such-program"] = 127,
        ["/etc/passwd"] = 126 }) do
        local answer = exec({ cmd = program, args = { "x" } })
        assert.are.same({ 200, code, "" },
          { answer.status, answer.json.exit_code, answer.json.stdout })
        assert.is_truthy(answer.json.stderr:find(g.pick(
          "/usr/bin/nice: '" .. program .. "': ", "exec: " .. program .. ": "),
          1, true), answer.json.stderr)
      end
    end)

    it("goes on when its time is over", function()
      local begin = core.now()
      local answer = exec({ cmd = "/bin/sleep", args = { "77" },
        timeout_sec = 2 })
      assert.are.equal(g.pick(502, 504), answer.status)
      assert.is_true(core.now() - begin >= 1.9)
      local pid
      w:await(function() -- its start may take longer
        pid = tonumber(sh("pgrep -f 'sleep 7[7]'").stdout)
        return pid
      end)
      assert.is_truthy(listed(pid))
      kill(pid)
    end)

    it("carries what is no text as base64", function()
      local answer = sh("printf '\\377\\0'; echo text >&2")
      assert.are.same({ "base64", "\255\0", "text\n" }, { answer.encoding,
        core.base64_decode(answer.stdout), core.base64_decode(answer.stderr) })
      answer = sh("printf '\\377' >&2; echo text")
      assert.are.same({ "base64", "text\n", "\255" }, { answer.encoding,
        core.base64_decode(answer.stdout), core.base64_decode(answer.stderr) })
      answer = sh("printf 'a\\0b'")
      assert.are.same({ "utf-8", "a\0b" }, { answer.encoding, answer.stdout })
    end)

    it("prints 5 MiB, complete and in order", function()
      local answer = sh("seq 1 800000")
      assert.are.equal(5488895, #answer.stdout)
      local at = 0
      for line in answer.stdout:gmatch("%d+\n") do
        at = at + 1
        if tonumber(line) ~= at then
          break
        end
      end
      assert.are.equal(800000, at)
    end)

    it("may print 64 MiB, and from 0.3 on no more", function()
      local line = "head -c %d /dev/zero | tr '\\0' x"
      local answer = exec({ cmd = "/bin/sh", timeout_sec = 120,
        args = { "-c", line:format(65 * 1024 * 1024) } })
      if g.typed then
        assert.are.same({ 500, "internal_error" },
          { answer.status, answer.error.code })
      else
        assert.are.equal(65 * 1024 * 1024, #answer.json.stdout)
      end
    end)

    it("killed by a signal has no exit code of its own", function()
      assert.are.equal(-1, sh("kill -9 $$").exit_code)
      assert.are.equal("137\n",
        sh('sh -c "kill -9 \\$\\$"; echo $?').stdout)
    end)

    it("runs in the background, where and with what it is told (86, 87, 90, "
      .. "91, 93, 94)", function()
      local args = { "-c", 'echo "$PWD $X" > /tmp/bg; exec sleep 30' }
      local started = background({ cmd = "/bin/sh", args = args,
        tag = "bg-test", cwd = "/tmp", envs = { X = "set" } })
      assert.are.same({ id, "/bin/sh", "bg-test" },
        { started.sandbox_id, started.cmd, started.tag })
      assert.is_true(started.pid > 0)
      assert.are.same({ pid = started.pid, tag = "bg-test", cmd = "/bin/sh",
        args = args }, listed("bg-test"))
      w:await(function()
        return sh("cat /tmp/bg").stdout == "/tmp set\n"
      end)
      kill("bg-test")
      w:await(function()
        return not listed(started.pid)
      end)

      started = background({ cmd = "/bin/sleep", args = { "30" } })
      assert.is_truthy(started.tag:match("^proc%-" .. ("%x"):rep(8) .. "$"))
      kill(started.pid)
      w:await(function()
        return not listed(started.tag)
      end)
    end)

    it("is told to end, or killed", function()
      local line = "trap 'echo done > /tmp/%s; exit' TERM; echo > /tmp/%s.up;"
        .. " while :; do sleep 0.05; done"
      for name, signal in pairs({ term = "SIGTERM", foo = "FOO",
        lower = "sigterm" }) do
        local started = background({ cmd = "/bin/sh",
          args = { "-c", (line:gsub("%%s", name)) }, tag = name })
        w:await(function()
          return sh("ls /tmp/" .. name .. ".up").exit_code == 0
        end)
        kill(name, "?signal=" .. signal)
        w:await(function()
          return not listed(started.pid)
        end)
        assert.are.equal(name == "term" and "done\n" or "",
          sh("cat /tmp/" .. name).stdout)
      end
    end)

    it("takes its children along, or not", function()
      background({ cmd = "/bin/sh", args = { "-c", "sleep 321 & wait" },
        tag = "parent" })
      w:await(function()
        return sh("pgrep -f 'sleep 32[1]'").exit_code == 0
      end)
      kill("parent")
      w:await(function()
        return not listed("parent")
      end)
      if g.waits then
        assert.are.equal(0, sh("pgrep -f 'sleep 32[1]'").exit_code)
        sh("pkill -f 'sleep 32[1]'")
      else
        w:await(function()
          return sh("pgrep -f 'sleep 32[1]'").exit_code == 1
        end)
      end
    end)

    it("has a process group, or not", function()
      local group = "ps -o pgid= -p $$"
      assert.are.equal(g.waits or false, sh(group).stdout == sh(group).stdout)
    end)

    it("that has ended is listed while a child holds its output, or not",
      function()
        local pid = background({ cmd = "/bin/sh",
          args = { "-c", "sleep 543 & touch /tmp/left" } }).pid
        w:await(function()
          return sh("ls /tmp/left").exit_code == 0
        end)
        if not g.typed then
          w:await(function()
            return not listed(pid)
          end)
          sh("pkill -f 'sleep 54[3]'")
          return
        end
        w:await(function()
          return sh("ls /proc/" .. ("%d"):format(pid)).exit_code ~= 0
        end)
        assert.is_truthy(listed(pid))
        kill(pid) -- the group is there still
        w:await(function()
          return not listed(pid)
        end)
        assert.are.equal(1, sh("pgrep -f 'sleep 54[3]'").exit_code)
      end)

    it("that nobody knows cannot be killed", function()
      for selector, kind in pairs({ ["4000000"] = "pid", none = "tag" }) do
        local answer = w:request("DELETE",
          path .. "/processes/" .. selector)
        local text = ("not_found: kill process: not_found: process with %s %s"
          .. " not found"):format(kind, selector)
        assert.are.same({ g.pick(404, 500),
          g.pick("not_found", "internal_error"),
          g.pick(text, answer.error.message) },
          { answer.status, answer.error.code, answer.error.message })
      end
    end)

    it("is listed while it runs in the foreground", function()
      local op = w:begin("POST", path .. "/exec",
        { cmd = "/bin/sh", args = { "-c", "while ! [ -e /tmp/go ]; do"
          .. " sleep 0.05; done" } })
      local found
      w:await(function()
        for _, p in ipairs(
          w:request("GET", path .. "/processes").json.processes) do
          local line = (p.args or {})[2] or ""
          found = found or line:find("/tmp/go", 1, true) and p
        end
        return found
      end)
      assert.is_nil(found.tag)
      sh("touch /tmp/go")
      assert.are.equal(0, w:finish(op).json.exit_code)
      w:await(function()
        return not listed(found.pid)
      end)
    end)
  end)
end)
