-- A limit that was not reached does not fire: what had arrived before it counts,
-- however late it is read.

local compat = require("spec.support.compat")
local peer = require("spec.support.peer")

local PROLOGUE = [[
  local wrenn = require("wrenn")
  local task, check = wrenn.task, wrenn.check
  local function connect(more)
    more.api_key, more.base_url = "k", os.getenv("WRENN_BASE_URL")
    local client = check(wrenn.Client(more))
    return check(wrenn.Capsule.connect("cl-1", { client = client }))
  end
]]

-- Answers a command after 0.4 s, and ends one that is streamed as early.
local SCRIPT = [[
  while true do
    local req = c:request()
    if not req then return end
    if req.headers.upgrade then
      c:upgrade(req)
      c:read_frame()
      c:text('{"type":"start","pid":7}')
      c:text('{"type":"stdout","data":"a"}')
      c:sleep(0.4)
      c:text('{"type":"stdout","data":"b"}')
      c:text('{"type":"exit","exit_code":0}')
      c:close_frame(1000)
      return c:close()
    elseif req.path:find("/exec$") then
      c:sleep(0.4)
      c:respond(200, '{"exit_code":0,"stdout":"ab"}')
    elseif req.path:find("/metrics") then
      c:sleep(0.4)
      c:respond(200, '{"range":"running","points":[]}')
    elseif req.path:find("/processes$") then
      c:respond(200, '{"processes":[]}')
    else
      c:respond(200, '{"id":"cl-1","status":"running"}')
    end
  end
]]

-- Runs a program, and stops it for some time once it has printed a line.
local function run(text, stopped)
  local p = peer.start(SCRIPT)
  finally(function() p:stop() end)
  local path, out = os.tmpname(), os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(PROLOGUE, text)
  file:close()
  local output = compat.output_of(([[sh -c '
    WRENN_BASE_URL=%s timeout 60 %s %s >%s 2>&1 &
    until [ -s %s ]; do sleep 0.02; done
    %s
    wait
    cat %s']]):format(p.url, compat.lua, path, out, out,
    stopped and ([[pid=$(cat %s); kill -STOP $pid; sleep 2; kill -CONT $pid]])
      :format(out) or "", out))
  os.remove(path)
  os.remove(out)
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
        print(check(task.with_timeout(1, function()
          return c.commands:run("x")
        end)).stdout)
      ]], true))
    end)

  it("counts in a process that was stopped beyond the limit of a command",
    function()
      assert.are.equal("ab\n", run([[
        local c = connect({})
      ]] .. TELL .. [[
        print(check(c.commands:run("x", { timeout = 1 })).stdout)
      ]], true))
    end)

  it("counts in a process that was stopped beyond the limit of a call",
    function()
      assert.are.equal("running\n", run([[
        local c = connect({ timeout = 1, retries = 0 })
      ]] .. TELL .. [[
        print(check(c:metrics()).range)
      ]], true))
    end)

  it("counts for a stream whose reader is slow", function()
    assert.are.equal("ab\t0\n", run([[
      local c = connect({})
    ]] .. TELL .. [[
      local result = check(c.commands:run("x", { timeout = 1,
        on_stdout = function() os.execute("sleep 0.8") end }))
      print(result.stdout, result.exit_code)
    ]]))
  end)

  it("counts for a stream in a process that was stopped", function()
    assert.are.equal("ab\t0\n", run([[
      local c = connect({})
    ]] .. TELL .. [[
      local result = check(check(c.commands:stream("x", { timeout = 1 }))
        :wait())
      print(result.stdout, result.exit_code)
    ]], true))
  end)
end)
