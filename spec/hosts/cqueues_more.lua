-- More of cqueues: several controllers, calls of the host inside tasks, and a
-- fork.

local cqueues = require("cqueues")
local system = require("spec.c.system")
local wrenn = require("wrenn")

local check = wrenn.check
io.stdout:setvbuf("line")

local function say(name, value)
  print(name .. " " .. tostring(value):gsub("\n", "/"))
end

local function in_controller(fn)
  local cq = cqueues.new()
  cq:wrap(fn)
  assert(cq:loop())
end

local capsule = check(wrenn.Capsule.create({ wait = true })) -- blocks
local function output_of(command)
  return check(capsule.commands:run(command)).stdout
end

-- Each controller finishes with its last thread.
local left = 10
for _ = 1, 10 do
  in_controller(function()
    output_of("true")
    left = left - 1
  end)
end
say("one_after_the_other", ("%d"):format(left))

-- An inner controller finishes while there is a waiter in the outer one.
in_controller(function()
  local outer
  local task = wrenn.task.spawn(function()
    outer = output_of("until [ -e go ]; do sleep 0.05; done; echo outer")
  end)
  local inner
  local cq = cqueues.new()
  cq:wrap(function()
    inner = output_of("echo inner")
  end)
  assert(cq:loop())
  assert(not outer)
  output_of("touch go")
  check(task:wait() == nil)
  say("nested", inner .. outer)
end)

in_controller(function()
  say("native", wrenn.task.spawn(function()
    cqueues.sleep(0.01)
    return "slept in a task"
  end):wait())
end)

-- The child creates its own loop; the parent's continues. (This is done outside
-- of controllers: a forked controller shares its kernel queue with the child.)
local stream
in_controller(function()
  stream = check(capsule.commands:stream("sleep 0.5; echo x"))
  check(stream:read())
end)
local pid = system.fork()
in_controller(function()
  if pid == 0 then
    say("child", output_of("echo child"))
    os.exit(0)
  end
  say("parent", output_of("echo parent"))
  repeat
    local ev = check(stream:read())
  until ev.type == "exit"
  say("stream_of_parent", "ended")
end)
while not system.ended(pid) do
  wrenn.task.sleep(0.01)
end

check(capsule:destroy())
