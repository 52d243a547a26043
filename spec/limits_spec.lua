-- Limits of the system: running out of descriptors is an error that names the
-- limit, for requests and WebSockets, and is not permanent; many capsules at
-- once.

local compat = require("spec.support.compat")
local peer = require("spec.support.peer")
local server = require("spec.support.server")
local wrenn = require("wrenn")

-- Runs Lua code in a process that may open `limit` descriptors.
local function run_limited(limit, code)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(code)
  file:close()
  local output = compat.output_of(("ulimit -n %d; %s %s 2>&1"):format(limit,
    compat.lua, path))
  os.remove(path)
  return output
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch("[^\n]+") do
    lines[#lines + 1] = line
  end
  return lines
end

-- Opens streams to a peer until that fails, in a process of its own.
local code = [[
  local wrenn = require("wrenn")
  local capsule = wrenn.check(wrenn.Capsule.connect("cl-1",
    { api_key = "k", base_url = "%s" }))
  local streams, err = {}, nil
  repeat
    local stream
    stream, err = capsule.commands:stream("x")
    streams[#streams + 1] = stream
  until err or #streams > 100
  print(#streams > 20, err:is("ConnectionError"), err.details.kind,
    err.type .. ": " .. err.message)
  -- Elsewhere, so that no kept connection serves.
  local _, why = wrenn.Capsule.list({ api_key = "k", base_url = "%s" })
  print(why and why:is("ConnectionError"), why and why.details.kind,
    why and why.type .. ": " .. why.message)
  for i = 1, 10 do
    streams[i]:close()
  end
  local deadline = os.time() + 30
  local stream
  repeat
    wrenn.task.sleep(0.02)
    stream = capsule.commands:stream("x")
  until stream or os.time() > deadline
  print(stream ~= nil)
]]

describe("file descriptors", function()
  it("that run out are an error that names the limit", function()
    local script = [[
      local req = c:request()
      if not req then return end
      if req.headers.upgrade then
        c:upgrade(req)
        c:read_frame()
        c:read_frame() -- its close frame
        return c:close()
      end
      c:respond(200, '{"id":"cl-1","status":"running"}')
    ]]
    local p, other = peer.start(script), peer.start(script)
    local lines = lines_of(run_limited(64, code:format(p.url, other.url)))
    local told = "system\tConnectionError: too many open files: this process"
      .. " may have 64 (RLIMIT_NOFILE, ulimit -n)"
    assert.are.same({ "true\ttrue\t" .. told, "true\t" .. told, "true" }, lines)
    p:stop()
    other:stop()
  end)
end)

-- Many at once, as requests, then as streams; then everything is open.
local many_code = [[
  local figures = require("spec.hosts.figures")
  local wrenn = require("wrenn")
  local options = { api_key = "%s", base_url = "%s", wait = true }
  local capsule = wrenn.check(wrenn.Capsule.create(options))
  local numbers = {}
  for i = 1, 150 do
    numbers[i] = i
  end
  local function count(call)
    local told = {}
    wrenn.check(wrenn.task.map(numbers, function(i)
      local result, err = call(i)
      local line = err and err.type .. ": " .. err.message
        or result.stdout == i .. "\n"
      told[line] = (told[line] or 0) + 1
      return true
    end, { concurrency = #numbers }))
    local sum, words = 0, {}
    for line, times in pairs(told) do
      sum = sum + times
      words[#words + 1] = tostring(line)
    end
    table.sort(words)
    print(sum, told[true] > 50, table.concat(words, ", "))
  end
  count(function(i)
    return capsule.commands:run("sleep 2; echo " .. i)
  end)
  local open = figures.count_fds()
  count(function(i)
    local stream, err = capsule.commands:stream("sleep 2; echo " .. i)
    if not stream then
      return nil, err
    end
    return stream:wait()
  end)
  local deadline = os.time() + 30 -- the sockets of the streams close
  while figures.count_fds() > open and os.time() < deadline do
    wrenn.task.sleep(0.02)
  end
  wrenn.check(capsule.files:make_dir("little"))
  local files = {}
  repeat
    local file = io.open("/dev/null")
    files[#files + 1] = file
  until not file
  local name = "%s.new"
  for _, call in ipairs({
    function() return capsule.files:download("/etc/hostname", name) end,
    function() return capsule.files:upload("/etc/hostname", "/tmp/x") end,
    function() return capsule.files:download_dir("little", name) end,
    function() return capsule.files:upload_dir("/etc", "/tmp/x") end,
  }) do
    local value, err = call()
    print(value, err.type, err.message:match("Too many.*"))
  end
  local loop, code, why = require("wrenn.core").loop()
  print(loop, code, why)
  files[1]:close()
  print(capsule.commands:run("echo on").stdout)
  capsule:destroy()
]]

describe("file descriptors for many at once", function()
  it("are told where they run out, and the others go on", function()
    local s = server.start("--isolation none")
    local name = os.tmpname()
    local out = run_limited(128, many_code:format(s.key, s.url, name))
    compat.output_of("rm -rf " .. name .. "*")
    local told = "150\ttrue\tConnectionError: too many open files: this process"
      .. " may have 128 (RLIMIT_NOFILE, ulimit -n), true"
    local file = "nil\tWrennError\tToo many open files"
      .. " (RLIMIT_NOFILE, ulimit -n)"
    assert.are.same({ told, told, file, file, file, file,
      "nil\tsystem\tthe system refused; most often too many files are open"
        .. " (RLIMIT_NOFILE, ulimit -n)", "on" }, lines_of(out))
    s:stop()
  end)
end)

describe("a hundred capsules", function()
  it("each with a live stream, in one process", function()
    local count = 100
    local s = server.start("--isolation none")
    local client = assert(wrenn.Client(s:options()))
    local numbers = {}
    for i = 1, count do
      numbers[i] = i
    end
    local capsules = assert(wrenn.task.map(numbers, function()
      return wrenn.Capsule.create({ client = client, wait = true })
    end))
    local sums = assert(wrenn.task.map(capsules, function(capsule, i)
      local stream, err = capsule.commands:stream(
        ("for n in 1 2 3 4 5; do echo %d; sleep 0.1; done"):format(i))
      if not stream then
        return nil, err
      end
      local sum = 0
      repeat
        local ev
        ev, err = stream:read()
        if ev and ev.type == "stdout" then
          for number in ev.data:gmatch("%d+") do
            sum = sum + tonumber(number)
          end
        end
      until not ev
      return not err and sum or nil, err
    end, { concurrency = count }))
    for i = 1, count do
      assert.are.equal(5 * i, sums[i])
    end
    assert(wrenn.task.map(capsules, function(capsule)
      return capsule:destroy()
    end))
    s:stop()
  end)
end)
