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
  kill = function(fn, begun)
    local inner = cqueues.new()
    inner:wrap(fn)
    local over = false
    cq:wrap(function()
      while not over do
        inner:step(0)
        cqueues.sleep(0.01)
      end
    end)
    begun()
    over = true
    cqueues.sleep(0.1)
    inner:close()
  end,
  print = print,
}, arg[1])
assert(cq:loop())
print("loop_ended true")
