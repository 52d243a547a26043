-- Starts a host (an event loop that runs a script of spec/hosts) as a process
-- and checks the figures that it prints.

local busted = require("busted")
local compat = require("spec.support.compat")
local least = require("spec.hosts.figures").least
local luassert = require("luassert")
local servers = require("spec.support.server")

local host = { lua = compat.lua }

-- The allowed growth of a process in KiB; AddressSanitizer delays the reuse of
-- freed memory.
local RSS_BOUND = os.getenv("ASAN_OPTIONS") and 400 * 1024 or 2048
local HELD_BOUND = math.max(RSS_BOUND, 8 * 1024)
-- A child does not affect what it has inherited, even when it exits.
local FORKS = 'ASAN_OPTIONS="$ASAN_OPTIONS:detect_leaks=0"'

local function read_file(path)
  local file = io.open(path)
  local text = file and file:read("*a") or ""
  if file then
    file:close()
  end
  return text
end
host.read_file = read_file

--- Arguments of env(1) that make a child load the module built for LuaJIT.
function host.luajit_env()
  local dir = "build/luajit"
  assert(io.open(dir .. "/wrenn/core.so"),
    "run scripts/build.sh build/luajit -DWRENN_LUA=luajit first"):close()
  return ('LUA_CPATH="$PWD/%s/?.so;;"'):format(dir)
end

--- Arguments with which Neovim, at a Python file, does not look for a Python of
--- its own: it starts several and waits for each, on a busy machine for minutes.
host.NO_PYTHON = "--cmd 'let g:loaded_python3_provider = 0'"

function host.parse(text)
  local figures = { text = text }
  for name, value in text:gmatch("([%w_]+) ([^\r\n]*)") do
    figures[name] = tonumber(value) or value
  end
  return figures
end

--- Runs a command against a server. Returns its figures, with all output in
--- `text` and the exit status in `exit`.
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

--- Checks that commands do not delay the host's timers. Late is what is later
--- than they are by themselves, and than those of another process at the same
--- time, which other load delays as well.
function host.check_timers(assert, run)
  local late, found = least(3, 20, function()
    local found = run("timers")
    assert.are.equal("true", found.finished, found.text)
    return (found.busy_p99_ms or 1e9) - math.max(found.base_p99_ms or 0,
      found.control_p99_ms or 0, 0), found
  end)
  assert.are.equal("1/2/", found.results)
  assert.are.equal(292, found.streamed)
  assert.is_true(late <= 20, found.text)
  return found
end

--- Checks everything except the timers; `wakeups` is the limit per second,
--- `kib` that of the growth of Lua's memory.
function host.check_rest(assert, figures, name, wakeups, kib)
  local text = figures.text
  assert.are.equal("true", figures.finished, text)
  assert.are.equal(name, figures.host)
  assert.are.equal("true", figures.reader_waits)
  assert.is_true(figures.idle_wakeups <= wakeups, text)
  assert.are.equal("true", figures.reader_ended)
  assert.are.equal(ITEMS, figures.mapped)
  assert.are.equal(10, figures.mapped_at_once)
  assert.are.equal("CancelledError", figures.cancelled)
  assert.are.equal("TimeoutError", figures.limited)
  assert.is_true(figures.limited_took < 10, text) -- of 30
  assert.are.equal("raised in a task", figures.raised)
  assert.are.equal(123, figures.generated)
  assert.are.equal(123456, figures.shared)
  assert.are.equal("typed", figures.terminal)
  assert.is_true(figures.fds_grown <= 3, text) -- kept connections
  assert.is_true(figures.rss_grown_kib < RSS_BOUND, text)
  assert.is_true(figures.lua_grown_kib < (kib or 200), text)
end

host.rest = "idle tasks terminal cycles"

-- Checks what a forked child and its parent report of each other.
local function check_fork(assert, figures, how)
  local text = figures.text
  assert.are.equal("ConnectionError", figures.in_child, text)
  assert.are.equal("child/", figures.child)
  assert.are.equal(12345678, figures.child_stream)
  assert.are.equal("1/2/3/", figures.child_tasks)
  assert.are.equal("parent/", figures["parent" .. how])
  assert.are.equal(0, figures["child_exit" .. how], text)
  assert.are.equal(12345678, figures["parent_stream" .. how])
  assert.are.equal("beside/", figures["beside" .. how])
  assert.are.equal("echoed/", figures["terminal" .. how], text)
  assert.are.equal("running", figures["capsule" .. how])
end

--- Checks the cost of a consumer that is slower than its producer.
function host.check_held(assert, figures, wakeups)
  local text = figures.text
  assert.are.equal("true", figures.finished, text)
  for _, what in ipairs({ "stream", "terminal", "download" }) do
    assert.is_true(figures[what .. "_grown_kib"] < HELD_BOUND, text)
    assert.is_true(figures[what .. "_wakeups"] <= wakeups, text)
    assert.is_true(figures[what .. "_cpu"] < 0.2, text)
  end
  assert.are.equal("waits/", figures.stream_producer)
  assert.are.equal("waits/", figures.terminal_producer)
  assert.are.equal("true", figures.kept_alive, text)
  assert.are.equal("false", figures.ahead, text)
  assert.are.equal("true", figures.served, text)
  assert.are.equal("true", figures.whole, text)
end

--- Checks the edge cases.
function host.check_edges(assert, figures)
  local text = figures.text
  assert.are.equal("true", figures.finished, text)
  assert.is_true(figures.fds_after_break <= 0, text)
  assert.are.equal("raised in a callback", figures.callback_raised)
  assert.are.equal("CancelledError", figures.cancelled_in_host_wait)
  assert.are.equal("trueTimeoutErrorTimeoutError", figures.limited_in_host_wait)
  assert.are.equal("on/", figures.after_limit)
  assert.are.equal(0, figures.parked)
  assert.are.equal(2000, figures.many)
end

--- Checks that a command does not outlive a thread killed by the host.
function host.check_killed(assert, figures)
  assert.are.equal("true", figures.finished, figures.text)
  for _, how in ipairs({ "request", "stream" }) do
    assert.are.equal("true", figures[how .. "_began"])
    assert.are.equal("false", figures[how .. "_goes_on"], how)
    assert.are.equal("true", figures[how .. "_asked"], how)
  end
end

-- The checks that all hosts share; `run(words)` returns the figures of the
-- host's script.
local function judge(host_name, spec, run)
  local it, assert = busted.it, luassert

  it("commands and streams do not delay timers", function()
    host.check_timers(assert, run)
  end)

  it("waits cost nothing, tasks work, nothing is left", function()
    local figures = run(host.rest)
    host.check_rest(assert, figures, host_name, spec.wakeups)
    assert.are.equal("true", figures.loop_ended)
    assert.are.equal(0, figures.exit)
  end)

  it("a consumer may be slower than its producer", function()
    host.check_held(assert, run("held"), spec.wakeups)
  end)

  it("loops are left, callbacks raise, waits are cancelled, tasks are many",
    function()
      host.check_edges(assert, run("edges"))
    end)

  it("programs that it starts inherit nothing", function()
    local figures = run("start")
    assert.are.equal("nothing", figures.inherited, figures.text)
    assert.are.equal(12345678, figures.stream_beside)
  end)

  if spec.kills then
    it("a command ends with its thread", function()
      host.check_killed(assert, run("killed"))
    end)
  end

  if spec.forks then
    it("a forked child and its parent do not harm each other", function()
      local figures = run("fork")
      check_fork(assert, figures, "")
      if figures.child_exit_closing then
        check_fork(assert, figures, "_closing")
      end
      assert.are.equal("true", figures.finished, figures.text)
      assert.are.equal(0, figures.exit)
    end)
  end
end

--- Describes a host with the shared checks and `more(run)`, where run(script)
--- starts another script. spec: `host`, its name in the library; `script`, in
--- spec/hosts, without "_main.lua"; `command(file, words)`, unless the current
--- Lua runs it; `forks`, false if it cannot fork; `kills`, true if threads can
--- be killed; `wakeups`, the limit per second when idle.
function host.describe(name, spec, more)
  busted.describe(name, function()
    local server

    busted.setup(function()
      server = servers.start("", "WRENN_LOCAL_PTY_PING_MS=200")
    end)

    busted.teardown(function()
      server:stop()
    end)

    local function run(script, words)
      local env = spec.forks and words == "fork" and FORKS or ""
      local command = ("%s spec/hosts/%s.lua '%s'")
        :format(host.lua, script, words or "")
      if spec.command then
        env, command = spec.command(script, words or "")
      end
      return host.run(server, env, command)
    end

    judge(spec.host, spec, function(words)
      return run(spec.script .. "_main", words)
    end)
    if more then
      more(run)
    end
  end)
end

return host
