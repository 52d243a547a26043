-- A limit that was not reached does not fire: what had arrived before it counts,
-- however late it is read.

local compat = require("spec.support.compat")
local peer = require("spec.support.peer")

local PROLOGUE = [[
  local LIMIT = 6 -- seconds: a machine may take long to come so far
  local wrenn = require("wrenn")
  local task, check = wrenn.task, wrenn.check
  local function connect(more)
    more.api_key, more.base_url = "k", os.getenv("WRENN_BASE_URL")
    local client = check(wrenn.Client(more))
    return check(wrenn.Capsule.connect("cl-1", { client = client }))
  end
]]

-- Answers a command, and ends one that is streamed, once the file `go` is there.
local SCRIPT = [[
  local function await()
    log("asked")
    repeat c:sleep(0.01) until io.open(go)
  end
  while true do
    local req = c:request()
    if not req then return end
    if req.headers.upgrade then
      c:upgrade(req)
      c:read_frame()
      c:text('{"type":"start","pid":7}')
      c:text('{"type":"stdout","data":"a"}')
      await()
      c:text('{"type":"stdout","data":"b"}')
      c:text('{"type":"exit","exit_code":0}')
      c:close_frame(1000)
      return c:close()
    elseif req.path:find("/exec$") then
      await()
      c:respond(200, '{"exit_code":0,"stdout":"ab"}')
    elseif req.path:find("/metrics") then
      await()
      c:respond(200, '{"range":"running","points":[]}')
    elseif req.path:find("/processes$") then
      c:respond(200, '{"processes":[]}')
    else
      c:respond(200, '{"id":"cl-1","status":"running"}')
    end
  end
]]

-- Stops the program from when it has asked for something to beyond its limit;
-- meanwhile the answer comes.
local STOPPED = [[
  until grep -qa asked $LOG; do sleep 0.02; done
  pid=$(cat $OUT)
  kill -STOP $pid
  touch $GO
  sleep 7
  kill -CONT $pid
]]

-- Runs a program, whose first line of output is its pid.
local function run(text, stopped)
  local path, out, go = os.tmpname(), os.tmpname(), os.tmpname()
  os.remove(go)
  local p = peer.start(("local go = %q\n"):format(go) .. SCRIPT)
  finally(function() p:stop() end)
  local file = assert(io.open(path, "w"))
  file:write(PROLOGUE, text)
  file:close()
  local output = compat.output_of(([[export WRENN_BASE_URL=%s GO=%s
    OUT=%s LOG=%s
    timeout 60 %s %s >$OUT 2>&1 &
    %s
    wait
    cat $OUT]]):format(p.url, go, out, p.log, compat.lua, path,
    stopped and STOPPED or ""))
  os.remove(path)
  os.remove(out)
  os.remove(go)
  return (output:gsub("^[^\n]*\n", ""))
end

-- The program tells its pid.
local TELL = [[
  io.stdout:setvbuf("no")
  print(require("wrenn.core").pid())
]]

describe("an answer that has arrived", function()
  it("counts in a process that was stopped beyond a limit around it",
    function()
      assert.are.equal("ab\n", run([[
        local c = connect({})
      ]] .. TELL .. [[
        print(check(task.with_timeout(LIMIT, function()
          return c.commands:run("x")
        end)).stdout)
      ]], true))
    end)

  it("counts in a process that was stopped beyond the limit of a command",
    function()
      assert.are.equal("ab\n", run([[
        local c = connect({})
      ]] .. TELL .. [[
        print(check(c.commands:run("x", { timeout = LIMIT })).stdout)
      ]], true))
    end)

  it("counts in a process that was stopped beyond the limit of a call",
    function()
      assert.are.equal("running\n", run([[
        local c = connect({ timeout = LIMIT, retries = 0 })
      ]] .. TELL .. [[
        print(check(c:metrics()).range)
      ]], true))
    end)

  it("counts for a stream whose reader is slow", function()
    assert.are.equal("ab\t0\n", run([[
      local c = connect({})
    ]] .. TELL .. [[
      local result = check(c.commands:run("x", { timeout = LIMIT,
        on_stdout = function() os.execute("touch $GO; sleep 4") end }))
      print(result.stdout, result.exit_code)
    ]]))
  end)

  it("counts for a stream in a process that was stopped", function()
    assert.are.equal("ab\t0\n", run([[
      local c = connect({})
    ]] .. TELL .. [[
      local result = check(check(c.commands:stream("x", { timeout = LIMIT }))
        :wait())
      print(result.stdout, result.exit_code)
    ]], true))
  end)
end)
