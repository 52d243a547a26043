-- How much the library costs over the bare thing: each row runs both against
-- the same server, in turn, and prints the best of each and their ratio.
--   make bench, or: wrenn-local -- lua5.4 bench/run.lua build/bench
-- Requests and terminals go to wrenn-local, streams to a server that only
-- blasts prebuilt frames (blast.c), so that the client is what is measured.

local begun = os.clock()
local wrenn = require("wrenn")
local core = require("wrenn.core")

local yardsticks = assert(arg[1], "usage: run.lua FOLDER-OF-THE-YARDSTICKS")
local ROUNDS = 9
local REQUESTS = 2000
local STREAM_BYTES = 200 * 1000 * 1000
local SMALL_FRAMES = 500 * 1000
local SLOW_MIB = tonumber(os.getenv("SLOW_MIB")) or 64
local SLOW_RATE = 20 -- MiB/s
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

-- The best of many short rounds: whatever else runs on the machine only makes
-- either side slower.
local function compare(title, unit, better, bare, ours)
  local x, y = bare(), ours()
  for _ = 2, ROUNDS do
    x, y = better(x, bare()), better(y, ours())
  end
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

-- ---- streams -----------------------------------------------------------------

local blaster = assert(io.popen("exec " .. quote(yardsticks .. "/blast")))
local blast_port, blast_pid = blaster:read("l"):match("^(%d+) (%d+)$")
local blasted = wrenn.check(wrenn.Capsule.connect("cl-1", {
  api_key = "k", base_url = "http://127.0.0.1:" .. blast_port,
}))

local function open_blast(size, count)
  return wrenn.check(blasted.commands:stream("x", {
    args = { tostring(size), tostring(count) },
  }))
end

-- Events per second, through all of the library.
local function stream(size, count)
  local begin, bytes = nil, 0
  for ev in open_blast(size, count) do
    begin = begin or core.now()
    if ev.type == "stdout" then
      bytes = bytes + #ev.data
    end
  end
  assert(bytes == size * count, "bytes are missing")
  return count / (core.now() - begin)
end

local function bare_stream(size, count)
  local _, took = yardstick("bare_ws", "127.0.0.1", blast_port, "/x", "k",
    ('{"args":["%d","%d"]}'):format(size, count))
  return count / took
end

local function compare_streams(size, count)
  local name = ("stream, frames of %d bytes"):format(size)
  compare(name, "1/s", math.max, function()
    return bare_stream(size, count)
  end, function()
    return stream(size, count)
  end)
end

local function rss_kib()
  for line in io.lines("/proc/self/status") do
    local kib = line:match("^VmRSS:%s*(%d+)")
    if kib then
      return tonumber(kib)
    end
  end
end

-- What a consumer that is slower than the network adds to the process.
local function slow_stream()
  local size = 64 * 1024
  stream(size, 64) -- what is allocated once is there now
  collectgarbage()
  local before, most, bytes = rss_kib(), 0, 0
  local begin = core.now()
  for ev in open_blast(size, SLOW_MIB * 16) do
    if ev.type == "stdout" then
      bytes = bytes + #ev.data
      local ahead = bytes / 2 ^ 20 / SLOW_RATE - (core.now() - begin)
      if ahead > 0.01 then
        os.execute("sleep " .. ahead)
        most = math.max(most, rss_kib())
      end
    end
  end
  assert(bytes == SLOW_MIB * 2 ^ 20, "bytes are missing")
  return (most - before) / 1024
end

-- ---- terminals ---------------------------------------------------------------

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
wrenn.check(capsule.client.capsules:list())
local first_answer = os.clock() - begun
compare("small requests, one at a time", "1/s", math.max, function()
  return (yardstick("bare_http", base .. path, key, REQUESTS))
end, requests)
compare_streams(64, SMALL_FRAMES)
compare_streams(4096, STREAM_BYTES // 4096)
compare_streams(65536, STREAM_BYTES // 65536)
compare("PTY echo, median round trip", "us", math.min, function()
  local start = ('{"type":"start","cmd":"/bin/sh","args":["-c","%s"]}')
    :format(echo_script)
  return (yardstick("raw_echo", host, port, path .. "/pty", key, start,
    '{"type":"input","data":"eA=="}', ECHOES))
end, echo)
print(("%d MiB at %d MiB/s add %.1f MiB to the process"):format(SLOW_MIB,
  SLOW_RATE, slow_stream()))
print(("from require to the first answer: %.1f ms of this processor")
  :format(first_answer * 1000))
os.execute("kill " .. blast_pid) -- its pipe is waited for at the end
