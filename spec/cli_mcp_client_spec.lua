-- Any Lua: wrenn mcp, with the clients of others: that of the protocol's own
-- Python SDK, and the inspector.
-- Not sanitized: the clients are not, and cli_mcp_spec.lua is.

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

local function client(name)
  local said = compat.output_of("scripts/mcp.sh " .. name .. " 2>&1")
  return said:match("([^\n]*/mcp/" .. name .. ")\n$")
    or pending("not run: that client is not here: " .. said)
end

it("wrenn mcp serves another's client by the handshake and without it",
  function()
    local folder = client("python")
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

it("wrenn mcp serves the inspector", function()
  local folder = client("inspector")
  local server = servers.start()
  local capsule = assert(wrenn.Capsule.create(server:options({ wait = true })))

  local function ask(method)
    return core.json(compat.output_of(("%s timeout 120 node %s/node_modules/"
      .. "@modelcontextprotocol/inspector-cli/build/index.js bin/wrenn mcp"
      .. " --capsule %s --method %s 2>&1"):format(cli.environment(server),
      folder, capsule.id, method)))
  end

  local names = {}
  for i, tool in ipairs(ask("tools/list").tools) do
    names[i] = tool.name
  end
  assert.are.same(TOOLS, names)
  assert.are.same({ exit_code = 3, stdout = "out\n", stderr = "err\n",
    truncated = false }, ask("tools/call --tool-name exec --tool-arg"
      .. " 'command=echo out; echo err >&2; exit 3'").structuredContent)
  assert.is_true(ask("tools/call --tool-name read --tool-arg path=/nowhere")
    .isError)
  server:stop()
end)
