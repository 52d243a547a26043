-- Mixed load for a long time: lua5.4 spec/soak/main.lua MINUTES
-- 16 tasks run commands, streams, terminals, transfers and cancels, each in a
-- capsule of its own, through a proxy that does harm to 5 % of the requests, on
-- a server that is started anew every minute. A failure has to be an error of
-- the library; a success has to be right; nothing may end later than a second
-- after its limit; memory and descriptors may not grow. Prints its figures.

local core = require("wrenn.core")
local figures = require("spec.hosts.figures")
local server = require("spec.support.server")
local wrenn = require("wrenn")

local MINUTES = tonumber(arg[1]) or 10
local TASKS, PERCENT = 16, 5
local RESTART = 60 -- seconds between two starts of the server
local LIMIT = 10 -- of one operation
local LATE = 1
local GROWTH = 16 * 1024 -- KiB of memory, after the first quarter
local task = wrenn.task

local counts = { right = 0, failed = 0, late = 0, restarts = 0 }
local by_name, by_error, wrong = {}, {}, {}
local slowest = 0

-- ---- the server and the proxy -----------------------------------------------

local data = os.tmpname()
os.remove(data)
assert(os.execute("mkdir " .. data))
local port_file = data .. "/port"
local s

local function start_server()
  s = server.start("--data " .. data .. "/server")
  local file = assert(io.open(port_file, "w"))
  file:write((s.url:match(":(%d+)")))
  file:close()
end

start_server()
local pipe = assert(io.popen(("exec lua5.4 spec/soak/proxy.lua %s %d"):format(
  port_file, PERCENT)))
local port, proxy_pid = assert(pipe:read("*l")):match("^(%d+) (%d+)$")
local client = assert(wrenn.Client(s:options({
  base_url = "http://127.0.0.1:" .. port, timeout = LIMIT })))

-- ---- what is done -----------------------------------------------------------

local function expect(value, wanted, what)
  if value ~= wanted then
    error(("%s: %s instead of %s"):format(what, tostring(value):sub(1, 80),
      tostring(wanted):sub(1, 80)), 0)
  end
  return true
end

local operations = {
  run = function(capsule, n)
    local result, err = capsule.commands:run("echo " .. n .. "; echo e >&2")
    return result and expect(result.stdout, n .. "\n", "stdout")
      and expect(result.stderr, "e\n", "stderr")
      and expect(result.exit_code, 0, "exit code"), err
  end,
  stream = function(capsule, n)
    local stream, err = capsule.commands:stream(
      "seq 2000; echo " .. n .. "; exit 3")
    if not stream then
      return nil, err
    end
    local result
    result, err = stream:wait()
    return result and expect(result.exit_code, 3, "exit code")
      and expect(result.stdout:sub(-#n - 6), "2000\n" .. n .. "\n", "the end")
      and expect(#result.stdout, 8893 + #n + 1, "length"), err
  end,
  terminal = function(capsule, n)
    local term, err = capsule:pty({ cmd = "/bin/cat" })
    if not term then
      return nil, err
    end
    local text = ""
    local ok
    ok, err = term:write("word-" .. n .. "\n")
    while ok and select(2, text:gsub("word%-" .. n .. "\r\n", "")) < 2 do
      local event
      event, err = term:read()
      if not event then
        ok = nil
      elseif event.type == "output" then
        text = text .. event.data
      end
    end
    term:close()
    return ok and true or nil, err
      or term.err or wrenn.errors.new("ConnectionError", "it ended")
  end,
  transfer = function(capsule, n)
    local bytes = (n .. "\0\255"):rep(20000)
    local ok, err = capsule.files:write("/tmp/x", bytes)
    if not ok then
      return nil, err
    end
    local back
    back, err = capsule.files:read("/tmp/x")
    return back and expect(back == bytes, true, "what was written"), err
  end,
  upload_stream = function(capsule, n)
    local left = 4
    local ok, err = capsule.files:upload_stream("/tmp/y", function()
      left = left - 1
      return left >= 0 and n:rep(5000) or nil
    end)
    if not ok then
      return nil, err
    end
    local entry
    entry, err = capsule.files:stat("/tmp/y")
    return entry and expect(entry.size, 20000 * #n, "size"), err
  end,
  cancel = function(capsule)
    local begin = core.now()
    local result, err = task.with_timeout(0.3, function()
      return capsule.commands:run("sleep 60")
    end)
    if core.now() - begin > 0.3 + LATE then
      counts.late = counts.late + 1
    end
    if result then -- the end of the server may have ended it
      return expect(result.exit_code ~= 0, true, "a result of sleep")
    end
    return err:is("TimeoutError") or nil, err
  end,
  info = function(capsule)
    local info, err = capsule:get_info()
    return info and expect(info.id, capsule.id, "id"), err
  end,
}
local names = {}
for name in pairs(operations) do
  names[#names + 1] = name
end
table.sort(names)

local function note(name, ok, err, took)
  slowest = math.max(slowest, took)
  by_name[name] = (by_name[name] or 0) + 1
  if took > LIMIT + LATE then
    counts.late = counts.late + 1
  end
  if ok then
    counts.right = counts.right + 1
  elseif wrenn.errors.is_error(err) and err.type ~= "WrennError" then
    counts.failed = counts.failed + 1
    by_error[err.type] = (by_error[err.type] or 0) + 1
  else
    wrong[#wrong + 1] = name .. ": " .. tostring(err)
  end
end

local function attempt(name, fn, ...)
  local args, begin = { ... }, core.now()
  local called, ok, err = pcall(task.with_timeout, LIMIT, function()
    return fn((table.unpack or unpack)(args)) -- luacheck: ignore
  end)
  if not called then
    ok, err = nil, ok
  end
  note(name, ok, err, core.now() - begin)
  return ok
end

local deadline = core.now() + MINUTES * 60

local function work(number)
  local capsule
  local random = number
  while core.now() < deadline do
    random = random * 16807 % 2147483647
    capsule = capsule or attempt("create", function()
      return wrenn.Capsule.create({ client = client, wait = true,
        wait_timeout = LIMIT })
    end)
    if not capsule then
      task.sleep(0.2)
    else
      local name = names[random % #names + 1]
      local ok = attempt(name, operations[name], capsule, tostring(random))
      -- After a restart of the server its capsules are paused at best.
      if not ok and not capsule:is_running() then
        capsule:destroy()
        capsule = nil
      elseif random % 50 == 0 then
        attempt("destroy", capsule.destroy, capsule)
        capsule = nil
      end
    end
  end
  if capsule then
    capsule:destroy()
  end
  return true
end

-- ---- watching ---------------------------------------------------------------

local function restart()
  while core.now() + RESTART < deadline do
    task.sleep(RESTART)
    s:stop(counts.restarts % 2 == 0 and "TERM" or "KILL")
    start_server()
    counts.restarts = counts.restarts + 1
  end
  return true
end

local samples = {}

local function watch()
  while core.now() < deadline do
    task.sleep(5)
    collectgarbage()
    collectgarbage()
    samples[#samples + 1] = { rss = figures.status_of("VmRSS"),
      fds = figures.count_fds() }
  end
  return true
end

-- The most in a part of the samples.
local function most(what, from, to)
  local value = 0
  for i = math.max(math.floor(#samples * from), 1), #samples * to do
    value = math.max(value, samples[math.floor(i)][what])
  end
  return value
end

local jobs = { restart, watch }
for number = 1, TASKS do
  jobs[#jobs + 1] = function()
    return work(number * 7919)
  end
end
local ok, err = pcall(task.gather, jobs)

s:stop()
os.execute("kill " .. proxy_pid)
pipe:close()
os.execute("rm -rf " .. data)

local function sorted(map)
  local list = {}
  for name, count in pairs(map) do
    list[#list + 1] = ("%s %d"):format(name, count)
  end
  table.sort(list)
  return table.concat(list, ", ")
end

local grown = most("rss", 0.75, 1) - most("rss", 0.25, 0.5)
local opened = most("fds", 0.75, 1) - most("fds", 0.25, 0.5)
print(("%g minutes, %d tasks, %d restarts"):format(MINUTES, TASKS,
  counts.restarts))
print(("right %d, failed %d (%s)"):format(counts.right, counts.failed,
  sorted(by_error)))
print("operations: " .. sorted(by_name))
print(("slowest %.1f s of %d, late %d"):format(slowest, LIMIT, counts.late))
print(("memory %d KiB, grown %d; descriptors %d, grown %d"):format(
  most("rss", 0.75, 1), grown, most("fds", 0.75, 1), opened))
for _, what in ipairs(wrong) do
  print("WRONG " .. what)
end
if not ok then
  print("raised: " .. tostring(err))
end
local failed = (ok and 0 or 1) + #wrong + counts.late
  + (grown > GROWTH and 1 or 0) + (opened > 32 and 1 or 0)
print(("%d passed, %d failed"):format(counts.right, failed))
os.exit(failed == 0 and counts.right > 0 and 0 or 1)
