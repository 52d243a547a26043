-- Any Lua: the examples for Neovim and OpenResty, which have LuaJIT inside, do
-- what their READMEs say.
-- Not sanitized: the clients are not.

local compat = require("spec.support.compat")
local expect = require("spec.support.expect")
local host = require("spec.support.host")
local nginx = require("spec.support.nginx")
local server = require("spec.support.server")
local wrenn = require("wrenn")

describe("the example", function()
  local s

  setup(function()
    s = server.start()
  end)

  teardown(function()
    s:stop()
  end)

  local function nothing_is_left()
    for _, info in ipairs(assert(wrenn.Capsule.list(s:options()))) do
      assert.are.equal("stopping", info.status)
    end
  end

  it("neovim runs buffers and opens shells", function()
    local figures = host.run(s, host.luajit_env(), "nvim --headless --clean -n "
      .. host.NO_PYTHON .. " --cmd 'set rtp+=nvim'"
      .. " -c 'luafile spec/hosts/nvim_plugin.lua' </dev/null")
    local text = figures.text
    assert.are.equal("line 1/line 2/line 3/[exit 3]", figures.output, text)
    assert.is_true(figures.ticks_missed < 28, text)
    for name, value in pairs({
      stays = "for i in 1 2 3; do", unbuffered = "soon/",
      cleaned = "22%/red/\239\191\189/[exit 0]", replaced = "true",
      block = "one/öff/[exit 0]", characters = "echo /[exit 0]",
      register = "kept", closed = "true", shell = "true", begun = "true",
      raw = "true", resized = "true",
      ended = "true", gone = "true", killed = "true", another = "again/",
      finished = "true", exit = 0,
    }) do
      assert.are.equal(value, figures[name], name .. "\n" .. text)
    end
    nothing_is_left()
  end)

  describe("openresty", function()
    local n

    setup(function()
      n = nginx.start_example(s)
    end)

    after_each(function()
      expect.soon(function()
        return #assert(wrenn.Capsule.list(s:options({ status = "running" })))
          == 0
      end)
    end)

    teardown(function()
      n:stop()
      nothing_is_left()
    end)

    it("streams the output of what is posted", function()
      local status, body = n:get("/run",
        "for i in 1 2 3; do echo $i; sleep 0.2; done; exit 4")
      assert.are.equal(200, status)
      assert.are.equal("1\n2\n3\n[exit 4]\n", body)
      local op = n:begin("/run", "printf first; sleep 4; echo; echo second;"
        .. " nay")
      local bodies = n:wait({ op }, "chunk")
      assert.are.equal("first", bodies[op:id()])
      bodies = n:wait({ op }, "done")
      assert.is_truthy(bodies[op:id()]
        :find("^\nsecond\n.*\n%[exit 127%]\n$"))
      assert.are.equal("no newline\n[exit 0]\n",
        select(2, n:get("/run", "printf 'no newline'")))
    end)

    it("destroys the capsules of clients that have gone", function()
      local ops = {}
      for i = 1, 6 do
        ops[i] = n:begin("/run", i % 2 == 0 and "echo up; sleep 60"
          or "while echo up; do sleep 0.1; done")
      end
      n:wait(ops, "chunk")
      for i = 1, 6 do
        ops[i]:cancel() -- and then none runs any more
      end
    end)

    it("sends events to who asks for them", function()
      local status, body, headers = n:get("/run",
        'printf \'a\\n"b"\'; sleep 0.1; echo c >&2; exit 1',
        { "Accept: text/event-stream" })
      assert.are.equal(200, status)
      assert.are.equal(
        'event: stdout\ndata: "a\\n\\"b\\""\n\n'
          .. 'event: stderr\ndata: "c\\n"\n\nevent: exit\ndata: 1\n\n', body)
      assert.is_truthy(headers:lower()
        :find("content-type: text/event-stream", 1, true), headers)
    end)

    it("streams to clients of HTTP/1.0, as nginx is by itself", function()
      local answer = compat.output_of(("curl -sS -i --http1.0 --data-binary"
        .. " 'echo a; sleep 4; echo b' -w '%%{time_starttransfer}"
        .. " %%{time_total}' http://127.0.0.1:%d/run"):format(n.port))
      local begun, ended = answer:match("^HTTP/1%.1 200 .*\r\n\r\na\nb\n"
        .. "%[exit 0%]\n([%d.]+) ([%d.]+)$")
      assert.is_truthy(begun, answer)
      assert.is_true(ended - begun > 0.8, answer)
    end)

    it("serves many at once, and refuses what is no script", function()
      local ops = {}
      for i = 1, 20 do
        ops[i] = n:begin("/run", "sleep 0.5; echo " .. i)
      end
      local bodies = n:wait(ops, "done")
      for i = 1, 20 do
        assert.are.equal(i .. "\n[exit 0]\n", bodies[ops[i]:id()])
      end
      assert.are.equal(405, (n:get("/run")))
      assert.are.equal(400, (n:get("/run", "")))
      assert.are.equal(413, (n:get("/run", ("#"):rep(1100000))))
      assert.are.equal(200, (n:get("/run", ("#"):rep(1000000))))
    end)
  end)
end)
