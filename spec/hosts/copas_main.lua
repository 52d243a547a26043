-- lua spec/hosts/copas_main.lua PARTS
-- This copas has no timers: the sleepers of this script are its driver's.

-- Debian has it for 5.1 and 5.2 only, but it is for all.
package.path = package.path .. ";/usr/share/lua/5.1/?.lua"
  .. ";/usr/share/lua/5.3/?.lua"

local copas = require("copas")
local core = require("wrenn.core")
local measure = require("spec.hosts.measure")
local wrenn = require("wrenn")

io.stdout:setvbuf("line")
wrenn.task.use("copas")

local silent = core.loop()
local sleepers = {}

local Sleeper = {}
Sleeper.__index = Sleeper

function Sleeper.getfd()
  return silent:fd()
end

function Sleeper:dirty()
  return core.now() >= self.due
end

function Sleeper:receive()
  if not self:dirty() then
    return nil, "timeout"
  end
  sleepers[self] = nil
  return true
end

function Sleeper.close() end

local function sleep(seconds)
  local sleeper = setmetatable({ due = core.now() + seconds }, Sleeper)
  sleepers[sleeper] = true
  copas.receive(sleeper)
end

local over = false
copas.addthread(function()
  measure({ sleep = sleep, spawn = copas.addthread, print = print }, arg[1])
  over = true
end)
while not over do
  local wait = 1
  for sleeper in pairs(sleepers) do
    wait = math.min(wait, sleeper.due - core.now())
  end
  copas.step(math.max(wait, 0))
end
print("loop_ended true")
