-- Terminals in every generation, with real programs in them.

local core = require("wrenn.core")
local expect = require("spec.support.expect")
local generations = require("spec.support.generations")
local terminal = require("spec.support.terminal")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule
local read_until = terminal.read_until

generations.each(function(g)
  describe("a terminal of generation " .. g.name, function()
    local s, capsule

    setup(function()
      s = generations.start(g)
      capsule = assert(Capsule.create(s:options({ wait = true })))
    end)

    teardown(function()
      s:stop()
    end)

    local function start_shell()
      -- A login shell's profile has a prompt of its own for each user.
      return assert(capsule:pty({ cmd = "/bin/sh",
        args = { "-c", "PS1='#' exec /bin/sh" } }))
    end

    local function no_process_is_left()
      expect.soon(function()
        return #assert(capsule.commands:list()) == 0
      end)
    end

    it("is typed into, and exits", function()
      local term = assert(capsule:pty({ user = "root" }))
      term:write("id -un; echo pty-result-$((6*7))\nexit 3\n")
      local out = read_until(term)
      assert.is_truthy(out:find("pty-result-42", 1, true))
      assert.is_truthy(out:find("root", 1, true))
      assert.are.equal(3, term.exit_code)
      term:close()
    end)

    it("takes a paste of 1 MiB whole", function()
      local term = assert(capsule:pty({ cmd = "/bin/sh", args = { "-c",
        "stty raw -echo; echo go; sleep 1; head -c 1048576 | cksum" } }))
      read_until(term, "go")
      local paste = require("wrenn.core").random(256):rep(4096)
      assert.is_true(term:write(paste))
      local sum = read_until(term):match("%d+ %d+")
      assert(capsule.files:write("/tmp/paste", paste))
      assert.are.equal(assert(capsule.commands:run("cksum </tmp/paste"))
        .stdout:match("%d+ %d+"), sum)
      term:close()
    end)

    it("takes a thousand small writes in order", function()
      local term = assert(capsule:pty({ cmd = "/bin/sh", args = { "-c",
        "stty raw -echo; echo go; sleep 1; head -c 5000; echo end; cat" } }))
      read_until(term, "go")
      local expected = {}
      for i = 1, 1000 do
        expected[i] = ("%05d"):format(i)
        assert.is_true(term:write(expected[i]))
      end
      local out = read_until(term, "end")
      assert.is_truthy(out:find(table.concat(expected), 1, true))
      term:kill()
      term:close()
    end)

    it("echoes at full speed", function()
      local term = assert(capsule:pty({ cmd = "/bin/sh", args = { "-c",
        "stty raw -echo; echo go; cat" } }))
      read_until(term, "go\n")
      local times = {}
      for i = 1, 200 do
        local begin = core.now()
        assert.is_true(term:write("<" .. i .. ">"))
        read_until(term, "<" .. i .. ">")
        times[i] = core.now() - begin
      end
      table.sort(times)
      -- A busy machine holds many up; pauses all but the first 16, for 0.125 s.
      assert.is_true(times[50] < 0.1, times[50])
      wrenn.with(term, function() end)
      no_process_is_left()
    end)

    it("is resized and killed right behind a burst", function()
      local term = assert(capsule:pty({ cmd = "/bin/sh", args = { "-c",
        "stty raw -echo; echo go; cat </dev/tty >/dev/null &"
          .. " while :; do stty size; sleep 0.1; done" } }))
      read_until(term, "go")
      assert.is_true(term:write(("x"):rep(300000)))
      assert.is_true(term:resize(120, 40))
      read_until(term, "40 120")
      assert.is_true(term:write(("x"):rep(300000)))
      assert.is_true(term:kill())
      read_until(term)
      assert.are.equal(-1, term.exit_code)
      term:close()
      no_process_is_left()
    end)

    it("is killed with its scope, whatever was read or typed", function()
      wrenn.with(assert(capsule:pty()), function() end)
      no_process_is_left()
      wrenn.with(assert(capsule:pty()), function(term)
        term:write("sleep 60\n")
      end)
      no_process_is_left()
      assert.has_error(function()
        wrenn.with(start_shell(), function(term)
          read_until(term, "#")
          error("oops", 0)
        end)
      end, "oops")
      no_process_is_left()
    end)

    it("is found and killed by any tag", function()
      for _, tag in ipairs({ "a/b", "../x", "4294967", "a b", "ü\226\130\172",
        "%41?b#c" })
      do
        local handle = assert(capsule.commands:run("sleep 300",
          { background = true, tag = tag }))
        local term = assert(capsule:pty_connect(tag))
        assert.are.same({ tag, handle.pid }, { term.tag, term.pid })
        term:close()
        assert.is_true(capsule.commands:kill(tag), tag)
        no_process_is_left()
        local none, err = capsule:pty_connect(tag)
        assert.is_nil(none)
        assert.is_true(err:is("NotFoundError"))
      end
    end)

    it("goes on without its scope when it was connected to", function()
      local term = start_shell()
      read_until(term, "#")
      local tag, pid = term.tag, term.pid
      term:close()
      wrenn.with(assert(capsule:pty_connect(tag)), function(again)
        assert.are.same({ tag, pid }, { again.tag, again.pid })
        again:write("echo ba''ck\n")
        assert.is_truthy(read_until(again, "back\r"):find("back", 1, true))
      end)
      local again = assert(capsule:pty_connect(tag))
      again:write("exit 4\n")
      read_until(again)
      assert.are.equal(4, again.exit_code)
      local none, err = capsule:pty_connect(tag)
      assert.is_nil(none)
      assert.is_true(err:is("NotFoundError"))
    end)
  end)
end)
