-- Reading from terminals.

local wrenn = require("wrenn")

local terminal = {}

local LIMIT = 60 -- seconds, for each event

--- Reads until the output contains a text, or to the end. Returns all output.
function terminal.read_until(term, text)
  local out = ""
  while not (text and out:find(text, 1, true)) do
    local ev = wrenn.check(wrenn.task.with_timeout(LIMIT, function()
      local event, err = term:read()
      return event or false, err
    end))
    if ev.type == "output" then
      out = out .. ev.data
    elseif ev.type == "exit" then
      break
    end
  end
  return out
end

return terminal
