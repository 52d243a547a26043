-- Words, directory and environment reach a command unchanged, and a command that
-- cannot start is the same error, in every generation and for every call that
-- starts one.

local generations = require("spec.support.generations")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule

local BYTES = "\255~\254 \\0101 '\"$HOME\n"

generations.each(function(g)
  describe("what a command is given in generation " .. g.name, function()
    local s, capsule

    setup(function()
      s = generations.start(g)
      capsule = assert(Capsule.create(s:options({ wait = true })))
    end)

    teardown(function()
      s:stop()
    end)

    local function output(term)
      local parts = {}
      for ev in term do
        if ev.type == "output" then
          parts[#parts + 1] = ev.data
        end
      end
      return (table.concat(parts):gsub("\r\n", "\n"))
    end

    -- However a command is started: what it printed, or nil, err.
    local ways = {
      foreground = function(cmd, opts)
        local result, err = capsule.commands:run(cmd, opts)
        return result and result.stdout, err
      end,
      callbacks = function(cmd, opts)
        opts.on_stdout = function() end
        local result, err = capsule.commands:run(cmd, opts)
        return result and result.stdout, err
      end,
      stream = function(cmd, opts)
        local stream, err = capsule.commands:stream(cmd, opts)
        if not stream then
          return nil, err
        end
        local result, why = stream:wait()
        return result and result.stdout, why
      end,
      background = function(cmd, opts)
        opts.background = true
        local handle, err = capsule.commands:run("/bin/sh", {
          args = { "-c", 'sleep 0.4; exec "$0" "$@"', cmd,
            (table.unpack or unpack)(opts.args or {}) },
          background = true, cwd = opts.cwd, envs = opts.envs })
        if not handle then
          return nil, err
        end
        local result, why = handle:wait()
        return result and result.stdout, why
      end,
      durable = function(cmd, opts)
        opts.background, opts.durable = true, true
        local handle, err = capsule.commands:run(cmd, opts)
        if not handle then
          return nil, err
        end
        local result, why = handle:wait()
        assert(handle:remove())
        return result and result.stdout, why
      end,
      terminal = function(cmd, opts)
        local term, err = capsule:pty({ cmd = cmd, args = opts.args,
          cwd = opts.cwd, envs = opts.envs })
        if not term then
          return nil, err
        end
        local event, why = term:read()
        if not event then
          return nil, why
        end
        return output(term)
      end,
    }

    for name, way in pairs(ways) do
      it("are words that stay what they are: " .. name, function()
        assert.are.equal("[~][~/x][a~][~~/][\\n][]",
          assert(way("printf", { args = { "[%s]", "~", "~/x", "a~", "~~/",
            "\\n", "" } })))
      end)

      it("are bytes, in words and in the environment: " .. name, function()
        local script = 'stty -onlcr 2>/dev/null; printf "%s." "$1" "$X" "$Y"'
        local printed = assert(way("sh", {
          args = { "-c", script .. " | od -An -v -tx1 | tr -d ' \\n'", "sh",
            BYTES },
          envs = { X = BYTES .. "x", Y = "text" } }))
        local expected = (BYTES .. "." .. BYTES .. "x.text."):gsub(".",
          function(byte)
            return ("%02x"):format(byte:byte())
          end)
        assert.are.equal(expected, printed)
      end)

      it("is an environment that no list of processes shows: " .. name,
        function()
          local printed = assert(way("sh", { args = { "-c",
            'echo "[$HUSH]"; cat /proc/[0-9]*/cmdline 2>/dev/null'
              .. " | tr '\\0' ' '" },
            envs = { HUSH = "it's 5ecret", ["no.name"] = "5ecret too" } }))
          assert.is_truthy(printed:find("[it's 5ecret]", 1, true))
          assert.is_nil(printed:gsub("%[it's 5ecret%]", "", 1)
            :find("5ecret", 1, true))
          for _, process in ipairs(assert(capsule.commands:list())) do
            assert.is_nil(table.concat(process.args or {}, " ")
              :find("5ecret", 1, true))
          end
        end)

      it("is a directory that is not there: " .. name, function()
        assert(capsule.files:write("/tmp/a-file", ""))
        for cwd, what in pairs({ ["/no/such/dir"] = "does not exist",
          ["no/such"] = "does not exist", ["~/no"] = "does not exist",
          ["/tmp/a-file"] = "is not a directory" })
        do
          local printed, err = way("pwd", { cwd = cwd, args = {} })
          assert.is_nil(printed)
          assert.is_true(err:is("ValidationError"), tostring(err))
          assert.are.equal(("cwd '%s' %s"):format(cwd, what), err.message)
          assert.are.equal("cwd", err.details.field)
        end
      end)
    end

    it("is an environment with names that no shell can set", function()
      local stream = assert(capsule.commands:stream("printenv", {
        args = { "a.b", "c-d", "E" },
        envs = { ["a.b"] = "it's 1", ["c-d"] = "2", E = "3" } }))
      assert.are.equal("it's 1\n2\n3\n", assert(stream:wait()).stdout)
    end)

    it("leaves no file of an environment behind", function()
      local result = assert(capsule.commands:run("ls -A ~/.wrenn/envs"
        .. " 2>/dev/null; stat -c %a ~/.wrenn/envs 2>/dev/null"))
      assert.is_truthy(result.stdout == "" or result.stdout == "700\n",
        result.stdout)
    end)

    it("has its environment in a folder of its own, if in a file", function()
      local function mode(before)
        assert(capsule.commands:run(before))
        local again = assert(Capsule.connect(capsule.id, s:options()))
        return assert(again.commands:run("stat -c %a ~/.wrenn ~/.wrenn/envs",
          { envs = { A = "1" } })).stdout
      end
      local made = mode("rm -rf ~/.wrenn")
      if made ~= "" then
        assert.are.equal("700\n700\n", made)
        assert.are.equal("755\n700\n",
          mode("chmod 755 ~/.wrenn ~/.wrenn/envs"))
      end
    end)

    it("leaves an exit code of its own alone", function()
      local result = assert(capsule.commands:run("exit 126", { cwd = "/tmp" }))
      assert.are.equal(126, result.exit_code)
      result = assert(assert(capsule.commands:stream("exit 126",
        { cwd = "/tmp" })):wait())
      assert.are.equal(126, result.exit_code)
    end)

    it("is a directory whose name is no UTF-8", function()
      assert(capsule.commands:run("mkdir", { args = { "-p", "/tmp/\255d" } }))
      for _, name in ipairs({ "foreground", "stream", "durable", "terminal" })
      do
        assert.are.equal("2f746d702fff640a", assert(ways[name]("sh",
          { args = { "-c", "pwd | od -An -tx1 | tr -d ' \\n'" },
            cwd = "/tmp/\255d" })), name)
      end
    end)

    it("is a name that is no UTF-8, where a command does the work", function()
      assert(capsule.files:write("plain", "x"))
      assert(capsule.files:copy("plain", "\255a"))
      assert(capsule.files:rename("\255a", "\255b"))
      assert(capsule.files:chmod("\255b", "600"))
      assert.are.equal("600 \255b\n", assert(capsule.commands:run(
        "stat -c '%a %n' \255*")).stdout)
      wrenn.check(capsule.commands:run("rm", { args = { "\255b" } }))
    end)

    it("is a shell line that begins with the home directory", function()
      assert(capsule.files:write("~/tool", "echo tool $1\n"))
      wrenn.check(capsule.commands:run("chmod +x ~/tool", { check = true }))
      assert.are.equal("tool x\n",
        assert(capsule.commands:run("~/tool x")).stdout)
    end)

    it("is git's, in a directory that is not there too", function()
      local status, err = capsule.git:status({ cwd = "/no/such/dir" })
      assert.is_nil(status)
      assert.is_true(err:is("ValidationError"), tostring(err))
      assert.are.equal("cwd '/no/such/dir' does not exist", err.message)
    end)

    it("is git's, where ~ is a word like others", function()
      assert(capsule.git:init("repo"))
      for _, value in ipairs({ "~", "~/x" }) do
        assert(capsule.git:set_config("user.name", value, { cwd = "repo" }))
        assert.are.equal(value,
          assert(capsule.git:get_config("user.name", { cwd = "repo" })))
        assert(capsule.git:remote_add("r" .. #value, value, { cwd = "repo" }))
        assert.are.equal(value .. "\n", assert(capsule.commands:run(
          "git config remote.r" .. #value .. ".url", { cwd = "repo" })).stdout)
      end
    end)

    it("is named by a tag of any characters", function()
      for _, tag in ipairs({ "web:1", "a/b c", "$&+,;=@", "2", "é~'(x)*!",
        '100%?#"[]<>|\\^`{}', ".." })
      do
        local handle = assert(capsule.commands:run("echo up; exec sleep 30",
          { background = true, tag = tag }))
        local stream = assert(capsule.commands:connect(tag))
        assert.are.equal(handle.pid, assert(stream:read()).pid)
        assert.is_true(capsule.commands:kill(tag))
        assert(stream:wait())
        assert.are.equal(-1, stream.exit_code)
      end
    end)

    it("is not found by a tag or a pid that is nobody's", function()
      for _, selector in ipairs({ "none", "a/b", "7777777", 7777777 }) do
        local ok, err = capsule.commands:kill(selector)
        assert.is_nil(ok)
        assert.is_true(err:is("NotFoundError"), tostring(err))
        local stream, why = capsule.commands:connect(selector)
        local result
        if stream then
          result, why = stream:wait()
        end
        assert.is_nil(result)
        assert.is_true(why:is("NotFoundError"), tostring(why))
      end
    end)
  end)
end)

describe("what no server can be told", function()
  local client = assert(wrenn.Client({ api_key = "k",
    base_url = "http://127.0.0.1:9" }))
  local commands = require("wrenn.commands").new(client, "cl-1")
  local files = require("wrenn.files").new(client, "cl-1", commands)

  it("is refused by the name of its argument", function()
    for _, case in ipairs({
      { "'cwd'", function() commands:run("x", { cwd = "/a\0b" }) end },
      { "'tag'", function()
        commands:run("x", { tag = "a\0b", background = true })
      end },
      { "'tag'", function()
        commands:run("x", { tag = "a\255", background = true })
      end },
      { "'user'", function() commands:stream("x", { user = "\255" }) end },
      { "'user'", function() commands:stream("x", { user = "a\0" }) end },
      { "'args'", function() commands:run("x", { args = { "\0" } }) end },
      { "'envs'", function() commands:run("x", { envs = { A = "\0" } }) end },
      { "'envs'", function()
        commands:run("x", { envs = { ["A\255"] = "x" } })
      end },
      { "'envs'", function()
        commands:run("x", { envs = { ["A-B"] = "\255" } })
      end },
      { "'pid_or_tag'", function() commands:kill("a\255") end },
      { "'pid_or_tag'", function() commands:connect("a\0") end },
      { "'signal'", function() commands:kill(1, { signal = "\0" }) end },
      { "'path'", function() files:read("\255") end },
      { "'path'", function() files:write("\255", "") end },
      { "'path'", function() files:list("\255") end },
      { "'path'", function() files:stat("\255") end },
      { "'path'", function() files:exists("\255") end },
      { "'path'", function() files:make_dir("\255") end },
      { "'path'", function() files:remove("\255") end },
      { "'path'", function() files:upload_stream("\255", "") end },
      { "'path'", function() files:download_stream("\255") end },
      { "'path'", function() files:download("\255", "x") end },
      { "'path'", function() files:upload("x", "\255") end },
      { "'path'", function() files:download_dir("\255", "x") end },
      { "'path'", function() files:upload_dir("x", "\255") end },
      { "'path'", function() files:watch("\255") end },
      { "'list[1].path'", function()
        files:write_files({ { path = "\255", data = "" } })
      end },
    }) do
      local ok, err = pcall(case[2])
      assert.is_false(ok)
      assert.is_truthy(tostring(err):find(case[1], 1, true), tostring(err))
    end
    assert.is_table(files)
  end)
end)
