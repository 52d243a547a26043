-- wrenn snapshot ls|create|rm|rename

local layout = require("wrenn.cli.layout")

local function list(ctx, args)
  local kind = not args.all and "snapshot" or nil
  local templates =
    ctx:check(ctx:client().snapshots:list({ type = kind, q = args.query }))
  if ctx.json then
    ctx:emit(require("wrenn.cli.json").array(templates))
    return
  end
  local rows = {}
  for i, template in ipairs(templates) do
    if ctx.quiet then
      ctx:print(layout.plain(template.name or ""))
    end
    rows[i] = { template.name, template.type, layout.value(template.vcpus),
      layout.megabytes(template.memory_mb), layout.bytes(template.size_bytes),
      layout.age(template.created_at) }
  end
  if not ctx.quiet then
    ctx:table({ "NAME", "TYPE", "CPUS", "MEMORY", "SIZE", "AGE" }, rows)
  end
end

local function create(ctx, args)
  local template = ctx:check(ctx:client().snapshots:create(ctx:id(args.id), {
    name = args.name, overwrite = args.overwrite, wait = not args.no_wait,
    timeout = args.timeout }))
  if ctx.json then
    ctx:emit(template)
  elseif template.name then
    ctx:print(layout.plain(template.name))
  end
end

local function remove(ctx, args)
  return ctx:for_each(args.names, function(name)
    ctx:check(ctx:client().snapshots:delete(name))
    if not ctx.quiet and not ctx.json then
      ctx:stream(name)
    end
  end)
end

local function rename(ctx, args)
  ctx:check(ctx:client().snapshots:rename(args.name, args.new_name))
end

return {
  name = "snapshot",
  summary = "Keeps capsules as templates for new ones",
  subcommands = {
    {
      name = "ls", aliases = { "list" }, summary = "Lists snapshots",
      options = {
        { "all", short = "a", help = "all templates, also the platform's" },
        { "query", value = "TEXT", help = "only those with this in the name" },
        { "quiet", short = "q", help = "print names only" },
      },
      run = list,
    },
    {
      name = "create", summary = "Makes a template of a capsule",
      operands = {
        { name = "ID", complete = "capsule", env = "WRENN_CAPSULE" },
      },
      options = {
        { "name", short = "n", value = "NAME",
          help = "a name is made up when absent" },
        { "overwrite", help = "replace one of that name, where servers do" },
        { "no-wait", help = "do not wait until it is listed" },
        { "timeout", value = "DURATION", type = "duration",
          help = "for all of it (60s)" },
      },
      run = create,
    },
    {
      name = "rm", summary = "Deletes snapshots",
      operands = {
        { name = "NAME", key = "names", many = true, complete = "snapshot" },
      },
      options = { { "quiet", short = "q", help = "print nothing" } },
      run = remove,
    },
    {
      name = "rename", summary = "Gives a snapshot another name",
      operands = {
        { name = "NAME", complete = "snapshot" },
        { name = "NEW-NAME" },
      },
      run = rename,
    },
  },
}
