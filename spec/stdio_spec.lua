-- Streams with exact bytes and live input, on servers of each generation.

local core = require("wrenn.core")
local expect = require("spec.support.expect")
local generations = require("spec.support.generations")
local wrenn = require("wrenn")

-- Bytes that no two pieces of have in common.
local function random(size)
  local parts = {}
  for i = 1, size / 256 do
    parts[i] = core.random(256)
  end
  return table.concat(parts)
end

-- What is in the capsule: files in /tmp, and processes of the API.
local function rest(capsule)
  local left = {}
  for _, entry in ipairs(assert(capsule.files:list("/tmp"))) do
    left[#left + 1] = entry.name
  end
  for _, process in ipairs(assert(capsule.commands:list())) do
    left[#left + 1] = table.concat(process.args or {}, " ")
  end
  return table.concat(left, "\n")
end

describe("the lines that carry bytes", function()
  local unpack_event

  before_each(function()
    unpack_event = require("wrenn.commands.bytes").unpacker()
  end)

  local function out(text)
    return unpack_event({ type = "stdout", data = text })
  end

  it("may come in any pieces", function()
    assert.is_nil((out("1 YW")))
    assert.are.same({ type = "stdout", data = "abc" }, out("Jj\n2"))
    assert.are.same({ type = "stdout", data = "aa" }, out(" YQ==\n3 YQ==\n"))
    assert.is_nil((out("4 .\n")))
    unpack_event({ type = "stderr", data = "1 .\n" })
    local exit = { type = "exit", exit_code = 0 }
    assert.are.equal(exit, unpack_event(exit))
  end)

  it("are an error where one is missing, at the end too", function()
    expect.error("ProtocolError", out("1 YQ==\n3 YQ==\n"))
    out("2 .\n")
    expect.error("ProtocolError",
      unpack_event({ type = "exit", exit_code = 0 }))
    expect.error("AgentError", out("sh: 1: base64: not found\n"))
  end)
end)

generations.each(function(generation)
  describe("the bytes of a stream of " .. generation.name, function()
    local server, capsule

    setup(function()
      server = generations.start(generation)
      capsule =
        assert(wrenn.Capsule.create(server:options({ wait = true })))
    end)

    teardown(function()
      server:stop()
    end)

    after_each(function()
      local deadline, left = core.now() + 60
      repeat
        left = rest(capsule)
      until left == "" or core.now() > deadline
        or not wrenn.task.sleep(0.05)
      assert.are.equal("", left)
    end)

    local function stream(cmd, opts)
      opts.bytes = true
      return (assert(capsule.commands:stream(cmd, opts)))
    end

    it("are exact both ways", function()
      local bytes = random(1024 * 1024)
      local s = stream("cat", { args = {}, stdin = true })
      local writer = wrenn.task.spawn(function()
        assert(s:write(bytes))
        return s:close_stdin()
      end)
      local result = assert(s:wait())
      assert.is_true(writer:wait())
      assert.are.equal(0, result.exit_code)
      assert.is_true(bytes == result.stdout)
      assert.are.equal("", result.stderr)
    end)

    it("come apart, with the exit code", function()
      local result = assert(stream(
        [[printf '\377\0a'; printf '\376' >&2; exit 7]], {}):wait())
      assert.are.same({ "\255\0a", "\254", 7 },
        { result.stdout, result.stderr, result.exit_code })
    end)

    it("come as they are printed, and answer", function()
      local s = stream("cat", { args = {}, stdin = true })
      for i = 1, 3 do
        assert(s:write("line " .. i .. "\n"))
        local event
        repeat
          event = assert(s:read())
        until event.type == "stdout"
        assert.are.equal("line " .. i .. "\n", event.data)
      end
      assert(s:close_stdin())
      assert.are.equal(0, assert(s:wait()).exit_code)
      expect.error("ConnectionError", s:write("x"))
    end)

    it("are those of a program that a signal has killed", function()
      for signal, code in pairs({ INT = 130, TERM = 143, KILL = 137 }) do
        local result = assert(stream("printf a; kill -" .. signal .. " $$",
          {}):wait())
        assert.are.same({ "a", "", code },
          { result.stdout, result.stderr, result.exit_code })
      end
    end)

    it("are of a program that may not exist", function()
      local result = assert(stream("/nowhere/at/all", { args = {} }):wait())
      assert.are.equal(127, result.exit_code)
      assert.is_truthy(result.stderr:find("/nowhere/at/all", 1, true))
    end)

    it("stop going in when the command has ended or does not read", function()
      local begin = core.now()
      local s = stream("head -c 3", { stdin = true })
      local ok, err
      repeat
        ok, err = s:write(("x"):rep(65536))
      until not ok
      expect.error("ConnectionError", ok, err)
      assert.are.equal("xxx", assert(s:wait()).stdout)
      s = stream("true", { stdin = true })
      assert.are.equal(0, assert(s:wait()).exit_code)
      assert.is_true(core.now() - begin < 20)
    end)

    it("are those of a durable command", function()
      local bytes = random(64 * 1024)
      local handle = assert(capsule.commands:run("cat; exit 3",
        { background = true, durable = true, stdin = true }))
      assert(handle:write(bytes))
      assert(handle:close_stdin())
      local result = assert(handle:wait({ timeout = 60 }))
      assert.is_true(bytes == result.stdout)
      assert.are.equal(3, result.exit_code)
      local other = assert(capsule.commands:durable(handle.tag))
      assert.has_error(function()
        other:write("x")
      end)
      assert(handle:remove())
    end)

    it("wait for a command that does not read", function()
      local s = stream("sleep 1000", { stdin = true })
      assert(s:read()) -- its start
      local sent = 0
      local writer = wrenn.task.spawn(function()
        local ok, err
        repeat
          ok, err = s:write(("y"):rep(65536))
          sent = sent + (ok and 65536 or 0)
        until not ok or sent > 4 * 1024 * 1024
        return ok, err
      end)
      -- More than all pipes hold does not leave while nobody reads.
      local before
      repeat
        before = sent
        assert(wrenn.task.sleep(0.3))
      until sent == before
      assert.is_true(sent < 1024 * 1024, "too much was sent: " .. sent)
      s:close()
      expect.error("ConnectionError", writer:wait())
      assert(capsule.commands:kill(s.pid))
    end)
  end)
end)
