-- lua spec/hosts/game_main.lua PARTS: a game with 60 frames a second. It has
-- its own wait, which lasts some frames.

local core = require("wrenn.core")
local measure = require("spec.hosts.measure")
local socket = require("socket")
local wrenn = require("wrenn")

local FRAMES = 60
io.stdout:setvbuf("line")

local sleepers = {}

local function sleep(seconds)
  sleepers[coroutine.running()] = core.now() + seconds
  coroutine.yield()
end

local function wake_sleepers()
  local now, due = core.now(), {}
  for co, at in pairs(sleepers) do
    if at <= now then
      due[#due + 1] = co
    end
  end
  for _, co in ipairs(due) do
    sleepers[co] = nil
    assert(coroutine.resume(co))
  end
end

local over = false
wrenn.task.spawn(function()
  measure({ sleep = sleep, spawn = wrenn.task.spawn, print = print,
    frames = FRAMES }, arg[1])
  over = true
end)
local due = core.now()
while not over do
  wrenn.update()
  wake_sleepers()
  due = math.max(due + 1 / FRAMES, core.now())
  socket.sleep(due - core.now())
end
print("loop_ended true")
