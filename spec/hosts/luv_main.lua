-- lua spec/hosts/luv_main.lua PARTS

local uv = require("luv")
local measure = require("spec.hosts.measure")
local wrenn = require("wrenn")

io.stdout:setvbuf("line")
wrenn.task.use("uv")

local function sleep(seconds)
  local co = coroutine.running()
  local timer = uv.new_timer()
  timer:start(math.floor(seconds * 1000), 0, function()
    timer:close()
    assert(coroutine.resume(co))
  end)
  coroutine.yield()
end

local function spawn(fn)
  assert(coroutine.resume(coroutine.create(fn)))
end

-- If the child closed luv's loop, the parent's handles would be removed from
-- the kernel queue that they share.
local host = { sleep = sleep, spawn = spawn, print = print, closes = false }

function host.kill(fn, begun)
  local co = coroutine.create(fn)
  assert(coroutine.resume(co))
  begun()
  assert(coroutine.close(co))
end

spawn(function()
  measure(host, arg[1])
end)
uv.run()
print("loop_ended true")
