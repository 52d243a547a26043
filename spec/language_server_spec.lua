-- Any Lua: a language server understands the comments: it finds nothing in the
-- module and in programs that use it, offers its names, and warns of others.
-- Not sanitized: it is about no C.

local compat = require("spec.support.compat")
local documents = require("spec.support.documents")
local language_server = require("spec.support.language_server")

describe("in a language server", function()
  local said = compat.output_of("scripts/language-server.sh 2>&1")
  local program = said:match("([^\n]*/emmylua_ls)\n$")
  if not program then
    it("names are found and offered", function()
      pending("not run: there is no language server here: " .. said)
    end)
    return
  end
  local folder, running

  setup(function()
    folder = compat.output_of("mktemp -d"):match("[^\n]+")
  end)

  teardown(function()
    os.execute("rm -r " .. folder)
  end)

  after_each(function()
    if running then
      running:stop()
      running = nil
    end
  end)

  local function start(path)
    running = language_server.start(program, path, folder)
    return running
  end

  local function write(name, text)
    local file = assert(io.open(folder .. "/" .. name, "w"))
    file:write(text)
    file:close()
  end

  -- A folder of somebody who uses the module, and nothing else of this tree.
  local function be_a_user()
    write(".emmyrc.json", ('{"workspace": {"library": ["%s/lua"]},'
      .. ' "runtime": {"version": "Lua5.4"}}')
      :format(compat.output_of("pwd"):match("[^\n]+")))
  end

  it("there is nothing to find in the module", function()
    local found = {}
    local lines, files = start("."):findings()
    for _, line in ipairs(lines) do
      if line:find("^lua/") then
        found[#found + 1] = line
      end
    end
    assert.is_true(files > 100)
    assert.are.equal("", table.concat(found, "\n"))
  end)

  -- Only that an error may be nil, and the piece of a stream, as it may.
  it("there is nothing to find in the README and the examples", function()
    be_a_user()
    for i, block in ipairs(documents.blocks_of("README.md")) do
      if block.kind == "lua" then
        write("readme_" .. i .. ".lua", block.text)
      end
    end
    os.execute("cp examples/*.lua " .. folder)
    local found = {}
    local lines, files = start(folder):findings()
    for _, line in ipairs(lines) do
      if not line:find("need%-check%-nil: err[%w_.]* may be nil$")
        and not line:find("need%-check%-nil: .*:read%(%) may be nil$")
        and not line:find("`wrenn.core`", 1, true)
      then
        found[#found + 1] = line
      end
    end
    assert.is_true(files > 5)
    assert.are.equal("", table.concat(found, "\n"))
    os.execute("rm " .. folder .. "/*.lua")
  end)

  it("wrong names are found, right ones are offered", function()
    be_a_user()
    write("wrong.lua", [[
local wrenn = require("wrenn")
wrenn.Capsul.create()
local capsule = wrenn.check(wrenn.Capsule { wait = true })
capsule.comands:run("true")
capsule.commands:rum("true")
print(wrenn.check(capsule.commands:run("true")).exitcode)
local stream = assert(capsule.commands:stream("true"))
for event in stream do print(event.typ) end
print(assert(capsule.commands:run("x", { background = true })).stdout)
print(assert(capsule.files:stat("x")).length)
local code = wrenn.check(wrenn.code_runner.Capsule.create())
code:runcode("1")
]])
    local server = start(folder)
    local named = {}
    for _, line in ipairs(server:findings()) do
      local at, name = line:match(":(%d+): undefined%-field: .*`(.-)`")
      named[#named + 1] = at and at .. " " .. name or line
    end
    table.sort(named, function(a, b)
      return tonumber(a:match("%d+")) < tonumber(b:match("%d+"))
    end)
    assert.are.equal("2 Capsul, 4 comands, 5 rum, 6 exitcode, 8 typ, 9 stdout,"
      .. " 10 length, 12 runcode", table.concat(named, ", "))

    local begin = 'local wrenn = require("wrenn")\n'
    local offered = server:offers("module.lua", begin .. "print(wrenn.")
    for _, name in ipairs({ "Capsule", "Client", "base64_decode", "check",
      "code_runner", "errors", "task", "update", "with" })
    do
      assert.is_true(offered[name], name)
    end
    offered = server:offers("capsule.lua", begin
      .. "local capsule = assert(wrenn.Capsule.create())\ncapsule.")
    for _, name in ipairs({ "commands", "files", "git", "id", "pty" }) do
      assert.is_true(offered[name], name)
    end
  end)
end)
