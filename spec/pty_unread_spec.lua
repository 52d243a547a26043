-- Terminals whose program reads nothing: the server is then busy for 5 s with
-- each piece of input, and drops what follows. All generations at the same time.

local expect = require("spec.support.expect")
local generations = require("spec.support.generations")
local terminal = require("spec.support.terminal")
local wrenn = require("wrenn")

local read_until = terminal.read_until

local function check(capsule)
  local term = assert(capsule:pty({ cmd = "/bin/sh", args = { "-c",
    "stty raw -echo; echo go; while :; do stty size; sleep 0.1; done" } }))
  read_until(term, "go")
  assert.is_true(term:write(("x"):rep(300000)))
  assert.is_true(term:resize(120, 40))
  read_until(term, "40 120")
  assert.is_true(term:write(("x"):rep(300000)))
  assert.is_true(term:kill())
  read_until(term)
  assert.are.equal(-1, term.exit_code)
  term:close()
  expect.soon(function()
    return #assert(capsule.commands:list()) == 0
  end)
end

describe("a terminal whose program reads nothing", function()
  local servers = {}

  teardown(function()
    for _, s in ipairs(servers) do
      s:stop()
    end
  end)

  it("is resized and killed right behind a burst of input", function()
    local capsules = {}
    generations.each(function(g)
      local s = generations.start(g)
      servers[#servers + 1] = s
      capsules[#capsules + 1] =
        assert(wrenn.Capsule.create(s:options({ wait = true })))
    end)
    assert(wrenn.task.map(capsules, function(capsule)
      check(capsule)
      return true
    end))
  end)
end)
