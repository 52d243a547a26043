-- The decoder of server-sent events: any bytes, cut anywhere.

local sse = require("wrenn.wire.sse")

local PIECES = {
  "data: one\n\n", "data:two\ndata: lines\n\n", "data\n\n", ": comment\n",
  "event: x\nid: 4\ndata: {}\n\n", "\n", "\r\n", "data: cr\r\n\r\n", "data",
  "\0\255", "data: \228\n", ":", " ", "retry: 1\n\n",
}

-- A generator of its own: the same bytes with every Lua.
local function generator(state)
  return function(most)
    state = (state * 16807) % 2147483647
    return state % most + 1
  end
end

local function noise(random)
  local parts = {}
  for i = 1, random(40) do
    parts[i] = PIECES[random(#PIECES)]
  end
  return table.concat(parts)
end

local function decode(bytes, next_length)
  local decoder, events, at = sse.decoder(), {}, 1
  while at <= #bytes do
    local length = next_length()
    for _, data in ipairs(assert(decoder:feed(bytes:sub(at, at + length - 1))))
    do
      events[#events + 1] = data
    end
    at = at + length
  end
  return events
end

describe("server-sent events", function()
  it("are the same however their bytes are cut", function()
    local random = generator(4711)
    for _ = 1, 200 do
      local bytes = noise(random)
      local whole = decode(bytes, function()
        return #bytes
      end)
      assert.are.same(whole, decode(bytes, function()
        return 1
      end), ("%q"):format(bytes))
      assert.are.same(whole, decode(bytes, function()
        return random(9)
      end), ("%q"):format(bytes))
    end
  end)

  it("have the data of their lines", function()
    assert.are.same({ "one", "two\nlines", "", "{}", "cr" },
      decode(table.concat(PIECES, "", 1, 3) .. PIECES[4] .. PIECES[5]
        .. PIECES[8], function()
        return 3
      end))
  end)

  it("end in an error when one is too large", function()
    local decoder, line = sse.decoder(), ("x"):rep(1024 * 1024)
    for _ = 1, 16 do
      assert.are.same({}, decoder:feed(line))
    end
    local frames, why = decoder:feed(line)
    assert.is_nil(frames)
    assert.are.equal("an event is larger than 16 MiB", why)
  end)
end)
