-- Gives a limit the time that a busy machine may take to kill: for specs of what
-- a command had printed, which is lost when the server's own limit comes first.

local kill = require("wrenn.commands.kill")

--- Lengthens it. Returns a function that takes that back.
return function()
  local grace, ahead = kill.GRACE, kill.AHEAD
  kill.GRACE, kill.AHEAD = 12, 12
  return function()
    kill.GRACE, kill.AHEAD = grace, ahead
  end
end
