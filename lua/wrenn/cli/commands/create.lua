-- wrenn create

local making = require("wrenn.cli.making")

local function run(ctx, args)
  local request = making.request(ctx, args)
  request.wait = not args.no_wait
  local capsule =
    ctx:check(require("wrenn").Capsule.create(request))
  if ctx.json then
    ctx:emit(capsule.info)
  else
    ctx:print(capsule.id)
  end
end

return {
  name = "create",
  summary = "Creates a capsule and prints its id",
  options = making.with({
    { "no-wait", help = "do not wait until it runs" },
    { "quiet", short = "q", help = "print the id only, as without it" },
  }),
  examples = {
    { "wrenn create", "from the server's default template" },
    { "id=$(wrenn create --ttl 10m -m job=42)", "labelled, for a script" },
  },
  run = run,
}
