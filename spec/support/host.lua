-- Starts a host (an event loop with a script of spec/hosts in it) as a process
-- of its own and judges the figures it prints.

local compat = require("spec.support.compat")

local host = { lua = compat.lua }

-- KiB that a process may grow by; AddressSanitizer holds on to what was freed.
local RSS_BOUND = os.getenv("ASAN_OPTIONS") and 400 * 1024 or 2048

local function read_file(path)
  local file = io.open(path)
  local text = file and file:read("*a") or ""
  if file then
    file:close()
  end
  return text
end
host.read_file = read_file

--- Words for env(1) that give a child the module built for LuaJIT.
function host.luajit_env()
  local dir = "build/luajit"
  assert(io.open(dir .. "/wrenn/core.so"),
    "run scripts/build.sh build/luajit -DWRENN_LUA=luajit first"):close()
  return ('LUA_CPATH="$PWD/%s/?.so;;"'):format(dir)
end

--- The running Lua and its environment, or LuaJIT where that is PUC 5.1, which
--- cannot yield through pcall and for.
function host.this_lua()
  if _VERSION == "Lua 5.1" and not package.loaded.jit then
    return host.luajit_env(), "luajit"
  end
  return "", host.lua
end

function host.parse(text)
  local figures = { text = text }
  for name, value in text:gmatch("([%w_]+) ([^\r\n]*)") do
    figures[name] = tonumber(value) or value
  end
  return figures
end

--- Runs a command against a server; its figures, and all it printed in `text`.
--- `exit` is its exit status.
function host.run(server, env, command)
  local pipe = assert(io.popen(
    ("env WRENN_BASE_URL=%s WRENN_API_KEY=%s %s timeout 150 %s 2>&1;"
      .. " status=$?; echo; echo exit $status")
      :format(server.url, server.key, env, command)))
  local text = pipe:read("*a")
  pipe:close()
  return host.parse(text)
end

local ITEMS = "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20"

local function is_late(figures)
  return (figures.busy_p99_ms or 1e9) - math.max(figures.base_p99_ms or 0, 0)
    > 20
end

--- Checks that the host's timers are not delayed by commands. On a machine
--- that is busy with other things they are by those: `run` gets more tries.
function host.check_timers(assert, run)
  local figures
  for _ = 1, 3 do
    figures = run("timers")
    assert.are.equal("true", figures.finished, figures.text)
    if not is_late(figures) then
      break
    end
  end
  assert.are.equal("1/2/", figures.results)
  assert.are.equal(292, figures.streamed)
  assert.is_false(is_late(figures), figures.text)
  return figures
end

--- Checks all but the timers; `wakeups` is how many a second may have.
function host.check_rest(assert, figures, name, wakeups)
  local text = figures.text
  assert.are.equal("true", figures.finished, text)
  assert.are.equal(name, figures.host)
  assert.are.equal("true", figures.reader_waits)
  assert.is_true(figures.idle_wakeups <= wakeups, text)
  assert.are.equal("true", figures.reader_ended)
  assert.are.equal(ITEMS, figures.mapped)
  assert.is_true(figures.map_took < 3, text) -- 4 one after the other
  assert.are.equal("CancelledError", figures.cancelled)
  assert.are.equal("TimeoutError", figures.limited)
  assert.is_true(figures.limited_took < 2, text)
  assert.are.equal("raised in a task", figures.raised)
  assert.are.equal(123, figures.generated)
  assert.are.equal(123456, figures.shared)
  assert.are.equal("typed", figures.terminal)
  assert.is_true(figures.fds_grown <= 3, text) -- kept connections
  assert.is_true(figures.rss_grown_kib < RSS_BOUND, text)
  assert.is_true(figures.lua_grown_kib < 200, text)
end

host.rest = "idle tasks terminal cycles"

return host
