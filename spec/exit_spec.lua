-- A program may end at any moment. Its process ends cleanly, whatever is open,
-- being opened or just closed.

local compat = require("spec.support.compat")
local server = require("spec.support.server")

local moments = {
  ["a stream is open"] = [[ s = stream("sleep 9") s:read() ]],
  ["a stream has not been read"] = [[ s = stream("sleep 9") ]],
  ["a stream was just closed"] = [[ s = stream("sleep 9") s:read() s:close() ]],
  ["a stream was dropped"] = [[ stream("sleep 9"):read() collectgarbage() ]],
  ["much waits to be read"] =
    [[ s = stream("yes") s:read() wrenn.task.sleep(0.2) ]],
  ["a terminal is open"] = [[ t = check(c:pty()) t:read() t:write("x") ]],
  ["a terminal was just closed"] = [[ t = check(c:pty()) t:close() ]],
  ["a download is half-way"] = [[
    check(c.files:write("/tmp/f", ("x"):rep(3000000)))
    d = check(c.files:download_stream("/tmp/f")) d:read() ]],
  ["a request was cancelled"] = [[
    wrenn.task.with_timeout(0.1, function() c.commands:run("sleep 9") end) ]],
  ["tasks are under way"] = [[
    wrenn.task.spawn(function() c.commands:run("sleep 9") end)
    wrenn.task.spawn(function() stream("sleep 9"):wait() end)
    wrenn.task.sleep(0.1) ]],
  ["a socket opens"] = [[
    wrenn.task.with_timeout(0, function() c.commands:stream("true") end) ]],
  ["an error was raised"] =
    [[ s = stream("sleep 9") s:read() error("meant", 0) ]],
}

describe("a program that ends while", function()
  local s

  setup(function()
    s = server.start()
  end)

  teardown(function()
    s:stop()
  end)

  for name, script in pairs(moments) do
    it(name .. " ends cleanly", function()
      local path = os.tmpname()
      local file = assert(io.open(path, "w"))
      file:write([[
        local wrenn = require("wrenn")
        local check = wrenn.check
        c = check(wrenn.Capsule.create({ wait = true }))
        local function stream(cmd) return check(c.commands:stream(cmd)) end
      ]], script)
      file:close()
      -- Memory that was given back is filled: who still uses it, crashes.
      local pipe = assert(io.popen(("WRENN_BASE_URL=%s WRENN_API_KEY=%s"
        .. " MALLOC_PERTURB_=165 timeout 120 %s %s 2>&1; echo status $?")
        :format(s.url, s.key, compat.lua, path)))
      local text = pipe:read("*a")
      pipe:close()
      os.remove(path)
      if name == "an error was raised" then
        assert.is_truthy(text:find("meant", 1, true))
        assert.is_truthy(text:find("status 1\n$"), text)
      else
        assert.are.equal("status 0\n", text)
      end
    end)
  end
end)
