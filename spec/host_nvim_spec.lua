-- Neovim, headless: coroutines and tasks use the library beside the editor.

local host = require("spec.support.host")
local server = require("spec.support.server")

local function nvim(s, script, words)
  return host.run(s, host.luajit_env() .. (" WRENN_PARTS='%s'"):format(words),
    ("nvim --headless -u NONE -i NONE -c 'luafile spec/hosts/%s'")
      :format(script))
end

describe("in Neovim", function()
  local s

  setup(function()
    s = server.start()
  end)

  teardown(function()
    s:stop()
  end)

  it("commands and streams do not delay timers", function()
    host.check_timers(assert, function(parts)
      return nvim(s, "nvim_main.lua", parts)
    end)
  end)

  it("waits cost nothing, tasks run, nothing is left", function()
    local figures = nvim(s, "nvim_main.lua", host.rest)
    host.check_rest(assert, figures, "uv", 5)
    assert.are.equal("true", figures.loop_ended)
    assert.are.equal(0, figures.exit)
  end)

  it("all of the API may be called after a wait; the editor goes on beside one",
    function()
      local figures = nvim(s, "nvim_more.lua", "")
      local text = figures.text
      assert.are.equal("main/", figures.main, text)
      assert.is_true(figures.ticks_beside > 5, text)
      assert.are.equal("in a buffer", figures.in_task, text)
      assert.are.equal("in a buffer", figures.in_coroutine)
      assert.are.equal("ConfigurationError", figures.in_callback)
      assert.are.equal("generated/", figures.generator)
      assert.is_truthy(text:find("wrenn: a task failed: .*unheard"), text)
      assert.are.equal(0, figures.exit)
    end)
end)
