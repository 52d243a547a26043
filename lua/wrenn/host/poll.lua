-- The default host: the process has nothing else to wait for, so waiting is
-- poll(2) on the loop's one descriptor.
--
-- A host is a table with `name` and `wait(loop)`, which returns once the loop
-- has events or something else wants attention.

local poll = { name = "poll" }

function poll.wait(loop)
  return loop:wait()
end

return poll
