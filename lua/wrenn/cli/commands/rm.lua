-- wrenn rm ID...

local selecting = require("wrenn.cli.selecting")

-- The ids to destroy, and whether a filter has chosen them.
local function chosen(ctx, args)
  local filtered = args.status or args.template or args.metadata
  if not args.all and not filtered then
    if #args.ids == 0 then
      ctx:misuse("ID is missing (--all destroys every capsule)")
    end
    return args.ids, false
  elseif #args.ids > 0 then
    ctx:misuse("--all and filters take no ID")
  end
  local ids = {}
  for _, info in ipairs(selecting.list(ctx, args)) do
    if not selecting.has_ended(info.status) then
      ids[#ids + 1] = info.id
    end
  end
  return ids, true
end

local function run(ctx, args)
  local ids, by_filter = chosen(ctx, args)
  if by_filter and #ids > 0 and not args.yes and not args.dry_run
    and not ctx:confirm(("Destroy %d capsule%s?"):format(#ids,
      #ids == 1 and "" or "s"), "--yes")
  then
    return 1
  end
  return ctx:each_capsule(ids, function(id)
    if not args.dry_run then
      ctx:check(require("wrenn").Capsule.destroy(id, { client = ctx:client(),
        wait = not args.no_wait }))
    end
    return id
  end)
end

return {
  name = "rm",
  summary = "Destroys capsules",
  description = [[
Prints the id of each one that is gone. With --all, or with filters instead of
IDs, it asks first; where there is no terminal to ask on, --yes is needed.]],
  operands = {
    { name = "ID", key = "ids", many = true, optional = true,
      complete = "capsule" },
  },
  options = selecting.with({
    { "all", short = "a", help = "destroy all capsules" },
    { "yes", short = "y", help = "do not ask" },
    { "dry-run", short = "n", help = "only print what would be destroyed" },
    { "no-wait", help = "do not wait until they are gone" },
    { "quiet", short = "q", help = "print nothing" },
  }),
  examples = {
    { "wrenn rm cl-3f cl-9a", "two capsules" },
    { "wrenn rm -y -m job=42", "all that a job has left" },
  },
  run = run,
}
