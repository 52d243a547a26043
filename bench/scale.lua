-- A thousand capsules with a live stream each, in one process: the memory that
-- they add, and the share of a core for ten events per second each.
--   wrenn-local --isolation none -- lua5.4 bench/scale.lua [COUNT [SECONDS]]
-- With isolation, which this turns off, the server needs one or two more
-- processes for each.

local wrenn = require("wrenn")
local core = require("wrenn.core")

local COUNT = tonumber(arg[1]) or 1000
local SECONDS = tonumber(arg[2]) or 10

local function rss_mib()
  for line in io.lines("/proc/self/status") do
    local kib = line:match("^VmRSS:%s*(%d+)")
    if kib then
      return kib / 1024
    end
  end
end

local client = wrenn.check(wrenn.Client())
wrenn.check(client.capsules:list())
collectgarbage()
local empty = rss_mib()

local numbers = {}
for i = 1, COUNT do
  numbers[i] = i
end

local begin = core.now()
local capsules = wrenn.check(wrenn.task.map(numbers, function()
  return wrenn.Capsule.create({ client = client, wait = true })
end))
print(("%d capsules within %.1f s"):format(COUNT, core.now() - begin))

-- One process for each: a sleep per turn would be ten thousand forks per
-- second.
local script = "exec {silent}<> <(:);"
  .. " while :; do echo x; read -t 0.1 -u $silent; done"
begin = core.now()
local streams = wrenn.check(wrenn.task.map(capsules, function(capsule)
  return (capsule.commands:stream("/bin/bash", { args = { "-c", script } }))
end))
print(("%d streams within %.1f s"):format(#streams, core.now() - begin))

local events, deadline = 0, nil

local function read(stream)
  repeat
    local event, err = stream:read()
    if not event then
      return nil, err or wrenn.errors.new("WrennError", "a stream ended")
    end
    events = events + 1
  until core.now() > deadline
  return true
end

deadline = core.now() + 1 -- until all have started
wrenn.check(wrenn.task.map(streams, read, { concurrency = COUNT }))
collectgarbage()
local cpu
events, begin, cpu = 0, core.now(), os.clock()
deadline = begin + SECONDS
wrenn.check(wrenn.task.map(streams, read, { concurrency = COUNT }))
local took = core.now() - begin
print(("%.0f events/s, %.0f %% of one core, %.1f MiB over the empty process")
  :format(events / took, (os.clock() - cpu) / took * 100, rss_mib() - empty))

wrenn.check(wrenn.task.map(streams, function(stream)
  stream:close()
  return true
end))
wrenn.check(wrenn.task.map(capsules, function(capsule)
  return capsule:destroy()
end))
