-- What wrenn-local's listeners miss, and what it tells of late.

local core = require("wrenn.core")
local generations = require("spec.support.generations")
local server = require("spec.support.server")
local uv = require("luv")
local wire = require("spec.support.wire")

local PATIENCE = 120
local WAITING = 32 -- events that may wait for a listener
local CAPSULES = 8 -- that make them

-- A listener that reads only when it is told to. The kernel holds little for it.
local Listener = {}
Listener.__index = Listener

local function listen(s)
  local self = setmetatable({ seen = "", sock = uv.new_tcp() }, Listener)
  self.from = tonumber(s.url:match(":(%d+)"))
  self.sock:bind("127.0.0.1", 0)
  self.sock:recv_buffer_size(4096)
  self.to = self.sock:getsockname().port
  self.sock:connect("127.0.0.1", self.from, function(err)
    assert(not err, err)
    self.sock:write("GET /v1/events/stream HTTP/1.1\r\nHost: x\r\nX-API-Key: "
      .. s.key .. "\r\n\r\n")
  end)
  return self
end

--- Reads until `done()`, and then no more.
function Listener:read_until(done)
  local deadline = core.now() + PATIENCE
  self.sock:read_start(function(err, bytes)
    assert(bytes, err)
    self.seen = self.seen .. bytes
  end)
  while not done() do
    assert(core.now() < deadline, self.seen:sub(-300))
    uv.run("once")
  end
  self.sock:read_stop()
end

--- The number of bytes that the server has handed to the kernel and that have
--- not been read.
function Listener:held()
  local file = assert(io.open("/proc/net/tcp"))
  local text = file:read("*a")
  file:close()
  local pattern = ":%04X%%s+%%x+:%04X%%s+%%x+%%s+(%%x+):(%%x+)"
  local sent = text:match(pattern:format(self.from, self.to))
  local _, received = text:match(pattern:format(self.to, self.from))
  return tonumber(sent, 16) + tonumber(received, 16)
end

local MARK = "\n\n\r\n"

--- How many of the events that have been read end beyond `offset`.
function Listener:count(offset)
  local count, stop = 0, math.max(0, offset - #MARK + 1)
  repeat
    stop = select(2, self.seen:find(MARK, stop + 1, true))
    count = count + (stop and 1 or 0)
  until not stop
  return count
end

describe("a listener to the events of wrenn-local", function()
  it("misses what happens while 32 events wait for it", function()
    local s = server.start("--generation 0.4",
      "WRENN_LOCAL_KEEPALIVE_MS=600000")
    local w = wire.new(s)
    local labels = {}
    for i = 1, 20 do -- as large as may be: soon the kernel takes no more
      labels[i] = ('"label-%d":"%s"'):format(i, ("\\ud83d\\ude00"):rep(64))
    end
    local ids = {}
    for i = 1, CAPSULES do
      ids[i] = select(2, w:create(('{"metadata":{%s}}'):format(
        table.concat(labels, ","))))
    end
    local function change_all(how, status)
      for _, id in ipairs(ids) do
        w:request("POST", "/v1/capsules/" .. id .. how)
      end
      for _, id in ipairs(ids) do
        w:until_status(id, status)
      end
    end
    local listener = listen(s)
    listener:read_until(function()
      return listener:count(0) == 1
    end)
    listener.seen = ""
    -- Each turn is four events of each.
    local turn = 4 * CAPSULES
    local told, held, missed = 0, -1, 0
    repeat
      change_all("/pause", "paused")
      change_all("/resume", "running")
      told = told + turn
      local now = listener:held()
      missed = now == held and missed + turn or 0
      held = now
    until missed > WAITING + turn
    listener:read_until(function()
      return listener:count(held) >= WAITING / 2 -- now there is room again
    end)
    w:request("DELETE", "/v1/capsules/" .. ids[1])
    listener:read_until(function() -- it is the last, and the text is long
      return listener.seen:sub(-#MARK) == MARK
        and listener.seen:find("event: capsule.destroy", -16384, true)
    end)
    listener.seen = listener.seen:match("^(.-)%x+\r\nevent: capsule.destroy")
    assert.are.equal(WAITING, listener:count(held))
    local all = listener:count(0)
    assert.is_true(all > WAITING and all < told)
    listener.sock:close()
    uv.run()
    w:close()
    s:stop()
  end)
end)

generations.each(function(g)
  describe("a snapshot in wrenn-local " .. g.name, function()
    it("is listed after its capsule goes on, or with the answer", function()
      local s = generations.start(g, nil, "WRENN_LOCAL_SETTLE_MS=8000")
      local w = wire.new(s)
      local _, id = w:create()
      local function is_listed()
        local json = w:request("GET", "/v1/snapshots?type=snapshot").json
        return #(json.templates or json) == 1
      end
      local answer = w:request("POST", "/v1/snapshots",
        { sandbox_id = id, name = "late" })
      if answer.status == 201 then
        assert.is_true(is_listed())
      else
        assert.are.equal("snapshotting", answer.json.status)
        w:until_status(id, "running")
        assert.is_false(is_listed())
        local deadline = core.now() + PATIENCE
        while not is_listed() do
          assert(core.now() < deadline, "it is never listed")
          w:sleep(0.05)
        end
      end
      w:close()
      s:stop()
    end)
  end)
end)
