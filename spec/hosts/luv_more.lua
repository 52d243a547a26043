-- More of luv: the main program, callbacks, generators, and tasks that yield to
-- other code.

local uv = require("luv")
local figures = require("spec.hosts.figures")
local wrenn = require("wrenn")

local check = wrenn.check
io.stdout:setvbuf("line")
wrenn.task.use("uv")

local function say(name, value)
  print(name .. " " .. tostring(value):gsub("\n", "/"))
end

-- Before the loop runs, the main program waits by running it.
local capsule = check(wrenn.Capsule.create({ wait = true }))
local function output_of(command)
  return check(capsule.commands:run(command)).stdout
end
local missed, main = figures.least(3, 24, function()
  return figures.ticks_missed(uv, function()
    return output_of("sleep 0.3; echo main")
  end)
end)
say("main", main)
say("ticks_missed", missed)

-- A coroutine that is closed while it waits does not keep the loop running.
if coroutine.close then
  local co = coroutine.create(output_of)
  assert(coroutine.resume(co, "sleep 0.1"))
  assert(coroutine.close(co))
end

-- A callback of the loop may not wait, but a coroutine in it may.
local timer = uv.new_timer()
timer:start(10, 0, function()
  timer:close()
  local _, err = capsule.commands:run("true")
  say("in_callback", err.type)
  wrenn.task.spawn(function()
    -- A generator inside a task cannot wait, and reports that.
    local generate = coroutine.wrap(function()
      local _, why = wrenn.task.sleep(0.01)
      coroutine.yield(why.type)
    end)
    say("generator", generate())
    -- A coroutine that other code resumes can be a task, too.
    local co = coroutine.running()
    local other = uv.new_timer()
    other:start(10, 0, function()
      other:close()
      coroutine.resume(co)
    end)
    coroutine.yield()
    say("native", "resumed by luv")
    say("beside", output_of("echo beside"))
    check(capsule:destroy())
    error("unheard", 0)
  end)
end)
uv.run()
say("loop_ended", true)
