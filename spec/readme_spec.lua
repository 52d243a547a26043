-- The programs in the README work, whoever is the capsule's user.

local host = require("spec.support.host")
local server = require("spec.support.server")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local function program()
  local text = host.read_file("README.md"):match("\n```lua\n(.-)\n```\n")
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

for _, user in ipairs({ "root", "wrenn-user" }) do
  describe("for " .. user, function()
    local s

    setup(function()
      s = server.start("--user " .. user)
    end)

    teardown(function()
      s:stop()
    end)

    it("the first program of the README does what it says", function()
      local path = program()
      local figures = host.run(s, "", host.lua .. " " .. path)
      os.remove(path)
      assert.are.equal(0, figures.exit, figures.text)
      assert.is_truthy(figures.text:find("Linux\n\t3", 1, true), figures.text)
      assert.is_truthy(figures.text:find("hello from Lua\n", 1, true),
        figures.text)
    end)

    it("the quickstart does what its headings say", function()
      local figures = host.run(s, "", host.lua .. " examples/quickstart.lua")
      local text = figures.text
      assert.are.equal(0, figures.exit, text)
      for _, part in ipairs({ "[compile] ...", "built", "exit code 0",
        "main.sh", "It's built & it works", "six times seven is 42",
        "a b c d e", "and it is gone" }) do
        assert.is_truthy(text:find(part, 1, true), text)
      end
    end)

    walls.only(it, pending)("commands become the other user", function()
      local capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
      local run = capsule.commands
      assert.are.equal(user .. "\n", assert(run:run("id -un")).stdout)
      for _, opts in ipairs({ { user = "root" }, { user = "root", args = {
        "-c", "id -un; pwd; echo $HOME $A" }, envs = { A = "a b" } } }) do
        local result = assert(run:run(opts.args and "/bin/sh"
          or "id -un; pwd; echo $HOME $A", opts))
        assert.are.equal("root\n/root\n/root" .. (opts.envs and " a b" or "")
          .. "\n", result.stdout)
      end
      assert.are.equal("/root\n", assert(run:run("pwd",
      { user = "root", cwd = "/root" })).stdout)
    assert(capsule.files:make_dir("below"))
    assert.is_truthy(assert(run:run("pwd",
      { user = "root", cwd = "below" })).stdout:find("/below\n$"))
    local _, err = run:run("pwd", { user = "root", cwd = "/no/such" })
    assert.is_truthy(err.message:find("/no/such", 1, true))
    capsule:destroy()
    end)
  end)
end

describe("the README", function()
  it("and the examples count on no one's home", function()
    local pipe = io.popen("grep -rnE '[\"\\`/ ](root|home)/' README.md"
      .. " examples --include=*.lua --include=README.md; echo end")
    assert.are.equal("end\n", pipe:read("*a"))
    pipe:close()
  end)
end)
