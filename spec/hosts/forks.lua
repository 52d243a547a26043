-- The children of a program with a loop, forked or started. Neither side harms
-- the other.

local wrenn = require("wrenn")

local check = wrenn.check

local forks = {}

-- It ends after that file has been written, if one is named.
local function slow_stream(capsule, go)
  local stream = check(capsule.commands:stream(
    ("for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.1; done;"
      .. " until [ -e %s ]; do sleep 0.1; done"):format(go or ".")))
  check(stream:read())
  return stream
end

local function rest_of(stream)
  local text = ""
  for _ = 1, 100 do
    local ev = check(stream:read())
    if ev.type == "exit" then
      break
    end
    text = text .. (ev.data or ""):gsub("%s", "")
  end
  return text
end

local function echo_of(term)
  check(term:write("echoed\n"))
  local text = ""
  repeat
    local ev = check(term:read())
    text = text .. (ev.type == "output" and ev.data or "")
  until text:find("\n.*\n")
  term:close()
  return text:match("\n(.*\n)"):gsub("\r", "")
end

-- In a child, operations of the parent end with an error, and new ones work.
local function in_child(capsule, stream, term, say)
  local ev, err
  repeat -- events that had arrived before
    ev, err = stream:read()
  until not ev
  say("in_child", err.type)
  say("child", check(capsule.commands:run("echo child")).stdout)
  say("child_stream", rest_of(slow_stream(capsule)))
  local tasks = check(wrenn.task.map({ 1, 2, 3 }, function(i)
    return check(capsule.commands:run("echo " .. i)).stdout
  end))
  say("child_tasks", table.concat(tasks))
  -- Leaving a scope does not end the parent's objects.
  wrenn.with(capsule, function()
    wrenn.with(term, function() end)
  end)
  stream:close()
end

--- Forks while a stream is read. One child exits at once, the other after a
--- full collection, as at the end of a program.
function forks.fork(host, capsule, say)
  local system = require("spec.c.system")
  for _, closes in ipairs(host.closes == false and { false }
    or { false, true }) do
    local name = closes and "_closing" or ""
    local stream = slow_stream(capsule, "go" .. name)
    local term = check(capsule:pty({ cmd = "/bin/cat" }))
    local beside
    host.spawn(function()
      local result, err = capsule.commands:run("sleep 0.5; echo beside")
      beside = result and result.stdout or err.type
    end)
    host.sleep(0.05)
    local pid = system.fork()
    if pid == 0 then
      in_child(capsule, stream, term, say)
      os.exit(0, closes)
    end
    check(capsule.files:write("go" .. name, ""))
    say("parent" .. name, check(capsule.commands:run("echo parent")).stdout)
    local status
    repeat
      host.sleep(0.05)
      status = system.ended(pid)
    until status
    say("child_exit" .. name, status)
    say("parent_stream" .. name, rest_of(stream))
    while not beside do
      host.sleep(0.05)
    end
    say("beside" .. name, beside)
    say("terminal" .. name, echo_of(term))
    say("capsule" .. name, check(capsule:get_info()).status)
  end
end

--- Starts a program while a stream is read: it inherits nothing of the library.
function forks.start(host, capsule, say)
  local stream = slow_stream(capsule)
  local system = host.system or function(command)
    local pipe = assert(io.popen(command))
    local text = pipe:read("*a")
    pipe:close()
    return text
  end
  local inherited = {}
  for fd, what in system("ls -l /proc/self/fd"):gmatch("(%d+) %-> ([^\n]+)") do
    if tonumber(fd) > 2 and (what:find("socket:") or what:find("anon_inode:"))
    then
      inherited[#inherited + 1] = fd .. "=" .. what
    end
  end
  say("inherited", #inherited > 0 and table.concat(inherited, ",") or "nothing")
  say("stream_beside", rest_of(stream))
end

return forks
