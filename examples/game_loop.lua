-- A game at 60 frames per second that uses a capsule: wrenn.update() does the
-- pending network work in each frame, without waiting.
--   lua examples/game_loop.lua [frames]

local core = require("wrenn.core") -- its clock
local wrenn = require("wrenn")

local frames = tonumber(arg and arg[1]) or 180
local FRAME = 1 / 60

local score = "..."

local function create()
  return wrenn.Capsule.create({ wait = true, timeout = 60 })
end

local worker = wrenn.task.spawn(function()
  local capsule = wrenn.check(create())
  wrenn.with(capsule, function()
    local stream = wrenn.check(capsule.commands:stream(
      "for i in 1 2 3 4 5; do echo $((i * 100)); sleep 0.2; done"))
    local ev
    repeat -- not a for loop: plain Lua 5.1 cannot wait in those
      ev = stream:read()
      if ev and ev.type == "stdout" then
        score = ev.data:match("(%d+)%s*$") or score
      end
    until not ev
  end)
  score = score .. ", and the capsule is gone"
end)

-- Sleeps for the rest of a frame; a game would wait for the display.
local function sleep_until(time)
  local left = time - core.now()
  local ok = left <= 0 or os.execute(("sleep %.4f"):format(left))
  if ok ~= true and ok ~= 0 then -- Ctrl-C has ended the sleep
    error("interrupted!", 0)
  end
end

local took = {} -- seconds, of each update

local function play()
  local due = core.now()
  for frame = 1, frames do
    local begin = core.now()
    wrenn.update()
    took[frame] = core.now() - begin
    if frame % 30 == 0 then
      print(("frame %3d  score %s"):format(frame, score))
    end
    due = due + FRAME
    sleep_until(due)
  end
end

local ok, err = pcall(play) -- raises the error of the task, if any
worker:cancel() -- if the game ends first
worker:wait()
if not ok then
  error(err, 0)
end
table.sort(took)
print(("half of the updates took less than %.2f ms, the longest %.2f"):format(
  took[math.ceil(#took / 2)] * 1000, took[#took] * 1000))
