-- The default host: the process has nothing else to wait for, so waiting is
-- poll(2) on the loop's one descriptor.

local errors = require("wrenn.errors")

local poll = { name = "poll" }

function poll.block(loop, pending)
  if not pending then
    return nil, errors.new("ConnectionError", "nothing is left to wait for")
  end
  return loop:wait()
end

return poll
