-- Any Lua: Neovim, headless, has LuaJIT inside. Coroutines and tasks use the
-- library without blocking it.
-- Not sanitized: the clients are not.

local host = require("spec.support.host")

host.describe("in Neovim", {
  host = "uv", script = "nvim", forks = false, wakeups = 5,
  command = function(script, words)
    return host.luajit_env() .. (" WRENN_PARTS='%s'"):format(words),
      ("nvim --headless -u NONE -i NONE -c 'luafile spec/hosts/%s.lua'")
        :format(script)
  end,
}, function(run)
  it("all of the API may be called after a wait; the editor goes on beside one",
    function()
      local figures = run("nvim_more")
      local text = figures.text
      assert.are.equal("main/", figures.main, text)
      assert.is_true(figures.ticks_missed <= 24, text)
      assert.are.equal("in a buffer", figures.in_task, text)
      assert.are.equal("in a buffer", figures.in_coroutine)
      assert.are.equal("ConfigurationError", figures.in_callback)
      assert.are.equal("generated/", figures.generator)
      assert.is_truthy(text:find("wrenn: a task failed: .*unheard"), text)
      assert.are.equal(0, figures.exit)
    end)
end)
