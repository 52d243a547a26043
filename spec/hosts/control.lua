-- How late timers of 10 ms are on this machine, in a process that does nothing
-- else: control.lua FILE. Writes the 99th percentile, in milliseconds.

local uv = require("luv")

local late = {}
local last = uv.hrtime()
local timer = uv.new_timer()

local function again()
  local now = uv.hrtime()
  late[#late + 1] = (now - last) / 1e6 - 10
  last = now
  if #late < 200 then
    timer:start(10, 0, again)
  end
end

timer:start(10, 0, again)
uv.run()
table.sort(late)
local file = assert(io.open(arg[1] .. ".new", "w"))
file:write(late[math.ceil(#late * 0.99)])
file:close()
assert(os.rename(arg[1] .. ".new", arg[1]))
