-- The default host: a program without a loop, in which a wait is poll(2) on the
-- loop's descriptor.

local core = require("wrenn.core")
local errors = require("wrenn.errors")

local poll = { name = "poll", holds = true }

function poll.block(loop, pending)
  if not pending then
    return nil, errors.new("ConnectionError", "nothing is left to wait for")
  end
  if core.pressed() then
    core.release() -- and Ctrl-C raises, here and not in the midst of something
  end
  return loop:wait()
end

return poll
