-- What is told of a stream, a terminal, a transfer or running code that ends
-- without its end, and when a loop over it raises.

local core = require("wrenn.core")
local expect = require("spec.support.expect")
local peer = require("spec.support.peer")
local silence = require("wrenn.client.silence")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule

local function timed(fn, ...)
  local begin = core.now()
  local value, err = fn(...)
  return core.now() - begin, value, err
end

local p

local function stop_peer()
  if p then
    p:stop()
    p = nil
  end
end

-- A capsule that runs until one of its WebSockets or transfers is lost. `frames`
-- are sent before; what is asked of the capsule then is answered by `fate`.
local function capsule_of(fate, frames, options)
  stop_peer()
  p = peer.start(([[
    while true do
      local req = c:request()
      if not req then return end
      if req.path:find("/v1/capsules/cl%%-1$") then
        if lost then
          %s
        else
          c:respond(200, '{"id":"cl-1","status":"running"}')
        end
      elseif req.headers.upgrade then
        c:upgrade(req)
        if not req.path:find("/processes/") then c:read_frame() end
        %s
        lost = true
        return c:close()
      elseif req.path:find("/processes$") then
        c:respond(200, '{"processes":[{"pid":7,"tag":"t"}]}')
      elseif req.path:find("/stream/read$") then
        lost = true
        c:send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        return c:close()
      elseif req.path:find("/stream/write$") then
        lost = true
        return c:reset()
      elseif req.path:find("/ping$") then
        c:respond(ping or 204)
      else
        c:respond(200, '{"exit_code":0,"pid":7,"tag":"t"}')
      end
    end
  ]]):format(fate, frames or ""))
  return assert(Capsule.connect("cl-1", p:options(options)))
end

local function state(status)
  return ([[c:respond(200, '{"id":"cl-1","status":"%s"}')]]):format(status)
end

-- An 0.1 server, which tells late of a capsule that is gone: in its `n`th answer.
local function late(n, status)
  return ([[
    ping, asked = 409, (asked or 0) + 1
    c:respond(200, ('{"id":"cl-1","host_ip":"h","status":"%%s"}'):format(
      asked < %d and "running" or "%s"))]]):format(n, status)
end

local OUTPUT = [[c:text('{"type":"stdout","data":"a"}')]]
local SHOWN = [[c:text('{"type":"output","data":"YQ=="}')]]

-- By what the API answers: the type, the status, and a part of the message.
local fates = {
  { state("paused"), "CapsuleStateError", "paused", "was paused" },
  { state("pausing"), "CapsuleStateError", "pausing", "was paused" },
  { state("stopping"), "CapsuleStateError", "stopping", "was destroyed" },
  { state("stopped"), "CapsuleStateError", "stopped", "was destroyed" },
  { "c:respond(404, '')", "CapsuleStateError", "stopped", "was destroyed" },
  { state("missing"), "CapsuleStateError", "missing", "lost with its host" },
  { state("error"), "CapsuleStateError", "error", "has failed" },
  { state("running"), "ConnectionError", "running", "connection was lost" },
  { late(3, "stopped"), "CapsuleStateError", "stopped", "was destroyed" },
  { late(99, ""), "CapsuleStateError", "running", "does not run any more" },
  { state("snapshotting"), "ConnectionError", "snapshotting", "was lost" },
  { "c:respond(500, '')", "ConnectionError", nil, "" },
  { "c:respond(200, '[]')", "ConnectionError", nil, "" },
  { "c:reset()", "ConnectionError", nil, "" },
  { "os.exit()", "ConnectionError", nil, "" },
}

local function is_told(case, err)
  assert.are.same({ case[2], case[3] }, { err.type, err.status },
    tostring(err))
  assert.is_truthy(err.message:find(case[4], 1, true), tostring(err))
end

describe("what became of it is told by", function()
  after_each(stop_peer)

  it("a stream, whose loop ends quietly", function()
    for _, case in ipairs(fates) do
      local stream = assert(capsule_of(case[1], OUTPUT).commands:stream("x"))
      local took = timed(function()
        local seen = {}
        for ev in stream do
          seen[#seen + 1] = ev.data
        end
        assert.are.same({ "a" }, seen)
      end)
      assert.is_true(took < 20, "took " .. took)
      is_told(case, stream.err)
      assert.is_nil(stream.exit_code)
      assert.are.same({ nil, stream.err }, { stream:read() })
      assert.are.same({ nil, stream.err }, { stream:wait() })
    end
  end)

  it("a stream of a process", function()
    for _, frames in ipairs({ OUTPUT, "" }) do
      local capsule = capsule_of(fates[1][1], frames)
      local stream = assert(capsule.commands:connect(7))
      local event, err
      repeat
        event, err = stream:read()
      until not event
      is_told(fates[1], err)
    end
  end)

  it("a terminal, whose loop ends quietly", function()
    for _, case in ipairs(fates) do
      local term = assert(capsule_of(case[1], SHOWN):pty())
      local seen = {}
      for ev in term do
        seen[#seen + 1] = ev.data
      end
      assert.are.same({ "a" }, seen)
      is_told(case, term.err)
      assert.is_nil(term.exit_code)
      assert.are.same({ nil, term.err }, { term:read() })
    end
  end)

  it("a terminal that was connected to", function()
    local term = assert(capsule_of(fates[1][1], SHOWN):pty_connect("t"))
    assert(term:read())
    is_told(fates[1], select(2, term:read()))
  end)

  it("a transfer", function()
    for _, case in ipairs(fates) do
      local capsule = capsule_of(case[1])
      local download = assert(require("wrenn.wire.download").open(
        capsule.client, "/v1/capsules/cl-1/files/stream/read", "/x", "/x"))
      assert.are.equal("abc", (download:read()))
      local ok, raised = pcall(function()
        for _ in download do error("more") end
      end)
      assert.is_false(ok)
      is_told(case, raised)
      assert.are.equal(raised, select(2, download:read()))
      if case[1] ~= "os.exit()" then
        capsule = capsule_of(case[1])
        ok, raised = capsule.files:upload_stream("/x", { "1" })
        assert.is_nil(ok)
        is_told(case, raised)
        assert.is_true((raised.cause or raised).details.sent)
      end
    end
  end)

  it("what the API says within a short time", function()
    local capsule = capsule_of("c:sleep(60)", OUTPUT)
    local stream = assert(capsule.commands:stream("x"))
    assert(stream:read())
    -- A wait that is interrupted meanwhile leaves it as it is.
    local took, event, err = timed(wrenn.task.with_timeout, 0.5, function()
      return stream:read()
    end)
    assert.is_nil(event)
    assert.are.equal("TimeoutError", err.type)
    assert.is_true(took < 20, "took " .. took)
    took, event, err = timed(stream.read, stream)
    assert.is_nil(event)
    assert.are.equal("ConnectionError", err.type)
    assert.is_true(took < 20, "took " .. took) -- of the 60 of the server
  end)

  it("nothing more when it was asked to stop or closed", function()
    local capsule = capsule_of(state("paused"),
      [[c:text('{"type":"start","pid":5}') c:read_frame()]])
    local stream = assert(capsule.commands:stream("x"))
    assert(stream:read())
    stream:stop()
    assert.is_nil((stream:read()))
    assert.are.equal("CancelledError", stream.err.type)
    stream = assert(capsule.commands:stream("x", { check = true }))
    assert(stream:read())
    stream:close()
    assert.are.equal("CancelledError", stream.err.type)
    for _ in stream do error("more") end
  end)
end)

describe("a loop with check", function()
  after_each(stop_peer)

  local function exit(code)
    return ([[c:text('{"type":"exit","exit_code":%d}')]]):format(code)
  end

  local openers = {
    stream = function(capsule, opts)
      return capsule.commands:stream("x", opts)
    end,
    connect = function(capsule, opts)
      return capsule.commands:connect(7, opts)
    end,
    ["a handle"] = function(capsule, opts)
      return assert(capsule.commands:run("x", { background = true }))
        :stream(opts)
    end,
    pty = function(capsule, opts)
      opts = opts or {}
      opts.encoding = "base64"
      return capsule:pty(opts)
    end,
    pty_connect = function(capsule, opts)
      return capsule:pty_connect("t", opts)
    end,
  }

  for name, open in pairs(openers) do
    -- Each frame or end: what a loop without check sees of it, and the type of
    -- the error that one with check raises.
    for _, case in ipairs({ { exit(0), 1 }, { exit(3), 1, "CommandError" },
      { exit(-1), 1, "CommandError" }, { "", 0, "CapsuleStateError" },
      { [[c:text('{"type":"error","data":"sandbox not found","fatal":true}')]],
        1, "NotFoundError" } })
    do
      it(("over %s raises %s after %s"):format(name, case[3] or "nothing",
        case[1] == "" and "no end" or case[1]:sub(9, -3)), function()
        for _, wanted in ipairs({ false, true }) do
          local capsule = capsule_of(state("paused"),
            (name:find("pty") and SHOWN or OUTPUT) .. case[1])
          local object = assert(open(capsule, { check = wanted }))
          local count = 0
          local took, ok, raised = timed(pcall, function()
            for _ in object do
              count = count + 1
            end
          end)
          assert.are.equal(1 + case[2], count)
          assert.are.equal(not (wanted and case[3]), ok)
          if not ok then
            assert.are.equal(case[3], raised.type)
            assert.are.same({ nil, raised }, { object:read() })
            assert.are.equal(raised, object.err)
          end
          assert.is_true(took < 20)
        end
      end)
    end
  end

  it("gives wait the result of what failed", function()
    local capsule = capsule_of(state("running"), OUTPUT .. exit(3))
    local stream = assert(capsule.commands:stream("x", { check = true }))
    local result, err = stream:wait()
    assert.is_nil(result)
    assert.are.same({ "CommandError", "a", 3 },
      { err.type, err.result.stdout, err.result.exit_code })
    stream = assert(capsule.commands:stream("x"))
    assert.are.equal(3, assert(stream:wait()).exit_code)
  end)
end)

describe("a capsule that is used before it runs", function()
  after_each(stop_peer)

  it("says what was forgotten", function()
    local text = "sandbox is not running (status: starting)"
    p = peer.answering({ 202, '{"id":"cl-1","status":"starting"}' },
      { 409, '{"error":{"code":"invalid_state","message":"' .. text .. '"}}' })
    local capsule = assert(Capsule.create(p:options()))
    local result, err = capsule.commands:run("true")
    assert.is_nil(result)
    assert.are.same({ "ConflictError", "starting" }, { err.type, err.status })
    assert.is_truthy(err.message:find("wait = true", 1, true))
    stop_peer()
    local frame = ([[c:text('{"type":"error","data":"%s"}')]]):format(text)
    local stream = assert(capsule_of(state("starting"), frame).commands
      :stream("x"))
    assert(stream:read())
    result, err = stream:read()
    assert.is_nil(result)
    assert.are.same({ "ConflictError", "starting" }, { err.type, err.status })
    assert.is_truthy(err.message:find("wait = true", 1, true))
  end)

  it("says only its status when it is something else", function()
    p = peer.answering({ 200, '{"id":"cl-1","status":"running"}' }, { 409,
      '{"error":{"code":"x","message":"not running (status: paused)"}}' })
    local capsule = assert(Capsule.connect("cl-1", p:options()))
    local _, err = capsule.commands:run("true")
    assert.are.same({ "ConflictError", "paused" }, { err.type, err.status })
    assert.is_nil(err.message:find("wait = true", 1, true))
  end)
end)

describe("keepalive", function()
  after_each(stop_peer)

  local function pings()
    local count = 0
    for _, text in ipairs(p:received()) do
      count = count + (text:find("/ping ", 1, true) and 1 or 0)
    end
    return count
  end

  local function wait_for_pings(count)
    expect.soon(function()
      return pings() >= count
    end)
  end

  local function wait_for_no_more()
    expect.soon(function()
      local seen = pings()
      wrenn.task.sleep(0.5)
      return pings() == seen
    end)
  end

  local HELD = "c:read_frame()"

  for name, how in pairs({
    ["a client"] = function()
      local capsule = capsule_of(state("running"), HELD)
      return assert(Capsule.connect("cl-1", { client =
        assert(wrenn.Client(p:options({ keepalive = 0.1 }))) })), capsule
    end,
    ["a capsule"] = function()
      return capsule_of(state("running"), HELD, { keepalive = 0.1 })
    end,
  }) do
    it("of " .. name .. " pings as long as something is open", function()
      local capsule = how()
      local begin = core.now()
      local stream = assert(capsule.commands:stream("x"))
      local term = assert(capsule:pty())
      wait_for_pings(3)
      assert.is_true(core.now() - begin >= 0.28) -- one for both
      stream:close()
      wait_for_pings(pings() + 2)
      term:close()
      wait_for_no_more()
      stream = assert(capsule.commands:stream("x"))
      wait_for_pings(pings() + 2)
      stream:close()
    end)
  end

  it("lets go of what nobody holds", function()
    local capsule = capsule_of(state("running"), HELD, { keepalive = 0.1 })
    local held = {}
    -- In functions, which leave nothing of it on this one's stack.
    local function begin()
      held[1] = assert(capsule.commands:stream("x"))
    end
    local function let_go()
      return table.remove(held) ~= nil
    end
    begin()
    wait_for_pings(1)
    assert.is_true(let_go())
    collectgarbage()
    collectgarbage()
    wait_for_no_more()
  end)

  it("is not there unless it was asked for", function()
    local capsule = capsule_of(state("running"), HELD)
    local stream = assert(capsule.commands:stream("x"))
    wrenn.task.sleep(0.4)
    assert.are.equal(0, pings())
    stream:close()
  end)
end)

-- A connection that nobody closes when its capsule is gone.
describe("silence", function()
  local usual = silence.SECONDS

  before_each(function()
    silence.SECONDS = 0.1
  end)

  after_each(function()
    silence.SECONDS = usual
    stop_peer()
  end)

  local HELD = "lost = true c:read_frame()"
  local PINGS = [[lost = true
    for _ = 1, 600 do c:text('{"type":"ping"}') c:sleep(0.05) end]]

  local ways = {
    stream = { OUTPUT .. HELD, function(capsule)
      return capsule.commands:stream("x")
    end },
    connect = { OUTPUT .. HELD, function(capsule)
      return capsule.commands:connect(7)
    end },
    pty = { SHOWN .. PINGS, function(capsule)
      return capsule:pty()
    end },
  }
  for name, way in pairs(ways) do
    it("is looked behind, and what became of it told: " .. name, function()
      for _, case in ipairs({ fates[1], fates[4], fates[5] }) do
        local object = assert(way[2](capsule_of(case[1], way[1])))
        local took = timed(function()
          repeat until not object:read()
        end)
        assert.is_true(took < 25, "took " .. took) -- of 30 of pings
        is_told(case, object.err)
      end
    end)
  end

  local function looks()
    local count = 0
    for _, text in ipairs(p:received()) do
      assert.is_nil(text:find("/ping ", 1, true))
      count = count + (text:find("GET /v1/capsules/cl-1 ", 1, true) and 1 or 0)
    end
    return count
  end

  it("of a capsule that runs is none of its business", function()
    local capsule = capsule_of(state("running"), HELD)
    local stream = assert(capsule.commands:stream("x"))
    expect.soon(function()
      return looks() >= 4
    end)
    assert.is_nil(stream.ended or stream.err)
    stream:close()
  end)

  it("is none where something comes", function()
    local capsule = capsule_of(state("paused"), ([[lost = true
      for _ = 1, 40 do %s c:sleep(0.1) end
      c:text('{"type":"exit","exit_code":0}')]]):format(OUTPUT))
    silence.SECONDS = 3
    local stream = assert(capsule.commands:stream("x"))
    assert.are.equal(0, assert(stream:wait()).exit_code)
    assert.are.equal(1, looks()) -- that of connect
  end)
end)
