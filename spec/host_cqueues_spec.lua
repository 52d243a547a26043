-- cqueues: the threads of a controller use the library without blocking it.

local host = require("spec.support.host")

host.describe("in cqueues", {
  host = "cqueues", script = "cqueues", forks = true, wakeups = 5,
  kills = true,
}, function(run)
  it("controllers one after the other, nested and after a fork each work",
    function()
      local figures = run("cqueues_more")
      assert.are.equal(0, figures.one_after_the_other, figures.text)
      assert.are.equal("inner/outer/", figures.nested)
      assert.are.equal("slept in a task", figures.native)
      assert.are.equal("child/", figures.child)
      assert.are.equal("parent/", figures.parent)
      assert.are.equal("ended", figures.stream_of_parent)
      assert.are.equal(0, figures.exit)
    end)
end)
