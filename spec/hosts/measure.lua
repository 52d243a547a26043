-- The measurements of every host. A script in this directory calls
-- measure(host) in a thread of its host; figures go out as "name value" lines.
--
-- host: sleep(seconds), the host's own; spawn(fn), a thread of the host's;
-- kill(fn, begun), such a thread, which is killed when begun() returns;
-- print(line); frames, how often in a second it wakes up by itself, if it does.
-- For what some cannot do as the others: closes = false,
-- a forked child must not close its Lua; system(command), what a program prints.

local core = require("wrenn.core")
local edges = require("spec.hosts.edges")
local figures = require("spec.hosts.figures")
local forks = require("spec.hosts.forks")
local held = require("spec.hosts.held")
local wrenn = require("wrenn")

if os.getenv("GC") then -- as in the specs themselves
  require("spec.support.gc")
end

local check = wrenn.check

local function p99(list)
  table.sort(list)
  return list[math.ceil(#list * 0.99)]
end

--- Waits until fn() is true, or for very long.
local function wait_for(host, fn)
  local deadline = core.now() + 30
  while not fn() and core.now() < deadline do
    host.sleep(0.02)
  end
end

-- How late a timer of 10 ms of the host's is, in milliseconds, without what other
-- processes have taken from this one.
local function lateness(host, over)
  local function now()
    return core.now() - figures.delayed()
  end
  local list = {}
  local last = now()
  repeat
    host.sleep(0.01)
    local time = now()
    list[#list + 1] = (time - last - 0.01) * 1000
    last = time
  until over(#list)
  return p99(list)
end

-- Starts to measure another process at the same time. Returns a function that
-- waits for the result.
local function start_control(host)
  local name = os.tmpname()
  os.remove(name)
  os.execute(("lua5.4 spec/hosts/control.lua %s &"):format(name))
  return function()
    local text
    wait_for(host, function()
      local file = io.open(name)
      text = file and file:read("*a")
      return file and file:close()
    end)
    os.remove(name)
    return text
  end
end

local function timers(host, capsule, say)
  say("base_p99_ms", lateness(host, function(count)
    return count >= 100
  end))
  local control = start_control(host)
  local results = {}
  for i = 1, 2 do
    host.spawn(function()
      results[i] = check(capsule.commands:run("sleep 2; echo " .. i)).stdout
    end)
  end
  local streamed, stream_ended = 0, false
  host.spawn(function()
    local stream = check(capsule.commands:stream(
      "for i in $(seq 100); do echo $i; sleep 0.015; done"))
    local ev = stream:read()
    while ev do
      streamed = streamed + (ev.type == "stdout" and #ev.data or 0)
      ev = stream:read()
    end
    stream_ended = true
  end)
  local begin = core.now()
  say("busy_p99_ms", lateness(host, function()
    return results[1] and results[2] and stream_ended
      or core.now() - begin > 60
  end))
  say("control_p99_ms", control())
  say("results", tostring(results[1]) .. tostring(results[2]))
  say("streamed", streamed)
end

local function idle(host, capsule, say)
  local stream = check(capsule.commands:stream("sleep 60"))
  check(stream:read())
  local ended
  host.spawn(function()
    stream:read()
    ended = true
  end)
  host.sleep(0.3)
  say("reader_waits", not ended)
  -- In a second in which nothing happens; what comes late from before may come in
  -- the first ones.
  say("idle_wakeups", figures.least(4, 4, function()
    return figures.wakeups(function()
      host.sleep(1)
    end)
  end))
  stream:close()
  wait_for(host, function()
    return ended
  end)
  say("reader_ended", ended)
end

-- Opens and closes a stream, and runs a command, so many times, some at once.
local function cycle(capsule, pid, times)
  local list = {}
  for i = 1, times do
    list[i] = i
  end
  check(wrenn.task.map(list, function()
    local stream = check(capsule.commands:connect(pid))
    stream:close()
    check(capsule.commands:run("true"))
    return true
  end, { concurrency = 8 }))
end

local function cycles(host, capsule, say)
  local background =
    check(capsule.commands:run("sleep 300", { background = true }))
  cycle(capsule, background.pid, 50)
  host.sleep(0.3)
  collectgarbage()
  collectgarbage()
  local fds, lua_grown = figures.count_fds(), nil
  local grown = figures.least(3, 1500, function()
    local rss, kib = figures.status_of("VmRSS"), collectgarbage("count")
    cycle(capsule, background.pid, tonumber(os.getenv("CYCLES")) or 200)
    wait_for(host, function()
      collectgarbage()
      collectgarbage()
      return figures.count_fds() - fds <= 3 -- kept connections
    end)
    lua_grown = collectgarbage("count") - kib
    return figures.status_of("VmRSS") - rss
  end)
  say("fds_grown", figures.count_fds() - fds)
  say("rss_grown_kib", grown)
  say("lua_grown_kib", lua_grown)
  background:kill()
end

local function tasks(host, capsule, say)
  local items = {}
  for i = 1, 20 do
    items[i] = i
  end
  local at_once, most = 0, 0
  local out = check(wrenn.task.map(items, function(i)
    at_once = at_once + 1
    most = math.max(most, at_once)
    local result, err = capsule.commands:run("sleep 0.2; printf " .. i)
    at_once = at_once - 1
    return result and result.stdout, err
  end, { concurrency = 10 }))
  say("mapped", table.concat(out, ","))
  say("mapped_at_once", most)

  -- What a cancelled task waited for ends, and so does its waiter.
  local task = wrenn.task.spawn(function()
    return capsule.commands:run("sleep 30")
  end)
  host.sleep(0.2)
  task:cancel()
  local _, err = task:wait()
  say("cancelled", err.type)
  local begin = core.now()
  _, err = wrenn.task.with_timeout(0.2, function()
    return capsule.commands:run("sleep 30")
  end)
  say("limited", err.type)
  say("limited_took", core.now() - begin)
  _, err = wrenn.task.spawn(function()
    error("raised in a task", 0)
  end):wait()
  say("raised", err.message)

  -- One generator, made with task.wrap, that waits between two values.
  local generate = wrenn.task.wrap(function()
    for i = 1, 3 do
      wrenn.task.sleep(0.01)
      coroutine.yield(i)
    end
  end)
  say("generated", generate() .. generate() .. generate())

  -- Two that read one stream: each event goes to one of them.
  local stream = check(capsule.commands:stream(
    "for i in 1 2 3 4 5 6; do echo $i; sleep 0.02; done"))
  local seen = {}
  local function read()
    repeat
      local ev = stream:read()
      if ev and ev.type == "stdout" then
        seen[#seen + 1] = ev.data:gsub("%s", "")
      end
    until not ev
    return true
  end
  check(wrenn.task.gather({ read, read }))
  table.sort(seen)
  say("shared", table.concat(seen))
end

local function terminal(capsule, say)
  local term = check(capsule:pty({ cmd = "/bin/cat" }))
  check(term:write("typed\n"))
  local text = ""
  repeat
    local ev = check(term:read())
    text = text .. (ev.type == "output" and ev.data or "")
  until text:find("typed\r\ntyped", 1, true)
  term:kill()
  term:close()
  say("terminal", "typed")
end

-- A command whose thread the host kills while it waits for it: by a request, or
-- by a stream. The server may end it because its connection is gone: that the
-- command was asked about as well is what the events say.
local function killed(host, capsule, say)
  local settings = capsule.client.settings
  local function is_running()
    return #check(capsule.commands:list()) > 0
  end
  for how, on_stdout in pairs({ request = false, stream = print }) do
    host.kill(function()
      capsule.commands:run("sleep 300",
        { timeout = 400, on_stdout = on_stdout or nil })
    end, function()
      wait_for(host, is_running)
      say(how .. "_began", is_running())
    end)
    local asked = false
    function settings.on_event(event)
      asked = asked or event.method == "POST" or event.method == "DELETE"
    end
    wait_for(host, function()
      collectgarbage()
      collectgarbage()
      return asked and not is_running()
    end)
    settings.on_event = nil
    say(how .. "_goes_on", is_running())
    say(how .. "_asked", asked)
  end
end

local parts = {
  killed = killed,
  timers = timers, idle = idle, cycles = cycles, tasks = tasks,
  edges = edges, fork = forks.fork, start = forks.start, held = held,
  terminal = function(_, capsule, say)
    terminal(capsule, say)
  end,
}

-- On PUC 5.1 nothing can wait inside pcall: an error ends the script there.
local attempt = pcall
if _VERSION == "Lua 5.1" and not package.loaded.jit then
  function attempt(fn)
    fn()
    return true
  end
end

--- Runs some parts (names with spaces between) in a capsule of their own.
return function(host, names)
  local function say(name, value)
    host.print(name .. " " .. tostring(value):gsub("\n", "/"))
  end
  local ok, err = attempt(function()
    say("host", require("wrenn.task.hosts").here().name)
    local capsule = check(wrenn.Capsule.create({ wait = true }))
    for name in names:gmatch("%S+") do
      parts[name](host, capsule, say)
    end
    check(capsule:destroy())
  end)
  say("finished", ok or err)
end
