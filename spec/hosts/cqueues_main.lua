-- lua spec/hosts/cqueues_main.lua PARTS

local cqueues = require("cqueues")
local measure = require("spec.hosts.measure")

io.stdout:setvbuf("line")
local cq = cqueues.new()

cq:wrap(measure, {
  sleep = cqueues.sleep,
  spawn = function(fn)
    cq:wrap(fn)
  end,
  print = print,
}, arg[1])
assert(cq:loop())
print("loop_ended true")
