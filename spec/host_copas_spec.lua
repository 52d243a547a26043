-- copas, as old as Debian's: threads wait on what looks like sockets.

local host = require("spec.support.host")
local server = require("spec.support.server")

-- Debian has it for Lua 5.1 and 5.2 only, and it takes yields through pcall.
local function run(s, parts)
  return host.run(s, host.luajit_env(),
    ("luajit spec/hosts/copas_main.lua '%s'"):format(parts))
end

describe("in copas", function()
  local s

  setup(function()
    s = server.start()
  end)

  teardown(function()
    s:stop()
  end)

  it("commands and streams do not delay timers", function()
    host.check_timers(assert, function(parts)
      return run(s, parts)
    end)
  end)

  it("waits cost nothing, tasks are threads, nothing is left", function()
    local figures = run(s, host.rest)
    host.check_rest(assert, figures, "copas", 5)
    assert.are.equal("true", figures.loop_ended)
    assert.are.equal(0, figures.exit)
  end)
end)
