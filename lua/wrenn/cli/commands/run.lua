-- wrenn run CMD [ARG...]

local cleanup = require("wrenn.task.cleanup")
local execute = require("wrenn.cli.execute")
local making = require("wrenn.cli.making")
local signals = require("wrenn.cli.signals")

local function run(ctx, args)
  execute.check(ctx, args)
  if args.rm and args.detach then
    ctx:misuse("--rm does not go with --detach")
  elseif args.rm and (args.detach_keys or "") ~= "" then
    ctx:misuse("--rm does not go with --detach-keys")
  elseif args.rm then
    args.detach_keys = "" -- nobody could come back
  end
  require("wrenn.core").ignore_sigpipe()
  local capsule
  return signals.guard(function(guard)
    capsule = ctx:check(require("wrenn").Capsule.create(
      making.request(ctx, args)))
    if not args.rm then
      io.stderr:write(capsule.id, "\n")
    end
    -- What runs a command in the foreground has a guard of its own.
    guard.on_signal = not args.detach and function()
      return true
    end or nil
    return execute.run(ctx, capsule, args)
  end, function()
    if args.rm and capsule then
      cleanup.run(capsule.client, "destroy " .. capsule.id, capsule.destroy,
        capsule)
    end
  end)
end

return {
  name = "run",
  summary = "Runs a command in a new capsule",
  description = [[
Creates a capsule and runs the command in it, as `wrenn exec` does. With --rm
the capsule is destroyed at the end, however that comes; without, its id is
printed on stderr.]],
  operands = { execute.operand },
  options = making.with(execute.with({
    { "rm", help = "destroy the capsule at the end" },
  })),
  stops = true,
  streams = true,
  raw = true,
  examples = {
    { "wrenn run --rm python3 -c 'print(6*7)'", "and nothing is left" },
    { "wrenn run --ttl 1h make", "in a capsule that stays" },
  },
  run = run,
}
