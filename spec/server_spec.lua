-- How the version of a server determines its traits.

local generations = require("spec.support.generations")
local peer = require("spec.support.peer")
local server = require("wrenn.server")
local wrenn = require("wrenn")

describe("the traits of a server", function()
  it("follow from its version", function()
    local function traits(version)
      local t = server.of_version(version)
      return { t.generation, t.max_part ~= nil, t.command_fields,
        t.process_groups, t.login_shell, t.binary_terminals }
    end
    local first = { "0.1", true, false, false, false, false }
    local second = { "0.2", false, true, true, false, false }
    local between = { "0.2.2", false, true, true, false, true }
    local third = { "0.3", false, true, true, true, true }
    for version, expected in pairs({
      ["0.1.0"] = first, ["0.1.5"] = first, ["v0.1.4-3-gabc"] = first,
      ["0.2.0"] = second, ["0.2"] = second, ["0.2.1"] = second,
      ["0.2.2"] = between, ["0.2.10"] = between, ["0.3.0"] = third,
      ["0.4.0"] = third, ["1.0"] = third, ["0.10.0"] = third,
    }) do
      assert.same(expected, traits(version), version)
    end
    assert.same({ [2] = true, [3] = false, [4] = false, [5] = true,
      [6] = false }, traits("dev"))
    assert.same({ [2] = true, [3] = false, [4] = false, [5] = true,
      [6] = false }, traits(nil))
  end)

  it("are asked for once", function()
    local p = peer.answering({ 200, '{"status":"ok","version":"0.3.1"}' })
    finally(function() p:stop() end)
    local client = assert(wrenn.Client(p:options()))
    for _ = 1, 2 do
      assert.equal("0.3", assert(server.traits(client)).generation)
    end
    assert.equal(1, #p:received())
    assert.truthy(p:received()[1]:find("^GET /health "))
  end)

  it("are the most careful ones where there is no /health", function()
    local p = peer.answering({ 404, "404 page not found" })
    finally(function() p:stop() end)
    local client = assert(wrenn.Client(p:options()))
    assert.equal(server.of_version(nil), assert(server.traits(client)))
  end)

  it("are an error, and asked for again, when nobody answers", function()
    local p = peer.start([[
      c:request()
      if n == 1 then
        return c:reset()
      end
      c:respond(200, '{"status":"ok","version":"0.2.0"}')
    ]])
    finally(function() p:stop() end)
    local client = assert(wrenn.Client(p:options({ retries = 0 })))
    local traits, err = server.traits(client)
    assert.is_nil(traits)
    assert.equal("ConnectionError", err.type)
    assert.equal("0.2", assert(server.traits(client)).generation)
  end)

  generations.each(function(generation)
    it("are found out from a " .. generation.name, function()
      local s = generations.start(generation)
      finally(function() s:stop() end)
      local traits = assert(server.traits(assert(wrenn.Client(s:options()))))
      assert.equal(not generation.waits, traits.process_groups)
      assert.equal(generation.binary or false, traits.binary_terminals)
      assert.equal(generation.typed or false, traits.login_shell)
    end)
  end)
end)
