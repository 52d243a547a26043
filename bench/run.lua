-- How much the library costs over the bare thing: each row runs both against
-- the same wrenn-local, in turn, and prints medians and their ratio.
--   make bench, or: wrenn-local -- lua5.4 bench/run.lua build/bench

local wrenn = require("wrenn")
local core = require("wrenn.core")

local yardsticks = assert(arg[1], "usage: run.lua FOLDER-OF-THE-YARDSTICKS")
local ROUNDS = 5
local REQUESTS = 3000
local STREAM_BYTES = 200 * 1000 * 1000
local ECHOES = 1000

local base = assert(os.getenv("WRENN_BASE_URL"), "run me under wrenn-local")
local key = os.getenv("WRENN_API_KEY")
local host, port = base:match("^http://([^:/]+):(%d+)")

local function median(list)
  table.sort(list)
  return list[#list // 2 + 1]
end

local function quote(word)
  return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

-- Runs a yardstick and returns the numbers that it printed.
local function yardstick(name, ...)
  local words = { quote(yardsticks .. "/" .. name) }
  for _, word in ipairs({ ... }) do
    words[#words + 1] = quote(word)
  end
  local pipe = assert(io.popen(table.concat(words, " ")))
  local numbers = {}
  for number in pipe:read("a"):gmatch("%S+") do
    numbers[#numbers + 1] = tonumber(number)
  end
  assert(pipe:close(), name .. " failed")
  return table.unpack(numbers)
end

local function compare(title, unit, bare, ours)
  local a, b = {}, {}
  for i = 1, ROUNDS do
    a[i], b[i] = bare(), ours()
  end
  local x, y = median(a), median(b)
  print(("%-34s %12.1f %12.1f %-8s %6.2f"):format(title, x, y, unit, y / x))
end

local capsule <close> = wrenn.check(wrenn.Capsule.create({ wait = true }))
local path = "/v1/capsules/" .. capsule.id

local function requests()
  local begin = core.now()
  for _ = 1, REQUESTS do
    wrenn.check(capsule.client.capsules:get(capsule.id))
  end
  return REQUESTS / (core.now() - begin)
end

local script = ("head -c %d /dev/zero | tr '\\0' x"):format(STREAM_BYTES)

local function stream()
  local begin, bytes = nil, 0
  for ev in wrenn.check(capsule.commands:stream(script)) do
    begin = begin or core.now()
    if ev.type == "stdout" then
      bytes = bytes + #ev.data
    end
  end
  assert(bytes == STREAM_BYTES, "bytes are missing")
  return bytes / 1e6 / (core.now() - begin)
end

local echo_script = "stty raw -echo; printf r; exec cat"

local function echo()
  local term = wrenn.check(capsule:pty({
    cmd = "/bin/sh", args = { "-c", echo_script },
  }))
  local function read_output()
    local ev
    repeat
      ev = wrenn.check(term:read())
    until ev.type == "output"
  end
  read_output()
  local trips = {}
  for i = 1, ECHOES do
    local begin = core.now()
    wrenn.check(term:write("x"))
    read_output()
    trips[i] = core.now() - begin
  end
  term:kill()
  term:close()
  return median(trips) * 1e6
end

print(("%-34s %12s %12s %-8s %6s"):format("", "bare C", "wrenn", "", "ratio"))
compare("small requests, one at a time", "1/s", function()
  return (yardstick("bare_http", base .. path, key, REQUESTS))
end, requests)
compare("stream, server's own frame size", "MB/s", function()
  local start = ('{"type":"start","cmd":"/bin/sh","args":["-c","%s"]}')
    :format((script:gsub("\\", "\\\\")))
  local _, took = yardstick("bare_ws", host, port, path .. "/exec/stream", key,
    start)
  return STREAM_BYTES / 1e6 / took
end, stream)
compare("PTY echo, median round trip", "us", function()
  local start = ('{"type":"start","cmd":"/bin/sh","args":["-c","%s"]}')
    :format(echo_script)
  return (yardstick("raw_echo", host, port, path .. "/pty", key, start,
    '{"type":"input","data":"eA=="}', ECHOES))
end, echo)
