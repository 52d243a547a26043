-- What strangers can take of a server: they have no key, and open connections,
-- begin requests and do not end them.

local raw = require("spec.support.raw")
local server = require("spec.support.server")
local uv = require("luv")
local wrenn = require("wrenn")

-- AddressSanitizer takes memory of its own, and holds on to what was freed.
local UNDER_ASAN = os.getenv("ASAN_OPTIONS")
local KIB_EACH = UNDER_ASAN and 8 or 4

-- What is not to be closed because a busy machine takes long to say it.
local PATIENT = "WRENN_LOCAL_HEAD_MS=600000"

local socks = {}

local function rss(s)
  local file = assert(io.open(("/proc/%d/status"):format(s.pid)))
  local text = file:read("*a")
  file:close()
  return tonumber(text:match("VmRSS:%s*(%d+)"))
end

local function turn(seconds, over)
  local timer, late = uv.new_timer(), false
  uv.update_time()
  timer:start(seconds * 1000, 0, function()
    late = true
  end)
  while not late and not (over and over()) do
    uv.run("once")
  end
  timer:close()
end

-- Opens connections, each of which sends `bytes`. Returns how many have been
-- closed by the server and how many answered, as a table that goes on counting.
local function crowd(s, count, bytes)
  local port = tonumber(s.url:match(":(%d+)"))
  local seen = { closed = 0, answered = 0, sent = 0 }
  for _ = 1, count do
    local sock = assert(uv.new_tcp())
    socks[#socks + 1] = sock
    sock:connect("127.0.0.1", port, function(err)
      assert(not err, err)
      sock:read_start(function(_, data)
        if data then
          seen.answered = seen.answered + 1
        elseif not sock:is_closing() then
          seen.closed = seen.closed + 1
          sock:close()
        end
      end)
      sock:write(bytes, function()
        seen.sent = seen.sent + 1
      end)
    end)
    if #socks % 200 == 0 then
      turn(0.01)
    end
  end
  turn(60, function()
    return seen.sent >= count
  end)
  return seen
end

after_each(function()
  for _, sock in ipairs(socks) do
    if not sock:is_closing() then
      sock:close()
    end
  end
  socks = {}
  uv.run("nowait")
end)

-- 10,000, or as many as this process may have open.
local function crowd_size()
  local pipe = io.popen("ulimit -n")
  local limit = tonumber(pipe:read("*l")) or 10000
  pipe:close()
  return math.min(UNDER_ASAN and 2000 or 10000, limit - 224)
end

local function large_head(size, lines)
  local list = { "GET /v1/capsules HTTP/1.1\r\nHost: x\r\n" .. (lines or "") }
  for i = 1, math.floor(size / 15000) do
    list[#list + 1] = ("X-%d: %s\r\n"):format(i, ("x"):rep(15000))
  end
  return table.concat(list)
end

describe("strangers", function()
  local s

  after_each(function()
    s:stop()
  end)

  it("have their large heads forgotten when they are answered", function()
    s = server.start("--isolation none", PATIENT)
    local before, count = rss(s), 400
    local seen = crowd(s, count, large_head(74 * 1024) .. "\r\n")
    turn(60, function()
      return seen.answered >= count
    end)
    assert.are.same({ count, 0 }, { seen.answered, seen.closed })
    if not UNDER_ASAN then
      assert.is_true(rss(s) - before < 8 * 1024
        + count * KIB_EACH, rss(s) - before)
    end
  end)

  it("do not fill the memory with heads that have no end", function()
    s = server.start("--isolation none", PATIENT)
    local before, count = rss(s), 600 -- 150 KiB each, if nobody stops it
    local seen = crowd(s, count, large_head(74 * 1024))
    turn(60, function()
      return seen.closed > count / 2
    end)
    assert.is_true(seen.closed > count / 2 and seen.closed < count)
    if not UNDER_ASAN then
      assert.is_true(rss(s) - before < 48 * 1024, rss(s) - before)
    end
    assert(wrenn.Capsule.list(s:options()))
  end)

  it("cost little while they say nothing", function()
    s = server.start("--isolation none", PATIENT)
    local before, count = rss(s), crowd_size()
    local seen = crowd(s, count, "G")
    assert(wrenn.Capsule.list(s:options()))
    assert.are.same({ count, 0 }, { seen.sent, seen.closed })
    assert.is_true(rss(s) - before < 2048 + count * KIB_EACH, rss(s) - before)
  end)

  it("make room for whoever has something to say", function()
    s = server.start("--isolation none", "WRENN_LOCAL_HEAD_MS=60000 "
      .. [[sh -c 'ulimit -n 128; exec "$@"' sh]])
    crowd(s, 300, "GET ") -- far more than there are descriptors
    local begun = uv.hrtime()
    local seen = crowd(s, 1, ("GET /v1/capsules HTTP/1.1\r\nHost: x\r\n"
      .. "X-API-Key: %s\r\n\r\n"):format(s.key))
    turn(60, function()
      return seen.answered > 0
    end)
    assert.are.equal(1, seen.answered)
    assert.is_true(uv.hrtime() - begun < 55e9, (uv.hrtime() - begun) / 1e9)
  end)

  it("have a time for a body that nobody needs", function()
    s = server.start("--isolation none", "WRENN_LOCAL_HEAD_MS=500")
    local begun = uv.hrtime()
    local text = raw.exchange(s.url, function(seen)
      return seen == "" and "GET /health HTTP/1.1\r\nHost: x\r\n"
        .. "Content-Length: 10\r\n\r\nx" or nil
    end, 60)
    assert.are.equal("", text)
    assert.is_true(uv.hrtime() - begun < 50e9)
  end)

  it("of the earliest servers say a token and nothing long", function()
    s = server.start("--isolation none --generation 0.1")
    local text = raw.exchange(s.url, function(seen)
      if seen == "" then
        return raw.upgrade("/v1/capsules/cl-0000000000000000000000000/pty",
          "wrong")
      end
      return not seen:find("\136\2\3\241", 1, true)
        and raw.frame(0x81, ("x"):rep(20000))
    end)
    assert.is_truthy(text:find("\136\2\3\241", 1, true)) -- 1009: too big
  end)
end)
