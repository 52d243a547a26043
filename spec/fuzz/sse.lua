-- Server-sent events: the same however the bytes are cut, and no more of them
-- than there is input for.

local sse = require("wrenn.wire.sse")

local function decode(bytes, step)
  local decoder, events = sse.decoder(), {}
  for at = 1, #bytes, step do
    local list = assert(decoder:feed(bytes:sub(at, at + step - 1)))
    for _, data in ipairs(list) do
      events[#events + 1] = data
    end
  end
  return events
end

return {
  words = { "data: ", "data:", "data", "\n\n", "\r\n", "\n", "\r", ": ", ":",
    "event: ", "id: ", "retry: ", "\0", "\239\187\191" },
  run = function(bytes)
    local whole = decode(bytes, math.max(#bytes, 1))
    local total = 0
    for _, step in ipairs({ 1, 2, 7 }) do
      local cut = decode(bytes, step)
      assert(#cut == #whole, "another number of events")
      for i, data in ipairs(cut) do
        assert(data == whole[i], "another event")
      end
    end
    for _, data in ipairs(whole) do
      total = total + #data
    end
    assert(total <= #bytes, "more than came in")
  end,
}
