-- The default host: a program without a loop, in which a wait is poll(2) on the
-- loop's descriptor.

local errors = require("wrenn.errors")

local poll = { name = "poll" }

function poll.block(loop, pending)
  if not pending then
    return nil, errors.new("ConnectionError", "nothing is left to wait for")
  end
  return loop:wait()
end

return poll
