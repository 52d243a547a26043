-- wrenn-local's terminals in every generation, on the wire.
-- Takes long: begins first.

local core = require("wrenn.core")
local expect = require("spec.support.expect")
local generations = require("spec.support.generations")
local raw = require("spec.support.raw")
local server = require("spec.support.server")
local walls = require("spec.support.walls")
local wire = require("spec.support.wire")

local ABRUPT = 1006 -- the end of a connection without a close frame

generations.each(function(g)
  describe("a terminal of wrenn-local " .. g.name, function()
    local s, w, path

    setup(function()
      s = generations.start(g, "", "WRENN_LOCAL_PTY_PING_MS=400")
      w = wire.new(s)
      path = w:create()
    end)

    teardown(function()
      w:close()
      s:stop()
    end)

    local function open(first, place)
      local socket = assert(w:open((place or path) .. "/pty"))
      if first then
        socket:send(first)
      end
      return socket
    end

    local function start(fields)
      fields = fields or {}
      fields.type = "start"
      local socket = open(fields)
      return socket, assert(socket:read())
    end

    local function sh(line)
      return start({ cmd = "/bin/sh", args = { "-c", line } })
    end

    local function type_into(socket, bytes)
      if g.binary then
        socket:send(bytes, true)
      else
        socket:send({ type = "input", data = core.base64_encode(bytes) })
      end
    end

    local function listed(tag)
      for _, process in ipairs(
        w:request("GET", path .. "/processes").json.processes) do
        if process.tag == tag then
          return process
        end
      end
    end

    it("is a shell, with a tag and a pid", function()
      local socket, started = start()
      assert.are.equal("started", started.type)
      assert.is_truthy(started.tag:match("^pty%-" .. ("%x"):rep(8) .. "$"))
      assert.is_true(started.pid > 0)
      assert.are.equal(started.pid, listed(started.tag).pid)
      type_into(socket, "echo pty-result-$((6*7))\nexit 7\n")
      local exit, out = socket:until_type("exit")
      assert.is_truthy(out:find("pty-result-42", 1, true))
      assert.are.same({ type = "exit", exit_code = 7 }, exit)
    end)

    it("is left open after the exit, or dropped", function()
      local socket = start({ cmd = "/bin/sh", args = { "-c", "exit 0" } })
      local message, text
      repeat
        message, text = socket:read()
      until message.type ~= "ping"
      assert.are.equal('{"type":"exit","exit_code":0}\n', text)
      if g.typed then
        assert.are.same({ {}, ABRUPT }, { socket:drain() })
      else -- and not even pings come any more
        assert.are.same({ nil, "silent" }, { socket:read(1.5) })
        socket:cancel()
      end
    end)

    it("starts where and with what it is told", function()
      local socket = start({ cmd = "/bin/sh", cwd = "/tmp",
        args = { "-c", 'pwd; echo "marker-$PTY_VAR [$TERM]"' },
        envs = { PTY_VAR = "xyzzy" } })
      local _, out = socket:until_type("exit")
      assert.are.equal("/tmp\r\nmarker-xyzzy []\r\n", out)
      socket = start({ cmd = "/bin/echo", args = { "hello-from-argv" } })
      local exit
      exit, out = socket:until_type("exit")
      assert.are.same({ "hello-from-argv\r\n", 0 }, { out, exit.exit_code })
    end)

    it("runs a program or a line, as commands do", function()
      local socket = start({ cmd = "echo hi | tr a-z A-Z" })
      local exit, out = socket:until_type("exit")
      assert.are.equal(g.pick(127, 0), exit.exit_code)
      assert.are.equal(g.typed, out == "HI\r\n" or nil)
    end)

    it("has the size it is given, or 80x24", function()
      local socket = start({ cols = 0, rows = 0, cmd = "/bin/sh", args = {
        "-c", "stty size; while read x; do stty size; done" } })
      socket:until_output("24 80\r\n")
      socket:send({ type = "resize", cols = 120, rows = 40 })
      type_into(socket, "\n")
      socket:until_output("40 120\r\n")
      socket:send({ type = "resize", cols = 0, rows = 50 })
      type_into(socket, "\n")
      socket:until_output("40 120\r\n")
      socket:send({ type = "kill" })
      assert.are.equal(-1, socket:until_type("exit").exit_code)
    end)

    it("is pinged, and does not mind being answered or not", function()
      local socket = sh("while read x; do echo got-$x; done")
      for _ = 1, 2 do
        assert.are.same({ type = "ping" }, (socket:until_type("ping")))
        socket:send({ type = "pong" })
      end
      socket:until_type("ping")
      type_into(socket, "it\n")
      socket:until_output("got-it")
      socket:cancel()
    end)

    it("carries bytes both ways, in its own encoding", function()
      local bytes = {}
      for i = 0, 255 do
        bytes[#bytes + 1] = string.char(i)
      end
      bytes = table.concat(bytes)
      local socket = sh("stty raw -echo; echo go; head -c 1280; sleep 0.2")
      socket:until_output("go\n")
      type_into(socket, bytes:rep(5))
      local out, kinds = "", {}
      repeat
        local message = assert(socket:read())
        local data = wire.output(message)
        if data ~= "" then
          kinds[message.binary and "binary" or message.type] = true
          out = out .. data
        end
      until message.type == "exit"
      assert.are.equal(bytes:rep(5), out)
      assert.are.same({ [g.binary and "binary" or "output"] = true }, kinds)
    end)

    it("drops what is not in its encoding", function()
      local socket = sh("stty -echo; echo go;"
        .. " while read x; do echo got-$x; done")
      socket:until_output("go\r\n")
      if g.binary then
        socket:send({ type = "input", data = core.base64_encode("text\n") })
      else
        socket:send("binary\n", true)
        socket:send({ type = "input", data = "***\n" })
        socket:send({ type = "input" })
      end
      for _, nonsense in ipairs({ "nonsense", "[]", '{"type":"weird"}',
        '{"type":5}', '{"type":"resize"}', "" }) do
        socket:send(nonsense)
      end
      type_into(socket, "last\n")
      assert.are.equal("got-last\r\n", socket:until_output("last\r\n"))
      socket:cancel()
    end)

    it("keeps what is typed before its program has started", function()
      local socket = open({ type = "start", cmd = "/bin/cat" })
      type_into(socket, "early\n")
      socket:send({ type = "resize", cols = 50, rows = 20 })
      type_into(socket, "and late\n")
      assert.are.equal("started", socket:read().type)
      socket:until_output("and late\r\n", socket:until_output("early\r\n"))
      socket:cancel()
    end)

    local OFFER = "Sec-WebSocket-Extensions: permessage-deflate;"
      .. " client_max_window_bits\r\n"

    -- What a server answers to an upgrade, and what follows; `then_send` is
    -- sent after it, and `mark` ends it.
    local function upgrade(rest, lines, then_send, mark)
      local sent
      local seen = raw.exchange(s.url, function(seen)
        if not sent then
          sent = "head"
          return raw.upgrade(path .. rest, s.key, lines)
        elseif seen:find(mark or "\r\n\r\n", 1, true) then
          return false
        elseif sent == "head" and seen:find("\r\n\r\n", 1, true) then
          sent = "all"
          return then_send
        end
      end)
      assert.are.equal("HTTP/1.1 101 ", seen:sub(1, 13))
      return seen:match("^(.-\r\n)\r\n(.*)$")
    end

    it("compresses its messages for those who like it", function()
      local accepted = "Sec-WebSocket-Extensions: permessage-deflate;"
        .. " server_no_context_takeover; client_no_context_takeover\r\n"
      assert.are.equal(g.binary or false,
        (upgrade("/pty", OFFER)):find(accepted, 1, true) ~= nil)
      for rest, offer in pairs({ ["/pty"] = "", ["/exec/stream"] = OFFER,
        ["/processes/1/stream"] = OFFER }) do
        assert.is_nil((upgrade(rest, offer)):find("Extensions", 1, true))
      end
      assert.are.equal(g.typed or false, (upgrade("/pty"))
        :find("X-Request-ID: req_", 1, true) ~= nil)
    end)

    if g.binary then
      it("understands compressed messages, and sends them", function()
        local first = '{"type":"start","cmd":"/bin/sh","args":["-c",'
          .. '"seq -s, 1 2000; read x; sleep 3; echo got-$x"]}'
        local head, frames = upgrade("/pty", OFFER,
          raw.frame(0xc1, raw.deflate(first))
            .. raw.frame(0xc2, raw.deflate("typed\n")), '"exit_code"')
        assert.is_truthy(head:find("permessage-deflate", 1, true))
        assert.are.equal("\129", frames:sub(1, 1)) -- started: short, as it is
        assert.is_truthy(frames:find('"type":"started"', 1, true))
        assert.is_truthy(frames:find("\194\126", 1, true)) -- binary, packed
        assert.is_truthy(frames:find("got-typed", 1, true))
        assert.is_nil(frames:find("1998,1999,2000", 1, true))
        assert.is_true(#frames < 6000, #frames)
      end)

      it("is ended by what is no compression", function()
        local _, frames = upgrade("/pty", OFFER,
          raw.frame(0xc1, "\255\255\255\255"), "\136")
        assert.are.equal("\136", frames:sub(1, 1)) -- a close frame
        assert.are.equal("\3\234", frames:sub(3, 4)) -- 1002
      end)
    end

    local function assert_fatal(socket, text)
      local frames, how = socket:drain()
      assert.are.equal(1, #frames)
      assert.are.same({ "error", true, ABRUPT },
        { frames[1].type, frames[1].fatal, how })
      assert.are.equal(1, frames[1].data:find(text, 1, true),
        frames[1].data)
    end

    -- The end of a connection on which nothing is said.
    local function assert_silent_end(socket)
      assert.are.same({ {}, ABRUPT }, { socket:drain() })
    end

    -- Has somebody else print a NUL on a terminal, until its client hears it.
    local function wake(socket, pid, place)
      local deadline = core.now() + 60
      repeat
        assert(core.now() < deadline, "it does not wake")
        w:sh(place or path, ("printf '\\0' >/proc/%d/fd/1"):format(pid))
        local message = socket:read(0.2)
      until message and wire.output(message) == "\0"
    end

    it("wants a first message that makes sense", function()
      assert_fatal(open({ type = "connect" }), "connect requires a 'tag' field")
      assert_fatal(open({ type = "connect", tag = "" }),
        "connect requires a 'tag' field")
      assert_fatal(open({ type = "input" }),
        "first message must be type 'start' or 'connect'")
      assert_fatal(open("hello"), "failed to read first message")
      assert_fatal(open({ type = "start", cmd = 5 }),
        "failed to read first message")
    end)

    it("that cannot be started ends without a word", function()
      assert_silent_end(open({ type = "start", cwd = "/no/such" }))
    end)

    it("says what is wrong with the capsule at once", function()
      local paused, id = w:create()
      w:request("POST", paused .. "/pause")
      w:until_status(id, "paused")
      assert_fatal(open(nil, paused), "sandbox is not running (status: paused)")
      assert_fatal(open(nil, "/v1/capsules/cl-0000000000000000000000000"),
        "sandbox not found")
      local socket, answer = w:open("/v1/capsules/abc/pty")
      assert.is_nil(socket)
      assert.are.equal(400, answer.status)
    end)

    -- Without walls there is one user, whatever the name.
    local tell = g.typed and walls.only(it, pending) or it
    tell("is that of the user it names, if it asks at all", function()
      for _, user in ipairs({ "", "root", g.user }) do
        local socket = start({ cmd = "/bin/sh", user = user,
          args = { "-c", 'id -un; pwd; echo "$HOME $USER $LOGNAME"' } })
        local _, out = socket:until_type("exit")
        local name = user == "" and g.user or user
        local home = name == "root" and "/root" or g.home
        assert.are.equal(("%s\r\n%s\r\n%s %s %s\r\n"):format(name, home, home,
          name, name), out)
      end
      for _, user in ipairs({ "nobody", "no-such-user" }) do
        local socket = open({ type = "start", cmd = "/usr/bin/id",
          args = { "-un" }, user = user })
        if g.waits then
          local _, out = socket:until_type("exit")
          assert.are.equal("root\r\n", out)
        else
          assert_silent_end(socket)
        end
      end
    end)

    it("goes on without its client, who may come back",
      function()
        local socket, started = sh("stty -echo; echo first; read x; echo $x;"
          .. " read x; exit 3")
        socket:until_output("first\r\n")
        socket:cancel()
        w:sleep(0.2)
        assert.are.equal(started.pid, listed(started.tag).pid)

        local again = open({ type = "connect", tag = started.tag })
        local seen = ""
        if g.typed then
          seen = again:until_output("first\r\n")
        else
          wake(again, started.pid)
        end
        type_into(again, "back\n")
        assert.are.equal(seen .. "back\r\n",
          (again:until_output("back\r\n", seen):gsub("%z", "")))

        local other = open({ type = "connect", tag = started.tag })
        wake(other, started.pid)
        type_into(other, "\n")
        for _, one in ipairs({ other, again }) do
          assert.are.equal(3, one:until_type("exit").exit_code)
        end
      end)

    it("does not hear who connects before it has printed", function()
      local socket, started = sh("stty -echo; : >no-echo; while read x;"
        .. " do echo got-$x; done")
      w:await(function()
        return w:sh(path, "ls no-echo").exit_code == 0
      end)
      socket:cancel()
      local again = open({ type = "connect", tag = started.tag })
      type_into(again, "lost\n")
      again:send({ type = "kill" })
      assert.are.same({ nil, "silent" }, { again:read(1) })
      wake(again, started.pid)
      type_into(again, "heard\n")
      assert.are.equal("got-heard\r\n", (again:until_output("\r\n")
        :gsub("%z", "")))
      local third = open({ type = "connect", tag = started.tag })
      expect.soon(function() -- until it is connected
        type_into(again, "more\n")
        return (third:read(0.2))
      end)
      w:request("DELETE", path .. "/processes/" .. started.tag)
      assert.are.equal(-1, again:until_type("exit").exit_code)
      assert.are.equal(-1, third:until_type("exit").exit_code)
    end)

    it("that nobody knows is silence, or the end", function()
      local sockets = {}
      for i, tag in ipairs({ "pty-00000000", ("x"):rep(200) }) do
        sockets[i] = open({ type = "connect", tag = tag })
      end
      if not g.typed then
        w:sleep(1.2) -- and not even pings come
      end
      for _, socket in ipairs(sockets) do
        if g.typed then
          assert_silent_end(socket)
        else
          assert.are.same({ nil, "silent" }, { socket:read(0) })
          socket:cancel()
        end
      end
    end)

    it("is any process with the tag, not with the pid", function()
      local go = "until [ -e /tmp/%s ]; do echo .; sleep 0.05; done; echo ok"
      for _, tag in ipairs({ "no-pty", "4294967" }) do
        w:request("POST", path .. "/exec", { cmd = "/bin/sh",
          args = { "-c", go:format(tag) }, background = true, tag = tag })
        local socket = open({ type = "connect", tag = tag })
        local seen = socket:until_output(".\n") -- it is connected
        w:sh(path, "touch /tmp/" .. tag)
        local _, rest = socket:until_type("exit")
        assert.is_truthy((seen .. rest):find("^[.\n]+ok\n$"), seen .. rest)
      end
    end)

    -- The size of a file once all that is written into it is there.
    local function settled(name, is_enough)
      local count, same = 0, 0
      w:await(function()
        local now = tonumber(w:sh(path, "wc -c <" .. name).stdout) or 0
        same = now == count and same + 1 or 0
        count = now
        return is_enough(count) and same == 5
      end)
      return count
    end

    it("drops what comes too fast for its queue", function()
      local socket = sh("stty raw -echo; exec 3<&0; cat <&3 >/tmp/fast &"
        .. " echo go; until [ -e /tmp/over ]; do sleep 0.05; done; kill $!")
      socket:until_output("go\n")
      for _ = 1, 20000 do
        type_into(socket, "x")
      end
      socket:flush()
      local count = settled("/tmp/fast", function(size)
        return size >= 65
      end)
      assert.is_true(count < 20000, count)
      w:sh(path, "touch /tmp/over")
      socket:until_type("exit")
    end)

    it("loses what is typed far ahead, and goes on", function()
      local socket = sh("stty raw -echo; exec 3<&0; echo go;"
        .. " while ! [ -e /tmp/read ]; do sleep 0.05; done;"
        .. " cat <&3 >/tmp/ahead & until [ -e /tmp/end ]; do sleep 0.05; done;"
        .. " kill $!; echo end")
      socket:until_output("go\n")
      local piece = ("x"):rep(4000)
      for _ = 1, 200 do
        type_into(socket, piece)
      end
      socket:flush()
      w:sleep(1) -- all of it has come, and nobody has read
      assert.are.equal("alive\n", w:sh(path, "echo alive").stdout)
      w:sh(path, "touch /tmp/read")
      local count = settled("/tmp/ahead", function(size)
        return size >= 64 * #piece and size % #piece == 0
      end)
      assert.is_true(count < 200 * #piece, count)
      w:sh(path, "touch /tmp/end")
      local _, out = socket:until_type("exit")
      assert.is_truthy(out:find("end\n", 1, true), out)
    end)

    if g.name == "0.1" or g.name == "0.4" then
      it("loses what is not read for 5 s, and goes on", function()
        local socket = sh("stty raw -echo; echo go;"
          .. " while ! [ -e /tmp/late ]; do sleep 0.05; done;"
          .. " head -c 1 >/tmp/one; timeout --foreground 2 cat | wc -c")
        socket:until_output("go\n")
        type_into(socket, ("x"):rep(100000))
        socket:flush()
        w:sleep(9)
        w:sh(path, "touch /tmp/late")
        local deadline = core.now() + 60
        repeat
          assert(core.now() < deadline, "nothing is read")
        until w:sh(path, "cat /tmp/one").stdout == "x"
        type_into(socket, ("y"):rep(3))
        local _, out = socket:until_type("exit")
        local count = tonumber(out:match("^%s*(%d+)\n"))
        assert.is_true(count > 3 and count < 20000, count)
      end)
    end

    it("is cut by a pause, and is still there afterwards", function()
      local other, id = w:create()
      local socket = open({ type = "start", cmd = "/bin/sh", args = { "-c",
        "stty -echo; while read x; do echo got-$x; done" } }, other)
      local started = socket:read()
      w:request("POST", other .. "/pause")
      local _, how = socket:drain()
      assert.are.equal(ABRUPT, how)
      w:until_status(id, "paused")
      w:request("POST", other .. "/resume")
      w:until_status(id, "running")
      local again = open({ type = "connect", tag = started.tag }, other)
      wake(again, started.pid, other)
      type_into(again, "it\n")
      again:until_output("got-it\r\n")
    end)

    if g.typed then
      it("shows who comes back the last 256 KiB", function()
        local socket, started = sh("stty -opost -echo; seq 1 100000;"
          .. " echo ready; read x")
        socket:until_output("ready\n")
        socket:cancel()
        local again = open({ type = "connect", tag = started.tag })
        local out = again:until_output("ready\n")
        assert.is_true(#out <= 256 * 1024, #out)
        assert.is_true(#out >= 160 * 1024, #out)
        again:cancel()
      end)
    end
  end)
end)

describe("wrenn-local --lenient", function()
  it("says what others are silent about", function()
    for _, generation in ipairs({ "0.1", "0.4" }) do
      local s = server.start("--lenient --generation " .. generation)
      local w = wire.new(s)
      local path = w:create()
      local function first_of(place, message)
        local socket = assert(w:open(path .. place))
        if message then
          socket:send(message)
        end
        return socket:read(), socket
      end
      for text, frame in pairs({
        ["failed to start pty: cwd '/no' does not exist"] =
          first_of("/pty", { type = "start", cwd = "/no" }),
        ["failed to connect to pty: there is none with this tag"] =
          first_of("/pty", { type = "connect", tag = "no" }),
        ["failed to connect to process: process not found"] =
          first_of("/processes/no/stream"),
      }) do
        assert.are.same({ "error", text }, { frame.type, frame.data })
      end
      assert.are.equal(202, w:request("POST", path .. "/exec",
        { cmd = "/bin/sleep", args = { "60" }, background = true,
          tag = "a:b" }).status)
      assert.are.equal("start", first_of("/processes/a%3Ab/stream").type)
      local started = first_of("/pty", { type = "start", cmd = "/bin/cat" })
      local again = assert(w:open(path .. "/pty"))
      again:send({ type = "connect", tag = started.tag })
      again:send({ type = "kill" })
      assert.are.equal(-1, again:until_type("exit").exit_code)
      w:close()
      s:stop()
    end
  end)
end)
