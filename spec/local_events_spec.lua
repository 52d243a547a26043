-- What wrenn-local's listeners miss, and what it tells of late.

local core = require("wrenn.core")
local generations = require("spec.support.generations")
local server = require("spec.support.server")
local uv = require("luv")
local wire = require("spec.support.wire")

local PATIENCE = 30
local WAITING = 32 -- events that may wait for a listener

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

--- How many of the events that have been read end beyond `offset`, and how many
--- do not.
function Listener:count(offset)
  local beyond, within, at = 0, 0, 1
  while true do
    local _, stop = self.seen:find("\n\n\r\n", at, true)
    if not stop then
      return beyond, within
    elseif stop > offset then
      beyond = beyond + 1
    else
      within = within + 1
    end
    at = stop + 1
  end
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
    local path, id = w:create(('{"metadata":{%s}}'):format(
      table.concat(labels, ",")))
    local listener = listen(s)
    listener:read_until(function()
      return listener:count(0) == 1
    end)
    listener.seen = ""
    -- Each turn is four events.
    local turns, held, same = 0, -1, 0
    repeat
      w:request("POST", path .. "/pause")
      w:until_status(id, "paused")
      w:request("POST", path .. "/resume")
      w:until_status(id, "running")
      turns = turns + 1
      local now = listener:held()
      same = now == held and same + 1 or 0
      held = now
    until same * 4 > WAITING + 4
    listener:read_until(function()
      return listener:count(held) >= WAITING / 2 -- now there is room again
    end)
    w:request("DELETE", path)
    listener:read_until(function()
      return listener.seen:find("event: capsule.destroy.-\n\n\r\n")
    end)
    listener.seen = listener.seen:match("^(.-)%x+\r\nevent: capsule.destroy")
    local waited, before = listener:count(held)
    assert.are.equal(WAITING, waited)
    assert.is_true(before > 0 and before + waited < 4 * turns)
    listener.sock:close()
    uv.run()
    w:close()
    s:stop()
  end)
end)

generations.each(function(g)
  describe("a snapshot in wrenn-local " .. g.name, function()
    it("is listed after its capsule goes on, or with the answer", function()
      local s = generations.start(g, nil, "WRENN_LOCAL_SETTLE_MS=3000")
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
