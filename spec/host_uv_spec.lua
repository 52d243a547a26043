-- luv: coroutines of the program's yield, and are resumed from uv's loop.

local host = require("spec.support.host")
local server = require("spec.support.server")

local function run(s, script, words)
  local env, lua = host.this_lua()
  return host.run(s, env, ("%s spec/hosts/%s '%s'"):format(lua, script, words))
end

describe("in luv", function()
  local s

  setup(function()
    s = server.start()
  end)

  teardown(function()
    s:stop()
  end)

  it("commands and streams do not delay timers", function()
    host.check_timers(assert, function(parts)
      return run(s, "luv_main.lua", parts)
    end)
  end)

  it("waits cost nothing, tasks run, nothing is left", function()
    local figures = run(s, "luv_main.lua", host.rest)
    host.check_rest(assert, figures, "uv", 5)
    assert.are.equal("true", figures.loop_ended)
    assert.are.equal(0, figures.exit)
  end)

  it("what would block is refused, what fails is told", function()
    local figures = run(s, "luv_more.lua", "")
    local text = figures.text
    assert.are.equal("main/", figures.main, text)
    assert.is_true(figures.ticks_beside > 5, text)
    assert.are.equal("ConfigurationError", figures.in_callback)
    assert.are.equal("ConfigurationError", figures.generator)
    assert.are.equal("resumed by luv", figures.native)
    assert.are.equal("beside/", figures.beside)
    assert.is_truthy(text:find("wrenn: a task failed: .*unheard"), text)
    assert.are.equal("true", figures.loop_ended)
    assert.are.equal(0, figures.exit)
  end)
end)
