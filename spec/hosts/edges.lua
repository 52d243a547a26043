-- Edge cases: breaking out of loops, raising in callbacks, cancelling what waits
-- for the host, very many tasks.

local core = require("wrenn.core")
local figures = require("spec.hosts.figures")
local wrenn = require("wrenn")

local check = wrenn.check

-- Plain Lua 5.1 cannot wait in a for loop.
local rigid = _VERSION == "Lua 5.1" and not package.loaded.jit

-- A loop that is left early: the stream goes with it, at once where Lua closes
-- it, else with the next collection.
local function breaks(host, capsule, say)
  local stream = check(capsule.commands:stream("true"))
  stream:read()
  stream:close()
  host.sleep(0.1)
  local before = figures.count_fds()
  for _ = 1, 5 do
    assert(check(capsule.commands:stream("sleep 60")):read())
    if not rigid then
      for ev in capsule.commands:stream("echo 1; sleep 60") do
        if ev.type == "start" then
          break
        end
      end
    end
  end
  local deadline = core.now() + 30
  repeat
    collectgarbage()
    collectgarbage()
    host.sleep(0.1)
  until figures.count_fds() <= before or core.now() > deadline
  say("fds_after_break", figures.count_fds() - before)
end

local function raises(_, capsule, say)
  local one = wrenn.task.spawn(function()
    return capsule.commands:run("echo 1; sleep 60", {
      on_stdout = function() error("raised in a callback", 0) end,
    })
  end)
  local _, err = one:wait()
  say("callback_raised", err.message)
end

local function cancels(host, capsule, say)
  local waits = false
  local one = wrenn.task.spawn(function()
    waits = true
    host.sleep(0.5)
    local _, err = capsule.commands:run("true")
    return err and err.type or "none"
  end)
  while not waits do
    host.sleep(0.01)
  end
  one:cancel()
  say("cancelled_in_host_wait", one:wait())
  local native, type_of_err
  local _, err = wrenn.task.with_timeout(0.1, function()
    local over = core.now() + 0.2
    repeat -- a host may count from when it last looked at the clock
      host.sleep(0.2)
    until core.now() > over
    native = true
    local _, why = capsule.commands:run("true")
    type_of_err = why.type
    return nil, why
  end)
  say("limited_in_host_wait", tostring(native) .. err.type .. type_of_err)
  say("after_limit", check(capsule.commands:run("echo on")).stdout)
end

local function many(host, _, say)
  local count, ended, open = 2000, 0, false
  local gate = wrenn.task.spawn(function()
    while not open do
      wrenn.task.sleep(0.05)
    end
    return true
  end)
  local list = {}
  for i = 1, count do
    list[i] = wrenn.task.spawn(function()
      if i % 2 == 0 then
        check(gate:wait())
      else
        repeat
          wrenn.task.sleep(0.3)
        until open
      end
      ended = ended + 1
    end)
  end
  host.sleep(0.1)
  say("parked", ended)
  open = true
  for i = 1, count do
    list[i]:wait()
  end
  say("many", ended)
end

return function(host, capsule, say)
  breaks(host, capsule, say)
  raises(host, capsule, say)
  cancels(host, capsule, say)
  many(host, capsule, say)
end
