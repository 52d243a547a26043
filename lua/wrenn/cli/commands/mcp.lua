-- wrenn mcp

local function run(ctx, args)
  local signals = require("wrenn.cli.signals")
  require("wrenn.core").ignore_sigpipe()
  local tools = require("wrenn.cli.mcp.tools").new(ctx, {
    capsule = args.capsule and ctx:id(args.capsule), ttl = args.ttl })
  local server = require("wrenn.cli.mcp.rpc").new(tools)
  signals.guard(function()
    ctx:client() -- without a key it fails now
    server:serve()
  end, function()
    server:finish()
    tools:finish()
  end)
end

return {
  name = "mcp",
  summary = "Serves capsules to an agent, by the Model Context Protocol",
  description = [[
Speaks on stdin and stdout, in the revisions up to 2025-11-25, which begin with
a handshake, and in that of 2026-07-28. The tools: create, list, destroy, exec,
read, write, list_files, url. The capsules that it has created are destroyed
when stdin ends; a command whose call is cancelled is killed.]],
  options = {
    { "capsule", value = "ID", complete = "capsule",
      help = "the capsule of calls that name none; it stays" },
    { "ttl", value = "DURATION", type = "duration",
      help = "of new capsules: without activity until they are paused" },
  },
  streams = true,
  raw = true,
  examples = {
    { "claude mcp add wrenn -- wrenn mcp", "for Claude Code" },
  },
  run = run,
}
