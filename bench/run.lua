-- The cost of the library: each row runs the library and a bare equivalent
-- against the same server, alternating, and compares medians. It also shows the
-- CPU time of one operation (a request, a frame, a round trip, a MiB).
--  make bench, or: wrenn-local -- lua5.4 bench/run.lua build/bench
-- Requests, terminals and files use wrenn-local; streams use a server that
-- only sends prebuilt frames (blast.c), so that the client is measured. The
-- yardsticks have one thread each:
--  requests   a libcurl easy handle in C (bare_http.c)
--  streams    a raw socket, a frame parser of a few lines, the library's own
--             codec (raw_ws.c); over TLS with OpenSSL
--  terminals  a raw socket (raw_echo.c)
--  files      the curl program

local begun = os.clock()
package.path = "bench/?.lua;" .. package.path
local wrenn = require("wrenn")
local core = require("wrenn.core")
local measure = require("measure")

local yardsticks = assert(arg[1], "usage: run.lua FOLDER-OF-THE-YARDSTICKS")
local REQUESTS = 2000
local STREAM_BYTES = 200 * 1000 * 1000
local SMALL_FRAMES = 500 * 1000
local SLOW_MIB = tonumber(os.getenv("SLOW_MIB")) or 64
local SLOW_RATE = 20 -- MiB/s
local ECHOES = 1000
local FILE_MIB = 256

-- The bars of each interpreter; the first one is that of Lua 5.4.
local function bar(plain, jit)
  return rawget(_G, "jit") and jit or plain
end

local base = assert(os.getenv("WRENN_BASE_URL"), "run me under wrenn-local")
local key = os.getenv("WRENN_API_KEY")
local host, port = base:match("^http://([^:/]+):(%d+)")

local function yardstick(name, ...)
  return measure.numbers_of(yardsticks .. "/" .. name, ...)
end

-- Runs a function; returns the elapsed time and the CPU time.
local function timed(fn)
  local begin, cpu = core.now(), os.clock()
  fn()
  return core.now() - begin, os.clock() - cpu
end

wrenn.check(wrenn.check(wrenn.Client()).capsules:list())
local first_answer = os.clock() - begun

local capsule = wrenn.check(wrenn.Capsule.create({ wait = true }))
local path = "/v1/capsules/" .. capsule.id

-- ---- requests ----------------------------------------------------------------

local function requests()
  local took, cpu = timed(function()
    for _ = 1, REQUESTS do
      wrenn.check(capsule.client.capsules:get(capsule.id))
    end
  end)
  return REQUESTS / took, cpu
end

-- ---- streams -----------------------------------------------------------------

local certificate = os.tmpname()
local blaster = assert(io.popen("exec " .. yardsticks .. "/blast "
  .. certificate))
local plain_port, tls_port, blast_pid =
  blaster:read("*l"):match("^(%d+) (%d+) (%d+)$")

local function blasted(scheme, its_port)
  local client = wrenn.check(wrenn.Client({
    api_key = "k", base_url = scheme .. "://127.0.0.1:" .. its_port,
    ca_file = scheme == "https" and certificate or nil,
  }))
  return wrenn.check(wrenn.Capsule.connect("cl-1", { client = client }))
end
local plain = blasted("http", plain_port)
local secure = blasted("https", tls_port)

local function open_blast(from, size, count, what)
  local args = { ("%d"):format(size), ("%d"):format(count), what or "plain" }
  if what == "terminal" then
    return wrenn.check(from:pty({ cmd = "x", args = args }))
  end
  return wrenn.check(from.commands:stream("x", { args = args }))
end

-- Events per second, through the whole library into a for loop.
local function stream(from, size, count, what)
  local begin, cpu, bytes = nil, nil, 0
  for ev in open_blast(from, size, count, what) do
    if not begin then
      begin, cpu = core.now(), os.clock()
    end
    if ev.type == "stdout" or ev.type == "output" then
      bytes = bytes + #ev.data
    end
  end
  local took = core.now() - begin
  cpu = os.clock() - cpu
  assert(bytes == size * count, "bytes are missing")
  return count / took, cpu
end

local function raw_stream(from, size, count, what)
  local args = ('{"args":["%d","%d","%s"]}'):format(size, count,
    what or "plain")
  local _, took, cpu = yardstick("raw_ws", "127.0.0.1",
    from == secure and tls_port or plain_port,
    what == "terminal" and "/pty" or "/x", "k", args,
    from == secure and certificate or nil)
  return count / took, cpu
end

local function compare_streams(from, size, count, at_least, what)
  measure.row({
    title = ("stream over %s, %d B%s"):format(from == secure and "wss" or "ws",
      size, what and ", " .. what or ""),
    unit = "1/s", operations = count, at_least = at_least,
    yardstick = function()
      return raw_stream(from, size, count, what)
    end,
    ours = function()
      return stream(from, size, count, what)
    end,
  })
end

local function rss_kib()
  for line in io.lines("/proc/self/status") do
    local kib = line:match("^VmRSS:%s*(%d+)")
    if kib then
      return tonumber(kib)
    end
  end
end

-- The memory that a slow consumer adds to the process.
local function slow_stream()
  local size = 64 * 1024
  stream(plain, size, 64) -- a warm-up
  collectgarbage()
  local before, most, bytes = rss_kib(), 0, 0
  local begin = core.now()
  for ev in open_blast(plain, size, SLOW_MIB * 16) do
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

local ECHO_SCRIPT = "stty raw -echo; printf r; exec cat"

local function echo()
  local term = wrenn.check(capsule:pty({
    cmd = "/bin/sh", args = { "-c", ECHO_SCRIPT },
  }))
  local function read_output()
    local ev
    repeat
      ev = wrenn.check(term:read())
    until ev.type == "output"
  end
  read_output()
  local trips = {}
  local _, cpu = timed(function()
    for i = 1, ECHOES do
      local begin = core.now()
      wrenn.check(term:write("x"))
      read_output()
      trips[i] = core.now() - begin
    end
  end)
  term:kill()
  term:close()
  return measure.median(trips) * 1e6, cpu
end

local function raw_echo()
  local start = ('{"type":"start","cmd":"/bin/sh","args":["-c","%s"]}')
    :format(ECHO_SCRIPT)
  return yardstick("raw_echo", host, port, path .. "/pty", key, start,
    '{"type":"input","data":"eA=="}', ECHOES)
end

-- ---- files -------------------------------------------------------------------

local REMOTE = "/tmp/bench.bin"
local folder = os.tmpname()
os.remove(folder)
assert(os.execute("mkdir -m 700 " .. folder))
local here = folder .. "/bench.bin"

-- The time of a curl process by its own clock.
local function curl(...)
  local seconds = measure.numbers_of("curl", "-sS", "-f", "-H",
    "X-API-Key: " .. key, "-w", "%{time_total} ", ...)
  return FILE_MIB / seconds
end

local function curl_download(to)
  return curl("-H", "Content-Type: application/json", "-d",
    ('{"path":"%s"}'):format(REMOTE), "-o", to,
    base .. path .. "/files/stream/read")
end

local function curl_upload()
  return curl("-F", "path=" .. REMOTE, "-F", "file=@" .. here,
    base .. path .. "/files/stream/write")
end

local function download()
  local took, cpu = timed(function()
    wrenn.check(capsule.files:download(REMOTE, here))
  end)
  return FILE_MIB / took, cpu
end

local function upload()
  local took, cpu = timed(function()
    wrenn.check(capsule.files:upload(here, REMOTE))
  end)
  return FILE_MIB / took, cpu
end

local function iterate()
  local bytes = 0
  local took, cpu = timed(function()
    for piece in wrenn.check(capsule.files:download_stream(REMOTE)) do
      bytes = bytes + #piece
    end
  end)
  assert(bytes == FILE_MIB * 2 ^ 20, "bytes are missing")
  return FILE_MIB / took, cpu
end

local function compare_files(title, at_least, bare, ours)
  measure.row({
    title = title, unit = "MiB/s", operations = FILE_MIB, rounds = 5,
    at_least = at_least, yardstick = bare, ours = ours,
  })
end

-- ---- the table ---------------------------------------------------------------

measure.head(rawget(_G, "jit") and rawget(_G, "jit").version or _VERSION)
measure.row({
  title = "GET over keep-alive, one at a time", unit = "1/s",
  operations = REQUESTS, at_least = bar(0.80, 0.92), ours = requests,
  yardstick = function()
    return yardstick("bare_http", base .. path, key, REQUESTS)
  end,
})
compare_streams(plain, 64, SMALL_FRAMES, bar(0.20, 0.40))
compare_streams(plain, 4096, math.floor(STREAM_BYTES / 4096), bar(0.55, 0.90))
compare_streams(plain, 65536, math.floor(STREAM_BYTES / 65536),
  bar(0.60, 0.90))
compare_streams(secure, 64, SMALL_FRAMES, bar(0.25, 0.40))
compare_streams(secure, 4096, math.floor(STREAM_BYTES / 4096), bar(0.6, 0.8))
compare_streams(secure, 65536, math.floor(STREAM_BYTES / 65536),
  bar(0.7, 0.9))
compare_streams(plain, 4096, math.floor(STREAM_BYTES / 4096), nil, "escapes")
compare_streams(plain, 4096, math.floor(STREAM_BYTES / 4096), nil, "terminal")
measure.row({
  title = "terminal echo, median", unit = "us", operations = ECHOES,
  at_most = bar(1.25, 1.15), yardstick = raw_echo, ours = echo,
})
wrenn.check(capsule.commands:run(
  ("head -c %dM /dev/urandom >%s"):format(FILE_MIB, REMOTE)))
compare_files(("download of %d MiB"):format(FILE_MIB), 0.95, function()
  return curl_download(folder .. "/curl.bin")
end, download)
compare_files("the same, piece by piece", bar(0.9, 0.7), function()
  return curl_download("/dev/null")
end, iterate)
compare_files(("upload of %d MiB"):format(FILE_MIB), 0.95, curl_upload, upload)
print(("%d MiB at %d MiB/s add %.1f MiB to the process"):format(SLOW_MIB,
  SLOW_RATE, slow_stream()))
print(("from require to the first answer: %.1f ms of this processor")
  :format(first_answer * 1000))
print(("%d bars missed"):format(measure.missed))
os.execute("kill " .. blast_pid)
blaster:close()
os.execute("rm -r " .. folder)
os.remove(certificate)
wrenn.check(capsule:destroy())
