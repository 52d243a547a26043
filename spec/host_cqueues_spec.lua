-- cqueues: threads of a controller use the library, and the controller goes on.

local host = require("spec.support.host")
local server = require("spec.support.server")

local function run(s, script, words)
  local env, lua = host.this_lua()
  return host.run(s, env, ("%s spec/hosts/%s '%s'"):format(lua, script, words))
end

describe("in cqueues", function()
  local s

  setup(function()
    s = server.start()
  end)

  teardown(function()
    s:stop()
  end)

  it("commands and streams do not delay timers", function()
    host.check_timers(assert, function(parts)
      return run(s, "cqueues_main.lua", parts)
    end)
  end)

  it("waits cost nothing, tasks are threads, nothing is left", function()
    local figures = run(s, "cqueues_main.lua", host.rest)
    host.check_rest(assert, figures, "cqueues", 5)
    assert.are.equal("true", figures.loop_ended)
    assert.are.equal(0, figures.exit)
  end)

  it("controllers one after the other, nested and after a fork each work",
    function()
      local figures = host.run(s, host.luajit_env(),
        "luajit spec/hosts/cqueues_more.lua")
      assert.are.equal(0, figures.one_after_the_other, figures.text)
      assert.are.equal("inner/outer/", figures.nested)
      assert.are.equal("slept in a task", figures.native)
      assert.are.equal("child/", figures.child)
      assert.are.equal("parent/", figures.parent)
      assert.are.equal("ended", figures.stream_of_parent)
      assert.are.equal(0, figures.exit)
    end)
end)
