-- lua spec/hosts/poll_main.lua PARTS: tasks in a program without another loop.

local measure = require("spec.hosts.measure")
local wrenn = require("wrenn")

io.stdout:setvbuf("line")
local task = wrenn.task
task.run(measure, {
  sleep = task.sleep, spawn = task.spawn, print = print,
}, arg[1])
print("loop_ended true")
