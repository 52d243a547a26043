-- wrenn-local's command streams in every generation, on the wire.

local generations = require("spec.support.generations")
local exchange = require("spec.support.raw")
local server = require("spec.support.server")
local uv = require("luv")
local wire = require("spec.support.wire")

local ABRUPT = 1006 -- the end of a connection without a close frame

generations.each(function(g)
  describe("a stream of wrenn-local " .. g.name, function()
    local s, w, path

    setup(function()
      s = generations.start(g)
      w = wire.new(s)
      path = w:create()
    end)

    teardown(function()
      w:close()
      s:stop()
    end)

    local function open(first)
      local socket = assert(w:open(path .. "/exec/stream"))
      socket:send(first)
      return socket
    end

    local function stream(line)
      return open({ type = "start", cmd = "/bin/sh", args = { "-c", line } })
    end

    local function attach(selector)
      return assert(w:open(path .. "/processes/" .. selector .. "/stream"))
    end

    local function background(line, tag)
      local answer = w:request("POST", path .. "/exec", { cmd = "/bin/sh",
        args = { "-c", line }, background = true, tag = tag })
      assert.are.equal(202, answer.status)
      return ("%d"):format(answer.json.pid)
    end

    -- A socket that is attached: it has said so.
    local function watcher(pid)
      local socket = attach(pid)
      assert.are.equal("start", socket:read().type)
      return socket
    end

    local function listed(pid)
      for _, process in ipairs(
        w:request("GET", path .. "/processes").json.processes) do
        if process.pid == tonumber(pid) then
          return true
        end
      end
      return false
    end

    -- All frames, the output of each stream joined, and how it ended.
    local function collect(socket)
      local frames, how = socket:drain()
      local out = { stdout = {}, stderr = {} }
      for _, frame in ipairs(frames) do
        local to = out[frame.type]
        if to then
          to[#to + 1] = frame.data
        end
      end
      return frames, table.concat(out.stdout), table.concat(out.stderr), how
    end

    it("starts, prints, exits and ends abruptly", function()
      local frames, out, err, how =
        collect(stream("for i in 1 2 3; do echo n$i; done; echo e >&2; exit 5"))
      assert.are.equal("start", frames[1].type)
      assert.is_true(frames[1].pid > 0)
      assert.are.same({ "n1\nn2\nn3\n", "e\n" }, { out, err })
      assert.are.same({ type = "exit", exit_code = 5 }, frames[#frames])
      assert.are.equal(ABRUPT, how)
    end)

    it("tells an exit of 0, and leaves out what is empty", function()
      local socket = stream("exit 0")
      local _, start = socket:read()
      local _, exit = socket:read()
      assert.is_truthy(start:match('^{"type":"start","pid":%d+}\n$'))
      assert.are.equal('{"type":"exit","exit_code":0}\n', exit)
    end)

    it("runs a program or a line, as commands do", function()
      local frames, out = collect(open({ type = "start",
        cmd = "echo hi | tr a-z A-Z" }))
      assert.are.equal(g.pick("", "HI\n"), out)
      assert.are.equal(g.pick(127, 0), frames[#frames].exit_code)
    end)

    it("knows no other fields of the first message", function()
      local _, out = collect(open({ type = "start", cmd = "/bin/sh",
        args = { "-c", "pwd; echo [$X]" }, cwd = "/tmp", envs = { X = "x" },
        timeout_sec = 1, tag = "t", user = "nobody" }))
      assert.are.equal(g.home .. "\n[]\n", out)
    end)

    it("wants a first message that starts something", function()
      for _, first in ipairs({ { type = "start" }, { type = "foo" },
        { type = "start", cmd = "" }, { cmd = "x" } }) do
        local frames, _, _, how = collect(open(first))
        assert.are.same({ { { type = "error", data =
          "first message must be type 'start' with a 'cmd' field" } }, ABRUPT },
          { frames, how })
      end
      for _, first in ipairs({ "hello", "[]", "" }) do
        local frames, _, _, how = collect(open(first))
        assert.are.equal(1, #frames)
        assert.are.equal("error", frames[1].type)
        assert.are.equal(1,
          frames[1].data:find("failed to read start message", 1, true))
        assert.are.equal(ABRUPT, how)
      end
    end)

    it("says what is wrong with the capsule", function()
      local paused, id = w:create()
      w:request("POST", paused .. "/pause")
      w:until_status(id, "paused")
      for _, rest in ipairs({ "/exec/stream", "/processes/1/stream" }) do
        for place, text in pairs({
          [paused] = "sandbox is not running (status: paused)",
          ["/v1/capsules/cl-0000000000000000000000000"] = "sandbox not found",
        }) do
          local frames, how = assert(w:open(place .. rest)):drain()
          assert.are.same({ { { type = "error", data = text } }, ABRUPT },
            { frames, how })
        end
        local socket, answer = w:open("/v1/capsules/abc" .. rest)
        assert.is_nil(socket)
        assert.are.equal(400, answer.status)
      end
    end)

    it("is only looked at by its client", function()
      local socket = stream("sleep 60")
      local pid = ("%d"):format(socket:read().pid)
      socket:cancel()
      w:sleep(0.3)
      assert.is_true(listed(pid))
      local attached = attach(pid)
      assert.are.equal(tonumber(pid), attached:read().pid)
      attached:cancel()
      w:sleep(0.3)
      assert.is_true(listed(pid))
      w:request("DELETE", path .. "/processes/" .. pid)
    end)

    it("stops when it is told to, and its process does not", function()
      local socket = stream("echo up; sleep 60")
      local pid = ("%d"):format(socket:read().pid)
      socket:send({ type = "unknown" })
      socket:send("nonsense")
      socket:until_output("up\n")
      socket:send({ type = "stop" })
      assert.are.same({ {}, ABRUPT }, { socket:drain() })
      assert.is_true(listed(pid))
      w:request("DELETE", path .. "/processes/" .. pid)
    end)

    it("carries text, not bytes", function()
      local _, out = collect(stream("printf '\\377\\n'"))
      assert.are.equal("\239\191\189\n", out)
      local socket = stream("printf '<&>'")
      local text, raw = socket:read()
      while text.type ~= "stdout" do
        text, raw = socket:read()
      end
      assert.are.equal("<&>", text.data)
      assert.is_truthy(raw:find("\\u003c\\u0026\\u003e", 1, true))
    end)

    it("keeps the order inside each of its two", function()
      local _, out, err = collect(stream(
        "for i in $(seq 300); do echo o$i; echo e$i >&2; done"))
      local expected = {}
      for i = 1, 300 do
        expected[i] = i
      end
      local text = table.concat(expected, "\n") .. "\n"
      assert.are.same({ text, text },
        { (out:gsub("o", "")), (err:gsub("e", "")) })
    end)

    it("delivers 20 MiB before the exit", function()
      local frames, out = collect(stream("seq 1 2700000"))
      assert.are.equal(20488896, #out)
      assert.are.equal("2700000\n", out:sub(-8))
      assert.are.equal("exit", frames[#frames].type)
    end)

    it("attaches by pid and by tag, to several at once", function()
      local pid = background("while ! [ -e /tmp/go ]; do sleep 0.05; done;"
        .. " echo later; exit 3", "with space:1?")
      local sockets = { attach(pid), attach("with%20space:1%3F"), attach(pid) }
      for _, socket in ipairs(sockets) do
        assert.are.same({ type = "start", pid = tonumber(pid) }, socket:read())
      end
      w:sh(path, "touch /tmp/go")
      for _, socket in ipairs(sockets) do
        local frames, out, _, how = collect(socket)
        assert.are.equal("later\n", out)
        assert.are.same({ { type = "exit", exit_code = 3 }, ABRUPT },
          { frames[#frames], how })
      end
    end)

    -- A name is taken as it came, unless all of the path is escaped as Go
    -- escapes it.
    it("is found by the very name, escaped or not", function()
      local names = {
        ["web:1"] = { "web:1", lost = { "web%3A1", "web%3a1" } },
        ["a b"] = { "a%20b", lost = {} },
        ["$&+,;=@"] = { "$&+,;=@", lost = { "%24&+,;=@", "$%26+,;=@" } },
        ["x(1)#"] = { "x%281%29%23", lost = { "x(1)%23" } },
        ["q\"'%?"] = { "q%22%27%25%3F", lost = { "q%22'%25%3f" } },
        ["\195\164"] = { "%C3%A4", lost = { "%c3%a4" } },
        ["plain"] = { "plain", lost = { "%70lain" } },
        ["raw%41"] = { "raw%41", "raw%2541", lost = {} },
        ["sl/ash"] = { lost = { "sl%2Fash", "sl/ash" } },
      }
      for tag, by in pairs(names) do
        local pid = background("sleep 60", tag)
        for _, selector in ipairs(by.lost) do
          local socket = w:open(path .. "/processes/" .. selector .. "/stream")
          if socket then -- else the path is one that there is not
            assert.are.same({ {}, ABRUPT }, { socket:drain() }, selector)
          end
        end
        for _, selector in ipairs(by) do
          local socket = attach(selector)
          assert.are.equal(tonumber(pid), socket:read().pid, selector)
          socket:cancel()
        end
        w:request("DELETE", path .. "/processes/" .. (by[1] or pid))
        w:await(function()
          return not listed(pid)
        end)
      end
    end)

    it("shows a newcomer what was printed before, or not", function()
      local pid = background("while ! [ -e /tmp/print ]; do sleep 0.05; done;"
        .. " echo early; echo err >&2;"
        .. " while ! [ -e /tmp/more ]; do sleep 0.05; done; echo late")
      local earlier = watcher(pid)
      w:sh(path, "touch /tmp/print")
      earlier:until_output("err\n", earlier:until_output("early\n"))
      local socket = attach(pid)
      assert.are.equal("start", socket:read().type)
      w:sh(path, "touch /tmp/more")
      local _, out, err = collect(socket)
      assert.are.same(g.typed and { "early\nlate\n", "err\n" }
        or { "late\n", "" }, { out, err })
    end)

    if g.typed then
      it("shows a newcomer the last 256 KiB", function()
        local pid = background(
          "while ! [ -e /tmp/all ]; do sleep 0.05; done; seq 1 200000;"
          .. " while ! [ -e /tmp/end ]; do sleep 0.05; done")
        local earlier = watcher(pid)
        w:sh(path, "touch /tmp/all")
        earlier:until_output("\n200000\n")
        local socket = attach(pid)
        w:sh(path, "touch /tmp/end")
        local _, out = collect(socket)
        assert.is_true(#out <= 256 * 1024, #out)
        assert.is_true(#out >= 160 * 1024, #out)
        assert.are.equal("199999\n200000\n", out:sub(-14))
      end)

      it("gathers what is printed in small pieces", function()
        local frames, out = collect(stream(
          "i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done"))
        assert.are.equal(108890, #out)
        assert.is_true(#frames < 2000, #frames)
        for _, frame in ipairs(frames) do
          assert.is_true(#(frame.data or "") <= 96 * 1024)
        end
      end)

      it("takes no messages above 4 MiB from its client", function()
        local socket = stream("sleep 60")
        socket:send(("x"):rep(5 * 1024 * 1024))
        local frames = socket:drain()
        assert.is_true(#frames <= 1)
        assert.is_nil(frames[1] and frames[1].exit_code)
      end)
    else
      it("ignores large messages of its client", function()
        local socket = stream("while ! [ -e /tmp/x ]; do sleep 0.05; done")
        socket:send(("x"):rep(5 * 1024 * 1024))
        w:sh(path, "touch /tmp/x")
        assert.are.equal(0, socket:until_type("exit").exit_code)
      end)
    end

    it("of a process that is not there is quiet", function()
      local pid = background("true")
      w:await(function()
        return not listed(pid)
      end)
      for _, selector in ipairs({ pid, "no-such-tag" }) do
        local frames, how = attach(selector):drain()
        assert.are.same({ {}, ABRUPT }, { frames, how })
      end
    end)

    it("ends with -1 when its process is killed", function()
      local socket = stream("echo up; exec sleep 60")
      local pid = ("%d"):format(socket:read().pid)
      socket:until_output("up\n")
      w:request("DELETE", path .. "/processes/" .. pid)
      assert.are.equal(-1, socket:until_type("exit").exit_code)
    end)

    it("is cut by a pause, and its process is not", function()
      local other, id = w:create()
      local socket = assert(w:open(other .. "/exec/stream"))
      socket:send({ type = "start", cmd = "/bin/sleep", args = { "60" } })
      local pid = socket:read().pid
      w:request("POST", other .. "/pause")
      assert.are.same({ {}, ABRUPT }, { socket:drain() })
      w:until_status(id, "paused")
      w:request("POST", other .. "/resume")
      w:until_status(id, "running")
      socket = assert(w:open(("%s/processes/%d/stream"):format(other, pid)))
      assert.are.equal(pid, socket:read().pid)
    end)
  end)
end)

describe("a stream of wrenn-local", function()
  -- Where the length of a message changes its form.
  local SIZES = { 125, 126, 127, 65535, 65536 }

  it("sends messages of any length", function()
    local s = server.start()
    local w = wire.new(s)
    local path = w:create()
    local around = #'{"type":"stdout","data":""}\n'
    for _, size in ipairs(SIZES) do
      -- A NUL takes six bytes, so that one read is enough for each.
      local zeros = math.floor((size - around - 6) / 6)
      local rest = size - around - 6 * zeros
      assert.are.equal(0, w:sh(path, ("{ head -c %d /dev/zero; printf '%%0%dd'"
        .. " 0; } > /tmp/f"):format(zeros, rest)).exit_code)
      local socket = assert(w:open(path .. "/exec/stream"))
      socket:send({ type = "start", cmd = "/bin/cat", args = { "/tmp/f" } })
      assert.are.equal("start", socket:read().type)
      local message, text = socket:read()
      assert.are.same({ size, ("\0"):rep(zeros) .. ("0"):rep(rest) },
        { #text, message.data })
      assert.are.same({ type = "exit", exit_code = 0 }, (socket:read()))
    end
    w:close()
    s:stop()
  end)

  it("takes messages of any length", function()
    local s = server.start()
    local w = wire.new(s)
    local path = w:create()
    local first = '{"type":"start","cmd":"/bin/sh","args":'
      .. '["-c","printf %%s $0 | wc -c","%s"]}'
    for _, size in ipairs(SIZES) do
      local rest = size - #first:format("")
      local socket = assert(w:open(path .. "/exec/stream"))
      socket:send(first:format(("x"):rep(rest)))
      local _, out = socket:until_type("exit")
      assert.are.equal(rest .. "\n", out)
    end
    w:close()
    s:stop()
  end)

  -- Reads a stream in no hurry: takes nothing for some seconds in the middle.
  local function read_late(url, request, first, seconds)
    local sock, timer = uv.new_tcp(), uv.new_timer()
    local seen = ""
    local function finish()
      sock:close()
      timer:close()
    end
    local read
    function read(_, bytes)
      if not bytes then
        return finish()
      elseif seen == "" then
        sock:write(first)
      elseif #seen < 1000 then
        sock:read_stop()
        timer:start(seconds * 1000, 0, function()
          sock:read_start(read)
        end)
      end
      seen = seen .. bytes
    end
    sock:bind("127.0.0.1", 0) -- makes the socket, whose buffer is then small
    sock:recv_buffer_size(4096)
    sock:connect("127.0.0.1", tonumber(url:match(":(%d+)")), function()
      sock:write(request)
      sock:read_start(read)
    end)
    uv.run()
    return seen
  end

  it("is there to its end for a client that is slow to take it", function()
    local s = server.start()
    local w = wire.new(s)
    local start = '{"type":"start","cmd":"/bin/sh",'
      .. '"args":["-c","yes | head -c 2000000"]}'
    local seen = read_late(s.url, exchange.upgrade(w:create() .. "/exec/stream",
      s.key), exchange.frame(0x81, start), 3)
    assert.is_truthy(seen:find('"exit_code":0', 1, true),
      ("%d bytes came"):format(#seen))
    w:close()
    s:stop()
  end)
end)
