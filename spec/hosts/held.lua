-- A consumer that is slower than its producer: memory is bounded, the producer
-- waits, nothing polls, no data is lost.

local core = require("wrenn.core")
local figures = require("spec.hosts.figures")
local wrenn = require("wrenn")

local check = wrenn.check

-- How many seconds each source is read slowly, and then not at all.
local SLOWLY, NOT_AT_ALL = 1.2, 0.8
local MUCH = 200 * 1024 * 1024

-- Reads a source slowly; returns the maximum growth of memory in KiB.
local function read_slowly(host, source)
  collectgarbage()
  local before = figures.status_of("VmRSS")
  local most = before
  local begin = core.now()
  repeat
    check(source:read())
    host.sleep(0.01)
    most = math.max(most, figures.status_of("VmRSS"))
  until core.now() - begin > SLOWLY
  return function()
    return math.max(most, figures.status_of("VmRSS")) - before
  end
end

local function wakeups(host, seconds)
  return figures.wakeups(function()
    host.sleep(seconds)
  end)
end

-- How often a host may wake up in such a time while nothing happens: a wait ends
-- once, and a game has frames.
local function at_rest(host, seconds)
  return (host.frames or 0) * seconds * 1.2 + 1
end

-- What is on its way may still come, on a busy machine for long and with pauses.
local function come_to_rest(host)
  local deadline, quiet = core.now() + 20, 0
  repeat
    local woken = wakeups(host, 0.1)
    quiet = woken <= at_rest(host, 0.1) + 1 and quiet + 1 or 0
  until quiet == 5 or core.now() > deadline
end

-- The wake-ups, and the processor's time, while a source is not read at all.
local function rest(host)
  return figures.least(3, at_rest(host, NOT_AT_ALL) + 3, function()
    come_to_rest(host)
    local cpu = os.clock()
    local woken = wakeups(host, NOT_AT_ALL)
    return woken, os.clock() - cpu
  end)
end

local function hold(host, capsule, say, name, source, pid)
  local grown = read_slowly(host, source)
  local woken, cpu = rest(host)
  say(name .. "_wakeups", woken)
  say(name .. "_cpu", cpu)
  say(name .. "_grown_kib", grown())
  if pid then
    say(name .. "_producer", check(capsule.commands:run(
      "kill -0 " .. pid .. " && echo waits")).stdout)
  end
  check(source:read())
  source:close()
  if pid then -- what nobody reads is still printed, and takes a processor
    check(capsule.commands:kill(pid, { tree = true }))
  end
end

-- A terminal that was paused for many of its pings answers the next one. It has
-- no echo: that of a word may come in pieces between what is still being written.
local function keep_alive(host, capsule, say)
  local term = check(capsule:pty({ cmd = "/bin/sh", args = {
    "-c", "stty -echo; yes 0123456789abcde | head -c 4000000; "
      .. "read line; echo $line" } }))
  check(term:read())
  host.sleep(1)
  local bytes, pings = 0, 0
  repeat
    local ev = check(term:read())
    bytes = bytes + (ev.type == "output" and #ev.data or 0)
    pings = pings + (ev.type == "ping" and 1 or 0)
  until bytes > 4000000 and pings > 3
  check(term:write("alive\n"))
  local text = ""
  repeat
    local ev = check(term:read())
    text = text .. (ev.type == "output" and ev.data or "")
  until text:find("alive") or ev.type == "exit"
  say("kept_alive", text:find("alive") ~= nil)
  term:close()
end

-- What was read slowly is complete, and the connection still works.
local function whole(host, capsule, say)
  check(capsule.commands:run("seq 700000 > numbers"))
  local sum = check(capsule.commands:run("cksum < numbers")).stdout
  local pieces = {}
  local download = check(capsule.files:download_stream("numbers"))
  repeat
    local piece, err = download:read()
    assert(not err, tostring(err))
    pieces[#pieces + 1] = piece
    host.sleep(0.002)
  until not piece
  check(capsule.files:write("again", table.concat(pieces)))
  say("whole", check(capsule.commands:run("cksum < again")).stdout == sum)
end

-- A stream without a waiter is still served: its data is accepted and its pings
-- are answered.
local function unread(host, capsule, say)
  local stream = check(capsule.commands:stream(
    "until [ -e go ]; do sleep 0.05; done; echo unread"))
  local ev
  repeat
    ev = check(stream:read())
  until ev.type == "start"
  say("ahead", stream.inbox:has_event())
  check(capsule.files:write("go", ""))
  local deadline = core.now() + 30
  while not stream.inbox:has_event() and core.now() < deadline do
    host.sleep(0.05)
  end
  say("served", stream.inbox:has_event())
  stream:close()
end

return function(host, capsule, say)
  unread(host, capsule, say)
  local produce = ("yes 0123456789abcde | head -c %d"):format(MUCH)
  local stream = check(capsule.commands:stream(produce))
  local first = check(stream:read())
  hold(host, capsule, say, "stream", stream, first.pid)

  local term = check(capsule:pty({ cmd = "/bin/sh", args = { "-c", produce } }))
  first = check(term:read())
  hold(host, capsule, say, "terminal", term, first.pid)
  keep_alive(host, capsule, say)

  check(capsule.commands:run("truncate -s 200M much"))
  hold(host, capsule, say, "download",
    check(capsule.files:download_stream("much")))
  whole(host, capsule, say)
end
