-- wrenn inspect ID

local layout = require("wrenn.cli.layout")

-- What comes first, in this order; the rest follows by name.
local ORDER = { "id", "status", "template", "vcpus", "memory_mb",
  "disk_size_mb", "timeout_sec", "metadata", "created_at", "started_at" }

local function run(ctx, args)
  local info = ctx:check(ctx:client().capsules:get(ctx:id(args.id)))
  if ctx.json then
    ctx:emit(info)
    return
  end
  local fields, rest, seen = {}, {}, {}
  for _, name in ipairs(ORDER) do
    seen[name] = true
    fields[#fields + 1] = { name, info[name] }
  end
  for name in pairs(info) do
    if not seen[name] then
      rest[#rest + 1] = tostring(name)
    end
  end
  table.sort(rest)
  for _, name in ipairs(rest) do
    fields[#fields + 1] = { name, info[name] }
  end
  layout.fields(ctx, fields)
end

return {
  name = "inspect",
  summary = "Shows what the server knows of a capsule",
  operands = { { name = "ID", complete = "capsule", env = "WRENN_CAPSULE" } },
  run = run,
}
