-- Any Lua: wrenn mcp, with the client of the protocol's own Python SDK.

local cli = require("spec.support.cli")
local compat = require("spec.support.compat")
local core = require("wrenn.core")
local servers = require("spec.support.server")
local wrenn = require("wrenn")

local TOOLS = { "create", "list", "destroy", "exec", "read", "write",
  "list_files", "url" }

local function session(revision)
  return { revision, "wrenn" }, TOOLS, { false, { exit_code = 3,
    stdout = "out\n", stderr = "err\n", truncated = false } }, { true }, { 0 }
end

it("wrenn mcp serves another's client by the handshake and without it",
  function()
    local packages = compat.output_of("scripts/mcp.sh 2>&1")
    local folder = packages:match("([^\n]*/mcp)\n$")
      or pending("not run: that client is not here: " .. packages)
    local server = servers.start()
    local output = compat.output_of(("%s PYTHONPATH=%s timeout 240 python3"
      .. " spec/support/mcp_client.py legacy auto 2>&1"):format(
      cli.environment(server), folder))
    local told = {}
    for line in output:gmatch("[^\n]+") do
      told[#told + 1] = core.json(line)
    end
    local expected = { session("2025-11-25") }
    for _, line in ipairs({ session("2026-07-28") }) do
      expected[#expected + 1] = line
    end
    assert.are.same(expected, told, output)
    for _, info in ipairs(assert(wrenn.Capsule.list(server:options()))) do
      assert.is_truthy(info.status:find("^stopp"), info.status)
    end
    server:stop()
  end)
