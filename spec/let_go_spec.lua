-- What a stream or a terminal keeps going, pings and questions about its
-- capsule, ends with it, though somebody may still hold it.

local expect = require("spec.support.expect")
local keepalive = require("wrenn.client.keepalive")
local peer = require("spec.support.peer")
local silence = require("wrenn.client.silence")
local wrenn = require("wrenn")

local OFTEN = 0.1 -- seconds

describe("what is asked for as long as something is open", function()
  local usual = silence.SECONDS
  local p, client, capsule, told

  after_each(function()
    silence.SECONDS = usual
    p:stop()
  end)

  local function begin(pause)
    p = peer.sockets("repeat local op = c:read_frame() until not op or op == 8")
    local list = {} -- of this client alone
    told = list
    client = assert(wrenn.Client(p:options({ keepalive = pause,
      on_event = function(event)
        list[#list + 1] = event
      end })))
    capsule = assert(wrenn.Capsule.connect("cl-1", { client = client }))
  end

  local ways = {
    pings = function()
      begin(OFTEN)
    end,
    questions = function()
      silence.SECONDS = OFTEN
      begin()
    end,
  }
  local ends = {
    ["a stream"] = function()
      local stream = assert(capsule.commands:stream("x"))
      return stream, stream
    end,
    ["a terminal"] = function()
      local term = assert(capsule:pty())
      return term, term
    end,
    -- Its calls fail then, and of each failure is told.
    ["its client"] = function()
      return client, assert(capsule.commands:stream("x"))
    end,
  }

  for what, start in pairs(ways) do
    for whose, open in pairs(ends) do
      it(("ends with %s: %s"):format(whose, what), function()
        start()
        local closes, held = open()
        local before = #told
        expect.soon(function()
          return #told >= before + 2
        end)
        assert.is_falsy(held.ended)
        closes:close()
        expect.soon(function()
          local seen = #told
          wrenn.task.sleep(4 * OFTEN)
          return #told == seen
        end)
        held:close()
      end)
    end
  end
end)

describe("a timer of what was open", function()
  local OBJECTS = 2000
  local client = { settings = { keepalive = 1000 } }
  local object = { inbox = { count = function() return 0 end } }

  local function kilobytes()
    wrenn.task.sleep(0) -- what was cancelled is over
    collectgarbage()
    collectgarbage()
    return collectgarbage("count")
  end

  for name, begin in pairs({ keepalive = keepalive.hold,
    silence = silence.watch }) do
    it("does not outlive it: " .. name, function()
      local let_go = name == "silence" and silence.let_go or keepalive.let_go
      local function live(number)
        for i = 1, number do
          begin(client, "cl-" .. i, object)
          let_go(client, "cl-" .. i, object)
        end
      end
      live(10)
      local before = kilobytes()
      live(OBJECTS)
      local more = kilobytes() - before
      assert.is_true(more < OBJECTS / 10, more .. " KB more")
    end)
  end
end)
