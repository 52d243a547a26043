-- wrenn volume ls|create|rm

local layout = require("wrenn.cli.layout")

local function list(ctx)
  local volumes = ctx:check(ctx:client().volumes:list())
  if ctx.json then
    ctx:emit(require("wrenn.cli.json").array(volumes))
    return
  end
  local rows = {}
  for i, volume in ipairs(volumes) do
    if ctx.quiet then
      ctx:print(layout.plain(volume.id))
    end
    rows[i] = { volume.id, volume.name, layout.megabytes(volume.size_mb),
      volume.status, volume.sandbox_id, layout.age(volume.created_at) }
  end
  if not ctx.quiet then
    ctx:table({ "ID", "NAME", "SIZE", "STATUS", "CAPSULE", "AGE" }, rows)
  end
end

local function create(ctx, args)
  local volume = ctx:check(ctx:client().volumes:create({ name = args.name,
    size_mb = args.size }))
  if ctx.json then
    ctx:emit(volume)
  else
    ctx:print(layout.plain(volume.id))
  end
end

local function remove(ctx, args)
  local all
  return ctx:for_each(args.volumes, function(text)
    all = all or ctx:check(ctx:client().volumes:list())
    local ref = text
    for _, volume in ipairs(all) do
      if volume.name == "vl-" .. text then
        ref = volume.id
      end
    end
    local volume = ctx:choose(all, ref, "volume")
    ctx:check(ctx:client().volumes:delete(volume.id))
    if not ctx.quiet and not ctx.json then
      ctx:stream(volume.id)
    end
  end)
end

return {
  name = "volume",
  summary = "Storage that outlives capsules",
  description = "For servers from 0.4 on.",
  subcommands = {
    {
      name = "ls", aliases = { "list" }, summary = "Lists volumes",
      options = { { "quiet", short = "q", help = "print ids only" } },
      run = list,
    },
    {
      name = "create", summary = "Creates a volume and prints its id",
      operands = { { name = "NAME", optional = true } },
      options = {
        { "size", short = "s", value = "SIZE", type = "size",
          help = "such as 512M or 20G" },
      },
      run = create,
    },
    {
      name = "rm", summary = "Deletes volumes and what is on them",
      operands = {
        { name = "VOLUME", key = "volumes", many = true, complete = "volume" },
      },
      options = { { "quiet", short = "q", help = "print nothing" } },
      run = remove,
    },
  },
}
