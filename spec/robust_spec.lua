-- Interrupted and dropped calls: the commands of cancelled calls end, the last
-- output of a terminal arrives, capsules inherit no descriptors, and a call takes
-- no longer than its limit.

local compat = require("spec.support.compat")
local core = require("wrenn.core")
local expect = require("spec.support.expect")
local peer = require("spec.support.peer")
local server = require("spec.support.server")
local wrenn = require("wrenn")

local task = wrenn.task

describe("in a local capsule", function()
  local s, capsule

  setup(function()
    s = server.start("7</tmp")
    capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
  end)

  teardown(function()
    s:stop()
  end)

  local function runs(word)
    for _, process in ipairs(assert(capsule.commands:list())) do
      if table.concat(process.args or {}, " "):find(word, 1, true) then
        return true
      end
    end
    return false
  end

  local function await_end(word)
    expect.soon(function()
      return not runs(word)
    end)
  end

  it("a command ends with the call that is cancelled", function()
    local result, err = task.with_timeout(0.5, function()
      return capsule.commands:run("sleep 7001")
    end)
    assert.is_nil(result)
    assert.is_true(err:is("TimeoutError"))
    await_end("sleep 7001")
    task.run(function()
      local one = task.spawn(function()
        return capsule.commands:run("sleep 7002; echo", {
          on_stdout = function() end,
        })
      end)
      expect.soon(function()
        return runs("sleep 7002")
      end)
      one:cancel()
      one:wait()
    end)
    await_end("sleep 7002")
  end)

  it("a command ends when its callback raises", function()
    local ok, err = pcall(capsule.commands.run, capsule.commands,
      "echo x; sleep 7003", { on_stdout = function() error("mine", 0) end })
    assert.is_false(ok)
    assert.are.equal("mine", err)
    await_end("sleep 7003")
  end)

  it("all that a terminal's program prints last arrives", function()
    for _ = 1, 6 do
      local term = assert(capsule:pty({ cmd = "/usr/bin/seq",
        args = { "1", "200000" } }))
      local tail, bytes = "", 0
      for event in term do
        if event.type == "output" then
          bytes = bytes + #event.data
          tail = (tail .. event.data):sub(-8)
        end
      end
      assert.are.equal("200000\r\n", tail)
      assert.are.equal(1288895 + 200000, bytes)
      term:close()
    end
  end)

  it("nothing is open that the server's starter had open", function()
    local listed = assert(capsule.commands:run("ls /proc/self/fd")).stdout
    assert.are.equal("0\n1\n2\n3\n", listed)
    local text = capsule.files:read("/proc/self/fd/2")
    assert.is_true(text == nil or text == "")
  end)
end)

describe("a call to a server that stalls", function()
  it("takes no longer than its limit, attempts and all", function()
    local p = peer.start([[ c:request() c:sleep(60) ]])
    local client = assert(wrenn.Client(p:options({ timeout = 6 })))
    local begin = core.now()
    local list, err = client.capsules:list()
    assert.is_nil(list)
    assert.is_true(err:is("TimeoutError"))
    assert.is_true(core.now() - begin < 12) -- two attempts would take more
    p:stop()
  end)
end)

describe("the wrenn command", function()
  it("hands a signal on: the server ends, and its command", function()
    local program = os.getenv("WRENN_LOCAL") or "build/local/wrenn-local"
    local began = os.tmpname()
    local output = compat.output_of(("WRENN_LOCAL=%s BEGAN=%s sh -c '"
      .. "bin/wrenn local -- sh -c \"echo \\$PPID; echo >\\$BEGAN;"
      .. " exec sleep 7004\" & until [ -s $BEGAN ]; do sleep 0.05; done; "
      .. "kill $!; wait $!; echo status $?'"):format(program, began))
    os.remove(began)
    local pid = output:match("^(%d+)\n")
    assert.is_truthy(pid, output)
    assert.is_truthy(output:find("status 143", 1, true), output)
    assert.are.equal("gone\n", compat.output_of("test -d /proc/" .. pid
      .. " && echo there || echo gone"))
  end)
end)
