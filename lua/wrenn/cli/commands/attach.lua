-- wrenn attach ID TAG

local console = require("wrenn.cli.console")
local core = require("wrenn.core")
local exec = require("wrenn.commands.exec")
local signals = require("wrenn.cli.signals")
local stdio = require("wrenn.cli.stdio")

-- Prints what a detached command prints from now on.
local function follow(ctx, capsule, handle)
  local at = {}
  for i, name in ipairs({ "out", "err" }) do
    at[i] = ("%d"):format(ctx:check(capsule.files:stat("~/.wrenn/"
      .. handle.folder .. "/" .. name)).size)
  end
  local stream = handle:stream({ from = table.concat(at, "+") })
  core.ignore_sigpipe()
  return signals.guard(function()
    return stdio.copy(ctx, stream)
  end, function()
    stream:close()
  end)
end

local function run(ctx, args)
  console.keys(ctx, args.detach_keys)
  local capsule = ctx:capsule(args.id)
  local handle, err = capsule.commands:durable(args.tag)
  if handle then
    return follow(ctx, capsule, handle)
  elseif not err:is("NotFoundError") then
    ctx:check(nil, err)
  end
  ctx:check(exec.find(capsule.commands, args.tag))
  if not (ctx.tty.stdin and ctx.tty.stdout) then
    ctx:misuse("stdin and stdout have to be a terminal")
  end
  return (console.run(ctx, capsule, {
    input = true,
    open = function(columns, rows)
      local term, why = capsule:pty_connect(args.tag)
      if term then
        term:resize(columns or 80, rows or 24)
      end
      return term, why
    end,
  }, args))
end

return {
  name = "attach",
  summary = "Comes back to a terminal or a detached command",
  description = [[
TAG is what `wrenn shell` and `wrenn exec -t` print when they are left, or what
`wrenn exec -d` prints. A detached command gets no input, and Ctrl-C only ends
wrenn; for what it has printed before, see `wrenn logs`.]],
  operands = {
    { name = "ID", complete = "capsule", env = "WRENN_CAPSULE" },
    { name = "TAG", complete = "process" },
  },
  options = {
    { "detach-keys", value = "KEYS",
      help = "that leave it running (ctrl-]); '' for none" },
  },
  streams = true,
  raw = true,
  run = run,
}
