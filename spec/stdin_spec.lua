-- Input for commands: any bytes, size and source. No file is left behind after a
-- failure.

local core = require("wrenn.core")
local expect = require("spec.support.expect")
local peer = require("spec.support.peer")
local server = require("spec.support.server")
local slow_kills = require("spec.support.slow_kills")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule

describe("the input of a command", function()
  local s, capsule

  setup(function()
    s = server.start()
    capsule = assert(Capsule.create(s:options({ wait = true })))
  end)

  teardown(function()
    s:stop()
  end)

  -- What a command of ours has left in the directory of its files.
  after_each(function()
    expect.soon(function()
      for _, entry in ipairs(assert(capsule.files:list("/tmp"))) do
        if entry.name:find("stdin", 1, true) then
          return false
        end
      end
      return true
    end)
  end)

  local function cat(stdin, opts)
    opts = opts or {}
    opts.stdin = stdin
    return assert(capsule.commands:run("cat", opts)).stdout
  end

  it("is a string of any bytes", function()
    local bytes = {}
    for i = 0, 255 do
      bytes[#bytes + 1] = string.char(i)
    end
    bytes = table.concat(bytes)
    assert.are.equal(bytes, cat(bytes))
    assert.are.equal("", cat(""))
  end)

  it("is an array, a function or a file", function()
    assert.are.equal("abc", cat({ "a", "b", "", "c" }))
    local count = 0
    assert.are.equal("1 2 3 ", cat(function()
      count = count + 1
      return count <= 3 and count .. " " or nil
    end))
    local name = os.tmpname()
    local file = assert(io.open(name, "w+b"))
    file:write("from a file\n")
    file:seek("set")
    assert.are.equal("from a file\n", cat(file))
    file:close()
    os.remove(name)
  end)

  it("may be large", function()
    local piece = core.random(256):rep(4096)
    local result = assert(capsule.commands:run("cksum; cat /dev/null",
      { stdin = { piece, piece, piece, piece, piece, piece, piece, piece } }))
    assert.are.equal(8 * #piece, tonumber(result.stdout:match(" (%d+)")))
    assert.are.equal(piece, cat(piece))
  end)

  it("is read from where the command wants to", function()
    assert.are.equal("first\nrest:second\n", assert(capsule.commands:run(
      'read a; echo "$a"; printf rest:; cat', { stdin = "first\nsecond\n" }))
      .stdout)
    -- A program that does not read it ends all the same.
    assert.are.equal(0, assert(capsule.commands:run("true",
      { stdin = ("x"):rep(100000) })).exit_code)
  end)

  it("goes with directory, environment, arguments and limits", function()
    finally(slow_kills())
    local result = assert(capsule.commands:run("sh", {
      args = { "-c", 'pwd; echo "$A $1"; cat', "sh", "a b" }, cwd = "/tmp",
      envs = { A = "$x" }, stdin = "in", timeout = 20, user = "root",
    }))
    assert.are.equal("/tmp\n$x a b\nin", result.stdout)
    local none, err = capsule.commands:run("cat; sleep 30",
      { stdin = "in", timeout = 6 })
    assert.is_nil(none)
    assert.are.equal("in", err.result.stdout)
  end)

  it("is nothing without the option", function()
    assert.are.equal("", assert(capsule.commands:run("cat")).stdout)
  end)

  it("is removed when the command cannot start", function()
    local result, err = capsule.commands:run("cat",
      { stdin = "secret", cwd = "/no/such/dir" })
    assert.is_nil(result)
    assert.is_true(err:is("WrennError"))
    result, err = capsule.commands:run("cat",
      { stdin = "secret", user = "nobody-at-all" })
    assert.is_nil(result)
    assert.is_true(err:is("ValidationError"))
  end)

  it("is removed when its source fails", function()
    local pieces = { "a", "b" }
    local result, err = capsule.commands:run("cat", {
      stdin = function()
        local piece = table.remove(pieces)
        if piece then
          return piece
        end
        return nil, "broken"
      end,
    })
    assert.is_nil(result)
    assert.is_true(err:is("ValidationError"))
    local ok, why = pcall(capsule.commands.run, capsule.commands, "cat", {
      stdin = function() error("oops", 0) end,
    })
    assert.is_false(ok)
    assert.are.equal("oops", why)
  end)

  it("is removed when its command is given up", function()
    local result, err = wrenn.task.with_timeout(0.5, function()
      return capsule.commands:run("cat; sleep 2", { stdin = "in" })
    end)
    assert.is_nil(result)
    assert.is_true(err:is("TimeoutError"))
  end)

  it("is removed, and nothing runs on, whenever its writing is given up",
    function()
      for moment = 1, 60 do
        local stream
        wrenn.task.with_timeout(moment * 0.003, function()
          stream = capsule.commands:stream("cat", { stdin = true })
          return stream and stream:write("x")
        end)
        if stream then
          stream:close()
        end
      end
      expect.soon(function()
        return #assert(capsule.commands:list()) == 0
      end)
    end)

  it("must be something to read from", function()
    for call, bad in pairs({ run = { 5, true }, stream = { 5, false } }) do
      for _, value in ipairs(bad) do
        local ok, err = pcall(capsule.commands[call], capsule.commands, "cat",
          { stdin = value })
        assert.is_false(ok)
        assert.is_truthy(err:find("'stdin' to '" .. call .. "'", 1, true))
      end
    end
  end)
end)

describe("input whose command never started", function()
  local p

  after_each(function()
    p:stop()
  end)

  -- `answer` is what the peer does with what starts a command.
  local function capsule_of(answer)
    p = peer.start(([[
      local function start(req)
        %s
      end
      while true do
        local req = c:request()
        if not req then return end
        if req.headers.upgrade or req.path:find("/exec$") then
          start(req)
        elseif req.path:find("files/") then
          c:respond(204)
        else
          c:respond(200, '{"id":"cl-1","status":"running"}')
        end
      end
    ]]):format(answer))
    return assert(Capsule.connect("cl-1", p:options()))
  end

  -- The file that was put is removed, sooner or later.
  local function is_removed()
    local path
    local removed = {}
    local deadline = os.time() + 30
    repeat
      for _, request in ipairs(p:received()) do
        if request:find("stream/write", 1, true) then
          path = request:match("(/tmp/%.wrenn%-stdin%-%x+)")
        elseif request:find("/files/remove", 1, true) then
          removed[request:gsub("\\/", "/"):match("/tmp/[^\"]+") or ""] = true
        end
      end
      wrenn.task.sleep(0.02)
    until removed[path] or os.time() > deadline
    assert.is_true(removed[path])
  end

  local refused = 'c:respond(500, \'{"error":{"code":"internal_error",'
    .. '"message":"no"}}\')'
  local dropped = "return c:close()"
  for name, answer in pairs({ refused = refused, ["not answered"] = dropped })
  do
    it("is removed when a background command is " .. name, function()
      local capsule = capsule_of(answer)
      assert.is_nil((capsule.commands:run("cat",
        { stdin = "x", background = true })))
      is_removed()
    end)

    it("is removed when a foreground command is " .. name, function()
      local capsule = capsule_of(answer)
      assert.is_nil((capsule.commands:run("cat", { stdin = "x" })))
      is_removed()
    end)

    it("is removed when a stream is " .. name, function()
      local capsule = capsule_of(answer)
      assert.is_nil((capsule.commands:stream("cat", { stdin = "x" })))
      is_removed()
    end)

    it("is removed when a command with a callback is " .. name, function()
      local capsule = capsule_of(answer)
      assert.is_nil((capsule.commands:run("cat",
        { stdin = "x", on_stdout = function() end })))
      is_removed()
    end)
  end

  it("is removed when a durable command does not start", function()
    local capsule = capsule_of([[
      if req.body:find('"background":true', 1, true) then
        ]] .. refused .. [[

      else
        c:respond(200, '{"stdout":"","stderr":"","exit_code":0}')
      end
    ]])
    assert.is_nil((capsule.commands:run("cat",
      { stdin = "x", durable = true, background = true })))
    is_removed()
  end)

  it("is removed when its stream ends without a start", function()
    local capsule = capsule_of([[
      c:upgrade(req)
      c:read_frame()
      return c:close()
    ]])
    local stream = assert(capsule.commands:stream("cat", { stdin = "x" }))
    assert.is_nil((stream:wait()))
    is_removed()
  end)

  it("is removed when its stream is closed before a start", function()
    local capsule = capsule_of([[
      c:upgrade(req)
      c:read_frame()
      c:read_frame()
    ]])
    local stream = assert(capsule.commands:stream("cat", { stdin = "x" }))
    stream:close()
    is_removed()
  end)
end)

describe("input that could not be removed at first", function()
  it("and then could is nothing to tell of", function()
    local p = peer.start([[
      while true do
        local req = c:request()
        if not req then return end
        if req.path:find("stream/write", 1, true) then
          c:sleep(600)
        elseif req.path:find("files/remove", 1, true) then
          removals = (removals or 0) + 1
          c:respond(removals < 3 and 503 or 204)
        else
          c:respond(200, '{"id":"cl-1","status":"running"}')
        end
      end
    ]])
    local told = {}
    local client = assert(wrenn.Client(p:options({ retries = 0,
      on_event = function(event)
        told[#told + 1] = event.type == "cleanup" and event.what or nil
      end })))
    local capsule = assert(Capsule.connect("cl-1", { client = client }))
    assert.is_nil((wrenn.task.with_timeout(0.2, function()
      return capsule.commands:run("cat", { stdin = "x" })
    end)))
    expect.soon(function()
      local _, count = table.concat(p:received()):gsub("files/remove", "")
      return count == 3
    end)
    p:stop()
    assert.are.same({}, told)
  end)
end)
