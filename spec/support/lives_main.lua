-- Lives a number of operations to their ends, one after the other, and prints
-- how they ended, and by how many bytes and descriptors the process has grown:
--   lua lives_main.lua http|ws URL OPTIONS BEFORE COUNT
-- OPTIONS is a Lua table; with `cut` in it each is cancelled once it has begun.
-- BEFORE others go first, the earlier half of them uncut, so that all is loaded
-- that is loaded once.

local core = require("wrenn.core")
local figures = require("spec.hosts.figures")
local system = require("spec.c.system")

local kind, before, count = arg[1], tonumber(arg[4]), tonumber(arg[5])
local options = (rawget(_G, "loadstring") or load)("return " .. arg[3])()
local cuts = options.cut
options.url, options.cut, options.total = arg[2], nil, 30
local loop = assert(core.loop())

local function live(cut, other)
  local op = assert(other and loop:http(other) or loop[kind](loop, options))
  if cut then
    loop:wait(0)
    op:cancel()
  end
  while true do
    local id, what, code = loop:next()
    if not id then
      assert(loop:wait())
    elseif what == "opened" then
      op:close()
    else
      return what == "failed" and code or what
    end
  end
end

-- From some version on libcurl ends the TLS of a closed connection in good
-- order, and looks at it when it has something else to do.
local function size()
  live(false, { url = "http://127.0.0.1:1/", total = 30 })
  loop:wait(0.1)
  collectgarbage()
  collectgarbage()
  return system.heap(), figures.count_fds()
end

local ends, seen = {}, {}
local bytes, fds
for i = 1 - before, count do
  if i == 1 then
    bytes, fds = size()
  end
  local what = live(cuts and i > -before / 2)
  if i > 0 and not seen[what] then
    seen[what] = true
    ends[#ends + 1] = what
  end
end
local bytes_now, fds_now = size()
local deadline = core.now() + 20
while fds_now > fds and core.now() < deadline do
  bytes_now, fds_now = size()
end
print(("%s %d %d"):format(table.concat(ends, ","), bytes_now - bytes,
  fds_now - fds))
