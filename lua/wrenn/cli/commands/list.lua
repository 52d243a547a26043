-- wrenn list

local selecting = require("wrenn.cli.selecting")

local function run(ctx, args)
  local list = {}
  for _, info in ipairs(selecting.list(ctx, args)) do
    if args.all or args.status or not selecting.has_ended(info.status) then
      list[#list + 1] = info
    end
  end
  if ctx.quiet then
    for _, info in ipairs(list) do
      ctx:print(info.id)
    end
  elseif ctx.json then
    ctx:emit(require("wrenn.cli.json").array(list))
  else
    selecting.print(ctx, list)
  end
end

return {
  name = "list",
  aliases = { "ls" },
  summary = "Lists capsules, the newest first",
  options = selecting.with({
    { "all", short = "a", help = "also those that have ended" },
    { "quiet", short = "q", help = "print ids only" },
  }),
  examples = {
    { "wrenn list -s running", "what runs" },
    { "wrenn list --json -m job=42", "what a job has left" },
  },
  run = run,
}
