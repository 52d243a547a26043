-- luv: the program's coroutines yield, and are resumed by uv's loop.

local host = require("spec.support.host")

host.describe("in luv", {
  host = "uv", script = "luv", forks = true, wakeups = 5,
  kills = coroutine.close ~= nil,
}, function(run)
  it("what would block is refused, what fails is told", function()
    local figures = run("luv_more")
    local text = figures.text
    assert.are.equal("main/", figures.main, text)
    assert.is_true(figures.ticks_missed <= 24, text)
    assert.are.equal("ConfigurationError", figures.in_callback)
    assert.are.equal("ConfigurationError", figures.generator)
    assert.are.equal("resumed by luv", figures.native)
    assert.are.equal("beside/", figures.beside)
    assert.is_truthy(text:find("wrenn: a task failed: .*unheard"), text)
    assert.are.equal("true", figures.loop_ended)
    assert.are.equal(0, figures.exit)
  end)
end)
