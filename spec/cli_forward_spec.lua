-- The wrenn command: forward, with clients that know nothing of wrenn.

local children = require("spec.support.children")
local cli = require("spec.support.cli")
local compat = require("spec.support.compat")
local core = require("wrenn.core")
local expect = require("spec.support.expect")
local figures = require("spec.hosts.figures")
local guest = require("spec.support.guest")
local peer = require("spec.support.peer")
local raw = require("spec.support.raw")
local servers = require("spec.support.server")
local system = require("spec.c.system")
local uv = require("luv")
local wrenn = require("wrenn")

-- AddressSanitizer has more, and keeps what is freed: as little as it can here.
local LEAN = [[ASAN_OPTIONS="$ASAN_OPTIONS:quarantine_size_mb=1"]]
local MIB = os.getenv("ASAN_OPTIONS") and 24 or 8

describe("wrenn forward", function()
  local server, capsule, port, main

  -- Starts the command with its operands. Returns {pid, pipe, line, port}.
  local function forward(of, operands, env)
    local pipe = assert(io.popen(("sh -c %s </dev/null; echo status $?")
      :format(cli.quoted(("echo $$; exec %s %s bin/wrenn forward %s")
        :format(cli.environment(of), env or "", operands)))))
    local self = { pipe = pipe, pid = pipe:read("*l"), line = pipe:read("*l") }
    -- Ends it by a signal. Returns the rest of its output.
    function self.stop(_, signal)
      os.execute(("kill -%s %s"):format(signal or "TERM", self.pid))
      local rest = pipe:read("*a")
      pipe:close()
      children.remove(self)
      return rest
    end
    children.add(self)
    assert(self.line and not self.line:find("^status"), self.line)
    self.port = self.line:match("^http://127%.0%.0%.1:(%d+)$")
    return self
  end

  setup(function()
    server = servers.start("--generation 0.4")
    capsule = assert(wrenn.Capsule.create(server:options({ wait = true })))
    port = guest(capsule)
    main = forward(server, capsule.id .. " 0:" .. port, LEAN)
  end)

  teardown(function()
    main:stop()
    server:stop()
  end)

  local function ask(path, more)
    return ("GET %s HTTP/1.1\r\nHost: localhost:%s\r\n%s\r\n"):format(path,
      main.port, more or "")
  end

  local function exchange(script)
    return raw.exchange(main.line, script, 120)
  end

  -- Sends some bytes and reads to the end of the connection.
  local function send(bytes)
    local sent
    return exchange(function()
      local rest = not sent and bytes or nil
      sent = true
      return rest
    end)
  end

  local function open_descriptors()
    return tonumber(compat.output_of(("ls /proc/%s/fd | wc -l"):format(
      main.pid)))
  end

  local function peak()
    local file = assert(io.open(("/proc/%s/status"):format(main.pid)))
    local kb = file:read("*a"):match("VmHWM:%s*(%d+)")
    file:close()
    return tonumber(kb) / 1024
  end

  -- Bytes that it has read from anywhere.
  local function has_read()
    local file = assert(io.open(("/proc/%s/io"):format(main.pid)))
    local count = file:read("*a"):match("rchar: (%d+)")
    file:close()
    return count
  end

  local function exists(path)
    return capsule.files:exists(path)
  end

  it("passes requests on over one connection, and never the key", function()
    local origin = "http://localhost:" .. main.port
    local steps = {
      { ask("/echo?a=%20b", "Origin: " .. origin .. "\r\nX-Own: 1\r\n"),
        "GET" },
      { "HEAD /echo HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
        "HEAD" },
      { "POST http://elsewhere/echo HTTP/1.1\r\nHost: x\r\n"
        .. "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
        .. "0A;x=y\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n", "POST" },
      { "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
        "POST" },
    }
    local at, bodies = 1, {}
    local seen = exchange(function(all)
      local _, heads = all:gsub("HTTP/1.1 200 OK\r\n", "")
      local body = all:match("\r\n\r\n({[^\r]*})$")
      local head_only = steps[at - 1] and steps[at - 1][2] == "HEAD"
        and all:find("\r\n\r\n$")
      if at > 1 and (heads < at - 1 or not (body or head_only)) then
        return nil -- the answer is not whole yet
      end
      bodies[at - 1] = body
      at = at + 1
      return steps[at - 1] and steps[at - 1][1] or false
    end)
    assert.are.equal(#steps + 2, at)
    local first = core.json(bodies[1])
    assert.are.equal("/echo?a=%20b", first.path)
    local headers = {}
    for _, pair in ipairs(first.headers) do
      headers[pair[1]] = pair[2]
    end
    assert.are.equal("1", headers["x-own"])
    assert.are.equal(capsule:get_url(port), headers.origin)
    assert.are.equal("abc0123456789", core.json(bodies[3]).body)
    assert.are.equal("/echo", core.json(bodies[3]).path)
    assert.are.equal("hi", core.json(bodies[4]).body)
    assert.is_falsy(seen:lower():find("api-key", 1, true))
    assert.is_falsy(seen:find(server.key, 1, true))
  end)

  it("passes on what is answered as it is, and its end", function()
    assert.is_truthy(send(ask("/chunked")
      .. "GET /eof HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
      :find("3\r\none\r\n.*0\r\n\r\n.*up to the end"))
    assert.is_truthy(send(ask("/half")):find("\r\n\r\nhalf$"))
    assert.is_truthy(send("CONNECT x:1 HTTP/1.1\r\n\r\n")
      :find("^HTTP/1.1 400 "))
    for _, lines in ipairs({ "Host : x", "Content-Length: 2, 2", " folded: x",
      "Content-Length: 2\r\nTransfer-Encoding: chunked",
      "Transfer-Encoding: gzip, chunked" })
    do
      assert.is_truthy(send("GET / HTTP/1.1\r\n" .. lines .. "\r\n\r\n")
        :find("^HTTP/1.1 400 .*\nwrenn forward: "), lines)
    end
    assert.is_truthy(send("GET / HTTP/1.1\r\nX: " .. ("x"):rep(70000))
      :find("^HTTP/1.1 431 "))
  end)

  -- Sends all that a client has to say. Returns what it gets.
  local function say(to, bytes)
    local sock, seen = uv.new_tcp(), ""
    sock:connect("127.0.0.1", tonumber(to), function()
      sock:write(bytes)
      sock:shutdown()
      sock:read_start(function(_, more)
        seen = seen .. (more or "")
        if not more then
          sock:close()
        end
      end)
    end)
    uv.run()
    return seen
  end

  it("answers a client that has ended its side", function()
    local seen = say(main.port, ask("/big?16"))
    assert.are.equal(16 * 65536, #seen:match("\r\n\r\n(.*)$"))
  end)

  -- The same with what is answered soon, and ends with an empty line. For what
  -- it does not understand, it would wait for 10 s more.
  local function complete(to, bytes)
    local begin = core.now()
    local seen = say(to.port, bytes)
    assert.is_true(core.now() - begin < 8 + figures.delayed(to.pid), seen)
    assert.is_truthy(seen:find("^HTTP/1.1 .*\r\n\r\n$"), seen)
    return seen
  end

  it("knows where answers end that have no body", function()
    for request, status in pairs({
      ["HEAD /echo HTTP/1.1\r\nHost: x\r\n\r\n"] = "200",
      [ask("/empty")] = "204",
      [ask("/unchanged")] = "304",
    }) do
      assert.are.equal(status, complete(main, request):match("^%S+ (%d+)"))
    end
  end)

  it("passes on what no proxy should, and breaks off where its peer does",
    function()
      local odd = peer.serving([[
        if req.path == "/reset" then
          c:send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
          c:reset()
          return
        elseif req.headers.upgrade then
          c:respond(403, "no")
        elseif req.path:find("hints") then
          c.answered = true
          c:send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n"
            .. "Of: " .. req.path
            .. "\r\n\r\nHTTP/1.1 200 OK\r\n"
            .. "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
        end
      ]])
      local there = forward({ url = odd.url, key = "wrn_test" },
        "cl-" .. ("1"):rep(25) .. " 0:80",
        "WRENN_PROXY_DOMAIN=localhost:" .. odd.port)
      assert.is_truthy(complete(there, raw.upgrade("/ws", "")
        .. ask("http://a/hints") .. ask("http://a?hints")):find(
        " 403 .*no.* 100 .* 103 .*Of: /hints\r.*\nok.*Of: /%?hints\r"))
      assert.are.equal("56\n", compat.output_of( -- a reset
        ("curl -s -m 60 -o /dev/null %s/reset; echo $?"):format(there.line)))
      there:stop()
      odd:stop()
    end)

  it("passes large bodies on, and holds back who is fast", function()
    local before, path = peak(), os.tmpname()
    os.execute("head -c 33554432 /dev/urandom >" .. path)
    local sum = compat.output_of("sha256sum <" .. path):match("%x+")
    local curl = "curl -sS -m 240 " .. main.line
    assert.are.equal("33554432 " .. sum,
      compat.output_of(("%s/count -T %s"):format(curl, path)))
    os.remove(path)

    local function await_rest()
      local last
      expect.soon(function()
        uv.run("nowait")
        os.execute("sleep 0.1")
        local now = has_read()
        local same = now == last and tonumber(now) > 0
        last = now
        return same
      end)
    end

    -- A service that does not read for a while.
    local up, seen = uv.new_tcp(), ""
    up:connect("127.0.0.1", tonumber(main.port), function()
      up:write("POST /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        .. "Transfer-Encoding: chunked\r\n\r\n2000000\r\n")
      up:write(("x"):rep(33554432) .. "\r\n0\r\n\r\n")
      uv.stop()
    end)
    uv.run()
    await_rest()
    up:read_start(function(_, bytes)
      seen = seen .. (bytes or "")
      if not bytes then
        up:close()
      end
    end)
    assert(capsule.files:write("/tmp/go", ""))
    uv.run()
    assert.is_truthy(seen:find("\r\n\r\n33554432 %x+$"), seen)

    -- A client that does not.
    local sock, count = uv.new_tcp(), 0
    sock:connect("127.0.0.1", tonumber(main.port), function()
      sock:write(ask("/big?512", "Connection: close\r\n"))
      uv.stop()
    end)
    uv.run()
    await_rest()
    sock:read_start(function(_, bytes)
      count = count + #(bytes or "")
      if not bytes then
        sock:close()
      end
    end)
    uv.run()
    assert.is_true(count > 33554432, tostring(count))
    assert.is_true(peak() < before + MIB,
      ("%.0f MiB after %.0f"):format(peak(), before))
  end)

  it("passes WebSockets on, both ways and to their end", function()
    local upgrade = raw.upgrade("/ws?hello", "none"):gsub("X%-API%-Key[^\n]*\n",
      "")
    local piece = ("0123456789abcdef"):rep(3750)
    local frame, echo = raw.frame(0x82, piece), 4 + #piece
    local sent = 0
    local seen = exchange(function(all)
      local from = select(2, all:find("\r\n\r\n\129\5hello", 1, true))
      if sent == 0 then
        sent = 1
        return upgrade
      elseif from and sent == 1 then
        sent = 2
        return frame:rep(100)
      elseif from and sent == 2 and #all == from + 100 * echo then
        sent = 3
        return raw.frame(0x88, "\3\232")
      end
    end)
    assert.is_truthy(seen:find("^HTTP/1.1 101 "))
    assert.are.equal("\136\2\3\232", seen:sub(-4))
    assert.is_true(seen:sub(-4 - #piece, -5) == piece)

    assert.is_truthy(send((upgrade:gsub("/ws", "/redirect")))
      :find("^HTTP/1.1 302 "))
  end)

  it("lets go with clients that disappear", function()
    local before = open_descriptors()
    local gone = 0
    local function vanish(bytes, after, how)
      local sock, seen = uv.new_tcp(), ""
      sock:connect("127.0.0.1", tonumber(main.port), function()
        sock:write(bytes)
        local function leave()
          gone = gone + 1
          sock[how](sock)
        end
        if after == "" then
          return leave()
        end
        sock:read_start(function(_, more)
          seen = seen .. (more or "")
          if seen:find(after) and not sock:is_closing() then
            leave()
          end
        end)
      end)
    end
    vanish(raw.upgrade("/ws?hello", ""), "hello", "close")
    vanish(ask("/big?4096"), "x", "close")
    vanish("PUT /count HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx", "",
      "close")
    vanish("GET /ec", "", "close")
    uv.run()
    local sock = uv.new_tcp() -- whose answer does not come
    sock:connect("127.0.0.1", tonumber(main.port), function()
      sock:write(ask("/hang"))
    end)
    repeat
      uv.run("nowait")
    until exists("/tmp/hanging")
    sock:close_reset()
    uv.run()
    assert.are.equal(4, gone)
    expect.soon(function()
      return exists("/tmp/hung-up") and exists("/tmp/ws-lost")
    end)
    expect.soon(function()
      return open_descriptors() <= before
    end)
  end)

  it("serves several ports until Ctrl-C", function()
    local two = forward(server, ("--json -- :%d 0:1"):format(port),
      "WRENN_CAPSULE=" .. capsule.id)
    local first, second = core.json(two.line), core.json(two.pipe:read("*l"))
    assert.are.same({ port, 1 }, { first.port, second.port })
    assert.are.equal("http://127.0.0.1:" .. first.local_port, first.url)
    local function status(url)
      return compat.output_of("curl -s -m 20 -o /dev/null -w '%{http_code}' "
        .. url .. "/echo")
    end
    assert.are.equal("200", status(first.url))
    assert.are.equal("502", status(second.url))
    local probe = uv.new_tcp() -- of a machine that may have no such address
    local six = probe:bind("::1", 0) and probe:getsockname()
    probe:close()
    uv.run()
    local url_six = first.url:gsub("127.0.0.1", "'[::1]'")
    assert.are.equal(six and "200" or "000", status(url_six))
    local taken = cli.run(server, ("forward %s %d:80"):format(capsule.id,
      first.local_port))
    assert.are.equal(125, taken.status)
    assert.is_truthy(taken.err:find("cannot listen on 127.0.0.1:"
      .. first.local_port, 1, true), taken.err)
    assert.are.equal("status 130\n", two:stop("INT"))
    assert.are.equal("000", status(first.url))
    assert.are.equal("000", status(url_six))
  end)

  it("says that localhost may lead elsewhere where ::1 is taken", function()
    local six, four, taken = uv.new_tcp(), uv.new_tcp(), nil
    local said, url
    if six:bind("::1", 0) and six:listen(1, function() end) then
      taken = six:getsockname().port
      assert(four:bind("127.0.0.1", taken))
    end
    four:close()
    uv.run("nowait")
    if taken then
      local half = forward(server, ("%s %d:%d 2>&1"):format(capsule.id, taken,
        port))
      said = half.line
      url = half.port and said or half.pipe:read("*l")
      half:stop()
    end
    six:close()
    uv.run()
    if taken then
      assert.is_truthy(said:find("cannot listen on [::1]:" .. taken
        .. ", to which localhost may lead: ", 1, true), said)
      assert.are.equal("http://127.0.0.1:" .. taken, url)
    end
  end)

  -- A client that still sends would lose its last answer by that otherwise. Its
  -- time is short, so that one of a few tries may miss it.
  it("says at once that there is no more, and closes later", function()
    local open
    local function try()
      local sock, timer = uv.new_tcp(), uv.new_timer()
      sock:connect("127.0.0.1", tonumber(main.port), function()
        sock:write("CONNECT x:1 HTTP/1.1\r\n\r\n")
        sock:read_start(function(_, bytes)
          if bytes then
            return
          end
          sock:write("more")
          timer:start(100, 0, function() -- by now it would know of a close
            timer:close()
            sock:write("and more", function(err)
              open = not err
              sock:close()
            end)
          end)
        end)
      end)
      uv.run()
      return open
    end
    assert.is_true(try() or try() or try() or try())
  end)

  it("lets no piece wait for the one before it", function()
    local fd, here = core.listen(0)
    local sock = uv.new_tcp()
    sock:connect("127.0.0.1", here, uv.stop)
    uv.run()
    local accepted
    expect.soon(function()
      accepted = core.accept(fd)
      return accepted
    end)
    assert.is_true(system.undelayed(accepted))
    core.close(accepted)
    core.close(fd)
    sock:close()
    uv.run()
  end)

  it("says what it cannot reach", function()
    local lost = forward(server, capsule.id .. " 0:80",
      "WRENN_PROXY_DOMAIN=" .. peer.NOWHERE)
    local answer = raw.exchange(lost.line, function(seen)
      return seen == "" and ask("/") or nil
    end)
    assert.is_truthy(answer:find("^HTTP/1.1 502 .*\r\n\r\nwrenn forward: "),
      answer)
    lost:stop()
  end)
end)
