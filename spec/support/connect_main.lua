-- Makes one connection in a process of its own, and prints the outcome:
--   lua connect_main.lua http|ws URL OPTIONS [FILE]
-- OPTIONS is a Lua table; FILE gets the output, and the process's descriptors.

local core = require("wrenn.core")

local kind, url, options, path = arg[1], arg[2], arg[3], arg[4]
options = (rawget(_G, "loadstring") or load)("return " .. options)()
options.url = kind == "ws" and url:gsub("^http", "ws") or url
options.connect = options.connect or 20
options.total = 40
local loop = assert(core.loop())
local op, code = loop[kind](loop, options)
local event = { nil, "failed", code, "not even begun" }
while op do
  event = { loop:next() }
  local what = event[2]
  if what == "opened" or what == "done" or what == "failed" then
    break
  elseif not what then
    assert(loop:wait(0.5))
  end
end
local line = ("%s %s %s"):format(event[2], tostring(event[3] or ""),
  event[2] == "failed" and event[4] or ""):gsub("%s*$", "")
if path then
  os.execute(("ls -l /proc/$PPID/fd >%s 2>&1"):format(path))
  local file = assert(io.open(path, "a"))
  file:write(line, "\n")
  file:close()
else
  print(line)
end
