-- wrenn-local --lenient: reports reasons that real servers do not, and lacks
-- their unintended limits.

local generations = require("spec.support.generations")
local wire = require("spec.support.wire")

generations.each(function(g)
  describe("a lenient wrenn-local " .. g.name, function()
    local s, w, path

    setup(function()
      s = generations.start(g, "--lenient")
      w = wire.new(s)
      path = w:create()
    end)

    teardown(function()
      w:close()
      s:stop()
    end)

    it("says that something is not there", function()
      for _, call in ipairs({ "read", "stream/read", "list", "remove" }) do
        local answer = w:request("POST", path .. "/files/" .. call,
          { path = "/tmp/none" })
        assert.are.same({ 404, "not_found" },
          { answer.status, answer.error.code })
      end
      local answer = w:request("DELETE", path .. "/processes/none")
      assert.are.same({ 404, "process with tag none not found" },
        { answer.status, answer.error.message })
    end)

    it("takes parts of any size, and lists whatever name", function()
      local body, options = wire.form({ "path", "/tmp/d/big" },
        { "file", ("x"):rep(3 * 1024 * 1024) })
      for _, call in ipairs({ "write", "stream/write" }) do
        assert.are.equal(204, w:request("POST", path .. "/files/" .. call,
          body, options).status)
      end
      w:sh(path, "touch \"$(printf '/tmp/d/b\\377')\"")
      local answer = w:request("POST", path .. "/files/list",
        { path = "/tmp/d" })
      assert.are.equal(2, #answer.json.entries)
    end)
  end)
end)
